"""Errors that nobody foresaw: whoever asked gets a number, and the log has what the number stands for."""

import logging
import secrets
import traceback

logger = logging.getLogger(__name__)


def record_incident(error: BaseException, doing: str) -> str:
    """Writes an unexpected error into the log and returns its number.

    The log gets the kind of the error and the lines of code that it came through. It does not get the
    error's message, which can quote a file's name or content.

    Args:
        error: what was raised.
        doing: what was being done, such as the name of a handler.
    """
    number = secrets.token_hex(4)
    frames = traceback.extract_tb(error.__traceback__)
    lines = "\n".join(f"  {frame.filename}:{frame.lineno} in {frame.name}" for frame in frames)
    logger.error("incident %s: %s while doing %s\n%s", number, type(error).__name__, doing, lines)
    return number
