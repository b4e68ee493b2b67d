"""Django's settings; whatever differs between environments comes from forkstack."""

import forkstack

IS_PRODUCTION = forkstack.current_env() == "prod"

DEBUG = not IS_PRODUCTION
SECRET_KEY = forkstack.get_secret("SECRET_KEY") if IS_PRODUCTION else "no secret: for development only"
ALLOWED_HOSTS = ["notes.example"] if IS_PRODUCTION else ["127.0.0.1", "localhost"]

INSTALLED_APPS = ["notes"]
MIDDLEWARE = ["django.middleware.security.SecurityMiddleware", "django.middleware.common.CommonMiddleware"]
ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"

DATABASES = {"default": forkstack.django_database()}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
TIME_ZONE = "UTC"
USE_TZ = True
