"""An organization with a member and an app, made by commands as an operator makes them."""

from dataclasses import dataclass
from typing import Any

from tests.support.deployment import PASSWORD, REDIRECT_URI
from tests.support.process import Operator


@dataclass
class RegisteredApp:
    """An app as the command printed it; the secret is None for a public one."""

    client_id: str
    secret: str | None
    created: dict[str, Any]

    def body(self, **parameters: str) -> dict[str, str]:
        """Form parameters with the app's own credentials in the body."""
        secret = {} if self.secret is None else {"client_secret": self.secret}
        return {"client_id": self.client_id, **secret, **parameters}


@dataclass
class Company:
    """What the commands answered."""

    operator: Operator
    organization_id: str
    user_id: str
    app: RegisteredApp


def found_company(operator: Operator) -> Company:
    """Acorn Partners, whose member is Ann and whose app is Mailloop."""
    organization_id = create_organization(operator)
    user_id = create_user(operator)
    operator.ask("membership", "add", "--user", user_id, "--organization", organization_id)
    return Company(operator, organization_id, user_id, create_app(operator, organization_id))


def create_organization(operator: Operator, name: str = "Acorn Partners") -> str:
    """Its id."""
    return str(operator.ask("organization", "create", "--name", name)["id"])


def create_user(operator: Operator, email: str = "ann@example.com", name: str = "Ann") -> str:
    """Their id."""
    created = operator.ask("user", "create", "--email", email, "--name", name, "--password-stdin", password=PASSWORD)
    return str(created["id"])


def create_app(operator: Operator, organization_id: str, *options: str, name: str = "Mailloop") -> RegisteredApp:
    """A published app, as the command printed it."""
    owner = ("--organization", organization_id, "--name", name)
    return read_app(operator.ask("client", "create", *owner, "--redirect-uri", REDIRECT_URI, "--published", *options))


def read_app(created: dict[str, Any]) -> RegisteredApp:
    """The app that `client create --json` describes."""
    return RegisteredApp(created["client_id"], created.get("client_secret"), created)
