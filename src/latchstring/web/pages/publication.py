"""How far an app has come, for the people who make it."""

from latchstring.authorization_server.publication import CATEGORIES, MAX_NOTE_LENGTH
from latchstring.authorization_server.records import ClientRecord
from latchstring.web.pages.page import Page


async def render_publication(page: Page, client: ClientRecord) -> dict[str, object]:
    """How far an app has come, for its own people."""
    review, publication = await page.services.publication.find(client.client_id)
    return {
        "state": await page.services.publication.find_state(client),
        "review": None if review is None else {"state": review.state, "word": review.word, "asked_at": review.asked_at},
        "is_changed": publication is not None and client.is_published and not publication.is_current,
        "category": "other" if review is None else review.category,
        "categories": CATEGORIES,
        "max_note_length": MAX_NOTE_LENGTH,
    }
