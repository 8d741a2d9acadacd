"""The documentation and the product say the same: links, settings, commands, errors, formats."""

import inspect
import re
import shlex
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args
from urllib.parse import unquote

import msgspec
import pytest
import typer

from latchstring import client
from latchstring.authorization_server import refusals, resources
from latchstring.authorization_server.checks import report as checks
from latchstring.authorization_server.flows import device_code as device_code_flow
from latchstring.authorization_server.grants import authorization_code, client_credentials, device_code, refresh_token
from latchstring.authorization_server.keyring import new_keyring
from latchstring.authorization_server.mail_settings import MailSettings
from latchstring.authorization_server.metadata_endpoint import build_metadata
from latchstring.authorization_server.pushed_request_endpoint import PushedRequest
from latchstring.authorization_server.settings import Settings
from latchstring.authorization_server.tokens import TokenCodec
from latchstring.authorization_server.trusted_issuers import TrustedIssuer
from latchstring.cli.main import app
from latchstring.client.settings import Settings as ClientSettings
from latchstring.protocol import errors, parameters
from latchstring.protocol.access_token_jwt import parse_access_token_claims
from latchstring.protocol.device_authorization import DeviceAuthorization
from latchstring.protocol.introspection import IntrospectionResponse
from latchstring.protocol.server_metadata import render_server_metadata
from latchstring.protocol.token_response import TokenResponse
from latchstring.resource_server import Access, Guard
from latchstring.web import app as web_app
from latchstring.web import asgi
from latchstring.web.api.api import DOCUMENT
from latchstring.web.api.table import OPERATIONS
from latchstring.web.register import REGISTER
from latchstring.wiring import load_settings
from tests.docs.markdown import DOCS, Page, find_code, find_table, read_page, read_pages, read_tables

PAGES = read_pages()
HTTP = read_page(DOCS / "reference/http.md")
CLI = read_page(DOCS / "reference/cli.md")
TOKENS = read_page(DOCS / "reference/tokens.md")
SERVE = read_page(DOCS / "howto/serve.md")
CONNECT = read_page(DOCS / "howto/connect-an-app.md")
GUARD = read_page(DOCS / "howto/guard-an-api.md")
CHECK = read_page(DOCS / "howto/check.md")

# -- links


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_page_links_lead_somewhere(page: Page) -> None:
    broken = []
    for link in page.links:
        if re.match(r"[a-z]+:", link):
            continue
        target, _, anchor = unquote(link).partition("#")
        path = (page.path.parent / target).resolve() if target else page.path
        if not path.exists() or (anchor and anchor not in read_page(path).anchors):
            broken.append(link)
    assert broken == []


def test_index_leads_to_every_page() -> None:
    index = read_page(DOCS / "index.md")
    linked = {(DOCS / link.partition("#")[0]).resolve() for link in index.links}
    pages = {page.path for page in PAGES if page.path.is_relative_to(DOCS) and page.path.parent.name != "decisions"}
    assert pages - {index.path} <= linked


# -- settings


def _render_default(value: object) -> str:
    """As TOML has it."""
    return "none" if value is None else f"`{msgspec.json.encode(value).decode()}`"


def test_every_setting_is_explained_with_its_default() -> None:
    told = {find_code(row[0])[0]: row for row in find_table(SERVE.section("Settings"), "setting")}
    fields = {field.name: field for field in msgspec.structs.fields(Settings)}
    assert list(told) == list(fields)
    for name, field in fields.items():
        unit, default = told[name][1:3]
        if field.default is not msgspec.NODEFAULT:
            assert default.startswith(_render_default(field.default)), name
        assert (unit == "seconds") == name.endswith(("_lifetime", "_window")), name
    assert set(find_code(told["scopes"][2])) == set(Settings(issuer="https://a.example").scopes)


def test_every_setting_of_mail_is_explained_with_its_default() -> None:
    told = {name: row[1] for row in find_table(SERVE.section("Mail"), "of `mail`") for name in find_code(row[0])}
    fields = {field.name: field.default for field in msgspec.structs.fields(MailSettings)}
    assert set(told) == set(fields)
    for name, default in fields.items():
        assert default is None or f"`{msgspec.json.encode(default).decode()}`" in told[name], name


@pytest.mark.parametrize("row", find_table(SERVE.section("Settings"), "setting"), ids=lambda row: row[0])
def test_setting_bounds_are_those_of_the_code(row: list[str]) -> None:
    name, bounds = find_code(row[0])[0], re.findall(r"\d+", row[3])
    if row[1] != "seconds" or not bounds:
        return
    lowest, highest = int(bounds[0]), int(bounds[1]) if len(bounds) > 1 else None

    def load(value: int) -> None:
        given: dict[str, Any] = {"issuer": "https://a.example", name: value}
        load_settings(None, **given)

    load(lowest)
    with pytest.raises(errors.ConfigurationError, match=name):
        load(lowest - 1)
    if highest is not None:
        load(highest)
        with pytest.raises(errors.ConfigurationError, match=name):
            load(highest + 1)


def test_configuration_example_is_accepted(tmp_path: Path) -> None:
    [block] = [block for block in SERVE.blocks if block.info == "toml test"]
    config = tmp_path / "latchstring.toml"
    config.write_text(block.content)
    settings = load_settings(config)
    told = tomllib.loads(block.content)
    tables = {"scopes", "scope_groups", "authorization_details_types"}
    assert {name: getattr(settings, name) for name in told if name not in tables} == {
        name: value for name, value in told.items() if name not in tables
    }
    for table in tables:
        assert set(getattr(settings, table)) == set(told[table])
    # A key that is misspelt in a scope is not refused by the server, so it is looked for here.
    known = {field.name for field in msgspec.structs.fields(type(settings.scopes["all.full_access"]))}
    assert all(set(scope) <= known for scope in told["scopes"].values())


def test_trusted_issuer_is_explained_with_its_defaults(tmp_path: Path) -> None:
    page = read_page(DOCS / "howto/trust-an-issuer.md")
    told = {find_code(row[0])[0]: row[1] for row in find_table(page.section("Declare the issuer"), "field")}
    fields = {field.name: field.default for field in msgspec.structs.fields(TrustedIssuer)}
    assert list(told) == list(fields)
    for name, default in fields.items():
        shown = {msgspec.NODEFAULT: "required", None: "none", (): "`[]`"}.get(default) if name != "users" else "`{}`"
        assert told[name] == (shown or f"`{msgspec.json.encode(default).decode()}`").replace(",", ", "), name
    [block] = [block for block in page.blocks if block.info == "toml issuer"]
    config = tmp_path / "latchstring.toml"
    config.write_text(block.content)
    [trusted] = load_settings(config).trusted_issuers.values()
    assert trusted.user_is == "email"


def test_client_settings_are_explained_with_their_defaults() -> None:
    told = {find_code(row[0])[0]: find_code(row[2])[0] for row in find_table(CONNECT.section("Settings"), "argument")}
    for kind in (client.OAuthClient, client.AsyncOAuthClient):
        taken = inspect.signature(kind).parameters
        assert {name: str(taken[name].default) for name in told} == told
    kept = inspect.signature(ClientSettings).parameters
    assert {name for name, given in kept.items() if given.annotation is float} <= set(told)


def test_guard_settings_are_explained() -> None:
    told = [name for row in find_table(GUARD.section("Settings"), "argument") for name in find_code(row[0])]
    assert set(told) == set(inspect.signature(Guard).parameters) - {"clock"}
    fields = [find_code(row[0])[0] for row in find_table(GUARD.section("What an endpoint knows"), "`Access`")]
    assert set(fields) == {field.name for field in msgspec.structs.fields(Access)}


# -- commands


@dataclass(frozen=True)
class Command:
    """One command as the program has it."""

    words: str
    command: Any

    @property
    def parameters(self) -> dict[str, Any]:
        """Options by their name with dashes, arguments by their name in capitals."""
        return {
            given.opts[0] if given.opts[0].startswith("-") else given.opts[0].upper(): given
            for given in self.command.params
        }


def find_commands(command: Any, words: str) -> list[Command]:
    """Every command under this one."""
    if not hasattr(command, "commands"):
        return [Command(words, command)]
    return [found for name, child in command.commands.items() for found in find_commands(child, f"{words} {name}")]


COMMANDS = find_commands(typer.main.get_command(app), "latchstring")


def test_every_command_has_its_section() -> None:
    headings = re.findall(r"^## (latchstring .+)$", CLI.prose, re.MULTILINE)
    assert headings == [command.words for command in COMMANDS]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.words)
def test_every_option_is_explained_with_its_default(command: Command) -> None:
    section = CLI.section(command.words)
    shared = {row[0].strip("`"): row for row in find_table(CLI.section("Shared options"), "option")}
    [line] = re.findall(r"^Shared: (.+?)\.(?: Prints |$)", section, re.MULTILINE)
    told = {name: shared[name] for name in find_code(line)}
    for table in read_tables(section):
        if table[0][0] in {"option", "argument"}:
            told |= {row[0].strip("`"): row for row in table[1:]}
    assert set(told) == set(command.parameters)
    for name, given in command.parameters.items():
        _, value, default, meaning = told[name]
        assert (default == "required") == given.required, name
        if given.default is False:
            assert (value, default) == ("", "off"), name
        elif given.default:
            assert default == f"`{given.default}`", name
        assert ("repeated" in meaning) == given.multiple, name
        if given.envvar:
            assert f"`{given.envvar}`" in meaning


# How a line that runs a command begins, by the kind of the block that it stands in.
_PROMPTS = {"console": r"\$ (?=latchstring )", "bash": r"(?=latchstring )", "ini": r"ExecStart=\S*/(?=latchstring )"}


def read_command_lines() -> list[tuple[str, str]]:
    """Every `latchstring` command in the pages' blocks: where it stands, and its words."""
    return [
        (f"{page.name}:{block.line}", line[prompt.end() :])
        for page in PAGES
        for block in page.blocks
        for line in block.content.replace("\\\n", " ").splitlines()
        if (prompt := re.match(_PROMPTS.get((block.info or "-").split()[0], "(?!)"), line))
    ]


def find_command(words: list[str]) -> tuple[Any, list[str]]:
    """The command that the words name, and the words that it is given."""
    command, rest = typer.main.get_command(app), list(words)
    while hasattr(command, "commands"):
        assert rest, f"{words} names no command"
        assert rest[0] in command.commands, f"{words}: there is no {rest[0]}"
        command = command.commands[rest.pop(0)]
    return command, rest


@pytest.mark.parametrize("place, line", read_command_lines())
def test_command_line_in_a_block_parses(place: str, line: str) -> None:
    words = shlex.split(line.partition(" < ")[0], comments=True)
    command, rest = find_command(words[1:])
    command.make_context(words[0], rest)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_command_named_in_prose_exists(page: Page) -> None:
    for code in find_code(page.prose):
        words = code.split()
        if words[:1] != ["latchstring"] or len(words) < 3 or words[1].isupper():
            continue
        command, rest = find_command(words[1:])
        options = {word for word in rest if word.startswith("--")}
        assert options <= {"--help", *(name for given in command.params for name in given.opts)}, code


def test_every_item_of_check_is_explained() -> None:
    told = [tuple(row) for table in read_tables(CHECK.prose) if table[0][0] == "id" for row in table[1:]]
    rules = [(f"`{rule.id}`", rule.source, rule.asks) for rule in checks.RULES]
    assert sorted(told) == sorted(rules)
    verdicts = {find_code(row[0])[0] for row in find_table(CHECK.prose, "verdict")}
    assert verdicts == set(get_args(checks.Verdict))
    for field in msgspec.structs.fields(checks.Finding):
        assert f"`{field.name}`" in CHECK.prose


# -- errors


def test_every_error_code_is_explained_with_its_status() -> None:
    told = {find_code(row[0])[0]: row[1] for row in find_table(HTTP.section("Errors"), "`error`")}
    assert set(told) == set(errors.STATUS_BY_CODE)
    for code, status in errors.STATUS_BY_CODE.items():
        assert int(told[code].split(",")[0]) == status, code


def test_every_first_word_of_a_refusal_is_explained() -> None:
    told = {find_code(row[0])[0] for row in find_table(HTTP.section("Why a grant got nothing"), "first word")}
    modules = (refusals, authorization_code, refresh_token, client_credentials, device_code, device_code_flow)
    sources = [inspect.getsource(module) for module in modules]
    used = {word for source in sources for word in re.findall(r'"([a-z_]+:) [a-z]', source)}
    assert used == told


def test_every_reason_that_a_grant_ended_is_explained() -> None:
    rows = find_table(CLI.section("latchstring grant list"), "`ended_reason`")
    told = {reason for row in rows for reason in find_code(row[0])}
    assert told == {value for name, value in vars(refusals).items() if name.isupper() and not name.startswith("_")}


def test_every_error_of_the_client_is_explained() -> None:
    told = {find_code(row[0])[0]: row for row in find_table(CONNECT.section("When something fails"), "class")}
    for name, row in told.items():
        kind = getattr(client, name)
        assert find_code(row[1]) == [kind.verdict.value]
        [listed] = re.findall(r"Codes?: (.*?)\.\n", (kind.__doc__ or "") + "\n", re.DOTALL)
        codes = set(find_code(listed)) if name != "Misconfigured" else set(find_code(listed)) - {"invalid_client"}
        assert codes <= set(find_code(row[3])), name
    raised = {name for name, kind in vars(client).items() if inspect.isclass(kind) and issubclass(kind, Exception)}
    assert set(told) == raised - {"ClientError"}


# -- the wire


def test_every_path_is_in_the_reference() -> None:
    told = {find_code(row[0])[0]: set(row[1].split(", ")) for row in find_table(HTTP.section("Paths"), "path")}
    served: dict[str, set[str]] = {"/static/…": {"GET"}}
    for method, path, _ in web_app._PAGES:
        served.setdefault(path, set()).add(method)
    for path in web_app._MACHINES:
        served[path] = (
            {"GET"} if path.startswith(("/.well-known/", "/oauth2/jwks", "/healthz", "/readyz")) else {"POST"}
        )
    served[f"{REGISTER}/{{client_id}}"] = {"GET", "PUT", "DELETE"}
    served["/api/v1/…"] = {operation.method for operation in OPERATIONS}
    served[DOCUMENT] = served["/.well-known/oauth-protected-resource/api/v1"] = {"GET"}
    assert told == served


def test_limits_are_those_of_the_code() -> None:
    held = HTTP.section("What holds for all")
    assert f"At most {asgi.MAX_BODY_SIZE // 1024} KiB" in held
    assert f"At most {parameters.MAX_PARAMETERS}, names of at most {parameters.MAX_NAME_LENGTH}" in held
    assert f"values of at most {parameters.MAX_VALUE_LENGTH}" in held
    limits = f"at most {resources.MAX_RESOURCES}, together at most {resources.MAX_LENGTH} characters"
    assert limits in " ".join(HTTP.section("Resources").split())


def find_json(page: Page, what: str) -> Any:
    """The page's JSON example of that name."""
    [block] = [block for block in page.blocks if block.info == f"json {what}"]
    return msgspec.json.decode(block.content)


def test_json_examples_have_the_fields_of_the_answers() -> None:
    fields = {field.name for field in msgspec.structs.fields(TokenResponse)}
    fields -= {"authorization_details"}  # where there are any
    assert set(find_json(HTTP, "token-response")) == fields - {"issued_token_type"}
    assert set(find_json(HTTP, "exchange-response")) == fields - {"refresh_token"}
    assert find_json(HTTP, "pushed-request").keys() == {field.name for field in msgspec.structs.fields(PushedRequest)}
    device = find_json(HTTP, "device-authorization")
    assert device.keys() == {field.name for field in msgspec.structs.fields(DeviceAuthorization)}
    shown = msgspec.convert(find_json(HTTP, "introspection"), IntrospectionResponse)
    assert set(find_json(HTTP, "introspection")) == {
        name for name, value in msgspec.structs.asdict(shown).items() if value is not None
    }
    claims = find_json(TOKENS, "jwt")
    assert msgspec.to_builtins(parse_access_token_claims(claims)) == claims
    metadata = build_metadata(Settings(issuer="https://login.example.com"))
    assert find_json(HTTP, "metadata") == msgspec.json.decode(render_server_metadata(metadata))


def test_token_formats_are_those_of_the_codec() -> None:
    codec = TokenCodec(new_keyring(bytes(range(32)), 0))
    made = {
        "ls_ac_…": codec.render_code(bytes(16), bytes(16)),
        "ls_dc_…": codec.render_device_code(bytes(16), bytes(16)),
        "ls_at_…": codec.render_access_token(bytes(16), token_id=bytes(12), issued_at=1, lifetime=3600, scope=None),
        "ls_rt_…": codec.render_refresh_token(bytes(16), 1, bytes(16)),
        "ls_cs_…": codec.render_client_secret(bytes(33)),
        "ls_ia_…": codec.render_credential("ia", bytes(33)),
        "ls_ra_…": codec.render_credential("ra", bytes(33)),
    }
    told = {find_code(row[0])[0]: row for row in find_table(TOKENS.section("Credentials"), "string")}
    assert set(told) == set(made)
    for kind, text in made.items():
        body = text[6:-6].replace("Za", "+").replace("Zb", "/").replace("Zc", "Z")
        size, least = (int(re.findall(r"\d+", cell)[0]) for cell in told[kind][1:])
        assert len(body) * 3 // 4 == size, kind
        assert least == len(body) + 12 <= len(text), kind
    [leaked] = set(re.findall(r"ls_rt_[0-9A-Za-z]{20,}", "".join(block.content for block in TOKENS.blocks))) - {""}
    assert leaked == codec.render_refresh_token(bytes(range(16)), 1, bytes(16))
