"""The `latchstring` program as operators and scripts use it: the loop's commands each in a process of its own, the
many refusals through the same entry point in this one."""

import os
import re
import sqlite3
import stat
from contextlib import closing

import msgspec
import pytest

from tests.support.company import create_app, create_organization, create_user, found_company
from tests.support.deployment import PASSWORD, REDIRECT_URI
from tests.support.process import Operator, QuickOperator, find_credentials
from tests.support.signing import key_set, make_key, public_jwk

SECRET = re.compile(r"ls_cs_[0-9A-Za-z]{50,}")


def is_identifier(kind: str, text: str) -> bool:
    return re.fullmatch(kind + "_[0-9A-Za-z]{22}", text) is not None


@pytest.fixture(scope="module")
def company(tmp_path_factory):
    """One company for the tests that only read it or add to it."""
    return found_company(QuickOperator(tmp_path_factory.mktemp("company")))


# -- what programs read


def test_commands_with_json_print_one_object_with_ids_of_their_kind(operator):
    organization = operator.ask("organization", "create", "--name", "  Acorn \t Partners ")
    assert organization == {"id": organization["id"], "organization_id": organization["id"], "name": "Acorn Partners"}
    assert is_identifier("orga", organization["id"])

    given = ("--email", "Ann@Example.com", "--name", "Ann Alder", "--password-stdin")
    user = operator.ask("user", "create", *given, password=PASSWORD)
    assert user == {"id": user["id"], "user_id": user["id"], "email": "Ann@Example.com", "name": "Ann Alder"}
    assert is_identifier("user", user["id"])

    owner = ("--organization", organization["id"])
    # The email stands for the user's id, in any case.
    added = operator.ask("membership", "add", "--user", "ann@example.com", *owner, "--role", "admin")
    assert added == {"user_id": user["id"], "organization_id": organization["id"], "role": "admin"}
    ended = operator.ask("membership", "end", "--user", user["id"], *owner)
    assert ended == {"user_id": user["id"], "organization_id": organization["id"], "ended": True}

    app = operator.ask("client", "create", *owner, "--name", "Mailloop", "--redirect-uri", REDIRECT_URI)
    assert app == {
        "id": app["client_id"],
        "client_id": app["client_id"],
        "client_secret": app["client_secret"],
        "organization_id": organization["id"],
        "name": "Mailloop",
        "redirect_uris": [REDIRECT_URI],
        "scope": "all.full_access offline_access",
        "grant_types": ["authorization_code", "refresh_token"],
        "token_endpoint_auth_method": "client_secret_post",
        "published": False,
    }
    assert is_identifier("oa2client", app["client_id"])
    assert SECRET.fullmatch(app["client_secret"])

    api = operator.ask("resource-server", "create", "--name", "API", "--resource", "https://api.example/")
    assert is_identifier("oa2resource", api["client_id"])
    assert SECRET.fullmatch(api["client_secret"])
    assert operator.ask("grant", "list") == []


def test_client_create_with_every_option_keeps_each(company):
    options = ("--redirect-uri", "http://127.0.0.1/cb", "--scope", "all.full_access", "--public")
    app = create_app(company.operator, company.organization_id, *options, "--grant-type", "authorization_code")
    assert app.secret is None
    assert app.created["redirect_uris"] == [REDIRECT_URI, "http://127.0.0.1/cb"]
    assert app.created["scope"] == "all.full_access"
    assert app.created["grant_types"] == ["authorization_code"]
    assert app.created["published"] is True


def test_client_create_with_config_knows_the_scopes_of_the_deployment(company):
    operator = company.operator
    (operator.directory / "latchstring.toml").write_text('[scopes."contacts.read"]\ntitle = "Read contacts"\n')
    config = ("--config", "latchstring.toml")
    own = create_app(operator, company.organization_id, "--scope", "contacts.read", *config)
    assert own.created["scope"] == "contacts.read"
    usual = create_app(operator, company.organization_id, *config)
    assert usual.created["scope"] == "contacts.read offline_access"


def test_registration_token_is_printed_once_listed_by_its_hint_and_ended(operator):
    token = ("registration", "token")
    created = operator.ask(*token, "create", "--count", "3", "--days", "2", "--note", "Partners")
    assert created["token"].startswith(created["hint"])
    assert (created["remaining"], created["expires_at"] - created["created_at"]) == (3, 2 * 24 * 3600)
    (listed,) = operator.ask(*token, "list")
    assert listed == {name: value for name, value in created.items() if name != "token"}
    assert created["token"] not in operator.show(*token, "list")
    operator.show(*token, "end", "--hint", created["hint"])
    assert operator.ask(*token, "list") == []
    refused = operator.run(*token, "end", "--hint", created["hint"])
    assert (refused.code, refused.stdout) == (1, "")
    assert "there is no initial access token" in refused.stderr


# -- what people read


def test_commands_without_json_print_a_name_and_a_value_on_each_line(company):
    operator = company.operator
    shown = operator.show("organization", "create", "--name", "Birch & Co").splitlines()
    names = [line.split(None, 1)[0] for line in shown]
    assert names == ["id", "organization_id", "name"]
    assert shown[2].split(None, 1)[1] == "Birch & Co"
    assert is_identifier("orga", shown[0].split()[1])

    owner = ("--organization", company.organization_id)
    uris = ("--redirect-uri", REDIRECT_URI, "--redirect-uri", "https://app.example/other")
    shown = operator.show("client", "create", *owner, "--name", "Mailloop", *uris).splitlines()
    values = dict(line.split(None, 1) for line in shown)
    assert is_identifier("oa2client", values["client_id"])
    assert SECRET.fullmatch(values["client_secret"])
    assert values["redirect_uris"] == f"{REDIRECT_URI}, https://app.example/other"

    user = operator.show(
        "user", "create", "--email", "b@example.com", "--name", "Ben", "--password-stdin", password=PASSWORD
    )
    assert "b@example.com" in user
    assert PASSWORD not in user
    added = operator.show("membership", "add", "--user", "b@example.com", *owner)
    assert ("role" in added, "member" in added) == (True, True)
    assert "ended" in operator.show("membership", "end", "--user", "b@example.com", *owner)
    assert operator.show("grant", "list", "--organization", "orga_0") == "There are no grants.\n"


def test_help_names_every_command_and_prints_to_standard_output(tmp_path):
    operator = Operator(tmp_path)
    ran = operator.run("--help")
    assert (ran.code, ran.stderr) == (0, "")
    for group in ("serve", "organization", "user", "membership", "client", "resource-server", "registration", "grant"):
        assert f" {group} " in ran.stdout
    assert list(tmp_path.iterdir()) == []


# -- secrets


def test_secrets_are_in_the_answer_that_made_them_and_nowhere_else(company):
    operator = company.operator
    first = company.app.secret
    rotated = operator.ask("client", "rotate-secret", "--client", company.app.client_id)
    assert set(rotated) == {"client_id", "client_secret"}
    assert rotated["client_id"] == company.app.client_id
    assert SECRET.fullmatch(rotated["client_secret"])
    assert rotated["client_secret"] != first
    company.app.secret = rotated["client_secret"]

    owner = ("--user", company.user_id, "--organization", company.organization_id)
    others = operator.show("membership", "add", *owner) + operator.show("grant", "list")
    assert not find_credentials(others)
    for path in operator.directory.iterdir():
        content = path.read_bytes()
        for secret in (first, rotated["client_secret"], PASSWORD):
            assert secret.encode() not in content, path


def test_keyring_is_readable_by_its_owner_alone(company):
    operator = company.operator
    [keyring] = operator.directory.glob("*.keyring")
    assert keyring.name == "latchstring.db.keyring"
    assert stat.S_IMODE(keyring.stat().st_mode) == 0o600


def test_keyring_and_database_may_be_named_by_variables(tmp_path):
    operator = Operator(tmp_path)
    ran = operator.run(
        *("organization", "create", "--name", "Acorn"),
        LATCHSTRING_DATABASE=f"sqlite:///{tmp_path / 'other.db'}",
        LATCHSTRING_KEYRING=str(tmp_path / "apart.keyring"),
    )
    assert ran.code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["apart.keyring", "other.db"]


# -- refusals: one line, exit code 1, nothing on standard output, nothing changed


def on(company, *arguments):
    return (*arguments, "--database", company.operator.database)


def creating(company, **options):
    given = {"organization": company.organization_id, "name": "X", "redirect-uri": REDIRECT_URI, **options}
    return on(company, "client", "create", *(word for name, value in given.items() for word in (f"--{name}", value)))


def test_refusal_of_a_real_process_is_one_line_and_exit_code_1(company):
    operator = Operator(company.operator.directory)
    assert operator.refuse(*creating(company, organization="orga_0")) == "there is no organization orga_0"
    typed = f"{PASSWORD}\n".encode()
    taken = on(company, "user", "create", "--email", "ann@example.com", "--name", "Ann", "--password-stdin")
    assert operator.refuse(*taken, stdin=typed) == "there is a user with the email ann@example.com already"
    assert operator.refuse("serve", *on(company, "--port", "0", "--issuer", "auth.example")).startswith("issuer: ")
    assert operator.refuse("grant", "list", "--database", "sqlite:///").startswith("--database: ")


@pytest.mark.parametrize(
    "options, why",
    [
        ({"organization": "orga_0000000000000000000000"}, "there is no organization orga_0000000000000000000000"),
        ({"redirect-uri": "http://app.example/cb"}, "http://app.example/cb: "),
        ({"redirect-uri": "https://app.example/cb#part"}, "https://app.example/cb#part: "),
        ({"redirect-uri": "not a URI"}, "not a URI: "),
        ({"scope": "all.full_access contacts.red"}, "does not define the scope contacts.red"),
        ({"scope": ""}, "scope"),
        ({"grant-type": "password"}, "Not a supported grant type: password"),
        ({"name": " "}, "Give the app a name"),
    ],
)  # fmt: skip
def test_client_create_refused_says_why_in_one_line(company, options, why):
    assert why in company.operator.refuse(*creating(company, **options))


@pytest.mark.parametrize(
    "arguments, why",
    [
        (("client", "rotate-secret", "--client", "oa2client_0"), "there is no client oa2client_0"),
        (("grant", "end", "grant_0"), "there is no grant grant_0"),
        (("membership", "add", "--user", "no@example.com", "--organization", "{owner}"), "no user no@example.com"),
        (("membership", "add", "--user", "user_0", "--organization", "{owner}"), "there is no user user_0"),
        (("membership", "add", "--user", "ann@example.com", "--organization", "orga_0"), "no organization orga_0"),
        (("membership", "add", "--user", "{user}", "--organization", "{owner}", "--role", "boss"), "member or admin"),
        (("membership", "end", "--user", "ann@example.com", "--organization", "orga_0"), "no member of orga_0"),
        (("resource-server", "create", "--name", "API", "--resource", "api.example"), "absolute URI"),
    ],
)  # fmt: skip
def test_command_refused_says_why_in_one_line(company, arguments, why):
    filled = [argument.format(owner=company.organization_id, user=company.user_id) for argument in arguments]
    assert why in company.operator.refuse(*on(company, *filled))


@pytest.mark.parametrize(
    "email, typed, why",
    [
        ("ANN@example.com", PASSWORD.encode(), "there is a user with the email ANN@example.com already"),
        ("new.example.com", PASSWORD.encode(), "is not an email address"),
        ("new@example.com", b"short", "the password needs 8 to 1024 characters"),
        ("new@example.com", b"", "the password needs 8 to 1024 characters"),
        ("new@example.com", b"\xff\xfe is no text", "the password is not UTF-8 text"),
    ],
)
def test_user_create_refused_says_why_in_one_line(company, email, typed, why):
    given = ("--email", email, "--name", "New", "--password-stdin")
    assert why in company.operator.refuse(*on(company, "user", "create", *given), stdin=typed + b"\n")


def test_user_create_without_a_password_waits_for_no_one(company):
    given = ("--email", "new@example.com", "--name", "New")
    assert "--password-stdin" in company.operator.refuse(*on(company, "user", "create", *given))


def test_argument_that_is_no_text_is_refused(company):
    command = creating(company, description=b"\xff")
    assert company.operator.refuse(*command) == "the command line is not UTF-8 text"


@pytest.mark.parametrize("name", ["subject-dn", "san-dns", "san-uri", "san-ip", "san-email"])
def test_client_of_a_certificate_is_created_by_one_of_its_subjects(company, name):
    subject = {"subject-dn": "CN=a,O=b", "san-ip": "192.0.2.1"}.get(name, "a.example")
    options = {"token-endpoint-auth-method": "tls_client_auth", f"tls-client-auth-{name}": subject}
    made = company.operator.ask(*creating(company, **options))
    assert made["token_endpoint_auth_method"] == "tls_client_auth"
    assert "client_secret" not in made


def test_secrets_are_added_listed_and_retired(company):
    operator, client = company.operator, ("--client", company.app.client_id)
    added = operator.ask("client", "secret", "add", *client, "--name", "Server in Frankfurt")
    assert set(added) == {"client_id", "client_secret"}
    assert SECRET.fullmatch(added["client_secret"])
    first, second = operator.ask("client", "secret", "list", *client)
    assert set(first) == {"id", "hint", "name", "created_at", "expires_at", "last_used_at"}
    assert (first["name"], second["name"], second["last_used_at"]) == (None, "Server in Frankfurt", None)
    assert added["client_secret"].startswith(second["hint"])
    week = operator.ask("client", "secret", "retire", *client, "--secret", first["id"], "--after", "604800")
    assert week["expires_at"] > first["created_at"] + 604_000
    assert operator.ask("client", "secret", "list", *client)[0]["expires_at"] == week["expires_at"]
    retiring = ("client", "secret", "retire", *client, "--secret")
    assert "last secret that is there to stay" in operator.refuse(*on(company, *retiring, second["id"]))
    operator.ask(*retiring, first["id"])
    assert [secret["id"] for secret in operator.ask("client", "secret", "list", *client)] == [second["id"]]
    assert "no such secret" in operator.refuse(*on(company, *retiring, first["id"]))
    shown = operator.show("client", "secret", "list", *client)
    assert second["hint"] in shown
    assert not find_credentials(shown)
    operator.ask(*retiring, second["id"], "--even-last")
    assert operator.show("client", "secret", "list", *client) == "There are no secrets.\n"
    company.app.secret = operator.ask("client", "rotate-secret", *client)["client_secret"]
    assert operator.refuse(*on(company, "client", "secret", "list", "--client", "x")) == "there is no client x"


def test_client_of_keys_is_created_by_value_or_url_and_its_keys_replaced(company, tmp_path):
    path = tmp_path / "jwks.json"
    path.write_bytes(key_set(public_jwk(make_key(), kid="1")))
    by_key = {"token-endpoint-auth-method": "private_key_jwt"}
    made = company.operator.ask(*creating(company, **by_key, jwks=str(path)))
    assert made["token_endpoint_auth_method"] == "private_key_jwt"
    assert "client_secret" not in made
    url = "https://app.example/jwks.json"
    assert "client_secret" not in company.operator.ask(*creating(company, **by_key, **{"jwks-uri": url}))
    setting = on(company, "client", "set-keys", "--client", made["client_id"])
    changed = company.operator.ask(*setting, "--jwks-uri", url)
    assert changed == {"client_id": made["client_id"], "jwks_uri": url, "by_value": False}
    assert company.operator.ask(*setting, "--jwks", str(path))["by_value"] is True
    assert "needs the client's public keys" in company.operator.refuse(*setting)
    assert "not both" in company.operator.refuse(*setting, "--jwks-uri", url, "--jwks", str(path))
    why = company.operator.refuse(*on(company, "client", "rotate-secret", "--client", made["client_id"]))
    assert why == f"{made['client_id']} has no secret: it authenticates by private_key_jwt"


@pytest.mark.parametrize(
    "options, why",
    [
        ({"token-endpoint-auth-method": "private_key_jwt"}, "needs the client's public keys"),
        ({"token-endpoint-auth-method": "password"}, "give one of client_secret_basic"),
        ({"token-endpoint-auth-method": "private_key_jwt", "jwks-uri": "http://app.example/"}, "absolute https URL"),
        (
            {
                "token-endpoint-auth-method": "private_key_jwt",
                "jwks-uri": "https://app.example/",
                "token-endpoint-auth-signing-alg": "HS256",
            },
            "one of ES256",
        ),
        ({"token-endpoint-auth-signing-alg": "ES256"}, "has no part in client_secret_post"),
        ({"token-endpoint-auth-method": "private_key_jwt", "jwks": "no-such-file"}, "cannot be read"),
        ({"token-endpoint-auth-method": "tls_client_auth"}, "tls_client_auth, which needs it"),
        ({"token-endpoint-auth-method": "tls_client_auth", "tls-client-auth-subject-dn": "mailloop"}, "RFC 4514"),
    ],
)
def test_client_create_with_unfit_keys_is_refused(company, options, why):
    assert why in company.operator.refuse(*creating(company, **options))


@pytest.mark.parametrize(
    "document", [b"", b"{}", b'{"keys": []}', key_set(make_key().as_dict(private=True)), b'{"keys": [{"kty": "oct"}]}']
)
def test_client_create_with_a_file_of_no_public_keys_is_refused(company, tmp_path, document):
    path = tmp_path / "jwks.json"
    path.write_bytes(document)
    why = company.operator.refuse(
        *creating(company, **{"token-endpoint-auth-method": "private_key_jwt", "jwks": str(path)})
    )
    assert why.startswith(f"--jwks {path}: ")


def test_signing_keys_are_listed_and_rotated(tmp_path):
    """O9."""
    operator = QuickOperator(tmp_path)
    assert operator.ask("key", "list") == []
    assert "made when it is needed" in operator.show("key", "list")
    first = operator.ask("key", "rotate")
    assert first.keys() == {"id", "algorithm", "state", "created_at", "used_from"}
    assert (first["algorithm"], first["state"], first["used_from"]) == ("ES256", "signing", first["created_at"])
    second = operator.ask("key", "rotate")
    assert (second["state"], second["used_from"] - second["created_at"]) == ("next", 24 * 3600)
    assert operator.ask("key", "rotate") == second, "while one waits, another is not made"
    assert operator.ask("key", "list") == [first, second]
    third = operator.ask("key", "rotate", "--compromised")
    assert third["state"] == "signing"
    assert operator.ask("key", "list") == [third]
    (tmp_path / "latchstring.toml").write_text('signing_algorithm = "EdDSA"')
    other = operator.ask("key", "rotate", "--config", "latchstring.toml")
    assert (other["algorithm"], other["state"]) == ("EdDSA", "next")


def test_resource_server_with_a_format_keeps_it_and_refuses_another(company):
    given = ("resource-server", "create", "--name", "Files", "--resource", "https://files.example/")
    assert company.operator.ask(*given)["access_token_format"] == "opaque"
    assert company.operator.ask(*given, "--access-token-format", "jwt")["access_token_format"] == "jwt"
    why = company.operator.refuse(*given, "--access-token-format", "xml", "--database", company.operator.database)
    assert why == "--access-token-format is opaque or jwt"


def test_public_client_has_no_secret_to_rotate(company):
    app = create_app(company.operator, company.organization_id, "--public")
    why = company.operator.refuse(*on(company, "client", "rotate-secret", "--client", app.client_id))
    assert why == f"{app.client_id} has no secret: it authenticates by none"


@pytest.mark.parametrize(
    "database, why",
    [
        ("latchstring.db", "--database: give sqlite:///PATH"),
        ("sqlite:///", "--database: give sqlite:///PATH"),
        ("mysql://127.0.0.1/latchstring", "--database: give sqlite:///PATH"),
        ("sqlite:///no/such/folder/latchstring.db", "--database: the folder no/such/folder does not exist"),
        ("postgresql://127.0.0.1:1/latchstring", "--database: PostgreSQL"),
    ],
)
def test_database_that_cannot_be_opened_is_named(tmp_path, database, why):
    assert why in QuickOperator(tmp_path).refuse("grant", "list", "--database", database)
    assert list(tmp_path.iterdir()) == []


def test_database_that_is_none_is_left_alone(tmp_path):
    operator, path = QuickOperator(tmp_path), tmp_path / "latchstring.db"
    path.write_bytes(b"something else entirely\n" * 400)
    assert "latchstring.db" in operator.refuse("grant", "list", "--database", operator.database)
    assert path.read_bytes() == b"something else entirely\n" * 400
    assert [path.name for path in tmp_path.iterdir()] == ["latchstring.db"]


def test_database_path_that_is_a_folder_is_named(tmp_path):
    (tmp_path / "latchstring.db").mkdir()
    assert "latchstring.db" in QuickOperator(tmp_path).refuse("grant", "list", "--database", "sqlite:///latchstring.db")


def test_database_of_a_newer_version_is_left_alone(tmp_path):
    operator = QuickOperator(tmp_path)
    create_organization(operator)
    with closing(sqlite3.connect(tmp_path / "latchstring.db")) as database, database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    why = operator.refuse("grant", "list", "--database", operator.database)
    assert "newer version" in why


def test_keyring_lost_broken_or_unreadable_is_never_made_anew(tmp_path):
    operator = QuickOperator(tmp_path)
    create_user(operator)
    keyring = tmp_path / "latchstring.db.keyring"
    kept = keyring.read_bytes()
    command = ("grant", "list", "--database", operator.database)

    keyring.unlink()
    assert "is missing" in operator.refuse(*command)
    assert not keyring.exists()
    keyring.mkdir()
    assert "cannot be read" in operator.refuse(*command)
    keyring.rmdir()
    for broken in (b"", b"{}", b'{"keys":[]}', kept[:-20], b"\xff\xfe"):
        keyring.write_bytes(broken)
        assert "restore it from your backup" in operator.refuse(*command) or broken == b'{"keys":[]}'
        assert keyring.read_bytes() == broken
    keyring.write_bytes(kept)
    keyring.chmod(0)
    if os.geteuid() != 0:
        assert "cannot be read (Permission denied)" in operator.refuse(*command)
    keyring.chmod(0o600)
    assert operator.ask("grant", "list") == []


# -- what clients are held to


def test_client_is_shown_and_what_it_is_held_to_changed(company):
    app = create_app(company.operator, company.organization_id)
    showing = on(company, "client", "show", "--client", app.client_id)
    shown = company.operator.ask(*showing)
    assert (shown["id"], shown["client_id"], shown["name"]) == (app.client_id, app.client_id, app.created["name"])
    assert (shown["profile"], shown["allowances"]) == ("legacy", ["code_without_pkce"])
    assert shown["dpop_bound_access_tokens"] is shown["tls_client_certificate_bound_access_tokens"] is False
    assert "client_secret" not in shown
    updating = on(company, "client", "update", "--client", app.client_id)
    assert company.operator.ask(*updating) == shown
    strict = company.operator.ask(*updating, "--profile", "oauth2.1", "--dpop-bound", "--certificate-bound")
    expected = {
        "profile": "oauth2.1",
        "allowances": [],
        "dpop_bound_access_tokens": True,
        "tls_client_certificate_bound_access_tokens": True,
    }
    assert strict == shown | expected == company.operator.ask(*showing)
    loose = company.operator.ask(*updating, "--no-dpop-bound", "--no-certificate-bound")
    assert loose == shown | {"profile": "oauth2.1", "allowances": []}
    assert company.operator.ask(*updating, "--profile", "legacy")["allowances"] == []
    assert company.operator.ask(*updating, "--allow", "code_without_pkce") == shown


@pytest.mark.parametrize(
    "options, profile, allowances",
    [
        ((), "legacy", ["code_without_pkce"]),
        (("--public",), "oauth2.1", []),
        (("--profile", "oauth2.1"), "oauth2.1", []),
        (("--profile", "legacy"), "legacy", []),
        (("--profile", "legacy", "--allow", "code_without_pkce"), "legacy", ["code_without_pkce"]),
        (("--require-pushed-requests",), "legacy", ["code_without_pkce"]),
    ],
)
def test_client_create_holds_it_to_the_profile_that_was_asked(company, options, profile, allowances):
    app = create_app(company.operator, company.organization_id, *options)
    shown = company.operator.ask(*on(company, "client", "show", "--client", app.client_id))
    assert (shown["profile"], shown["allowances"]) == (profile, allowances)


def test_client_of_fapi2_is_created_with_a_key_and_with_nothing_else(company, tmp_path):
    path = tmp_path / "jwks.json"
    path.write_bytes(key_set(public_jwk(make_key(), kid="1")))
    by_key = {"token-endpoint-auth-method": "private_key_jwt", "jwks": str(path), "profile": "fapi2"}
    made = company.operator.ask(*creating(company, **by_key))
    shown = company.operator.ask(*on(company, "client", "show", "--client", made["client_id"]))
    assert (shown["profile"], shown["require_pushed_authorization_requests"]) == ("fapi2", True)
    why = company.operator.refuse(*creating(company, profile="fapi2"))
    assert why == "The profile fapi2 does not allow token_endpoint_auth_method client_secret_post."


@pytest.mark.parametrize(
    "options, why",
    [
        (("--profile", "fapi1"), "give one of oauth2.1, legacy, fapi2"),
        (("--profile", "fapi2"), "The profile fapi2 does not allow"),
        (("--allow", "everything"), "there is no allowance everything"),
        (("--profile", "oauth2.1", "--allow", "code_without_pkce"), "only a confidential client of the profile legacy"),
    ],
)
def test_client_update_refused_changes_nothing(company, options, why):
    app = create_app(company.operator, company.organization_id)
    showing = on(company, "client", "show", "--client", app.client_id)
    before = company.operator.ask(*showing)
    assert why in company.operator.refuse(*on(company, "client", "update", "--client", app.client_id, *options))
    assert company.operator.ask(*showing) == before


@pytest.mark.parametrize("command", ["show", "update"])
def test_client_that_does_not_exist_is_named(company, command):
    why = company.operator.refuse(*on(company, "client", command, "--client", "oa2client_0"))
    assert why == "there is no client oa2client_0"


# -- check


def test_check_tells_what_to_do_and_changes_nothing(tmp_path):
    operator = QuickOperator(tmp_path)
    owner = create_organization(operator)
    app = create_app(operator, owner)
    (tmp_path / "latchstring.toml").write_text('issuer = "https://login.example.com"\nsigning_algorithm = "RS256"\n')
    given = ("check", "--database", operator.database, "--config", "latchstring.toml")
    before = {path: path.read_bytes() for path in tmp_path.iterdir() if path.suffix in {".db", ".keyring", ".toml"}}

    shown = operator.run(*given)
    assert (shown.code, shown.stderr) == (0, "")
    lines = shown.stdout.splitlines()
    assert any(line.startswith("warning  client-keys ") for line in lines)
    assert f"         - clients: {app.client_id}" in lines
    assert lines[-1].endswith(" warning, 0 fails")
    assert not any("fapi-" in line for line in lines)

    judged = operator.run(*given, "--profile", "fapi2", "--json")
    findings = {finding["id"]: finding for finding in msgspec.json.decode(judged.stdout)}
    assert judged.code == 1
    assert findings["fapi-bound-tokens"]["clients"] == [app.client_id]
    assert (findings["fapi-algorithms"]["verdict"], findings["redirect-uri-exact"]["verdict"]) == ("fails", "ok")
    assert {path: path.read_bytes() for path in before} == before

    (tmp_path / "latchstring.db.keyring").chmod(0o644)
    spoilt = operator.run(*given)
    assert spoilt.code == 1
    assert any(line.startswith("fails    keyring-mode ") for line in spoilt.stdout.splitlines())


def test_check_of_nothing_or_by_an_unknown_profile_is_refused(tmp_path):
    operator = QuickOperator(tmp_path)
    assert "latchstring migrate" in operator.refuse("check", "--database", operator.database)
    assert "--profile is fapi2" in operator.refuse("check", "--database", operator.database, "--profile", "hipaa")
    assert list(tmp_path.iterdir()) == []


# -- approvals


def test_approve_and_unapprove_say_what_they_did(tmp_path):
    operator = QuickOperator(tmp_path)
    owner, other = create_organization(operator), create_organization(operator)
    app = operator.ask(
        "client", "create", "--organization", owner, "--name", "Worker", "--grant-type", "client_credentials"
    )
    of_approval = ("--client", app["client_id"], "--organization", other)
    approved = {"client_id": app["client_id"], "organization_id": other}
    assert operator.ask("client", "approve", *of_approval) == {**approved, "scope": "all.full_access"}
    [listed] = operator.ask("client", "approvals", "--organization", other)
    assert (listed["client_id"], listed["approved_by"], listed["ended_at"]) == (app["client_id"], "operator", None)
    assert operator.ask("client", "approvals", "--organization", owner) == []
    assert operator.ask("client", "unapprove", *of_approval) == {**approved, "ended": True}
    [ended] = operator.ask("client", "approvals", "--client", app["client_id"])
    assert (ended["ended_by"], ended["scope"]) == ("operator", "all.full_access")
    given = ("--database", operator.database)
    assert "has not approved" in operator.refuse("client", "unapprove", *of_approval, *given)
    owning = ("--client", app["client_id"], "--organization", owner)
    assert "needs no approval" in operator.refuse("client", "approve", *owning, *given)
    assert "may have" in operator.refuse("client", "approve", *of_approval, "--scope", "nonsense", *given)
