"""A member's ways, by keyboard, in a narrow window, without JavaScript: disconnecting, a device, the account, the mail
that brings back a forgotten password."""

import re
from base64 import b32decode

import pytest
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP
from playwright.sync_api import expect

from tests.support import device
from tests.support.deployment import PASSWORD
from tests.support.inhabited import Inhabited, read_link
from tests.support.live import Live
from tests.support.walking import Walker

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser"), pytest.mark.timeout(300)]

NEW_PASSWORD = "another good password"


def count_live(live: Live, world: Inhabited) -> int:
    """How many connections of the member's there are."""
    grants = live.do(live.deployment.store.find_grants(user_id=world.people["member"], organization_id=None))
    return sum(grant.status == "active" for grant in grants)


def sign_in(walker: Walker, world: Inhabited, password: str = PASSWORD) -> None:
    walker.open("/sign-in")
    walker.fill("Email address", world.ids["email"])
    walker.fill("Password", password)
    walker.press("Sign in", exact=True)


def test_member_disconnects_one_and_then_the_app_everywhere(walk, live: Live, world: Inhabited):
    before = count_live(live, world)
    mia = walk("member")
    mia.open("/connections")
    mia.press("Disconnect Mailloop from Birch & Co")
    mia.expect_said("Mailloop is disconnected")
    assert count_live(live, world) == before - 1
    mia.press("Disconnect Mailloop everywhere")
    mia.expect_said("Mailloop is disconnected")
    assert count_live(live, world) == 0
    expect(mia.page.get_by_text("no app can reach your data")).to_be_visible()


def test_member_reads_the_receipt_and_takes_it_along(walk, world: Inhabited):
    mia = walk("member")
    mia.open("/connections")
    mia.follow("Receipt for Mailloop in Acorn Partners")
    mia.expect_heading("Receipt for Mailloop")
    with mia.page.expect_download() as download:
        mia.follow("Download")
    text = download.value.path().read_text()
    assert "Acorn Partners" in text


def test_member_connects_a_device(walk, live: Live, world: Inhabited):
    codes = live.do(device.ask(live.http(), world.apps["own"]))
    mia = walk("member")
    mia.open("/device")
    mia.fill("Code on your device", codes["user_code"].lower())
    mia.press("Continue")
    mia.choose("Acorn Partners")
    mia.press("Allow")
    mia.expect_heading("You can go back to your device")
    answer = live.do(device.poll(live.http(), world.apps["own"], codes["device_code"]))
    assert answer.json()["organization_id"] == world.ids["organization_id"]


def test_member_turns_on_the_authenticator_app_and_signs_in_with_both_halves(walk, live: Live, world: Inhabited):
    mia = walk("member")
    mia.open("/account")
    mia.reach(mia.page.locator("#factor_password"))
    mia.page.keyboard.type(PASSWORD)
    mia.press("Set it up")
    expect(mia.page.locator(".qr svg")).to_be_visible()
    secret = b32decode(mia.page.locator("#typed-secret").inner_text().replace(" ", ""))

    def make_code() -> str:
        live.deployment.clock.advance(30)
        totp = TOTP(secret, 6, SHA1(), 30, enforce_key_length=False)
        return totp.generate(live.deployment.clock.now).decode()

    mia.fill("Code", "000000")
    mia.press("Turn it on")
    expect(mia.page.get_by_text("This code does not fit.")).to_be_visible()
    mia.fill("Code", make_code())
    mia.press("Turn it on")
    expect(mia.page.get_by_role("heading", name="Keep these recovery codes now")).to_be_visible()
    codes = mia.page.locator("#recovery-codes").inner_text().split()
    assert len(codes) == 10
    mia.press("Sign out")
    mia.expect_heading("You are signed out")

    sign_in(mia, world)
    mia.expect_heading("Enter your code")
    mia.page.keyboard.type(make_code())
    mia.page.keyboard.press("Enter")
    mia.expect_heading("Connections")
    mia.press("Sign out")
    mia.expect_heading("You are signed out")
    sign_in(mia, world)
    mia.expect_heading("Enter your code")
    mia.page.keyboard.type(codes[0])
    mia.page.keyboard.press("Enter")
    mia.expect_heading("Connections")
    mia.open("/account")
    expect(mia.page.locator("dd").filter(has_text=re.compile("^9$"))).to_be_visible()


def test_member_changes_the_password_and_is_signed_out_elsewhere(walk, world: Inhabited):
    mia, elsewhere = walk("member"), walk("member")
    mia.open("/account")
    mia.fill("Password now", PASSWORD)
    mia.fill("New password", NEW_PASSWORD)
    mia.press("Change the password")
    mia.expect_said("Your password is changed.")
    elsewhere.open("/account")
    elsewhere.expect_heading("Sign in")
    mia.open("/account")
    mia.expect_heading("My account")


def test_member_forgets_the_password_and_the_mail_brings_another(walk, live: Live, world: Inhabited):
    mia = walk()
    mia.open("/sign-in")
    mia.follow("Forgotten password?")
    mia.expect_heading("Forgotten password")
    mia.page.keyboard.type(world.ids["email"])
    mia.page.keyboard.press("Enter")
    mia.expect_heading("Look into your mail")
    live.do(live.deployment.services.background.finish())
    mia.open(live.do(read_link(live.deployment, "/reset/")))
    mia.expect_heading("Choose a new password")
    mia.page.keyboard.type(NEW_PASSWORD)
    mia.page.keyboard.press("Enter")
    mia.expect_heading("Your password is changed")
    sign_in(mia, world, NEW_PASSWORD)
    mia.expect_heading("Connections")
