"""The domains that an organization says are its own."""

from typing import Annotated, Final

import msgspec

from latchstring.authorization_server.api_scopes import ORGANIZATION_MANAGE, ORGANIZATION_READ
from latchstring.authorization_server.ports import Commit
from latchstring.authorization_server.publishers import MAX_DOMAINS, DomainRefused, PublisherDomainRecord
from latchstring.web.api.operation import Call, Listed, Nothing, Operation, refuse_conflict, refuse_unknown
from latchstring.web.asgi import FieldRefused

_AT: Final = "/organizations/{organization_id}/publisher/domains"
_ONE: Final = f"{_AT}/{{domain}}"


class PublisherDomain(msgspec.Struct, frozen=True, kw_only=True):
    """A domain, the DNS record that shows it to be the organization's, and since when it was found."""

    domain: str
    record_name: str
    record_value: str
    claimed_at: int
    verified_at: int | None
    checked_at: int | None
    failing_since: int | None


class NewDomain(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A domain name."""

    domain: Annotated[str, msgspec.Meta(max_length=300)]


async def list_domains(call: Call, asked: Nothing) -> Listed[PublisherDomain]:
    """List the domains that the organization says are its own."""
    found = await call.services.publishers.find(call.organization_id)
    return Listed(items=[_describe(record) for record in found])


async def claim_domain(call: Call, asked: NewDomain) -> PublisherDomain:
    """Say that a domain is the organization's own. It counts once its DNS record says so."""
    publishers = call.services.publishers
    try:
        domain, commit = await publishers.claim(call.organization_id, asked.domain, origin=call.origin)
    except DomainRefused:
        raise FieldRefused("domain", "This is no domain name.") from None
    if commit is Commit.LOST:
        raise refuse_conflict(f"There are {MAX_DOMAINS} domains already, or the organization is gone.")
    claimed = {record.domain: record for record in await publishers.find(call.organization_id)}.get(domain)
    if claimed is None:
        raise refuse_conflict("The domain was removed by somebody else.")
    return _describe(claimed)


async def check_domain(call: Call, asked: Nothing) -> PublisherDomain:
    """Look at the domain's DNS record now."""
    checked = await call.services.publishers.check_now(call.organization_id, call.path["domain"])
    if checked is None:
        raise refuse_unknown("domain")
    return _describe(checked)


async def forget_domain(call: Call, asked: Nothing) -> None:
    """Remove a domain. Its mark is gone when this answers."""
    ended = await call.services.publishers.end(call.organization_id, call.path["domain"], origin=call.origin)
    if ended is Commit.LOST:
        raise refuse_unknown("domain")


def _describe(record: PublisherDomainRecord) -> PublisherDomain:
    return PublisherDomain(
        domain=record.domain,
        record_name=record.record_name,
        record_value=record.record_value,
        claimed_at=record.claimed_at,
        verified_at=record.verified_at,
        checked_at=record.checked_at,
        failing_since=record.failing_since,
    )


OPERATIONS: Final = (
    Operation("GET", _AT, ORGANIZATION_READ, list_domains),
    Operation("POST", _AT, ORGANIZATION_MANAGE, claim_domain, status=201),
    Operation("POST", f"{_ONE}/check", ORGANIZATION_MANAGE, check_domain),
    Operation("DELETE", _ONE, ORGANIZATION_MANAGE, forget_domain),
)
