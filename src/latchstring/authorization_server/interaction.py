"""What a person has to do before they are asked: nothing, sign in, or say which account (OpenID Connect Core
§3.1.2.3)."""

from enum import Enum
from typing import Final, Literal

import msgspec

from latchstring.authorization_server.authorization_endpoint import AuthorizationPrompt
from latchstring.authorization_server.settings import Settings
from latchstring.protocol.authentication_context import meets
from latchstring.protocol.authorization_request import LOGIN, NONE, SELECT_ACCOUNT
from latchstring.protocol.errors import OAuthError

VISIT_LIFETIME: Final = 3600
Step = Literal["arrived", "must_sign_in", "signed_in", "selected"]


class Visit(msgspec.Struct, frozen=True):
    """One browser's way through one request: when it came with it, whether the client had signed or pushed it, and what
    the person has done for its sake since."""

    arrived_at: int
    step: Step = "arrived"
    is_signed: bool = False
    is_pushed: bool = False

    def at(self, step: Step) -> "Visit":
        """The same way, a step further or back."""
        return msgspec.structs.replace(self, step=step)

    def is_over(self, now: int) -> bool:
        """Whether the way took so long that it begins anew."""
        return now - self.arrived_at > VISIT_LIFETIME


class Interaction(Enum):
    """What comes before the question."""

    NOTHING = "nothing"
    SIGN_IN = "sign_in"
    SELECT_ACCOUNT = "select_account"


def decide(
    prompt: AuthorizationPrompt, visit: Visit, authenticated_at: int | None, now: int, acr: str | None = None
) -> Interaction:
    """What the person does next. `authenticated_at` is when they signed in, None where nobody is; `acr` is how.

    A sign-in for the sake of this very request is as fresh as can be: so `max_age=0` and `prompt=login` do not loop,
    and no other sign-in passes for one. Fresh is not strong: what `acr_values` asks for is held by itself, and of the
    same sign-in (GHSA-hp74-gm6m-2qm5).
    """
    is_fresh = authenticated_at is not None and (visit.step == "signed_in" or _is_recent(prompt, authenticated_at, now))
    will_do = is_fresh and meets(acr, prompt.acr_values)
    if NONE in prompt.prompts and not will_do:
        raise OAuthError("login_required", "The member has to sign in, and prompt=none forbids to ask.")
    if not will_do:
        return Interaction.SIGN_IN
    if SELECT_ACCOUNT in prompt.prompts and visit.step not in {"signed_in", "selected"}:
        return Interaction.SELECT_ACCOUNT
    return Interaction.NOTHING


def _is_recent(prompt: AuthorizationPrompt, authenticated_at: int, now: int) -> bool:
    if LOGIN in prompt.prompts or prompt.max_age == 0:
        return False
    return prompt.max_age is None or now - authenticated_at <= prompt.max_age


def must_step_up(
    prompt: AuthorizationPrompt, visit: Visit, authenticated_at: int, now: int, settings: Settings
) -> bool:
    """Whether the person shows once more that it is they before they are asked for something of high risk: a browser
    left open for a day gives nothing of the kind away."""
    age = settings.high_risk_sign_in_lifetime
    if age is None or visit.step == "signed_in" or now - authenticated_at <= age:
        return False
    return any(name in settings.scopes and settings.scopes[name].risk == "high" for name in prompt.scope)


def refuse_silence(*, is_welcome: bool) -> OAuthError:
    """Why `prompt=none` gets no code from a member who is signed in and has not agreed to just that before (OpenID
    Connect Core §3.1.2.6). `is_welcome` says whether the member could consent at all."""
    if not is_welcome:
        return OAuthError("interaction_required", "The member cannot connect this app without being told more.")
    return OAuthError("consent_required", "The member has to consent, and prompt=none forbids to ask.")
