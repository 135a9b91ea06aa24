"""What the findings of checks call a label: as people read it, not its key."""

from collections.abc import Callable

from mermed_core.collections.collection import Collection
from mermed_core.collections.label_names import label_name

_TOGETHER = "|"  # between the labels of a case that has several, see `doubtful_labels.label_sets`


def label_words(collection: Collection) -> Callable[[str], str]:
    """Returns what says a label, or several that are joined, as the collection's sources call it."""

    def words(label: str) -> str:
        return ", ".join(_words(collection, each) for each in label.split(_TOGETHER))

    return words


def _words(collection: Collection, label: str) -> str:
    name, key = label_name(collection, label)
    return f"{name} ({key})" if name and key else name or key
