"""`latchstring operator`."""

import json
from pathlib import Path

from typer.testing import CliRunner, Result

from latchstring.cli.main import app


def run(database: str, *arguments: str, text: str = "") -> Result:
    return CliRunner().invoke(app, [*arguments, "--database", database, "--json"], input=text)


def test_operator_is_added_listed_and_removed(tmp_path: Path) -> None:
    database = f"sqlite:///{tmp_path}/latchstring.db"
    person = ("user", "create", "--email", "ann@example.com", "--name", "Ann", "--password-stdin")
    user = json.loads(run(database, *person, text="a long password\n").stdout)
    assert json.loads(run(database, "operator", "list").stdout) == []
    added = json.loads(run(database, "operator", "add", "Ann@Example.com").stdout)
    assert added == {"user_id": user["id"], "email": "ann@example.com", "is_operator": True}
    listed = json.loads(run(database, "operator", "list").stdout)
    assert listed == [{"user_id": user["id"], "email": "ann@example.com", "name": "Ann"}]
    assert "an operator already" in str(run(database, "operator", "add", "ann@example.com").exception)
    assert json.loads(run(database, "operator", "remove", "ann@example.com").stdout)["is_operator"] is False
    assert json.loads(run(database, "operator", "list").stdout) == []
    assert "is no operator" in str(run(database, "operator", "remove", "ann@example.com").exception)
    assert "there is no user" in str(run(database, "operator", "add", "ben@example.com").exception)
