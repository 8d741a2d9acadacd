"""What a member keeps of a consent: who may do what, for whom, since when, until when and under which terms, as they
were told at the time."""

from collections.abc import Sequence

import msgspec

from latchstring.authorization_server.ports import Store
from latchstring.authorization_server.records import ClientRecord, GrantRecord
from latchstring.authorization_server.registration import find_document_host, find_own_links
from latchstring.authorization_server.settings import Settings
from latchstring.protocol.scope import OFFLINE_ACCESS


class ReceiptScope(msgspec.Struct, frozen=True, kw_only=True):
    """A scope in the words that the deployment had for it."""

    name: str
    title: str = ""
    description: str = ""
    risk: str = "medium"


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """One consent as it was given. `is_remembered` is for one that an earlier answer stood in for."""

    app_name: str
    publisher: str
    redirect_host: str
    terms_uri: str | None
    policy_uri: str | None
    organization_name: str
    member_name: str
    member_email: str
    scopes: tuple[ReceiptScope, ...]
    is_offline: bool
    authorization_details: str | None
    given_at: int
    ends_at: int | None
    is_remembered: bool


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Receipt).decode


async def build_receipt(
    grant: GrantRecord,
    client: ClientRecord,
    store: Store,
    settings: Settings,
    *,
    redirect_host: str,
    is_remembered: bool,
) -> str:
    """The receipt of a consent that is about to be written, as JSON."""
    organization = await store.find_organization(grant.organization_id)
    user = await store.find_user(grant.user_id)
    owner = None if client.organization_id is None else await store.find_organization(client.organization_id)
    terms_uri, policy_uri = find_own_links(client)
    receipt = Receipt(
        app_name=client.name,
        publisher=(find_document_host(client.public_id) or "") if owner is None else owner.name,
        redirect_host=redirect_host,
        terms_uri=terms_uri,
        policy_uri=policy_uri,
        organization_name="" if organization is None else organization.name,
        member_name="" if user is None else user.name,
        member_email="" if user is None else user.email,
        scopes=tuple(_list_scopes(grant.scope, settings)),
        is_offline=OFFLINE_ACCESS in grant.scope,
        authorization_details=grant.authorization_details,
        given_at=grant.created_at,
        ends_at=grant.absolute_expires_at,
        is_remembered=is_remembered,
    )
    return _encode(receipt).decode()


def read_receipt(text: str) -> Receipt:
    """The receipt as it was kept."""
    return _decode(text)


def _list_scopes(scope: Sequence[str], settings: Settings) -> list[ReceiptScope]:
    known = [(value, settings.scopes[value]) for value in scope if value in settings.scopes]
    return [
        ReceiptScope(name=name, title=told.title, description=told.description, risk=told.risk) for name, told in known
    ]
