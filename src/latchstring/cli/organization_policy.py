"""`latchstring organization policy`, `apps`, `approve-app`, `block-app` and `forget-app`."""

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
import typer

from latchstring.authorization_server.events import COMMAND_LINE
from latchstring.authorization_server.organization_policy import MODES, RISKS, OrganizationPolicy, list_asked
from latchstring.authorization_server.policy_ports import ListedRule
from latchstring.authorization_server.ports import Commit
from latchstring.cli.output import (
    DATABASE,
    CommandRefused,
    ConfigPath,
    Database,
    Json,
    KeyringPath,
    print_record,
    print_records,
    run_with_store,
)
from latchstring.protocol.scope import parse_scope
from latchstring.storage.store import SqlStore
from latchstring.wiring import Deployment, build_organization_policies, load_settings

_NO_ISSUER = "http://127.0.0.1"
_MODES = ", ".join(MODES)

Organization = Annotated[str, typer.Option("--organization", help="The organization's id.")]
Client = Annotated[str, typer.Option("--client", help="The client id, as `client list` prints it.")]
User = Annotated[str | None, typer.Option("--user", help="Only for this member (id); otherwise for everyone.")]
Scope = Annotated[str | None, typer.Option("--scope", help="What for, space-delimited; all that it may ask for.")]
LowMode = Annotated[str | None, typer.Option("--low", help=f"For apps that ask for low risk: {_MODES}.")]
MediumMode = Annotated[str | None, typer.Option("--medium", help=f"For medium risk: {_MODES}.")]
HighMode = Annotated[str | None, typer.Option("--high", help=f"For high risk: {_MODES}.")]


def policy(
    organization: Organization,
    low: LowMode = None,
    medium: MediumMode = None,
    high: HighMode = None,
    database: Database = DATABASE,
    keyring: KeyringPath = None,
    config: ConfigPath = None,
    as_json: Json = False,
) -> None:
    """Show which apps members may connect, or change it for the risks that are given."""
    given = {risk: mode for risk, mode in zip(RISKS, (low, medium, high), strict=True) if mode is not None}
    for risk, mode in given.items():
        if mode not in MODES:
            raise CommandRefused(f"--{risk}: give one of {_MODES}")
    settings = load_settings(config, issuer=_NO_ISSUER)

    async def work(store: SqlStore, _: Deployment) -> tuple[OrganizationPolicy, bool]:
        policies = build_organization_policies(store, settings)
        if await store.find_organization(organization) is None:
            raise CommandRefused(f"there is no organization {organization}")
        found, is_own = await policies.find_policy(organization)
        if given:
            found, is_own = msgspec.structs.replace(found, **given), True
            await policies.change_policy(organization, found, origin=COMMAND_LINE)
        return found, is_own

    found, is_own = run_with_store(database, keyring, work)
    modes: dict[str, Any] = {risk: found.find_mode(risk) for risk in RISKS}
    print_record({"organization_id": organization, **modes, "is_default": not is_own}, as_json)


def approve_app(
    organization: Organization,
    client: Client,
    scope: Scope = None,
    user: User = None,
    database: Database = DATABASE,
    keyring: KeyringPath = None,
    config: ConfigPath = None,
    as_json: Json = False,
) -> None:
    """Let members connect an app, whatever the policy says."""
    settings = load_settings(config, issuer=_NO_ISSUER)
    asked = None if scope is None else list_asked(parse_scope(scope))

    async def work(store: SqlStore, _: Deployment) -> tuple[str, ...]:
        found = await store.find_client(client)
        if found is None or found.ended_at is not None:
            raise CommandRefused(f"there is no client {client}")
        may_ask = list_asked(found.scope)
        if asked is not None and not (asked and set(asked) <= set(may_ask)):
            raise CommandRefused(f"--scope: the client may ask for {' '.join(may_ask)}")
        approved = may_ask if asked is None else asked
        left_out = tuple(item for item in may_ask if item not in approved)
        commit = await build_organization_policies(store, settings).approve(
            organization, client, scope=approved, left_out=left_out, user_id=user, origin=COMMAND_LINE
        )
        _refuse_lost(commit, organization)
        return approved

    approved = run_with_store(database, keyring, work)
    decided = {"organization_id": organization, "client_id": client, "user_id": user}
    print_record({**decided, "scope": " ".join(approved)}, as_json)


def block_app(
    organization: Organization,
    client: Client,
    user: User = None,
    database: Database = DATABASE,
    keyring: KeyringPath = None,
    as_json: Json = False,
) -> None:
    """Block an app; what it could do in the organization is dead at once."""
    settings = load_settings(None, issuer=_NO_ISSUER)

    async def work(store: SqlStore, _: Deployment) -> None:
        policies = build_organization_policies(store, settings)
        _refuse_lost(await policies.block(organization, client, user_id=user, origin=COMMAND_LINE), organization)

    run_with_store(database, keyring, work)
    print_record({"organization_id": organization, "client_id": client, "user_id": user, "is_blocked": True}, as_json)


def forget_app(
    organization: Organization,
    client: Client,
    user: User = None,
    database: Database = DATABASE,
    keyring: KeyringPath = None,
    as_json: Json = False,
) -> None:
    """Take back an approval or a block: the policy decides about the app again."""
    settings = load_settings(None, issuer=_NO_ISSUER)

    async def work(store: SqlStore, _: Deployment) -> None:
        policies = build_organization_policies(store, settings)
        if await policies.end_rule(organization, client, user_id=user, origin=COMMAND_LINE) is Commit.LOST:
            raise CommandRefused(f"{organization} has decided nothing about {client}")

    run_with_store(database, keyring, work)
    print_record({"organization_id": organization, "client_id": client, "user_id": user, "ended": True}, as_json)


def list_apps(
    organization: Organization, database: Database = DATABASE, keyring: KeyringPath = None, as_json: Json = False
) -> None:
    """List what the organization has decided about single apps, at most 1,000."""
    settings = load_settings(None, issuer=_NO_ISSUER)

    async def work(store: SqlStore, _: Deployment) -> Sequence[ListedRule]:
        return await build_organization_policies(store, settings).find_rules(organization)

    rules = run_with_store(database, keyring, work)
    records = [
        {
            "client_id": listed.rule.client_id,
            "name": listed.client_name,
            "user_id": listed.rule.user_id,
            "is_blocked": listed.rule.is_blocked,
            "scope": " ".join(listed.rule.scope),
            "left_out": " ".join(listed.rule.left_out),
            "decided_by": listed.rule.decided_by,
            "decided_at": listed.rule.decided_at,
        }
        for listed in rules
    ]
    print_records(records, as_json, "The organization has decided about no app by itself.")


def _refuse_lost(commit: Commit, organization: str) -> None:
    if commit is Commit.LOST:
        raise CommandRefused(f"there is no organization {organization}")
