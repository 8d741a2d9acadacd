"""How answers come back and how the member is met, in a real Chromium: form_post under the strict policy, signing in
again, choosing an account, being told before leaving."""

from urllib.parse import urlencode

import pytest
from playwright.sync_api import expect

from tests.e2e.test_browser import (  # the fixtures among them are used by name
    Visitor,
    ann,  # noqa: F401
    demo,  # noqa: F401
    invite,  # noqa: F401
)
from tests.support.callback import Callback
from tests.support.process import QuickOperator

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser"), pytest.mark.timeout(300)]


@pytest.fixture
def client_id(demo, callback) -> str:  # noqa: F811
    return make_app(demo, callback, "--published")


def make_app(demo, callback: Callback, *options: str) -> str:  # noqa: F811
    """An app of Birch & Co's that returns to the callback."""
    birch = demo.state.organizations[1].organization_id
    operator = QuickOperator(demo.directory, demo.database)
    given = ("--organization", birch, "--name", "Postloop", "--redirect-uri", callback.uri, *options)
    return str(operator.ask("client", "create", *given)["client_id"])


def start(visitor: Visitor, client_id: str, **parameters: str) -> None:
    query = urlencode({"client_id": client_id, "response_type": "code", "state": "s &<>\"'é", **parameters})
    visitor.page.goto(f"{visitor.demo.server}/oauth2/authorize/?{query}")


def allow(visitor: Visitor) -> None:
    visitor.page.get_by_role("radio", name="Birch & Co").check()
    visitor.press("Allow")


@pytest.mark.parametrize("elsewhere", [False, True], ids=["stays", "goes-elsewhere"])
def test_form_post_brings_the_code_by_itself(ann, client_id, callback, elsewhere):  # noqa: F811
    """Where the callback sends the browser on to another host, too: Chromium holds redirects to `form-action`."""
    callback.next_page = f"http://localhost:{callback.port}/done" if elsewhere else "/done"
    start(ann, client_id, response_mode="form_post")
    ann.sign_in("ann")
    allow(ann)
    expect(ann.page.get_by_text("Back in the app")).to_be_visible()
    [(method, answer)] = callback.answers
    assert method == "POST"
    assert answer.keys() == {"code", "state", "iss"}
    assert (answer["state"], answer["iss"]) == ("s &<>\"'é", ann.demo.server)


def test_form_post_without_scripts_takes_a_click(invite, client_id, callback):  # noqa: F811
    ann = invite(java_script_enabled=False)  # noqa: F811
    start(ann, client_id, response_mode="form_post")
    ann.sign_in("ann")
    allow(ann)
    expect(ann.page.get_by_role("heading", level=1)).to_have_text(f"Going back to 127.0.0.1:{callback.port}")
    assert callback.answers == []
    ann.take_pictures("send-back")
    ann.press("Continue to")
    expect(ann.page.get_by_text("Back in the app")).to_be_visible()
    assert [method for method, _ in callback.answers] == ["POST"]


def test_form_post_brings_errors_as_well(ann, client_id, callback):  # noqa: F811
    start(ann, client_id, response_mode="form_post", prompt="none")
    expect(ann.page.get_by_text("Back in the app")).to_be_visible()
    [(method, answer)] = callback.answers
    assert (method, answer["error"], answer["state"]) == ("POST", "login_required", "s &<>\"'é")


def test_prompt_login_signs_in_again_once_and_then_asks(ann, client_id, callback):  # noqa: F811
    """O3."""
    ann.open("/connections")
    start(ann, client_id, prompt="login")
    expect(ann.page.get_by_text("Show once more that it is you before you go on.")).to_be_visible()
    expect(ann.page.get_by_label("Email address")).to_have_value("ann@example.com")
    ann.take_pictures("sign-in-again")
    ann.sign_in("ann")
    expect(ann.page.get_by_role("heading", level=1)).to_contain_text("Postloop wants to connect")
    ann.page.reload()
    expect(ann.page.get_by_role("heading", level=1)).to_contain_text("Postloop wants to connect")
    allow(ann)
    expect(ann.page.get_by_text("Back in the app")).to_be_visible()
    assert [method for method, answer in callback.answers if "code" in answer] == ["GET"]


def test_select_account_offers_the_one_and_another(ann, client_id, callback):  # noqa: F811
    ann.open("/connections")
    start(ann, client_id, prompt="select_account")
    ann.take_pictures("select-account")
    ann.page.get_by_role("link", name="Continue as").click()
    expect(ann.page.get_by_role("heading", level=1)).to_contain_text("Postloop wants to connect")
    start(ann, client_id, prompt="select_account")
    ann.press("Use another account")
    expect(ann.page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_double_click_on_allow_is_one_answer(ann, client_id, callback):  # noqa: F811
    start(ann, client_id)
    ann.sign_in("ann")
    ann.page.get_by_role("radio", name="Birch & Co").check()
    ann.button("Allow").first.dblclick()
    expect(ann.page.get_by_text("Back in the app")).to_be_visible()
    assert len({answer["code"] for _, answer in callback.answers}) == 1


def test_error_of_an_app_that_nobody_vouches_for_is_told_before_leaving(ann, demo, callback):  # noqa: F811
    """A21: the app is private, and nobody is signed in."""
    client_id = make_app(demo, callback)
    start(ann, client_id, scope="nonsense")
    heading = f"You were about to be sent back to 127.0.0.1:{callback.port} with an error"
    expect(ann.page.get_by_role("heading", level=1)).to_have_text(heading)
    ann.take_pictures("send-back-announced")
    assert callback.answers == []
    ann.page.get_by_role("link", name="Continue to").click()
    expect(ann.page.get_by_text("Back in the app")).to_be_visible()
    [(_, answer)] = callback.answers
    assert answer["error"] == "invalid_scope"
