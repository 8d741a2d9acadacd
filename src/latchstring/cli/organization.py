"""`latchstring organization`."""

from typing import Annotated

import typer

from latchstring.authorization_server.events import COMMAND_LINE
from latchstring.authorization_server.records import OrganizationRecord
from latchstring.cli import life_cycle, organization_policy
from latchstring.cli.output import DATABASE, Database, Json, KeyringPath, print_record, run_with_store
from latchstring.storage.store import SqlStore
from latchstring.wiring import Deployment, build_directory

app = typer.Typer(help="Organizations: the tenants whose data apps may reach.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    pass


@app.command("create")
def create(
    name: Annotated[str, typer.Option(help="The organization's name.")],
    database: Database = DATABASE,
    keyring: KeyringPath = None,
    as_json: Json = False,
) -> None:
    """Create an organization and print its id."""

    async def work(store: SqlStore, _: Deployment) -> OrganizationRecord:
        return await build_directory(store).create_organization(name, origin=COMMAND_LINE)

    organization = run_with_store(database, keyring, work)
    print_record(
        {
            "id": organization.organization_id,
            "organization_id": organization.organization_id,
            "name": organization.name,
        },
        as_json,
    )


app.command("policy")(organization_policy.policy)
app.command("apps")(organization_policy.list_apps)
app.command("approve-app")(organization_policy.approve_app)
app.command("block-app")(organization_policy.block_app)
app.command("forget-app")(organization_policy.forget_app)
app.command("close")(life_cycle.close_organization)
app.command("reopen")(life_cycle.reopen_organization)
app.command("set-leavers")(life_cycle.set_leavers)
