"""Names that stand for patients: equal for the same patient, and saying nothing of who it is."""

import hashlib

from mermed_core.settings import Settings

_LENGTH = 16


def pseudonym(identifier: str) -> str:
    """Returns 16 hexadecimal digits of a SHA-256 in place of an identifier.

    Equal identifiers give equal pseudonyms on every machine, so that groups stay together. Who can guess an
    identifier can check the guess; set the environment variable MERMED_SALT to a secret to prevent it.
    """
    salt = Settings.from_environment().salt
    return hashlib.sha256(f"{salt}\0{identifier.strip()}".encode()).hexdigest()[:_LENGTH]
