"""A developer's and an operator's ways, by keyboard, in a narrow window, without JavaScript: an app and its secrets,
its way into the directory, and the operator's hand on people, organizations and apps."""

import pytest
from playwright.sync_api import expect

from tests.support.inhabited import Inhabited
from tests.support.live import Live

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser"), pytest.mark.timeout(300)]


def test_developer_registers_an_app_and_changes_its_secret_without_a_gap(walk, live: Live, world: Inhabited):
    ada = walk("admin")
    ada.open("/apps")
    ada.follow("New app")
    ada.fill("Name", "Shelfware")
    ada.fill("Redirect URIs", "http://shelfware.example/callback")
    ada.press("Register the app")
    expect(ada.page.get_by_role("alert")).to_contain_text("needs your attention")
    ada.fill("Redirect URIs", "https://shelfware.example/callback")
    ada.press("Register the app")
    first = ada.page.locator("#client-secret").inner_text()
    client_id = ada.page.locator("#client-id").inner_text()
    ada.unfold("Add a secret")
    ada.fill("What do you call it?", "Server in Frankfurt")
    ada.press("Add a secret")
    expect(ada.page.locator("#client-secret")).not_to_have_text(first)
    second = ada.page.locator("#client-secret").inner_text()
    assert first not in ada.page.content()
    ada.unfold("Retire now")
    ada.press("Retire now")
    ada.expect_said("is retired")
    form = {"grant_type": "refresh_token", "refresh_token": "none", "client_id": client_id}
    answers = [
        live.do(live.http().post("/oauth2/token/", data={**form, "client_secret": secret})).json()["error"]
        for secret in (first, second)
    ]
    assert sorted(answers) == ["invalid_client", "invalid_grant"]


def test_developer_asks_for_a_review_and_the_operator_publishes(walk, live: Live, world: Inhabited):
    ada, olga = walk("admin"), walk("operator")
    ada.open(f"/apps/{world.ids['client_id']}")
    expect(ada.page.get_by_text("In review")).to_be_visible()
    olga.open("/operator/reviews")
    olga.reach(olga.page.locator(f"form[action$='{world.ids['client_id']}'] button[value=approve]"))
    olga.page.keyboard.press("Enter")
    olga.expect_said("The app is published.")
    ada.open("/directory")
    ada.fill("Search", world.names.app)
    ada.press("Search")
    expect(ada.page.get_by_role("heading", name=world.names.app)).not_to_have_count(0)
    ada.open(f"/apps/{world.ids['client_id']}")
    expect(ada.page.get_by_text("Listed").first).to_be_visible()


def test_operator_disables_a_person_suspends_an_app_and_reads_it_in_the_history(walk, live: Live, world: Inhabited):
    olga, mia = walk("operator"), walk("member")
    olga.open("/operator")
    olga.fill("Email or id", world.ids["email"])
    olga.press("Find")
    olga.unfold("Disable")
    olga.press("Disable")
    olga.expect_said("Done.")
    mia.open("/connections")
    mia.expect_heading("Sign in")
    olga.open("/operator")
    olga.fill("Email or id", world.ids["client_id"])
    olga.press("Find")
    olga.unfold("Suspend")
    olga.fill("Why, for the app’s developer", "It sends spam.")
    olga.press("Suspend")
    olga.expect_said("Done.")
    expect(olga.page.get_by_text("It sends spam.")).to_be_visible()
    olga.open("/operator/events")
    expect(olga.page.locator("strong").filter(has_text="App suspended").first).to_be_visible()


def test_operators_pages_are_not_there_for_a_member(walk, world: Inhabited):
    mia = walk("member")
    for path in ("/operator", "/operator/reviews", "/operator/events"):
        mia.open(path)
        mia.expect_heading("There is nothing at this address")
