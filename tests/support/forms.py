"""A browser without scripts: reads the forms of a page and posts them, hidden fields and all."""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urljoin

import httpx


@dataclass
class Form:
    """One form: where it posts, what it carries already, and which values its choices offer."""

    action: str
    method: str
    fields: dict[str, str] = field(default_factory=dict)
    choices: dict[str, list[str]] = field(default_factory=dict)
    checked: dict[str, str] = field(default_factory=dict)
    buttons: list[tuple[str, str]] = field(default_factory=list)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self._open: Form | None = None
        self._textarea: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._open = Form(given.get("action", ""), given.get("method", "get").upper())
            self.forms.append(self._open)
        if self._open is None:
            return
        name, value = given.get("name", ""), given.get("value", "")
        if tag == "input" and given.get("type") in {"radio", "checkbox"}:
            self._open.choices.setdefault(name, []).append(value)
            if "checked" in given:
                self._open.checked[name] = value
        elif tag == "input" and name:
            self._open.fields[name] = value
        elif tag == "textarea" and name:
            self._open.fields[name] = ""
            self._textarea = name
        elif tag == "option":
            self._open.choices.setdefault("option", []).append(value)
        elif tag == "button" and given.get("type", "submit") == "submit":
            self._open.buttons.append((name, value))

    def handle_data(self, data: str) -> None:
        if self._open is not None and self._textarea is not None:
            self._open.fields[self._textarea] += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._open = None
        if tag == "textarea":
            self._textarea = None


def read_forms(html: str) -> list[Form]:
    """Every form of the page."""
    reader = _Reader()
    reader.feed(html)
    return reader.forms


def find_form(response: httpx.Response, action: str) -> Form:
    """The page's form that posts to that path."""
    for form in read_forms(response.text):
        if form.action.partition("?")[0] == action:
            return form
    raise AssertionError(f"no form posts to {action} on {response.url}: {response.status_code}\n{response.text[:2000]}")


async def submit(http: httpx.AsyncClient, page: httpx.Response, form: Form, **values: str) -> httpx.Response:
    """Post the form with its own fields, the checked choices and the given values."""
    return await http.post(urljoin(str(page.url), form.action), data={**form.fields, **form.checked, **values})
