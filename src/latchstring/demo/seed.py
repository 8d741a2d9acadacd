"""Fills a new server as its operator would, command by command: two organizations, three people, two apps. A third
organization, which has been here for months, is in `settled.py`."""

import secrets
from typing import Any, Final

from latchstring.demo.operate import Operator
from latchstring.demo.places import Places
from latchstring.demo.state import Credentials, DemoOrganization, DemoState, Person, Registration

ACORN: Final = "Acorn Partners"
BIRCH: Final = "Birch & Co"
_WORDS: Final = (
    "amber anchor autumn barley beacon birch breeze canyon cedar cherry clover copper coral cotton cricket "
    "dapple ember falcon fennel forest garden ginger granite harbor hazel heron indigo island ivory jasper "
    "juniper kestrel lantern laurel lemon linen lotus maple marble meadow mellow mint nectar nutmeg olive "
    "orchid otter pebble pepper pine plum poppy quartz quill raven ribbon river robin saffron sage sparrow "
    "spruce summer thistle timber tulip velvet walnut willow winter"
)


def seed_people(operate: Operator) -> DemoState:
    """Two organizations and three people: one in both, one in one, one who has left."""
    acorn = operate("organization", "create", "--name", ACORN)["id"]
    birch = operate("organization", "create", "--name", BIRCH)["id"]

    def create_person(email: str, name: str, shows: str) -> Person:
        password = new_password()
        created = operate("user", "create", "--email", email, "--name", name, "--password-stdin", password=password)
        return Person(user_id=created["id"], email=email, password=password, shows=shows)

    def add_member(person: Person, organization: str, role: str) -> None:
        operate("membership", "add", "--user", person.user_id, "--organization", organization, "--role", role)

    ann = create_person("ann@example.com", "Ann Alder", f"in both organizations, admin of {ACORN}, operator")
    ben = create_person("ben@example.com", "Ben Brook", f"in {BIRCH} only, its admin: edits Mailloop at /apps")
    cleo = create_person("cleo@example.com", "Cleo Crane", f"has left {ACORN}: has nothing to connect")
    add_member(ann, acorn, "admin")
    add_member(ann, birch, "member")
    add_member(ben, birch, "admin")
    add_member(cleo, acorn, "member")
    operate("operator", "add", ann.email)
    operate("membership", "end", "--user", cleo.user_id, "--organization", acorn)
    return DemoState(
        organizations=[
            DemoOrganization(organization_id=acorn, name=ACORN, user_ids=[ann.user_id]),
            DemoOrganization(organization_id=birch, name=BIRCH, user_ids=[ann.user_id, ben.user_id]),
        ],
        people=[ann, ben, cleo],
    )


def new_password() -> str:
    """Four words and a number: easy to type, and long enough to be nobody's guess."""
    words = _WORDS.split()
    return "-".join([*(secrets.choice(words) for _ in range(4)), str(10 + secrets.randbelow(90))])


def register_parts(operate: Operator, state: DemoState, places: Places) -> Registration:
    """The apps and the API for these ports: redirect URIs and the API's identifier name a port."""
    acorn, birch = (organization.organization_id for organization in state.organizations[:2])
    where = "" if not state.registrations else f" (port {places.base_port + 2})"
    sample_app = operate(
        "client", "create", "--organization", birch, "--name", f"Mailloop{where}",
        "--redirect-uri", places.redirect_uri, "--published",
    )  # fmt: skip
    private_app = operate(
        "client", "create", "--organization", acorn, "--name", f"Acorn Internal Sync{where}",
        "--redirect-uri", places.redirect_uri,
    )  # fmt: skip
    sample_api = operate("resource-server", "create", "--name", f"Sample API{where}", "--resource", places.api)
    return Registration(
        sample_app=_credentials(sample_app),
        private_app_client_id=private_app["client_id"],
        sample_api=_credentials(sample_api),
    )


def _credentials(created: dict[str, Any]) -> Credentials:
    return Credentials(client_id=created["client_id"], client_secret=created["client_secret"])
