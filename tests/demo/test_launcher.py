"""What the launcher makes of the directory it finds, and what it says."""

import socket
import stat
from typing import ClassVar

import pytest

from latchstring.demo.launcher import CannotStart, prepare, refuse_taken_ports
from latchstring.demo.places import Places
from latchstring.demo.state import STATE_FILE, DemoOrganization, Person, find_state
from latchstring.demo.welcome import render_welcome
from tests.support.ports import find_free_ports


class FakeOperator:
    """Answers the commands that seeding runs, and remembers them."""

    ran: ClassVar[list[tuple[tuple[str, ...], str | None]]] = []

    def __init__(self, database):
        self._path = database.removeprefix("sqlite:///")

    def __call__(self, *arguments, password=None):
        self.ran.append((arguments, password))
        for path in (self._path, self._path + ".keyring"):
            with open(path, "a"):  # noqa: PTH123
                pass
        made = f"{arguments[0]}_{len(self.ran)}"
        return {"id": made, "client_id": made, "client_secret": f"secret-{made}"}


def settle_nothing(database, developer_organization_id, password):
    """The organization in use, without a database to be in."""
    dora = Person(user_id="user_dora", email="dora@example.com", password=password, shows="admin of Dogwood Foods")
    return DemoOrganization(organization_id="orga_dogwood", name="Dogwood Foods", user_ids=["user_dora"]), dora


@pytest.fixture
def ran(monkeypatch):
    monkeypatch.setattr("latchstring.demo.launcher.Operator", FakeOperator)
    monkeypatch.setattr(FakeOperator, "ran", [])
    monkeypatch.setattr("latchstring.demo.settled.settle", settle_nothing)
    return FakeOperator.ran


def places_in(directory, base_port=8400):
    return Places(base_port=base_port, directory=directory)


def test_prepare_empty_directory_seeds_it(tmp_path, ran):
    state, registration = prepare(places_in(tmp_path))
    assert [(person.email, len(person.password) > 15) for person in state.people] == [
        ("ann@example.com", True),
        ("ben@example.com", True),
        ("cleo@example.com", True),
        ("dora@example.com", True),
    ]
    acorn, birch, dogwood = state.organizations
    ann, ben, cleo, dora = state.people
    assert (dogwood.name, dogwood.user_ids) == ("Dogwood Foods", [dora.user_id])
    assert (acorn.name, birch.name) == ("Acorn Partners", "Birch & Co")
    assert (acorn.user_ids, birch.user_ids) == ([ann.user_id], [ann.user_id, ben.user_id])
    memberships = {arguments[1:] for arguments, _ in ran if arguments[0] == "membership"}
    assert memberships == {
        ("add", "--user", ann.user_id, "--organization", acorn.organization_id, "--role", "admin"),
        ("add", "--user", ann.user_id, "--organization", birch.organization_id, "--role", "member"),
        ("add", "--user", ben.user_id, "--organization", birch.organization_id, "--role", "admin"),
        ("add", "--user", cleo.user_id, "--organization", acorn.organization_id, "--role", "member"),
        ("end", "--user", cleo.user_id, "--organization", acorn.organization_id),
    }
    apps = [arguments for arguments, _ in ran if arguments[0] == "client"]
    assert [("--published" in arguments, birch.organization_id in arguments) for arguments in apps] == [
        (True, True),
        (False, False),
    ]
    assert registration.sample_app.client_secret.startswith("secret-")


def test_prepare_second_run_reuses_everything(tmp_path, ran):
    first = prepare(places_in(tmp_path))
    count = len(ran)
    assert prepare(places_in(tmp_path)) == first
    assert len(ran) == count


def test_prepare_on_other_ports_keeps_people_and_registers_anew(tmp_path, ran):
    first, _ = prepare(places_in(tmp_path))
    count = len(ran)
    second, registration = prepare(places_in(tmp_path, 9000))
    assert second.people == first.people
    assert [arguments[0] for arguments, _ in ran[count:]] == ["client", "client", "resource-server"]
    assert "http://127.0.0.1:9002/callback" in ran[count][0]
    assert registration == second.registrations["9000"] != second.registrations["8400"]
    assert find_state(tmp_path) == second


@pytest.mark.parametrize("missing", ["demo.json", "latchstring.db", "latchstring.db.keyring", "cut"])
def test_prepare_half_seeded_directory_is_set_aside_and_seeded_anew(tmp_path, ran, capsys, missing):
    old, _ = prepare(places_in(tmp_path))
    if missing == "cut":
        (tmp_path / STATE_FILE).write_bytes(b'{"organizations":[')
    else:
        (tmp_path / missing).unlink()
    before = {path.name for path in tmp_path.iterdir()} - {"latchstring.toml"}
    new, _ = prepare(places_in(tmp_path))
    assert new.people != old.people
    [aside] = tmp_path.glob("set-aside-*")
    assert {path.name for path in aside.iterdir()} == before
    assert "was not whole" in capsys.readouterr().out


def test_state_is_readable_by_its_owner_alone(tmp_path, ran):
    prepare(places_in(tmp_path))
    assert stat.S_IMODE((tmp_path / STATE_FILE).stat().st_mode) == 0o600


def test_state_repr_shows_no_secret(tmp_path, ran):
    state, registration = prepare(places_in(tmp_path))
    shown = repr(state) + repr(registration)
    assert registration.sample_app.client_secret not in shown
    assert state.people[0].password not in shown


def test_welcome_names_where_to_start_and_who_can_sign_in(tmp_path, ran):
    state, registration = prepare(places_in(tmp_path))
    lines = render_welcome(places_in(tmp_path), state, registration).splitlines()
    text = "\n".join(lines)
    first_link = next(line for line in lines if "http" in line)
    assert first_link.startswith("Start here")
    assert first_link.endswith("http://127.0.0.1:8402")
    people = [line for line in lines if "@example.com" in line]
    assert len({line.index(person.shows) for line, person in zip(people, state.people, strict=True)}) == 1
    assert all(person.password in line for line, person in zip(people, state.people, strict=True))
    assert f"client_id={registration.private_app_client_id}&" in text
    assert "http://127.0.0.1:8400/connections" in text
    assert "http://127.0.0.1:8400/organizations/orga_dogwood" in text
    assert "Ctrl-C stops all." in text
    assert registration.sample_app.client_secret not in text


@pytest.mark.parametrize("offset, what", [(0, "authorization server"), (1, "sample API"), (2, "sample app")])
def test_taken_port_is_named_with_the_way_round_it(tmp_path, offset, what):
    port = find_free_ports(3) + offset
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        with pytest.raises(CannotStart) as refused:
            refuse_taken_ports(places_in(tmp_path, port - offset))
    text = str(refused.value)
    assert f"Port {port}, for the {what}, is taken" in text
    assert "make run BASE_PORT=9000" in text


def test_server_under_a_name_leaves_the_other_parts_where_they_are(tmp_path):
    """Passkeys need a name; the same directory serves under either."""
    named = Places(base_port=8400, directory=tmp_path, server_host="localhost")
    assert named.issuer == "http://localhost:8400"
    assert named.introspection_endpoint == "http://localhost:8400/oauth2/introspect/"
    assert (named.api, named.app) == ("http://127.0.0.1:8401", "http://127.0.0.1:8402")
    assert named.redirect_uri == places_in(tmp_path).redirect_uri
