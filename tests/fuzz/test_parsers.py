"""Every parser, with whatever: an answer or the refusal that it documents, in time that grows as the input does."""

import pytest
from hypothesis import given, settings

from tests.fuzz.inputs import FRAGMENTS, SEEDS, hostile_bytes
from tests.fuzz.linear import verify_linear
from tests.fuzz.parsers import ALSO, NoStrategy, Parser, _build, find_missing, find_parsers
from tests.protocol.properties import PROPERTY

PARSERS = list(find_parsers())
EVERY_PARSER = pytest.mark.parametrize("parser", [pytest.param(parser, id=parser.name) for parser in PARSERS])
# As large as a request may be (web/asgi.py).
SIZE = 64 * 1024


@EVERY_PARSER
@settings(PROPERTY, max_examples=150)
@given(raw=hostile_bytes())
def test_parser_of_hostile_bytes_answers_or_refuses_as_documented(parser: Parser, raw: bytes) -> None:
    parser.run(raw)


@EVERY_PARSER
def test_parser_of_a_well_formed_text_of_another_kind_answers_or_refuses_as_documented(parser: Parser) -> None:
    for raw in (*SEEDS, *FRAGMENTS):
        parser.run(raw)


@EVERY_PARSER
def test_parser_of_a_long_text_takes_linear_time(parser: Parser) -> None:
    """A seed, then one fragment again and again: what backtracks or counts twice is found by that (CVE-2026-4634)."""
    for seed in SEEDS:
        for piece in (seed or b"a", b"%41", b"&", b"[", b'{"a":', b"\\", b" ", b".", b"\n", b"\xff"):

            def run(size: int, seed: bytes = seed, piece: bytes = piece) -> object:
                return parser.run(seed + piece * (size // len(piece)))

            verify_linear(run, SIZE)


def test_every_parser_is_fuzzed() -> None:
    assert find_missing() == []


def test_parsers_are_found_in_every_room() -> None:
    """A search that finds nothing would pass everything above."""
    names = {parser.name for parser in PARSERS}
    assert len(names) == len(PARSERS)
    assert {name.removeprefix("latchstring.") for name in ALSO} <= names
    assert {
        "protocol.parameters.parse_parameters",
        "protocol.token_request.parse_token_request",
        "protocol.authorization_request.parse_request_uri",
        "authorization_server.identifiers.parse_identifier",
        "authorization_server.tokens.TokenCodec.parse_access_token",
    } <= names


def test_parser_of_an_unknown_type_is_named() -> None:
    """A parser that is not fuzzed must not go unnoticed."""

    def parse_something(value: complex) -> None: ...

    with pytest.raises(NoStrategy, match=r"parse_something takes value: <class 'complex'>"):
        _build("latchstring.protocol.parse_something", parse_something)


def test_refusal_that_no_docstring_names_is_a_finding() -> None:
    """The net has a mesh."""

    def parse_something(value: str) -> int:
        """A number."""
        return int(value)

    def parse_documented(value: str) -> int:
        """A number; raises `ValueError`."""
        return int(value)

    with pytest.raises(ValueError, match="invalid literal"):
        _build("parse_something", parse_something).run(b"x")
    assert _build("parse_documented", parse_documented).run(b"x") is None


def test_slow_parser_is_a_finding() -> None:
    def parse_slowly(raw: bytes) -> int:
        """Counts every pair."""
        return sum(1 for _ in raw for _ in raw)

    parser = _build("parse_slowly", parse_slowly)
    with pytest.raises(AssertionError, match="bytes take"):
        verify_linear(lambda size: parser.run(b"x" * size), 2048)
