"""What a guard keeps, and when it may use it (S17)."""

import pytest

from latchstring.protocol.introspection import IntrospectionResponse
from latchstring.protocol.revocation_feed import Revocation
from latchstring.resource_server import verdicts
from latchstring.resource_server.verdicts import CLOCK_SKEW, Verdicts, name_token

NOW = 1_800_000_000
NAME = name_token("token")
ANSWER = IntrospectionResponse(
    active=True, user_id="user_1", organization_id="orga_1", jti="at_1", iat=NOW, exp=NOW + 60
)
ABOUT = [
    Revocation(at=NOW),
    Revocation(at=NOW, user_id="user_1"),
    Revocation(at=NOW, organization_id="orga_1"),
    Revocation(at=NOW, user_id="user_1", organization_id="orga_1"),
]
NOT_ABOUT = [
    Revocation(at=NOW, user_id="user_2"),
    Revocation(at=NOW, organization_id="orga_2"),
    Revocation(at=NOW, user_id="user_1", organization_id="orga_2"),
    Revocation(at=NOW, user_id="user_2", organization_id="orga_1"),
]


class Steady:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def steady() -> Steady:
    return Steady()


@pytest.fixture
def fed(steady: Steady) -> Verdicts:
    """With a feed that was heard just now."""
    made = Verdicts(lifetime=300, bound=5, monotonic=steady)
    made.refresh(steady.now)
    return made


def test_answer_is_used_again_until_its_life_is_over(steady: Steady):
    kept = Verdicts(lifetime=10, bound=None, monotonic=steady)
    assert kept.find(NAME) is None
    kept.keep(NAME, ANSWER, kept.count)
    steady.now += 9.9
    assert kept.find(NAME) is ANSWER
    assert kept.find(name_token("other")) is None
    steady.now += 0.1
    assert kept.find(NAME) is None


def test_nothing_is_kept_unless_told_to(steady: Steady):
    kept = Verdicts(lifetime=0, bound=None, monotonic=steady)
    kept.keep(NAME, ANSWER, 0)
    assert kept.find(NAME) is None
    assert not kept.is_in_doubt(ANSWER)


def test_refusal_is_never_kept(fed: Verdicts):
    fed.keep(NAME, IntrospectionResponse(active=False), fed.count)
    assert fed.find(NAME) is None


@pytest.mark.parametrize("revocation", ABOUT)
def test_answer_is_asked_for_again_once_the_feed_tells_of_it(fed: Verdicts, revocation):
    fed.keep(NAME, ANSWER, fed.count)
    fed.apply([revocation])
    assert fed.find(NAME) is None
    fed.keep(NAME, ANSWER, fed.count)
    assert fed.find(NAME) is ANSWER


@pytest.mark.parametrize("revocation", NOT_ABOUT)
def test_answer_outlives_what_is_told_of_others(fed: Verdicts, revocation):
    fed.keep(NAME, ANSWER, fed.count)
    fed.apply([revocation])
    assert fed.find(NAME) is ANSWER
    assert not fed.is_in_doubt(IntrospectionResponse(active=True, user_id="user_1", organization_id="orga_1", iat=NOW))


def test_what_is_told_while_the_server_is_asked_counts_against_the_answer(fed: Verdicts):
    """The answer may be of before: it is not used."""
    known = fed.count
    fed.apply([ABOUT[1]])
    fed.keep(NAME, ANSWER, known)
    assert fed.find(NAME) is None


def test_feed_that_falls_silent_puts_everything_in_doubt(fed: Verdicts, steady: Steady):
    fed.keep(NAME, ANSWER, fed.count)
    steady.now += 5.0
    assert fed.find(NAME) is ANSWER
    steady.now += 0.01
    assert fed.find(NAME) is None
    assert fed.is_in_doubt(ANSWER)
    fed.refresh(steady.now)
    assert fed.find(NAME) is ANSWER
    assert not fed.is_in_doubt(ANSWER)


def test_before_the_feed_was_heard_nothing_is_trusted(steady: Steady):
    kept = Verdicts(lifetime=300, bound=5, monotonic=steady)
    kept.keep(NAME, ANSWER, kept.count)
    assert kept.find(NAME) is None
    assert kept.is_in_doubt(ANSWER)


def test_an_older_word_of_the_feed_does_not_shorten_a_newer_one(fed: Verdicts, steady: Steady):
    fed.refresh(steady.now - 4)
    steady.now += 4.9
    assert fed.is_fresh()


@pytest.mark.parametrize("revocation", ABOUT)
def test_signed_token_of_before_is_in_doubt_and_one_of_after_is_not(fed: Verdicts, revocation):
    fed.apply([revocation])
    assert fed.is_in_doubt(ANSWER)

    def issued(at: int) -> IntrospectionResponse:
        return IntrospectionResponse(active=True, user_id="user_1", organization_id="orga_1", jti="at_1", iat=at)

    assert fed.is_in_doubt(issued(NOW + CLOCK_SKEW))
    assert not fed.is_in_doubt(issued(NOW + CLOCK_SKEW + 1))
    assert fed.is_in_doubt(IntrospectionResponse(active=True))


def test_later_word_of_the_same_counts_and_an_earlier_one_changes_no_time(fed: Verdicts):
    fed.apply([Revocation(at=NOW + 100, user_id="user_1")])
    fed.apply([Revocation(at=NOW, user_id="user_1")])
    assert fed.is_in_doubt(IntrospectionResponse(active=True, user_id="user_1", iat=NOW + 100))


def test_memory_is_bounded_and_what_is_forgotten_is_asked_about(fed: Verdicts, monkeypatch):
    monkeypatch.setattr(verdicts, "MAX_REVOCATIONS", 3)
    monkeypatch.setattr(verdicts, "MAX_VERDICTS", 2)
    fed.keep(NAME, ANSWER, fed.count)
    fed.apply([Revocation(at=NOW, user_id="user_1")])
    fed.apply([Revocation(at=NOW + number, user_id=f"other_{number}") for number in range(3)])
    assert fed.find(NAME) is None, "its revocation was forgotten, and stands all the same"
    assert fed.is_in_doubt(ANSWER)
    assert not fed.is_in_doubt(IntrospectionResponse(active=True, user_id="user_9", iat=NOW + CLOCK_SKEW + 4))
    for number in range(3):
        fed.keep(name_token(str(number)), ANSWER, fed.count)
    assert fed.find(name_token("0")) is None
    assert fed.find(name_token("2")) is ANSWER
