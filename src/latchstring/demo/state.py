"""What the demo remembers between runs, in `demo.json`: ids, and the passwords and secrets made for it."""

import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

STATE_FILE: Final = "demo.json"
CURL_FILE: Final = "curl.env"


class Person(msgspec.Struct, kw_only=True):
    """A member who can sign in, and what signing in as them shows."""

    user_id: str
    email: str
    password: str
    shows: str

    def __repr__(self) -> str:
        return f"Person(email={self.email!r}, password=…)"


class Credentials(msgspec.Struct, kw_only=True):
    """A client's or an API's own, at the server."""

    client_id: str
    client_secret: str

    def __repr__(self) -> str:
        return f"Credentials(client_id={self.client_id!r}, client_secret=…)"


class Registration(msgspec.Struct, kw_only=True):
    """What is registered for one set of ports, since ports stand in redirect URIs and in the API's name."""

    sample_app: Credentials
    private_app_client_id: str
    sample_api: Credentials


class DemoOrganization(msgspec.Struct, kw_only=True):
    """An organization and its present members."""

    organization_id: str
    name: str
    user_ids: list[str]


class DemoState(msgspec.Struct, kw_only=True):
    """Written when the organizations and people are all there, and again for each new set of ports."""

    organizations: list[DemoOrganization]
    people: list[Person]
    registrations: dict[str, Registration] = {}


def find_state(directory: Path) -> DemoState | None:
    """The remembered state; None when there is none or it cannot be read."""
    try:
        return msgspec.json.decode((directory / STATE_FILE).read_bytes(), type=DemoState)
    except (OSError, msgspec.DecodeError):
        return None


def write_state(directory: Path, state: DemoState) -> None:
    """Remember the state, readable by its owner alone; whole or not at all."""
    _write_privately(directory / STATE_FILE, msgspec.json.format(msgspec.json.encode(state), indent=2) + b"\n")


def write_curl_variables(directory: Path, variables: Mapping[str, str]) -> None:
    """Shell variables for the README's curl lines: the sample app's credentials and one member's."""
    lines = [f"{name}={shlex.quote(value)}\n" for name, value in variables.items()]
    _write_privately(directory / CURL_FILE, "".join(lines).encode())


def _write_privately(path: Path, content: bytes) -> None:
    draft = path.with_name(f"{path.name}.new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
    draft.replace(path)
