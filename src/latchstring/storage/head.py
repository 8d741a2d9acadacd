"""The newest revision of the schema; apart from the migrations, so that to compare it loads none of Alembic."""

from typing import Final

HEAD: Final = "0003"
