"""The times that a cron expression stands for: which minutes of which days, by the clocks of a zone.

A minute counts if the clocks show a date and a time of day that match. So when the clocks are changed,
a time that they skip does not come that day, and one that they show twice comes twice. The search asks
for exactly that, day by day, instead of walking along the clock; so it is right also in zones that
change by half an hour or at midnight, where River for Go may miss a time or be a day late.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo

YEARS_AHEAD = 5
"""What matches nothing before the end of the fifth year from now has no next time; River's number."""

_DAY = timedelta(days=1)
_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Matches:
    """What one field says: the values that match, in order, and whether `*` or `?` is among them."""

    values: tuple[int, ...]
    star: bool

    def __contains__(self, value: int) -> bool:
        return value in self.values


@dataclass(frozen=True, slots=True)
class CronSchedule:
    """Five fields. Without a zone they go by that of the time which `next` is asked after."""

    expression: str
    zone: tzinfo | None
    minutes: Matches
    hours: Matches
    days: Matches
    months: Matches
    weekdays: Matches

    def next(self, after: datetime, /) -> datetime | None:
        zone = self.zone or after.tzinfo or UTC
        try:
            found = self._search(after.astimezone(UTC), zone)
        except OverflowError:  # the end of Python's calendar
            return None
        return None if found is None else found.astimezone(after.tzinfo)

    def _search(self, after: datetime, zone: tzinfo) -> datetime | None:
        upcoming = (after.replace(microsecond=0) + _SECOND).astimezone(zone)
        for day in self._days(upcoming.date() - _DAY, upcoming.year + YEARS_AHEAD):
            if (found := self._first_on(day, after, zone)) is not None:
                return self._or_tomorrow(found, day, after, zone)
        return None

    def _or_tomorrow(self, found: datetime, day: date, after: datetime, zone: tzinfo) -> datetime:
        """Clocks that go back over midnight show the end of a day again, after the next has begun."""
        tomorrow = day + _DAY
        if not self._matches(tomorrow):
            return found
        other = self._first_on(tomorrow, after, zone)
        return found if other is None else min(found, other)

    def _days(self, day: date, last_year: int) -> Iterator[date]:
        """The days from `day` on that match."""
        while day.year <= last_year:
            if day.month not in self.months:
                day = (day.replace(day=28) + 4 * _DAY).replace(day=1)
                continue
            if self._matches(day):
                yield day
            day += _DAY

    def _matches(self, day: date) -> bool:
        if day.month not in self.months:
            return False
        by_month = day.day in self.days
        by_week = day.isoweekday() % 7 in self.weekdays
        if self.days.star or self.weekdays.star:
            return by_month and by_week
        return by_month or by_week

    def _first_on(self, day: date, after: datetime, zone: tzinfo) -> datetime | None:
        """The first time on `day` that is later than `after`."""
        midnight = datetime.combine(day, time(), UTC)
        ahead = _offset(midnight, zone)
        change = abs(_offset(midnight + _DAY, zone, fold=1) - ahead)
        if not change:
            return self._first_of_even_day(midnight - ahead, after)
        earliest = after.astimezone(zone).replace(tzinfo=UTC) - change
        found = (_first(self._times(midnight, earliest), fold, after, zone) for fold in (0, 1))
        return min((moment for moment in found if moment is not None), default=None)

    def _first_of_even_day(self, start: datetime, after: datetime) -> datetime | None:
        """The same for nearly all days: the clocks just go on, from midnight at `start`."""
        if after < start:
            return next(self._times(start, start - _DAY))
        hour, minute = divmod(int((after - start).total_seconds() // 60), 60)
        for later in self.hours.values:
            if later > hour:
                return start + timedelta(hours=later, minutes=self.minutes.values[0])
            rest = [value for value in self.minutes.values if value > minute]
            if later == hour and rest:
                return start + timedelta(hours=hour, minutes=rest[0])
        return None

    def _times(self, midnight: datetime, earliest: datetime) -> Iterator[datetime]:
        """The times of a day, in order, as if its clocks just went on; some before `earliest` too."""
        for hour in self.hours.values:
            if midnight + timedelta(hours=hour + 1) <= earliest:
                continue
            for minute in self.minutes.values:
                yield midnight + timedelta(hours=hour, minutes=minute)

    def __repr__(self) -> str:
        zone = "" if self.zone is None else f", tz={str(self.zone)!r}"
        return f"cron({self.expression!r}{zone})"


@dataclass(frozen=True, slots=True)
class EverySchedule:
    """An interval of whole seconds, from the beginning of the second in which `next` is asked."""

    expression: str
    delay: timedelta

    def next(self, after: datetime, /) -> datetime | None:
        try:
            moment = after.astimezone(UTC).replace(microsecond=0) + self.delay
        except OverflowError:
            return None
        return moment.astimezone(after.tzinfo)

    def __repr__(self) -> str:
        return f"cron({self.expression!r})"


# Below, `shown` is what the clocks of a zone show; it has UTC only as a place to stand.


def _offset(shown: datetime, zone: tzinfo, *, fold: int = 0) -> timedelta:
    """How far clocks that show `shown` are ahead of UTC."""
    return shown.replace(tzinfo=zone, fold=fold).utcoffset() or timedelta(0)


def _first(times: Iterable[datetime], fold: int, after: datetime, zone: tzinfo) -> datetime | None:
    """The first moment later than `after` when one of `times` is shown: once, or again with `fold`."""
    for shown in times:
        moment = shown.replace(tzinfo=zone, fold=fold).astimezone(UTC)
        exists = moment.astimezone(zone).replace(tzinfo=UTC, fold=0) == shown
        if exists and moment > after:
            return moment
    return None
