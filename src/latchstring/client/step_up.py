"""More than was granted: what an API asks for by its challenge, asked of the person (RFC 6750 §3.1, RFC 9470)."""

from typing import Final

import httpx
import msgspec

from latchstring.client.connection import ConnectionKey
from latchstring.client.errors import Misconfigured
from latchstring.client.login import begin
from latchstring.client.settings import Context
from latchstring.client.steps import Flow
from latchstring.client.token_source import find_connection
from latchstring.protocol.challenge import parse_challenges
from latchstring.protocol.scope import is_scope_token

_MAX_STEP_UPS: Final = 2
_MAX_SCOPES: Final = 50
_SOON: Final = 60.0


class StepUp(msgspec.Struct, frozen=True, kw_only=True):
    """What the API wants: more scope, or a sign-in that is fresher (`max_age`, seconds) or stronger (`acr_values`)."""

    scope: tuple[str, ...] = ()
    acr_values: str | None = None
    max_age: int | None = None


def find_step_up(response: httpx.Response) -> StepUp | None:
    """What the answer of an API asks for beyond the token that it got; None where it asks for nothing of the kind."""
    if response.status_code not in {401, 403}:
        return None
    for challenge in parse_challenges(response.headers.get_list("WWW-Authenticate")):
        error = challenge.parameters.get("error")
        scope = tuple(word for word in challenge.parameters.get("scope", "").split() if is_scope_token(word))
        if error == "insufficient_scope" and scope:
            return StepUp(scope=scope[:_MAX_SCOPES])
        if error == "insufficient_user_authentication":
            age = challenge.parameters.get("max_age", "")
            return StepUp(
                scope=scope[:_MAX_SCOPES],
                acr_values=challenge.parameters.get("acr_values"),
                max_age=int(age[:9]) if age.isascii() and age.isdigit() else None,
            )
    return None


def begin_step_up(context: Context, key: ConnectionKey, step_up: StepUp, *, browser_session: str) -> Flow[str]:
    """The URL to send the browser to: for what the connection has and what the API wants besides, in the same
    organization. Refuses to ask a third time for what was asked for twice (`step_up_refused`); a sign-in grows old by
    itself, so it was asked for in vain only where the API wants it again at once."""
    connection = yield from find_connection(context, key)
    held = connection.scope.split()
    wanted = " ".join(dict.fromkeys([*held, *step_up.scope]))
    is_repeated = connection.step_ups > 0 and set((connection.asked_scope or "").split()) == set(wanted.split())
    if step_up.max_age is not None or step_up.acr_values is not None:
        soon = _SOON if step_up.max_age is None else min(_SOON, step_up.max_age)
        is_repeated = is_repeated and context.clock() - connection.connected_at < soon
    if is_repeated and connection.step_ups >= _MAX_STEP_UPS:
        raise Misconfigured("step_up_refused", "The person was asked for this before, and the API still wants it.")
    parameters = {
        "acr_values": step_up.acr_values,
        "max_age": None if step_up.max_age is None else str(step_up.max_age),
    }
    return (
        yield from begin(
            context,
            browser_session=browser_session,
            organization_id=connection.organization_id or None,
            parameters={name: value for name, value in parameters.items() if value is not None},
            scope=wanted,
            step_ups=connection.step_ups + 1 if is_repeated else 1,
        )
    )
