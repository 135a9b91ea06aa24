"""What a visitor reads about the tags and notes that people write beside a collection."""

from collections.abc import Sequence

from mermed_core.languages.say import speaks

say = speaks(__name__)

PANEL = "Tags"
TAG, TAG_SELECTION, UNDO = "Tag, a word or a few", "Tag the selected cases", "Undo"
HINT = (
    "Whoever opens this page reads tags and notes, so no names of patients. They are kept beside the "
    "collection; what is removed from it takes its own along."
)
READ_ONLY = "Tags and notes can be read here, not written: whoever runs this page has not allowed it."
TAGS, SAVE = "Tags of this collection", "Save the note"
NO_SELECTION = (
    "Select cases on the map first; a note is written on one case: press it with Ctrl, or with Add."
)
UNTAGGED = "no tag"

# What the scripts of the map and of its views say.
MAP_SCRIPT = {
    "tagged": "tagged “{}”",
    "noted": "with a note",
    "has_tag": "Select the cases tagged {}",
    "untag": "Take {} from the selected cases; without a selection from all",
    "tag_done": "{}: {} cases changed",
    "note_on": "Note on {}",
    "note_done": "Note saved",
    "undone": "Taken back",
    "nothing_noted": "Nothing is tagged yet.",
}


def written(tags: Sequence[str], note: str) -> list[str]:
    """Returns what is written about a case, a line for its tags and one for its note, where there are any."""
    lines = [say("Tags: {tags}", tags=", ".join(tags))] if tags else []
    return [*lines, say("Note: {note}", note=note)] if note else lines
