"""The first schema: people, organizations, clients, resource servers, grants, sessions."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "user_account",
        sa.Column("user_id", sa.String(64), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("email_key", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", name="pk_user_account"),
        sa.UniqueConstraint("email_key", name="uq_user_account_email_key"),
    )
    op.create_table(
        "organization",
        sa.Column("organization_id", sa.String(64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("organization_id", name="pk_organization"),
    )
    op.create_table(
        "membership",
        sa.Column("user_id", sa.String(64), nullable=False),
        sa.Column("organization_id", sa.String(64), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("user_id", "organization_id", name="pk_membership"),
        sa.ForeignKeyConstraint(["user_id"], ["user_account.user_id"], name="fk_membership_user_id"),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organization.organization_id"], name="fk_membership_organization_id"
        ),
    )
    op.create_table(
        "client",
        sa.Column("client_id", sa.String(64), nullable=False),
        sa.Column("organization_id", sa.String(64), nullable=False),
        sa.Column("created_by", sa.String(64)),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("redirect_uris", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("grant_types", sa.Text(), nullable=False),
        sa.Column("token_endpoint_auth_method", sa.String(32), nullable=False),
        sa.Column("secrets", sa.Text(), nullable=False),
        sa.Column("terms_uri", sa.Text()),
        sa.Column("policy_uri", sa.Text()),
        sa.Column("is_published", sa.Boolean(create_constraint=False), nullable=False),
        sa.Column("retry_window", sa.Integer()),
        sa.Column("access_revoked_until", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("client_id", name="pk_client"),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organization.organization_id"], name="fk_client_organization_id"
        ),
    )
    op.create_index("ix_client_organization_id", "client", ["organization_id"])
    op.create_table(
        "resource_server",
        sa.Column("client_id", sa.String(64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("resource", sa.Text(), nullable=False),
        sa.Column("secrets", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("client_id", name="pk_resource_server"),
    )
    op.create_index("ix_resource_server_resource", "resource_server", ["resource"])
    op.create_table(
        "oauth_grant",
        sa.Column("id", sa.LargeBinary(16), nullable=False),
        sa.Column("client_id", sa.String(64), nullable=False),
        sa.Column("user_id", sa.String(64), nullable=False),
        sa.Column("organization_id", sa.String(64), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("redirect_uri", sa.Text()),
        sa.Column("code_challenge", sa.String(43)),
        sa.Column("row_secret", sa.LargeBinary(16), nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("activated_at", sa.BigInteger()),
        sa.Column("rotated_at", sa.BigInteger()),
        sa.Column("retry_count", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger()),
        sa.Column("absolute_expires_at", sa.BigInteger()),
        sa.Column("access_revoked_until", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger()),
        sa.Column("ended_by", sa.String(64)),
        sa.Column("ended_reason", sa.String(64)),
        sa.Column("resource", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_oauth_grant"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_oauth_grant_user_id_organization_id", "oauth_grant", ["user_id", "organization_id"])
    op.create_table(
        "revoked_access_token",
        sa.Column("token_id", sa.LargeBinary(12), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("token_id", name="pk_revoked_access_token"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "pushed_request",
        sa.Column("id", sa.LargeBinary(16), nullable=False),
        sa.Column("client_id", sa.String(64), nullable=False),
        sa.Column("parameters", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_pushed_request"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_pushed_request_expires_at", "pushed_request", ["expires_at"])
    op.create_table(
        "browser_session",
        sa.Column("session_hash", sa.LargeBinary(32), nullable=False),
        sa.Column("user_id", sa.String(64), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("session_hash", name="pk_browser_session"),
        sa.ForeignKeyConstraint(["user_id"], ["user_account.user_id"], name="fk_browser_session_user_id"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_browser_session_user_id", "browser_session", ["user_id"])
