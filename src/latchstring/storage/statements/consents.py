"""Remembered consents: what a member agreed to, of one app for one organization."""

from typing import Any, Final

from sqlalchemy import and_, bindparam, delete, insert, or_, select, update

from latchstring.storage.schema import consent_receipt, grant, remembered_consent
from latchstring.storage.statements.statement import BIGINT, Insert, define, define_insert

_KEY: Final = ("client_id", "user_id", "organization_id")


def _remember(insert: Insert) -> Any:
    statement = insert(remembered_consent).values({c.name: bindparam(c.name) for c in remembered_consent.columns})
    told = {c.name: statement.excluded[c.name] for c in remembered_consent.columns if c.name not in _KEY}
    return statement.on_conflict_do_update(index_elements=_KEY, set_=told)


REMEMBER_CONSENT = define_insert("remember_consent", _remember)
FIND_REMEMBERED_CONSENTS = define(
    "find_remembered_consents",
    select(remembered_consent)
    .where(
        remembered_consent.c.client_id == bindparam("client_id"), remembered_consent.c.user_id == bindparam("user_id")
    )
    .order_by(remembered_consent.c.organization_id),
)
_of_consent = and_(
    remembered_consent.c.client_id == bindparam("of_client"),
    remembered_consent.c.user_id == bindparam("of_user"),
    remembered_consent.c.organization_id == bindparam("of_organization"),
)
# That very answer of the member's, not a later one: waited for by whoever takes it back.
LOCK_REMEMBERED_CONSENT = define(
    "lock_remembered_consent",
    select(remembered_consent.c.grant_id)
    .where(
        _of_consent,
        remembered_consent.c.grant_id == bindparam("seen_grant_id"),
        or_(
            remembered_consent.c.expires_at.is_(None), remembered_consent.c.expires_at > bindparam("now", type_=BIGINT)
        ),
    )
    .with_for_update(),
)
NOTE_REMEMBERED_CONSENT = define(
    "note_remembered_consent", update(remembered_consent).where(_of_consent).values(last_at=bindparam("now"))
)
INSERT_RECEIPT = define("insert_receipt", insert(consent_receipt))
FIND_RECEIPT = define(
    "find_receipt", select(consent_receipt.c.receipt).where(consent_receipt.c.grant_id == bindparam("grant_id"))
)
# Behind the sweep of the grants, stretch by stretch.
SWEEP_RECEIPTS = define(
    "sweep_receipts",
    delete(consent_receipt).where(
        consent_receipt.c.grant_id > bindparam("position"),
        consent_receipt.c.grant_id <= bindparam("end"),
        ~select(grant.c.id).where(grant.c.id == consent_receipt.c.grant_id).exists(),
    ),
)
FORGET_CONSENT = define("forget_consent", delete(remembered_consent).where(_of_consent))
FORGET_CONSENTS_OF_CLIENT = define(
    "forget_consents_of_client",
    delete(remembered_consent).where(remembered_consent.c.client_id == bindparam("of_client")),
)
FORGET_CONSENTS_OF_APP = define(
    "forget_consents_of_app",
    delete(remembered_consent).where(
        remembered_consent.c.client_id == bindparam("of_client"),
        remembered_consent.c.organization_id == bindparam("of_organization"),
    ),
)
FORGET_CONSENTS_OF_USER = define(
    "forget_consents_of_user", delete(remembered_consent).where(remembered_consent.c.user_id == bindparam("of_user"))
)
FORGET_CONSENTS_OF_MEMBERSHIP = define(
    "forget_consents_of_membership",
    delete(remembered_consent).where(
        remembered_consent.c.user_id == bindparam("of_user"),
        remembered_consent.c.organization_id == bindparam("of_organization"),
    ),
)
