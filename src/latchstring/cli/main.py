"""`latchstring`: serve, look after organizations, users, memberships, clients and grants; connect."""

import sys

import typer

from latchstring.authorization_server.apps import AppRefused
from latchstring.cli import (
    audit,
    backup,
    check,
    client,
    connect,
    connection,
    doctor,
    grant,
    key,
    keyring,
    mail,
    membership,
    migrate,
    operator,
    organization,
    registration,
    resource_server,
    restore,
    review,
    serve,
    user,
    webhook,
)
from latchstring.cli.output import CommandRefused, refuse_undecodable
from latchstring.client import ClientError
from latchstring.directory.built_in import DirectoryRefused
from latchstring.protocol.errors import ConfigurationError, OAuthError, StoreUnavailable

app = typer.Typer(
    help="OAuth 2 for software that serves organizations.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("serve")(serve.serve)
app.command("migrate")(migrate.migrate)
app.command("backup")(backup.backup)
app.command("restore")(restore.restore)
app.command("doctor")(doctor.doctor)
app.command("check")(check.check)
app.command("connect")(connect.connect)
app.command("token")(connect.token)
app.add_typer(connection.app, name="connection")
app.add_typer(organization.app, name="organization")
app.add_typer(user.app, name="user")
app.add_typer(membership.app, name="membership")
app.add_typer(operator.app, name="operator")
app.add_typer(client.app, name="client")
app.add_typer(review.app, name="review")
app.add_typer(resource_server.app, name="resource-server")
app.add_typer(registration.app, name="registration")
app.add_typer(grant.app, name="grant")
app.add_typer(key.app, name="key")
app.add_typer(keyring.app, name="keyring")
app.add_typer(mail.app, name="mail")
app.add_typer(audit.app, name="audit")
app.add_typer(webhook.app, name="webhook")


def main() -> None:
    """Run the command; what people can mend is one line on standard error and exit code 1."""
    try:
        for argument in sys.argv:
            refuse_undecodable(argument, "the command line")
        app()
    except (ConfigurationError, AppRefused, DirectoryRefused, CommandRefused) as error:
        _refuse(str(error))
    except ClientError as error:
        _refuse(str(error))
    except OAuthError as error:
        _refuse(error.description)
    except StoreUnavailable as error:
        _refuse(f"the database does not answer ({error}); nothing was changed")


def _refuse(why: str) -> None:
    print(f"latchstring: {why}", file=sys.stderr)
    sys.exit(1)


if __name__ == "__main__":
    main()
