"""Clients, found and changed."""

from sqlalchemy import bindparam, insert, select, update

from latchstring.storage.schema import client
from latchstring.storage.statements.statement import TEXT, Statement, define, define_hot

CLIENT_COLUMNS = tuple(column.name for column in client.columns)
FIND_CLIENT = define_hot(
    "find_client",
    "client_id",
    {"client_id": TEXT},
    lambda parameter: select(client).where(client.c.client_id == parameter("client_id")),
)
INSERT_CLIENT = define("insert_client", insert(client))
# What people edit on one page, and by one write: whoever saves the one takes nothing back of the other.
DETAILS = ("name", "description", "redirect_uris", "terms_uri", "policy_uri")
SECURITY = ("security",)


def _define_update(name: str, columns: tuple[str, ...]) -> Statement:
    return define(
        name,
        update(client)
        .where(client.c.client_id == bindparam("id"))
        .values({column: bindparam(column) for column in columns})
        .returning(client.c.client_id),
    )


UPDATE_DETAILS = _define_update("update_details", DETAILS)
UPDATE_SECURITY = _define_update("update_security", SECURITY)
