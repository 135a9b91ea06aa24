"""What labels are called for people: as their data sets say, or as one's own folder writes them.

A key such as "nv" in one's own folder has the name that the project's data sets give it, where they agree on
one; the key stays beside it, as another hospital may mean something else by it.
"""

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING

from mermed_core.collections.stated import MANIFEST, read_stated
from mermed_core.files import BUNDLED_ATLAS

if TYPE_CHECKING:
    from mermed_core.collections.collection import Collection


@functools.cache
def project_names() -> Mapping[str, str]:
    """Returns what the data sets of the bundled atlas call their labels, by label; the ambiguous left out.

    A name that only spells the key out ("kidney_tumour") says nothing that the key does not say.
    """
    if not (BUNDLED_ATLAS / MANIFEST).is_file():
        return {}
    given: dict[str, set[str]] = {}
    for facts in read_stated(BUNDLED_ATLAS).facts.values():
        for label, name in facts.names.items():
            given.setdefault(label, set()).add(name)
    agreed = {label: names.pop() for label, names in given.items() if len(names) == 1}
    return {label: name for label, name in agreed.items() if name != label.replace("_", " ")}


def label_name(collection: "Collection", label: str) -> tuple[str, str]:
    """Returns the name of a label in English, "" for none, and its key where people are to see that as well.

    Args:
        collection: whose cases have the label.
        label: as the records have it.
    """
    if label in collection.label_names:
        return collection.label_names[label], ""
    if label in collection.own_labels:
        return project_names().get(label, ""), label
    return label.replace("_", " "), ""
