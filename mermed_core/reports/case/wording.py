"""What is said of one image, its findings and its nearest cases, on the page and in every report alike.

All of it is plain text; whoever puts it into HTML or a PDF escapes it.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from mermed_core.metrics.binomial import wilson_interval
from mermed_core.modalities import MODALITIES
from mermed_core.records import Likelihood
from mermed_core.reports.text import humanise

if TYPE_CHECKING:
    from mermed_core.collections.collection import Collection
    from mermed_core.models.model_metrics import ModelMetrics, TaskMetrics

YOU, THE_USER = "you", "the user"  # who may have set a modality, as the page and as a report says it
UNKNOWN_IMAGE = "Not an image the model recognises"
NO_FINDINGS = "The model has no findings for this kind of image."
NO_VERDICT = "No verdict: on images it had never seen, the model told these apart no better than chance."
FAINT_MAP = "Nothing in the image supports this finding, so the map means little."
COARSE_MAP = "A rough guide to what drove the score, not an outline of the finding."
NEAREST_ANYWAY = "The model does not recognise this image; these are merely the cases nearest to it."
UNLABELLED = "Unlabelled"
# Below this raw peak the map of a class is noise that was stretched to full scale.
FAINT_PEAK = 1e-3
_TURNED = 2  # further changes that turn an answer are counted instead
_NAMED = 4  # more possible classes are counted instead


def percent(share: float) -> str:
    """Returns a share as a percentage that never claims certainty: at most >99%, at least <1%."""
    if share > 0.99:
        return ">99%"
    return "<1%" if share < 0.01 else f"{100 * share:.0f}%"


def class_name(metrics: "ModelMetrics", task: str, label: str) -> str:
    """Returns the name of a class for people: the one that the model states for it, else its label."""
    measured = metrics.tasks.get(task)
    return humanise(measured.names.get(label, label) if measured else label)


def set_title(task: str, measured: "TaskMetrics | None") -> str:
    """Returns the name of a label set for people."""
    return measured.title if measured and measured.title else humanise(task)


def verdict(names: Sequence[str], likelihoods: Sequence[Likelihood]) -> str:
    """Says what the classes of one exclusive label set amount to, such as "Possible: Benign or Normal".

    Args:
        names: of the classes, most probable first.
        likelihoods: of the classes.
    """
    words = list(zip(names, likelihoods, strict=True))
    likely = [name for name, word in words if word is Likelihood.LIKELY]
    possible = [name for name, word in words if word is not Likelihood.UNLIKELY]
    if likely:
        return f"Likely: {likely[0]}"
    if len(possible) > _NAMED:
        return f"Possible: {len(possible)} of {len(names)}, first {possible[0]}"
    *first, last = possible
    return f"Possible: {', '.join(first)} or {last}" if first else f"Possible: {last}"


def guarantee(level: float, cases: Sequence[int]) -> str:
    """Says how often the classes that are not called unlikely hold the right one, and what that rests on.

    Args:
        level: share of the images of each class, 0..1.
        cases: patients of each class that the words are calibrated on, all of them enough.
    """
    counts = f"{min(cases)}" if min(cases) == max(cases) else f"{min(cases)} to {max(cases)}"
    return (
        f"Of images of the sources it learned from, the right class is called likely or possible in "
        f"{level:.0%} or more, class by class (calibrated on {counts} patients of each)."
    )


def too_few(short: Sequence[tuple[str, int]], needed: int) -> str:
    """Says of which classes there are too few calibration cases, so that their words promise nothing.

    Args:
        short: name of each class and its patients.
        needed: how many patients it takes.
    """
    names = ", ".join(f"{name} {count}" for name, count in short)
    return (
        f"Too few calibration patients for a promise, which takes {needed} ({names}): there the word follows "
        "the probability alone (unlikely below 10%)."
    )


NOT_CALIBRATED = (
    "This model holds no calibration cases, so the words follow the probability alone (unlikely below 10%, "
    "likely from 90%) and promise nothing."
)


def share_of(found: int, count: int) -> str:
    """Returns a share of test images with its 95 % interval and the count: "92% (83 to 97), 61 of 66"."""
    if not count:
        return "no test image"
    low, high = wilson_interval(found / count, count)
    return f"{found / count:.0%} ({100 * low:.0f} to {100 * high:.0f}), {found} of {count}"


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


def unlike(modality: str, shown_region: str, *, chosen_by: str = "") -> str:
    """Says of an image that it is of a modality, but unlike what the findings were learned on.

    Args:
        modality: key.
        shown_region: the region that the image most probably shows, "" where none is known.
        chosen_by: who set the modality, "" where it was detected.
    """
    name = _in_sentence(modality_name(modality))
    most_likely = f", most likely of the {shown_region}" if shown_region else ""
    begins = f"Read as {name}, {set_by(chosen_by)}" if chosen_by else f"This looks like {name}"
    return (
        f"{begins}{most_likely}, but unlike the images that the findings were learned on. "
        "No findings are given."
    )


def read_as(modality: str, who: str = YOU) -> str:
    """Says of an image that is not recognised which modality somebody had it read as."""
    return f"Read as {_in_sentence(modality_name(modality))}, {set_by(who)}."


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


def auroc(measured: "TaskMetrics") -> str:
    """Returns the AUROC of a label set with its interval."""
    if measured.auroc_low is None or measured.auroc_high is None:
        return f"AUROC {measured.auroc:.2f} (no confidence interval: too few patients)"
    return f"AUROC {measured.auroc:.2f} (95% CI {measured.auroc_low:.2f} to {measured.auroc_high:.2f})"


def auroc_on_test(measured: "TaskMetrics") -> str:
    """Returns the AUROC of a label set on its own source, on how many images, and what it cannot show."""
    on_own = f"On held-out images of the same source: {auroc(measured)}, {measured.n_test} images."
    return f"{on_own} {measured.caveat}".strip()


def miscalibrated(error: float) -> str:
    """Warns of probabilities that mean little."""
    return f"Do not rely on these probabilities: on the test images they were off by {error:.2f} on average."


def heat_map(method: str, name: str, peak: float) -> str:
    """Says what a heat map shows."""
    return f"{method} heat map for {name} (raw peak {peak:.2g})."


FLAT_MAP = "The map is high over most of the image, so it points nowhere."
EDGE_MAP = "The map is hottest at the border of the image, where no finding is expected."


def second_look(name: str, low: float, high: float, copies: int, turned: Sequence[tuple[str, str]]) -> str:
    """Says what a second look at an image under small changes gave.

    Args:
        name: of the class that was first.
        low: its lowest probability.
        high: its highest.
        copies: how many changed copies were looked at.
        turned: of each change that put another class first, its name and the name of that class.
    """
    spread = f"{name} gets {percent(low)} to {percent(high)} under {copies} small changes to the image."
    if not turned:
        return spread
    which = "; ".join(f"with {change}, {other} comes first" for change, other in turned[:_TURNED])
    more = f"; so do {len(turned) - _TURNED} more" if len(turned) > _TURNED else ""
    return f"{spread} {which[:1].upper()}{which[1:]}{more}."


def map_check(shuffled: float, before: float, after: float, *, like_shuffled: bool) -> str:
    """Says what two experiments with a heat map gave.

    Args:
        shuffled: rank correlation with the map of a head whose weights are shuffled.
        before: probability of the class.
        after: the same with the hottest tenth of the image blurred.
        like_shuffled: whether the first is too high.
    """
    verdict = (
        "so it shows the image rather than the finding" if like_shuffled else "so it depends on the finding"
    )
    return (
        f"With the weights of the finding shuffled, the map correlates with this one by ranks at "
        f"{shuffled:.2f}, {verdict}. With its hottest tenth blurred, the probability "
        f"{_change(before, after)}."
    )


def _change(before: float, after: float) -> str:
    """Says from what to what a probability goes."""
    if percent(before) == percent(after):
        return f"stays at {percent(before)}: the answer does not rest on that part alone"
    return f"goes from {percent(before)} to {percent(after)}"


def modality_name(key: str) -> str:
    """Returns the name of a modality for people."""
    return MODALITIES[key].name


def _in_sentence(name: str) -> str:
    """Returns a name for the middle of a sentence: "Ultrasound" gets small, "CT" stays."""
    return name if name[1:2].isupper() else name[:1].lower() + name[1:]


def set_by(who: str) -> str:
    """Says who set the modality."""
    return f"set by {who}"


def labels(collection: "Collection", names: Iterable[str] | None) -> str:
    """Returns the labels of a case."""
    known, given = collection.label_names, names if names is not None else ()
    return ", ".join(humanise(known.get(name, name)) for name in given) or UNLABELLED


def licence(stated: str) -> str:
    """Returns the licence of a data set, "" where none is stated."""
    return "licence unknown" if stated == "unknown" else stated


def closeness(closer: float | None, sharing: float | None) -> str:
    """Says what the similarity of the nearest case means; "" where too little is known.

    Args:
        closer: share of the pairs of cases with one label that are less similar.
        sharing: share of pairs this similar that have their label in common.
    """
    said = []
    if closer is not None:
        said.append(
            f"The nearest case is closer to the image than {percent(closer)} of pairs with one label are"
        )
    if sharing is not None:
        said.append(f"of cases this close, {_of_ten(sharing)} in 10 share the label")
    if not said:
        return ""
    first, *rest = said
    return f"{first[:1].upper()}{'; '.join([first, *rest])[1:]}."


def _of_ten(share: float) -> str:
    """Returns a share in tenths, which never claims all or none."""
    if share > 0.95:
        return "more than 9"
    return "fewer than 1" if share < 0.05 else f"{10 * share:.0f}"


def vote(counts: Sequence[tuple[str, int]], cases: int, title: str) -> str:
    """Says how the nearest cases vote in a label set.

    Args:
        counts: name of each class and its cases, the most frequent first.
        cases: that were asked.
        title: of the label set.
    """
    if not counts:
        return (
            f"None of the {cases} nearest cases belongs to the set {title}: they neither support nor deny it."
        )
    named = ", ".join(f"{count} {name}" for name, count in counts)
    without = cases - sum(count for _, count in counts)
    others = f", {without} of other sets" if without else ""
    return f"Of the {cases} nearest cases in the set {title}: {named}{others}."


def disagreement(answer: str, voted: str) -> str:
    """Says that most of the nearest cases have another label than the classifier's answer."""
    return (
        f"The classifier puts {answer} first, but most of the nearest cases are {voted}. Trust neither alone."
    )


def none_near(best: float, usual: float) -> str:
    """Says that the nearest cases are not near."""
    return (
        f"No similar case: the highest similarity is {best:.2f}, whereas nearly every case in this "
        f"collection has another at {usual:.2f} or above."
    )
