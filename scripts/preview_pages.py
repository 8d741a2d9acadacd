"""Renders every page and state into .artifacts/preview/ and photographs them with the system's Chromium.

    python scripts/preview_pages.py [--only WORD] [--locale LOCALE] [--accent #RRGGBB] [--check]

Desktop and phone width, light and dark. `--check` takes no pictures. Ends with 1 when a page overflows at 320 px,
breaks the content security policy or logs an error.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import segno
from markupsafe import Markup
from playwright.sync_api import Browser, Page, Route, sync_playwright

from latchstring.authorization_server.api_scopes import API_SCOPES
from latchstring.authorization_server.authorization_details import DetailRow, DetailWords
from latchstring.authorization_server.receipts import Receipt
from latchstring.authorization_server.second_factors import render_secret, render_uri
from latchstring.web.rendering.messages import account_error, detail, field_error, message_keys, message_page
from latchstring.web.rendering.renderer import PageRenderer, initial_for, tint_for

OUTPUT = Path(__file__).parent.parent / ".artifacts" / "preview"
ORIGIN = "http://localhost"
POLICY = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; form-action 'self'"
NOW = 1_790_000_000
MINUTE, HOUR, DAY = 60, 3600, 86_400
WIDTHS = (1280, 390)
NARROW = 320

USER = {"name": "Ann Meyer", "email": "ann@example.com"}
LONG_NAME = "Donaudampfschifffahrtsgesellschaftskapitänsmützenvereinigung Österreich & Söhne GmbH"


def picture(name: str) -> dict[str, object]:
    return {"name": name, "tint": tint_for(name), "initial": initial_for(name)}


def published_by(name: str) -> dict[str, object]:
    return {"publisher": name, "is_self_registered": False, "host": None, "domain": None}


def organization(name: str, role: str = "member") -> dict[str, object]:
    common: dict[str, object] = {"standing": "allowed", "left_out": [], "removed": [], "given_at": None}
    return {"id": f"orga_{name}", "role": role, **common, **picture(name)}


def grouped(*scopes: dict[str, object], title: str = "", **given: object) -> dict[str, object]:
    """Scopes under what they touch, as a consent page has them."""
    common = {"is_new": False, "is_optional": False, "is_kept": True}
    return {"title": title, "titles": {}, "scopes": [{**scope, **common, **given} for scope in scopes]}


FULL_ACCESS: dict[str, object] = {"name": "all.full_access", "title": "", "description": "", "risk": "high"}
THREE_SCOPES: list[dict[str, object]] = [
    {
        "name": "contacts.read",
        "title": "Read your contacts",
        "description": "Names, email addresses and phone numbers.",
        "risk": "low",
    },
    {
        "name": "mail.send",
        "title": "Send email in your name",
        "description": "Recipients see you as the sender.",
        "risk": "medium",
    },
    {
        "name": "contacts.delete",
        "title": "Delete contacts",
        "description": "Deleted contacts cannot be restored.",
        "risk": "high",
    },
]

APP = {
    **picture("Mailloop"),
    "description": "Sends the follow-ups you forget, and stops when somebody answers.",
    **published_by("Loop Labs"),
    "is_verified": False,
    "domain": None,
    "is_changed": False,
    "terms_uri": "https://mailloop.example/terms",
    "policy_uri": "https://mailloop.example/privacy",
}
VERIFIED: dict[str, object] = {"is_verified": True, "domain": "looplabs.example"}
THREE_ORGANIZATIONS = [
    organization("Acorn Partners", "admin"),
    organization("Birch & Co"),
    organization("Cedar Ltd"),
]
CONSENT: dict[str, object] = {
    "user": USER,
    "action": "/consent",
    "request": "sealed",
    "app": APP,
    "organizations": THREE_ORGANIZATIONS,
    "selected_organization_id": None,
    "is_asked_for": False,
    "is_other_asked_for": False,
    "roles": "",
    "last_time": None,
    "details": [],
    "groups": [grouped(FULL_ACCESS)],
    "is_offline": True,
    "lifetimes": (90 * DAY, DAY),
    "lifetime": None,
    "redirect_host": "app.mailloop.example",
    "is_redirect_local": False,
    "user_code": None,
    "error": None,
    "error_organization": "",
    "sign_out_continue": "sealed",
}

GROUPS = [
    grouped(THREE_SCOPES[0], title="Contacts", is_new=True),
    grouped(THREE_SCOPES[1], title="Email", is_optional=True, is_new=True),
    grouped(THREE_SCOPES[2], title="Irrevocable things", is_optional=True, is_kept=False),
]
RECEIPT: dict[str, object] = {
    "receipt": Receipt(
        app_name="Mailloop",
        publisher="Loop Labs",
        redirect_host="app.mailloop.example",
        terms_uri="https://mailloop.example/terms",
        policy_uri="https://mailloop.example/privacy",
        organization_name="Acorn Partners",
        member_name="Ann Meyer",
        member_email="ann@example.com",
        scopes=(),
        is_offline=True,
        authorization_details=None,
        given_at=NOW - 12 * DAY,
        ends_at=NOW + 78 * DAY,
        is_remembered=False,
    ),
    "grant_id": "grant_7hQ2mZc9TnVxWb4KpLr8Yd",
    "client_id": "oa2client_7hQ2mZc9TnVxWb4KpLr8Yd",
    "organization_id": "orga_7hQ2mZc9TnVxWb4KpLr8Yd",
    "scopes": [FULL_ACCESS, *THREE_SCOPES],
    "details": [],
    "ended_at": None,
}
LAST_TIME: dict[str, object] = {
    "given_at": NOW - 96 * DAY,
    "app_name": None,
    "redirect_host": None,
    "is_publisher_new": False,
    "is_offline_new": False,
    "is_anything_new": True,
}
DEVICE_CONSENT: dict[str, object] = {
    **CONSENT,
    "action": "/device/answer",
    "redirect_host": "",
    "user_code": "WDJB-MJHT",
}
DEVICE: dict[str, object] = {"user": USER, "user_code": "", "error": None, "sign_out_continue": "sealed"}

SIGN_IN: dict[str, object] = {
    "continue_to": "",
    "email": "",
    "error": None,
    "app_name": None,
    "is_again": False,
    "wanted": None,
    "is_for_device": False,
    "passkey_question": '{"challenge": "AA"}',
}

SEALED: dict[str, object] = {"action": "/consent", "request": "x", "sign_out_continue": "x"}

SEND_BACK: dict[str, object] = {
    "host": "app.mailloop.example",
    "href": None,
    "action": "https://app.mailloop.example/callback",
    "fields": [("code", "ls_ac_…"), ("state", "s")],
    "is_automatic": False,  # the preview stays on the page
    "app": None,
    "details": None,
}

DETAILS = [
    DetailWords(
        (("Pay ", "1234.56"), (" ", "EUR"), (" to ", "Donaudampfschifffahrtsgesellschaft mbH"), ("", None)),
        "Once, from the account that you choose at your bank.",
        "high",
        (
            DetailRow("Reference", ("Invoice 2026-1174",)),
            DetailRow("It may", ("start the payment", "see whether it arrived")),
            DetailRow("At once", (True,)),
        ),
    ),
    DetailWords((("See the balance of your accounts", None),), "", "low", ()),
]
GRANTS = [
    {
        "id": "grant_1",
        "organization": picture("Acorn Partners"),
        "details": [],
        "scopes": [FULL_ACCESS],
        "is_offline": True,
        "ends_at": None,
        "created_at": NOW - 96 * DAY,
        "last_used_at": NOW - 7 * MINUTE,
        "used_from": "198.51.100.7",
        "expires_at": NOW + 170 * DAY,
        "held_by": None,
        "status": "active",
    },
    {
        "id": "grant_2",
        "organization": picture("Birch & Co"),
        "details": [],
        "scopes": [FULL_ACCESS],
        "is_offline": True,
        "ends_at": NOW + 78 * DAY,
        "created_at": NOW - 12 * DAY,
        "last_used_at": NOW - 3 * HOUR,
        "used_from": None,
        "expires_at": None,
        "held_by": "membership_ended",
        "status": "suspended",
    },
]
CONNECTED = [
    {"id": "client_1", **picture("Mailloop"), **published_by("Loop Labs"), "grants": GRANTS},
    {
        "id": "client_2",
        **picture("Tally"),
        **published_by("Northwind"),
        "grants": [
            {
                "id": "grant_3",
                "organization": picture("Acorn Partners"),
                "details": DETAILS,
                "scopes": THREE_SCOPES[:2],
                "is_offline": False,
                "ends_at": None,
                "created_at": NOW - 20,
                "last_used_at": None,
                "used_from": None,
                "expires_at": NOW + HOUR,
                "held_by": None,
                "status": "active",
            }
        ],
    },
]

FORM: dict[str, object] = {
    "organization_id": "",
    "name": "",
    "description": "",
    "redirect_uris": "",
    "terms_uri": "",
    "policy_uri": "",
    "is_public": False,
}
FILLED = {
    **FORM,
    "organization_id": "orga_Loop Labs",
    "name": "Mailloop",
    "description": APP["description"],
    "redirect_uris": "https://app.mailloop.example/callback\nhttp://127.0.0.1/callback",
    "terms_uri": "https://mailloop.example/terms",
    "policy_uri": "",
}
CLIENT_ID = "oa2client_7hQ2mZc9TnVxWb4KpLr8Yd"
AUTHORIZE_URL = f"https://accounts.northwind.example/oauth2/authorize/?client_id={CLIENT_ID}&response_type=code"
SECRET: dict[str, object] = {
    "id": "0a1b2c3d4e5f",
    "hint": "ls_cs_9fKx",
    "name": "Server in Frankfurt",
    "created_at": NOW - 40 * DAY,
    "expires_at": None,
    "last_used_at": NOW - 11 * MINUTE,
    "can_retire": False,
}
PUBLICATION: dict[str, object] = {
    "state": "private",
    "review": None,
    "is_changed": False,
    "category": "other",
    "categories": ("communication", "sales", "other"),
    "max_note_length": 1000,
}
ONE_APP: dict[str, object] = {
    "reach": [{"name": "Acorn Partners", "count": 12}, {"name": LONG_NAME, "count": 1}],
    "reach_count": 2,
    "connection_count": 13,
    "user": USER,
    "app": {
        "is_suspended": False,
        "suspended_reason": "",
        **picture("Mailloop"),
        "client_id": CLIENT_ID,
        "description": APP["description"],
        "organization_name": "Loop Labs",
        "state": "private",
        "redirect_uris": ("https://app.mailloop.example/callback", "http://127.0.0.1/callback"),
        "terms_uri": "https://mailloop.example/terms",
        "policy_uri": None,
        "scopes": ("all.full_access", "offline_access"),
        "way": "browser",
        "is_public": False,
        "has_secret": True,
        "profile": "legacy",
        "requires_pkce": False,
        "is_key_bound": False,
        "is_certificate_bound": False,
        "created_at": NOW - 40 * DAY,
    },
    "publication": PUBLICATION,
    "secret": None,
    "secrets": [SECRET],
    "can_add_secret": True,
    "form": FILLED,
    "errors": {},
    "can_edit": True,
    "authorize_url": AUTHORIZE_URL,
}
APPS = [
    {
        **picture(name),
        "client_id": CLIENT_ID,
        "organization_name": owner,
        "state": state,
        "redirect_count": count,
        "created_at": NOW - age * DAY,
    }
    for name, owner, state, count, age in (
        ("Mailloop", "Loop Labs", "private", 2, 40),
        ("Tally", "Northwind", "published", 1, 400),
        (LONG_NAME, LONG_NAME, "private", 12, 3),
    )
]


ACCOUNT: dict[str, object] = {
    "user": USER,
    "account": USER,
    "factor": None,
    "passkeys": {"is_possible": True, "count": 0},
    "sessions": 1,
    "recovery_codes": None,
    "errors": {},
    "done": None,
}
PASSKEYS: dict[str, object] = {
    "user": USER,
    "passkeys": [
        {
            "id": f"{age:064x}",
            "name": name,
            "is_synced": is_synced,
            "created_at": NOW - age * DAY,
            "last_used_at": last_used_at,
        }
        for name, is_synced, age, last_used_at in (
            ("Ann’s phone", True, 40, NOW - 7200),
            ("Key ring", False, 3, None),
            (LONG_NAME[:64], True, 400, NOW - 90 * DAY),
        )
    ],
    # With a question the page's script shows the form.
    "question": '{"challenge": "AA", "user": {"id": "AA"}, "excludeCredentials": []}',
    "is_possible": True,
    "is_full": False,
    "error": None,
    "done": None,
}
_URI = render_uri(b"12345678901234567890", issuer="Northwind CRM", account="ann@example.com")
SECOND_FACTOR: dict[str, object] = {
    "user": USER,
    "secret": "sealed",
    "typed_secret": render_secret(b"12345678901234567890"),
    "uri": _URI,
    "picture": Markup(segno.make(_URI, micro=False).svg_inline(scale=5, border=2, omitsize=True)),
    "errors": {},
}


def states() -> Iterator[tuple[str, str, dict[str, object]]]:
    """Every page in every state: a name for its picture, the template, the context."""
    yield "sign-in", "sign_in.html", SIGN_IN
    yield "sign-in-for-app", "sign_in.html", {**SIGN_IN, "app_name": "Mailloop", "continue_to": "sealed"}
    again = {"app_name": "Mailloop", "email": "ann@example.com", "is_again": True}
    yield "sign-in-again", "sign_in.html", {**SIGN_IN, **again, "continue_to": "sealed"}
    stronger = {**SIGN_IN, **again, "continue_to": "sealed"}
    weak = {"user": USER, "app_name": "Mailloop", "has_passkeys": True, "again_continue": "x", **SEALED}
    for wanted in ("mfa", "phr"):
        yield f"sign-in-{wanted}", "sign_in.html", {**stronger, "wanted": wanted}
        yield f"stronger-sign-in-{wanted}", "stronger_sign_in.html", {**weak, "wanted": wanted}
    yield "sign-in-phr-wrong", "sign_in.html", {**stronger, "wanted": "phr", "error": "credentials"}
    yield "sign-in-mfa-no-passkeys", "sign_in.html", {**stronger, "wanted": "mfa", "passkey_question": None}
    no_passkeys = {**weak, "wanted": "mfa", "app_name": LONG_NAME, "has_passkeys": False}
    yield "stronger-sign-in-no-passkeys", "stronger_sign_in.html", no_passkeys
    chooser = {"app_name": "Mailloop", "selected_href": "/oauth2/authorize/?visit=x", "sign_out_continue": "sealed"}
    yield "select-account", "select_account.html", {"user": USER, **chooser}
    yield "consent-details", "consent.html", {**CONSENT, "details": DETAILS, "groups": [], "is_offline": False}
    yield "send-back", "send_back.html", SEND_BACK
    announced = [detail("error", "invalid_scope"), detail("error_description", "The scope is malformed.")]
    yield (
        "send-back-announced",
        "send_back.html",
        {**SEND_BACK, "app": LONG_NAME, "href": "https://app.mailloop.example/callback?error=x", "details": announced},
    )
    yield "sign-in-code", "sign_in_code.html", {"half": "sealed", "error": None}
    yield "sign-in-code-wrong", "sign_in_code.html", {"half": "sealed", "error": "code"}
    yield "sign-in-code-throttled", "sign_in_code.html", {"half": "sealed", "error": "throttled"}
    yield "reset", "reset.html", {"email": "", "is_sent": False}
    yield "reset-sent", "reset.html", {"email": "ann@example.com", "is_sent": True}
    chosen = {"token": "0a1b", "email": "ann@example.com", "passkeys": 0, "errors": {}}
    yield "reset-password", "reset_password.html", chosen
    yield "reset-password-passkeys", "reset_password.html", {**chosen, "passkeys": 2}
    unusable = {"new_password": account_error("password_unusable")}
    yield (
        "reset-password-short",
        "reset_password.html",
        {**chosen, "errors": unusable},
    )
    yield "account", "account.html", ACCOUNT
    factor = {"created_at": NOW - 40 * DAY, "recovery_codes": 7}
    wrong = {"remove_password": account_error("password_wrong")}
    yield "account-factor", "account.html", {**ACCOUNT, "factor": factor, "sessions": 3, "done": "password"}
    yield "account-wrong", "account.html", {**ACCOUNT, "factor": factor, "errors": wrong}
    codes = [f"BCDFG-HJK{letter}M" for letter in "BCDFGHJKLM"]
    yield "account-codes", "account.html", {**ACCOUNT, "factor": factor, "recovery_codes": codes}
    yield "account-passkeys", "account.html", {**ACCOUNT, "passkeys": {"is_possible": True, "count": 2}}
    yield "account-no-passkeys", "account.html", {**ACCOUNT, "passkeys": {"is_possible": False, "count": 0}}
    yield "passkeys-none", "passkeys.html", {**PASSKEYS, "passkeys": []}
    yield "passkeys", "passkeys.html", {**PASSKEYS, "done": "added"}
    yield "passkeys-full", "passkeys.html", {**PASSKEYS, "is_full": True, "question": None, "error": "passkey"}
    yield "passkeys-impossible", "passkeys.html", {**PASSKEYS, "passkeys": [], "is_possible": False, "question": None}
    yield "second-factor", "second_factor.html", SECOND_FACTOR
    yield (
        "second-factor-wrong",
        "second_factor.html",
        {**SECOND_FACTOR, "errors": {"code": account_error("code_wrong")}},
    )
    yield "sign-in-wrong", "sign_in.html", {**SIGN_IN, "error": "credentials", "email": "ann@example.com"}
    yield "sign-in-passkey-unknown", "sign_in.html", {**SIGN_IN, "error": "passkey"}
    yield "sign-in-expired", "sign_in.html", {**SIGN_IN, "error": "expired_page", "email": "ann@example.com"}
    yield "device", "device.html", DEVICE
    yield "device-filled", "device.html", {**DEVICE, "user_code": "WDJB-MJHT"}
    yield "device-unknown", "device.html", {**DEVICE, "user_code": "WDJB-MJHX", "error": "unknown_code"}
    yield "device-throttled", "device.html", {**DEVICE, "user_code": "WDJB-MJHX", "error": "throttled"}
    yield "device-consent", "consent.html", DEVICE_CONSENT
    one = [organization("Acorn Partners", "admin")]
    yield "consent-one", "consent.html", {**CONSENT, "organizations": one}
    yield "consent-several", "consent.html", CONSENT
    yield "consent-groups", "consent.html", {**CONSENT, "organizations": one, "groups": GROUPS}
    of_api: list[dict[str, object]] = [
        {"name": name, "title": "", "description": "", "risk": scope.risk} for name, scope in API_SCOPES.items()
    ]
    yield "consent-api", "consent.html", {**CONSENT, "organizations": one, "groups": [grouped(*of_api)]}
    yield "consent-new", "consent.html", {**CONSENT, "organizations": one, "groups": GROUPS, "last_time": LAST_TIME}
    nothing_new = {**LAST_TIME, "is_anything_new": False}
    yield "consent-same", "consent.html", {**CONSENT, "organizations": one, "last_time": nothing_new}
    moved = {**nothing_new, "app_name": LONG_NAME, "redirect_host": "app.looplabs.example", "is_publisher_new": True}
    yield "consent-moved", "consent.html", {**CONSENT, "organizations": one, "last_time": moved}
    capped = [{**organization("Acorn Partners"), "removed": THREE_SCOPES[1:]}]
    asked_for = {"is_asked_for": True, "selected_organization_id": "orga_Birch & Co"}
    yield "consent-role", "consent.html", {**CONSENT, **asked_for, "organizations": capped, "error": "role_changed"}
    choices = [
        organization("Acorn Partners", "admin"),
        {**organization("Birch & Co"), **capped[0], "given_at": NOW - DAY},
    ]
    choices[1] = {**choices[1], **picture("Birch & Co"), "id": "orga_Birch & Co"}
    yield "consent-asked-for", "consent.html", {**CONSENT, **asked_for, "organizations": choices, "groups": GROUPS}
    other = {"is_other_asked_for": True, "error": "nothing_left"}
    yield "consent-nothing-left", "consent.html", {**CONSENT, **other, "groups": GROUPS}
    for why in ("other_account", "other_organization"):
        refused = {"why": why, "app_name": "Mailloop", **SEALED}
        yield f"reconnect-{why}", "reconnect.html", {"user": USER, **refused}
    allowed = {"app_name": "Mailloop", "organizations": THREE_ORGANIZATIONS[:2], "request": "x"}
    yield "several", "several.html", {"user": USER, **allowed}
    yield "receipt", "receipt.html", {"user": USER, **RECEIPT}
    for_good = msgspec.structs.replace(RECEIPT["receipt"], ends_at=None, app_name=LONG_NAME, is_remembered=True)  # type: ignore[type-var]
    yield (
        "receipt-long",
        "receipt.html",
        {"user": USER, **RECEIPT, "receipt": for_good, "ended_at": NOW, "details": DETAILS},
    )
    yield "consent-verified", "consent.html", {**CONSENT, "app": {**APP, **VERIFIED}}
    cedar = {**organization("Cedar Ltd"), "standing": "needs_approval"}
    dogwood = {**organization("Dogwood", "admin"), "standing": "needs_approval", "left_out": [THREE_SCOPES[2]]}
    elm = {**organization("Elm & Sons"), "standing": "blocked"}
    yield "consent-policy", "consent.html", {**CONSENT, "organizations": [THREE_ORGANIZATIONS[0], cedar, dogwood, elm]}
    yield "consent-app-changed", "consent.html", {**CONSENT, "app": {**APP, "is_changed": True}}
    yield "consent-choose", "consent.html", {**CONSENT, "error": "choose_organization"}
    chosen = {"selected_organization_id": "orga_Birch & Co"}
    yield (
        "consent-ended",
        "consent.html",
        {**CONSENT, **chosen, "error": "membership_ended", "error_organization": "Cedar Ltd"},
    )
    yield "consent-not-yours", "consent.html", {**CONSENT, "error": "not_your_organization"}
    local = {"is_redirect_local": True, "redirect_host": "127.0.0.1:49152"}
    plain_app = {**APP, "description": "", "terms_uri": None, "policy_uri": "javascript:alert(1)"}
    yield (
        "consent-local-hour",
        "consent.html",
        {**CONSENT, **local, "app": plain_app, "is_offline": False, "groups": [grouped(*THREE_SCOPES)]},
    )
    hostile = {
        **APP,
        **picture("\u202eمرحبا <b>x</b>"),
        "publisher": LONG_NAME,
        "is_verified": True,
        "domain": "looplabs.example",
    }
    yield (
        "consent-long",
        "consent.html",
        {
            **CONSENT,
            "app": hostile,
            "organizations": [organization(LONG_NAME), organization("شركة النور"), organization("株式会社あかね")],
            "redirect_host": "a-very-long-subdomain-for-callbacks.integrations.mailloop.example",
        },
    )
    stranger = {**APP, "publisher": "", "is_self_registered": True, "terms_uri": None, "policy_uri": None}
    yield "consent-registered", "consent.html", {**CONSENT, **local, "app": stranger}
    documented = {**stranger, "host": "a-client-with-a-long-name.integrations.mailloop.example"}
    yield "consent-document", "consent.html", {**CONSENT, "app": documented}
    yield "consent-changed", "consent.html", {**CONSENT, "app": documented, "error": "app_changed"}
    names = {"app": "Mailloop", "organization": "Loop Labs", "parameter": "client_id", "host": "mailloop.example"}
    for key in message_keys():
        context = message_page(key, **names)  # type: ignore[arg-type]  # every key takes a subset of the names
        if key in {"unknown_client", "repeated_parameter", "redirect_uri_missing"}:
            context["details"] = [detail("error", "invalid_request"), detail("client_id", "oa2client_unknown")]
        yield f"message-{key}", "message.html", {"user": None if key == "signed_out" else USER, **context}
    received = "https://app.mailloop.example/callback/"
    mismatch = message_page("redirect_uri_mismatch", **names)
    mismatch["details"] = [detail("error", "invalid_request"), detail("redirect_uri", received)]
    mismatch["difference"] = {
        "received": received,
        "registered": ["https://app.mailloop.example/callback", "https://app.mailloop.example:8443/callback"],
        "index": 37,
    }
    yield "message-mismatch-owner", "message.html", {"user": USER, **mismatch}
    yield "connections", "connections.html", {"user": USER, "apps": CONNECTED}
    yield (
        "connections-notice",
        "connections.html",
        {"user": USER, "apps": CONNECTED[1:], "notice": ("disconnected", "Mailloop")},
    )
    yield "connections-empty", "connections.html", {"user": USER, "apps": []}
    grants = [{**GRANTS[1], "organization": picture(LONG_NAME)}]
    long = {"id": "client_3", **picture(LONG_NAME), **published_by(LONG_NAME), "grants": grants}
    yield "connections-long", "connections.html", {"user": {**USER, "email": "a" * 50 + "@example.com"}, "apps": [long]}
    yield "apps", "apps.html", {"user": USER, "apps": APPS, "can_create": True}
    yield "apps-empty", "apps.html", {"user": USER, "apps": [], "can_create": True}
    yield "apps-outsider", "apps.html", {"user": USER, "apps": [], "can_create": False}
    new: dict[str, object] = {"user": USER, "form": FORM, "errors": {}}
    choices = [{"id": "orga_Loop Labs", "name": "Loop Labs"}, {"id": "orga_Acorn", "name": "Acorn Partners"}]
    yield "app-new", "app_new.html", {**new, "organizations": choices}
    yield "app-new-one", "app_new.html", {**new, "organizations": choices[:1]}
    from scripts.preview_events import history_states, webhook_states
    from scripts.preview_policy import policy_states

    yield from policy_states()
    yield from history_states()
    yield from webhook_states()
    from scripts.preview_organization import organization_states

    yield from organization_states()
    errors = {
        "organization_id": field_error("organization_missing"),
        "name": field_error("name_missing"),
        "redirect_uris": field_error("redirect_uri_not_https", uri="http://app.mailloop.example/callback"),
        "terms_uri": field_error("terms_uri_unusable"),
    }
    entered = {
        **FORM,
        "redirect_uris": "http://app.mailloop.example/callback",
        "terms_uri": "mailloop",
        "is_public": True,
    }
    yield "app-new-errors", "app_new.html", {**new, "form": entered, "errors": errors, "organizations": choices}
    app = ONE_APP["app"]
    assert isinstance(app, dict)
    yield "app", "app.html", ONE_APP
    secret = "ls_cs_9fKxR2vPzq7LmTn4BwYc8HsJd3GtQe6UaXo1NiVfMk50ZrSyEh_4dWlCp"
    for way in ("device", "own"):
        yield f"app-{way}", "app.html", {**ONE_APP, "app": {**app, "way": way, "redirect_uris": ()}}
    yield "app-secret", "app.html", {**ONE_APP, "secret": secret}
    reviewed = {"state": "declined", "word": "Say whose hosts these are.", "asked_at": NOW - DAY}
    waiting = {**PUBLICATION, "state": "in_review", "review": {**reviewed, "state": "waiting"}}
    changed = {**PUBLICATION, "state": "listed", "review": {**reviewed, "state": "approved"}, "is_changed": True}
    for name, publication in (
        ("declined", {**PUBLICATION, "review": reviewed}),
        ("waiting", waiting),
        ("changed", changed),
    ):
        yield f"app-review-{name}", "app.html", {**ONE_APP, "publication": publication}
    for kind in ("review_asked", "review_withdrawn"):
        yield f"app-{kind}", "app.html", {**ONE_APP, "notice": (kind, "Mailloop")}
    yield "app-saved", "app.html", {**ONE_APP, "notice": ("saved", "Mailloop")}
    published = {**app, "is_public": True, "has_secret": False, "state": "published"}
    older, newer = SECRET, {"id": "f5e4d3c2b1a0", "hint": "ls_cs_0aBc", "name": "", "last_used_at": None}
    ending = {**older, "id": "1", "hint": "ls_cs_7xYz", "name": LONG_NAME, "expires_at": NOW + 5 * DAY}
    several = [
        {**ending, "can_retire": True},
        {**older, "can_retire": True},
        {**newer, "created_at": NOW - HOUR, "expires_at": None, "can_retire": True},
    ]
    yield "app-secrets", "app.html", {**ONE_APP, "secrets": several, "notice": ("retired", "Mailloop")}
    by_key = {**app, "has_secret": False}
    yield "app-key", "app.html", {**ONE_APP, "app": by_key, "secrets": []}
    yield "app-public", "app.html", {**ONE_APP, "app": published, "secrets": [], "can_edit": False}
    one_error = {"redirect_uris": field_error("redirect_uris_missing")}
    yield "app-errors", "app.html", {**ONE_APP, "errors": one_error, "form": {**FILLED, "redirect_uris": ""}}


class Preview:
    """One renderer, served to the browser from memory with the policy that the server sends."""

    def __init__(self, renderer: PageRenderer, locale: str) -> None:
        self.renderer = renderer
        self.locale = locale
        self.troubles: list[str] = []
        self._html = ""

    def show(self, page: Page, template: str, context: dict[str, object]) -> None:
        common = {"user": None, "csrf_token": "csrf", "now": NOW, "request_id": "req_5QxTn8Wb2Zk", "notice": None}
        self._html = self.renderer.render_page(template, {**common, **context}, self.locale)
        page.goto(f"{ORIGIN}/page")

    def answer(self, route: Route) -> None:
        path = urlsplit(route.request.url).path
        if path == "/page":
            headers = {"content-security-policy": POLICY, "content-type": "text/html; charset=utf-8"}
            route.fulfill(status=200, headers=headers, body=self._html)
            return
        file = self.renderer.static_file(path.removeprefix("/static/"))
        if file is None:
            route.fulfill(status=404)
        else:
            route.fulfill(status=200, headers={"content-type": file.content_type}, body=file.content)

    def open(self, browser: Browser, width: int, scheme: str) -> Page:
        page = browser.new_page(viewport={"width": width, "height": 844 if width < 900 else 900})
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        page.route("**/*", self.answer)
        page.on("console", lambda message: self.note(message.text) if message.type in {"error", "warning"} else None)
        page.on("pageerror", lambda error: self.note(str(error)))
        return page

    def note(self, trouble: str) -> None:
        self.troubles.append(trouble)
        print("trouble:", trouble)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="only the states whose name contains this")
    parser.add_argument("--locale", default="en")
    parser.add_argument("--accent", default=None)
    parser.add_argument("--check", action="store_true", help="look for troubles only, take no pictures")
    arguments = parser.parse_args()
    preview = Preview(PageRenderer("Northwind CRM", accent=arguments.accent), arguments.locale)
    chosen = [state for state in states() if arguments.only in state[0]]
    OUTPUT.mkdir(parents=True, exist_ok=True)
    suffix = "" if arguments.locale == "en" else f".{arguments.locale}"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu"]
        )
        narrow = preview.open(browser, NARROW, "light")
        for name, template, context in chosen:
            preview.show(narrow, template, context)
            width = narrow.evaluate("document.documentElement.scrollWidth")
            if width > NARROW:
                preview.note(f"{name}: {width} px wide at {NARROW} px")
        for scheme in () if arguments.check else ("light", "dark"):
            for width in WIDTHS:
                page = preview.open(browser, width, scheme)
                for name, template, context in chosen:
                    preview.show(page, template, context)
                    page.screenshot(path=OUTPUT / f"{name}{suffix}.{width}.{scheme}.png", full_page=True)
                page.close()
        browser.close()
    print(f"{len(chosen)} states, {len(preview.troubles)} troubles, pictures in {OUTPUT}")
    return 1 if preview.troubles else 0


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent.parent))  # for what is imported from this folder
    sys.exit(main())
