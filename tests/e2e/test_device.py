"""The device grant in a real Chromium, on a phone beside the device that shows the code (RFC 8628)."""

import re

import httpx
import pytest
from playwright.sync_api import expect

from tests.e2e.test_browser import (  # the fixtures among them are used by name
    PHONE,
    Visitor,
    ann,  # noqa: F401
    demo,  # noqa: F401
    invite,  # noqa: F401
)
from tests.support.device import ENDPOINT, GRANT_TYPE
from tests.support.process import QuickOperator

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser"), pytest.mark.timeout(300)]


class Television:
    """A device: it shows a code and polls."""

    def __init__(self, server: str, client_id: str) -> None:
        self.server = server
        self.client = {"client_id": client_id}
        answer = httpx.post(f"{server}{ENDPOINT}", data=self.client, timeout=60)
        assert answer.status_code == 200, answer.text
        self.codes = answer.json()
        self.user_code: str = self.codes["user_code"]

    def poll(self) -> httpx.Response:
        asked = {**self.client, "grant_type": GRANT_TYPE, "device_code": self.codes["device_code"]}
        return httpx.post(f"{self.server}/oauth2/token/", data=asked, timeout=60)

    def error(self) -> str:
        answer = self.poll()
        assert answer.status_code == 400, answer.text
        return str(answer.json()["error"])


@pytest.fixture(scope="module")
def client_id(demo) -> str:  # noqa: F811
    """A published app of Birch & Co's for devices."""
    birch = demo.state.organizations[1].organization_id
    options = ("--public", "--published", "--grant-type", GRANT_TYPE, "--grant-type", "refresh_token")
    operator = QuickOperator(demo.directory, demo.database)
    created = operator.ask("client", "create", "--organization", birch, "--name", "Loop TV", *options)
    return str(created["client_id"])


@pytest.fixture
def television(demo, client_id) -> Television:  # noqa: F811
    return Television(demo.server, client_id)


def enter(visitor: Visitor, user_code: str) -> None:
    """Type the code and go on."""
    visitor.page.get_by_label("Code on your device").fill(user_code)
    visitor.press("Continue")


@pytest.mark.parametrize("scripts", [True, False], ids=["with-scripts", "without-scripts"])
def test_device_is_connected_to_the_second_organization_on_a_phone(invite, demo, television, scripts):  # noqa: F811
    """D1, D2, A25: typed small and without the hyphen, after a sign-in on the way."""
    ann = invite(java_script_enabled=scripts, is_mobile=True, has_touch=True, device_scale_factor=2)  # noqa: F811
    ann.page.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})
    assert television.error() == "authorization_pending"
    ann.page.goto(television.codes["verification_uri"])
    ann.sign_in("ann")
    expect(ann.page.get_by_role("heading", name="Connect a device")).to_be_visible()
    expect(ann.page.get_by_label("Code on your device")).to_be_focused() if scripts else None
    enter(ann, television.user_code.lower().replace("-", ""))

    main = ann.page.get_by_role("main")
    expect(main).to_contain_text("Loop TV wants to connect to Northwind CRM")
    expect(main).to_contain_text("by Birch & Co")
    expect(main).to_contain_text(television.user_code)
    expect(main).to_contain_text("Allow only if you have just started this on a device of your own")
    radios = ann.page.get_by_role("radio")
    expect(radios).to_have_count(2)
    for radio in radios.all():
        expect(radio).not_to_be_checked()
    ann.page.get_by_role("radio", name="Birch & Co").check()
    ann.press("Allow")
    expect(ann.page.get_by_role("heading", name="You can go back to your device")).to_be_visible()
    expect(main).to_contain_text("Loop TV may now reach Birch & Co.")

    tokens = television.poll()
    assert tokens.status_code == 200, tokens.text
    assert tokens.json()["organization_id"] == demo.state.organizations[1].organization_id
    ann.page.get_by_role("link", name="Your connections").click()
    expect(ann.page.get_by_role("main")).to_contain_text("Loop TV")
    ann.press("Disconnect Loop TV from Birch & Co")
    expect(ann.page.get_by_role("status")).to_contain_text("Loop TV")
    refused = httpx.post(
        f"{demo.server}/oauth2/token/",
        data={**television.client, "grant_type": "refresh_token", "refresh_token": tokens.json()["refresh_token"]},
        timeout=60,
    )
    assert refused.json()["error"] == "invalid_grant"


def test_wrong_code_is_told_and_the_right_one_can_be_declined(ann, television):  # noqa: F811
    """D2, D3."""
    ann.open("/device")
    wrong = television.user_code[:-1] + ("B" if television.user_code[-1] != "B" else "C")
    enter(ann, wrong)
    expect(ann.page.get_by_role("alert")).to_contain_text("No device is waiting with this code")
    expect(ann.page.get_by_label("Code on your device")).to_have_value(wrong)
    expect(ann.page.get_by_label("Code on your device")).to_be_focused()
    enter(ann, television.user_code)
    ann.press("Decline")
    expect(ann.page.get_by_role("heading", name="You declined")).to_be_visible()
    assert television.error() == "access_denied"


def test_complete_address_fills_in_the_code_and_another_browser_is_shut_out(ann, invite, television):  # noqa: F811
    """D4, D6."""
    ann.page.goto(television.codes["verification_uri_complete"])
    ann.sign_in("ann")
    field = ann.page.get_by_label("Code on your device")
    expect(field).to_have_value(television.user_code)
    expect(ann.page.get_by_role("main")).not_to_contain_text("Loop TV")
    field.press("Enter")
    expect(ann.page.get_by_role("heading", level=1)).to_contain_text("Loop TV wants to connect")

    ben = invite()
    ben.page.goto(television.codes["verification_uri_complete"])
    ben.sign_in("ben")
    ben.press("Continue")
    expect(ben.page.get_by_role("alert")).to_contain_text("No device is waiting with this code")
    assert television.error() == "authorization_pending"


def test_not_you_lets_another_member_answer(ann, television):  # noqa: F811
    ann.open("/device")
    enter(ann, television.user_code)
    ann.press("Not you?")
    ann.sign_in("ben")
    expect(ann.page.get_by_label("Code on your device")).to_have_value(television.user_code)
    ann.press("Continue")
    # Ben has one organization: it is named, and nothing is to be chosen.
    expect(ann.page.get_by_role("radio")).to_have_count(0)
    ann.press("Allow")
    expect(ann.page.get_by_role("heading", name="You can go back to your device")).to_be_visible()


def test_pictures_of_the_device_pages(ann, demo, client_id):  # noqa: F811
    first, second = Television(demo.server, client_id), Television(demo.server, client_id)
    ann.open("/device")
    ann.take_pictures("device")
    enter(ann, "BBBB-BBBB")
    ann.take_pictures("device-unknown")
    ann.page.goto(first.codes["verification_uri_complete"])
    ann.take_pictures("device-filled")
    ann.press("Continue")
    expect(ann.button("Allow")).to_be_visible()
    ann.page.reload()
    ann.take_pictures("device-consent")
    ann.page.get_by_role("radio", name="Acorn Partners").check()
    ann.press("Allow")
    expect(ann.page.get_by_role("heading", name="You can go back to your device")).to_be_visible()
    ann.take_pictures("device-connected")
    ann.page.reload()
    expect(ann.page.get_by_role("heading", name="You can go back to your device")).to_be_visible()
    ann.open("/device")
    enter(ann, second.user_code)
    ann.button(re.compile("^Decline$")).click()
    expect(ann.button(re.compile("^Decline$"))).to_have_count(0)
    ann.take_pictures("device-declined")
