"""The authorization code grant's rule: what is proven, in which order, before anything is consumed (RFC 6749 §4.1.3,
RFC 7636 §4.6, OAuth 2.1 §7.5.2)."""

import itertools
from typing import Any

import pytest

from latchstring.authorization_server.grants.authorization_code import EndReplayed, Redeem, decide
from latchstring.authorization_server.records import GrantRecord
from latchstring.protocol.confirmation import Confirmation
from latchstring.protocol.errors import OAuthError
from latchstring.protocol.pkce import code_challenge
from latchstring.protocol.token_request import TokenRequest
from tests.authorization_server.builders import (
    GRANT_ID,
    KEY_TWO,
    NOW,
    REDIRECT_URI,
    ROW_SECRET,
    build_active_grant,
    build_client,
    build_codec,
    build_grant,
)

CODEC = build_codec()
VERIFIER = "v" * 43
CHALLENGE = code_challenge(VERIFIER)


def redeem(
    grant: GrantRecord | None,
    *,
    now: int = NOW,
    code: str | None = None,
    client: Any = None,
    confirmation: Confirmation | None = None,
    **request: Any,
):
    """The decision for a request with that code (the grant's own unless given)."""
    parsed = CODEC.parse_code(code or CODEC.render_code(GRANT_ID, ROW_SECRET))
    assert parsed is not None
    return decide(
        TokenRequest(grant_type="authorization_code", **request),
        client or build_client(),
        parsed,
        grant,
        CODEC,
        now,
        confirmation,
    )


def refuse(grant: GrantRecord | None, **given: Any) -> OAuthError:
    with pytest.raises(OAuthError) as refused:
        redeem(grant, **given)
    return refused.value


@pytest.mark.parametrize(
    "scope, generation",
    [
        (("all.full_access", "offline_access"), 1),
        (("all.full_access",), 0),
        (("offline_access", "a"), 1),
        (("offline_access.not",), 0),
    ],
)
def test_decide_valid_code_is_redeemed_with_a_refresh_token_only_for_offline_access(scope, generation):
    assert redeem(build_grant(scope=scope)) == Redeem(generation)


# -- possession


def test_decide_code_bound_to_a_key_needs_it():
    """RFC 9449 §10: `dpop_jkt` of the request."""
    grant = build_grant(confirmation=Confirmation(jkt="a"))
    assert redeem(grant, confirmation=Confirmation(jkt="a")) == Redeem(1)
    assert refuse(grant).code == "invalid_request"
    assert refuse(grant, confirmation=Confirmation(jkt="b")).code == "invalid_grant"


def test_decide_unknown_grant_is_invalid_grant():
    assert refuse(None).code == "invalid_grant"


@pytest.mark.parametrize(
    "code",
    [
        pytest.param(CODEC.render_code(GRANT_ID, bytes(16)), id="other-row-secret"),
        pytest.param(build_codec(KEY_TWO).render_code(GRANT_ID, ROW_SECRET), id="other-key"),
    ],
)
def test_decide_code_with_a_wrong_mac_is_invalid_grant(code):
    assert refuse(build_grant(), code=code).code == "invalid_grant"


def test_c5_decide_code_of_another_client_is_invalid_grant_like_an_unknown_one():
    """CVE-2026-28513, CVE-2026-55672: and nothing tells the thief that the code is live."""
    stolen = refuse(build_grant(client_id="oa2client_other"))
    unknown = refuse(None)
    assert (stolen.code, stolen.description) == (unknown.code, unknown.description)
    assert stolen.reason == "the code belongs to another client"
    assert unknown.reason == "no such grant"


@pytest.mark.parametrize(
    "verifier, code",
    [
        pytest.param(VERIFIER, None, id="right"),
        pytest.param(None, "invalid_grant", id="C7-missing CVE-2023-48228"),
        pytest.param("w" * 43, "invalid_grant", id="C7-wrong"),
        pytest.param(VERIFIER.upper(), "invalid_grant", id="C7-other-case"),
        pytest.param(CHALLENGE, "invalid_grant", id="A12-plain"),
        pytest.param("v" * 42, "invalid_grant", id="C9-short"),
        pytest.param("v" * 129, "invalid_grant", id="C9-long"),
        pytest.param("v" * 42 + "ü", "invalid_grant", id="C9-alphabet"),
        pytest.param("", "invalid_grant", id="C9-empty"),
    ],
)
def test_c7_decide_challenged_code_needs_its_verifier(verifier, code):
    grant = build_grant(code_challenge=CHALLENGE)
    if code is None:
        assert isinstance(redeem(grant, code_verifier=verifier), Redeem)
    else:
        assert refuse(grant, code_verifier=verifier).code == code


def test_c8_decide_verifier_without_a_challenge_is_invalid_request():
    """PKCE downgrade: CVE-2024-23647, CVE-2024-22258."""
    assert refuse(build_grant(), code_verifier=VERIFIER).code == "invalid_request"


@pytest.mark.parametrize(
    "sent_then, sent_now, challenge, is_redeemed",
    [
        pytest.param(REDIRECT_URI, REDIRECT_URI, None, True, id="same"),
        pytest.param(REDIRECT_URI, REDIRECT_URI, CHALLENGE, True, id="same-with-pkce"),
        pytest.param(REDIRECT_URI, "https://evil.example/", None, False, id="C10-different"),
        pytest.param(REDIRECT_URI, "https://evil.example/", CHALLENGE, False, id="C10-different-with-pkce"),
        pytest.param(REDIRECT_URI, REDIRECT_URI + "/", None, False, id="C10-almost"),
        pytest.param(REDIRECT_URI, None, None, False, id="C10-missing"),
        pytest.param(REDIRECT_URI, None, CHALLENGE, True, id="C10-missing-with-pkce-2.1"),
        pytest.param(None, None, None, True, id="never-sent"),
        pytest.param(None, REDIRECT_URI, None, True, id="sent-only-now"),
    ],
)
def test_c10_decide_redirect_uri_is_repeated_as_it_was_sent(sent_then, sent_now, challenge, is_redeemed):
    grant = build_grant(redirect_uri=sent_then, code_challenge=challenge)
    request = {"redirect_uri": sent_now, "code_verifier": None if challenge is None else VERIFIER}
    if is_redeemed:
        assert isinstance(redeem(grant, **request), Redeem)
    else:
        assert refuse(grant, **request).code == "invalid_grant"


# -- time and state


@pytest.mark.parametrize("now, is_redeemed", [(NOW - 100, True), (NOW, True), (NOW + 59, True), (NOW + 60, False)])
def test_c6_decide_code_lives_until_the_second_it_expires(now, is_redeemed):
    grant = build_grant(expires_at=NOW + 60)
    if is_redeemed:
        assert isinstance(redeem(grant, now=now), Redeem)
    else:
        refused = refuse(grant, now=now)
        assert refused.code == "invalid_grant"
        assert refused.description.startswith("expired:")


def test_c2_decide_second_redemption_with_everything_right_ends_the_grant():
    grant = build_active_grant(code_challenge=CHALLENGE, redirect_uri=REDIRECT_URI)
    assert redeem(grant, code_verifier=VERIFIER, redirect_uri=REDIRECT_URI) == EndReplayed()
    assert redeem(grant, code_verifier=VERIFIER, redirect_uri=REDIRECT_URI, now=NOW + 10**6) == EndReplayed()


@pytest.mark.parametrize(
    "given",
    [
        pytest.param({"code_verifier": "w" * 43}, id="wrong-verifier"),
        pytest.param({}, id="no-verifier"),
        pytest.param({"code_verifier": VERIFIER, "redirect_uri": "https://evil.example/"}, id="wrong-redirect-uri"),
        pytest.param({"code_verifier": VERIFIER, "client": build_client(client_id="other")}, id="other-client"),
        pytest.param(
            {"code_verifier": VERIFIER, "code": CODEC.render_code(GRANT_ID, bytes(16))}, id="code-with-wrong-mac"
        ),
    ],
)
def test_c3_decide_replay_that_is_not_otherwise_valid_leaves_the_grant_alone(given):
    """OAuth 2.1 §7.5.2: a thief of the bare code must not be able to end the owner's tokens."""
    grant = build_active_grant(code_challenge=CHALLENGE, redirect_uri=REDIRECT_URI)
    assert refuse(grant, **given).code == "invalid_grant"


@pytest.mark.parametrize(
    "reason, word",
    [
        ("authorization_code_replayed", "superseded:"),
        ("refresh_token_reuse", "superseded:"),
        ("membership_ended", "membership_ended:"),
        ("revoked_by_client", "revoked:"),
        ("disconnected", "revoked:"),
        ("ended_by_operator", "revoked:"),
        ("some_later_reason", "revoked:"),
        (None, "revoked:"),
    ],
)
@pytest.mark.parametrize("activated_at", [None, NOW], ids=["never-redeemed", "redeemed"])
def test_c13_decide_ended_grant_is_refused_with_its_reason(reason, word, activated_at):
    refused = refuse(build_grant(status="ended", ended_reason=reason, activated_at=activated_at, ended_at=NOW))
    assert refused.code == "invalid_grant"
    assert refused.description.startswith(word)
    assert "connect again" in refused.description


def test_c13_decide_suspended_grant_is_refused_as_membership_ended():
    refused = refuse(build_active_grant(status="suspended"))
    assert (refused.code, refused.description.split(":")[0]) == ("invalid_grant", "membership_ended")


# -- order


FAULTS: dict[str, dict[str, Any]] = {
    "mac": {"code": CODEC.render_code(GRANT_ID, bytes(16))},
    "client": {"client": build_client(client_id="other")},
    "redirect_uri": {"redirect_uri": "https://evil.example/"},
    "code_verifier": {"code_verifier": "w" * 43},
    "expired": {"now": NOW + 10**6},
}
WORDS = {
    "mac": "unknown",
    "client": "unknown",
    "redirect_uri": "redirect_uri",
    "code_verifier": "code_verifier",
    "expired": "expired",
}


@pytest.mark.parametrize("first, second", list(itertools.combinations(FAULTS, 2)))
def test_decide_of_two_faults_names_the_one_nearer_to_possession(first, second):
    """Prove possession first, look at state last: the order of FAULTS."""
    grant = build_grant(redirect_uri=REDIRECT_URI, code_challenge=CHALLENGE)
    given = {"redirect_uri": REDIRECT_URI, "code_verifier": VERIFIER, **FAULTS[second], **FAULTS[first]}
    assert WORDS[first] in refuse(grant, **given).description
