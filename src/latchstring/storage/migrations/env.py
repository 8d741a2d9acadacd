"""Alembic's entry: runs the revisions on the connection that the caller has opened."""

from alembic import context

from latchstring.storage.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
