"""A publisher's mark: claimed by an admin, shown by a DNS record, read on the consent page, lost with the record."""

import asyncio
from collections import Counter
from collections.abc import Sequence

import pytest

from latchstring.authorization_server.events import COMMAND_LINE, EventFilter
from latchstring.authorization_server.ports import Commit
from latchstring.authorization_server.publishers import GRACE, MAX_DOMAINS, Publishers, ResolutionFailed
from tests.support.forms import find_form, read_forms, submit
from tests.support.journey import open_consent
from tests.web.answers import assert_page
from tests.web.conftest import World
from tests.web.state import connect, dump

DAY = 86_400
DOMAIN = "looplabs.example"


class Zone:
    """The DNS, as the test sets it."""

    def __init__(self) -> None:
        self.records: dict[str, list[str]] = {}
        self.is_down = False
        self.asked: list[str] = []

    async def __call__(self, name: str) -> Sequence[str]:
        self.asked.append(name)
        if self.is_down:
            raise ResolutionFailed("timeout")
        return self.records.get(name, [])


@pytest.fixture
def zone(world: World) -> Zone:
    zone = Zone()
    world.deployment.services.publishers._resolve = zone
    return zone


def page_of(world: World) -> str:
    return f"/organizations/{world.acorn}/publisher"


async def claim(world: World, domain: str = DOMAIN) -> str:
    """The value that the record must have."""
    await world.arrive(world.ann)
    page = await world.http.get(page_of(world))
    assert_page(page, 200)
    answer = await submit(world.http, page, find_form(page, page_of(world)), domain=domain)
    assert answer.status_code == 303, answer.text
    records = await world.deployment.services.publishers.find(world.acorn)
    return next(record.record_value for record in records if record.domain in domain.lower() or domain != DOMAIN)


async def look(world: World, domain: str = DOMAIN) -> str:
    page = await world.http.get(page_of(world))
    form = find_form(page, f"{page_of(world)}/{domain}/check")
    return str((await submit(world.http, page, form)).headers["location"].rpartition("?")[2])


async def consent(world: World) -> str:
    await world.arrive(world.ann)
    return (await open_consent(world.http, world.app)).text


async def test_mark_is_on_the_consent_page_once_the_record_is_there(world: World, zone: Zone) -> None:
    value = await claim(world)
    assert await look(world) == "domain_not_found"
    assert "not verified — anyone can use any name" in await consent(world)
    zone.records[f"_latchstring.{DOMAIN}"] = ["something else", value]
    world.deployment.clock.advance(60)
    assert await look(world) == "domain_verified"
    page = await consent(world)
    assert f'<bdi dir="ltr">{DOMAIN}</bdi>' in page
    assert "not verified" not in page
    records = await world.deployment.store.find_events(EventFilter(organization_id=world.acorn), before=None, at_most=9)
    assert [record.event.action.value for record in records][:2] == ["publisher.verified", "publisher.claimed"]
    await connect(world)
    assert f'<bdi dir="ltr">{DOMAIN}</bdi>' in (await world.http.get("/connections")).text


async def test_homograph_is_shown_as_it_is_spelt(world: World, zone: Zone) -> None:
    value = await claim(world, "lоoplabs.example")
    zone.records["_latchstring.xn--loplabs-9ig.example"] = [value]
    await look(world, "xn--loplabs-9ig.example")
    page = await consent(world)
    assert "xn--loplabs-9ig.example" in page
    assert "lоoplabs" not in page


async def test_record_of_another_organization_verifies_nothing(world: World, zone: Zone) -> None:
    await claim(world)
    zone.records[f"_latchstring.{DOMAIN}"] = ["latchstring-publisher=" + "0" * 32]
    assert await look(world) == "domain_not_found"


async def test_mark_survives_an_outage_and_not_the_grace(world: World, zone: Zone) -> None:
    publishers, clock = world.deployment.services.publishers, world.deployment.clock
    zone.records[f"_latchstring.{DOMAIN}"] = [await claim(world)]
    await look(world)
    zone.is_down = True
    clock.advance(DAY)
    assert await publishers.check_due(lease=120)
    assert await publishers.find_verified(world.acorn) == DOMAIN
    clock.advance(GRACE)
    assert await publishers.check_due(lease=120)
    assert await publishers.find_verified(world.acorn) is None
    assert not await publishers.check_due(lease=120)
    assert "not verified" in await consent(world)


async def test_due_domain_is_looked_at_by_one_process(world: World, zone: Zone) -> None:
    services, clock = world.deployment.services, world.deployment.clock
    await claim(world)
    clock.advance(DAY)
    watches = [
        Publishers(store=world.deployment.store, resolve=zone, clock=clock, entropy=lambda size: b"\0" * size)
        for _ in range(5)
    ]
    outcomes = await asyncio.gather(*(watch.check_due(lease=120) for watch in watches))
    assert Counter(outcomes) == {True: 1, False: 4}
    assert zone.asked == [f"_latchstring.{DOMAIN}"]
    assert len(await services.publishers.find(world.acorn)) == 1


async def test_clicks_in_a_row_are_one_look(world: World, zone: Zone) -> None:
    await claim(world)
    for _ in range(3):
        await look(world)
    assert len(zone.asked) == 1


async def test_removed_domain_has_no_mark(world: World, zone: Zone) -> None:
    zone.records[f"_latchstring.{DOMAIN}"] = [await claim(world)]
    await look(world)
    page = await world.http.get(page_of(world))
    await submit(world.http, page, find_form(page, f"{page_of(world)}/{DOMAIN}/forget"))
    assert "not verified" in await consent(world)


async def test_what_is_no_domain_is_told_so(world: World, zone: Zone) -> None:
    await world.arrive(world.ann)
    page = await world.http.get(page_of(world))
    for entered in ("https://looplabs.example/", "<script>alert(1)</script>", ""):
        answer = await submit(world.http, page, find_form(page, page_of(world)), domain=entered)
        assert_page(answer, 422)
        assert "<script>alert" not in answer.text
    assert await world.deployment.services.publishers.find(world.acorn) == []


async def test_domains_are_few(world: World, zone: Zone) -> None:
    publishers = world.deployment.services.publishers
    outcomes = [
        (await publishers.claim(world.acorn, f"a{number}.example", origin=COMMAND_LINE))[1]
        for number in range(MAX_DOMAINS + 1)
    ]
    assert Counter(outcomes) == {Commit.APPLIED: MAX_DOMAINS, Commit.LOST: 1}


async def test_publisher_page_is_there_for_its_admins_alone(world: World, zone: Zone) -> None:
    await claim(world)
    bob = await world.deployment.user("bob@example.com", "Bob")
    await world.deployment.member(bob, world.acorn)
    before = [row for row in dump(world) if row[0] == "publisher_domain"]
    await world.arrive(bob)
    csrf = find_form(await world.http.get("/connections"), "/sign-out").fields["csrf_token"]
    assert (await world.http.get(page_of(world))).status_code == 404
    for suffix in ("", f"/{DOMAIN}/check", f"/{DOMAIN}/forget"):
        data = {"csrf_token": csrf, "domain": "evil.example"}
        assert (await world.http.post(page_of(world) + suffix, data=data)).status_code == 404
    await world.arrive(world.ann)
    for suffix in ("", f"/{DOMAIN}/check", f"/{DOMAIN}/forget"):
        answer = await world.http.post(page_of(world) + suffix, data={"csrf_token": "forged"})
        assert answer.status_code == 403
    assert [row for row in dump(world) if row[0] == "publisher_domain"] == before
    assert zone.asked == []
    assert read_forms((await world.http.get(page_of(world))).text)
