"""The map of a second collection beside the first: what its template and its scripts need to know."""

from typing import Any

from ..routes.columns_route import ADDRESS
from ..texts import beside_text
from .beside_columns import BesideColumns

BESIDE = "beside"  # below this address the second map finds what it shows


def beside_props(columns: BesideColumns, explore: str, version: str) -> dict[str, Any]:
    """Returns what the scripts need to know of the second collection.

    Args:
        columns: of the second map.
        explore: the address below which the first one's views find what they show.
        version: letters that change with the second collection.
    """
    own = columns.own
    return {
        "bounds": own.bounds,
        "columns": f"{BESIDE}/{ADDRESS}",
        "explore": f"{BESIDE}/{explore}",
        "version": version,
        "pictured": columns.collection.has_pictures,
        "clusters": own.cluster_marks(),
        "sentences": beside_text.MAP_SCRIPT,
    }
