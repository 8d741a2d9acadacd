"""django-oauth-toolkit on PostgreSQL as a server to measure, at its quickest: no middleware, connections kept open,
client secrets not hashed (with Django's default hash a client authentication costs a hundred times as much).

python django_oauth_toolkit.py SETUP          SETUP is JSON (bench/subjects/peers.py)
"""

# mypy: ignore-errors

import base64
import hashlib
import json
import secrets
import sys
from datetime import timedelta
from urllib.parse import urlsplit

import django
from django.conf import settings
from serving import serve

setup = json.loads(sys.argv[1])
database = urlsplit(setup["database"])
SCOPE = "all.full_access offline_access"

settings.configure(
    SECRET_KEY=secrets.token_hex(),
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    USE_TZ=True,
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "HOST": database.hostname,
            "PORT": database.port,
            "USER": database.username,
            "NAME": database.path[1:],
            "CONN_MAX_AGE": None,
        }
    },
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "oauth2_provider"],
    MIDDLEWARE=[],
    LOGGING_CONFIG=None,
    OAUTH2_PROVIDER={
        "SCOPES": {scope: scope for scope in SCOPE.split()},
        "AUTHORIZATION_CODE_EXPIRE_SECONDS": 3600,
        "ACCESS_TOKEN_EXPIRE_SECONDS": 3600,
        "REFRESH_TOKEN_EXPIRE_SECONDS": 180 * 24 * 3600,
        "PKCE_REQUIRED": True,
        "ROTATE_REFRESH_TOKEN": True,
        "REFRESH_TOKEN_REUSE_PROTECTION": True,
    },
)
django.setup()

from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.db import connection
from django.http import JsonResponse
from django.urls import include, path
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from oauth2_provider import urls
from oauth2_provider.models import AccessToken, Application, Grant, RefreshToken

CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(setup["verifier"].encode()).digest()).rstrip(b"=").decode()


def create_clients():
    user = get_user_model().objects.create_user("ann")
    grant_types = {"client": "authorization-code", "robot": "client-credentials", "guard": "client-credentials"}
    for name, grant_type in grant_types.items():
        Application.objects.create(
            name=name,
            user=user,
            client_id=setup[f"{name}_id"],
            client_secret=setup[f"{name}_secret"],
            hash_client_secret=False,
            client_type="confidential",
            authorization_grant_type=grant_type,
            redirect_uris=setup["redirect_uri"],
        )


@csrf_exempt
def prepare(request):
    asked = json.loads(request.body)
    of_grant = {
        "user": get_user_model().objects.get(username="ann"),
        "application": Application.objects.get(client_id=setup["client_id"]),
    }
    strings = [secrets.token_urlsafe(32) for _ in range(asked["count"])]
    expires = timezone.now() + timedelta(hours=1)
    if asked["operation"] == "exchange":
        code = {"code_challenge": CHALLENGE, "code_challenge_method": "S256", "redirect_uri": setup["redirect_uri"]}
        Grant.objects.bulk_create(
            Grant(**of_grant, **code, code=string, expires=expires, scope=SCOPE) for string in strings
        )
    else:
        access_tokens = AccessToken.objects.bulk_create(
            AccessToken(**of_grant, token="a" + string, expires=expires, scope=SCOPE) for string in strings
        )
        RefreshToken.objects.bulk_create(
            RefreshToken(**of_grant, token="r" + token.token[1:], access_token=token) for token in access_tokens
        )
        prefix = "r" if asked["operation"] in {"refresh", "revocation"} else "a"
        strings = [prefix + string for string in strings]
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    return JsonResponse({"items": strings})


@csrf_exempt
def count_rows(request):
    return JsonResponse({"rows": sum(model.objects.count() for model in (Grant, AccessToken, RefreshToken))})


urlpatterns = [
    path("bench/prepare", prepare),
    path("bench/rows", count_rows),
    path("", include((urls.metadata_urlpatterns, "metadata"))),
    path("o/", include("oauth2_provider.urls", namespace="oauth2_provider")),
]

if __name__ == "__main__":
    sys.modules["django_oauth_toolkit"] = sys.modules[__name__]
    call_command("migrate", verbosity=0)
    create_clients()
    connection.close()
    serve(get_wsgi_application(), setup)
