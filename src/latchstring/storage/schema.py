"""The tables, once for every engine. Times are epoch seconds; lists are JSON text; ids are as people see them,
but a grant's is its 16 raw bytes. Migrations make these tables; a test holds the two together."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    false,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# What a client of an older server is held to: until 0002 every confidential client could leave out PKCE.
LEGACY_SECURITY = '{"profile":"legacy","allowances":["code_without_pkce"]}'

user = Table(
    "user_account",
    metadata,
    Column("user_id", String(64), primary_key=True),
    Column("email", Text, nullable=False),
    Column("email_key", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("password_hash", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("is_operator", Boolean(create_constraint=False), nullable=False, server_default=false()),
    Column("disabled_at", BigInteger),
    Column("deleted_at", BigInteger),
)

organization = Table(
    "organization",
    metadata,
    Column("organization_id", String(64), primary_key=True),
    Column("name", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("closed_at", BigInteger),
    Column("leaver_grants_end_after", BigInteger),
)

membership = Table(
    "membership",
    metadata,
    Column("user_id", ForeignKey("user_account.user_id"), primary_key=True),
    Column("organization_id", ForeignKey("organization.organization_id"), primary_key=True),
    Column("role", String(16), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger),
    Column("suspended_at", BigInteger),
    Index("ix_membership_organization_id_role", "organization_id", "role"),
)

client = Table(
    "client",
    metadata,
    Column("client_id", String(64), primary_key=True),
    Column("organization_id", ForeignKey("organization.organization_id"), index=True),
    Column("created_by", String(64)),
    Column("name", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("redirect_uris", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("grant_types", Text, nullable=False),
    Column("token_endpoint_auth_method", String(32), nullable=False),
    Column("secrets", Text, nullable=False),
    Column("terms_uri", Text),
    Column("policy_uri", Text),
    Column("is_published", Boolean(create_constraint=False), nullable=False),
    Column("retry_window", Integer),
    Column("access_revoked_until", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("security", Text, nullable=False, server_default=LEGACY_SECURITY),
    Column("acts_for_resource", Text),
    Column("public_id", Text),
    Column("client_uri", Text),
    Column("expires_at", BigInteger, index=True),
    Column("ended_at", BigInteger),
    Column("suspended_at", BigInteger),
    Column("suspended_by", String(64)),
    Column("suspended_reason", Text),
    Column("owner_closed_at", BigInteger),
)

# Initial access tokens, by hash.
registration_token = Table(
    "registration_token",
    metadata,
    Column("token_hash", LargeBinary(32), primary_key=True),
    Column("hint", String(64), nullable=False),
    Column("note", Text, nullable=False),
    Column("remaining", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# No foreign keys: what an approval lets through is looked up with the client, and an organization's id is never reused.
client_approval = Table(
    "client_approval",
    metadata,
    Column("client_id", String(64), primary_key=True),
    Column("organization_id", String(64), primary_key=True),
    Column("scope", Text, nullable=False),
    Column("generation", BigInteger, nullable=False),
    Column("approved_by", String(64), nullable=False),
    Column("approved_at", BigInteger, nullable=False),
    Column("ended_by", String(64)),
    Column("ended_at", BigInteger),
    sqlite_with_rowid=False,
)

# To the hour or so; a row for each secret that was ever used and not retired since.
client_secret_use = Table(
    "client_secret_use",
    metadata,
    Column("client_id", String(64), primary_key=True),
    Column("secret_id", String(16), primary_key=True),
    Column("last_used_at", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

resource_server = Table(
    "resource_server",
    metadata,
    Column("client_id", String(64), primary_key=True),
    Column("name", Text, nullable=False),
    Column("resource", Text, nullable=False, index=True),
    Column("secrets", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("access_token_format", String(16), nullable=False, server_default="opaque"),
)

# The keys that sign, few and long-lived. Of servers that make the next one at once, the primary key lets one win.
signing_key = Table(
    "signing_key",
    metadata,
    Column("algorithm", String(16), primary_key=True),
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("key_id", String(64), nullable=False),
    Column("public_key", Text, nullable=False),
    Column("sealed_private_key", LargeBinary, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("used_from", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# Which keys the keyring has to have: enough to tell it from another one, and nothing to make a token with.
keyring_key = Table(
    "keyring_key",
    metadata,
    Column("key_id", Integer, primary_key=True, autoincrement=False),
    Column("fingerprint", LargeBinary(16), nullable=False),
    Column("retired_at", BigInteger),
    sqlite_with_rowid=False,
)

# A row for each time that the database was restored from a backup; the newest is the epoch in which tokens count.
epoch = Table(
    "epoch",
    metadata,
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("salt", LargeBinary(16), nullable=False),
    Column("began_at", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# No foreign keys: a grant may live on another shard than its client, user and organization.
grant = Table(
    "oauth_grant",
    metadata,
    Column("id", LargeBinary(16), primary_key=True),
    Column("client_id", String(64), nullable=False),
    Column("user_id", String(64), nullable=False),
    Column("organization_id", String(64), nullable=False),
    Column("scope", Text, nullable=False),
    Column("status", String(16), nullable=False),
    Column("redirect_uri", Text),
    Column("code_challenge", String(43)),
    Column("row_secret", LargeBinary(16), nullable=False),
    Column("generation", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("activated_at", BigInteger),
    Column("rotated_at", BigInteger),
    Column("retry_count", BigInteger, nullable=False),
    Column("expires_at", BigInteger),
    Column("absolute_expires_at", BigInteger),
    Column("access_revoked_until", BigInteger, nullable=False),
    Column("ended_at", BigInteger),
    Column("ended_by", String(64)),
    Column("ended_reason", String(64)),
    Column("resource", Text, nullable=False),
    Column("confirmation", Text),
    Column("authorization_details", Text),
    Column("authenticated_at", BigInteger),
    Column("asserted_by", Text),
    Column("suspended_at", BigInteger),
    Column("suspended_reason", String(64)),
    Column("member_role", String(16)),
    Column("taken_over_at", BigInteger),
    Column("taken_over_from", String(64)),
    Column("replaces", LargeBinary(16)),
    Column("acr", String(64)),
    # The mark of the last redemption or rotation: whoever is in doubt about its own looks for it here.
    Column("written_as", BigInteger),
    Index("ix_oauth_grant_user_id_organization_id", "user_id", "organization_id"),
    # Pages of an organization's and walks through an app's grants, by key. Nothing here changes with a refresh.
    Index("ix_oauth_grant_organization_id_id", "organization_id", "id"),
    Index("ix_oauth_grant_organization_id_client_id_id", "organization_id", "client_id", "id"),
    Index("ix_oauth_grant_client_id_id", "client_id", "id"),
    sqlite_with_rowid=False,
)

# What a member was told when they gave a grant, as JSON; kept for as long as the grant.
consent_receipt = Table(
    "consent_receipt",
    metadata,
    Column("grant_id", LargeBinary(16), primary_key=True),
    Column("receipt", Text, nullable=False),
    sqlite_with_rowid=False,
)

# What a member agreed to at the last, app by app and organization by organization, and what they were told.
remembered_consent = Table(
    "remembered_consent",
    metadata,
    Column("client_id", String(64), primary_key=True),
    Column("user_id", String(64), primary_key=True),
    Column("organization_id", String(64), primary_key=True),
    Column("scope", Text, nullable=False),
    Column("declined_scope", Text, nullable=False),
    Column("resource", Text, nullable=False),
    Column("details_digest", LargeBinary(16)),
    Column("app_name", Text, nullable=False),
    Column("publisher", Text, nullable=False),
    Column("redirect_host", Text, nullable=False),
    Column("grant_id", LargeBinary(16), nullable=False),
    Column("given_at", BigInteger, nullable=False),
    Column("last_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger),
    Index("ix_remembered_consent_user_id", "user_id"),
    Index("ix_remembered_consent_organization_id", "organization_id"),
    sqlite_with_rowid=False,
)

revoked_access_token = Table(
    "revoked_access_token",
    metadata,
    Column("token_id", LargeBinary(12), primary_key=True),
    Column("expires_at", BigInteger, nullable=False, index=True),
    sqlite_with_rowid=False,
)

# What counts once, by hash: the `jti` of assertions and proofs. A row matters until its original would have expired.
used_once = Table(
    "used_once",
    metadata,
    Column("digest", LargeBinary(32), primary_key=True),
    Column("expires_at", BigInteger, nullable=False, index=True),
    sqlite_with_rowid=False,
)

pushed_request = Table(
    "pushed_request",
    metadata,
    Column("id", LargeBinary(16), primary_key=True),
    Column("client_id", String(64), nullable=False),
    Column("parameters", Text, nullable=False),
    Column("expires_at", BigInteger, nullable=False, index=True),
    sqlite_with_rowid=False,
)

# A device that waits for a person (RFC 8628); allowed, it becomes the grant of the same id and row secret.
device_authorization = Table(
    "device_authorization",
    metadata,
    Column("id", LargeBinary(16), primary_key=True),
    Column("client_id", String(64), nullable=False),
    Column("user_code", String(8), nullable=False, unique=True),
    Column("row_secret", LargeBinary(16), nullable=False),
    Column("scope", Text, nullable=False),
    Column("resource", Text, nullable=False),
    Column("organization_id", Text),
    Column("is_denied", Boolean(create_constraint=False), nullable=False),
    Column("session_hash", LargeBinary(32)),
    Column("interval", Integer, nullable=False),
    Column("polled_at", BigInteger),
    Column("expires_at", BigInteger, nullable=False, index=True),
    sqlite_with_rowid=False,
)

# Who has entered how many wrong user codes, until when they count.
user_code_guess = Table(
    "user_code_guess",
    metadata,
    Column("user_id", String(64), primary_key=True),
    Column("wrong_count", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False, index=True),
    sqlite_with_rowid=False,
)

# An authenticator app (RFC 6238): `last_step` is the time of its last code that counted, so that each counts once.
second_factor = Table(
    "second_factor",
    metadata,
    Column("user_id", String(64), primary_key=True),
    Column("sealed_secret", LargeBinary, nullable=False),
    Column("last_step", BigInteger, nullable=False),
    Column("attempts", BigInteger, nullable=False),
    Column("attempts_since", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

recovery_code = Table(
    "recovery_code",
    metadata,
    Column("user_id", String(64), primary_key=True),
    Column("code_hash", LargeBinary(32), primary_key=True),
    sqlite_with_rowid=False,
)

# Passkeys (WebAuthn), by the hash of their credential's id. Only public keys: a copy of the database signs nobody in.
passkey = Table(
    "passkey",
    metadata,
    Column("credential_hash", LargeBinary(32), primary_key=True),
    Column("credential_id", LargeBinary, nullable=False),
    Column("user_id", String(64), nullable=False, index=True),
    Column("name", Text, nullable=False),
    Column("public_key", LargeBinary, nullable=False),
    Column("sign_count", BigInteger, nullable=False),
    Column("is_synced", Boolean(create_constraint=False), nullable=False),
    Column("transports", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("last_used_at", BigInteger),
    sqlite_with_rowid=False,
)

# A way back in that was mailed, by hash.
password_reset = Table(
    "password_reset",
    metadata,
    Column("token_hash", LargeBinary(32), primary_key=True),
    Column("user_id", String(64), nullable=False),
    Column("expires_at", BigInteger, nullable=False, index=True),
    Index("ix_password_reset_user_id", "user_id"),
    sqlite_with_rowid=False,
)

session = Table(
    "browser_session",
    metadata,
    Column("session_hash", LargeBinary(32), primary_key=True),
    Column("user_id", ForeignKey("user_account.user_id"), nullable=False, index=True),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False, index=True),
    Column("acr", String(64)),
    sqlite_with_rowid=False,
)

# One row: which process sweeps, until when, and where its walk through the grants stands.
sweep = Table(
    "sweep",
    metadata,
    Column("name", String(16), primary_key=True),
    Column("holder", LargeBinary(16), nullable=False),
    Column("held_until", BigInteger, nullable=False),
    Column("position", LargeBinary(16), nullable=False),
    Column("round_began_at", BigInteger, nullable=False),
    Column("round_ended_at", BigInteger),
    Column("next_round_at", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# What has happened: inserted with the change itself, read by people, deleted by age alone. Ids sort by time.
audit_event = Table(
    "audit_event",
    metadata,
    Column("id", LargeBinary(16), primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("action", String(64), nullable=False),
    Column("actor_kind", String(16), nullable=False),
    Column("actor_id", String(64)),
    Column("source_address", String(64)),
    Column("request_id", String(64)),
    Column("subject_kind", String(32), nullable=False),
    Column("subject_id", Text, nullable=False),
    Column("organization_id", String(64)),
    Column("client_id", String(64)),
    Column("user_id", String(64)),
    Column("before", Text),
    Column("after", Text),
    Column("actor_client_id", String(64)),
    Index("ix_audit_event_organization_id_id", "organization_id", "id"),
    Index("ix_audit_event_client_id_id", "client_id", "id"),
    Index("ix_audit_event_user_id_id", "user_id", "id"),
    sqlite_with_rowid=False,
)

# Mail that waits to be sent: whom it is for and what it says is sealed; gone once it is sent.
mail = Table(
    "mail",
    metadata,
    Column("id", LargeBinary(16), primary_key=True),
    Column("template", String(64), nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("due_at", BigInteger, index=True),
    Column("attempts", Integer, nullable=False),
    Column("last_error", String(64)),
    Column("failed_at", BigInteger),
    sqlite_with_rowid=False,
)

# -- an organization's word on apps

# No row: the deployment's policy counts.
organization_policy = Table(
    "organization_policy",
    metadata,
    Column("organization_id", String(64), primary_key=True),
    Column("low", String(16), nullable=False),
    Column("medium", String(16), nullable=False),
    Column("high", String(16), nullable=False),
    Column("changed_by", String(64), nullable=False),
    Column("changed_at", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# For one member, or for everyone where `user_id` is empty.
organization_app_rule = Table(
    "organization_app_rule",
    metadata,
    Column("organization_id", String(64), primary_key=True),
    Column("client_id", String(64), primary_key=True),
    Column("user_id", String(64), primary_key=True),
    Column("is_blocked", Boolean(create_constraint=False), nullable=False),
    Column("scope", Text, nullable=False),
    Column("left_out", Text, nullable=False),
    Column("decided_by", String(64), nullable=False),
    Column("decided_at", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# A member's request for an app, and the authorization that waits with it, sealed. Asking again replaces it.
access_request = Table(
    "access_request",
    metadata,
    Column("id", LargeBinary(16), primary_key=True),
    Column("organization_id", String(64), nullable=False),
    Column("client_id", String(64), nullable=False),
    Column("user_id", String(64), nullable=False),
    Column("state", String(16), nullable=False),
    Column("asked", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("parked", LargeBinary),
    Column("created_at", BigInteger, nullable=False),
    Column("open_until", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False, index=True),
    Column("granted", Text, nullable=False),
    Column("decided_by", String(64)),
    Column("decided_at", BigInteger),
    Column("word", Text, nullable=False),
    Index(
        "ix_access_request_organization_id_client_id_user_id", "organization_id", "client_id", "user_id", unique=True
    ),
    Index("ix_access_request_user_id", "user_id"),
    sqlite_with_rowid=False,
)

# What the operator found when an app was published, and whether it stands in the directory.
app_publication = Table(
    "app_publication",
    metadata,
    Column("client_id", String(64), primary_key=True),
    Column("is_listed", Boolean(create_constraint=False), nullable=False),
    Column("category", String(32), nullable=False),
    Column("reviewed", Text, nullable=False),
    Column("is_current", Boolean(create_constraint=False), nullable=False),
    Column("reviewed_by", String(64), nullable=False),
    Column("reviewed_at", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# A domain that an organization says is its own, and what the last look at its DNS record found.
publisher_domain = Table(
    "publisher_domain",
    metadata,
    Column("organization_id", String(64), primary_key=True),
    Column("domain", String(255), primary_key=True),
    Column("challenge", String(64), nullable=False),
    Column("claimed_by", String(64), nullable=False),
    Column("claimed_at", BigInteger, nullable=False),
    Column("verified_at", BigInteger),
    Column("checked_at", BigInteger),
    Column("failing_since", BigInteger),
    Column("next_check_at", BigInteger, index=True),
    sqlite_with_rowid=False,
)

# The latest review of an app by the operator.
app_review = Table(
    "app_review",
    metadata,
    Column("client_id", String(64), primary_key=True),
    Column("state", String(16), nullable=False, index=True),
    Column("wants_listing", Boolean(create_constraint=False), nullable=False),
    Column("category", String(32), nullable=False),
    Column("note", Text, nullable=False),
    Column("facts", Text, nullable=False),
    Column("asked_by", String(64), nullable=False),
    Column("asked_at", BigInteger, nullable=False),
    Column("decided_by", String(64)),
    Column("decided_at", BigInteger),
    Column("word", Text, nullable=False),
    sqlite_with_rowid=False,
)

# -- the life of memberships, organizations, users and apps

# When a grant was last used, where its own row does not say, and from which address: noted later, never waited for.
grant_use = Table(
    "grant_use",
    metadata,
    Column("grant_id", LargeBinary(16), primary_key=True),
    Column("last_used_at", BigInteger, nullable=False),
    Column("used_from", Text),
    sqlite_with_rowid=False,
)

# What has changed and which grants have yet to be settled because of it: how far the walk through them has come.
settlement = Table(
    "settlement",
    metadata,
    Column("cause", String(64), primary_key=True),
    Column("subject", String(16), primary_key=True),
    Column("subject_id", String(64), primary_key=True),
    Column("position", LargeBinary(16), nullable=False),
    Column("by", String(64), nullable=False),
    Column("origin", Text, nullable=False),
    sqlite_with_rowid=False,
)

# One row, which every change of a life takes first: they come one after the other, so that each sees the others'.
life_cycle = Table(
    "life_cycle",
    metadata,
    Column("name", String(16), primary_key=True),
    Column("turn", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# Where events are sent; secrets are sealed.
webhook_endpoint = Table(
    "webhook_endpoint",
    metadata,
    Column("endpoint_id", String(64), primary_key=True),
    Column("client_id", String(64), index=True),
    Column("organization_id", String(64), index=True),
    Column("url", Text, nullable=False),
    Column("event_types", Text, nullable=False),
    Column("sealed_secret", LargeBinary, nullable=False),
    Column("previous_sealed_secret", LargeBinary),
    Column("previous_until", BigInteger),
    Column("is_enabled", Boolean(create_constraint=False), nullable=False),
    Column("disabled_reason", String(16)),
    Column("created_by", String(64)),
    Column("created_at", BigInteger, nullable=False),
    Column("failing_since", BigInteger),
    sqlite_with_rowid=False,
)

# Which event goes to which endpoint: made with the event, in its transaction; kept for a while to be looked at.
webhook_delivery = Table(
    "webhook_delivery",
    metadata,
    Column("endpoint_id", String(64), primary_key=True),
    Column("event_id", LargeBinary(16), primary_key=True),
    Column("action", String(64), nullable=False),
    Column("created_at", BigInteger, nullable=False, index=True),
    Column("due_at", BigInteger),
    Column("attempts", Integer, nullable=False),
    Column("attempted_at", BigInteger),
    Column("delivered_at", BigInteger),
    Column("failed_at", BigInteger),
    Column("last_status", Integer),
    Column("last_error", String(128)),
    Column("excerpt", Text),
    Index("ix_webhook_delivery_endpoint_id_due_at", "endpoint_id", "due_at"),
    sqlite_with_rowid=False,
)
