"""What belongs to a client: secrets in use, approvals; and the APIs behind a guard."""

from sqlalchemy import and_, bindparam, delete, func, insert, literal_column, null, or_, select, update

from latchstring.storage.schema import (
    client,
    client_approval,
    client_secret_use,
    membership,
    organization,
    resource_server,
)
from latchstring.storage.statements.statement import BIGINT, ONE, TEXT, define, define_hot, define_insert

REPLACE_SECRETS = define(
    "replace_secrets",
    update(client)
    .where(client.c.client_id == bindparam("id"))
    .values(secrets=bindparam("secrets"))
    .returning(client.c.client_id),
)
REPLACE_KNOWN_SECRETS = define(
    "replace_known_secrets",
    update(client)
    .where(client.c.client_id == bindparam("id"), client.c.secrets == bindparam("known"))
    .values(secrets=bindparam("secrets"))
    .returning(client.c.client_id),
)
REPLACE_KNOWN_RESOURCE_SERVER_SECRETS = define(
    "replace_known_resource_server_secrets",
    update(resource_server)
    .where(resource_server.c.client_id == bindparam("id"), resource_server.c.secrets == bindparam("known"))
    .values(secrets=bindparam("secrets"))
    .returning(resource_server.c.client_id),
)
# Not for a client without a row of its own: a registration that nobody has consented to leaves none.
NOTE_SECRET_USE = define_insert(
    "note_secret_use",
    lambda insert: (
        insert(client_secret_use)
        .from_select(
            ["client_id", "secret_id", "last_used_at"],
            select(
                client.c.client_id,
                bindparam("of_secret", type_=TEXT).label("secret_id"),
                bindparam("used_at", type_=BIGINT).label("last_used_at"),
            ).where(client.c.client_id == bindparam("of_client")),
        )
        .on_conflict_do_update(
            index_elements=["client_id", "secret_id"], set_={"last_used_at": bindparam("used_at", type_=BIGINT)}
        )
    ),
)
FIND_SECRET_USES = define(
    "find_secret_uses",
    select(client_secret_use.c.secret_id, client_secret_use.c.last_used_at).where(
        client_secret_use.c.client_id == bindparam("client_id")
    ),
)
FORGET_SECRET_USE = define(
    "forget_secret_use",
    delete(client_secret_use).where(
        client_secret_use.c.client_id == bindparam("of_client"), client_secret_use.c.secret_id == bindparam("of_secret")
    ),
)
FORGET_SECRET_USES = define(
    "forget_secret_uses", delete(client_secret_use).where(client_secret_use.c.client_id == bindparam("of_client"))
)
FIND_CLIENTS = define(
    "find_clients",
    select(client)
    .where(client.c.client_id > bindparam("after"), client.c.ended_at.is_(None))
    .order_by(client.c.client_id)
    .limit(bindparam("at_most"))
    .offset(literal_column("0")),
)
FIND_CLIENTS_FOR_USER = define(
    "find_clients_for_user",
    select(client)
    .join(membership, membership.c.organization_id == client.c.organization_id)
    .where(
        membership.c.user_id == bindparam("user_id"),
        membership.c.ended_at.is_(None),
        membership.c.suspended_at.is_(None),
        client.c.ended_at.is_(None),
        client.c.owner_closed_at.is_(None),
    )
    .order_by(client.c.created_at.desc(), client.c.client_id),
)
_of_approval = and_(
    client_approval.c.client_id == bindparam("of_client"),
    client_approval.c.organization_id == bindparam("of_organization"),
)
# While the organization is closed its approval is as good as ended.
_approval_columns = (column for column in client_approval.columns if column is not client_approval.c.ended_at)
FIND_CLIENT_APPROVAL = define(
    "find_client_approval",
    select(*_approval_columns, func.coalesce(client_approval.c.ended_at, organization.c.closed_at).label("ended_at"))
    .outerjoin(organization, organization.c.organization_id == client_approval.c.organization_id)
    .where(_of_approval),
)
_any_approved = bindparam("client_id", type_=client_approval.c.client_id.type)
_any_approving = bindparam("organization_id", type_=client_approval.c.organization_id.type)
FIND_CLIENT_APPROVALS = define(
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
APPROVE_CLIENT = define_insert(
    "approve_client",
    lambda insert: (
        insert(client_approval)
        .values(
            client_id=bindparam("of_client"),
            organization_id=bindparam("of_organization"),
            scope=bindparam("scope"),
            generation=ONE,
            approved_by=bindparam("by"),
            approved_at=bindparam("now"),
            ended_by=null(),
            ended_at=null(),
        )
        .on_conflict_do_update(
            index_elements=["client_id", "organization_id"],
            set_={
                "scope": bindparam("scope", type_=TEXT),
                "generation": client_approval.c.generation + ONE,
                "approved_by": bindparam("by", type_=TEXT),
                "approved_at": bindparam("now", type_=BIGINT),
                "ended_by": null(),
                "ended_at": null(),
            },
        )
        .returning(client_approval.c.client_id)
    ),
)
END_CLIENT_APPROVAL = define(
    "end_client_approval",
    update(client_approval)
    .where(_of_approval, client_approval.c.ended_at.is_(None))
    .values(ended_by=bindparam("by"), ended_at=bindparam("now"))
    .returning(client_approval.c.scope),
)
FIND_RESOURCE_SERVER = define_hot(
    "find_resource_server",
    "client_id",
    {"client_id": TEXT},
    lambda parameter: select(resource_server).where(resource_server.c.client_id == parameter("client_id")),
)
FIND_RESOURCE = define(
    "find_resource", select(resource_server.c.client_id).where(resource_server.c.resource == bindparam("resource"))
)
FIND_ACCESS_TOKEN_FORMATS = define(
    "find_access_token_formats",
    select(resource_server.c.access_token_format).where(resource_server.c.resource == bindparam("resource")),
)
FIND_RESOURCE_SERVERS = define("find_resource_servers", select(resource_server).order_by(resource_server.c.client_id))
INSERT_RESOURCE_SERVER = define("insert_resource_server", insert(resource_server))
