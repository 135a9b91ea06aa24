"""What a visitor reads about the clusters of a map and about cases that were added to it later."""

from mermed_core.collections.cluster_names import ClusterName
from mermed_core.collections.collection import Collection
from mermed_core.languages.say import speaks

from . import case_text
from .text import modality_name

say = speaks(__name__)

_COARSE, _MIDDLE, _FINE = "clusters, coarse", "clusters, middle", "clusters, fine"
PLACED = "place on the map"
PLACED_NAMES = ("computed with the map", "added later, placed among neighbours")
_MIXED = "mixed"

# What the map's scripts say; a column has its own words in the sentence about a selection.
MAP_SCRIPT = {
    "cluster_names": "Names",
    "cluster_names_hint": "Names and outlines of clusters on the map; zoom in for finer ones",
    _COARSE: "in “{}”",
    _MIDDLE: "in “{}”",
    _FINE: "in “{}”",
    PLACED: "{}",
}


def level_names(count: int) -> list[str]:
    """Returns what so many levels of clusters are called, from coarse to fine."""
    return [_COARSE, _MIDDLE, _FINE][:count] if count != 2 else [_COARSE, _FINE]


def cluster_name(collection: Collection, name: ClusterName) -> str:
    """Returns the name of a cluster for people, such as "Melanoma / Naevus · HAM10000"."""
    labels = " / ".join(case_text.labels(collection, [label]) for label in name.labels)
    if labels and name.by_known:
        labels = say("like {labels}", labels=labels)
    modality = " / ".join(map(modality_name, name.modalities))
    source = case_text.source_title(collection.source(name.source)) if name.source else ""
    said = " · ".join(part for part in (labels, modality, source) if part) or say(_MIXED)
    return f"{said} {name.number}" if name.number else said
