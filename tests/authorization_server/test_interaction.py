"""What a person has to do before they are asked (OpenID Connect Core §3.1.2.1, §3.1.2.3; O1–O3)."""

import msgspec
import pytest

from latchstring.authorization_server.authorization_endpoint import AuthorizationPrompt
from latchstring.authorization_server.interaction import Interaction, Visit, decide, must_step_up, refuse_silence
from latchstring.authorization_server.settings import ScopeDefinition, Settings
from latchstring.protocol.authorization_request import parse_login_hint, parse_max_age, parse_prompt
from latchstring.protocol.errors import OAuthError
from tests.authorization_server.builders import MAILLOOP, NOW, REDIRECT_URI

NOTHING, SIGN_IN, SELECT = Interaction.NOTHING, Interaction.SIGN_IN, Interaction.SELECT_ACCOUNT


def build(prompts: str = "", max_age: int | None = None, acr_values: tuple[str, ...] = ()) -> AuthorizationPrompt:
    return AuthorizationPrompt(
        client_id=MAILLOOP,
        redirect_uri=REDIRECT_URI,
        sent_redirect_uri=None,
        state=None,
        scope=("all.full_access",),
        code_challenge=None,
        organization_id=None,
        prompts=tuple(prompts.split()),
        max_age=max_age,
        acr_values=acr_values,
    )


@pytest.mark.parametrize(
    "prompt, step, age, expected",
    [
        pytest.param(build(), "arrived", None, SIGN_IN, id="nobody"),
        pytest.param(build(), "arrived", 6 * 24 * 3600, NOTHING, id="signed-in-long-ago"),
        pytest.param(build("consent"), "arrived", 5, NOTHING, id="consent-is-always-asked-for"),
        pytest.param(build("login"), "arrived", 0, SIGN_IN, id="O3-login"),
        pytest.param(build("login"), "must_sign_in", 0, SIGN_IN, id="O3-login-not-done-yet"),
        pytest.param(build("login"), "selected", 0, SIGN_IN, id="O3-login-is-not-selecting"),
        pytest.param(build("login"), "signed_in", 0, NOTHING, id="O3-login-done"),
        pytest.param(build("login"), "signed_in", None, SIGN_IN, id="O3-signed-out-since"),
        pytest.param(build("login consent select_account"), "signed_in", 0, NOTHING, id="O3-all-done-by-one-sign-in"),
        pytest.param(build(max_age=600), "arrived", 600, NOTHING, id="O2-young-enough"),
        pytest.param(build(max_age=600), "arrived", 601, SIGN_IN, id="O2-too-old"),
        pytest.param(build(max_age=600), "selected", 601, SIGN_IN, id="O2-too-old-though-selected"),
        pytest.param(build(max_age=600), "signed_in", 601, NOTHING, id="O2-signed-in-for-this-request"),
        pytest.param(build(max_age=0), "arrived", 0, SIGN_IN, id="O2-zero"),
        pytest.param(build(max_age=0), "signed_in", 0, NOTHING, id="O2-zero-does-not-loop"),
        pytest.param(build("select_account"), "arrived", 5, SELECT, id="select"),
        pytest.param(build("select_account"), "must_sign_in", 5, SELECT, id="select-not-done-yet"),
        pytest.param(build("select_account"), "selected", 5, NOTHING, id="selected"),
        pytest.param(build("select_account"), "signed_in", 5, NOTHING, id="selected-by-signing-in"),
        pytest.param(build("select_account"), "arrived", None, SIGN_IN, id="select-of-nobody"),
        pytest.param(build("none"), "arrived", 5, NOTHING, id="O1-none"),
        pytest.param(build("none", 600), "arrived", 600, NOTHING, id="O1-none-young-enough"),
    ],
)
def test_decide_says_what_comes_before_the_question(prompt, step, age, expected):
    authenticated_at = None if age is None else NOW - age
    assert decide(prompt, Visit(NOW, step), authenticated_at, NOW) is expected


@pytest.mark.parametrize("prompt, age", [(build("none"), None), (build("none", 600), 601), (build("none", 0), 0)])
def test_o1_decide_with_prompt_none_never_asks_to_sign_in(prompt, age):
    with pytest.raises(OAuthError) as refused:
        decide(prompt, Visit(NOW), None if age is None else NOW - age, NOW)
    assert refused.value.code == "login_required"


@pytest.mark.parametrize(
    "prompt, step, age, acr, expected",
    [
        pytest.param(build(acr_values=("mfa",)), "arrived", 9, "mfa", NOTHING, id="as-asked"),
        pytest.param(build(acr_values=("mfa",)), "arrived", 9, "phr", NOTHING, id="stronger"),
        pytest.param(build(acr_values=("phr", "pwd")), "arrived", 9, "pwd", NOTHING, id="one-of-them"),
        pytest.param(build(acr_values=("mfa",)), "arrived", 9, "pwd", SIGN_IN, id="weaker"),
        pytest.param(build(acr_values=("pwd",)), "arrived", 9, None, SIGN_IN, id="unknown"),
        pytest.param(build(acr_values=("mfa",)), "arrived", None, None, SIGN_IN, id="nobody"),
        pytest.param(build(acr_values=("mfa",)), "signed_in", 0, "pwd", SIGN_IN, id="GHSA-hp74-weak-login-just-now"),
        pytest.param(build("login", 0, ("phr",)), "signed_in", 0, "mfa", SIGN_IN, id="GHSA-hp74-fresh-and-weak"),
        pytest.param(build("login", 0, ("phr",)), "signed_in", 0, "phr", NOTHING, id="fresh-and-strong"),
        pytest.param(build("", 60, ("phr",)), "arrived", 61, "phr", SIGN_IN, id="strong-and-too-old"),
        pytest.param(build("", 60, ("phr",)), "arrived", 60, "phr", NOTHING, id="strong-and-young-enough"),
        pytest.param(build("select_account", None, ("mfa",)), "selected", 9, "pwd", SIGN_IN, id="selected-and-weak"),
    ],
)
def test_o2_decide_holds_strength_and_moment_of_one_sign_in(prompt, step, age, acr, expected):
    authenticated_at = None if age is None else NOW - age
    assert decide(prompt, Visit(NOW, step), authenticated_at, NOW, acr) is expected


@pytest.mark.parametrize("acr", [None, "pwd"])
def test_o2_decide_with_prompt_none_never_asks_for_a_stronger_sign_in(acr):
    with pytest.raises(OAuthError) as refused:
        decide(build("none", None, ("mfa",)), Visit(NOW), NOW, NOW, acr)
    assert refused.value.code == "login_required"


def test_o1_silence_is_refused_whoever_is_signed_in():
    assert refuse_silence(is_welcome=True).code == "consent_required"
    assert refuse_silence(is_welcome=False).code == "interaction_required"


def test_visit_is_over_after_an_hour():
    assert not Visit(NOW).is_over(NOW + 3600)
    assert Visit(NOW).is_over(NOW + 3601)


@pytest.mark.parametrize(
    "text, prompts",
    [
        (None, ()),
        ("none", ("none",)),
        ("login consent", ("login", "consent")),
        ("consent consent select_account", ("consent", "select_account")),
    ],
)
def test_parse_prompt_takes_each_value_once(text, prompts):
    assert parse_prompt(text) == prompts


@pytest.mark.parametrize(
    "text", ["none login", "consent none", "create", "Login", "login  consent", " login", "login\t"]
)
def test_parse_prompt_of_another_value_or_of_none_with_another_is_refused(text):
    with pytest.raises(OAuthError) as refused:
        parse_prompt(text)
    assert refused.value.code == "invalid_request"


def test_parse_max_age_is_seconds():
    assert (parse_max_age(None), parse_max_age("0"), parse_max_age("9999999999")) == (None, 0, 9999999999)


@pytest.mark.parametrize("text", ["-1", "1.5", "x", " 1", "1 ", "1e3", "٣", "²", "1" * 11])
def test_parse_max_age_of_anything_else_is_refused(text):
    with pytest.raises(OAuthError) as refused:
        parse_max_age(text)
    assert refused.value.code == "invalid_request"


@pytest.mark.parametrize(
    "text, hint", [(None, None), ("ann@example.com", "ann@example.com"), ("a\nb", None), ("a" * 321, None)]
)
def test_parse_login_hint_keeps_what_can_stand_in_a_form(text, hint):
    assert parse_login_hint(text) == hint


RISKS = {"read": ScopeDefinition(risk="low"), "delete": ScopeDefinition(risk="high")}


@pytest.mark.parametrize(
    "scope, step, age, lifetime, expected",
    [
        pytest.param(("delete",), "arrived", 601, 600, True, id="too-long-ago"),
        pytest.param(("read", "delete"), "selected", 601, 600, True, id="one-of-them"),
        pytest.param(("delete",), "arrived", 600, 600, False, id="young-enough"),
        pytest.param(("delete",), "signed_in", 601, 600, False, id="signed-in-for-this-request"),
        pytest.param(("delete",), "arrived", 10**9, None, False, id="never-asked-for"),
        pytest.param(("read", "offline_access"), "arrived", 601, 600, False, id="nothing-of-high-risk"),
        pytest.param(("unknown",), "arrived", 601, 600, False, id="not-declared"),
    ],
)
def test_must_step_up_for_what_is_of_high_risk_after_a_while(scope, step, age, lifetime, expected):
    settings = Settings(issuer="https://auth.example", scopes=RISKS, high_risk_sign_in_lifetime=lifetime)
    prompt = msgspec.structs.replace(build(), scope=scope)
    assert must_step_up(prompt, Visit(NOW, step), NOW - age, NOW, settings) is expected
