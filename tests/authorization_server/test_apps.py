"""Registering and changing apps and resource servers (A5–A7, G8, CVE-2026-40166, CVE-2026-41427)."""

import re

import msgspec
import pytest

from latchstring.authorization_server.apps import (
    MAX_DESCRIPTION_LENGTH,
    MAX_NAME_LENGTH,
    MAX_REDIRECT_URIS,
    AppDetails,
    AppRefused,
    clean_name,
    default_scope,
    find_editable,
    is_link,
    verify_app_details,
)
from latchstring.authorization_server.client_keys import clean_key_set
from latchstring.authorization_server.events import COMMAND_LINE, Action, EventFilter, Origin
from latchstring.authorization_server.policy import default_security
from latchstring.authorization_server.ports import Commit
from latchstring.authorization_server.records import ClientSecurity
from latchstring.authorization_server.settings import ScopeDefinition, Settings
from tests.authorization_server.builders import ACORN, ANN, NOW, REDIRECT_URI, build_client, build_membership
from tests.authorization_server.conftest import House
from tests.support.signing import key_set, make_key, public_jwk

KEYS = clean_key_set(key_set(public_jwk(make_key())))
GOOD = AppDetails(name="Mailloop", redirect_uris=(REDIRECT_URI,))


def problems_of(details: AppDetails, **given: bool) -> dict[str, str]:
    with pytest.raises(AppRefused) as refused:
        verify_app_details(details, **given)
    problems = refused.value.problems
    assert len({problem.field for problem in problems}) == len(problems), "at most one for each field"
    assert all(problem.message for problem in problems)
    return {problem.field: problem.code for problem in problems}


@pytest.mark.parametrize(
    "typed, name",
    [
        ("Mailloop", "Mailloop"),
        ("  Mail \t loop\n", "Mail loop"),
        ("Ma\u202eil\u200bloop", "Ma il loop"),
        ("Mail\0loop\x1b[31m", "Mail loop [31m"),
        ("\u2028Mail\u00a0loop", "Mail loop"),
        ("Größe 郵便 🎈", "Größe 郵便 🎈"),
        ("<b>Mail</b>", "<b>Mail</b>"),
        ("\u200b\u202e \n", ""),
    ],
)
def test_clean_name_is_one_line_without_hidden_characters(typed, name):
    """G8: markup stays text (pages escape it); what hides or turns text around goes."""
    assert clean_name(typed) == name


def test_verify_app_details_cleans_what_people_type():
    details = AppDetails(
        name=" Mail  loop ",
        description="  Letters.\n",
        redirect_uris=(REDIRECT_URI, "com.example.app:/cb", REDIRECT_URI),
    )
    cleaned = verify_app_details(details)
    assert (cleaned.name, cleaned.description) == ("Mail loop", "Letters.")
    assert cleaned.redirect_uris == (REDIRECT_URI, "com.example.app:/cb")


@pytest.mark.parametrize(
    "changed, field, code",
    [
        ({"name": ""}, "name", "name_missing"),
        ({"name": " \u200b\n"}, "name", "name_missing"),
        ({"name": "a" * (MAX_NAME_LENGTH + 1)}, "name", "name_too_long"),
        ({"description": "a" * (MAX_DESCRIPTION_LENGTH + 1)}, "description", "description_too_long"),
        ({"redirect_uris": ()}, "redirect_uris", "redirect_uris_missing"),
        (
            {"redirect_uris": tuple(f"https://app.example/{n}" for n in range(MAX_REDIRECT_URIS + 1))},
            "redirect_uris",
            "redirect_uris_too_many",
        ),
        ({"redirect_uris": (REDIRECT_URI, "http://app.example/")}, "redirect_uris", "redirect_uri_not_https"),
        ({"redirect_uris": ("javascript:alert(1)",)}, "redirect_uris", "redirect_uri_dangerous_scheme"),
        ({"redirect_uris": ("myapp:/cb",)}, "redirect_uris", "redirect_uri_private_scheme"),
        ({"terms_uri": ""}, "terms_uri", "terms_uri_unusable"),
        ({"terms_uri": "app.example/terms"}, "terms_uri", "terms_uri_unusable"),
        ({"terms_uri": "javascript:alert(1)"}, "terms_uri", "terms_uri_unusable"),
        ({"terms_uri": "data:text/html,x"}, "terms_uri", "terms_uri_unusable"),
        ({"policy_uri": "https://"}, "policy_uri", "policy_uri_unusable"),
        ({"policy_uri": "https://[::1"}, "policy_uri", "policy_uri_unusable"),
        ({"policy_uri": "https://good.example@evil.example/"}, "policy_uri", "policy_uri_unusable"),
        ({"policy_uri": "https://app.example/" + "a" * 2000}, "policy_uri", "policy_uri_unusable"),
        ({"policy_uri": "https://app.example/a b"}, "policy_uri", "policy_uri_unusable"),
        ({"policy_uri": "https://app.example/\r\nx"}, "policy_uri", "policy_uri_unusable"),
        ({"policy_uri": "\x01https://app.example/"}, "policy_uri", "policy_uri_unusable"),
        ({"policy_uri": "https://app.example/\0"}, "policy_uri", "policy_uri_unusable"),
        ({"policy_uri": "java\nscript:alert(1)//https://"}, "policy_uri", "policy_uri_unusable"),
    ],
)
def test_verify_app_details_wrong_field_is_named(changed, field, code):
    assert problems_of(msgspec.structs.replace(GOOD, **changed)) == {field: code}


def test_verify_app_details_names_every_field_that_must_change():
    details = AppDetails(name="", description="a" * 501, redirect_uris=(), terms_uri="x", policy_uri="y")
    assert set(problems_of(details)) == {"name", "description", "redirect_uris", "terms_uri", "policy_uri"}


def test_verify_app_details_at_the_limits_is_accepted():
    details = AppDetails(
        name="a" * MAX_NAME_LENGTH,
        description="a" * MAX_DESCRIPTION_LENGTH,
        redirect_uris=tuple(f"https://app.example/{n}" for n in range(MAX_REDIRECT_URIS)),
        terms_uri="http://app.example/terms",
        policy_uri="https://äpp.example/politik",
    )
    assert verify_app_details(details) == details


def test_verify_app_details_app_without_redirects_needs_none_but_checks_those_given():
    assert verify_app_details(AppDetails(name="Nightly"), is_redirected=False).redirect_uris == ()
    wrong = AppDetails(name="Nightly", redirect_uris=("http://app.example/",))
    assert problems_of(wrong, is_redirected=False) == {"redirect_uris": "redirect_uri_not_https"}


@pytest.mark.parametrize(
    "scopes, scope",
    [
        ({"all.full_access": ScopeDefinition(), "a.read": ScopeDefinition()}, ("all.full_access", "offline_access")),
        ({"a.read": ScopeDefinition(), "b.write": ScopeDefinition()}, ("a.read", "b.write", "offline_access")),
    ],
)
def test_default_scope_is_full_access_where_there_is_one(scopes, scope):
    assert default_scope(Settings(issuer="https://auth.example", scopes=scopes)) == scope


@pytest.mark.parametrize(
    "created_by, memberships, is_editable",
    [
        pytest.param(None, [build_membership(role="admin")], True, id="admin-of-the-owner"),
        pytest.param(ANN, [build_membership(role="member")], True, id="creator-still-a-member"),
        pytest.param("user_other", [build_membership(role="member")], False, id="member-who-did-not-create-it"),
        pytest.param(None, [build_membership(role="member")], False, id="member-of-an-app-of-nobody"),
        pytest.param(ANN, [], False, id="creator-who-has-left"),
        pytest.param(
            ANN, [build_membership(organization_id="orga_other", role="admin")], False, id="creator-admin-elsewhere"
        ),
        pytest.param(None, [build_membership(organization_id="orga_other", role="admin")], False, id="admin-elsewhere"),
    ],
)
def test_find_editable_is_for_admins_of_the_owner_and_the_creator_there(created_by, memberships, is_editable):
    client = build_client(created_by=created_by)
    assert find_editable(client, ANN, memberships) is is_editable


# -- through the store


async def test_create_confidential_app_shows_its_secret_once_and_keeps_a_hash(house: House):
    client, secret = await house.apps.create(GOOD, organization_id=ACORN, created_by=ANN)
    assert secret is not None
    assert re.fullmatch(r"oa2client_[0-9A-Za-z]{22}", client.client_id)
    kept = await house.store.find_client(client.client_id)
    assert kept == client
    assert house.codec.verify_client_secret(secret, kept.secrets, house.now)
    assert secret not in repr(kept)
    assert secret not in str(msgspec.json.encode(kept))
    assert (kept.token_endpoint_auth_method, kept.is_published) == ("client_secret_post", False)
    assert kept.grant_types == ("authorization_code", "refresh_token")
    assert kept.scope == ("all.full_access", "offline_access")


async def test_app_is_kept_as_it_was_given_and_it_is_written_down_by_whom(house: House):
    links = {"terms_uri": "https://app.example/terms", "policy_uri": "https://app.example/policy"}
    by_ann = Origin("user", ANN, "192.0.2.1", "req_1")
    details = msgspec.structs.replace(GOOD, **links)
    client, _ = await house.apps.create(details, organization_id=ACORN, created_by=ANN, origin=by_ann)
    assert (client.organization_id, client.terms_uri, client.policy_uri) == (ACORN, *links.values())
    assert (client.access_revoked_until, client.security) == (0, default_security("client_secret_post"))
    await house.apps.update(client, msgspec.structs.replace(details, name="Maildrop"), origin=by_ann)
    for action in (Action.APP_CREATED, Action.APP_CHANGED):
        wanted = EventFilter(client_id=client.client_id, action=action)
        (told,) = await house.store.find_events(wanted, before=None, at_most=9)
        assert told.event.origin == by_ann


async def test_create_public_app_has_no_secret(house: House):
    client, secret = await house.apps.create(
        GOOD, organization_id=ACORN, created_by=ANN, token_endpoint_auth_method="none"
    )
    assert (secret, client.secrets, client.is_public) == (None, (), True)
    assert await house.client_secrets.replace(client) is None


@pytest.mark.parametrize(
    "given, field",
    [
        ({"scope": ("a.unknown",)}, "scope"),
        ({"scope": ()}, "scope"),
        ({"grant_types": ("password",)}, "grant_types"),
        ({"grant_types": ("implicit", "authorization_code")}, "grant_types"),
        ({"grant_types": ()}, "grant_types"),
    ],
)
async def test_create_app_with_what_is_not_supported_is_refused_and_nothing_is_kept(house: House, given, field):
    """T12, G4."""
    before = await house.store.find_clients_for_user(ANN)
    with pytest.raises(AppRefused) as refused:
        await house.apps.create(GOOD, organization_id=ACORN, created_by=ANN, **given)
    assert [problem.field for problem in refused.value.problems] == [field]
    assert await house.store.find_clients_for_user(ANN) == before


async def test_create_app_without_code_grant_needs_no_redirect_uri(house: House):
    client, _ = await house.apps.create(
        AppDetails(name="Nightly"), organization_id=ACORN, created_by=None, grant_types=("client_credentials",)
    )
    assert client.redirect_uris == ()
    changed = await house.apps.update(client, AppDetails(name="Daily"))
    assert (changed.name, changed.redirect_uris) == ("Daily", ())


async def test_g6_update_app_checks_everything_again_and_keeps_what_people_do_not_edit(house: House):
    """CVE-2026-15572."""
    client, secret = await house.apps.create(GOOD, organization_id=ACORN, created_by=ANN)
    details = AppDetails(name="Maildrop", redirect_uris=("https://other.example/cb",))
    assert await house.apps.update(client, details) == await house.store.find_client(client.client_id)
    for redirect_uris in (("http://evil.example/",), ()):
        with pytest.raises(AppRefused):
            await house.apps.update(client, AppDetails(name="Maildrop", redirect_uris=redirect_uris))
    kept = await house.store.find_client(client.client_id)
    assert kept is not None
    assert (kept.name, kept.redirect_uris) == ("Maildrop", ("https://other.example/cb",))
    assert (kept.secrets, kept.scope, kept.created_by) == (client.secrets, client.scope, ANN)
    assert secret is not None


async def test_replace_secret_leaves_the_old_one_dead(house: House):
    client, old = await house.apps.create(GOOD, organization_id=ACORN, created_by=ANN)
    new = await house.client_secrets.replace(client)
    kept = await house.store.find_client(client.client_id)
    assert kept is not None
    assert old is not None
    assert new is not None
    assert new != old
    assert house.codec.verify_client_secret(new, kept.secrets, house.now)
    assert not house.codec.verify_client_secret(old, kept.secrets, house.now)


async def test_replace_secret_of_a_client_that_has_vanished_is_none(house: House):
    assert await house.client_secrets.replace(build_client(client_id="oa2client_gone")) is None


async def test_create_resource_server_shows_its_secret_once(house: House):
    record, secret = await house.apps.create_resource_server(" Contacts \n API ", "https://api.example/v1")
    assert re.fullmatch(r"oa2resource_[0-9A-Za-z]{22}", record.client_id)
    assert (record.name, record.created_at, record.access_token_format) == ("Contacts API", NOW, "opaque")
    signed, _ = await house.apps.create_resource_server("Mail API", "https://api.example/v2", "jwt")
    assert signed.access_token_format == "jwt"
    assert await house.store.find_resource_server(record.client_id) == record
    assert house.codec.verify_client_secret(secret, record.secrets, house.now)
    assert secret not in repr(record)


@pytest.mark.parametrize(
    "name, resource, field",
    [
        ("", "https://api.example/", "name"),
        ("\u200b", "https://api.example/", "name"),
        ("API", "", "resource"),
        ("API", "api.example", "resource"),
        ("API", "ftp://api.example/", "resource"),
        ("API", "https://", "resource"),
        ("API", "https://api.example/#x", "resource"),
        ("API", "https://api.example/#", "resource"),
        ("API", "https://[::1", "resource"),
        ("API", "https://api.example/\r\n", "resource"),
        ("API", "https://api example/", "resource"),
    ],
)
async def test_create_resource_server_unusable_is_refused(house: House, name, resource, field):
    """RFC 8707 §2."""
    with pytest.raises(AppRefused) as refused:
        await house.apps.create_resource_server(name, resource)
    assert [problem.field for problem in refused.value.problems] == [field]


async def test_create_app_for_a_known_api_is_kept(house: House):
    client, _ = await house.apps.create(
        GOOD, organization_id=ACORN, created_by=ANN, acts_for_resource="https://api.example/"
    )
    kept = await house.store.find_client(client.client_id)
    assert kept is not None
    assert kept.acts_for_resource == "https://api.example/"


@pytest.mark.parametrize(
    "resource, method",
    [
        ("https://nobody.example/", "client_secret_post"),
        ("https://api.example", "client_secret_post"),
        ("https://api.example/", "none"),
    ],
)
async def test_create_app_for_an_unknown_api_or_a_public_one_is_refused(house: House, resource, method):
    """A public client's say-so would be enough to exchange every token that the API is called with."""
    before = len(await house.store.find_clients_for_user(ANN))
    with pytest.raises(AppRefused) as refused:
        await house.apps.create(
            GOOD, organization_id=ACORN, created_by=ANN, token_endpoint_auth_method=method, acts_for_resource=resource
        )
    assert [problem.field for problem in refused.value.problems] == ["acts_for_resource"]
    assert len(await house.store.find_clients_for_user(ANN)) == before


@pytest.mark.parametrize("method", ["client_secret_post", "client_secret_basic", "none"])
async def test_create_app_with_a_method_that_its_profile_does_not_allow_is_refused(house: House, method):
    """F1."""
    before = len(await house.store.find_clients_for_user(ANN))
    with pytest.raises(AppRefused) as refused:
        await house.apps.create(
            GOOD,
            organization_id=ACORN,
            created_by=ANN,
            token_endpoint_auth_method=method,
            security=ClientSecurity(profile="fapi2"),
        )
    assert [problem.field for problem in refused.value.problems] == ["token_endpoint_auth_method"]
    assert len(await house.store.find_clients_for_user(ANN)) == before


@pytest.mark.parametrize(
    "method, security",
    [
        ("tls_client_auth", ClientSecurity()),
        ("tls_client_auth", ClientSecurity(tls_client_auth_subject_dn="CN=a", tls_client_auth_san_dns="a.example")),
        ("tls_client_auth", ClientSecurity(tls_client_auth_subject_dn="a")),
        ("tls_client_auth", ClientSecurity(tls_client_auth_subject_dn="")),
        ("tls_client_auth", ClientSecurity(tls_client_auth_san_dns="*.example")),
        ("tls_client_auth", ClientSecurity(tls_client_auth_san_dns="")),
        ("tls_client_auth", ClientSecurity(tls_client_auth_san_ip="a.example")),
        ("tls_client_auth", ClientSecurity(tls_client_auth_san_uri="a b")),
        ("tls_client_auth", ClientSecurity(tls_client_auth_san_email="")),
        ("client_secret_post", ClientSecurity(tls_client_auth_subject_dn="CN=a")),
        ("self_signed_tls_client_auth", ClientSecurity()),
        ("self_signed_tls_client_auth", ClientSecurity(jwks=KEYS)),
        ("private_key_jwt", ClientSecurity()),
        ("private_key_jwt", ClientSecurity(jwks=KEYS, jwks_uri="https://app.example/")),
        ("private_key_jwt", ClientSecurity(jwks=KEYS, token_endpoint_auth_signing_alg="PS256")),
        ("private_key_jwt", ClientSecurity(jwks_uri="http://app.example/")),
        ("none", ClientSecurity(token_endpoint_auth_signing_alg="ES256")),
    ],
)
async def test_create_app_with_unfit_keys_or_certificate_is_refused(house: House, method, security):
    before = len(await house.store.find_clients_for_user(ANN))
    with pytest.raises(AppRefused):
        await house.apps.create(
            GOOD, organization_id=ACORN, created_by=ANN, token_endpoint_auth_method=method, security=security
        )
    assert len(await house.store.find_clients_for_user(ANN)) == before


async def test_create_resource_server_in_the_place_of_the_servers_own_api_is_refused(house: House):
    """Its secret would be told about every token for the API (N3)."""
    own = "https://auth.example/api/v1"
    assert (await house.apps.create_resource_server("API", own))[0].resource == own, "there is none"
    house.configure(serves_api=True)
    with pytest.raises(AppRefused) as refused:
        await house.apps.create_resource_server("API", own)
    assert [problem.field for problem in refused.value.problems] == ["resource"]


async def test_replace_keys_leaves_nothing_of_the_old_ones_and_is_told(house: House):
    """By value or by URL: whichever was there before is gone."""
    given = {
        "token_endpoint_auth_method": "private_key_jwt",
        "security": ClientSecurity(jwks_uri="https://a.example/k"),
    }
    client = await house.client("oa2client_keys", **given)
    jwks = KEYS
    changed = await house.apps.replace_keys(client, jwks=jwks, origin=COMMAND_LINE)
    assert (changed.security.jwks, changed.security.jwks_uri) == (jwks, None)
    assert await house.store.find_client("oa2client_keys") == changed
    again = await house.apps.replace_keys(changed, jwks_uri="https://b.example/k", origin=COMMAND_LINE)
    assert (again.security.jwks, again.security.jwks_uri) == (None, "https://b.example/k")
    stricter = msgspec.structs.replace(again.security, dpop_bound_access_tokens=True)
    house.now += 5
    assert (await house.apps.update_security(again, stricter, origin=COMMAND_LINE)).security == stricter
    wanted = EventFilter(client_id="oa2client_keys", action=Action.APP_CHANGED)
    told = [record.event for record in await house.store.find_events(wanted, before=None, at_most=9)]
    assert [event.origin for event in told] == [COMMAND_LINE] * 3
    assert [event.at for event in told] == [house.now, house.now - 5, house.now - 5]
    with pytest.raises(AppRefused):
        await house.apps.replace_keys(again)


async def test_app_that_was_deleted_is_kept_until_nothing_of_it_can_be_asked_about(house: House):
    await house.client("oa2client_gone")
    assert await house.apps.end("oa2client_gone", origin=COMMAND_LINE) is Commit.APPLIED
    ended = await house.store.find_client("oa2client_gone")
    assert ended is not None
    assert ended.expires_at == house.now + house.settings.ended_grant_lifetime


def test_link_of_2000_characters_is_the_longest():
    assert is_link("https://a.example/" + "x" * 1982)
    assert not is_link("https://a.example/" + "x" * 1983)


@pytest.mark.parametrize(
    "method, resource, code",
    [
        ("none", "https://api.example/", "acts_for_resource_public"),
        ("client_secret_post", "https://nowhere.example/", "acts_for_resource_unknown"),
    ],
)
async def test_app_that_is_to_act_for_an_api_is_confidential_and_the_api_known(house: House, method, resource, code):
    with pytest.raises(AppRefused) as refused:
        await house.apps.create(
            GOOD,
            organization_id=ACORN,
            created_by=ANN,
            token_endpoint_auth_method=method,
            acts_for_resource=resource,
        )
    assert [problem.code for problem in refused.value.problems] == [code]
