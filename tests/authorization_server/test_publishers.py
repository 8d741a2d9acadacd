"""Which domain is one, when its record is looked for, and how long a mark outlives a record that is missing."""

import os
import re
from collections.abc import Sequence
from typing import Any

import pytest

from latchstring.authorization_server.events import COMMAND_LINE
from latchstring.authorization_server.ports import Commit
from latchstring.authorization_server.publishers import (
    CHECK_INTERVAL,
    GIVE_UP_AFTER,
    GRACE,
    RETRY_INTERVAL,
    DomainRefused,
    PublisherDomainRecord,
    Publishers,
    ResolutionFailed,
    clean_domain,
    decide_check,
)
from tests.authorization_server.builders import ACORN, ANN, NOW
from tests.authorization_server.conftest import House

DOMAIN = "looplabs.example"


def build_domain(**given: Any) -> PublisherDomainRecord:
    values: dict[str, Any] = {
        "organization_id": ACORN,
        "domain": "looplabs.example",
        "challenge": "c" * 32,
        "claimed_by": ANN,
        "claimed_at": NOW,
        "verified_at": None,
        "checked_at": None,
        "failing_since": None,
        "next_check_at": NOW,
    }
    return PublisherDomainRecord(**{**values, **given})


@pytest.mark.parametrize(
    "entered, domain",
    [
        ("looplabs.example", "looplabs.example"),
        (" LoopLabs.Example. ", "looplabs.example"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("lоoplabs.example", "xn--loplabs-9ig.example"),  # a Cyrillic o is seen as what it is
        ("a-b.c-d.example", "a-b.c-d.example"),
        ("LOOPLABS.MX", "looplabs.mx"),
        ("x.de", "x.de"),
        ("7.example", "7.example"),
        ("a.7.example", "a.7.example"),
        ("local.example.de", "local.example.de"),
        ("example.local.de", "example.local.de"),
        ("l" * 63 + ".de", "l" * 63 + ".de"),
        ("a." * 98 + "info", "a." * 98 + "info"),  # 200 characters
    ],
)
def test_domain_is_kept_in_its_ascii_form(entered: str, domain: str) -> None:
    assert clean_domain(entered) == domain


@pytest.mark.parametrize(
    "entered",
    [
        *("", "example", "https://looplabs.example", "looplabs.example/x", "a@b.example", "looplabs.example:53"),
        *("-a.example", "a-.example", "a..example", "a b.example", "a_b.example", "x." * 120 + "example", "10.0.0.1"),
        *(
            "crm.localhost",
            "printer.local",
            "a.internal",
            "<b>.example",
            "*.example",
            "\u202ea.example",
            "l" * 64 + ".de",
            "crm.example.localhost",
            "crm.example.7",
            "a." * 98 + "infos",  # 201 characters
            "bücher/x.example",
            "a．．example",
            "l" * 4000 + "ü.example",
        ),
    ],
)
def test_what_is_no_domain_is_refused(entered: str) -> None:
    with pytest.raises(DomainRefused):
        clean_domain(entered)


def test_record_that_is_found_verifies_and_is_looked_at_every_day() -> None:
    found = decide_check(build_domain(), True, NOW + 60)
    assert (found.verified_at, found.checked_at, found.next_check_at) == (NOW + 60, NOW + 60, NOW + 60 + CHECK_INTERVAL)
    again = decide_check(found, True, NOW + 9000)
    assert again.verified_at == NOW + 60


def test_record_that_is_not_there_is_looked_for_for_some_days() -> None:
    soon = decide_check(build_domain(), False, NOW + 60)
    assert (soon.verified_at, soon.next_check_at) == (None, NOW + 60 + RETRY_INTERVAL)
    assert soon.checked_at == NOW + 60
    assert decide_check(build_domain(), False, NOW + GIVE_UP_AFTER).next_check_at is None


def test_mark_is_lost_after_the_grace_and_not_before() -> None:
    verified = build_domain(verified_at=NOW)
    missed = decide_check(verified, False, NOW + 100)
    assert (missed.verified_at, missed.failing_since, missed.next_check_at) == (
        NOW,
        NOW + 100,
        NOW + 100 + RETRY_INTERVAL,
    )
    assert decide_check(missed, False, NOW + 100 + GRACE - 1).verified_at == NOW
    lost = decide_check(missed, False, NOW + 100 + GRACE)
    assert (lost.verified_at, lost.next_check_at, lost.checked_at) == (None, None, NOW + 100 + GRACE)
    assert decide_check(missed, True, NOW + 200).failing_since is None


class Zone:
    """What the DNS answers; nothing can be looked up while it is down."""

    def __init__(self) -> None:
        self.values: list[str] = []
        self.is_down = False
        self.asked: list[str] = []

    async def __call__(self, name: str) -> Sequence[str]:
        self.asked.append(name)
        if self.is_down:
            raise ResolutionFailed("timeout")
        return self.values


@pytest.fixture
def zone() -> Zone:
    return Zone()


@pytest.fixture
async def publishers(house: House, zone: Zone) -> Publishers:
    """Acorn has said that looplabs.example is its own."""
    publishers = Publishers(store=house.store, resolve=zone, clock=house.clock, entropy=os.urandom)
    assert await publishers.claim(ACORN, DOMAIN, origin=COMMAND_LINE) == (DOMAIN, Commit.APPLIED)
    return publishers


async def test_claimed_domain_is_looked_at_after_an_hour_and_then_every_hour(
    house: House, zone: Zone, publishers: Publishers
) -> None:
    (claimed,) = await publishers.find(ACORN)
    assert re.fullmatch("latchstring-publisher=[0-9a-f]{32}", claimed.record_value)
    for seconds, is_due in (
        (0, False),
        (RETRY_INTERVAL - 1, False),
        (RETRY_INTERVAL, True),
        (2 * RETRY_INTERVAL, True),
    ):
        house.now = NOW + seconds
        assert await publishers.check_due(lease=60) is is_due
        assert await publishers.check_due(lease=60) is False
    assert zone.asked == ["_latchstring.looplabs.example"] * 2


async def test_clicks_within_ten_seconds_are_one_look(house: House, zone: Zone, publishers: Publishers) -> None:
    for seconds, looks in ((0, 1), (9, 1), (10, 2)):
        house.now = NOW + seconds
        await publishers.check_now(ACORN, DOMAIN)
        assert len(zone.asked) == looks


async def test_mark_outlives_a_resolver_that_is_down_and_not_for_ever(
    house: House, zone: Zone, publishers: Publishers
) -> None:
    (claimed,) = await publishers.find(ACORN)
    zone.values = ["v=spf1 -all", claimed.record_value]
    await publishers.check_now(ACORN, DOMAIN)
    assert await publishers.find_verified(ACORN) == DOMAIN
    zone.is_down = True
    for seconds, domain in ((60, DOMAIN), (50 + GRACE, DOMAIN), (60 + GRACE, None)):
        house.now = NOW + seconds
        await publishers.check_now(ACORN, DOMAIN)
        assert await publishers.find_verified(ACORN) == domain, seconds
