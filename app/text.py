"""Every sentence that a visitor reads, and how names and numbers are written in one.

Templates reach this module as `t`. What it returns is plain text; the templates escape it.
"""

from collections.abc import Iterable

from mermed_core.modalities import MODALITIES
from mermed_core.models.model_metrics import ModelMetrics, TaskMetrics
from mermed_core.records import RESEARCH_ONLY

__all__ = ["RESEARCH_ONLY"]

LIKELY = 0.9
LEANING = 0.6

# The whole page
TITLE = "MerMED-FM Explorer"
TAGLINE = "One foundation model for seven kinds of medical image, with nothing to annotate."
CLASSIFY, SIMILAR, EXPLORE, ABOUT = "Classify", "Similar cases", "Explore", "About"
NO_COLLECTION = "No collection is loaded."
NO_COLLECTION_BANNER = "No collection is loaded, so there are no similar cases and there is no map."
UPLOAD_INCOMPLETE = "The upload was incomplete. Please send the file again."

# Opening an image
DROP_FILE = "Drop an image or DICOM file"
PASTE_OR_CAMERA = "Paste or use the camera"
CAMERA, CAMERA_ALT = "Paste or camera", "A pasted or photographed image"
MODALITY, MODALITY_HINT = "Modality", "Change this only if you know better than the model."
DETECT = "Detect automatically"
FRAME = "Frame"
TRY_AN_EXAMPLE = "Or try an example (computer-drawn, not a patient)"

# The image and its heat map
IMAGE_HERE = "Your image appears here."
IMAGE_PRIVATE = "It is held in memory only and never stored."
IMAGE_ALT = "The uploaded image"
SHOW_WHERE = "Show where the model looked for"
OVERLAY, OVERLAY_OPACITY, LESS, MORE = "Overlay", "Opacity of the heat map", "less", "more"
FAINT_MAP = "Nothing in the image supports this finding, so the map means little."
COARSE_MAP = "A rough guide to what drove the score, not an outline of the finding."

# Modality and findings
MODALITY_HERE = "Detected from the pixels alone."
UNKNOWN_IMAGE = "Not an image the model recognises"
SET_BY_YOU = "set by you"
FINDINGS = "Findings"
FINDINGS_HERE = (
    "Each finding comes with a calibrated probability, and with how well the model performs on images "
    "it has never seen."
)
NO_FINDINGS = "The model has no findings for this kind of image."
SELECT_A_FINDING = "Select a finding to see where the model looked for it."
NO_VERDICT = "No verdict: on images it had never seen, the model told these apart no better than chance."

# Cases
CASES_HERE = "The most similar known cases appear here."
NEAREST_ANYWAY = "The model does not recognise this image; these are merely the cases nearest to it."
NO_MATCH = "No case matches these filters. Remove one and try again."
SIMILARITY = "cosine similarity"
UNLABELLED = "Unlabelled"

# Similar cases
SEARCH_WITH, MY_IMAGE, A_CASE = "Search with", "My image", "A case in the collection"
CASE, CASE_HINT = "Case", "Type to find an ID."
SOURCE, LABEL, RESULTS = "Source", "Label", "Results"
SEARCH_HERE = "Drop an image or choose a case, and the cases most like it appear here."
YOUR_IMAGE = "Your image"

# Explore
COLOUR_BY = "Colour by"
SELECT_ON_MAP = "Click a point, or draw around several with the lasso from the map's toolbar."
MAP = "Map of the collection"
OTHER = "other"
# What the map's script says.
MAP_SCRIPT = {
    "yours": "your image",
    "undrawn": "The map cannot be drawn because the browser did not load Plotly. Please reload the page.",
}
DOWNLOAD_CSV = "Download the table as CSV"

# About
EVIDENCE = "Evidence"
EVIDENCE_LEGEND = (
    "AUROC on images the model has never seen, from 0.5 (chance) to 1; the bar shows the 95% confidence "
    "interval."
)
NO_EVIDENCE = "No evaluation results are available for this model."
MODEL, COLLECTION, YOUR_IMAGES, MODEL_CARD = "Model", "Collection", "Your images", "Model card"
PRIVACY = (
    "An uploaded file is read into memory and deleted at once. Its pixels stay in memory for the length of "
    "your visit; they are never stored, logged or sent anywhere.",
    "DICOM headers (names, dates, identifiers) are discarded when the file is read; only the modality that "
    "they state is kept, to compare it with what the model sees.",
    "Names that are burned into the pixels remain visible, so remove them before you upload. On a server run "
    "by others, upload nothing that could identify a patient.",
)
NO_CARD = "This model has no card."


def humanise(name: str) -> str:
    """Returns an identifier as people would write it: first letter large, no underscores."""
    name = name.replace("_", " ").strip()
    return name[:1].upper() + name[1:]


def modality_name(key: str) -> str:
    """Returns the name of a modality for people."""
    return MODALITIES[key].name


def value_name(column: str, value: object) -> str:
    """Returns a value in a column of a collection's records for people."""
    if column == "modality":
        return modality_name(str(value))
    return humanise(str(value)) if column == "label" else str(value)


def percent(share: float) -> str:
    """Returns a share as a percentage that never claims certainty: at most >99%, at least <1%."""
    if share > 0.99:
        return ">99%"
    return "<1%" if share < 0.01 else f"{100 * share:.0f}%"


def class_name(metrics: ModelMetrics, task: str, label: str) -> str:
    """Returns the name of a class for people: the one that the model states for it, else its label."""
    measured = metrics.tasks.get(task)
    return humanise(measured.names.get(label, label) if measured else label)


def set_title(task: str, measured: TaskMetrics | None) -> str:
    """Returns the name of a label set for people."""
    return measured.title if measured and measured.title else humanise(task)


def verdict(names: list[str], probabilities: list[float]) -> str:
    """Says what the classes of one exclusive label set amount to, most probable first."""
    if probabilities[0] >= LIKELY:
        return f"Likely: {names[0]}"
    if probabilities[0] >= LEANING or len(names) == 1:
        return f"Leans towards: {names[0]}"
    return f"Uncertain: {names[0]} or {names[1]}"


def read_as(modality: str) -> str:
    """Says of an image that is not recognised which modality the visitor had it read as."""
    return f"Read as {_in_sentence(modality_name(modality))}, set by you."


def header_modality(stated: str, seen: str | None) -> str:
    """Compares the modality in a file's header with what the pixels look like.

    Args:
        stated: key of the modality that the header states.
        seen: key of the one that the model sees; None where it does not recognise the image.
    """
    name = _in_sentence(modality_name(stated))
    if seen is None:
        return f"The file's header says {name}."
    if stated == seen:
        return f"The file's header also says {name}."
    return f"The file's header says {name}; the pixels look like {_in_sentence(modality_name(seen))}."


def poor_match(relevance: float) -> str:
    """Warns that an image is little like those that a label set was made for."""
    return f"The image is only a {percent(relevance)} match for this set of findings; read it with caution."


def auroc(measured: TaskMetrics) -> str:
    """Returns the AUROC of a label set with its interval."""
    if measured.auroc_low is None or measured.auroc_high is None:
        return f"AUROC {measured.auroc:.2f} (no confidence interval: too few patients)"
    return f"AUROC {measured.auroc:.2f} (95% CI {measured.auroc_low:.2f} to {measured.auroc_high:.2f})"


def auroc_on_test(measured: TaskMetrics) -> str:
    """Returns the AUROC of a label set, on how many images, and what it cannot show."""
    return f"{auroc(measured)} on {measured.n_test} test images. {measured.caveat}".strip()


def miscalibrated(error: float) -> str:
    """Warns of probabilities that mean little."""
    return f"Do not rely on these probabilities: on the test images they were off by {error:.2f} on average."


def measured_on(measured: TaskMetrics) -> str:
    """Returns what the AUROC of a label set was measured on, and what it cannot show."""
    return f"{modality_name(measured.modality)}, {measured.n_test} test images. {measured.caveat}".strip()


def whole_model(accuracy: float | None, accepted: float | None) -> str:
    """Returns how well the model knows modalities, and images of a kind that it was trained on."""
    sentences = []
    if accuracy is not None:
        sentences.append(f"The modality of {accuracy:.2%} of the test images is identified correctly.")
    if accepted is not None:
        sentences.append(f"{accepted:.1%} of them are accepted as images that the model knows.")
    return " ".join(sentences)


def heat_map(method: str, name: str, peak: float) -> str:
    """Says what a heat map shows."""
    return f"{method} heat map for {name} (raw peak {peak:.2g})."


def no_such_finding(name: str) -> str:
    """Refuses a finding that the model does not have."""
    return f"This model has no finding '{name}'."


def no_such_example(name: str) -> str:
    """Refuses an example that does not exist."""
    return f"There is no example '{name}'. Choose one of those shown."


def example(name: str) -> str:
    """Describes an example's picture."""
    return f"Example: {modality_name(name) if name in MODALITIES else humanise(name)}"


def labels(names: Iterable[str] | None) -> str:
    """Returns the labels of a case."""
    return ", ".join(map(humanise, names if names is not None else ())) or UNLABELLED


def case_origin(names: Iterable[str], modality: str, source: str, case_id: str) -> str:
    """Returns what is known of a case."""
    return f"{labels(names)} ({modality_name(modality)}, {source}), case {case_id}"


def find_similar(case_id: str) -> str:
    """Says what pressing a case does."""
    return f"{case_id}: find similar cases"


def none_near(best: float, usual: float) -> str:
    """Says that the nearest cases are not near."""
    return (
        f"No close match: the highest similarity is {best:.2f}, whereas nearly every case in this collection "
        f"has another at {usual:.2f} or above."
    )


def shown_of(shown: int, count: int) -> str:
    """Says that only some of the cases are shown."""
    return f"{shown} of the {count}, evenly spread; the table lists them all."


def selected(count: int) -> str:
    """Says how many cases were selected on the map."""
    return f"{count} {'case' if count == 1 else 'cases'} selected"


def cases_in(count: int, *, synthetic: bool) -> str:
    """Returns the size of a collection, and whether its cases are of patients."""
    return f"{count:,} {'computer-drawn cases, none of them of a patient' if synthetic else 'known cases'}"


def running_on(model: str, device: str) -> str:
    """Says which model answers, and where it runs."""
    return f"{model}, running on {device}."


def _in_sentence(name: str) -> str:
    """Returns a name for the middle of a sentence: "Ultrasound" gets small, "CT" stays."""
    return name if name[1:2].isupper() else name[:1].lower() + name[1:]
