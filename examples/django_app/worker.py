"""What `riverrun work worker:client` works with."""

import os

import django

from riverrun import Client

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")
django.setup()

from shop.jobs import workers  # noqa: E402 - models can be imported from here on

client = Client(workers=workers, queues={"default": 5})
