"""Every statement, once for every engine; each is compiled for its engine's dialect when the engine starts.

The conditions in the hot ones are the rules themselves: a write that no longer holds returns no row, and its
caller is told that it lost.
"""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Select,
    String,
    Table,
    and_,
    bindparam,
    case,
    cast,
    column,
    delete,
    exists,
    extract,
    false,
    func,
    insert,
    literal_column,
    null,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Dialect
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.expression import ClauseElement
from sqlalchemy.sql.type_api import TypeEngine

from latchstring.storage.schema import (
    client,
    client_approval,
    client_secret_use,
    device_authorization,
    grant,
    membership,
    organization,
    pushed_request,
    registration_token,
    resource_server,
    revoked_access_token,
    session,
    signing_key,
    sweep,
    used_once,
    user,
    user_code_guess,
)

Parameters = Mapping[str, Any]


Insert = Any
"""The dialect's `insert()`: the generic one has no `ON CONFLICT`, though it reads the same in both."""


Parameter = Callable[[str], ColumnElement[Any]]
"""Where a parameter's value comes from: a bind of its own, or a column of many at once."""


class Batch:
    """The form of a statement that does the work of many callers: each row it returns begins with the `key`
    of the one whose work it was. A batch holds a key at most once."""

    __slots__ = ("build", "is_read", "key", "types")

    def __init__(
        self, key: str, types: Mapping[str, TypeEngine[Any]], build: Callable[[Parameter], Any], *, is_read: bool
    ) -> None:
        self.key = key
        self.is_read = is_read
        self.types = types
        self.build = build


class Statement:
    """One statement under a name; engines key their compiled SQL by the object itself."""

    __slots__ = ("batch", "build", "name")

    def __init__(self, name: str, build: Callable[[Insert], ClauseElement], batch: Batch | None = None) -> None:
        self.name = name
        self.build = build
        self.batch = batch

    def __repr__(self) -> str:
        return f"Statement({self.name})"


ALL: Final[list[Statement]] = []


def _define_insert(name: str, build: Callable[[Insert], ClauseElement]) -> Statement:
    statement = Statement(name, build)
    ALL.append(statement)
    return statement


def _define(name: str, executable: ClauseElement) -> Statement:
    return _define_insert(name, lambda _: executable)


def _define_hot(
    name: str, key: str, types: Mapping[str, TypeEngine[Any]], build: Callable[[Parameter], Any]
) -> Statement:
    """A statement on one row by its primary key, for one caller or for many."""
    executable: ClauseElement = build(lambda parameter: bindparam(parameter, type_=types[parameter]))
    statement = Statement(name, lambda _: executable, Batch(key, types, build, is_read=isinstance(executable, Select)))
    ALL.append(statement)
    return statement


def _define_rebinding(
    name: str,
    types: Mapping[str, TypeEngine[Any]],
    build: Callable[[Parameter, Mapping[str, ColumnElement[Any]]], Any],
) -> tuple[Statement, Statement]:
    """A hot statement on a grant, and the one that also changes what the grant is bound to."""
    plain = _define_hot(name, "grant_id", types, lambda parameter: build(parameter, {}))
    rebinding = {"confirmation": bindparam("new_confirmation", type_=grant.c.confirmation.type)}
    rebound = build(lambda parameter: bindparam(parameter, type_=types[parameter]), rebinding)
    return plain, _define(f"{name}_rebound", rebound)


# Constants are written into the SQL, so that every parameter is one that a caller gives.
_PENDING, _ACTIVE, _SUSPENDED, _ENDED = (
    literal_column(f"'{status}'", String) for status in ("pending", "active", "suspended", "ended")
)
_ONE = literal_column("1", BigInteger)
_BIGINT: Final = BigInteger()
_TEXT: Final = String()  # without a length: a cast to one would cut a longer value instead of refusing it

# -- grants

FIND_GRANT = _define_hot(
    "find_grant",
    "grant_id",
    {"grant_id": grant.c.id.type},
    lambda parameter: select(grant).where(grant.c.id == parameter("grant_id")),
)

_owner_member = membership.alias("owner_member")
_is_reachable: ColumnElement[bool] = exists().where(
    client.c.client_id == bindparam("client_id"),
    client.c.ended_at.is_(None),
    or_(
        client.c.is_published,
        exists().where(
            _owner_member.c.organization_id == client.c.organization_id,
            _owner_member.c.user_id == bindparam("user_id"),
            _owner_member.c.ended_at.is_(None),
        ),
    ),
)
_is_member_row: ColumnElement[bool] = and_(
    membership.c.user_id == bindparam("user_id"),
    membership.c.organization_id == bindparam("organization_id"),
    membership.c.ended_at.is_(None),
)
_is_member: ColumnElement[bool] = exists().where(_is_member_row)
_grant_values: Select[Any] = select(
    *(bindparam(column.name, type_=column.type).label(column.name) for column in grant.columns)
).where(_is_member, _is_reachable)
INSERT_CONSENT = _define_insert(
    "insert_consent",
    lambda insert: (
        insert(grant)
        .from_select([column.name for column in grant.columns], _grant_values)
        .on_conflict_do_nothing(index_elements=["id"])
        .returning(grant.c.id)
    ),
)
# Shared with other consents, waited for by the end of the membership; SQLite has one writer and needs no lock.
LOCK_MEMBERSHIP = _define(
    "lock_membership", select(membership.c.user_id).where(_is_member_row).with_for_update(read=True)
)

# For the assertions that make or prolong a grant: two for one member take turns, so that they find each other's.
LOCK_MEMBERSHIP_ALONE = _define(
    "lock_membership_alone", select(membership.c.user_id).where(_is_member_row).with_for_update()
)
FIND_REACHABLE = _define("find_reachable", select(_ONE).where(_is_reachable))
PROLONG_ASSERTED = _define(
    "prolong_asserted",
    update(grant)
    .where(
        grant.c.user_id == bindparam("of_user"),
        grant.c.organization_id == bindparam("of_organization"),
        grant.c.client_id == bindparam("of_client"),
        grant.c.asserted_by == bindparam("of_issuer"),
        grant.c.scope == bindparam("of_scope"),
        grant.c.status == _ACTIVE,
    )
    .values(expires_at=bindparam("new_expires_at"))
    .returning(grant.c.id),
)
INSERT_GRANT = _define("insert_grant", insert(grant))

REDEEM, REDEEM_REBOUND = _define_rebinding(
    "redeem",
    {
        "grant_id": grant.c.id.type,
        "now": _BIGINT,
        "new_generation": _BIGINT,
        "new_expires_at": _BIGINT,
        "new_absolute_expires_at": _BIGINT,
    },
    lambda parameter, rebinding: (
        update(grant)
        .where(grant.c.id == parameter("grant_id"), grant.c.status == _PENDING, grant.c.expires_at > parameter("now"))
        .values(
            status=_ACTIVE,
            generation=parameter("new_generation"),
            activated_at=parameter("now"),
            expires_at=parameter("new_expires_at"),
            absolute_expires_at=parameter("new_absolute_expires_at"),
            **rebinding,
        )
        .returning(grant.c.id)
    ),
)

ROTATE, ROTATE_REBOUND = _define_rebinding(
    "rotate",
    {"grant_id": grant.c.id.type, "at_generation": _BIGINT, "now": _BIGINT, "new_expires_at": _BIGINT},
    lambda parameter, rebinding: (
        update(grant)
        .where(
            grant.c.id == parameter("grant_id"),
            grant.c.status == _ACTIVE,
            grant.c.generation == parameter("at_generation"),
        )
        .values(
            generation=grant.c.generation + _ONE,
            rotated_at=parameter("now"),
            expires_at=parameter("new_expires_at"),
            **rebinding,
        )
        .returning(grant.c.id)
    ),
)

# For refresh tokens that do not rotate.
RENEW, RENEW_REBOUND = _define_rebinding(
    "renew",
    {"grant_id": grant.c.id.type, "at_generation": _BIGINT, "new_expires_at": _BIGINT},
    lambda parameter, rebinding: (
        update(grant)
        .where(
            grant.c.id == parameter("grant_id"),
            grant.c.status == _ACTIVE,
            grant.c.generation == parameter("at_generation"),
        )
        .values(expires_at=parameter("new_expires_at"), **rebinding)
        .returning(grant.c.id)
    ),
)

COUNT_RETRY = _define_hot(
    "count_retry",
    "grant_id",
    {"grant_id": grant.c.id.type, "at_generation": _BIGINT},
    lambda parameter: (
        update(grant)
        .where(
            grant.c.id == parameter("grant_id"),
            grant.c.status == _ACTIVE,
            grant.c.generation == parameter("at_generation"),
        )
        .values(retry_count=grant.c.retry_count + _ONE)
        .returning(grant.c.id)
    ),
)

_ENDING = {
    "status": _ENDED,
    "ended_at": bindparam("now"),
    "ended_by": bindparam("by"),
    "ended_reason": bindparam("reason"),
}
END_GRANT = _define_hot(
    "end_grant",
    "grant_id",
    {"grant_id": grant.c.id.type, "now": _BIGINT, "by": _TEXT, "reason": _TEXT},
    lambda parameter: (
        update(grant)
        .where(grant.c.id == parameter("grant_id"), grant.c.status != _ENDED)
        .values(status=_ENDED, ended_at=parameter("now"), ended_by=parameter("by"), ended_reason=parameter("reason"))
        .returning(grant.c.id)
    ),
)

INSERT_REVOKED_TOKEN = _define_insert(
    "insert_revoked_token",
    lambda insert: (
        insert(revoked_access_token)
        .values(token_id=bindparam("token_id"), expires_at=bindparam("until"))
        .on_conflict_do_nothing(index_elements=["token_id"])
    ),
)
MARK_REVOKED_TOKEN = _define(
    "mark_revoked_token",
    update(grant)
    .where(grant.c.id == bindparam("grant_id"))
    .values(
        access_revoked_until=case(
            (grant.c.access_revoked_until < bindparam("until"), bindparam("until")),
            else_=grant.c.access_revoked_until,
        )
    ),
)
MARK_REVOKED_CLIENT_TOKEN = _define(
    "mark_revoked_client_token",
    update(client)
    .where(client.c.client_id == bindparam("of_client"))
    .values(
        access_revoked_until=case(
            (client.c.access_revoked_until < bindparam("until"), bindparam("until")),
            else_=client.c.access_revoked_until,
        )
    ),
)
FIND_REVOKED_TOKEN = _define(
    "find_revoked_token",
    select(revoked_access_token.c.token_id).where(revoked_access_token.c.token_id == bindparam("token_id")),
)

_publisher = organization.alias("publisher")
FIND_CONNECTIONS = _define(
    "find_connections",
    select(
        *grant.columns,
        client.c.public_id.label("client_public_id"),
        client.c.name.label("client_name"),
        _publisher.c.name.label("publisher_name"),
        organization.c.name.label("organization_name"),
    )
    .join(client, client.c.client_id == grant.c.client_id)
    .outerjoin(_publisher, _publisher.c.organization_id == client.c.organization_id)
    .join(organization, organization.c.organization_id == grant.c.organization_id)
    .where(grant.c.user_id == bindparam("user_id"), or_(grant.c.status == _ACTIVE, grant.c.status == _SUSPENDED))
    .order_by(grant.c.id.desc()),
)

_any_user = bindparam("user_id", type_=grant.c.user_id.type)
_any_organization = bindparam("organization_id", type_=grant.c.organization_id.type)
FIND_GRANTS = _define(
    "find_grants",
    select(grant)
    .where(
        or_(_any_user.is_(None), grant.c.user_id == _any_user),
        or_(_any_organization.is_(None), grant.c.organization_id == _any_organization),
    )
    .order_by(grant.c.id.desc())
    .limit(bindparam("at_most"))
    .offset(literal_column("0")),
)

INSERT_PUSHED_REQUEST = _define("insert_pushed_request", insert(pushed_request))
FIND_PUSHED_REQUEST = _define(
    "find_pushed_request", select(pushed_request).where(pushed_request.c.id == bindparam("request_id"))
)
LOCK_PUSHED_REQUEST = _define(
    "lock_pushed_request",
    select(pushed_request.c.id).where(pushed_request.c.id == bindparam("request_id")).with_for_update(),
)
USE_PUSHED_REQUEST = _define(
    "use_pushed_request",
    delete(pushed_request).where(pushed_request.c.id == bindparam("request_id")).returning(pushed_request.c.id),
)
END_STALE_PUSHED_REQUESTS = _define(
    "end_stale_pushed_requests", delete(pushed_request).where(pushed_request.c.expires_at < bindparam("stale_at"))
)

# -- devices

INSERT_DEVICE = _define_insert(
    "insert_device",
    lambda insert: (
        insert(device_authorization)
        .values({column.name: bindparam(column.name) for column in device_authorization.columns})
        .on_conflict_do_nothing(index_elements=["user_code"])
        .returning(device_authorization.c.id)
    ),
)
FIND_DEVICE = _define(
    "find_device", select(device_authorization).where(device_authorization.c.id == bindparam("device_id"))
)
NOTE_POLL = _define(
    "note_poll",
    update(device_authorization)
    .where(
        device_authorization.c.id == bindparam("device_id"),
        func.coalesce(device_authorization.c.polled_at, literal_column("0", BigInteger)) == bindparam("seen_polled_at"),
        device_authorization.c.interval == bindparam("seen_interval"),
    )
    .values(polled_at=bindparam("now"), interval=bindparam("new_interval"))
    .returning(device_authorization.c.id),
)
_is_waiting = and_(
    device_authorization.c.is_denied == false(), device_authorization.c.expires_at > bindparam("now", type_=_BIGINT)
)
# A sign-out ends the session, and with it the claim.
_has_living_claim = exists().where(
    session.c.session_hash == device_authorization.c.session_hash,
    session.c.expires_at > bindparam("now", type_=_BIGINT),
)
CLAIM_DEVICE = _define(
    "claim_device",
    update(device_authorization)
    .where(
        device_authorization.c.user_code == bindparam("code"),
        _is_waiting,
        or_(device_authorization.c.session_hash == bindparam("session"), ~_has_living_claim),
    )
    .values(session_hash=bindparam("session"))
    .returning(*device_authorization.columns),
)
_is_claimed = and_(
    device_authorization.c.id == bindparam("device_id"),
    device_authorization.c.session_hash == bindparam("session"),
    _is_waiting,
)
LOCK_DEVICE = _define("lock_device", select(device_authorization.c.id).where(_is_claimed).with_for_update())
DENY_DEVICE = _define(
    "deny_device",
    update(device_authorization).where(_is_claimed).values(is_denied=true()).returning(device_authorization.c.id),
)
END_DEVICE = _define(
    "end_device", delete(device_authorization).where(device_authorization.c.id == bindparam("device_id"))
)
END_STALE_DEVICES = _define(
    "end_stale_devices", delete(device_authorization).where(device_authorization.c.expires_at < bindparam("stale_at"))
)

_is_past = user_code_guess.c.expires_at <= bindparam("now", type_=_BIGINT)
COUNT_GUESS = _define_insert(
    "count_guess",
    lambda insert: (
        insert(user_code_guess)
        .values(user_id=bindparam("user_id"), wrong_count=_ONE, expires_at=bindparam("until"))
        .on_conflict_do_update(
            index_elements=["user_id"],
            set_={
                "wrong_count": case((_is_past, _ONE), else_=user_code_guess.c.wrong_count + _ONE),
                "expires_at": case((_is_past, bindparam("until", type_=_BIGINT)), else_=user_code_guess.c.expires_at),
            },
        )
        .returning(user_code_guess.c.wrong_count)
    ),
)
FORGIVE_GUESS = _define(
    "forgive_guess",
    update(user_code_guess)
    .where(user_code_guess.c.user_id == bindparam("of_user"))
    .values(wrong_count=user_code_guess.c.wrong_count - _ONE),
)
FORGET_GUESSES = _define(
    "forget_guesses", delete(user_code_guess).where(user_code_guess.c.expires_at < bindparam("stale_at"))
)

# -- what counts once

USE_ONCE = _define_insert(
    "use_once",
    lambda insert: (
        insert(used_once)
        .values(digest=bindparam("digest"), expires_at=bindparam("until"))
        .on_conflict_do_nothing(index_elements=["digest"])
        .returning(used_once.c.digest)
    ),
)
FORGET_USED = _define("forget_used", delete(used_once).where(used_once.c.expires_at < bindparam("stale_at")))

# -- clients and resource servers

FIND_CLIENT = _define_hot(
    "find_client",
    "client_id",
    {"client_id": _TEXT},
    lambda parameter: select(client).where(client.c.client_id == parameter("client_id")),
)
INSERT_CLIENT = _define("insert_client", insert(client))
UPDATE_CLIENT = _define(
    "update_client",
    update(client)
    .where(client.c.client_id == bindparam("id"))
    .values(
        name=bindparam("name"),
        description=bindparam("description"),
        redirect_uris=bindparam("redirect_uris"),
        terms_uri=bindparam("terms_uri"),
        policy_uri=bindparam("policy_uri"),
        is_published=bindparam("is_published"),
        security=bindparam("security"),
    )
    .returning(client.c.client_id),
)

# -- clients that registered themselves

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
KEEP_REGISTERED_CLIENT = _define_insert(
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


SAVE_REGISTERED_CLIENT = _define_insert("save_registered_client", _save_registered)


def _end_registered(insert: Insert) -> Any:
    statement = _insert_registered(insert)
    ended = {"expires_at": statement.excluded.expires_at, "ended_at": statement.excluded.ended_at}
    return statement.on_conflict_do_update(index_elements=["client_id"], set_=ended, where=_is_not_ended).returning(
        client.c.client_id
    )


END_REGISTERED_CLIENT = _define_insert("end_registered_client", _end_registered)
END_GRANTS_OF_CLIENT = _define(
    "end_grants_of_client",
    update(grant).where(grant.c.client_id == bindparam("of_client"), grant.c.status != _ENDED).values(**_ENDING),
)

INSERT_REGISTRATION_TOKEN = _define("insert_registration_token", insert(registration_token))
FIND_REGISTRATION_TOKENS = _define(
    "find_registration_tokens", select(registration_token).order_by(registration_token.c.created_at.desc())
)
END_REGISTRATION_TOKEN = _define(
    "end_registration_token",
    delete(registration_token)
    .where(registration_token.c.hint == bindparam("by_hint"))
    .returning(registration_token.c.hint),
)
_is_usable_token = and_(
    registration_token.c.token_hash == bindparam("by_hash"),
    registration_token.c.expires_at > bindparam("now"),
    registration_token.c.remaining >= _ONE,
)
FIND_REGISTRATION_TOKEN = _define(
    "find_registration_token", select(registration_token.c.token_hash).where(_is_usable_token)
)
USE_REGISTRATION_TOKEN = _define(
    "use_registration_token",
    update(registration_token)
    .where(_is_usable_token)
    .values(remaining=registration_token.c.remaining - _ONE)
    .returning(registration_token.c.token_hash),
)

# -- apps' secrets, resource servers

REPLACE_SECRETS = _define(
    "replace_secrets",
    update(client)
    .where(client.c.client_id == bindparam("id"))
    .values(secrets=bindparam("secrets"))
    .returning(client.c.client_id),
)
REPLACE_KNOWN_SECRETS = _define(
    "replace_known_secrets",
    update(client)
    .where(client.c.client_id == bindparam("id"), client.c.secrets == bindparam("known"))
    .values(secrets=bindparam("secrets"))
    .returning(client.c.client_id),
)
# Not for a client without a row of its own: a registration that nobody has consented to leaves none.
NOTE_SECRET_USE = _define_insert(
    "note_secret_use",
    lambda insert: (
        insert(client_secret_use)
        .from_select(
            ["client_id", "secret_id", "last_used_at"],
            select(
                client.c.client_id,
                bindparam("of_secret", type_=_TEXT).label("secret_id"),
                bindparam("used_at", type_=_BIGINT).label("last_used_at"),
            ).where(client.c.client_id == bindparam("of_client")),
        )
        .on_conflict_do_update(
            index_elements=["client_id", "secret_id"], set_={"last_used_at": bindparam("used_at", type_=_BIGINT)}
        )
    ),
)
FIND_SECRET_USES = _define(
    "find_secret_uses",
    select(client_secret_use.c.secret_id, client_secret_use.c.last_used_at).where(
        client_secret_use.c.client_id == bindparam("client_id")
    ),
)
FORGET_SECRET_USE = _define(
    "forget_secret_use",
    delete(client_secret_use).where(
        client_secret_use.c.client_id == bindparam("of_client"), client_secret_use.c.secret_id == bindparam("of_secret")
    ),
)
FORGET_SECRET_USES = _define(
    "forget_secret_uses", delete(client_secret_use).where(client_secret_use.c.client_id == bindparam("of_client"))
)
FIND_CLIENTS = _define(
    "find_clients",
    select(client)
    .where(client.c.client_id > bindparam("after"), client.c.ended_at.is_(None))
    .order_by(client.c.client_id)
    .limit(bindparam("at_most"))
    .offset(literal_column("0")),
)
FIND_CLIENTS_FOR_USER = _define(
    "find_clients_for_user",
    select(client)
    .join(membership, membership.c.organization_id == client.c.organization_id)
    .where(membership.c.user_id == bindparam("user_id"), membership.c.ended_at.is_(None))
    .order_by(client.c.created_at.desc(), client.c.client_id),
)
_of_approval = and_(
    client_approval.c.client_id == bindparam("of_client"),
    client_approval.c.organization_id == bindparam("of_organization"),
)
FIND_CLIENT_APPROVAL = _define("find_client_approval", select(client_approval).where(_of_approval))
_any_approved = bindparam("client_id", type_=client_approval.c.client_id.type)
_any_approving = bindparam("organization_id", type_=client_approval.c.organization_id.type)
FIND_CLIENT_APPROVALS = _define(
    "find_client_approvals",
    select(client_approval)
    .where(
        or_(_any_approved.is_(None), client_approval.c.client_id == _any_approved),
        or_(_any_approving.is_(None), client_approval.c.organization_id == _any_approving),
    )
    .order_by(client_approval.c.client_id, client_approval.c.organization_id)
    .limit(bindparam("at_most"))
    .offset(literal_column("0")),
)
APPROVE_CLIENT = _define_insert(
    "approve_client",
    lambda insert: (
        insert(client_approval)
        .values(
            client_id=bindparam("of_client"),
            organization_id=bindparam("of_organization"),
            scope=bindparam("scope"),
            generation=_ONE,
            approved_by=bindparam("by"),
            approved_at=bindparam("now"),
            ended_by=null(),
            ended_at=null(),
        )
        .on_conflict_do_update(
            index_elements=["client_id", "organization_id"],
            set_={
                "scope": bindparam("scope", type_=_TEXT),
                "generation": client_approval.c.generation + _ONE,
                "approved_by": bindparam("by", type_=_TEXT),
                "approved_at": bindparam("now", type_=_BIGINT),
                "ended_by": null(),
                "ended_at": null(),
            },
        )
        .returning(client_approval.c.client_id)
    ),
)
END_CLIENT_APPROVAL = _define(
    "end_client_approval",
    update(client_approval)
    .where(_of_approval, client_approval.c.ended_at.is_(None))
    .values(ended_by=bindparam("by"), ended_at=bindparam("now"))
    .returning(client_approval.c.client_id),
)
FIND_RESOURCE_SERVER = _define_hot(
    "find_resource_server",
    "client_id",
    {"client_id": _TEXT},
    lambda parameter: select(resource_server).where(resource_server.c.client_id == parameter("client_id")),
)
FIND_RESOURCE = _define(
    "find_resource", select(resource_server.c.client_id).where(resource_server.c.resource == bindparam("resource"))
)
FIND_ACCESS_TOKEN_FORMATS = _define(
    "find_access_token_formats",
    select(resource_server.c.access_token_format).where(resource_server.c.resource == bindparam("resource")),
)
INSERT_RESOURCE_SERVER = _define("insert_resource_server", insert(resource_server))

# -- signing keys

FIND_SIGNING_KEYS = _define(
    "find_signing_keys", select(signing_key).order_by(signing_key.c.algorithm, signing_key.c.sequence)
)
INSERT_SIGNING_KEY = _define_insert(
    "insert_signing_key",
    lambda insert: (
        insert(signing_key)
        .values({column.name: bindparam(column.name) for column in signing_key.columns})
        .on_conflict_do_nothing(index_elements=["algorithm", "sequence"])
        .returning(signing_key.c.key_id)
    ),
)
FORGET_SIGNING_KEY = _define(
    "forget_signing_key", delete(signing_key).where(signing_key.c.key_id == bindparam("forgotten_id"))
)

# -- people

INSERT_USER = _define_insert(
    "insert_user",
    lambda insert: (
        insert(user)
        .values({column.name: bindparam(column.name) for column in user.columns})
        .on_conflict_do_nothing(index_elements=["email_key"])
        .returning(user.c.user_id)
    ),
)
FIND_USER = _define("find_user", select(user).where(user.c.user_id == bindparam("user_id")))
FIND_USER_BY_EMAIL = _define("find_user_by_email", select(user).where(user.c.email_key == bindparam("email_key")))
INSERT_ORGANIZATION = _define("insert_organization", insert(organization))
FIND_ORGANIZATION = _define(
    "find_organization", select(organization).where(organization.c.organization_id == bindparam("organization_id"))
)
UPSERT_MEMBERSHIP = _define_insert(
    "upsert_membership",
    lambda insert: (
        insert(membership)
        .values(
            user_id=bindparam("user_id"),
            organization_id=bindparam("organization_id"),
            role=bindparam("role"),
            created_at=bindparam("now"),
            ended_at=null(),
        )
        .on_conflict_do_update(
            index_elements=["user_id", "organization_id"],
            set_={"role": bindparam("role", type_=membership.c.role.type), "ended_at": null()},
        )
        .returning(membership.c.user_id)
    ),
)
END_MEMBERSHIP = _define(
    "end_membership",
    update(membership)
    .where(
        membership.c.user_id == bindparam("of_user"),
        membership.c.organization_id == bindparam("of_organization"),
        membership.c.ended_at.is_(None),
    )
    .values(ended_at=bindparam("now"))
    .returning(membership.c.user_id),
)
_of_membership = and_(grant.c.user_id == bindparam("of_user"), grant.c.organization_id == bindparam("of_organization"))
SUSPEND_GRANTS = _define(
    "suspend_grants", update(grant).where(_of_membership, grant.c.status == _ACTIVE).values(status=_SUSPENDED)
)
RESUME_GRANTS = _define(
    "resume_grants", update(grant).where(_of_membership, grant.c.status == _SUSPENDED).values(status=_ACTIVE)
)
END_PENDING_GRANTS = _define(
    "end_pending_grants", update(grant).where(_of_membership, grant.c.status == _PENDING).values(**_ENDING)
)
_memberships = select(
    membership.c.user_id,
    membership.c.organization_id,
    organization.c.name,
    membership.c.role,
    membership.c.created_at,
    membership.c.ended_at,
).join(organization, organization.c.organization_id == membership.c.organization_id)
FIND_MEMBERSHIPS = _define(
    "find_memberships",
    _memberships.where(membership.c.user_id == bindparam("user_id"), membership.c.ended_at.is_(None)).order_by(
        func.lower(organization.c.name), organization.c.organization_id
    ),
)
FIND_MEMBERSHIP = _define(
    "find_membership",
    _memberships.where(
        membership.c.user_id == bindparam("user_id"),
        membership.c.organization_id == bindparam("organization_id"),
    ),
)

INSERT_SESSION = _define("insert_session", insert(session))
FIND_SESSION = _define(
    "find_session",
    select(session).where(session.c.session_hash == bindparam("session_hash"), session.c.expires_at > bindparam("now")),
)
END_SESSION = _define("end_session", delete(session).where(session.c.session_hash == bindparam("session_hash")))
END_EXPIRED_SESSIONS = _define(
    "end_expired_sessions",
    delete(session).where(session.c.user_id == bindparam("user_id"), session.c.expires_at <= bindparam("now")),
)


# -- sweeping

_SWEEPER = literal_column("'sweeper'", String)
CLAIM_SWEEP = _define_insert(
    "claim_sweep",
    lambda insert: (
        insert(sweep)
        .values(
            name=_SWEEPER,
            holder=bindparam("holder"),
            held_until=bindparam("until"),
            position=bindparam("start"),
            round_began_at=bindparam("now"),
            next_round_at=bindparam("now"),
        )
        .on_conflict_do_update(
            index_elements=["name"],
            set_={
                "holder": bindparam("holder", type_=sweep.c.holder.type),
                "held_until": bindparam("until", type_=_BIGINT),
            },
            where=or_(
                sweep.c.held_until <= bindparam("now", type_=_BIGINT),
                sweep.c.holder == bindparam("holder", type_=sweep.c.holder.type),
            ),
        )
        .returning(sweep.c.position, sweep.c.next_round_at, sweep.c.round_began_at)
    ),
)
MOVE_SWEEP = _define(
    "move_sweep",
    update(sweep)
    .where(sweep.c.name == _SWEEPER)
    .values(
        position=bindparam("new_position"),
        round_began_at=bindparam("began_at"),
        round_ended_at=func.coalesce(bindparam("ended_at", type_=_BIGINT), sweep.c.round_ended_at),
        next_round_at=bindparam("next_at"),
    ),
)
FIND_SWEEP = _define("find_sweep", select(sweep).where(sweep.c.name == _SWEEPER))
FIND_NEXT_GRANTS_END = _define(
    "find_next_grants_end",
    select(grant.c.id)
    .where(grant.c.id > bindparam("position"))
    .order_by(grant.c.id)
    .limit(literal_column("1"))
    .offset(bindparam("skipped")),
)
# A pending grant is worth nothing once its code has expired. One that has ended, or whose refresh token has expired, is
# kept for a while, so that a token used again is told why it is refused.
END_OF_GRANTS = b"\xff" * 16
_kept_since, _pending_since = (bindparam(name, type_=_BIGINT) for name in ("kept_since", "pending_since"))
_may_be_swept = or_(
    and_(grant.c.status == _ENDED, grant.c.ended_at < _kept_since),
    and_(grant.c.status == _PENDING, grant.c.expires_at < _pending_since),
    and_(or_(grant.c.status == _ACTIVE, grant.c.status == _SUSPENDED), grant.c.expires_at < _kept_since),
)
SWEEP_GRANTS = _define(
    "sweep_grants",
    delete(grant).where(grant.c.id > bindparam("position"), grant.c.id <= bindparam("end"), _may_be_swept),
)


def _define_sweep(name: str, table: Table) -> Statement:
    """Deletes some of the rows that mattered until a moment that has passed."""
    (key,) = table.primary_key.columns
    stale = (
        select(key)
        .where(table.c.expires_at < bindparam("stale_at"))
        .order_by(table.c.expires_at)
        .limit(bindparam("at_most"))
        .offset(literal_column("0"))
    )
    return _define(name, delete(table).where(key.in_(stale)).returning(key))


SWEEPS: Final = tuple(
    _define_sweep(f"sweep_{table.name}", table)
    for table in (
        revoked_access_token,
        used_once,
        pushed_request,
        device_authorization,
        user_code_guess,
        session,
        client,
        registration_token,
    )
)
_is_dead = or_(grant.c.status == _ENDED, grant.c.expires_at < bindparam("now", type_=_BIGINT))
_overdue, _kept, _live = (literal_column(f"'{kind}'", String) for kind in ("overdue", "kept", "live"))
_kind = case((_may_be_swept, _overdue), (_is_dead, _kept), else_=_live).label("kind")
COUNT_GRANTS = _define("count_grants", select(_kind, func.count(), func.min(grant.c.created_at)).group_by(_kind))
DATABASE_CLOCK = _define("database_clock", select(cast(extract("epoch", func.current_timestamp()), _BIGINT)))
COUNTS: Final = {
    table.name: _define(f"count_{table.name}", select(func.count()).select_from(table))
    for table in (
        client,
        organization,
        user,
        session,
        pushed_request,
        device_authorization,
        user_code_guess,
        revoked_access_token,
        used_once,
        registration_token,
    )
}


@cache
def compile_for_sqlite() -> dict[Statement, str]:
    """The statements as SQL with `:name` parameters."""
    dialect = sqlite.dialect(paramstyle="named")
    return {statement: str(_compile(statement, dialect, sqlite.insert)) for statement in ALL}


@cache
def compile_for_postgres() -> dict[Statement, tuple[str, tuple[str, ...]]]:
    """The statements as SQL with `$n` parameters, and the names of those in order."""
    dialect = postgresql.asyncpg.dialect()  # type: ignore[no-untyped-call]  # as SQLAlchemy ships it
    compiled = {statement: _compile(statement, dialect, postgresql.insert) for statement in ALL}
    return {statement: (str(sql), tuple(sql.positiontup or ())) for statement, sql in compiled.items()}


@cache
def compile_batches_for_postgres() -> dict[Statement, tuple[str, tuple[str, ...]]]:
    """The hot statements for many callers at once: each parameter is an array, and the names are in order."""
    dialect = postgresql.asyncpg.dialect()  # type: ignore[no-untyped-call]  # as SQLAlchemy ships it
    compiled: dict[Statement, tuple[str, tuple[str, ...]]] = {}
    for statement in ALL:
        if statement.batch is None:
            continue
        types = statement.batch.types
        arrays = [bindparam(name, type_=postgresql.ARRAY(type_)) for name, type_ in types.items()]
        given = func.unnest(*arrays).table_valued(*(column(name, type_) for name, type_ in types.items()))
        executable = statement.batch.build(given.render_derived("given").c.__getitem__)
        sql = executable.compile(dialect=dialect)
        compiled[statement] = (str(sql), tuple(sql.positiontup))
    return compiled


def _compile(statement: Statement, dialect: Dialect, insert: Insert) -> SQLCompiler:
    compiled = statement.build(insert).compile(dialect=dialect)
    assert isinstance(compiled, SQLCompiler)
    hidden = [name for name, value in compiled.params.items() if value is not None]
    assert not hidden, f"{statement} has constants that no caller gives: {hidden}"
    return compiled
