"""Consent: one person, one app, one organization, one grant (RFC 6749 §4.1.2)."""

from collections.abc import Sequence

from latchstring.authorization_server.authorization_endpoint import AuthorizationPrompt
from latchstring.authorization_server.identifiers import new_grant_id
from latchstring.authorization_server.ports import Clock, ConsentCommit, Entropy, Store
from latchstring.authorization_server.records import ClientRecord, GrantRecord, MembershipRecord
from latchstring.authorization_server.settings import Settings
from latchstring.authorization_server.tokens import ROW_SECRET_SIZE, TokenCodec


class Consent:
    """Turns a person's Allow into a pending grant and its code."""

    def __init__(self, *, store: Store, codec: TokenCodec, settings: Settings, clock: Clock, entropy: Entropy) -> None:
        self._store = store
        self._codec = codec
        self._settings = settings
        self._clock = clock
        self._entropy = entropy

    async def allow(self, prompt: AuthorizationPrompt, user_id: str, organization_id: str) -> str | ConsentCommit:
        """The code, or why there is none. Membership and the app's reach are checked in the very write, so that
        nothing that ended between page and click slips through."""
        now = self._clock()
        grant = GrantRecord(
            id=new_grant_id(now, self._entropy(12)),
            client_id=prompt.client_id,
            user_id=user_id,
            organization_id=organization_id,
            scope=prompt.scope,
            resource=prompt.resource,
            status="pending",
            redirect_uri=prompt.sent_redirect_uri,
            code_challenge=prompt.code_challenge,
            row_secret=self._entropy(ROW_SECRET_SIZE),
            generation=0,
            created_at=now,
            activated_at=None,
            rotated_at=None,
            retry_count=0,
            expires_at=now + self._settings.code_lifetime,
            absolute_expires_at=None,
            access_revoked_until=0,
            ended_at=None,
            ended_by=None,
            ended_reason=None,
        )
        commit = await self._store.commit_consent(grant, pushed_request_id=prompt.pushed_request_id)
        if commit is not ConsentCommit.CREATED:
            return commit
        return self._codec.render_code(grant.id, grant.row_secret)

    async def decline(self, prompt: AuthorizationPrompt) -> None:
        """A pushed request is answered once, by a No as by a Yes."""
        if prompt.pushed_request_id is not None:
            await self._store.end_pushed_request(prompt.pushed_request_id)


def is_stranger(client: ClientRecord, memberships: Sequence[MembershipRecord]) -> bool:
    """Whether the app is private to an organization of which the person is no member."""
    return not client.is_published and all(
        membership.organization_id != client.organization_id for membership in memberships
    )
