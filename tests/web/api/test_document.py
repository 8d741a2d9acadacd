"""The document: it is OpenAPI 3.1, it is there only where the API is, and whatever pages can do stands in it."""

import re
from collections.abc import Iterator
from typing import Final

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator, validate

from latchstring.authorization_server.api_scopes import API_SCOPES
from latchstring.authorization_server.settings import ScopeDefinition, Settings, validate_settings
from latchstring.protocol.errors import ConfigurationError
from latchstring.web.api.operation import PATH
from latchstring.web.api.table import OPERATIONS
from latchstring.web.app import _PAGES
from tests.support.deployment import ISSUER
from tests.web.answers import assert_page
from tests.web.api.conftest import RESOURCE, ApiWorld
from tests.web.conftest import World

METADATA: Final = "/.well-known/oauth-protected-resource/api/v1"

# What people do on pages for themselves, or what goes by another path below /api/v1.
NO_OPERATION: Final = {
    "/oauth2/authorize": "a browser's own",
    "/consent": "a member's own answer",
    "/consent/next": "a member's own answer",
    "/device": "a member's own answer",
    "/device/answer": "a member's own answer",
    "/sign-out": "a browser's own",
    "/connections/{grant_id}/disconnect": "a member's own; an app gives its access back by /oauth2/revoke",
    "/connections/apps/{client_id}/disconnect": "a member's own",
    "/access-requests/{request_id}/return": "a member's own answer",
}
# How a person signs in, and their own account.
OWN: Final = ("/account/", "/sign-in", "/reset")
OPERATIONS_OF: Final = {
    "/apps/new": ["create_app"],
    "/apps/{client_id}": ["save_app"],
    "/apps/{client_id}/secret": ["replace_secrets"],
    "/apps/{client_id}/secrets": ["add_secret"],
    "/apps/{client_id}/secrets/{secret_id}/retire": ["retire_secret"],
    "/apps/{client_id}/require-pkce": ["require_pkce"],
    "/apps/{client_id}/review": ["ask_review", "withdraw_review"],
    "/apps/{client_id}/delete": ["delete_app"],
    "/organizations/{organization_id}/publisher": ["claim_domain"],
    "/organizations/{organization_id}/publisher/{domain}/check": ["check_domain"],
    "/organizations/{organization_id}/publisher/{domain}/forget": ["forget_domain"],
    "/operator/reviews/{client_id}": ["approve_review", "decline_review", "unpublish_app"],
    "/organizations/{organization_id}/requests/{request_id}": ["approve_request", "decline_request"],
    "/organizations/{organization_id}": ["change_organization"],
    "/organizations/{organization_id}/close": ["close_organization"],
    "/organizations/{organization_id}/members": ["add_member"],
    "/organizations/{organization_id}/members/{user_id}": [
        "change_role",
        "suspend_member",
        "resume_member",
        "end_member",
    ],
    "/organizations/{organization_id}/connections/disconnect": ["disconnect"],
    "/organizations/{organization_id}/connections/disconnect-app": ["disconnect_app"],
    "/organizations/{organization_id}/connections/take-over": ["take_over_connection"],
    "/operator/users/{user_id}": ["disable_user", "enable_user", "delete_user"],
    "/operator/organizations/{organization_id}": ["close_overseen_organization", "reopen_overseen_organization"],
    "/operator/apps/{client_id}": ["suspend_app", "reinstate_app", "delete_overseen_app"],
    "/organizations/{organization_id}/policy": ["save_policy"],
    "/organizations/{organization_id}/apps/{client_id}": ["approve_app", "block_app"],
    "/organizations/{organization_id}/apps/{client_id}/forget": ["forget_rule"],
    "/organizations/{organization_id}/apps/{client_id}/unapprove": ["end_approval"],
    **{
        f"{owner}/webhooks{path}": [f"{name}_of_{of}" for name in names]
        for owner, of in (("/apps/{client_id}", "app"), ("/organizations/{organization_id}", "organization"))
        for path, names in (
            ("", ["create_webhook"]),
            ("/{endpoint_id}", ["save_webhook"]),
            (
                "/{endpoint_id}/{verb}",
                [
                    "test_webhook",
                    "enable_webhook",
                    "disable_webhook",
                    "rotate_webhook_secret",
                    "delete_webhook",
                    "replay_delivery",
                    "replay_deliveries",
                ],
            ),
        )
    },
}


def test_document_is_openapi(api: ApiWorld) -> None:
    validate(api.document, cls=OpenAPIV31SpecValidator)
    assert api.document["openapi"] == "3.1.0"
    assert api.document["servers"] == [{"url": RESOURCE}]


def test_operations_are_named_once_and_described(api: ApiWorld) -> None:
    described = [each for methods in api.document["paths"].values() for each in methods.values()]
    names = [each["operationId"] for each in described]
    assert len(set(names)) == len(names) == len(OPERATIONS)
    for each in described:
        assert len(each["summary"]) > 10, each["operationId"]
        assert "  " not in each["description"]


def test_operations_that_need_a_fresh_sign_in_say_so(api: ApiWorld) -> None:
    described = [each for methods in api.document["paths"].values() for each in methods.values()]
    told = {each["operationId"] for each in described if "RFC 9470" in each["description"]}
    assert told == {"delete_app", "delete_overseen_app", "delete_user"}


def test_scopes_of_the_document_are_all_that_there_are(api: ApiWorld) -> None:
    flow = api.document["components"]["securitySchemes"]["oauth2"]["flows"]["authorizationCode"]
    assert set(flow["scopes"]) == set(API_SCOPES) == {operation.scope for operation in OPERATIONS}


def _posts() -> Iterator[str]:
    return (path for method, path, _ in _PAGES if method == "POST")


def test_every_post_of_a_page_has_an_operation_or_a_reason() -> None:
    names = {operation.name for operation in OPERATIONS}
    for path in _posts():
        if path in NO_OPERATION or path.startswith(OWN):
            continue
        assert path in OPERATIONS_OF, f"{path}: give it an operation, or say here why it has none"
        assert set(OPERATIONS_OF[path]) <= names, path
    assert set(NO_OPERATION) | set(OPERATIONS_OF) <= set(_posts())


def test_changes_are_for_the_scopes_that_manage() -> None:
    for operation in OPERATIONS:
        verb = "read" if operation.method == "GET" else "manage"
        assert operation.scope.endswith(f".{verb}"), operation.name


async def test_metadata_of_the_api_says_where_to_get_a_token(api: ApiWorld) -> None:
    """RFC 9728 §3."""
    for path in (METADATA, METADATA + "/"):
        response = await api.world.http.get(path)
        assert response.json()["resource"] == RESOURCE
        assert response.json()["authorization_servers"] == [ISSUER]
        assert response.json()["scopes_supported"] == list(API_SCOPES)
        assert response.headers["access-control-allow-origin"] == "*"
    assert (await api.world.http.post(METADATA)).status_code == 405


async def test_server_without_the_api_has_nothing_of_it(world: World) -> None:
    for path in (PATH, f"{PATH}/openapi.json", f"{PATH}/organizations/{world.acorn}", METADATA):
        assert_page(await world.http.get(path), 404)
    metadata = (await world.http.get("/.well-known/oauth-authorization-server")).json()
    assert not set(metadata["scopes_supported"]) & set(API_SCOPES)
    asked = {"client_id": world.app.client_id, "response_type": "code", "resource": RESOURCE}
    response = await world.http.get("/oauth2/authorize", params=asked)
    assert "error=invalid_target" in response.headers["location"]


async def test_apps_get_none_of_its_scopes_by_themselves(api: ApiWorld) -> None:
    app = await api.world.deployment.app(api.world.acorn, name="Plain")
    assert not set(app.record.scope) & set(API_SCOPES)
    assert not set(api.world.deployment.settings.scopes_for_anyone) & set(API_SCOPES)


@pytest.mark.parametrize("serves_api", [True, False])
def test_scopes_of_the_servers_own_cannot_be_defined(serves_api: bool) -> None:
    scopes = {"all.full_access": ScopeDefinition(), "latchstring:organization.read": ScopeDefinition(risk="low")}
    with pytest.raises(ConfigurationError, match="scopes: latchstring:organization.read"):
        validate_settings(Settings(issuer=ISSUER, serves_api=serves_api, scopes=scopes))


def test_settings_with_the_api_can_be_validated_twice() -> None:
    settings = validate_settings(Settings(issuer=ISSUER, serves_api=True))
    assert validate_settings(settings) == settings
    assert set(settings.scopes) == {"all.full_access", *API_SCOPES}


def test_api_needs_an_issuer_that_names_it() -> None:
    with pytest.raises(ConfigurationError, match="serves_api: the API would be http://auth"):
        validate_settings(Settings(issuer="http://auth.example", serves_api=True))


def test_paths_are_made_of_plain_segments() -> None:
    for operation in OPERATIONS:
        assert re.fullmatch(r"(/(\{[a-z_]+\}|[a-z-]+(\.[a-z]+)?))+", operation.path), operation.path
