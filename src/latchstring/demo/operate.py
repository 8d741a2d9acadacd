"""Runs commands of the `latchstring` program in this process: the same code, without a start for each."""

import contextlib
import io
import sys
from typing import Any

import msgspec


class Operator:
    """Works on one database, as its operator would at a terminal."""

    def __init__(self, database: str) -> None:
        self._database = database

    def __call__(self, *arguments: str, password: str | None = None) -> dict[str, Any]:
        """Run one command; returns its JSON answer. What the command refuses, it raises."""
        # Imported here: a second run of the demo has nothing to seed and starts without it.
        from latchstring.cli.main import app

        answer, typed = io.StringIO(), io.StringIO(f"{password or ''}\n")
        stdin, sys.stdin = sys.stdin, typed
        try:
            with contextlib.redirect_stdout(answer):
                app([*arguments, "--database", self._database, "--json"], standalone_mode=False)
        finally:
            sys.stdin = stdin
        return msgspec.json.decode(answer.getvalue(), type=dict[str, Any])
