"""Organizations in charge: what members remember and admins decide, who is told, how people prove themselves.

One function for each subject; each only adds, so that a server of the version before serves beside it.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    _remembered_consents()
    _organization_policy()
    _marks()
    _events()
    _webhooks()
    _write_marks()
    _lives()
    _sign_in()
    _passkeys()
    _authentication_context()


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
    op.create_table(
        "consent_receipt",
        sa.Column("grant_id", sa.LargeBinary(16), nullable=False),
        sa.Column("receipt", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("grant_id", name="pk_consent_receipt"),
        sqlite_with_rowid=False,
    )
    op.add_column("oauth_grant", sa.Column("replaces", sa.LargeBinary(16)))
    op.create_index("ix_remembered_consent_user_id", "remembered_consent", ["user_id"])
    op.create_index("ix_remembered_consent_organization_id", "remembered_consent", ["organization_id"])


def _organization_policy() -> None:
    op.create_table(
        "organization_policy",
        sa.Column("organization_id", sa.String(64), nullable=False),
        sa.Column("low", sa.String(16), nullable=False),
        sa.Column("medium", sa.String(16), nullable=False),
        sa.Column("high", sa.String(16), nullable=False),
        sa.Column("changed_by", sa.String(64), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("organization_id", name="pk_organization_policy"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "organization_app_rule",
        sa.Column("organization_id", sa.String(64), nullable=False),
        sa.Column("client_id", sa.String(64), nullable=False),
        sa.Column("user_id", sa.String(64), nullable=False),
        sa.Column("is_blocked", sa.Boolean(create_constraint=False), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("left_out", sa.Text(), nullable=False),
        sa.Column("decided_by", sa.String(64), nullable=False),
        sa.Column("decided_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("organization_id", "client_id", "user_id", name="pk_organization_app_rule"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "access_request",
        sa.Column("id", sa.LargeBinary(16), nullable=False),
        sa.Column("organization_id", sa.String(64), nullable=False),
        sa.Column("client_id", sa.String(64), nullable=False),
        sa.Column("user_id", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("asked", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("parked", sa.LargeBinary()),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("open_until", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("granted", sa.Text(), nullable=False),
        sa.Column("decided_by", sa.String(64)),
        sa.Column("decided_at", sa.BigInteger()),
        sa.Column("word", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_access_request"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_access_request_expires_at", "access_request", ["expires_at"])
    op.create_index("ix_access_request_user_id", "access_request", ["user_id"])
    op.create_index(
        "ix_access_request_organization_id_client_id_user_id",
        "access_request",
        ["organization_id", "client_id", "user_id"],
        unique=True,
    )
    op.create_table(
        "app_publication",
        sa.Column("client_id", sa.String(64), nullable=False),
        sa.Column("is_listed", sa.Boolean(create_constraint=False), nullable=False),
        sa.Column("category", sa.String(32), nullable=False),
        sa.Column("reviewed", sa.Text(), nullable=False),
        sa.Column("is_current", sa.Boolean(create_constraint=False), nullable=False),
        sa.Column("reviewed_by", sa.String(64), nullable=False),
        sa.Column("reviewed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("client_id", name="pk_app_publication"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "publisher_domain",
        sa.Column("organization_id", sa.String(64), nullable=False),
        sa.Column("domain", sa.String(255), nullable=False),
        sa.Column("challenge", sa.String(64), nullable=False),
        sa.Column("claimed_by", sa.String(64), nullable=False),
        sa.Column("claimed_at", sa.BigInteger(), nullable=False),
        sa.Column("verified_at", sa.BigInteger()),
        sa.Column("checked_at", sa.BigInteger()),
        sa.Column("failing_since", sa.BigInteger()),
        sa.Column("next_check_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("organization_id", "domain", name="pk_publisher_domain"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_publisher_domain_next_check_at", "publisher_domain", ["next_check_at"])
    op.create_table(
        "app_review",
        sa.Column("client_id", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("wants_listing", sa.Boolean(create_constraint=False), nullable=False),
        sa.Column("category", sa.String(32), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("facts", sa.Text(), nullable=False),
        sa.Column("asked_by", sa.String(64), nullable=False),
        sa.Column("asked_at", sa.BigInteger(), nullable=False),
        sa.Column("decided_by", sa.String(64)),
        sa.Column("decided_at", sa.BigInteger()),
        sa.Column("word", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("client_id", name="pk_app_review"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_app_review_state", "app_review", ["state"])


def _marks() -> None:
    op.create_table(
        "keyring_key",
        sa.Column("key_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(16), nullable=False),
        sa.Column("retired_at", sa.BigInteger()),
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


def _events() -> None:
    op.add_column(
        "user_account",
        sa.Column("is_operator", sa.Boolean(create_constraint=False), nullable=False, server_default=sa.false()),
    )
    op.create_table(
        "audit_event",
        sa.Column("id", sa.LargeBinary(16), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("action", sa.String(64), nullable=False),
        sa.Column("actor_kind", sa.String(16), nullable=False),
        sa.Column("actor_id", sa.String(64)),
        sa.Column("source_address", sa.String(64)),
        sa.Column("request_id", sa.String(64)),
        sa.Column("subject_kind", sa.String(32), nullable=False),
        sa.Column("subject_id", sa.Text(), nullable=False),
        sa.Column("organization_id", sa.String(64)),
        sa.Column("client_id", sa.String(64)),
        sa.Column("user_id", sa.String(64)),
        sa.Column("before", sa.Text()),
        sa.Column("after", sa.Text()),
        sa.Column("actor_client_id", sa.String(64)),
        sa.PrimaryKeyConstraint("id", name="pk_audit_event"),
        sqlite_with_rowid=False,
    )
    for column in ("organization_id", "client_id", "user_id"):
        op.create_index(f"ix_audit_event_{column}_id", "audit_event", [column, "id"])
    op.create_table(
        "mail",
        sa.Column("id", sa.LargeBinary(16), nullable=False),
        sa.Column("template", sa.String(64), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("due_at", sa.BigInteger()),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("last_error", sa.String(64)),
        sa.Column("failed_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", name="pk_mail"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_mail_due_at", "mail", ["due_at"])


def _webhooks() -> None:
    op.create_table(
        "webhook_endpoint",
        sa.Column("endpoint_id", sa.String(64), nullable=False),
        sa.Column("client_id", sa.String(64)),
        sa.Column("organization_id", sa.String(64)),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("event_types", sa.Text(), nullable=False),
        sa.Column("sealed_secret", sa.LargeBinary(), nullable=False),
        sa.Column("previous_sealed_secret", sa.LargeBinary()),
        sa.Column("previous_until", sa.BigInteger()),
        sa.Column("is_enabled", sa.Boolean(create_constraint=False), nullable=False),
        sa.Column("disabled_reason", sa.String(16)),
        sa.Column("created_by", sa.String(64)),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("failing_since", sa.BigInteger()),
        sa.PrimaryKeyConstraint("endpoint_id", name="pk_webhook_endpoint"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_webhook_endpoint_client_id", "webhook_endpoint", ["client_id"])
    op.create_index("ix_webhook_endpoint_organization_id", "webhook_endpoint", ["organization_id"])
    op.create_table(
        "webhook_delivery",
        sa.Column("endpoint_id", sa.String(64), nullable=False),
        sa.Column("event_id", sa.LargeBinary(16), nullable=False),
        sa.Column("action", sa.String(64), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("due_at", sa.BigInteger()),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("attempted_at", sa.BigInteger()),
        sa.Column("delivered_at", sa.BigInteger()),
        sa.Column("failed_at", sa.BigInteger()),
        sa.Column("last_status", sa.Integer()),
        sa.Column("last_error", sa.String(128)),
        sa.Column("excerpt", sa.Text()),
        sa.PrimaryKeyConstraint("endpoint_id", "event_id", name="pk_webhook_delivery"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_webhook_delivery_created_at", "webhook_delivery", ["created_at"])
    op.create_index("ix_webhook_delivery_endpoint_id_due_at", "webhook_delivery", ["endpoint_id", "due_at"])


def _write_marks() -> None:
    # By what a server recognizes a redemption or rotation as its own.
    op.add_column("oauth_grant", sa.Column("written_as", sa.BigInteger()))


def _lives() -> None:
    """What begins, pauses and ends: memberships, organizations, users, apps, and the grants with them."""
    op.add_column("user_account", sa.Column("disabled_at", sa.BigInteger()))
    op.add_column("user_account", sa.Column("deleted_at", sa.BigInteger()))
    op.add_column("organization", sa.Column("closed_at", sa.BigInteger()))
    op.add_column("organization", sa.Column("leaver_grants_end_after", sa.BigInteger()))
    op.add_column("membership", sa.Column("suspended_at", sa.BigInteger()))
    op.create_index("ix_membership_organization_id_role", "membership", ["organization_id", "role"])
    op.add_column("client", sa.Column("suspended_at", sa.BigInteger()))
    op.add_column("client", sa.Column("suspended_by", sa.String(64)))
    op.add_column("client", sa.Column("suspended_reason", sa.Text()))
    op.add_column("client", sa.Column("owner_closed_at", sa.BigInteger()))
    op.add_column("oauth_grant", sa.Column("suspended_at", sa.BigInteger()))
    op.add_column("oauth_grant", sa.Column("suspended_reason", sa.String(64)))
    op.add_column("oauth_grant", sa.Column("member_role", sa.String(16)))
    op.add_column("oauth_grant", sa.Column("taken_over_at", sa.BigInteger()))
    op.add_column("oauth_grant", sa.Column("taken_over_from", sa.String(64)))
    op.create_index("ix_oauth_grant_organization_id_id", "oauth_grant", ["organization_id", "id"])
    op.create_index(
        "ix_oauth_grant_organization_id_client_id_id", "oauth_grant", ["organization_id", "client_id", "id"]
    )
    op.create_index("ix_oauth_grant_client_id_id", "oauth_grant", ["client_id", "id"])
    op.drop_index("ix_oauth_grant_client_id", "oauth_grant")
    op.create_table(
        "grant_use",
        sa.Column("grant_id", sa.LargeBinary(16), nullable=False),
        sa.Column("last_used_at", sa.BigInteger(), nullable=False),
        sa.Column("used_from", sa.Text()),
        sa.PrimaryKeyConstraint("grant_id", name="pk_grant_use"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "settlement",
        sa.Column("cause", sa.String(64), nullable=False),
        sa.Column("subject", sa.String(16), nullable=False),
        sa.Column("subject_id", sa.String(64), nullable=False),
        sa.Column("position", sa.LargeBinary(16), nullable=False),
        sa.Column("by", sa.String(64), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("cause", "subject", "subject_id", name="pk_settlement"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "life_cycle",
        sa.Column("name", sa.String(16), nullable=False),
        sa.Column("turn", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_life_cycle"),
        sqlite_with_rowid=False,
    )


def _sign_in() -> None:
    op.create_table(
        "second_factor",
        sa.Column("user_id", sa.String(64), nullable=False),
        sa.Column("sealed_secret", sa.LargeBinary(), nullable=False),
        sa.Column("last_step", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("attempts_since", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", name="pk_second_factor"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "recovery_code",
        sa.Column("user_id", sa.String(64), nullable=False),
        sa.Column("code_hash", sa.LargeBinary(32), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "code_hash", name="pk_recovery_code"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "password_reset",
        sa.Column("token_hash", sa.LargeBinary(32), nullable=False),
        sa.Column("user_id", sa.String(64), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("token_hash", name="pk_password_reset"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_password_reset_expires_at", "password_reset", ["expires_at"])
    op.create_index("ix_password_reset_user_id", "password_reset", ["user_id"])


def _passkeys() -> None:
    op.create_table(
        "passkey",
        sa.Column("credential_hash", sa.LargeBinary(32), nullable=False),
        sa.Column("credential_id", sa.LargeBinary(), nullable=False),
        sa.Column("user_id", sa.String(64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("public_key", sa.LargeBinary(), nullable=False),
        sa.Column("sign_count", sa.BigInteger(), nullable=False),
        sa.Column("is_synced", sa.Boolean(create_constraint=False), nullable=False),
        sa.Column("transports", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("last_used_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("credential_hash", name="pk_passkey"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_passkey_user_id", "passkey", ["user_id"])


def _authentication_context() -> None:
    # How the member had signed in; unknown for who was signed in before.
    op.add_column("browser_session", sa.Column("acr", sa.String(64)))
    op.add_column("oauth_grant", sa.Column("acr", sa.String(64)))
