"""riverrun in a Django project.

Jobs are inserted with the same connection as the models, so that both commit together:

    from django.db import transaction as django_transaction
    from riverrun import SyncClient
    from riverrun.integrations.django import transaction

    client = SyncClient("postgresql://localhost/app")

    def checkout(request):
        with django_transaction.atomic():
            order = Order.objects.create(number=7)
            client.insert(Charge(order.pk), tx=transaction())
        ...
"""

from typing import Any

import django.db  # type: ignore[import-untyped]

# Django comes without types.
_db: Any = django.db


def transaction(using: str | None = None) -> object:
    """What to give as `tx=`: this thread's connection to the database with the alias `using`.

    By default that of Django's default database; `using` must be a database that holds River's
    tables. Nothing is begun, committed or rolled back here:

    - Within `atomic()` what riverrun writes is part of it, savepoints of nested blocks included: if it
      is rolled back, the job never was, and only its commit wakes a worker.
    - Outside, Django is in autocommit, and each statement commits by itself: a job is inserted first,
      and its worker told with the next statement; should the process die in between, the worker
      finds the job at its next poll. A batch of more than 5,000 jobs is inserted in several
      statements, of which the first ones stay if a later one fails. No row is ever left half
      written. Take `atomic()` where all or nothing is wanted.

    `ATOMIC_REQUESTS` makes each view such a block. For `SyncClient`, and for `job.complete_sync` in a
    handler; an asynchronous client refuses it. Raises Django's `ConnectionDoesNotExist` for an
    unknown alias.

    Example:
        >>> import django
        >>> from django.conf import settings
        >>> one = {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
        >>> settings.configure(DATABASES={"default": one})
        >>> django.setup()
        >>> transaction().alias
        'default'
    """
    connection: object = _db.connections[using or _db.DEFAULT_DB_ALIAS]
    return connection
