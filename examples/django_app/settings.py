"""As little as a project needs that has its models and River's tables in one database."""

import os

from psycopg.conninfo import conninfo_to_dict

_connection = conninfo_to_dict(os.environ["RIVERRUN_DATABASE_URL"])

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": _connection.pop("dbname"),
        "OPTIONS": _connection,
    }
}
INSTALLED_APPS = ["shop"]
ROOT_URLCONF = "shop.urls"
ALLOWED_HOSTS = ["localhost", "127.0.0.1"]
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
