"""What a visitor reads on the map of the collection and beside it; templates reach it as `m`."""

COLOUR_BY = "Colour by"
SELECT_ON_MAP = "Press a point or an entry of the legend, or draw around points with the lasso or the box."
MAP, MAP_TOOLS, MAP_LOADING = "Map of the collection", "Tools of the map", "The map is loading…"
MAP_MODES = (
    ("pan", "Move", "Drag to move the map"),
    ("lasso", "Lasso", "Drag around points to select them"),
    ("box", "Box", "Drag a box over points to select them"),
)
MAP_WAYS = (
    ("new", "New", "What is selected replaces the selection"),
    ("add", "Add", "What is selected joins the selection (or hold Shift)"),
    ("remove", "Remove", "What is selected leaves the selection (or hold Alt)"),
)
MAP_ACTIONS = (
    ("invert", "Invert", "Select everything else"),
    ("undo", "Undo", "Take the last step of the selection back"),
    ("clear", "Clear", "Select nothing (Escape)"),
    ("farther", "−", "Zoom out"),
    ("nearer", "+", "Zoom in"),
    ("fit", "Fit", "Show the whole map"),
)
MAP_KEYS = (
    "Scroll or pinch to zoom. Keys: arrows move, + and − zoom, 0 shows all, Enter selects the case in the "
    "middle, Escape clears. The address of this page holds what you see."
)
MAP_SOFTWARE = "This browser offers no WebGL on a graphics card, so the processor draws the map."
LEGEND, LEGEND_SEARCH = "Legend: press an entry to select its cases", "Find in the legend"
OTHER, NO_VALUE = "other", "no value"

# What the map's scripts say.
MAP_SCRIPT = {
    "yours": "your image",
    "all": "{} cases",
    "chosen": "{} of {} selected",
    "press": "Select the cases of {}",
    "unpainted": "This browser offers neither WebGL nor a canvas to draw on, so the cases are listed below.",
    "unloaded": "The map could not be loaded ({}), so the cases are listed below. Reload to try again.",
}


def listed(shown: int, count: int) -> str:
    """Says that the table shows only some of the selected cases."""
    return f"The table lists the first {shown:,} of the {count:,}; the CSV holds all of them."
