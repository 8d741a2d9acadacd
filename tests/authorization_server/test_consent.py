"""Consent: one person, one app, one organization, one grant (A25, T14)."""

from typing import Any

import pytest

from latchstring.authorization_server.answers import Answer
from latchstring.authorization_server.authorization_endpoint import AuthorizationPrompt
from latchstring.authorization_server.consent import Consent, is_stranger, render_version
from latchstring.authorization_server.organization_policies import OrganizationPolicies
from latchstring.authorization_server.ports import ConsentCommit
from latchstring.authorization_server.records import ClientSecurity, SecretHash
from tests.authorization_server.builders import (
    ACORN,
    ANN,
    MAILLOOP,
    NOW,
    REDIRECT_URI,
    build_client,
    build_membership,
    build_organization,
)
from tests.authorization_server.conftest import House


def build_prompt(**given: Any) -> AuthorizationPrompt:
    values: dict[str, Any] = {
        "client_id": MAILLOOP,
        "redirect_uri": REDIRECT_URI,
        "sent_redirect_uri": None,
        "state": "s",
        "scope": ("all.full_access", "offline_access"),
        "code_challenge": None,
        "organization_id": None,
    }
    return AuthorizationPrompt(**{**values, **given})


class CountingEntropy:
    """Bytes that can be told apart; remembers how many were asked for."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def __call__(self, size: int) -> bytes:
        self.asked.append(size)
        return bytes([len(self.asked)]) * size


def build_consent(house: House, entropy: CountingEntropy | None = None) -> Consent:
    return Consent(
        store=house.store,
        policies=OrganizationPolicies(store=house.store, settings=house.settings, clock=house.clock),
        codec=house.codec,
        settings=house.settings,
        clock=house.clock,
        entropy=entropy or CountingEntropy(),
    )


async def test_allow_makes_one_pending_grant_of_exactly_what_was_agreed(house: House):
    prompt = build_prompt(sent_redirect_uri=REDIRECT_URI, code_challenge="c" * 43, scope=("all.full_access",))
    entropy = CountingEntropy()
    text = await build_consent(house, entropy).allow(prompt, build_client(), ANN, Answer(organization_id=ACORN))
    assert isinstance(text, str)
    code = house.codec.parse_code(text)
    assert code is not None
    grant = await house.store.find_grant(code.grant_id)
    assert grant is not None
    assert house.codec.verify_code(code, grant.row_secret)
    assert (grant.client_id, grant.user_id, grant.organization_id) == (MAILLOOP, ANN, ACORN)
    assert (grant.scope, grant.redirect_uri, grant.code_challenge) == (("all.full_access",), REDIRECT_URI, "c" * 43)
    assert (grant.status, grant.generation, grant.created_at, grant.expires_at) == ("pending", 0, NOW, NOW + 60)
    assert await house.store.find_grants(user_id=None, organization_id=None) == [grant]
    # T14: 96 random bits in the id and 128 in the row's secret.
    assert entropy.asked == [12, 16]


async def test_allow_twice_makes_two_grants(house: House):
    consent = build_consent(house)
    first, second = [
        await consent.allow(build_prompt(), build_client(), ANN, Answer(organization_id=ACORN)) for _ in range(2)
    ]
    assert first != second
    assert len(await house.store.find_grants(user_id=ANN, organization_id=ACORN)) == 2


async def test_a25_allow_for_an_organization_of_others_makes_no_code(house: House):
    """CVE-2026-33132."""
    await house.store.create_organization(build_organization("orga_other", "Other"))
    for organization_id in ("orga_other", "orga_unknown", ""):
        commit = await build_consent(house).allow(
            build_prompt(), build_client(), ANN, Answer(organization_id=organization_id)
        )
        assert commit is ConsentCommit.MEMBERSHIP_ENDED
    assert await house.store.find_grants(user_id=None, organization_id=None) == []


async def test_a25_allow_after_the_membership_ended_makes_no_code(house: House):
    await house.store.end_membership(user_id=ANN, organization_id=ACORN, now=NOW)
    commit = await build_consent(house).allow(build_prompt(), build_client(), ANN, Answer(organization_id=ACORN))
    assert commit is ConsentCommit.MEMBERSHIP_ENDED


async def test_allow_to_an_app_that_was_withdrawn_makes_no_code(house: House):
    await house.store.create_organization(build_organization("orga_other", "Other"))
    await house.client("oa2client_private", organization_id="orga_other", is_published=False)
    for client_id in ("oa2client_private", "oa2client_unknown"):
        client = build_client(client_id=client_id)
        commit = await build_consent(house).allow(
            build_prompt(client_id=client_id), client, ANN, Answer(organization_id=ACORN)
        )
        assert commit is ConsentCommit.APP_UNAVAILABLE


@pytest.mark.parametrize(
    "is_published, memberships, stranger",
    [
        (True, [], False),
        (True, [build_membership(organization_id="orga_other")], False),
        (False, [], True),
        (False, [build_membership(organization_id="orga_other", role="admin")], True),
        (False, [build_membership()], False),
        (False, [build_membership(organization_id="orga_other"), build_membership()], False),
    ],
)
def test_is_stranger_only_to_another_organizations_private_app(is_published, memberships, stranger):
    assert is_stranger(build_client(is_published=is_published), memberships) is stranger


@pytest.mark.parametrize(
    "changed",
    [
        {"name": "Other"},
        {"description": "Other"},
        {"redirect_uris": ("https://other.example/",)},
        {"scope": ("other",)},
        {"token_endpoint_auth_method": "none"},
        {"terms_uri": "https://other.example/"},
        {"policy_uri": "https://other.example/"},
        {"client_uri": "https://other.example/"},
        {"security": ClientSecurity(requires_pushed_request=True)},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_app_that_changes_in_anything_told_is_another_version(changed: dict[str, Any]):
    assert render_version(build_client(**changed)) != render_version(build_client())


def test_app_whose_secrets_change_is_the_same_version():
    assert render_version(build_client(secrets=(SecretHash(b"x" * 32, 1, "", 0),))) == render_version(build_client())
