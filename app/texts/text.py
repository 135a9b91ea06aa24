"""Every sentence that a visitor reads, but those about cases (`case_text`) and what reports say as well.

Templates reach this module as `t`. What it returns is plain text; the templates escape it.
"""

from mermed_core.languages.say import in_readers_words, name_of, speaks
from mermed_core.modalities import MODALITIES
from mermed_core.models.model_metrics import (
    Estimate,
    FindingMetrics,
    SourceMetrics,
    TaskMetrics,
    UnseenSourceMetrics,
)
from mermed_core.records import HOLDS_FROM, RESEARCH_ONLY, Familiarity
from mermed_core.reports.case.neighbour_wording import NEAREST_ANYWAY
from mermed_core.reports.case.wording import (
    COARSE_MAP,
    FAINT_MAP,
    NO_FINDINGS,
    UNKNOWN_IMAGE,
    YOU,
    auroc,
    caveat,
    class_name,
    decimal,
    header_modality,
    heat_map,
    likelihood,
    modality_name,
    percent,
    read_as,
    region,
    set_by,
    set_title,
    unlike,
)
from mermed_core.reports.text import humanise

# What templates and pages find here although it is said in reports too.
__all__ = [
    "COARSE_MAP",
    "FAINT_MAP",
    "NEAREST_ANYWAY",
    "NO_FINDINGS",
    "RESEARCH_ONLY",
    "UNKNOWN_IMAGE",
    "YOU",
    "auroc",
    "class_name",
    "decimal",
    "header_modality",
    "heat_map",
    "humanise",
    "likelihood",
    "modality_name",
    "percent",
    "read_as",
    "region",
    "set_by",
    "set_title",
    "unlike",
]

say = speaks(__name__)

# The whole page
TITLE, LANGUAGE = "MerMED-FM Explorer", "Language"
TAGLINE = "One foundation model for seven kinds of medical image, with nothing to annotate."
CLASSIFY, SIMILAR, EXPLORE, ABOUT = "Classify", "Similar cases", "Explore", "About"
NO_COLLECTION = "No collection is loaded."
NO_COLLECTION_BANNER = "No collection is loaded, so there are no similar cases and there is no map."
COLLECTION_CHANGED = "The collection was changed since you opened this page: cases were added or removed."
RELOAD = "Reload the page"
STATE_GONE = "The collection was changed since you opened this page. Reload the page to see it as it is."
NO_BESIDE = "There is no second map any more."
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
SHOW_WHERE = "Heat map for"
TAKE_ALONG = {"pdf": "Report (PDF)", "json": "Data (JSON)", "dicom": "DICOM"}
OVERLAY, OVERLAY_OPACITY, LESS, MORE = "Overlay", "Opacity of the heat map", "less", "more"

# Modality and findings
MODALITY_HERE = "Detected from the pixels alone."
FINDINGS = "Findings"
IF_UNUSUAL = "The image is unusual, so that none is called likely, whatever its percentage."
FINDINGS_HERE = "Each finding comes with a probability, and with whether it held in other hospitals' images."
WHAT_TO_DO = "What you can do"
IF_UNLIKE = (
    "Look at the similar cases below: what their labels say is known of them, and not of this image.",
    "If a frame, a page or another picture surrounds it, draw a region and press “Analyse this view”.",
    "On the tab “Your classifier”, labels of your own are learned from a few images.",
)
IF_UNKNOWN = (
    "MR, mammography, X-rays of anything but the chest, and photographs are none of the seven kinds: nothing "
    "can be said of them.",
    "If a frame, a page or another picture surrounds it, draw a region and press “Analyse this view”.",
    "If the window hides what it shows, choose another one and press “Analyse this view”.",
)
WHAT_IT_IS_WORTH = "What these words are worth"
FIGURES_CAPTION = (
    "On held-out images of the sources it learned from; a class counts as found unless it is called unlikely "
    "(95% interval):"
)
FIGURE_COLUMNS = (
    "Not unlikely from (or as the first)",
    "Found, of images with it (sensitivity)",
    "Ruled out, of others (specificity)",
)
SELECT_A_FINDING = "Select a finding to see where the model looked for it."

# Cases
CASES_HERE = "The most similar known cases appear here."
NO_MATCH = "No case matches these filters. Remove one and try again."
SEARCHED_IN_PART = "The collection is large and was searched in part: {found} of the nearest cases are found."
SIMILARITY = "cosine similarity"

# Similar cases
SEARCH_WITH, MY_IMAGE, A_CASE = "Search with", "My image", "A case in the collection"
CASE, CASE_HINT = "Case", "Type to find an ID."
RESULTS = "Results"
SEARCH_HERE = "Drop an image or choose a case, and the cases most like it appear here."
YOUR_IMAGE = "Your image"

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


def degree(familiarity: Familiarity) -> str:
    """Returns how well the model knows an image of one of the seven modalities, in a few words."""
    if familiarity is Familiarity.UNLIKE:
        return say("but unlike what findings were learned on")
    return say("an unusual image") if familiarity is Familiarity.UNUSUAL else say("a known kind of image")


def time_left(seconds: float) -> str:
    """Returns how long something will take, as a watch says it."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def unexpected(number: str) -> str:
    """Says that something went wrong that nobody foresaw, with the number under which the log has it."""
    return say(
        "Something unexpected happened (number {number}). Nothing of your image was kept. Try again; if it "
        "happens again, give the number to whoever runs this page.",
        number=number,
    )


def measured_on(measured: TaskMetrics) -> str:
    """Returns what the AUROC of a label set was measured on, and what it cannot show."""
    said = say(
        "{modality}, {images} test images.",
        modality=modality_name(measured.modality),
        images=measured.n_test,
    )
    return f"{said} {caveat(measured)}".strip()


def whole_model(accuracy: float | None, accepted: float | None) -> str:
    """Returns how well the model knows modalities, and images of the sources that it was trained on."""
    sentences = []
    if accuracy is not None:
        sentences.append(
            say("The modality of {share:.2%} of the test images is identified correctly.", share=accuracy)
        )
    if accepted is not None:
        sentences.append(
            say("{share:.1%} of them are accepted as images that the model knows.", share=accepted)
        )
    return " ".join(sentences)


def unseen_method(unseen: UnseenSourceMetrics) -> str:
    """Says how the model was asked about sources that it had not learned from."""
    sources = unseen.sources.values()
    images = sum(source.images for source in sources)
    counted = say(" ({images:,} in all)", images=images) if sources else ""
    asked = say(
        "Each of {sources} sources was left out once, and the model was then asked about its images"
        "{counted}.",
        sources=len(sources),
        counted=counted,
    )
    nearest = say("This is the nearest to what you get with images of your own.")
    return f"{asked} {nearest} {_seen(unseen)}".strip()


def _seen(unseen: UnseenSourceMetrics) -> str:
    known = sum(source.in_pretraining for source in unseen.sources.values())
    if not known:
        return ""
    if known == len(unseen.sources):
        return say(
            "The encoder beneath had learned from images of all of these sources, without their labels."
        )
    return say(
        "The encoder beneath had learned from images of {known} of these sources, without their labels.",
        known=known,
    )


def unseen_findings(unseen: UnseenSourceMetrics) -> str:
    """Says how many findings were shown to hold in other sources' images."""
    aurocs = [each.auroc.value for classes in unseen.findings.values() for each in classes.values()]
    held = sum(value is not None and value >= HOLDS_FROM for value in aurocs)
    return say(
        "{held} of the {findings} findings that two sources share hold in a source that they were not "
        "learned on (AUROC of {holds_from:.2f} or more). Every other finding is marked where it is shown.",
        held=held,
        findings=len(aurocs),
        holds_from=HOLDS_FROM,
    )


def asked_about(title: str, measured: FindingMetrics, sources: dict[str, SourceMetrics]) -> str:
    """Returns the label set of a finding, and the sources that it was asked about."""
    names = ", ".join(source_name(name, sources.get(name)) for name in measured.sources)
    return say("{title}; asked about {names}", title=title, names=names) if names else title


def source_name(name: str, source: SourceMetrics | None) -> str:
    """Returns the name of a source for people."""
    return name_of(source.title) if source and source.title else humanise(name)


def kind_name(kind: str) -> str:
    """Returns the name of an unknown kind for people: "brain_mri" becomes "Brain MRI"."""
    words = kind.replace("_", " ").split()
    return name_of(humanise(" ".join(word.upper() if word in _ABBREVIATIONS else word for word in words)))


def share(estimate: Estimate) -> str:
    """Returns a measured share as a percentage."""
    return NOT_DEFINED if estimate.value is None else say("{share:.1%}", share=estimate.value)


def interval(estimate: Estimate) -> str:
    """Returns the 95 % interval of a share; "" where there is none."""
    if estimate.low is None or estimate.high is None:
        return ""
    return say("95% CI {low:.1f} to {high:.1f}", low=100 * estimate.low, high=100 * estimate.high)


def auroc_elsewhere(estimate: Estimate) -> str:
    """Returns the AUROC of a finding in other sources' images with its interval."""
    if estimate.value is None:
        return NOT_DEFINED
    if not interval(estimate):
        return say("AUROC {auroc:.2f}", auroc=estimate.value)
    return say(
        "AUROC {auroc:.2f} (95% CI {low:.2f} to {high:.2f})",
        auroc=estimate.value,
        low=estimate.low,
        high=estimate.high,
    )


def decimals(value: float) -> str:
    """Returns a number with three decimals."""
    return say("{value:.3f}", value=value)


def column_name(name: str) -> str:
    """Returns the name of a column of a collection's records for people."""
    return name_of(humanise(name))


def no_such_finding(name: str) -> str:
    """Refuses a finding that the model does not have."""
    return say("This model has no finding '{name}'.", name=name)


def no_such_example(name: str) -> str:
    """Refuses an example that does not exist."""
    return say("There is no example '{name}'. Choose one of those shown.", name=name)


def example(name: str) -> str:
    """Describes an example's picture."""
    return say("Example: {name}", name=modality_name(name) if name in MODALITIES else humanise(name))


def running_on(model: str, device: str) -> str:
    """Says which model answers, and where it runs."""
    return say("{model}, running on {device}.", model=model, device=in_readers_words(device))
