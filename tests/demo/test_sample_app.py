"""Mailloop, pressed button by button without a browser, against a small provider."""

import re

import httpx
import pytest

from latchstring.client.testing import SERVICE_UNAVAILABLE, FakeProvider
from latchstring.demo.sample_app import create_app
from tests.client.conftest import CLIENT_ID, CLIENT_SECRET
from tests.support.forms import read_forms

ORIGIN = "http://127.0.0.1:8402"


@pytest.fixture
def provider():
    with FakeProvider().serve() as provider:
        yield provider


class Person:
    """A browser with a cookie jar, and what a person does in it."""

    def __init__(self, provider, tmp_path):
        self.provider = provider
        self.app = create_app(
            issuer=provider.issuer,
            client_id=CLIENT_ID,
            client_secret=CLIENT_SECRET,
            redirect_uri=f"{ORIGIN}/callback",
            api_base_url=provider.issuer,
            store_path=tmp_path / "mailloop.db",
        )
        self.browser = httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url=ORIGIN)

    async def look(self):
        page = await self.browser.get("/")
        assert page.status_code == 200
        return page.text

    async def post(self, action, number=0, **changes):
        forms = [form for form in read_forms(await self.look()) if form.action == action]
        return await self.browser.post(action, data=forms[number].fields | changes)

    async def press(self, action, number=0):
        """Press a button, and read how it went."""
        answer = await self.post(action, number)
        assert (answer.status_code, answer.headers["location"]) == (303, "/#latest")
        return await self.outcome()

    async def outcome(self):
        found = re.search(r'<p class="outcome outcome-(\w+)" role="status">(.*?)</p>', await self.look(), re.DOTALL)
        assert found
        return found[1], found[2]

    async def connect(self, **choice):
        sent = await self.post("/connect")
        assert sent.status_code == 303
        assert sent.headers["location"].startswith(f"{self.provider.issuer}/oauth2/authorize/?")
        back = await self.browser.get(self.provider.authorize(sent.headers["location"], **choice))
        assert (back.status_code, back.headers["location"]) == (303, "/#latest")
        return await self.outcome()


@pytest.fixture
async def person(provider, tmp_path):
    person = Person(provider, tmp_path)
    async with person.browser:
        yield person


async def test_loop_from_connect_to_the_dead_token_says_what_happens(person):
    assert "Nothing is connected yet" in await person.look()
    assert await person.connect() == ("good", "Mailloop is connected to orga_acorn.")
    page = await person.look()
    for sentence in ("asks it where everything else is", "sends your browser to the server", "redeems the code"):
        assert sentence in page
    tone, said = await person.press("/replay")
    assert (tone, said) == (
        "note",
        "There is no old refresh token to replay yet. Press Refresh first, then replay.",
    )
    assert (await person.press("/refresh"))[1].startswith("Mailloop has a new pair of tokens, its number 2.")
    tone, said = await person.press("/replay")
    assert (tone, said.partition(":")[0]) == ("good", "Accepted as a retry")
    await person.press("/refresh")
    tone, said = await person.press("/replay-older")
    assert (tone, said.partition(":")[0]) == ("note", "Refused")
    tone, said = await person.press("/call")
    assert tone == "bad"
    assert said.startswith("This needs you: connect again. invalid_grant: revoked")
    assert "Has ended: connect again" in await person.look()
    await person.connect()
    assert (await person.press("/disconnect"))[0] == "good"
    tone, said = await person.press("/call-dead")
    assert (tone, said.partition(":")[0]) == ("note", "Refused with 401")
    await person.press("/forget")
    assert "Nothing is connected yet" in await person.look()


async def test_call_shows_the_organization_s_contacts(person, monkeypatch):
    contacts = b'{"data":[{"name":"Priya Raman"},{"name":"<b>Ada</b>"}]}'
    me = b'{"organizations":[{"id":"orga_acorn","name":"Acorn Partners"}]}'
    monkeypatch.setattr(
        person.provider, "_api", lambda path, headers: (200, {}, contacts if "contacts" in path else me)
    )
    await person.connect()
    tone, said = await person.press("/call")
    assert (tone, said) == (
        "good",
        "Acorn Partners has 2 contacts: Priya Raman, &lt;b&gt;Ada&lt;/b&gt; and others.",
    )


async def test_two_organizations_stand_side_by_side_each_with_its_own_buttons(person):
    await person.connect()
    await person.connect(organization_id="orga_birch")
    page = await person.look()
    forms = [form.fields["organization_id"] for form in read_forms(page) if form.action == "/refresh"]
    assert forms == ["orga_acorn", "orga_birch"]
    await person.press("/disconnect", 1)
    page = await person.look()
    assert [form.fields["organization_id"] for form in read_forms(page) if form.action == "/refresh"] == ["orga_acorn"]


async def test_declined_is_a_state_of_its_own(person):
    tone, said = await person.connect(allow=False)
    assert (tone, said.partition(",")[0]) == ("note", "You declined")
    assert "Nothing is connected yet" in await person.look()


async def test_page_shows_no_credential_whole(person):
    await person.connect()
    await person.press("/refresh")
    await person.press("/replay")
    await person.press("/disconnect")
    page = await person.look()
    secrets = {CLIENT_SECRET, *person.provider.access_tokens}
    for _, form in person.provider.requests:
        secrets |= {form[name] for name in ("code", "code_verifier", "refresh_token", "token") if name in form}
    assert len(secrets) >= 7
    assert not [secret for secret in secrets if secret in page]


async def test_server_that_does_not_answer_is_reported_and_nothing_is_lost(person):
    await person.connect()
    person.provider.faults = [SERVICE_UNAVAILABLE]
    tone, said = await person.press("/disconnect")
    assert (tone, said.partition(".")[0]) == ("bad", "This needs a little time: try again")
    assert (await person.press("/disconnect"))[0] == "good"


@pytest.mark.parametrize("csrf_token", ["", "x", None])
async def test_button_without_the_page_s_own_token_does_nothing(person, csrf_token):
    await person.connect()
    sent = len(person.provider.requests)
    if csrf_token is None:
        page = await person.look()
        fields = next(form.fields for form in read_forms(page) if form.action == "/disconnect")
        person.browser.cookies.clear()
        answer = await person.browser.post("/disconnect", data=fields)
    else:
        answer = await person.post("/disconnect", csrf_token=csrf_token)
    assert answer.status_code == 403
    assert "This page is out of date" in answer.text
    assert len(person.provider.requests) == sent


async def test_oversized_form_is_refused(person):
    assert (await person.post("/connect", padding="x" * 10_000)).status_code == 403


async def test_callback_in_another_browser_connects_nothing(person):
    sent = await person.post("/connect")
    callback = person.provider.authorize(sent.headers["location"])
    person.browser.cookies.clear()
    await person.browser.get(callback)
    tone, said = await person.outcome()
    assert tone == "bad"
    assert "state_mismatch" in said


async def test_callback_that_is_only_prefetched_spends_nothing(person):
    sent = await person.post("/connect")
    callback = person.provider.authorize(sent.headers["location"])
    ahead = await person.browser.get(callback, headers={"Sec-Purpose": "prefetch"})
    assert ahead.status_code == 503
    await person.browser.get(callback)
    assert (await person.outcome())[0] == "good"


async def test_page_has_a_strict_policy_and_a_cookie_of_its_own(person):
    page = await person.browser.get("/")
    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'self'; img-src 'self'")
    assert f"form-action 'self' {person.provider.issuer} {ORIGIN}" in policy
    assert "script" not in policy
    assert "<script" not in page.text
    assert "style=" not in page.text
    cookie = page.headers["set-cookie"].lower()
    assert cookie.startswith("mailloop_session=")
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert page.headers["cache-control"] == "no-store"
    assert (await person.browser.get("/static/mailloop.css")).status_code == 200


async def test_page_under_another_name_leads_to_the_registered_host(person):
    answer = await person.browser.get("http://localhost:8402/")
    assert (answer.status_code, answer.headers["location"]) == (307, f"{ORIGIN}/")


async def test_connections_outlive_a_restart(person, tmp_path):
    await person.connect()
    again = Person(person.provider, tmp_path)
    async with again.browser:
        assert "orga_acorn" in await again.look()
        assert (await again.press("/refresh"))[0] == "good"
