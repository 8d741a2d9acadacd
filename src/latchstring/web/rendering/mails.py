"""What mail says, one entry per mail: a subject, what happened, and where to go, in the reader's language.

`%(deployment)s` is filled by the renderer; `link` among the values is where the button leads.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from latchstring.authorization_server.mail import Mail, MailKey, RenderedMail
from latchstring.web.rendering.messages import N_, Text
from latchstring.web.rendering.renderer import PageRenderer, isolate

_MAX_VALUE_LENGTH: Final = 500


@dataclass(frozen=True, slots=True)
class MailText:
    """One mail's words. Its `paragraphs` and `subject` may name values; `action` is the button's label."""

    subject: str
    paragraphs: tuple[str, ...]
    action: str | None = None


MAILS: Final[Mapping[MailKey, MailText]] = MappingProxyType(
    {
        "password_reset": MailText(
            N_("A new password for %(deployment)s"),
            (
                N_(
                    "Somebody asked for a new password for your account on %(deployment)s. If it was you, choose one "
                    "now: the link works for half an hour, and once."
                ),
                N_("If it was not you, there is nothing to do. Your password is as it was."),
            ),
            N_("Choose a new password"),
        ),
        "password_changed": MailText(
            N_("Your password for %(deployment)s was changed"),
            (
                N_("Every other browser was signed out."),
                N_("If it was not you, ask for a new password at once, and tell the people who run %(deployment)s."),
            ),
            N_("I did not do this"),
        ),
        "passkey_added": MailText(
            N_("A passkey was added to your account on %(deployment)s"),
            (
                N_("“%(passkey)s” now signs in to your account, without the password."),
                N_("If it was not you, remove it at once, change your password and sign out every other browser."),
            ),
            N_("Look at my passkeys"),
        ),
        "passkey_removed": MailText(
            N_("A passkey was removed from your account on %(deployment)s"),
            (
                N_("“%(passkey)s” no longer signs in to your account."),
                N_("If it was not you, change your password and sign out every other browser."),
            ),
            N_("Look at my passkeys"),
        ),
        "test": MailText(
            N_("A test of mail from %(deployment)s"),
            (N_("If you read this, %(deployment)s can send mail. There is nothing to do."),),
        ),
        "access_requested": MailText(
            N_("%(person)s asks for %(app)s"),
            (
                N_(
                    "On %(deployment)s, %(person)s would like to connect %(app)s to %(organization)s. "
                    "You can approve it."
                ),
                N_("See what it would be able to do before you decide."),
            ),
            action=N_("Look at the request"),
        ),
        "access_approved": MailText(
            N_("You may connect %(app)s to %(deployment)s"),
            (N_("An admin of %(organization)s has approved %(app)s for you. You can go on where you stopped."),),
            action=N_("Go on"),
        ),
        "access_declined": MailText(
            N_("%(app)s was not approved"),
            (N_("On %(deployment)s, an admin of %(organization)s has declined your request for %(app)s."),),
            action=N_("See what they said"),
        ),
        "review_approved": MailText(
            N_("%(app)s was published on %(deployment)s"),
            (N_("It has passed its review: members of every organization can connect %(app)s now."),),
            action=N_("Look at the app"),
        ),
        "review_declined": MailText(
            N_("%(app)s was not published on %(deployment)s"),
            (N_("The people who run %(deployment)s have looked at %(app)s and declined. It works as it did before."),),
            action=N_("See what they said"),
        ),
        "webhook_disabled": MailText(
            N_("A webhook of %(deployment)s was turned off"),
            (
                N_("%(url)s has not taken what we sent it for days, or said that it is gone. We send it nothing more."),
                N_(
                    "Put the receiver right, then enable the webhook on its page. There you can also have everything "
                    "sent again that it has missed."
                ),
            ),
            N_("Look at the webhook"),
        ),
    }
)


class MailRenderer:
    """Implements the port `RenderMail` with the words of the pages."""

    def __init__(self, renderer: PageRenderer, *, deployment_name: str, locale: str) -> None:
        self._renderer = renderer
        self._deployment_name = deployment_name
        self._locale = locale

    def __call__(self, mail: Mail) -> RenderedMail:
        """The mail, each value in one line and bounded: what an app calls itself ends no line of ours."""
        known = self._renderer.locales
        locale = next((one for one in (mail.locale, self._locale) if one is not None and one in known), known[0])
        words = MAILS[mail.template]
        values = {name: _clean(value) for name, value in mail.values.items() if name != "link"}
        values["deployment"] = _clean(self._deployment_name)
        link = mail.values.get("link") if words.action is not None else None
        gettext = self._renderer.gettext(locale)
        isolated = {name: isolate(value) for name, value in values.items()}
        subject = gettext(words.subject, **values)
        paragraphs = [gettext(paragraph, **isolated) for paragraph in words.paragraphs]
        ending = [] if link is None else [f"{gettext(words.action or '')}:\n{link}"]
        context = {
            "subject": subject,
            "paragraphs": [Text(paragraph, values) for paragraph in words.paragraphs],
            "action": None if link is None else Text(words.action or ""),
            "link": link,
        }
        html = self._renderer.render_page("mail.html", context, locale)
        return RenderedMail(subject, "\n\n".join([*paragraphs, *ending]) + "\n", html)


def _clean(value: str) -> str:
    shown = "".join(character if character.isprintable() else " " for character in value)
    return " ".join(shown.split())[:_MAX_VALUE_LENGTH]
