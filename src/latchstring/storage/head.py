"""The newest revision of the schema; apart from the migrations, so that to compare it loads none of Alembic."""

from typing import Final

HEAD: Final = "0003"


def is_next(version: str) -> bool:
    """Whether that is the revision after `HEAD`. It only adds, so a server of this version serves it too: while others
    are already upgraded, a worker that died can start again, and an upgrade can be taken back."""
    return version == f"{int(HEAD) + 1:04}"
