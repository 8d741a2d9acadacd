"""Records with sensible values in every field, so that a test names only the ones it is about."""

from typing import Any

from latchstring.authorization_server.keyring import Keyring, KeyringKey
from latchstring.authorization_server.policy import LEGACY
from latchstring.authorization_server.records import (
    ClientRecord,
    DeviceAuthorizationRecord,
    GrantRecord,
    MembershipRecord,
    OrganizationRecord,
    ResourceServerRecord,
    Role,
    SessionRecord,
    UserRecord,
)
from latchstring.authorization_server.tokens import TokenCodec

NOW = 1_800_000_000
GRANT_ID = bytes(range(16))
ROW_SECRET = bytes(range(100, 116))
ANN = "user_0000000000000000000Ann"
ACORN = "orga_00000000000000000Acorn"
MAILLOOP = "oa2client_00000000000000Mailloop"
REDIRECT_URI = "https://app.example/callback"

KEY_ONE = KeyringKey(1, b"\x01" * 32, NOW)
KEY_TWO = KeyringKey(2, b"\x02" * 32, NOW)


def build_codec(*keys: KeyringKey, prefix: str = "ls") -> TokenCodec:
    """A codec of those keys; the last one makes what is new."""
    return TokenCodec(Keyring(keys or (KEY_ONE,)), prefix)


def build_grant(**given: Any) -> GrantRecord:
    """A pending grant of Ann's to Mailloop for Acorn."""
    values: dict[str, Any] = {
        "id": GRANT_ID,
        "client_id": MAILLOOP,
        "user_id": ANN,
        "organization_id": ACORN,
        "scope": ("all.full_access", "offline_access"),
        "status": "pending",
        "redirect_uri": None,
        "code_challenge": None,
        "row_secret": ROW_SECRET,
        "generation": 0,
        "created_at": NOW,
        "activated_at": None,
        "rotated_at": None,
        "retry_count": 0,
        "expires_at": NOW + 60,
        "absolute_expires_at": None,
        "access_revoked_until": 0,
        "ended_at": None,
        "ended_by": None,
        "ended_reason": None,
    }
    return GrantRecord(**{**values, **given})


def build_active_grant(**given: Any) -> GrantRecord:
    """The same grant after its code was redeemed."""
    active = {"status": "active", "activated_at": NOW, "generation": 1, "expires_at": NOW + 1000}
    return build_grant(**{**active, **given})


def build_client(**given: Any) -> ClientRecord:
    """A confidential client, published by Acorn."""
    values: dict[str, Any] = {
        "client_id": MAILLOOP,
        "organization_id": ACORN,
        "created_by": None,
        "name": "Mailloop",
        "description": "",
        "redirect_uris": (REDIRECT_URI,),
        "scope": ("all.full_access", "offline_access"),
        "grant_types": ("authorization_code", "refresh_token"),
        "token_endpoint_auth_method": "client_secret_post",
        "secrets": (),
        "terms_uri": None,
        "policy_uri": None,
        "is_published": True,
        "retry_window": None,
        "access_revoked_until": 0,
        "created_at": NOW,
        "security": LEGACY,
    }
    return ClientRecord(**{**values, **given})


def build_resource_server(**given: Any) -> ResourceServerRecord:
    """An API behind a guard."""
    values: dict[str, Any] = {
        "client_id": "oa2resource_0000000000000000000API",
        "name": "API",
        "resource": "https://api.example/",
        "secrets": (),
        "created_at": NOW,
    }
    return ResourceServerRecord(**{**values, **given})


def build_user(user_id: str = ANN, email: str = "ann@example.com") -> UserRecord:
    """Ann, or somebody else."""
    return UserRecord(user_id=user_id, email=email, name="Ann", password_hash="$argon2id$kept", created_at=NOW)


def build_organization(organization_id: str = ACORN, name: str = "Acorn Partners") -> OrganizationRecord:
    """Acorn, or another one."""
    return OrganizationRecord(organization_id=organization_id, name=name, created_at=NOW)


def build_membership(user_id: str = ANN, organization_id: str = ACORN, role: Role = "member") -> MembershipRecord:
    """A membership that lasts."""
    return MembershipRecord(
        user_id=user_id,
        organization_id=organization_id,
        organization_name="Acorn Partners",
        role=role,
        created_at=NOW,
        ended_at=None,
    )


def build_session(session_hash: bytes = b"\x07" * 32, **given: Any) -> SessionRecord:
    """Ann's session, good for an hour."""
    values: dict[str, Any] = {"user_id": ANN, "created_at": NOW, "expires_at": NOW + 3600}
    return SessionRecord(session_hash=session_hash, **{**values, **given})


def build_device(**given: Any) -> DeviceAuthorizationRecord:
    """A device of Mailloop's that waits for a person."""
    values: dict[str, Any] = {
        "id": GRANT_ID,
        "client_id": MAILLOOP,
        "user_code": "WDJBMJHT",
        "row_secret": ROW_SECRET,
        "scope": ("all.full_access", "offline_access"),
        "resource": (),
        "organization_id": None,
        "is_denied": False,
        "session_hash": None,
        "interval": 5,
        "polled_at": None,
        "expires_at": NOW + 600,
    }
    return DeviceAuthorizationRecord(**{**values, **given})
