"""The grants of a deployment that has been used for long: made in the order in which they came to be."""

import os
import random
from collections.abc import Iterator
from typing import Final

import msgspec

from bench.deployment import REDIRECT_URI, SCOPE, Deployment
from latchstring.authorization_server.identifiers import new_grant_id
from latchstring.authorization_server.records import GrantRecord, GrantStatus
from latchstring.authorization_server.tokens import ROW_SECRET_SIZE

_DAY: Final = 24 * 3600
# The oldest grant's age, and how long a refresh token lasts when it is not used.
AGE: Final = 400 * _DAY
_IDLE_LIFETIME: Final = 180 * _DAY
_CLIENTS: Final = 50
# Users of each of whom there are so many grants; organizations of so many users.
_GRANTS_EACH: Final = 3
_USERS_EACH: Final = 20
# Of a hundred grants: those that have ended long ago, or whose code nobody redeemed, may be swept away.
_ENDED_LONG_AGO: Final = 4
_NEVER_REDEEMED: Final = 1
_ENDED_LATELY: Final = 4
_SUSPENDED: Final = 1
_DEAD: Final = _ENDED_LONG_AGO + _NEVER_REDEEMED + _ENDED_LATELY
SWEEPABLE: Final = (_ENDED_LONG_AGO + _NEVER_REDEEMED) / 100


class Sample(msgspec.Struct):
    """What the current tokens of a grant are rendered from; `generation` goes up with each refresh."""

    grant_id: bytes
    row_secret: bytes
    generation: int


class Population:
    """So many grants, one after the other; some active ones of the deployment's own client are kept as a sample."""

    def __init__(self, deployment: Deployment, count: int, now: int, samples: int) -> None:
        self.samples: list[Sample] = []
        self._deployment = deployment
        self._count = count
        self._now = now
        self._wanted = samples
        self._random = random.Random(count)

    def __iter__(self) -> Iterator[GrantRecord]:
        clients = [self._deployment.client_id, *(f"oa2client_{number:022d}" for number in range(1, _CLIENTS))]
        share = (
            self._wanted / self._count * 100 / (100 - _ENDED_LONG_AGO - _NEVER_REDEEMED - _ENDED_LATELY - _SUSPENDED)
        )
        for number in range(self._count):
            created_at = self._now - _DAY - AGE + AGE * number // self._count
            is_sample = self._random.random() < share
            grant = self._make(number, created_at, clients[0 if is_sample else self._random.randrange(_CLIENTS)])
            if is_sample and grant.status == "active":
                self.samples.append(Sample(grant.id, grant.row_secret, grant.generation))
            yield grant

    def _make(self, number: int, created_at: int, client_id: str) -> GrantRecord:
        chance = self._random
        user = chance.randrange(self._count // _GRANTS_EACH + 1)
        kind = number % 100
        status: GrantStatus = "active"
        ended_at = None
        rotated_at = self._now - chance.randrange(min(_IDLE_LIFETIME // 2, self._now - created_at))
        if kind < _ENDED_LONG_AGO + _ENDED_LATELY:
            status = "ended"
            is_old = kind < _ENDED_LONG_AGO
            ended_at = self._now - (200 if is_old else 10) * _DAY
            created_at = min(created_at, ended_at - _DAY)
            rotated_at = ended_at - _DAY
        elif kind < _ENDED_LONG_AGO + _ENDED_LATELY + _SUSPENDED:
            status = "suspended"
        elif kind < _ENDED_LONG_AGO + _ENDED_LATELY + _SUSPENDED + _NEVER_REDEEMED:
            status = "pending"
        is_pending = status == "pending"
        return GrantRecord(
            id=new_grant_id(created_at, os.urandom(12)),
            client_id=client_id,
            user_id=f"user_{user:022d}",
            organization_id=f"orga_{user // _USERS_EACH:022d}",
            scope=SCOPE,
            status=status,
            redirect_uri=REDIRECT_URI,
            code_challenge="c" * 43,
            row_secret=os.urandom(ROW_SECRET_SIZE),
            generation=0 if is_pending else 1 + chance.randrange(2000),
            created_at=created_at,
            activated_at=None if is_pending else created_at + 5,
            rotated_at=None if is_pending else rotated_at,
            retry_count=0,
            expires_at=created_at + 60 if is_pending else rotated_at + _IDLE_LIFETIME,
            absolute_expires_at=None,
            access_revoked_until=0,
            ended_at=ended_at,
            ended_by=f"user_{user:022d}" if ended_at else None,
            ended_reason="user_disconnected" if ended_at else None,
            authenticated_at=created_at - 30,
        )
