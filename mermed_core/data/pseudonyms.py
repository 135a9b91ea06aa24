"""Names that stand for patients: equal for the same patient, and saying nothing of who it is."""

import hashlib
from collections.abc import Iterable

from mermed_core.settings import Settings

_LENGTH = 16


def pseudonym(identifier: str) -> str:
    """Returns 16 hexadecimal digits of a SHA-256 in place of an identifier.

    Equal identifiers give equal pseudonyms on every machine, so that groups stay together. Anybody who can
    guess an identifier can check the guess, unless the setting MERMED_SALT is a secret.
    """
    return pseudonyms([identifier])[identifier]


def pseudonyms(identifiers: Iterable[str]) -> dict[str, str]:
    """Returns the pseudonym of each identifier, see `pseudonym`; fast for millions."""
    salt = Settings.from_environment().salt
    return {
        identifier: hashlib.sha256(f"{salt}\0{identifier.strip()}".encode()).hexdigest()[:_LENGTH]
        for identifier in identifiers
    }
