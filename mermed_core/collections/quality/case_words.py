"""What the findings of checks call a label: as people read it, not its key."""

from collections.abc import Callable

from mermed_core.collections.collection import Collection

_TOGETHER = "|"  # between the labels of a case that has several, see `doubtful_labels.label_sets`


def label_words(collection: Collection) -> Callable[[str], str]:
    """Returns what says a label, or several that are joined, as the collection's sources call it."""
    known = collection.label_names

    def words(label: str) -> str:
        return ", ".join(known.get(each, each.replace("_", " ")) for each in label.split(_TOGETHER))

    return words
