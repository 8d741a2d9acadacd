"""Reads the RFCs' own examples: one TOML file for each document, one table for each example."""

import tomllib
from pathlib import Path
from typing import Any

import pytest


def read_vectors(rfc: str, kind: str) -> list[Any]:
    """The examples of one kind as pytest parameters; each id is the section that has the example."""
    content = tomllib.loads(Path(__file__).with_name(f"{rfc}.toml").read_text())
    return [pytest.param(vector, id=vector["id"]) for vector in content[kind]]
