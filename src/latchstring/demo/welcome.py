"""What the launcher tells the person who started it."""

from collections.abc import Sequence
from urllib.parse import urlencode

from latchstring.demo.places import HOST, Places
from latchstring.demo.state import DemoState, Registration


def render_welcome(places: Places, state: DemoState, registration: Registration) -> str:
    """Where to look first, who can sign in, what else there is, how to stop."""
    private_app = f"{places.issuer}/oauth2/authorize/?" + urlencode(
        {"client_id": registration.private_app_client_id, "response_type": "code", "state": "demo"}
    )
    return "\n".join(
        [
            "",
            "The Latchstring demo is running.",
            "",
            f"Start here   {places.app}",
            "             Mailloop, a sample app: press Connect, sign in, choose an organization.",
            "",
            "Who can sign in",
            *_columns([(person.email, person.password, person.shows) for person in state.people]),
            "",
            "What else there is",
            *_columns(
                [
                    (f"{places.issuer}/connections", "what a member has connected, and Disconnect"),
                    (f"{places.issuer}/apps", "a developer's apps, and New app"),
                    (f"{places.issuer}/account", _tell_of_account(places)),
                    *_settled(places, state),
                    (f"{places.api}/api/v1/me/", "the sample API; it wants an access token"),
                    (f"{places.issuer}/api/v1/openapi.json", "what admins and operators do on pages, as an API"),
                ]
            ),
            "",
            "An app private to Acorn Partners: open it as Ben and see who may not use it",
            f"  {private_app}",
            "",
            f"Data and logs are in {places.directory}; remove that folder to start afresh.",
            "Ctrl-C stops all.",
            "",
        ]
    )


def _settled(places: Places, state: DemoState) -> Sequence[Sequence[str]]:
    """The pages of those in charge. Data of an earlier version knows no such organization."""
    return [
        *(
            (f"{places.issuer}/organizations/{settled.organization_id}", f"{settled.name}, in use for months: as Dora")
            for settled in state.organizations[2:]
        ),
        (f"{places.issuer}/operator/reviews", "what the people who run this see: as Ann"),
    ]


def _tell_of_account(places: Places) -> str:
    if places.server_host == HOST:
        return "password and authenticator app; passkeys with make run SERVER_HOST=localhost"
    return "password, authenticator app, passkeys"


def curl_variables(places: Places, state: DemoState, registration: Registration) -> dict[str, str]:
    """What the README's curl lines need: the first person signs in and chooses the second organization."""
    person = state.people[0]
    return {
        "SERVER": places.issuer,
        "API": places.api.rstrip("/"),
        "CLIENT_ID": registration.sample_app.client_id,
        "CLIENT_SECRET": registration.sample_app.client_secret,
        "REDIRECT_URI": places.redirect_uri,
        "EMAIL": person.email,
        "PASSWORD": person.password,
        "ORGANIZATION_ID": state.organizations[1].organization_id,
    }


def render_port_taken(what: str, port: int, base_port: int) -> str:
    """Which port is in the way, and the way round it."""
    other = 9000 if abs(base_port - 9000) > 2 else 8500
    return (
        f"Port {port}, for the {what}, is taken by another program.\n"
        f"Stop that program, or run the demo on other ports:  make run BASE_PORT={other}"
    )


def _columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """The rows with their columns aligned, indented."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return [
        ("  " + "   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))).rstrip() for row in rows
    ]
