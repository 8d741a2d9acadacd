"""Consent: one person, one app, one organization, one grant (RFC 6749 §4.1.2)."""

import hashlib
from collections.abc import Sequence

import msgspec

from latchstring.authorization_server.answers import Agreed, Answer, AnswerRefusal, decide
from latchstring.authorization_server.authorization_endpoint import AuthorizationPrompt
from latchstring.authorization_server.events import SYSTEM, Origin
from latchstring.authorization_server.identifiers import new_grant_id
from latchstring.authorization_server.login import hash_session
from latchstring.authorization_server.organization_policies import OrganizationPolicies
from latchstring.authorization_server.organization_policy import leave_out, list_asked
from latchstring.authorization_server.ports import Clock, Commit, ConsentCommit, Entropy, Store
from latchstring.authorization_server.receipts import build_receipt
from latchstring.authorization_server.records import (
    ClientRecord,
    DeviceAuthorizationRecord,
    GrantRecord,
    MembershipRecord,
    Role,
)
from latchstring.authorization_server.remembered_consents import (
    build_consent,
    find_agreed,
    find_organization,
    find_recalled,
)
from latchstring.authorization_server.scope_roles import depends_on_role, fingerprint
from latchstring.authorization_server.settings import Settings
from latchstring.authorization_server.tokens import ROW_SECRET_SIZE, TokenCodec
from latchstring.protocol.authorization_request import SEVERAL
from latchstring.protocol.confirmation import Confirmation
from latchstring.protocol.redirect_uri import redirect_host

_encode = msgspec.json.Encoder().encode


class Consent:
    """Turns a person's Allow into a pending grant and its code."""

    def __init__(
        self,
        *,
        store: Store,
        policies: OrganizationPolicies,
        codec: TokenCodec,
        settings: Settings,
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        self._store = store
        self._policies = policies
        self._codec = codec
        self._settings = settings
        self._clock = clock
        self._entropy = entropy

    def new_grant_id(self) -> bytes:
        """A fresh id for the grant that an Allow will make."""
        return new_grant_id(self._clock(), self._entropy(12))

    async def allow(
        self,
        prompt: AuthorizationPrompt,
        client: ClientRecord,
        user_id: str,
        answer: Answer,
        *,
        grant_id: bytes | None = None,
        authenticated_at: int | None = None,
        acr: str | None = None,
        origin: Origin = SYSTEM,
    ) -> str | ConsentCommit | AnswerRefusal:
        """The code, or why there is none. Membership, role, the app's reach and the organization's policy are checked
        in the very write, so that nothing that ended between page and click slips through; an app that registered
        itself gets its row by it. What the organization's admins left out is not granted.

        The question that is answered brings its `grant_id`: the same answer again gets the same code while that is
        worth anything, and no second grant. `authenticated_at` is when the member had signed in, `acr` how.
        """
        if prompt.is_organization_fixed and answer.organization_id != prompt.organization_id:
            return AnswerRefusal.OTHER_ORGANIZATION
        prompt = await self._leave_out(prompt, client, user_id, answer.organization_id)
        agreed = await self._settle(prompt.scope, user_id, answer, has_details=prompt.authorization_details is not None)
        if not isinstance(agreed, Agreed):
            return agreed
        grant = self._build_grant(
            prompt,
            client,
            user_id,
            answer.organization_id,
            agreed,
            grant_id=grant_id,
            authenticated_at=authenticated_at,
            acr=acr,
        )
        commit = await self._store.commit_consent(
            grant,
            rulebook=self._settings.rulebook,
            self_registered=client if client.is_self_registered else None,
            pushed_request_id=prompt.pushed_request_id,
            access_request_id=prompt.access_request_id,
            consent=build_consent(grant, client, declined=agreed.declined, redirect_uri=prompt.redirect_uri),
            role=agreed.role,
            receipt=await self._write_receipt(grant, client, prompt.redirect_uri),
            origin=origin,
        )
        if commit is ConsentCommit.ANSWERED:
            return await self._repeat(grant, grant.created_at)
        if commit is not ConsentCommit.CREATED:
            return commit
        return self._codec.render_code(grant.id, grant.row_secret)

    async def recall(
        self,
        prompt: AuthorizationPrompt,
        client: ClientRecord,
        user_id: str,
        memberships: Sequence[MembershipRecord],
        *,
        authenticated_at: int | None,
        acr: str | None = None,
        origin: Origin = SYSTEM,
    ) -> str | None:
        """The code without a question, where a remembered consent stands in for the answer (`docs/decisions/0020`);
        None where the member is asked. All that an Allow is held to holds, in the very write; so does the consent."""
        organization_id = find_organization(prompt, memberships)
        if organization_id is None or prompt.access_request_id is not None:
            return None
        prompt = await self._leave_out(prompt, client, user_id, organization_id)
        consents = await self._store.find_remembered_consents(client.client_id, user_id)
        recalled = find_recalled(prompt, client, memberships, consents, self._settings, self._clock())
        if recalled is None:
            return None
        answer = Answer(organization_id=recalled.organization_id)
        agreed = await self._settle(find_agreed(prompt.scope, recalled), user_id, answer, has_details=False)
        if not isinstance(agreed, Agreed):
            return None
        agreed = msgspec.structs.replace(agreed, expires_at=recalled.expires_at)
        grant = self._build_grant(
            prompt, client, user_id, recalled.organization_id, agreed, authenticated_at=authenticated_at, acr=acr
        )
        commit = await self._store.commit_consent(
            grant,
            rulebook=self._settings.rulebook,
            pushed_request_id=prompt.pushed_request_id,
            recalled=recalled.grant_id,
            role=agreed.role,
            receipt=await self._write_receipt(grant, client, prompt.redirect_uri, is_remembered=True),
            origin=origin,
        )
        return self._codec.render_code(grant.id, grant.row_secret) if commit is ConsentCommit.CREATED else None

    async def _write_receipt(
        self, grant: GrantRecord, client: ClientRecord, redirect_uri: str | None, *, is_remembered: bool = False
    ) -> str:
        host = "" if redirect_uri is None else redirect_host(redirect_uri)
        return await build_receipt(
            grant, client, self._store, self._settings, redirect_host=host, is_remembered=is_remembered
        )

    async def _settle(
        self, asked: tuple[str, ...], user_id: str, answer: Answer, *, has_details: bool
    ) -> Agreed | AnswerRefusal | ConsentCommit:
        role: Role | None = None
        if depends_on_role(asked, self._settings):
            membership = await self._store.find_membership(user_id, answer.organization_id)
            if membership is None or membership.ended_at is not None:
                return ConsentCommit.MEMBERSHIP_ENDED
            role = membership.role
            if answer.told_roles is not None and fingerprint(answer.organization_id, role) not in answer.told_roles:
                return ConsentCommit.ROLE_CHANGED
        return decide(asked, answer, role, self._settings, self._clock(), has_details=has_details)

    def _build_grant(
        self,
        prompt: AuthorizationPrompt,
        client: ClientRecord,
        user_id: str,
        organization_id: str,
        agreed: Agreed,
        *,
        grant_id: bytes | None = None,
        authenticated_at: int | None,
        acr: str | None,
    ) -> GrantRecord:
        now = self._clock()
        return _new_grant(
            id=grant_id or self.new_grant_id(),
            client_id=client.client_id,
            user_id=user_id,
            organization_id=organization_id,
            scope=agreed.scope,
            resource=prompt.resource,
            confirmation=None if prompt.dpop_jkt is None else Confirmation(jkt=prompt.dpop_jkt),
            redirect_uri=prompt.sent_redirect_uri,
            code_challenge=prompt.code_challenge,
            row_secret=self._entropy(ROW_SECRET_SIZE),
            created_at=now,
            # One of several waits for the others; its code is not shown to anybody before it is issued.
            expires_at=now
            + (
                self._settings.consent_page_lifetime
                if prompt.organization_selection == SEVERAL
                else self._settings.code_lifetime
            ),
            absolute_expires_at=agreed.expires_at,
            authenticated_at=authenticated_at,
            acr=acr,
            authorization_details=prompt.authorization_details,
            replaces=None if prompt.reconnects is None else prompt.reconnects[0],
        )

    async def _leave_out(
        self, prompt: AuthorizationPrompt, client: ClientRecord, user_id: str, organization_id: str
    ) -> AuthorizationPrompt:
        """The request without what the organization's admins approved the app without."""
        asked = list_asked(prompt.scope, prompt.authorization_details)
        left_out = await self._policies.find_left_out(client.client_id, user_id, organization_id, asked)
        scope, details = leave_out(prompt.scope, prompt.authorization_details, left_out)
        return msgspec.structs.replace(prompt, scope=scope, authorization_details=details)

    async def _repeat(self, asked: GrantRecord, now: int) -> str | ConsentCommit:
        made = await self._store.find_grant(asked.id)
        is_same = made is not None and (made.client_id, made.user_id, made.organization_id) == (
            asked.client_id,
            asked.user_id,
            asked.organization_id,
        )
        if made is None or not is_same or made.status != "pending" or (made.expires_at or 0) <= now:
            return ConsentCommit.ANSWERED
        return self._codec.render_code(made.id, made.row_secret)

    async def allow_device(
        self,
        device: DeviceAuthorizationRecord,
        client: ClientRecord,
        user_id: str,
        answer: Answer,
        *,
        cookie: str,
        authenticated_at: int | None,
        acr: str | None = None,
        origin: Origin = SYSTEM,
    ) -> ConsentCommit | AnswerRefusal:
        """The same for a device, by the browser in which its code was entered: the grant takes over the request's id
        and row secret, so that the device code is good for it (`docs/decisions/0012`)."""
        asked = list_asked(device.scope)
        left_out = await self._policies.find_left_out(device.client_id, user_id, answer.organization_id, asked)
        scope, _ = leave_out(device.scope, None, left_out)
        agreed = await self._settle(scope, user_id, answer, has_details=False)
        if not isinstance(agreed, Agreed):
            return agreed
        now = self._clock()
        grant = _new_grant(
            id=device.id,
            client_id=device.client_id,
            user_id=user_id,
            organization_id=answer.organization_id,
            scope=agreed.scope,
            resource=device.resource,
            redirect_uri=None,
            code_challenge=None,
            row_secret=device.row_secret,
            created_at=now,
            # A person who answers at the last moment is not told in vain that the device will notice.
            expires_at=max(device.expires_at, now + self._settings.code_lifetime),
            absolute_expires_at=agreed.expires_at,
            authenticated_at=authenticated_at,
            acr=acr,
        )
        consent = build_consent(grant, client, declined=agreed.declined, redirect_uri=None)
        return await self._store.commit_device_consent(
            grant,
            session_hash=hash_session(cookie),
            now=now,
            consent=consent,
            role=agreed.role,
            receipt=await self._write_receipt(grant, client, None),
            origin=origin,
            rulebook=self._settings.rulebook,
        )

    async def issue_codes(self, grant_ids: Sequence[bytes], user_id: str) -> list[str]:
        """The codes of the user's grants that still wait, good from now on; none for one that has ended."""
        now = self._clock()
        issued = await self._store.issue_codes(
            grant_ids, user_id=user_id, now=now, expires_at=now + self._settings.code_lifetime
        )
        return [self._codec.render_code(grant_id, row_secret) for grant_id, row_secret in issued]

    async def decline_device(self, device: DeviceAuthorizationRecord, cookie: str) -> Commit:
        """A No, which the device is told at its next poll."""
        return await self._store.deny_device_authorization(
            device.id, session_hash=hash_session(cookie), now=self._clock()
        )

    async def decline(self, prompt: AuthorizationPrompt) -> None:
        """A pushed request is answered once, by a No as by a Yes."""
        if prompt.pushed_request_id is not None:
            await self._store.end_pushed_request(prompt.pushed_request_id)


def _new_grant(
    *,
    id: bytes,
    client_id: str,
    user_id: str,
    organization_id: str,
    scope: tuple[str, ...],
    resource: tuple[str, ...],
    redirect_uri: str | None,
    code_challenge: str | None,
    row_secret: bytes,
    created_at: int,
    expires_at: int,
    authenticated_at: int | None,
    acr: str | None,
    absolute_expires_at: int | None = None,
    confirmation: Confirmation | None = None,
    authorization_details: str | None = None,
    replaces: bytes | None = None,
) -> GrantRecord:
    return GrantRecord(
        id=id,
        client_id=client_id,
        user_id=user_id,
        organization_id=organization_id,
        scope=scope,
        resource=resource,
        confirmation=confirmation,
        status="pending",
        redirect_uri=redirect_uri,
        code_challenge=code_challenge,
        row_secret=row_secret,
        generation=0,
        created_at=created_at,
        activated_at=None,
        rotated_at=None,
        retry_count=0,
        expires_at=expires_at,
        absolute_expires_at=absolute_expires_at,
        access_revoked_until=0,
        ended_at=None,
        ended_by=None,
        ended_reason=None,
        authenticated_at=authenticated_at,
        acr=acr,
        authorization_details=authorization_details,
        replaces=replaces,
    )


def render_version(client: ClientRecord) -> bytes:
    """What the person was told of the app, and what the answer rests on, in 16 bytes: asked again if it changes."""
    told = (client.name, client.description, client.redirect_uris, client.scope, client.token_endpoint_auth_method)
    links = (client.terms_uri, client.policy_uri, client.client_uri)
    return hashlib.sha256(_encode((told, links, client.security))).digest()[:16]


def is_stranger(client: ClientRecord, memberships: Sequence[MembershipRecord]) -> bool:
    """Whether the app is private to an organization of which the person is no member."""
    return not client.is_published and all(
        membership.organization_id != client.organization_id for membership in memberships
    )


def is_vouched_for(client: ClientRecord, memberships: Sequence[MembershipRecord]) -> bool:
    """Whether somebody answers for where the app's redirect URIs lead: the operator, who publishes, or, for a member
    of the app's owner, that organization (RFC 9700 §4.11.2). Nobody does for an app that registered itself."""
    return client.organization_id is not None and not is_stranger(client, memberships)
