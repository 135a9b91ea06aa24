"""What a visitor reads on the map of the collection and beside it; templates reach it as `m`."""

from mermed_core.languages.say import speaks

say = speaks(__name__)

COLOUR_BY = "Colour by"
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
    ("keep", "Only", "Of the selection only what is selected now stays"),
)
MAP_ACTIONS = (
    ("invert", "Invert", "Select everything else"),
    ("undo", "Undo", "Take the last change of the selection back"),
    ("clear", "Clear", "Select nothing (Escape)"),
    ("farther", "−", "Zoom out"),
    ("nearer", "+", "Zoom in"),
    ("fit", "Fit", "Show the whole map"),
)
MAP_PRESSES = (
    "A press opens a case and leaves the selection as it is; with Ctrl, or while Add or Remove is on, "
    "presses choose cases one by one. Scroll or pinch to zoom. The address of this page holds what you see."
)
MAP_KEYS = (
    "Keys: arrows move, + and − zoom, 0 shows all, Space or Enter presses the case in the middle, Escape "
    "clears. With Lasso and Box the arrows move a crosshair (with Shift in small steps), Space sets a "
    "corner, Enter selects what is inside, Escape gives up."
)
BACK, BACK_HINT = "Back to the map", "Back to where this case was opened (Escape)"
MAP_SOFTWARE = "This browser offers no WebGL on a graphics card, so the processor draws the map."
MAKING = "How far the computation is"
LEGEND, LEGEND_SEARCH = "Legend: press an entry to select its cases", "Find in the legend"
OTHER, NO_VALUE = "other", "no value"

# The views beside the map
FILTER = "What is selected"
FIND = "Find in the records"
FIND_HINT = "Find in case ids, labels, sources, groups and files: all words must occur"
WALK, PICTURES, CASES, TABLE = "Cases on the map", "Pictures", "Cases", "Table"
PICTURES_KEYS = "Cases as pictures; the arrow keys walk, Enter opens one"
SORT_BY, DESCENDING = "Sort by", "The other way round"
SPREAD = "How they spread by"
TAKE_ALONG = "Take along:"
FILES = (
    ("table", "Table", "The cases as CSV for a spreadsheet"),
    ("manifest", "Manifest", "A table for mermed evaluate; put it into the folder of the images"),
    ("pictures", "Small pictures", "The small pictures and the table as ZIP"),
)
CHECKS, CHECKS_START, CHECKS_CANCEL = "Checks", "Run the checks", "Cancel"
CHECK_SHOWN = (
    ("all", "all"),
    ("flagged", "flagged"),
    ("open", "undecided"),
    ("accepted", "accepted"),
    ("dismissed", "dismissed"),
)
CHECK_ORDERS = (("most", "most suspicious"), ("least", "least suspicious"), ("reason", "what was found"))
SHOW, LIGHT_ALL, CHECK_TABLE = "Show", "Show these on the map", "CSV"
CHECK_TABLE_HINT = "All findings of this check with your decisions, for a spreadsheet"
DRIFT_BY, DRIFT_COMPARE = "Drift by", "Look for drift"
DRIFT_HINT = (
    "Whether the images of different values differ; dates and many numbers are cut in two at their middle"
)
COMPARE = "Compare"
COMPARE_HINT = (
    "Select cases on the map and take them as the first side, select others and take them as the second."
)
SIDES = ((0, "First"), (1, "Second"))
TAKE_SELECTION, TAKE_OTHERS = "Take the selection", "Take all but the selection"
VIEWS, VIEW_NAME, VIEW_NOTE, VIEW_KEEP = "Views", "Name of this view", "Note", "Keep this view"
VIEWS_HINT = (
    "A view is what the address of the page holds: place, colours and selection. Kept in this browser alone; "
    "to share one, send the address."
)
SOURCES, CASE, CLOSE = "Where the images come from", "Case", "Close"
NEAREST_CASES = "Nearest cases of other patients"
NO_PICTURES = "None of these cases has a picture here."

# What the scripts of the map and of its views say; a column has its own words in the sentence of a selection.
MAP_SCRIPT = {
    "yours": "your image",
    "open": "{}: find similar cases",
    "shown": "{} cases",
    "shown_one": "1 case",
    "tally": "{} of {}",
    "all_cases": "All {} cases",
    "take": "{}: take this out",
    "cases": "Cases",
    "more_cases": "cases",
    "modality": "{}",
    "source": "from {}",
    "label": "labelled {}",
    "with": "with {} {}",
    "without": "without {}",
    "further": "{} {}",
    "comma": ",",
    "between": "{} to {}",
    "holding": "holding “{}”",
    "outlined": "inside an outline",
    "one": "chosen one by one",
    "some": "chosen ({})",
    "add": "and",
    "keep": "of which those",
    "remove": "without those",
    "inverted": "All but (",
    "inverted_end": ")",
    "all": "{} cases",
    "chosen": "{} of {} selected",
    "press": "Select the cases of {}",
    "check_idle": "Looks for copies, doubtful labels, outliers, bad pictures and more; takes minutes.",
    "check_stopped": "Cancelled; what was found until then is listed.",
    "check_failed": "The checks failed ({}); the server's log says more.",
    "checking": "Working: {}",
    "checking_left": "Working: {}, about {} s left in this step",
    "flagged": "{} of {}",
    "flagged_of": "{} beyond the threshold, of {} that are listed",
    "suspects": "{} of {} findings",
    "no_suspects": "Nothing of this kind was found.",
    "light": "Select these cases on the map",
    "is_flagged": "beyond the threshold",
    "accepted": "Accept",
    "dismissed": "Dismiss",
    "broken": "This export is incomplete: the file {} is missing or damaged. Copy the whole folder again.",
    "forget": "Forget {}",
    "no_side": "nothing yet",
    "all_but": "All but: {}",
    "comparing": "Comparing…",
    "first_mean": "Mean picture of the first",
    "second_mean": "Mean picture of the second",
    "failed": "That did not work: {}",
    "unpainted": "This browser offers neither WebGL nor a canvas to draw on, so the cases are listed below.",
    "unloaded": "The map could not be loaded ({}), so the cases are listed below. Reload to try again.",
    "corner": "Corner {}.",
    "few_corners": "Set more corners first, with Space.",
    "outline_dropped": "The outline is given up.",
    "nothing_here": "No case here.",
}


def no_files(unknown: int, count: int) -> str:
    """Says that a table of images cannot be made because files have no names."""
    return say(
        "Of {unknown:,} of the {count:,} cases it is not known what their files are called; collect with "
        "--keep file to keep the names.",
        unknown=unknown,
        count=count,
    )


def too_many_pictures(most: int) -> str:
    """Says that there are too many pictures for one archive."""
    return say("An archive holds at most {most:,} pictures; select fewer cases.", most=most)


def compared(first: int, second: int, auroc: float | None) -> str:
    """Says how many cases were compared, and whether their vectors can be told apart."""
    counts = say("{first:,} beside {second:,} cases.", first=first, second=second)
    if auroc is None:
        told = say("They are of too few patients to say whether their images can be told apart.")
    else:
        told = say(
            "A linear classifier of the vectors tells their images apart with an AUROC of {auroc:.2f} "
            "in patients that it was not fitted on (0.5 is chance, 1 is always right).",
            auroc=auroc,
        )
    return f"{counts} {told}"
