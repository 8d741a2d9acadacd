"""What says whether the database can be served from."""

from sqlalchemy import column, select, table

from latchstring.storage.statements.statement import define

# Alembic's own table, which no migration of ours makes.
FIND_SCHEMA_VERSION = define(
    "find_schema_version", select(column("version_num")).select_from(table("alembic_version", column("version_num")))
)
