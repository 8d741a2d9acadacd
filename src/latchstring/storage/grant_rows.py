"""A grant to a row and back."""

from typing import Any

import msgspec

from latchstring.authorization_server.records import GrantRecord
from latchstring.protocol.confirmation import parse_confirmation, render_confirmation
from latchstring.storage.engine import Row


def write_grant(grant: GrantRecord) -> dict[str, Any]:
    """The row of a grant."""
    row = msgspec.structs.asdict(grant)
    row["scope"] = " ".join(grant.scope)
    row["resource"] = " ".join(grant.resource)
    row["confirmation"] = render_confirmation(grant.confirmation)
    row["written_as"] = None
    return row


def read_grant(row: Row) -> GrantRecord:
    """A grant from its row."""
    return GrantRecord(
        id=row[0],
        client_id=row[1],
        user_id=row[2],
        organization_id=row[3],
        scope=tuple(row[4].split(" ")) if row[4] else (),
        status=row[5],
        redirect_uri=row[6],
        code_challenge=row[7],
        row_secret=row[8],
        generation=row[9],
        created_at=row[10],
        activated_at=row[11],
        rotated_at=row[12],
        retry_count=row[13],
        expires_at=row[14],
        absolute_expires_at=row[15],
        access_revoked_until=row[16],
        ended_at=row[17],
        ended_by=row[18],
        ended_reason=row[19],
        resource=tuple(row[20].split(" ")) if row[20] else (),
        confirmation=parse_confirmation(row[21]),
        authorization_details=row[22],
        authenticated_at=row[23],
        asserted_by=row[24],
        suspended_at=row[25],
        suspended_reason=row[26],
        member_role=row[27],
        taken_over_at=row[28],
        taken_over_from=row[29],
        replaces=row[30],
        acr=row[31],
    )
