"""The apps that an organization develops."""

from typing import Annotated, Final, Literal

import msgspec

from latchstring.authorization_server.administration import is_confirmed
from latchstring.authorization_server.api_scopes import APPS_MANAGE, APPS_READ
from latchstring.authorization_server.apps import AppDetails, AppRefused
from latchstring.authorization_server.client_secrets import find_live
from latchstring.authorization_server.policy import find_policy, tighten
from latchstring.authorization_server.ports import Commit
from latchstring.authorization_server.publication import MAX_NOTE_LENGTH, Category, ReviewState
from latchstring.authorization_server.records import ClientRecord, Profile
from latchstring.protocol.client_metadata import CLIENT_SECRET_POST, NONE
from latchstring.web.api.operation import Call, Listed, Nothing, Operation, refuse_conflict, refuse_unknown
from latchstring.web.api.organization import Confirmation
from latchstring.web.asgi import FieldRefused

_AT: Final = "/apps"
_ONE: Final = f"{_AT}/{{client_id}}"


class Secret(msgspec.Struct, frozen=True, kw_only=True):
    """A client secret that works, by its first characters; until `expires_at`, if there is one."""

    secret_id: str
    hint: str
    name: str
    created_at: int
    expires_at: int | None
    last_used_at: int | None


class Review(msgspec.Struct, frozen=True, kw_only=True):
    """The latest review of the app, and what the operator said."""

    state: ReviewState
    word: str
    asked_at: int
    decided_at: int | None


class App(msgspec.Struct, frozen=True, kw_only=True):
    """An app as its developers see it."""

    client_id: str
    name: str
    description: str
    redirect_uris: list[str]
    terms_uri: str | None
    policy_uri: str | None
    scope: list[str]
    grant_types: list[str]
    token_endpoint_auth_method: str
    profile: Profile
    requires_pkce: bool
    state: Literal["private", "in_review", "published", "listed"]
    review: Review | None
    suspended_reason: str | None
    is_suspended: bool
    created_at: int
    secrets: list[Secret]


class AppSummary(msgspec.Struct, frozen=True, kw_only=True):
    """An app of a list."""

    client_id: str
    name: str
    state: Literal["private", "in_review", "published", "listed"]
    created_at: int


class Reach(msgspec.Struct, frozen=True, kw_only=True):
    """How many live connections the app has to an organization."""

    organization_name: str
    connections: int
    last_used_at: int | None


class AppEdited(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What people read of the app, and where browsers return to."""

    name: str
    description: str = ""
    redirect_uris: list[str] = []
    terms_uri: str | None = None
    policy_uri: str | None = None


class NewApp(AppEdited, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The same, and whether the app runs where no secret can be kept."""

    is_public: bool = False


class CreatedApp(msgspec.Struct, frozen=True, kw_only=True):
    """The new app's credentials. No other answer shows the secret; a public app has none."""

    client_id: str
    client_secret: str | None


class ReviewAsked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the app is to become, and a note for the operator."""

    wants: Literal["public", "listed"]
    category: Category
    note: Annotated[str, msgspec.Meta(max_length=MAX_NOTE_LENGTH)] = ""


async def list_apps(call: Call, asked: Nothing) -> Listed[AppSummary]:
    """List the organization's own apps, the newest first."""
    found = await call.services.store.find_clients_for_user(call.user.user_id)
    return Listed(
        items=[
            AppSummary(
                client_id=client.client_id,
                name=client.name,
                state=await call.services.publication.find_state(client),
                created_at=client.created_at,
            )
            for client in found
            if client.organization_id == call.organization_id
        ]
    )


async def create_app(call: Call, asked: NewApp) -> CreatedApp:
    """Register an app. It is private until a review publishes it."""
    try:
        client, secret = await call.services.apps.create(
            _read_details(asked),
            organization_id=call.organization_id,
            created_by=call.user.user_id,
            token_endpoint_auth_method=NONE if asked.is_public else CLIENT_SECRET_POST,
            origin=call.origin,
        )
    except AppRefused as refused:
        raise refuse_problems(refused) from None
    return CreatedApp(client_id=client.client_id, client_secret=secret)


async def show_app(call: Call, asked: Nothing) -> App:
    """Read an app."""
    client = await find_own_app(call)
    services = call.services
    review, _ = await services.publication.find(client.client_id)
    secrets = find_live(client.secrets, services.clock())
    uses = await services.store.find_secret_uses(client.client_id) if secrets else {}
    return App(
        client_id=client.client_id,
        name=client.name,
        description=client.description,
        redirect_uris=list(client.redirect_uris),
        terms_uri=client.terms_uri,
        policy_uri=client.policy_uri,
        scope=list(client.scope),
        grant_types=list(client.grant_types),
        token_endpoint_auth_method=client.token_endpoint_auth_method,
        profile=client.security.profile,
        requires_pkce=find_policy(client).requires_pkce,
        state=await services.publication.find_state(client),
        review=None
        if review is None
        else Review(state=review.state, word=review.word, asked_at=review.asked_at, decided_at=review.decided_at),
        suspended_reason=client.suspended_reason,
        is_suspended=client.is_suspended,
        created_at=client.created_at,
        secrets=[
            Secret(
                secret_id=kept.secret_id,
                hint=kept.hint,
                name=kept.name,
                created_at=kept.created_at,
                expires_at=kept.expires_at,
                last_used_at=uses.get(kept.secret_id),
            )
            for kept in secrets
        ],
    )


async def show_reach(call: Call, asked: Nothing) -> Listed[Reach]:
    """Read which organizations the app has live connections to, the most first, at most 1,000."""
    client = await find_own_app(call)
    found = await call.services.store.find_app_reach(client.client_id, now=call.services.clock())
    return Listed(
        items=[
            Reach(organization_name=each.organization_name, connections=each.count, last_used_at=each.last_used_at)
            for each in found
        ]
    )


async def save_app(call: Call, asked: AppEdited) -> None:
    """Put what people read of the app, and its redirect URIs, in place of those before."""
    client = await find_own_app(call)
    try:
        await call.services.apps.update(client, _read_details(asked), origin=call.origin)
    except AppRefused as refused:
        raise refuse_problems(refused) from None


async def require_pkce(call: Call, asked: Nothing) -> None:
    """Let the app off nothing any more. There is no way back by the API."""
    client = await find_own_app(call)
    try:
        await call.services.apps.update_security(client, tighten(client.security), origin=call.origin)
    except AppRefused as refused:
        raise refuse_problems(refused) from None


async def delete_app(call: Call, asked: Confirmation) -> None:
    """Delete the app. Its connections are dead when this answers, and nothing brings them back."""
    client = await find_own_app(call)
    if not is_confirmed(asked.confirmation, client.name):
        raise FieldRefused("confirmation", "Give the name of the app, to delete it.")
    if await call.services.apps.end(client.client_id, origin=call.origin) is Commit.LOST:
        raise refuse_unknown("app")


async def ask_review(call: Call, asked: ReviewAsked) -> None:
    """Send the app to the operator's review, as it is now."""
    client = await find_own_app(call)
    commit = await call.services.publication.ask(
        client,
        wants_listing=asked.wants == "listed",
        category=asked.category,
        note=asked.note,
        origin=call.origin,
    )
    if commit is Commit.LOST:
        raise refuse_unknown("app")


async def withdraw_review(call: Call, asked: Nothing) -> None:
    """Take back a review that waits."""
    client = await find_own_app(call)
    if await call.services.publication.withdraw(client.client_id, origin=call.origin) is Commit.LOST:
        raise refuse_conflict("No review of the app waits.")


async def find_own_app(call: Call) -> ClientRecord:
    """The app in the path, if the organization develops it."""
    client = await call.services.store.find_client(call.path["client_id"])
    if client is None or client.ended_at is not None or client.organization_id != call.organization_id:
        raise refuse_unknown("app")
    return client


def refuse_problems(refused: AppRefused) -> FieldRefused:
    """What must change, by the first field that must."""
    return FieldRefused(refused.problems[0].field, " ".join(problem.message for problem in refused.problems))


def _read_details(asked: AppEdited) -> AppDetails:
    return AppDetails(
        name=asked.name,
        description=asked.description,
        redirect_uris=tuple(asked.redirect_uris),
        terms_uri=asked.terms_uri,
        policy_uri=asked.policy_uri,
    )


OPERATIONS: Final = (
    Operation("GET", _AT, APPS_READ, list_apps),
    Operation("POST", _AT, APPS_MANAGE, create_app, status=201),
    Operation("GET", _ONE, APPS_READ, show_app),
    Operation("PUT", _ONE, APPS_MANAGE, save_app),
    Operation("GET", f"{_ONE}/reach", APPS_READ, show_reach),
    Operation("POST", f"{_ONE}/require-pkce", APPS_MANAGE, require_pkce),
    Operation("POST", f"{_ONE}/delete", APPS_MANAGE, delete_app, is_final=True),
    Operation("POST", f"{_ONE}/review", APPS_MANAGE, ask_review),
    Operation("DELETE", f"{_ONE}/review", APPS_MANAGE, withdraw_review),
)
