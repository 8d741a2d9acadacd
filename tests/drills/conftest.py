"""What the drills share: a company with a real server, and the search for secrets in whatever the servers wrote."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.company import Company, found_company
from tests.support.deployment import PASSWORD
from tests.support.process import QuickOperator, Servers, find_credentials, starting

FIGURES = Path(__file__).parents[2] / ".artifacts" / "drills"


@pytest.fixture
def engine(request: pytest.FixtureRequest) -> str:
    """The database that the drill runs on; `parametrize("engine", …, indirect=True)` chooses others than SQLite."""
    return getattr(request, "param", "sqlite")


@pytest.fixture
def company(tmp_path: Path, engine: str, request: pytest.FixtureRequest) -> Company:
    """An organization, a member and an app in a fresh database; the retry window outlasts a slow machine."""
    (tmp_path / "latchstring.toml").write_text("retry_window = 3600\n")
    database = request.getfixturevalue("postgres").create_database() if engine == "postgresql" else None
    return found_company(QuickOperator(tmp_path, database))


@pytest.fixture
def minted(company: Company) -> set[str]:
    """Every secret that the drill came to know, and that must stand in no log and no database."""
    assert company.app.secret is not None
    return {PASSWORD, company.app.secret}


@pytest.fixture
def servers(company: Company, minted: set[str]) -> Iterator[Servers]:
    """Servers on that database; after the drill, what they wrote is searched for secrets and for defects."""
    with starting(company.operator) as servers:
        yield servers
        logs = servers.logs()
    assert not find_credentials(logs)
    files = b"".join(path.read_bytes() for path in company.operator.directory.glob("latchstring.db*"))
    for secret in minted:
        # Any good half of a secret would be a leak too.
        part = secret[len(secret) // 3 : -len(secret) // 6 or None]
        assert part not in logs
        assert part.encode() not in files
    assert "Traceback" not in logs
    assert '"server_error"' not in logs


@pytest.fixture
def publish(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Print a drill's figures and keep them beside the other artefacts."""

    def publish(**figures: object) -> None:
        FIGURES.mkdir(parents=True, exist_ok=True)
        (FIGURES / f"{request.node.name.replace('[', '-').rstrip(']')}.json").write_text(
            json.dumps(figures, indent=2) + "\n"
        )
        print(f"\n{request.node.name}: " + ", ".join(f"{name} {figure}" for name, figure in figures.items()))

    return publish
