"""Clients, found and changed."""

from sqlalchemy import bindparam, insert, select, update

from latchstring.storage.schema import client
from latchstring.storage.statements.statement import TEXT, define, define_hot

CLIENT_COLUMNS = tuple(column.name for column in client.columns)
FIND_CLIENT = define_hot(
    "find_client",
    "client_id",
    {"client_id": TEXT},
    lambda parameter: select(client).where(client.c.client_id == parameter("client_id")),
)
INSERT_CLIENT = define("insert_client", insert(client))
UPDATE_CLIENT = define(
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
