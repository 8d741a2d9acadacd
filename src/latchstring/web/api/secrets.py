"""The secrets of an app: add, retire, replace."""

from typing import Annotated, Final

import msgspec

from latchstring.authorization_server.api_scopes import APPS_MANAGE
from latchstring.authorization_server.apps import AppRefused
from latchstring.authorization_server.client_secrets import OVERLAP
from latchstring.web.api.apps import find_own_app, refuse_problems
from latchstring.web.api.operation import Call, Nothing, Operation, refuse_conflict, refuse_unknown

_AT: Final = "/apps/{client_id}/secrets"


class NewSecret(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What people call the secret."""

    name: Annotated[str, msgspec.Meta(max_length=80)] = ""


class Retired(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether the secret goes on working for a week."""

    in_a_week: bool = False


class MadeSecret(msgspec.Struct, frozen=True, kw_only=True):
    """The secret. No other answer shows it."""

    client_secret: str


async def add_secret(call: Call, asked: NewSecret) -> MadeSecret:
    """Add a secret. The others live on."""
    client = await find_own_app(call)
    try:
        return MadeSecret(client_secret=await call.services.client_secrets.add(client, asked.name, origin=call.origin))
    except AppRefused as refused:
        raise _refuse(refused) from None


async def retire_secret(call: Call, asked: Retired) -> None:
    """Retire a secret, now or in a week. The last that is there to stay is kept."""
    client = await find_own_app(call)
    after = OVERLAP if asked.in_a_week else 0
    try:
        await call.services.client_secrets.retire(client, call.path["secret_id"], after=after, origin=call.origin)
    except AppRefused as refused:
        raise _refuse(refused) from None


async def replace_secrets(call: Call, asked: Nothing) -> MadeSecret:
    """Put one new secret in place of all others, which are dead when this answers."""
    client = await find_own_app(call)
    secret = await call.services.client_secrets.replace(client, origin=call.origin)
    if secret is None:
        raise refuse_conflict(f"The app has no secret: it authenticates by {client.token_endpoint_auth_method}.")
    return MadeSecret(client_secret=secret)


def _refuse(refused: AppRefused) -> Exception:
    """Of secrets, only a name can be malformed: all else is how things stand."""
    [problem] = refused.problems
    if problem.code == "secret_unknown":
        return refuse_unknown("secret, or it has ended")
    return refuse_problems(refused) if problem.code == "secret_name_too_long" else refuse_conflict(problem.message)


OPERATIONS: Final = (
    Operation("POST", _AT, APPS_MANAGE, add_secret, status=201),
    Operation("POST", f"{_AT}/replace", APPS_MANAGE, replace_secrets),
    Operation("POST", f"{_AT}/{{secret_id}}/retire", APPS_MANAGE, retire_secret),
)
