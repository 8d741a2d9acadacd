"""An admin's ways, by keyboard, in a narrow window, without JavaScript: connections, members, requests, webhooks, the
organization itself."""

import pytest
from playwright.sync_api import expect

from latchstring.authorization_server.records import GrantRecord, MembershipRecord
from tests.support.inhabited import Inhabited
from tests.support.live import Live

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser"), pytest.mark.timeout(300)]


def find_grants(live: Live, world: Inhabited) -> list[GrantRecord]:
    """Every connection to the organization, the newest first."""
    found = live.do(live.deployment.store.find_grants(user_id=None, organization_id=world.ids["organization_id"]))
    return list(found)


def find_membership(live: Live, world: Inhabited) -> MembershipRecord:
    found = live.do(live.deployment.store.find_membership(world.people["member"], world.ids["organization_id"]))
    assert found is not None
    return found


@pytest.fixture
def admin(walk):
    return walk("admin")


@pytest.fixture
def here(world: Inhabited) -> str:
    return f"/organizations/{world.ids['organization_id']}"


def test_admin_filters_and_disconnects_the_chosen_one(admin, live: Live, world: Inhabited, here: str):
    of_member = [grant.id for grant in find_grants(live, world) if grant.user_id == world.people["member"]]
    admin.open(f"{here}/connections")
    admin.fill("Member’s email", world.ids["email"])
    admin.press("Filter")
    expect(admin.page.get_by_role("listitem").filter(has=admin.page.get_by_role("checkbox"))).to_have_count(
        len(of_member)
    )
    admin.tick("Choose Mailloop of Mia Meyer")
    admin.page.keyboard.press("Enter")  # on a box, it decides nothing
    admin.press("Disconnect the chosen ones")
    admin.expect_said("One connection is disconnected.")
    ended = [grant for grant in find_grants(live, world) if grant.status == "ended"]
    assert [(grant.user_id, grant.ended_by) for grant in ended] == [(world.people["member"], world.people["admin"])]
    admin.follow("Ended")
    expect(admin.page.get_by_text("An admin disconnected it.")).to_be_visible()


def test_admin_exports_what_the_filter_shows(admin, world: Inhabited, here: str):
    admin.open(f"{here}/connections")
    admin.fill("Member’s email", world.ids["email"])
    admin.press("Filter")
    with admin.page.expect_download() as download:
        admin.follow("Export as CSV")
    lines = download.value.path().read_text().splitlines()
    assert len(lines) > 1
    assert all(world.ids["email"] in line for line in lines[1:])


def test_admin_blocks_an_app_and_every_connection_of_it_ends(admin, live: Live, world: Inhabited, here: str):
    admin.open(f"{here}/connections")
    admin.pick("App", "Mail")
    admin.press("Filter")
    admin.unfold("Disconnect Mailloop for everyone")
    admin.press("Disconnect and block")
    admin.expect_said("nobody can connect it again")
    assert {grant.status for grant in find_grants(live, world)} == {"ended"}
    admin.open(f"{here}/apps/{world.ids['client_id']}")
    expect(admin.page.get_by_text("blocked", exact=False).first).to_be_visible()


def test_admin_takes_over_the_connection_of_a_member_who_left(admin, live: Live, world: Inhabited, here: str):
    admin.open(f"{here}/connections")
    admin.unfold("Take over")
    admin.press("Take it over")
    admin.expect_said("From now on it acts for you.")
    left = [grant for grant in find_grants(live, world) if grant.user_id == world.people["leaver"]]
    assert {grant.status for grant in left} <= {"ended"}


def test_admin_suspends_resumes_promotes_and_removes_a_member(admin, live: Live, world: Inhabited, here: str):
    admin.open(f"{here}/members")
    row = admin.page.get_by_role("listitem").filter(has_text=world.ids["email"])

    def press(words: str) -> None:
        admin.reach(row.get_by_role("button", name=words, exact=False).last)
        admin.page.keyboard.press("Enter")

    press("Suspend")
    admin.expect_said("their connections here are paused")
    assert find_membership(live, world).suspended_at is not None
    press("Resume")
    admin.expect_said("so are their connections here")
    assert find_membership(live, world).suspended_at is None
    press("Make an admin")
    admin.expect_said("The role is changed.")
    assert find_membership(live, world).role == "admin"
    admin.reach(row.locator("summary"))
    admin.page.keyboard.press("Enter")
    press("Remove")
    admin.expect_said("The membership has ended.")
    assert find_membership(live, world).ended_at is not None


def test_admin_adds_a_member_by_email(admin, live: Live, world: Inhabited, here: str):
    admin.open(f"{here}/members")
    admin.fill("Email of somebody with an account", "nobody@example.com")
    admin.press("Add", exact=True)
    expect(admin.page.get_by_role("alert")).to_be_visible()
    admin.fill("Email of somebody with an account", world.names.email.format("stranger"))
    admin.press("Add", exact=True)
    admin.expect_said("The member is added.")


def test_admin_unticks_and_approves_the_request(admin, live: Live, world: Inhabited, here: str):
    admin.open(f"{here}/requests")
    admin.tick("Read and change everything")
    admin.page.keyboard.press("Enter")  # on a box, it decides nothing
    admin.page.keyboard.press("Space")
    admin.fill("A word to them", "Welcome")
    admin.press("Approve for Mia Meyer")
    admin.expect_said("Approved.")
    request = live.do(
        live.deployment.services.access_requests.find_own(world.ids["request_id"], world.people["member"])
    )
    assert request is not None
    assert (request.state, request.word) == ("approved", "Welcome")


def test_admin_makes_a_webhook_whose_secret_is_shown_once_and_replays(admin, live: Live, world: Inhabited, here: str):
    admin.open(f"{here}/webhooks")
    admin.fill("Address", "http://hooks.example.com/")
    admin.press("Add it and show its secret")
    expect(admin.page.get_by_role("alert")).to_contain_text("https://")
    admin.fill("Address", "https://hooks.example.com/new")
    admin.press("Add it and show its secret")
    secret = admin.page.locator("#webhook-secret").inner_text()
    assert secret.startswith("whsec_")
    admin.press("Send a test event")
    admin.expect_said("A test event is on its way.")
    assert secret not in admin.page.content()
    admin.open(f"{here}/webhooks/{world.ids['endpoint_id']}")
    admin.unfold("Details")
    admin.press("Send again")
    admin.expect_said("It is on its way again.")


def test_admin_claims_a_domain_and_has_it_looked_for(admin, world: Inhabited, here: str):
    admin.open(f"{here}/publisher")
    admin.press("Look now")
    admin.expect_said("The record is not there yet")
    admin.unfold("Remove")
    admin.press("Remove")
    admin.expect_said("The domain is removed")
    admin.fill("Domain", "looplabs.example")
    admin.press("Add", exact=True)
    expect(admin.page.get_by_role("heading", name="looplabs.example")).to_be_visible()


def test_admin_finds_in_the_history_what_was_done(admin, world: Inhabited, here: str):
    admin.open(f"{here}/events")
    admin.fill("Person", world.ids["email"])
    admin.press("Show", exact=True)
    expect(admin.page.get_by_role("link", name="Show everything")).to_be_visible()
    admin.unfold("Details")
    expect(admin.page.locator("details[open] dl").first).to_be_visible()


def test_admin_says_what_happens_to_leavers_and_closes_the_organization(admin, live: Live, world: Inhabited, here: str):
    def is_open() -> bool:
        organization = live.do(live.deployment.store.find_organization(world.ids["organization_id"]))
        return organization is not None and organization.closed_at is None

    admin.open(here)
    admin.choose("They end after 7 days")
    admin.press("Save")
    admin.expect_said("are saved")
    admin.unfold("Close Acorn Partners")
    admin.fill("To confirm, type its name", "Birch & Co")
    admin.press("Close it")
    expect(admin.page.get_by_role("alert")).to_contain_text("Nothing was changed.")
    assert is_open()
    admin.fill("To confirm, type its name", "Acorn Partners")
    admin.press("Close it")
    admin.expect_heading("is closed")
    assert not is_open()
    assert "active" not in {grant.status for grant in find_grants(live, world)}
