"""What import-linter and ruff cannot hold: the light packages stay light, and two names are used nowhere."""

import ast
import subprocess
import sys
from importlib.metadata import packages_distributions, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

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
