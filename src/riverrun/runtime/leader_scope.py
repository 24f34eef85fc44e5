"""Runs a list of services exactly while this client leads.

Each term gets services of its own, made anew, so that nothing left over from an older term can reach
into a newer one.
"""

import logging
from collections.abc import Callable, Sequence

from riverrun.runtime.elector import LeadershipTerm
from riverrun.runtime.groups import start_all, stop_all
from riverrun.runtime.scope import Cause
from riverrun.runtime.service import Service, ServiceStopped

logger = logging.getLogger("riverrun.maintenance")


class LeaderScope:
    """Give `on_change` to an elector."""

    def __init__(self, make: Callable[[LeadershipTerm], Sequence[Service]]) -> None:
        self._make = make
        self._services: Sequence[Service] = ()

    async def on_change(self, term: LeadershipTerm | None) -> None:
        """Start the services of a new term, or stop those of the one that ended."""
        services, self._services = self._services, ()
        if services:
            await stop_all(services, cause=Cause.LEADERSHIP_LOST)
        if term is None:
            return
        self._services = self._make(term)
        try:
            await start_all(self._services, term.scope)
        except ServiceStopped:
            self._services = ()
        except Exception:
            self._services = ()
            logger.exception("maintenance could not be started")
