"""Starts mutmut (python launch.py PACKAGES run …) and leaves sentences for people as they are: what behaves counts."""

import re
import sys
from collections.abc import Iterable
from typing import Any, Final

# A literal in which two words stand beside each other.
_PROSE: Final = re.compile(r"""f?["'](?:[^\\]|\\.)*[\w.,;:] \w.*""", re.DOTALL)


def is_prose(literal: str) -> bool:
    """Whether the source text of a string is words for people."""
    return _PROSE.fullmatch(literal) is not None


def main() -> None:
    """Run mutmut with the rest of the arguments."""
    from mutmut.__main__ import cli  # type: ignore[import-not-found, import-untyped, unused-ignore]
    from mutmut.mutation import mutators  # type: ignore[import-not-found, import-untyped, unused-ignore]

    change = mutators.operator_string

    def change_string(node: Any) -> Iterable[Any]:
        return () if is_prose(getattr(node, "value", "")) else change(node)

    mutators.mutation_operators[:] = [
        (kind, change_string if operator is change else operator) for kind, operator in mutators.mutation_operators
    ]
    cli()


if __name__ == "__main__":
    sys.path.append(sys.argv.pop(1))
    main()
