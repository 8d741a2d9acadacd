"""Fills `${name}` and `${name|filter}` in the texts of a case; a name that nobody defined is an error."""

import re
from base64 import b64encode
from typing import Any, Final

_PLACEHOLDER: Final = re.compile(r"\$\{([^{}]+)\}")


class Values:
    """What placeholders stand for, and which of those that a case made for itself were never used."""

    def __init__(self) -> None:
        self._values: dict[str, str] = {}
        self._unused: set[str] = set()

    def __getitem__(self, name: str) -> str:
        assert name in self._values, f"nothing defines ${{{name}}}; there are {', '.join(sorted(self._values))}"
        self._unused.discard(name)
        return self._values[name]

    def __setitem__(self, name: str, value: str) -> None:
        self._values[name] = value

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def define(self, name: str, value: str) -> None:
        """Set a value that the case itself made, and must use."""
        self[name] = value
        self._unused.add(name)

    def verify_used(self) -> None:
        """Refuse what was defined for nothing."""
        assert not self._unused, f"never used: {', '.join(sorted(self._unused))}"

    def fill(self, text: str) -> str:
        """The text with its placeholders filled in."""
        return _PLACEHOLDER.sub(self._fill_one, text)

    def fill_all(self, content: Any) -> Any:
        """The same for every text in lists and tables."""
        if isinstance(content, str):
            return self.fill(content)
        if isinstance(content, dict):
            return {name: self.fill_all(value) for name, value in content.items()}
        if isinstance(content, list | tuple):
            return [self.fill_all(value) for value in content]
        return content

    def _fill_one(self, match: re.Match[str]) -> str:
        name, *filters = match[1].split("|")
        # A value may hold placeholders itself: those of `each` are written before there is anything to fill them with.
        value = name[1:-1] if name.startswith("'") else self.fill(self[name])
        for name_of_filter in filters:
            value = _apply(name_of_filter, value)
        return value


def _apply(filter: str, value: str) -> str:
    """`cut` and `longer` by one character, `altered` in its middle, `upper`, `base64`, `escaped` (every character as
    %XX), `times N`."""
    word, _, argument = filter.partition(" ")
    if word == "times":
        return value * int(argument)
    assert not argument, filter
    if word == "cut":
        return value[:-1]
    if word == "longer":
        return value + "A"
    if word == "altered":
        middle = len(value) // 2
        return value[:middle] + ("A" if value[middle] != "A" else "B") + value[middle + 1 :]
    if word == "upper":
        return value.upper()
    if word == "base64":
        return b64encode(value.encode()).decode()
    if word == "escaped":
        return "".join(f"%{byte:02X}" for byte in value.encode())
    raise AssertionError(f"there is no filter {filter!r}")
