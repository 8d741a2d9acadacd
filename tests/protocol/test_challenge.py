"""What an API's challenges say, as a client reads them (RFC 9110 §11.6.1)."""

import time

import pytest

from latchstring.protocol.challenge import parse_challenges


@pytest.mark.parametrize(
    "values, expected",
    [
        ([], []),
        (["Bearer"], [("bearer", {})]),
        (['Bearer realm="api"'], [("bearer", {"realm": "api"})]),
        (["Bearer error=invalid_token"], [("bearer", {"error": "invalid_token"})]),
        (
            ['BEARER Scope = "a b",  error="insufficient_scope"'],
            [("bearer", {"scope": "a b", "error": "insufficient_scope"})],
        ),
        (
            ['Bearer realm="api", DPoP algs="ES256 EdDSA"'],
            [("bearer", {"realm": "api"}), ("dpop", {"algs": "ES256 EdDSA"})],
        ),
        (['Bearer error="a"', 'Basic realm="b"'], [("bearer", {"error": "a"}), ("basic", {"realm": "b"})]),
        (["Negotiate, Bearer error=x"], [("negotiate", {}), ("bearer", {"error": "x"})]),
        (['Bearer realm="a \\"quoted\\" \\\\ word"'], [("bearer", {"realm": 'a "quoted" \\ word'})]),
        (['Bearer realm="Bearer error=x"'], [("bearer", {"realm": "Bearer error=x"})]),
        (['Bearer error="first", error="second"'], [("bearer", {"error": "first"})]),
        (['error="x"'], []),
        (['Bearer error="unended'], [("bearer", {})]),
        (["Bearer " + 'a="b",' * 3000], []),
        (["Bearer a=" + "b" * 8183], [("bearer", {"a": "b" * 8183})]),
        (["Bearer a=" + "b" * 8184], []),
    ],
)
def test_challenges_are_read(values, expected):
    assert [(each.scheme, dict(each.parameters)) for each in parse_challenges(values)] == expected


@pytest.mark.parametrize(
    "hostile", ['"' * 8000, "a" * 8000, "a =" * 2600, 'a="' + "\\" * 8000, "Bearer " * 1100, "a\t" * 4000]
)
def test_hostile_challenge_takes_linear_time(hostile):
    spent = []
    for _ in range(5):  # other tests' threads count too: the best is what it costs
        began = time.process_time()
        parse_challenges([hostile])
        spent.append(time.process_time() - began)
    assert min(spent) < 0.2
