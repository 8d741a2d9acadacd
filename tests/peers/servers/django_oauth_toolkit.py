"""django-oauth-toolkit as its documentation sets it up, with applications made on request and Ann signed in.

python django_oauth_toolkit.py PORT DATABASE       prints "ready" when it listens
"""

# mypy: ignore-errors
# ruff: noqa: PLW0108

import json
import secrets
import sys
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import django
from django.conf import settings

port, database = int(sys.argv[1]), sys.argv[2]
SCOPES = ("all.full_access", "contacts.read", "contacts.write", "offline_access")

# Writers queue: without this, two at once are a "database is locked" that has nothing to do with OAuth.
LOCKING = {"timeout": 30, "transaction_mode": "IMMEDIATE"}

settings.configure(
    SECRET_KEY=secrets.token_hex(),
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    USE_TZ=True,
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": database, "OPTIONS": LOCKING}},
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],  # quick; nobody attacks it here
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "django.contrib.messages",
        "oauth2_provider",
    ],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        f"{__name__}.as_ann",
        "django.contrib.messages.middleware.MessageMiddleware",
    ],
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "APP_DIRS": True,
            "OPTIONS": {
                "context_processors": [
                    "django.template.context_processors.request",
                    "django.contrib.auth.context_processors.auth",
                    "django.contrib.messages.context_processors.messages",
                ]
            },
        }
    ],
    LOGGING={
        "version": 1,
        "handlers": {"console": {"class": "logging.StreamHandler"}},
        "loggers": {"django.request": {"handlers": ["console"], "level": "ERROR"}},
    },
    OAUTH2_PROVIDER={
        "SCOPES": {scope: scope for scope in SCOPES},
        "DEFAULT_SCOPES": ["all.full_access", "contacts.read"],
        # Its safest settings where it has a choice.
        "PKCE_REQUIRED": lambda client_id: _is_public(client_id),
        "ROTATE_REFRESH_TOKEN": True,
        "REFRESH_TOKEN_REUSE_PROTECTION": True,
    },
)
django.setup()

from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.http import JsonResponse
from django.urls import include, path
from django.views.decorators.csrf import csrf_exempt
from oauth2_provider import urls
from oauth2_provider.models import get_application_model


def _is_public(client_id):
    return get_application_model().objects.filter(client_id=client_id, client_type="public").exists()


def as_ann(get_response):
    def middleware(request):
        if request.path.startswith("/o/authorize"):
            request.user = get_user_model().objects.get(username="ann")
        return get_response(request)

    return middleware


@csrf_exempt
def register_client(request):
    asked = json.loads(request.body)
    is_public = asked["method"] == "none"
    is_own = "authorization_code" not in asked["grant_types"]
    secret = secrets.token_urlsafe(32)
    application = get_application_model().objects.create(
        name="Mailloop",
        user=get_user_model().objects.get(username="ann"),
        client_type="public" if is_public else "confidential",
        authorization_grant_type="client-credentials" if is_own else "authorization-code",
        redirect_uris=" ".join(asked["redirect_uris"]),
        client_secret=secret,
    )
    return JsonResponse({"client_id": application.client_id, "client_secret": None if is_public else secret})


urlpatterns = [
    path("test/clients", register_client),
    path("", include((urls.metadata_urlpatterns, "metadata"))),
    path("o/", include("oauth2_provider.urls", namespace="oauth2_provider")),
]


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 128


class Quiet(WSGIRequestHandler):
    def log_message(self, *arguments):
        pass


if __name__ == "__main__":
    sys.modules["django_oauth_toolkit"] = sys.modules[__name__]
    from django.core.wsgi import get_wsgi_application

    call_command("migrate", verbosity=0)
    get_user_model().objects.create_user("ann", "ann@example.com", "correct horse battery")
    server = make_server("127.0.0.1", port, get_wsgi_application(), server_class=Server, handler_class=Quiet)
    print("ready", flush=True)
    server.serve_forever()
