"""Organizations in charge: what members remember and admins decide, who is told, how people prove themselves.

One function for each subject; each only adds, so that a server of the version before serves beside it.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    _remembered_consents()
    _marks()


def _remembered_consents() -> None:
    op.create_table(
        "remembered_consent",
        sa.Column("client_id", sa.String(64), nullable=False),
        sa.Column("user_id", sa.String(64), nullable=False),
        sa.Column("organization_id", sa.String(64), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("declined_scope", sa.Text(), nullable=False),
        sa.Column("resource", sa.Text(), nullable=False),
        sa.Column("details_digest", sa.LargeBinary(16)),
        sa.Column("app_name", sa.Text(), nullable=False),
        sa.Column("publisher", sa.Text(), nullable=False),
        sa.Column("redirect_host", sa.Text(), nullable=False),
        sa.Column("grant_id", sa.LargeBinary(16), nullable=False),
        sa.Column("given_at", sa.BigInteger(), nullable=False),
        sa.Column("last_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("client_id", "user_id", "organization_id", name="pk_remembered_consent"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_remembered_consent_user_id", "remembered_consent", ["user_id"])
    op.create_index("ix_remembered_consent_organization_id", "remembered_consent", ["organization_id"])


def _marks() -> None:
    op.create_table(
        "keyring_key",
        sa.Column("key_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(16), nullable=False),
        sa.PrimaryKeyConstraint("key_id", name="pk_keyring_key"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "epoch",
        sa.Column("sequence", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("salt", sa.LargeBinary(16), nullable=False),
        sa.Column("began_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("sequence", name="pk_epoch"),
        sqlite_with_rowid=False,
    )
