"""A Django project in a module made on the spot. A process has one set of Django settings: one site at a time."""

import itertools
import sys
from types import ModuleType
from typing import Any

import django
from django.conf import settings
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler

_numbers = itertools.count(1)


def serve_django(urlpatterns: Any, guarded: Any, *, is_async: bool = False) -> Any:
    """The site as a WSGI or ASGI app; `guarded` is the middleware before all others."""
    name = f"tests_django_site_{next(_numbers)}"
    site = ModuleType(name)
    site.__dict__.update(urlpatterns=urlpatterns, guarded=guarded)
    sys.modules[name] = site
    if not settings.configured:
        settings.configure(
            SECRET_KEY="for tests",
            ALLOWED_HOSTS=["*"],
            SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
        )
        django.setup()
    settings.ROOT_URLCONF = name
    settings.MIDDLEWARE = [f"{name}.guarded", "django.middleware.csrf.CsrfViewMiddleware"]
    return ASGIHandler() if is_async else WSGIHandler()
