"""The whole protocol: what clients are held to, what tokens are bound to, what counts once."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

# Until now every confidential client could leave out PKCE: those that exist, and those that a server of the old version
# makes while both run, go on as they are, by name.
_LEGACY = '{"profile":"legacy","allowances":["code_without_pkce"]}'


def upgrade() -> None:
    with op.batch_alter_table("client") as client:
        # An app that registers itself belongs to no organization.
        client.alter_column("organization_id", existing_type=sa.String(64), nullable=True)
        client.add_column(sa.Column("security", sa.Text(), nullable=False, server_default=_LEGACY))
        client.add_column(sa.Column("acts_for_resource", sa.Text()))
        client.add_column(sa.Column("public_id", sa.Text()))
        client.add_column(sa.Column("client_uri", sa.Text()))
        client.add_column(sa.Column("expires_at", sa.BigInteger()))
        client.add_column(sa.Column("ended_at", sa.BigInteger()))
    op.create_index("ix_client_expires_at", "client", ["expires_at"])
    op.create_index("ix_oauth_grant_client_id", "oauth_grant", ["client_id"])
    op.create_table(
        "registration_token",
        sa.Column("token_hash", sa.LargeBinary(32), nullable=False),
        sa.Column("hint", sa.String(64), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("remaining", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("token_hash", name="pk_registration_token"),
        sqlite_with_rowid=False,
    )
    op.execute("UPDATE client SET security = '{}' WHERE token_endpoint_auth_method = 'none'")
    op.add_column("oauth_grant", sa.Column("confirmation", sa.Text()))
    op.add_column("oauth_grant", sa.Column("authorization_details", sa.Text()))
    op.add_column("oauth_grant", sa.Column("authenticated_at", sa.BigInteger()))
    op.add_column("oauth_grant", sa.Column("asserted_by", sa.Text()))
    op.add_column(
        "resource_server",
        sa.Column("access_token_format", sa.String(16), nullable=False, server_default="opaque"),
    )
    op.create_table(
        "client_secret_use",
        sa.Column("client_id", sa.String(64), nullable=False),
        sa.Column("secret_id", sa.String(16), nullable=False),
        sa.Column("last_used_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("client_id", "secret_id", name="pk_client_secret_use"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "signing_key",
        sa.Column("algorithm", sa.String(16), nullable=False),
        sa.Column("sequence", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("key_id", sa.String(64), nullable=False),
        sa.Column("public_key", sa.Text(), nullable=False),
        sa.Column("sealed_private_key", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("used_from", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("algorithm", "sequence", name="pk_signing_key"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "used_once",
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_used_once"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_used_once_expires_at", "used_once", ["expires_at"])
    op.create_index("ix_revoked_access_token_expires_at", "revoked_access_token", ["expires_at"])
    op.create_index("ix_browser_session_expires_at", "browser_session", ["expires_at"])
    op.create_table(
        "sweep",
        sa.Column("name", sa.String(16), nullable=False),
        sa.Column("holder", sa.LargeBinary(16), nullable=False),
        sa.Column("held_until", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.LargeBinary(16), nullable=False),
        sa.Column("round_began_at", sa.BigInteger(), nullable=False),
        sa.Column("round_ended_at", sa.BigInteger()),
        sa.Column("next_round_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_sweep"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "client_approval",
        sa.Column("client_id", sa.String(64), nullable=False),
        sa.Column("organization_id", sa.String(64), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("approved_by", sa.String(64), nullable=False),
        sa.Column("approved_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_by", sa.String(64)),
        sa.Column("ended_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("client_id", "organization_id", name="pk_client_approval"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "device_authorization",
        sa.Column("id", sa.LargeBinary(16), nullable=False),
        sa.Column("client_id", sa.String(64), nullable=False),
        sa.Column("user_code", sa.String(8), nullable=False),
        sa.Column("row_secret", sa.LargeBinary(16), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("resource", sa.Text(), nullable=False),
        sa.Column("organization_id", sa.Text()),
        sa.Column("is_denied", sa.Boolean(create_constraint=False), nullable=False),
        sa.Column("session_hash", sa.LargeBinary(32)),
        sa.Column("interval", sa.Integer(), nullable=False),
        sa.Column("polled_at", sa.BigInteger()),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_device_authorization"),
        sa.UniqueConstraint("user_code", name="uq_device_authorization_user_code"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_device_authorization_expires_at", "device_authorization", ["expires_at"])
    op.create_table(
        "user_code_guess",
        sa.Column("user_id", sa.String(64), nullable=False),
        sa.Column("wrong_count", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", name="pk_user_code_guess"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_user_code_guess_expires_at", "user_code_guess", ["expires_at"])
