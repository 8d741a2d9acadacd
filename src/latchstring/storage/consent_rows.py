"""Remembered consents as rows, and back."""

from typing import Any

import msgspec

from latchstring.authorization_server.records import ConsentRecord
from latchstring.storage.engine import Row


def write_consent(consent: ConsentRecord) -> dict[str, Any]:
    """The row of a remembered consent."""
    row = msgspec.structs.asdict(consent)
    for name in ("scope", "declined_scope", "resource"):
        row[name] = " ".join(row[name])
    return row


def read_consent(row: Row) -> ConsentRecord:
    """The remembered consent of a row."""
    return ConsentRecord(
        client_id=row[0],
        user_id=row[1],
        organization_id=row[2],
        scope=tuple(row[3].split()),
        declined_scope=tuple(row[4].split()),
        resource=tuple(row[5].split()),
        details_digest=None if row[6] is None else bytes(row[6]),
        app_name=row[7],
        publisher=row[8],
        redirect_host=row[9],
        grant_id=bytes(row[10]),
        given_at=row[11],
        last_at=row[12],
        expires_at=row[13],
    )
