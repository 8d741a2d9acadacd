"""All subjects by name; a new one is added here."""

from typing import Final

from bench.subjects.floor import Floor
from bench.subjects.latchstring import LatchstringOnPostgres, LatchstringOnSqlite
from bench.subjects.peers import PEER_SUBJECTS
from bench.subjects.subject import Subject

SUBJECTS: Final[tuple[Subject, ...]] = (Floor(), LatchstringOnSqlite(), LatchstringOnPostgres(), *PEER_SUBJECTS)


def find(name: str) -> Subject:
    """The subject of that name; raises `LookupError`."""
    for subject in SUBJECTS:
        if subject.name == name:
            return subject
    raise LookupError(name)
