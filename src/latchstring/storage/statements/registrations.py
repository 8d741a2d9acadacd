"""Clients that registered themselves (RFC 7591), and the tokens that let them."""

from typing import Any, Final

from sqlalchemy import and_, bindparam, delete, insert, null, select, update

from latchstring.storage.schema import client, grant, registration_token
from latchstring.storage.statements.grants import ENDING, define_next
from latchstring.storage.statements.statement import ENDED, ONE, Insert, define, define_insert

_is_not_ended = client.c.ended_at.is_(None)


def _insert_registered(insert: Insert) -> Any:
    return insert(client).values({column.name: bindparam(column.name) for column in client.columns})


# What was registered; the rest of the row is not its client's to say.
_REGISTERED: Final = (
    "name",
    "redirect_uris",
    "scope",
    "grant_types",
    "token_endpoint_auth_method",
    "terms_uri",
    "policy_uri",
    "client_uri",
    "security",
)
# A person has consented: the row stays, as it is where there is one.
KEEP_REGISTERED_CLIENT = define_insert(
    "keep_registered_client",
    lambda insert: (
        _insert_registered(insert)
        .on_conflict_do_update(index_elements=["client_id"], set_={"expires_at": null()}, where=_is_not_ended)
        .returning(client.c.client_id)
    ),
)


def _save_registered(insert: Insert) -> Any:
    statement = _insert_registered(insert)
    registered = {name: statement.excluded[name] for name in _REGISTERED}
    return statement.on_conflict_do_update(
        index_elements=["client_id"], set_=registered, where=_is_not_ended
    ).returning(client.c.client_id)


SAVE_REGISTERED_CLIENT = define_insert("save_registered_client", _save_registered)


def _end_registered(insert: Insert) -> Any:
    statement = _insert_registered(insert)
    ended = {"expires_at": statement.excluded.expires_at, "ended_at": statement.excluded.ended_at}
    return statement.on_conflict_do_update(index_elements=["client_id"], set_=ended, where=_is_not_ended).returning(
        client.c.client_id
    )


END_REGISTERED_CLIENT = define_insert("end_registered_client", _end_registered)
END_NEXT_GRANT_OF_CLIENT = define_next(
    "end_next_grant_of_client",
    and_(grant.c.client_id == bindparam("of_client"), grant.c.status != ENDED),
    ENDING,
)
INSERT_REGISTRATION_TOKEN = define("insert_registration_token", insert(registration_token))
FIND_REGISTRATION_TOKENS = define(
    "find_registration_tokens", select(registration_token).order_by(registration_token.c.created_at.desc())
)
END_REGISTRATION_TOKEN = define(
    "end_registration_token",
    delete(registration_token)
    .where(registration_token.c.hint == bindparam("by_hint"))
    .returning(registration_token.c.hint),
)
_is_usable_token = and_(
    registration_token.c.token_hash == bindparam("by_hash"),
    registration_token.c.expires_at > bindparam("now"),
    registration_token.c.remaining >= ONE,
)
FIND_REGISTRATION_TOKEN = define(
    "find_registration_token", select(registration_token.c.token_hash).where(_is_usable_token)
)
USE_REGISTRATION_TOKEN = define(
    "use_registration_token",
    update(registration_token)
    .where(_is_usable_token)
    .values(remaining=registration_token.c.remaining - ONE)
    .returning(registration_token.c.token_hash),
)
