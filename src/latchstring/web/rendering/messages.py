"""What the message page says, one entry per dead end: what happened, whose move it is, what to do now.

A handler merges `message_page(key, app=…, …)` into its context and renders `message.html`; the template
translates. `%(deployment)s` is filled by the renderer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Literal, get_args

MessageKind = Literal["error", "info", "success"]

MessageKey = Literal[
    "unknown_client",
    "redirect_uri_mismatch",
    "redirect_uri_missing",
    "repeated_parameter",
    "unreadable_request",
    "document_unusable",
    "document_busy",
    "private_app",
    "app_disabled",
    "app_blocked",
    "unknown_app",
    "access_request_over",
    "no_organization",
    "page_expired",
    "wrong_session",
    "forged_form",
    "not_your_app",
    "not_found",
    "method_not_allowed",
    "too_large",
    "server_error",
    "store_unavailable",
    "account_disabled",
    "app_deleted",
    "organization_closed",
    "not_yourself",
    "signed_out",
    "password_reset",
    "reset_expired",
    "device_connected",
    "device_declined",
    "device_code_spent",
]


AccountErrorKey = Literal["password_wrong", "password_unusable", "code_wrong", "throttled"]


@dataclass(frozen=True, slots=True)
class Text:
    """A sentence still to be translated, with what goes into its `%(name)s` placeholders."""

    message: str
    placeholders: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Action:
    """One thing to do next: a link (`href`), or a form that posts to `post` with a hidden `continue`."""

    label: Text
    href: str | None = None
    post: str | None = None
    continue_to: str = ""


@dataclass(frozen=True, slots=True)
class Message:
    """One dead end: its HTTP status, its words, and what can be done from here."""

    status: int
    heading: str
    paragraphs: tuple[str, ...]
    kind: MessageKind = "error"
    actions: tuple[Action, ...] = ()


def N_(message: str) -> str:  # noqa: N802 -- gettext's own name for "translate this later"
    """Marks a message for the catalogs; translates nothing."""
    return message


_TO_CONNECTIONS: Final = Action(Text(N_("Your connections")), href="/connections")
_TO_APPS: Final = Action(Text(N_("Your apps")), href="/apps")
_TO_SIGN_IN: Final = Action(Text(N_("Sign in")), href="/sign-in")
_TO_RESET: Final = Action(Text(N_("Send me another link")), href="/reset")
_TO_DEVICE: Final = Action(Text(N_("Enter a code")), href="/device")
_OTHER_ACCOUNT: Final = Action(Text(N_("Use another account")), post="/sign-out")

MESSAGES: Final[Mapping[MessageKey, Message]] = MappingProxyType(
    {
        "unknown_client": Message(
            400,
            N_("We do not know this app"),
            (
                N_(
                    "The link that brought you here is for an app that is not registered "
                    "with %(deployment)s. Nothing was shared."
                ),
                N_(
                    "Only the app’s developer can put this right. Go back to the app and try again; "
                    "if it happens again, tell them what you see here."
                ),
            ),
        ),
        "redirect_uri_mismatch": Message(
            400,
            N_("This link would not bring you back safely"),
            (
                N_(
                    "%(app)s asked us to send you to an address that it has not registered "
                    "with %(deployment)s, so we stopped here. Nothing was shared."
                ),
                N_(
                    "Only the app’s developer can put this right. Tell them what you see here; "
                    "there is nothing you need to change."
                ),
            ),
        ),
        "redirect_uri_missing": Message(
            400,
            N_("This link does not say where to bring you back"),
            (
                N_(
                    "%(app)s has registered more than one return address, and the link names none of them. "
                    "Nothing was shared."
                ),
                N_(
                    "Only the app’s developer can put this right. Tell them what you see here; "
                    "there is nothing you need to change."
                ),
            ),
        ),
        "repeated_parameter": Message(
            400,
            N_("This link says the same thing twice"),
            (
                N_(
                    "It gives “%(parameter)s” more than once, so we cannot tell which one is meant. Nothing was shared."
                ),
                N_(
                    "Only the app’s developer can put this right. Go back to the app and try again; "
                    "if it happens again, tell them what you see here."
                ),
            ),
        ),
        "unreadable_request": Message(
            400,
            N_("We could not make sense of this link"),
            (
                N_("Part of it is missing or damaged. Nothing was shared."),
                N_("Go back to the app and try again; if it happens again, tell its developer what you see here."),
            ),
        ),
        "document_unusable": Message(
            400,
            N_("We could not check this app"),
            (
                N_("The app says who it is at %(host)s, but what we found there cannot be used. Nothing was shared."),
                N_(
                    "Only the app’s developer can put this right. Go back to the app and try again; "
                    "if it happens again, tell them what you see here."
                ),
            ),
        ),
        "document_busy": Message(
            503,
            N_("We cannot check this app right now"),
            (
                N_("Too many apps are being looked up at the moment. Nothing was shared."),
                N_("Wait a moment, then reload the page."),
            ),
            kind="info",
        ),
        "private_app": Message(
            403,
            N_("%(app)s is private"),
            (
                N_(
                    "The app %(app)s is private to the members of %(organization)s, and you are not one "
                    "of them. Nothing was shared."
                ),
                N_(
                    "If you need it, ask an admin of %(organization)s to add you as a member, "
                    "or ask the app’s developer to publish it."
                ),
            ),
            kind="info",
            actions=(_OTHER_ACCOUNT,),
        ),
        "app_disabled": Message(
            403,
            N_("%(app)s is switched off"),
            (
                N_("The app %(app)s has been disabled, so it cannot be connected. Nothing was shared."),
                N_("There is nothing you need to do. The app’s developer can tell you whether it will come back."),
            ),
            kind="info",
        ),
        "app_blocked": Message(
            403,
            N_("%(app)s cannot be connected"),
            (
                N_("%(organization)s does not let its members connect %(app)s. Nothing was shared."),
                N_("If you need it, ask an admin of %(organization)s."),
            ),
            kind="info",
            actions=(_OTHER_ACCOUNT,),
        ),
        "unknown_app": Message(
            404,
            N_("There is no such app"),
            (N_("No app goes by that client ID. Its developer, or whoever told you of it, knows the right one."),),
            kind="info",
        ),
        "access_request_over": Message(
            404,
            N_("This request is over"),
            (
                N_("It does not exist any more, or it is somebody else’s. Nothing was shared."),
                N_("Sign in as the person who asked, or begin again at the app."),
            ),
            kind="info",
            actions=(_TO_CONNECTIONS,),
        ),
        "no_organization": Message(
            403,
            N_("You are not in an organization yet"),
            (
                N_(
                    "Apps connect to an organization, and your account is not an active member of one. "
                    "Nothing was shared."
                ),
                N_("Ask an admin of your organization to add you, or use another account."),
            ),
            kind="info",
            actions=(_OTHER_ACCOUNT,),
        ),
        "page_expired": Message(
            400,
            N_("This page is out of date"),
            (
                N_("It was open for too long, or it has been answered already. Your click changed nothing."),
                N_("Go back to the app and connect again."),
            ),
            kind="info",
            actions=(_TO_CONNECTIONS,),
        ),
        "wrong_session": Message(
            403,
            N_("Your sign-in has changed"),
            (
                N_("This page was opened under another sign-in, so your click changed nothing."),
                N_("Go back to the app and connect again."),
            ),
            actions=(_TO_CONNECTIONS,),
        ),
        "forged_form": Message(
            403,
            N_("We could not confirm that this came from you"),
            (
                N_(
                    "What we received did not come from a current page of %(deployment)s. This happens "
                    "when a page was open for a long time or cookies are blocked — or when another site "
                    "tries to click for you. Nothing was changed."
                ),
                N_("Go back, reload the page and try again."),
            ),
        ),
        "not_your_app": Message(
            404,
            N_("You cannot see this app"),
            (
                N_("It does not exist, or it belongs to an organization that you are not a member of."),
                N_("If you should see it, ask an admin of that organization to add you."),
            ),
            kind="info",
            actions=(_TO_APPS,),
        ),
        "not_found": Message(
            404,
            N_("There is nothing at this address"),
            (N_("The link may be mistyped, or what it led to is gone. Check the address, or start from here."),),
            kind="info",
            actions=(_TO_CONNECTIONS,),
        ),
        "method_not_allowed": Message(
            405,
            N_("This address cannot be opened like this"),
            (N_("It only takes what a page of %(deployment)s sends to it. Go back and use the buttons there."),),
            actions=(_TO_CONNECTIONS,),
        ),
        "too_large": Message(
            413,
            N_("That was too much at once"),
            (
                N_("What your browser sent is larger than this page accepts. Nothing was saved."),
                N_("Go back, shorten it and send it again."),
            ),
        ),
        "server_error": Message(
            500,
            N_("Something broke on our side"),
            (
                N_("It was nothing you did, and it has been recorded."),
                N_(
                    "Try again in a moment. If it happens again, give the request ID below to the people "
                    "who run %(deployment)s."
                ),
            ),
        ),
        "store_unavailable": Message(
            503,
            N_("We cannot reach our records right now"),
            (
                N_("Nothing was lost and nothing was changed. This usually passes within a minute."),
                N_("Wait a moment, then reload the page."),
            ),
        ),
        "account_disabled": Message(
            403,
            N_("Your account is disabled"),
            (
                N_("You cannot sign in for now, and the apps you connected are paused. Nothing was lost."),
                N_("The people who run %(deployment)s can tell you why, and enable it again."),
            ),
            kind="info",
        ),
        "password_reset": Message(
            200,
            N_("Your password is changed"),
            (N_("Every browser was signed out. Sign in with the new password."),),
            kind="success",
            actions=(_TO_SIGN_IN,),
        ),
        "reset_expired": Message(
            410,
            N_("This link no longer works"),
            (
                N_("It was good for half an hour, and for one use. Your password is as it was."),
                N_("Ask for another link, and use the newest mail."),
            ),
            kind="info",
            actions=(_TO_RESET,),
        ),
        "app_deleted": Message(
            200,
            N_("%(app)s is deleted"),
            (
                N_("Every connection of %(app)s has ended, everywhere, and its client ID works no longer."),
                N_("For a while the members who had connected it can still read that it ended."),
            ),
            kind="success",
            actions=(_TO_APPS,),
        ),
        "organization_closed": Message(
            200,
            N_("%(organization)s is closed"),
            (
                N_("No app can reach %(organization)s, and its own apps can reach nothing."),
                N_("Nothing was deleted: the people who run %(deployment)s can open it again."),
            ),
            kind="success",
            actions=(_TO_CONNECTIONS,),
        ),
        "not_yourself": Message(
            400,
            N_("You cannot do that to your own account"),
            (N_("Another operator can, or the command line."),),
            kind="info",
        ),
        "signed_out": Message(
            200,
            N_("You are signed out"),
            (N_("The apps you connected keep working until you disconnect them."),),
            kind="success",
            actions=(_TO_SIGN_IN,),
        ),
        "device_connected": Message(
            200,
            N_("You can go back to your device"),
            (
                N_("%(app)s may now reach %(organization)s. Your device notices within a few seconds."),
                N_("You can disconnect it at any time under Connections."),
            ),
            kind="success",
            actions=(_TO_CONNECTIONS,),
        ),
        "device_declined": Message(
            200,
            N_("You declined"),
            (
                N_("%(app)s gets no access, and your device will say so. Nothing was shared."),
                N_("You can close this page."),
            ),
            kind="info",
        ),
        "device_code_spent": Message(
            400,
            N_("This code is no longer good"),
            (
                N_("It has expired, or it has been answered already. Your click changed nothing."),
                N_("Begin again on your device: it will show a new code."),
            ),
            kind="info",
            actions=(_TO_DEVICE,),
        ),
    }
)

DetailName = Literal[
    "error", "error_description", "client_id", "redirect_uri", "response_type", "parameter", "request_id"
]

_DETAIL_LABELS: Final[Mapping[DetailName, Text]] = MappingProxyType(
    {
        "error": Text(N_("Error code")),
        "error_description": Text(N_("What the app is told")),
        "client_id": Text(N_("Client ID")),
        "redirect_uri": Text(N_("Redirect URI received")),
        "response_type": Text(N_("Response type")),
        "parameter": Text(N_("Parameter")),
        "request_id": Text(N_("Request ID")),
    }
)

FieldErrorKey = Literal[
    "no_such_account",
    "secret_name_too_long",
    "secrets_too_many",
    "secret_unknown",
    "secret_last",
    "secrets_changed",
    "secret_useless",
    "organization_missing",
    "organization_not_yours",
    "name_missing",
    "name_not_typed",
    "name_too_long",
    "description_too_long",
    "redirect_uris_missing",
    "redirect_uris_too_many",
    "redirect_uri_too_long",
    "redirect_uri_not_absolute",
    "redirect_uri_not_https",
    "redirect_uri_with_fragment",
    "redirect_uri_with_user",
    "redirect_uri_with_wildcard",
    "redirect_uri_dangerous_scheme",
    "redirect_uri_private_scheme",
    "redirect_uri_dot_segments",
    "redirect_uri_reserved_parameter",
    "redirect_uri_unusable",
    "terms_uri_unusable",
    "policy_uri_unusable",
    "domain_not_a_name",
    "domains_too_many",
    "webhook_url_unusable",
    "webhook_types_missing",
    "webhooks_too_many",
]

FIELD_ERRORS: Final[Mapping[FieldErrorKey, str]] = MappingProxyType(
    {
        "webhook_url_unusable": N_(
            "Enter a full address, starting with https://, without a user name and without a #."
        ),
        "webhook_types_missing": N_("Choose at least one kind of event."),
        "webhooks_too_many": N_("There are %(limit)s webhooks already. Delete one first."),
        "no_such_account": N_("Nobody has an account with this email. They have to get one first."),
        "secret_name_too_long": N_("Shorten the secret’s name to %(limit)s characters or fewer."),
        "secrets_too_many": N_("There are %(limit)s secrets already. Retire one first."),
        "secret_unknown": N_("That secret is retired already."),
        "secret_last": N_("That is the last secret that is there to stay. Add another one first."),
        "secrets_changed": N_("Somebody else has just changed the secrets. Look at them again, and try again."),
        "secret_useless": N_("This app has no secret. It proves itself in another way."),
        "organization_missing": N_("Choose the organization that will own this app."),
        "organization_not_yours": N_("You are not an active member of that organization. Choose another one."),
        "name_missing": N_("Give the app a name. People see it when they connect."),
        "name_not_typed": N_("Nothing was changed. To confirm, type exactly this: %(name)s"),
        "name_too_long": N_("Shorten the name to %(limit)s characters or fewer."),
        "description_too_long": N_("Shorten the description to %(limit)s characters or fewer."),
        "redirect_uris_missing": N_(
            "Enter at least one redirect URI. People return to it after they allow or decline."
        ),
        "redirect_uris_too_many": N_("Enter %(limit)s redirect URIs or fewer."),
        "redirect_uri_too_long": N_("“%(uri)s” is longer than %(limit)s characters. Use a shorter one."),
        "redirect_uri_not_absolute": N_("“%(uri)s” is not a full address. Start it with https:// and a host name."),
        "redirect_uri_not_https": N_(
            "“%(uri)s” does not use https. Plain http is accepted only for 127.0.0.1, [::1] and localhost."
        ),
        "redirect_uri_with_fragment": N_("“%(uri)s” contains a #. Remove it and everything after it."),
        "redirect_uri_with_user": N_("“%(uri)s” contains a user name or an @ before the host. Remove it."),
        "redirect_uri_with_wildcard": N_("“%(uri)s” contains a *. Redirect URIs are compared exactly; list each one."),
        "redirect_uri_dangerous_scheme": N_(
            "“%(uri)s” starts with a scheme that a browser could run or read files with. Use https."
        ),
        "redirect_uri_private_scheme": N_(
            "The scheme of “%(uri)s” has no dot. Use one of your own, such as com.example.app:/callback."
        ),
        "redirect_uri_dot_segments": N_("“%(uri)s” has . or .. in its path. Write the path it stands for."),
        "redirect_uri_reserved_parameter": N_(
            "The query of “%(uri)s” uses a name that our answer adds itself, such as code, state or error. Rename it."
        ),
        "redirect_uri_unusable": N_(
            "“%(uri)s” cannot be used as a redirect URI. Check it for spaces and typing errors."
        ),
        "terms_uri_unusable": N_("Enter the full address of your terms, starting with https://, or leave it empty."),
        "policy_uri_unusable": N_(
            "Enter the full address of your privacy policy, starting with https://, or leave it empty."
        ),
        "domain_not_a_name": N_("Enter a domain name such as looplabs.example, without https:// and without a path."),
        "domains_too_many": N_("There are %(limit)s domains already. Remove one first."),
    }
)


def message_page(key: MessageKey, **placeholders: str) -> dict[str, object]:
    """The context parts that `message.html` needs for this message; put `details`, `actions` over them."""
    message = MESSAGES[key]
    return {
        "kind": message.kind,
        "heading": Text(message.heading, placeholders),
        "paragraphs": [Text(paragraph, placeholders) for paragraph in message.paragraphs],
        "actions": list(message.actions),
        "details": [],
        "difference": None,
    }


def detail(name: DetailName, value: str) -> tuple[Text, str]:
    """One row of the developer's details, its label translatable."""
    return _DETAIL_LABELS[name], value


ACCOUNT_ERRORS: Final[Mapping[AccountErrorKey, str]] = MappingProxyType(
    {
        "password_wrong": N_("This is not your password. Nothing was changed."),
        "password_unusable": N_("Use 8 characters or more."),
        "code_wrong": N_("This code does not fit. Wait for the next one and enter that."),
        "throttled": N_("Too many attempts. Nothing is locked: wait a few minutes, then try again."),
    }
)


def field_error(key: FieldErrorKey, **placeholders: str) -> Text:
    """What is wrong with one field of the app form and how to put it right."""
    return Text(FIELD_ERRORS[key], placeholders)


def account_error(key: AccountErrorKey) -> Text:
    """What is wrong with what a person entered about their own account."""
    return Text(ACCOUNT_ERRORS[key])


def message_keys() -> tuple[str, ...]:
    """Every key, for tests and previews."""
    return get_args(MessageKey)
