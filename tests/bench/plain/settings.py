"""Settings of the plain way."""

import os

import environ

SECRET_KEY = "only-for-benches"
DEBUG = False
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "tests.bench.plain.views"
INSTALLED_APPS = ["tests.bench.plain"]
MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
DATABASES = {"default": environ.Env.db_url_config(os.environ["PLAIN_DATABASE_URL"]) | {"CONN_MAX_AGE": None}}
