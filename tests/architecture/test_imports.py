"""What import-linter and ruff cannot hold: the light packages stay light, and two names are used nowhere."""

import ast
import statistics
import subprocess
import sys
from importlib.metadata import packages_distributions, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import latchstring.client

SOURCE = Path(__file__).parents[2] / "src" / "latchstring"


def server_modules() -> set[str]:
    """The import names of everything the `server` extra brings."""
    wanted = {
        canonicalize_name(requirement.name)
        for requirement in map(Requirement, requires("latchstring") or [])
        if requirement.marker and requirement.marker.evaluate({"extra": "server"})
        if not requirement.marker.evaluate({"extra": ""})
    }
    return {
        module
        for module, distributions in packages_distributions().items()
        if wanted.intersection(map(canonicalize_name, distributions))
    }


def modules_loaded_by(*packages: str) -> set[str]:
    """The top-level names in `sys.modules` after a fresh interpreter has imported `packages`."""
    program = f"import sys, {', '.join(packages)}; print(*sys.modules, sep='\\n')"
    run = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in run.stdout.split()}


@pytest.mark.parametrize("package", ["latchstring.client", "latchstring.resource_server"])
def test_light_package_imported_loads_nothing_of_the_server(package: str) -> None:
    # httpx loads rich, where it is installed, for a command line of its own.
    server = server_modules() - modules_loaded_by("httpx", "msgspec")
    assert {"starlette", "sqlalchemy", "cryptography", "uvicorn"} <= server
    assert modules_loaded_by(package) & server == set()


DRIVERS = {"aiosqlite", "apsw", "asyncpg", "psycopg", "redis", "sqlalchemy", "sqlite3"}
# CPU-ms above httpx, which both need (issue 6, "Must show" 6).
MOST = {"latchstring.client": 80, "latchstring.resource_server": 40}


@pytest.mark.parametrize("package", MOST)
def test_light_package_imported_loads_no_database_driver(package: str) -> None:
    assert modules_loaded_by(package) & DRIVERS == set()


def test_store_on_sqlite_is_loaded_when_it_is_named() -> None:
    program = (
        "import sys, latchstring.client as c; print('sqlite3' in sys.modules, c.SQLiteStore, 'sqlite3' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout == "False <class 'latchstring.client.stores.sqlite.SQLiteStore'> True\n"
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        latchstring.client.Nothing  # noqa: B018


def time_import(package: str) -> float:
    """The processor time of importing it in a fresh interpreter, in ms."""
    program = f"import time; begun = time.process_time(); import {package}; print((time.process_time() - begun) * 1000)"
    run = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True)
    return float(run.stdout)


@pytest.mark.parametrize("package, most", MOST.items())
def test_light_package_imported_costs_little_more_than_httpx(package: str, most: float) -> None:
    """In turns, so that a busy machine is busy for both; and again, where it was busier for one."""
    for _ in range(3):
        more = statistics.median(time_import(package) - time_import("httpx") for _ in range(5))
        if more < most:
            return
    pytest.fail(f"{package} costs {more:.0f} ms more than httpx")


FRAMEWORKS = {"django", "fastapi", "flask", "litestar", "starlette"}


def test_guard_and_client_imported_load_no_framework() -> None:
    assert modules_loaded_by("latchstring.client", "latchstring.resource_server") & FRAMEWORKS == set()


@pytest.mark.parametrize("framework", sorted(FRAMEWORKS))
def test_guard_of_a_framework_loads_that_framework_alone(framework: str) -> None:
    loaded = modules_loaded_by(f"latchstring.resource_server.frameworks.{framework}") & FRAMEWORKS
    assert framework in loaded
    assert loaded <= modules_loaded_by(framework)


@pytest.mark.parametrize("framework", ["django", "flask", "starlette"])
def test_pages_for_connecting_load_their_framework_alone(framework: str) -> None:
    loaded = modules_loaded_by(f"latchstring.client.frameworks.{framework}") & FRAMEWORKS
    assert framework in loaded
    assert loaded <= modules_loaded_by(framework)


def names_used(tree: ast.AST) -> set[str]:
    """Every dotted name that the module imports or reads, as it is spelt."""
    used: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                used.update(alias.name for alias in names)
            case ast.ImportFrom(module=str(module), names=names):
                used.update(f"{module}.{alias.name}" for alias in names)
            case ast.Attribute():
                used.add(ast.unparse(node))
    return used


@pytest.mark.parametrize("banned", ["importlib.import_module", "urllib.request"])
def test_banned_name_in_source_is_used_nowhere(banned: str) -> None:
    """The edges too: ruff's ban (TID251) ends there because they read the clock."""
    users = [
        str(path.relative_to(SOURCE))
        for path in sorted(SOURCE.rglob("*.py"))
        if any(
            name == banned or name.startswith(f"{banned}.")
            for name in names_used(ast.parse(path.read_text(encoding="utf-8")))
        )
    ]
    assert users == []
