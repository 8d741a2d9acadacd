"""Which domain is one, and how long a mark outlives a record that is missing."""

from typing import Any

import pytest

from latchstring.authorization_server.publishers import (
    CHECK_INTERVAL,
    GIVE_UP_AFTER,
    GRACE,
    RETRY_INTERVAL,
    DomainRefused,
    PublisherDomainRecord,
    clean_domain,
    decide_check,
)
from tests.authorization_server.builders import ACORN, ANN, NOW


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


@pytest.mark.parametrize("found", [False, None])
def test_record_that_is_not_there_is_looked_for_for_some_days(found: bool | None) -> None:
    soon = decide_check(build_domain(), found, NOW + 60)
    assert (soon.verified_at, soon.next_check_at) == (None, NOW + 60 + RETRY_INTERVAL)
    assert soon.checked_at == NOW + 60
    assert decide_check(build_domain(), found, NOW + GIVE_UP_AFTER).next_check_at is None


@pytest.mark.parametrize("found", [False, None])
def test_mark_is_lost_after_the_grace_and_not_before(found: bool | None) -> None:
    """A resolver that is down takes nobody's mark at once, and nobody keeps one for ever without a record."""
    verified = build_domain(verified_at=NOW)
    missed = decide_check(verified, found, NOW + 100)
    assert (missed.verified_at, missed.failing_since, missed.next_check_at) == (
        NOW,
        NOW + 100,
        NOW + 100 + RETRY_INTERVAL,
    )
    assert decide_check(missed, found, NOW + 100 + GRACE - 1).verified_at == NOW
    lost = decide_check(missed, found, NOW + 100 + GRACE)
    assert (lost.verified_at, lost.next_check_at, lost.checked_at) == (None, None, NOW + 100 + GRACE)
    assert decide_check(missed, True, NOW + 200).failing_since is None
