"""The token exchange's rule (RFC 8693; X3, X5)."""

from typing import Any

import pytest

from latchstring.authorization_server.grants.token_exchange import MAX_EXCHANGES, Exchange, Presented, decide
from latchstring.authorization_server.tokens import Actor, TokenFacts
from latchstring.protocol.confirmation import Confirmation
from latchstring.protocol.errors import OAuthError
from latchstring.protocol.token_request import TokenRequest
from tests.authorization_server.builders import ACORN, ANN, MAILLOOP, build_client

API = "https://api.example/"
OTHER = "https://billing.example/"
GATEWAY = "oa2client_000000000000000Gateway"
KEY = Confirmation(jkt="kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k")
CERTIFICATE = Confirmation(x5t_s256="bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2")
BOTH = Confirmation(jkt=KEY.jkt, x5t_s256=CERTIFICATE.x5t_s256)
SCOPE = ("a.read", "b.write", "offline_access")


def build_subject(**given: Any) -> Presented:
    values: dict[str, Any] = {
        "token_id": b"\x01" * 12,
        "client_id": MAILLOOP,
        "sub": ANN,
        "organization_id": ACORN,
        "scope": "a.read b.write c.read offline_access",
        "resource": (),
        "facts": TokenFacts(),
    }
    return Presented(**{**values, **given})


def exchange(
    subject: Presented | None = None,
    actor: Presented | None = None,
    *,
    client: str = GATEWAY,
    acts_for: str | None = API,
    confirmation: Confirmation | None = None,
    **request: Any,
) -> Exchange:
    own = build_client(client_id=client, scope=SCOPE, acts_for_resource=acts_for)
    return decide(TokenRequest(grant_type="x", **request), own, subject or build_subject(), actor, confirmation)


def refuse(*tokens: Presented, **given: Any) -> str:
    with pytest.raises(OAuthError) as refused:
        exchange(*tokens, **given)
    return refused.value.code


def test_x5_decide_the_api_s_client_acts_for_the_member():
    assert exchange() == Exchange(
        ("a.read", "b.write"),
        TokenFacts(actor=Actor(GATEWAY), client_id=GATEWAY, ancestors=(b"\x01" * 12,)),
    )


def test_decide_own_token_narrowed_names_no_actor():
    facts = exchange(client=MAILLOOP, acts_for=None, scope="a.read").facts
    assert facts == TokenFacts(client_id=MAILLOOP, ancestors=(b"\x01" * 12,))


@pytest.mark.parametrize("client, expected", [(MAILLOOP, Actor("x")), (GATEWAY, Actor(GATEWAY, Actor("x")))])
def test_x5_decide_who_acted_before_is_never_dropped(client, expected):
    subject = build_subject(facts=TokenFacts(actor=Actor("x"), ancestors=(b"\x00" * 12,)))
    facts = exchange(subject, client=client).facts
    assert (facts.actor, facts.ancestors) == (expected, (b"\x00" * 12, b"\x01" * 12))


def test_x5_decide_actor_token_s_subject_stands_before_who_acted():
    subject = build_subject(facts=TokenFacts(actor=Actor("x")))
    bob = build_subject(token_id=b"\x02" * 12, sub="user_Bob")
    assert exchange(subject, bob).facts.actor == Actor("user_Bob", Actor("x"))


def test_decide_authorization_details_go_along():
    subject = build_subject(facts=TokenFacts(authorization_details="[]"))
    assert exchange(subject).facts.authorization_details == "[]"


@pytest.mark.parametrize(
    "resource, acts_for",
    [
        pytest.param((), None, id="acts-for-no-api"),
        pytest.param((OTHER,), API, id="for-another-api"),
        pytest.param((OTHER,), None, id="neither"),
    ],
)
@pytest.mark.parametrize("is_actor", [False, True])
def test_x3_decide_token_not_meant_for_the_client_is_invalid_request(resource, acts_for, is_actor):
    stranger = build_subject(resource=resource)
    tokens = (build_subject(client_id=GATEWAY), stranger) if is_actor else (stranger,)
    assert refuse(*tokens, acts_for=acts_for) == "invalid_request"


def test_decide_api_among_others_may_exchange():
    assert exchange(build_subject(resource=(OTHER, API))).facts.client_id == GATEWAY


@pytest.mark.parametrize("organization_id", [None, ACORN])
def test_x3_decide_same_organization_is_kept(organization_id):
    assert exchange(organization_id=organization_id).scope


def test_x3_decide_other_organization_is_invalid_request():
    """CVE-2026-9094."""
    assert refuse(organization_id="orga_other") == "invalid_request"
    assert refuse(build_subject(), build_subject(organization_id="orga_other")) == "invalid_request"


def test_x5_decide_actor_for_whom_another_acts_is_refused_rather_than_cut():
    assert refuse(build_subject(), build_subject(facts=TokenFacts(actor=Actor("x")))) == "invalid_request"


def test_decide_chain_is_bounded():
    def passed_on(times: int) -> Presented:
        return build_subject(facts=TokenFacts(ancestors=(b"\x00" * 12,) * times))

    assert len(exchange(passed_on(MAX_EXCHANGES - 1)).facts.ancestors) == MAX_EXCHANGES
    assert refuse(passed_on(MAX_EXCHANGES)) == "invalid_request"


@pytest.mark.parametrize("proved", [None, CERTIFICATE, Confirmation(jkt="other")])
@pytest.mark.parametrize("is_actor", [False, True])
def test_decide_bound_token_without_proof_by_its_key_is_refused(proved, is_actor):
    """RFC 9449 §5, RFC 8705 §3: who stole it cannot trade it for one that is not bound."""
    bound = build_subject(facts=TokenFacts(confirmation=KEY))
    tokens = (build_subject(), bound) if is_actor else (bound,)
    assert refuse(*tokens, confirmation=proved) == "invalid_request"


@pytest.mark.parametrize(
    "of_subject, proved", [(None, KEY), (KEY, KEY), (KEY, BOTH), (CERTIFICATE, BOTH), (BOTH, BOTH)]
)
def test_decide_new_token_is_bound_to_all_that_the_caller_proved(of_subject, proved):
    subject = build_subject(facts=TokenFacts(confirmation=of_subject))
    assert exchange(subject, confirmation=proved).facts.confirmation == proved


@pytest.mark.parametrize("proved", [KEY, CERTIFICATE])
def test_decide_token_bound_to_two_keys_needs_proof_by_both(proved):
    assert refuse(build_subject(facts=TokenFacts(confirmation=BOTH)), confirmation=proved) == "invalid_request"


def test_decide_unbound_stays_unbound():
    assert exchange().facts.confirmation is None


@pytest.mark.parametrize("scope, granted", [(None, ("a.read", "b.write")), ("b.write", ("b.write",))])
def test_x5_decide_scope_is_what_subject_and_client_share(scope, granted):
    assert exchange(scope=scope).scope == granted


@pytest.mark.parametrize("scope", ["c.read", "d.read", "offline_access", "a.read offline_access", 'a"', ""])
def test_x5_decide_wider_scope_is_invalid_scope(scope):
    assert refuse(scope=scope) == "invalid_scope"


def test_decide_nothing_in_common_is_invalid_scope():
    assert refuse(build_subject(scope="c.read offline_access")) == "invalid_scope"


@pytest.mark.parametrize("which", ["subject_token", "actor_token"])
@pytest.mark.parametrize(
    "changed, words",
    [
        ({"client_id": "oa2client_other", "resource": (OTHER,)}, "was not meant for this client"),
        ({"facts": TokenFacts(confirmation=KEY)}, "is bound to a key that this request does not prove"),
    ],
)
def test_decide_unusable_token_is_named_in_the_refusal(which, changed, words):
    """X3: and an actor's token needs its key as much as a subject's."""
    tokens = {"subject_token": build_subject(), "actor_token": build_subject(sub=GATEWAY, client_id=GATEWAY)}
    tokens[which] = build_subject(**changed)
    with pytest.raises(OAuthError) as refused:
        exchange(*tokens.values())
    assert refused.value.description == f"{which} {words}."


def test_decide_actor_token_with_its_key_proved_is_good():
    actor = build_subject(sub="x", client_id=GATEWAY, facts=TokenFacts(confirmation=KEY))
    assert exchange(build_subject(), actor, confirmation=KEY).facts.actor == Actor("x")
