"""Consent: one person, one app, one organization, one grant (A25, T14)."""

import os
from typing import Any

import pytest

from latchstring.authorization_server.answers import Answer
from latchstring.authorization_server.authorization_endpoint import AuthorizationPrompt
from latchstring.authorization_server.consent import Consent, is_stranger, render_version
from latchstring.authorization_server.details_types import DetailsType
from latchstring.authorization_server.events import COMMAND_LINE, Action, EventFilter, Origin
from latchstring.authorization_server.organization_policies import OrganizationPolicies
from latchstring.authorization_server.organization_policy import OrganizationPolicy
from latchstring.authorization_server.ports import Commit, ConsentCommit, Entropy
from latchstring.authorization_server.receipts import read_receipt
from latchstring.authorization_server.records import ClientSecurity, SecretHash
from latchstring.authorization_server.settings import ScopeDefinition
from latchstring.protocol.authorization_details import render_authorization_details
from latchstring.protocol.confirmation import Confirmation
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


def build_policies(house: House) -> OrganizationPolicies:
    return OrganizationPolicies(store=house.store, settings=house.settings, clock=house.clock)


def build_consent(house: House, entropy: Entropy | None = None) -> Consent:
    return Consent(
        store=house.store,
        policies=build_policies(house),
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


ORIGIN = Origin("user", ANN, "203.0.113.9", "req_1")


async def give(house: House, kind: str, **prompt: Any) -> Any:
    """What comes of a consent of Ann's for Acorn that is given on the page, or recalled."""
    consent, client = build_consent(house, os.urandom), await house.store.find_client(MAILLOOP)
    assert client is not None
    if kind == "allowed":
        answer = Answer(organization_id=ACORN)
        return await consent.allow(build_prompt(**prompt), client, ANN, answer, authenticated_at=NOW, origin=ORIGIN)
    memberships = await house.store.find_memberships(ANN)
    return await consent.recall(build_prompt(**prompt), client, ANN, memberships, authenticated_at=NOW, origin=ORIGIN)


async def test_consent_is_written_down_by_whom_and_with_a_receipt_that_says_how_it_was_given(house: House):
    for kind in ("allowed", "recalled"):
        code = house.codec.parse_code(await give(house, kind))
        assert code is not None
        receipt = await house.store.find_receipt(code.grant_id)
        assert receipt is not None
        told = read_receipt(receipt)
        assert (told.redirect_host, told.is_remembered) == ("app.example", kind == "recalled")
    wanted = EventFilter(action=Action.GRANT_CREATED)
    found = await house.store.find_events(wanted, before=None, at_most=9)
    assert [each.event.origin for each in found] == [ORIGIN, ORIGIN]


async def test_consent_is_judged_by_the_deployment_s_policy_and_risks_in_the_very_write(house: House):
    """Whether it is given on the page or recalled: by what counts for an organization that has decided nothing, and
    where it has, by how risky the deployment says that a scope is."""
    house.configure(scopes={"all.full_access": ScopeDefinition(risk="low")})
    assert isinstance(await give(house, "allowed"), str)
    strict = OrganizationPolicy(medium="none", high="none")
    assert await build_policies(house).change_policy(ACORN, strict, origin=COMMAND_LINE) is Commit.APPLIED
    for kind in ("allowed", "recalled"):
        assert isinstance(await give(house, kind), str), kind
    house.configure(scopes={"all.full_access": ScopeDefinition(risk="high")})
    assert await give(house, "allowed") is ConsentCommit.BLOCKED
    assert await give(house, "recalled") is None


@pytest.mark.parametrize("kind", ["allowed", "recalled"])
async def test_consent_of_an_organization_without_a_policy_is_held_to_the_deployment_s(house: House, kind: str):
    assert isinstance(await give(house, "allowed"), str)
    house.configure(organization_policy=OrganizationPolicy(low="none", medium="none", high="none"))
    assert await give(house, kind) is (ConsentCommit.BLOCKED if kind == "allowed" else None)


async def test_consent_is_not_recalled_for_a_request_that_admins_have_just_approved(house: House):
    """The member has waited for it, and answers it: so it is used up."""
    assert isinstance(await give(house, "allowed"), str)
    assert isinstance(await give(house, "recalled", organization_id=ACORN), str)
    assert await give(house, "recalled", organization_id=ACORN, access_request_id=bytes(16)) is None


async def test_consent_of_what_a_role_that_was_just_lowered_cannot_give_is_not_recalled(house: House):
    """Between the look at the memberships and the answer: nothing would be left of it."""
    house.configure(scopes={"all.full_access": ScopeDefinition(roles=("admin",))})
    await house.store.add_membership(user_id=ANN, organization_id=ACORN, role="admin", now=NOW)
    assert isinstance(await give(house, "allowed"), str)
    memberships = await house.store.find_memberships(ANN)
    await house.store.add_membership(user_id=ANN, organization_id=ACORN, role="member", now=NOW)
    recalled = build_consent(house, os.urandom).recall(
        build_prompt(), build_client(), ANN, memberships, authenticated_at=NOW, origin=ORIGIN
    )
    assert await recalled is None
    assert len(await house.store.find_grants(user_id=ANN, organization_id=ACORN)) == 1


async def test_allow_of_what_depends_on_a_role_by_no_member_makes_no_code(house: House):
    house.configure(scopes={"all.full_access": ScopeDefinition(roles=("admin", "member"))})
    await house.store.create_organization(build_organization("orga_other", "Other"))
    consent, answer = build_consent(house), Answer(organization_id="orga_other")
    assert await consent.allow(build_prompt(), build_client(), ANN, answer) is ConsentCommit.MEMBERSHIP_ENDED
    await house.store.end_membership(user_id=ANN, organization_id=ACORN, now=NOW)
    assert await give(house, "allowed") is ConsentCommit.MEMBERSHIP_ENDED


async def test_grant_is_bound_to_a_key_where_the_request_names_one_alone(house: House):
    for thumbprint, confirmation in ((None, None), ("t" * 43, Confirmation(jkt="t" * 43))):
        code = house.codec.parse_code(await give(house, "allowed", dpop_jkt=thumbprint))
        assert code is not None
        grant = await house.store.find_grant(code.grant_id)
        assert grant is not None
        assert grant.confirmation == confirmation


async def test_allow_leaves_out_what_the_admins_approved_the_app_without(house: House):
    """Scopes, and types of authorization details."""
    details = [{"type": "payment"}, {"type": "statement"}]
    house.configure(authorization_details_types={each["type"]: DetailsType(title="Yours.") for each in details})
    decided: dict[str, Any] = {
        "scope": ("all.full_access",),
        "left_out": ("authorization_details:payment",),
        "origin": COMMAND_LINE,
    }
    assert await build_policies(house).approve(ACORN, MAILLOOP, **decided) is Commit.APPLIED
    text = await give(house, "allowed", authorization_details=render_authorization_details(details))
    code = house.codec.parse_code(text)
    assert code is not None
    grant = await house.store.find_grant(code.grant_id)
    assert grant is not None
    assert grant.authorization_details == render_authorization_details(details[1:])


@pytest.mark.parametrize("late, is_repeated", [(59, True), (60, False)])
async def test_same_answer_again_gets_the_same_code_for_as_long_as_it_is_good(
    house: House, late: int, is_repeated: bool
):
    consent, grant_id = build_consent(house), bytes(range(16))

    async def allow() -> Any:
        return await consent.allow(
            build_prompt(), build_client(), ANN, Answer(organization_id=ACORN), grant_id=grant_id
        )

    first = await allow()
    house.now += late
    assert await allow() == (first if is_repeated else ConsentCommit.ANSWERED)
    assert len(await house.store.find_grants(user_id=ANN, organization_id=ACORN)) == 1


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
