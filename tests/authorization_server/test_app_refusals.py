"""What a refusal of an app says: a code for pages and the API, the values that its sentence names, and a sentence for
commands."""

from typing import Any

import msgspec
import pytest

from latchstring.authorization_server.apps import (
    MAX_REDIRECT_URIS,
    AppDetails,
    AppRefused,
    Problem,
    verify_app_details,
)
from latchstring.authorization_server.details_types import DetailsType
from latchstring.authorization_server.policy import CODE_WITHOUT_PKCE
from latchstring.authorization_server.records import ClientSecurity
from tests.authorization_server.builders import ACORN, ANN, REDIRECT_URI
from tests.authorization_server.conftest import House

GOOD = AppDetails(name="Mailloop", redirect_uris=(REDIRECT_URI,))
PAYMENT = {"payment": DetailsType(title="Pay")}


@pytest.mark.parametrize(
    "changed, problem",
    [
        ({"name": "a" * 81}, Problem("name", "name_too_long", "Keep the name to 80 characters.", {"limit": "80"})),
        (
            {"description": "a" * 501},
            Problem("description", "description_too_long", "Keep the description to 500 characters.", {"limit": "500"}),
        ),
        (
            {"redirect_uris": tuple(f"https://app.example/{n}" for n in range(MAX_REDIRECT_URIS + 1))},
            Problem(
                "redirect_uris",
                "redirect_uris_too_many",
                "Give at most 50 redirect URIs.",
                {"limit": "50"},
            ),
        ),
        (
            {"redirect_uris": ("https://app.example/".ljust(2001, "x"),)},
            Problem(
                "redirect_uris",
                "redirect_uri_too_long",
                "https://app.example/".ljust(200, "x") + ": The redirect URI is longer than 2,000 characters.",
                {"uri": "https://app.example/".ljust(200, "x"), "limit": "2000"},
            ),
        ),
    ],
)
def test_refusal_of_what_is_too_long_or_too_many_names_the_limit(changed: dict[str, Any], problem: Problem) -> None:
    with pytest.raises(AppRefused) as refused:
        verify_app_details(msgspec.structs.replace(GOOD, **changed))
    assert refused.value.problems == (problem,)


def test_refusal_of_several_fields_is_one_sentence_for_each() -> None:
    with pytest.raises(AppRefused) as refused:
        verify_app_details(AppDetails(name="", redirect_uris=()))
    assert str(refused.value) == "Give the app a name.; Give at least one redirect URI."


@pytest.mark.parametrize(
    "given, field, code, named",
    [
        ({"scope": ("a.unknown", "all.full_access", "b")}, "scope", "scope_unknown", "a.unknown b."),
        ({"scope": ()}, "scope", "scope_unknown", "scope (empty)."),
        ({"grant_types": ("password", "implicit")}, "grant_types", "grant_types_unsupported", "password implicit."),
        ({"grant_types": ()}, "grant_types", "grant_types_unsupported", "type: (none)."),
        (
            {"security": ClientSecurity(authorization_details_types=("account", "payment", "transfer"))},
            "authorization_details_types",
            "details_type_unknown",
            "account transfer.",
        ),
        (
            {"security": ClientSecurity(profile="fapi2")},
            "token_endpoint_auth_method",
            "authentication_not_allowed",
            "fapi2 does not allow token_endpoint_auth_method client_secret_post.",
        ),
        (
            {"security": ClientSecurity(allowances=("no_such",))},
            "allowances",
            "allowances_unusable",
            "The allowances: ",
        ),
        (
            {
                "token_endpoint_auth_method": "none",
                "security": ClientSecurity(profile="legacy", allowances=(CODE_WITHOUT_PKCE,)),
            },
            "allowances",
            "allowances_unusable",
            "only a confidential client",
        ),
        ({"token_endpoint_auth_method": "private_key_jwt"}, "jwks", "keys_unusable", "The keys: "),
        ({"token_endpoint_auth_method": "tls_client_auth"}, "tls_client_auth", "subject_unusable", "The certificate: "),
        (
            {"acts_for_resource": "https://nobody.example/"},
            "acts_for_resource",
            "acts_for_resource_unknown",
            "registered",
        ),
    ],
)
async def test_refusal_of_an_app_names_the_field_and_what_of_it(
    house: House, given: dict[str, Any], field: str, code: str, named: str
) -> None:
    house.configure(authorization_details_types=PAYMENT)
    with pytest.raises(AppRefused) as refused:
        await house.apps.create(GOOD, organization_id=ACORN, created_by=ANN, **given)
    (problem,) = refused.value.problems
    assert (problem.field, problem.code) == (field, code)
    assert named in problem.message


async def test_app_may_ask_for_details_of_the_types_that_are_declared(house: House) -> None:
    house.configure(authorization_details_types=PAYMENT)
    security = ClientSecurity(authorization_details_types=("payment",))
    client, _ = await house.apps.create(GOOD, organization_id=ACORN, created_by=ANN, security=security)
    assert client.security == security


async def test_app_to_which_browsers_are_redirected_needs_a_redirect_uri(house: House) -> None:
    with pytest.raises(AppRefused) as refused:
        await house.apps.create(AppDetails(name="Mailloop"), organization_id=ACORN, created_by=ANN)
    assert [problem.code for problem in refused.value.problems] == ["redirect_uris_missing"]


@pytest.mark.parametrize(
    "name, resource, field, code",
    [
        ("", "https://api.example/v1", "name", "name_missing"),
        ("API", "api.example", "resource", "resource_unusable"),
        ("API", "https://auth.example/api/v1", "resource", "resource_unusable"),
    ],
)
async def test_refusal_of_a_resource_server_names_the_field(
    house: House, name: str, resource: str, field: str, code: str
) -> None:
    house.configure(serves_api=True)
    with pytest.raises(AppRefused) as refused:
        await house.apps.create_resource_server(name, resource)
    assert [(problem.field, problem.code) for problem in refused.value.problems] == [(field, code)]
