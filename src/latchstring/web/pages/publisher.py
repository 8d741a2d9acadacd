"""An organization's domains: what its admins claim, and the DNS record that shows it."""

from typing import Final

from starlette.responses import Response

from latchstring.authorization_server.ports import Commit
from latchstring.authorization_server.publishers import MAX_DOMAINS, DomainRefused
from latchstring.web.pages.administration import Administration, require_admin
from latchstring.web.pages.page import Page, PageRefused
from latchstring.web.rendering.messages import Text, field_error

_NOTICES: Final = ("domain_verified", "domain_not_found", "domain_ended")


async def show_publisher(page: Page) -> Response:
    """GET /organizations/{organization_id}/publisher."""
    return await _render(page, await require_admin(page))


async def claim_domain(page: Page) -> Response:
    """POST the same: say that a domain is the organization's own. It counts once its DNS record says so."""
    administration = await require_admin(page)
    form = await page.read_form()
    organization_id, entered = administration.organization.organization_id, form.get("domain", "")
    try:
        _, commit = await page.services.publishers.claim(organization_id, entered, origin=page.origin)
    except DomainRefused:
        errors = {"domain": field_error("domain_not_a_name")}
        return await _render(page, administration, entered=entered, errors=errors)
    if commit is Commit.LOST:
        errors = {"domain": field_error("domains_too_many", limit=str(MAX_DOMAINS))}
        return await _render(page, administration, entered=entered, errors=errors)
    return page.redirect(f"/organizations/{organization_id}/publisher")


async def check_domain(page: Page) -> Response:
    """POST …/publisher/{domain}/check: look at its DNS record now."""
    organization_id = (await require_admin(page)).organization.organization_id
    await page.read_form()
    checked = await page.services.publishers.check_now(organization_id, page.request.path_params["domain"])
    if checked is None:
        raise PageRefused("not_found")
    outcome = "domain_verified" if checked.verified_at is not None else "domain_not_found"
    return page.redirect(f"/organizations/{organization_id}/publisher?{outcome}")


async def end_domain(page: Page) -> Response:
    """POST …/publisher/{domain}/forget."""
    organization_id = (await require_admin(page)).organization.organization_id
    await page.read_form()
    await page.services.publishers.end(organization_id, page.request.path_params["domain"], origin=page.origin)
    return page.redirect(f"/organizations/{organization_id}/publisher?domain_ended")


async def _render(
    page: Page, administration: Administration, *, entered: str = "", errors: dict[str, Text] | None = None
) -> Response:
    organization = administration.organization
    domains = await page.services.publishers.find(organization.organization_id)
    notice = next((kind for kind in _NOTICES if kind in page.request.query_params), None)
    context = {
        "organization": {"id": organization.organization_id, "name": organization.name},
        "domains": [
            {
                "name": record.domain,
                "record_name": record.record_name,
                "record_value": record.record_value,
                "verified_at": record.verified_at,
                "checked_at": record.checked_at,
                "failing_since": record.failing_since,
            }
            for record in domains
        ],
        "form": {"domain": entered},
        "errors": errors or {},
        "notice": None if notice is None or errors else (notice, organization.name),
    }
    return page.render("organization_publisher.html", context, 422 if errors else 200)
