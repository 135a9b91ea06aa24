"""Every sentence that a visitor reads, but those about cases (`case_text`), and how names are written in one.

Templates reach this module as `t`. What it returns is plain text; the templates escape it.
"""

from mermed_core.modalities import MODALITIES
from mermed_core.models.model_metrics import (
    Estimate,
    FindingMetrics,
    ModelMetrics,
    SourceMetrics,
    TaskMetrics,
    UnseenSourceMetrics,
)
from mermed_core.records import HOLDS_FROM, RESEARCH_ONLY

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
FINDINGS_HERE = "Each finding comes with a probability, and with whether it held in other hospitals' images."
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

# About: other sources' images
UNSEEN = "In other hospitals' images"
UNSEEN_NOT_MEASURED = "How well this model does in other hospitals' images has not been measured."
MODALITY_RIGHT = "of the images had their modality recognised"
PASSED = "of them were accepted as images of a modality that the model knows"
CONFIDENT_WRONG = "of them got a wrong modality with more than 90% confidence"
TURNED_AWAY = "of images of unknown kinds were turned away"
UNSEEN_FINDINGS = "Findings"
UNSEEN_LEGEND = (
    "AUROC in sources whose images the finding was not learned on: 1 is perfect, the line at 0.5 is a coin "
    "toss. Grey findings do not hold."
)
UNSEEN_SOURCES, UNSEEN_KINDS = "Source by source", "Unknown kinds, each left out once"
SOURCE_COLUMNS = ("Source", "Images", "Modality right", "Accepted", "Wrong (>90%)")
_ABBREVIATIONS = ("ecg", "eeg", "mr", "mri", "pet")
KIND_COLUMNS = ("Kind", "Images", "Turned away")
NOT_DEFINED = "–"

# About: the sources' own test images
EVIDENCE = "In held-out images of the sources it learned from"
NOT_WHAT_YOU_GET = (
    "This is not what you get: these images come from the same sources as those that the findings were "
    "learned on, which is the best case."
)
EVIDENCE_SCALE = "AUROC from 0.5 (chance) to 1; the bar shows the 95% confidence interval."
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


def verdict(names: list[str], probabilities: list[float], *, holds: bool) -> str:
    """Says what the classes of one exclusive label set amount to, most probable first.

    Args:
        names: of the classes.
        probabilities: of the classes.
        holds: whether the first was shown to hold in other sources' images; nothing is likely that was not.
    """
    if not holds:
        return f"Highest score: {names[0]}"
    if probabilities[0] >= LIKELY:
        return f"Likely: {names[0]}"
    if probabilities[0] >= LEANING or len(names) == 1:
        return f"Leans towards: {names[0]}"
    return f"Uncertain: {names[0]} or {names[1]}"


def held_elsewhere(auroc: float) -> str:
    """Says that a finding was shown to hold in other sources' images."""
    return f"Held in other hospitals' images (AUROC {auroc:.2f})."


def sentence(words: str) -> str:
    """Returns words as a sentence of their own."""
    return f"{words[:1].upper()}{words[1:]}."


def region(name: str, modality: str) -> str:
    """Returns a region of the body for people; "" where the modality's name says it already."""
    name = name.replace("_", " ").strip()
    return "" if name.lower() in modality_name(modality).lower() else name


def unlike(modality: str, shown_region: str, *, chosen: bool) -> str:
    """Says of an image that it is of a modality, but unlike what the findings were learned on.

    Args:
        modality: key.
        shown_region: the region that the image most probably shows, "" where none is known.
        chosen: whether the visitor set the modality.
    """
    name = _in_sentence(modality_name(modality))
    most_likely = f", most likely of the {shown_region}" if shown_region else ""
    begins = f"Read as {name}, set by you" if chosen else f"This looks like {name}"
    return (
        f"{begins}{most_likely}, but unlike the images that the findings were learned on. "
        "No findings are given."
    )


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
    """Returns the AUROC of a label set on its own source, on how many images, and what it cannot show."""
    on_own = f"On held-out images of the same source: {auroc(measured)}, {measured.n_test} images."
    return f"{on_own} {measured.caveat}".strip()


def miscalibrated(error: float) -> str:
    """Warns of probabilities that mean little."""
    return f"Do not rely on these probabilities: on the test images they were off by {error:.2f} on average."


def measured_on(measured: TaskMetrics) -> str:
    """Returns what the AUROC of a label set was measured on, and what it cannot show."""
    return f"{modality_name(measured.modality)}, {measured.n_test} test images. {measured.caveat}".strip()


def whole_model(accuracy: float | None, accepted: float | None) -> str:
    """Returns how well the model knows modalities, and images of the sources that it was trained on."""
    sentences = []
    if accuracy is not None:
        sentences.append(f"The modality of {accuracy:.2%} of the test images is identified correctly.")
    if accepted is not None:
        sentences.append(f"{accepted:.1%} of them are accepted as images that the model knows.")
    return " ".join(sentences)


def unseen_method(unseen: UnseenSourceMetrics) -> str:
    """Says how the model was asked about sources that it had not learned from."""
    sources = unseen.sources.values()
    asked = f"Each of {len(sources)} sources was left out once, and the model was then asked about its images"
    counted = f" ({sum(source.images for source in sources):,} in all)" if sources else ""
    nearest = "This is the nearest to what you get with images of your own."
    return f"{asked}{counted}. {nearest} {_seen(unseen)}".strip()


def _seen(unseen: UnseenSourceMetrics) -> str:
    known = sum(source.in_pretraining for source in unseen.sources.values())
    if not known:
        return ""
    which = "all of these" if known == len(unseen.sources) else f"{known} of these"
    return f"The encoder beneath had learned from images of {which} sources, without their labels."


def unseen_findings(unseen: UnseenSourceMetrics) -> str:
    """Says how many findings were shown to hold in other sources' images."""
    aurocs = [each.auroc.value for classes in unseen.findings.values() for each in classes.values()]
    held = sum(value is not None and value >= HOLDS_FROM for value in aurocs)
    return (
        f"{held} of the {len(aurocs)} findings that two sources share hold in a source that they were not "
        f"learned on (AUROC of {HOLDS_FROM:.2f} or more). Every other finding is marked where it is shown."
    )


def asked_about(title: str, measured: FindingMetrics, sources: dict[str, SourceMetrics]) -> str:
    """Returns the label set of a finding, and the sources that it was asked about."""
    names = ", ".join(source_name(name, sources.get(name)) for name in measured.sources)
    return f"{title}; asked about {names}" if names else title


def source_name(name: str, source: SourceMetrics | None) -> str:
    """Returns the name of a source for people."""
    return source.title if source and source.title else humanise(name)


def kind_name(kind: str) -> str:
    """Returns the name of an unknown kind for people: "brain_mri" becomes "Brain MRI"."""
    words = kind.replace("_", " ").split()
    return humanise(" ".join(word.upper() if word in _ABBREVIATIONS else word for word in words))


def share(estimate: Estimate) -> str:
    """Returns a measured share as a percentage."""
    return NOT_DEFINED if estimate.value is None else f"{estimate.value:.1%}"


def interval(estimate: Estimate) -> str:
    """Returns the 95 % interval of a share; "" where there is none."""
    if estimate.low is None or estimate.high is None:
        return ""
    return f"95% CI {100 * estimate.low:.1f} to {100 * estimate.high:.1f}"


def auroc_elsewhere(estimate: Estimate) -> str:
    """Returns the AUROC of a finding in other sources' images with its interval."""
    if estimate.value is None:
        return NOT_DEFINED
    ends = "" if not interval(estimate) else f" (95% CI {estimate.low:.2f} to {estimate.high:.2f})"
    return f"AUROC {estimate.value:.2f}{ends}"


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


def running_on(model: str, device: str) -> str:
    """Says which model answers, and where it runs."""
    return f"{model}, running on {device}."


def _in_sentence(name: str) -> str:
    """Returns a name for the middle of a sentence: "Ultrasound" gets small, "CT" stays."""
    return name if name[1:2].isupper() else name[:1].lower() + name[1:]
