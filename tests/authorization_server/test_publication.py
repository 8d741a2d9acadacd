"""What a review is about, and what has changed since the last one."""

import msgspec

from latchstring.authorization_server.publication import find_facts, list_changes, read_facts, render_facts
from tests.authorization_server.builders import build_client


def test_facts_are_read_as_they_were_rendered_whatever_their_order():
    client = build_client(redirect_uris=("https://b.example/", "https://a.example/x"), scope=("b", "a"))
    facts = read_facts(render_facts(client))
    assert facts == find_facts(client)
    assert (facts.hosts, facts.scope) == (("a.example", "b.example"), ("a", "b"))
    assert render_facts(msgspec.structs.replace(client, scope=("a", "b"))) == render_facts(client)


def test_changes_are_what_went_and_what_came():
    before = find_facts(build_client(name="Mailloop", scope=("a", "b"), redirect_uris=("https://a.example/",)))
    now = msgspec.structs.replace(before, name="Mailloop Pro", scope=("b", "c"), hosts=("a.example", "b.example"))
    assert list_changes(before, now) == {
        "name": (("Mailloop",), ("Mailloop Pro",)),
        "scope": (("a",), ("c",)),
        "hosts": ((), ("b.example",)),
    }
    assert list_changes(now, now) == {}


def test_owner_is_a_fact_and_nobody_is_none():
    assert find_facts(build_client(organization_id="orga_x")).owner == "orga_x"
    assert find_facts(build_client(organization_id=None)).owner == ""
