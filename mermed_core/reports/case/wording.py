"""What is said of one image and its findings, on the page and in every report alike.

All of it is plain text; whoever puts it into HTML or a PDF escapes it.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mermed_core.languages.say import in_readers_words, name_of, speaks, spoken
from mermed_core.metrics.binomial import wilson_interval
from mermed_core.modalities import MODALITIES, REMAINDER, in_sentence
from mermed_core.records import Likelihood
from mermed_core.reports.text import humanise

if TYPE_CHECKING:
    from mermed_core.models.model_metrics import ModelMetrics, TaskMetrics

say = speaks(__name__)

YOU, THE_USER = "you", "the user"  # who may have set a modality, as the page and as a report says it
UNKNOWN_IMAGE = "Not an image the model recognises"
LIKELIHOODS = {
    Likelihood.LIKELY: "likely",
    Likelihood.POSSIBLE: "possible",
    Likelihood.UNLIKELY: "unlikely",
}
_OTHER_X_RAY = "an X-ray of another part of the body than the chest"
OTHER_KINDS = {  # by what DICOM headers call them
    "MR": "MR",
    "MG": "mammography",
    "PT": "PET",
    "NM": "nuclear medicine",
    "XA": "angiography",
    "RF": "fluoroscopy",
    "ES": "endoscopy",
    "PX": "a dental X-ray",
    "IO": "a dental X-ray",
    "OCT": "OCT from inside a vessel",
    "CR": _OTHER_X_RAY,
    "DX": _OTHER_X_RAY,
    "RG": _OTHER_X_RAY,
}
NO_FINDINGS = "The model has no findings for this kind of image."
NO_VERDICT = "No verdict: on images it had never seen, the model told these apart no better than chance."
FAINT_MAP = "Nothing in the image supports this finding, so the map means little."
COARSE_MAP = "A rough guide to what drove the score, not an outline of the finding."
# Below this raw peak the map of a class is noise that was stretched to full scale.
FAINT_PEAK = 1e-3
_UNMOVED = 0.02  # a probability that goes by less stays, as it is said
_NEARLY_PERFECT = 0.995  # with two decimals such an AUROC would be one without an interval
_TURNED = 3  # changes that put a class first are named; more are counted
_NAMED = 4  # more possible classes are counted instead


def percent(share: float) -> str:
    """Returns a share as a percentage that never claims certainty: at most >99%, at least <1%."""
    if share > 0.99:
        return say(">99%")
    return say("<1%") if share < 0.01 else say("{share:.0f}%", share=100 * share)


def decimal(value: float) -> str:
    """Returns a number with two decimals."""
    return say("{value:.2f}", value=value)


def likelihood(word: Likelihood) -> str:
    """Returns how likely a class is, in a word."""
    return say(LIKELIHOODS[word])


def class_name(metrics: "ModelMetrics", task: str, label: str) -> str:
    """Returns the name of a class for people: the one that the model states for it, else its label."""
    measured = metrics.tasks.get(task)
    return name_of(humanise(measured.names.get(label, label) if measured else label))


def set_title(task: str, measured: "TaskMetrics | None") -> str:
    """Returns the name of a label set for people."""
    return name_of(measured.title if measured and measured.title else humanise(task))


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
        return say("Likely: {name}", name=likely[0])
    if len(possible) > _NAMED:
        return say(
            "Possible: {possible} of {classes}, first {name}",
            possible=len(possible),
            classes=len(names),
            name=possible[0],
        )
    *first, last = possible
    if not first:
        return say("Possible: {name}", name=last)
    return say("Possible: {names} or {last}", names=", ".join(first), last=last)


def out_of_order(less: str, low: str, more: str, high: str) -> str:
    """Says why a class is possible although a more probable one is unlikely.

    Args:
        less: name of the possible class.
        low: its probability.
        more: name of the unlikely class.
        high: its probability.
    """
    return say(
        "{less} is possible at {low}, although {more} is unlikely at {high}: images that show {less} are "
        "often given no more, images that show {more} are.",
        less=less,
        low=low,
        more=more,
        high=high,
    )


def guarantee(level: float, cases: Sequence[int]) -> str:
    """Says how often the classes that are not called unlikely hold the right one, and what that rests on.

    Args:
        level: share of the images of each class, 0..1.
        cases: patients of each class that the words are calibrated on, all of them enough.
    """
    fewest, most = min(cases), max(cases)
    counts = str(fewest) if fewest == most else say("{low} to {high}", low=fewest, high=most)
    return say(
        "Of images of the sources it learned from, the right class is called likely or possible in "
        "{level:.0%} or more, class by class (calibrated on {counts} patients of each).",
        level=level,
        counts=counts,
    )


def too_few(short: Sequence[tuple[str, int]], needed: int) -> str:
    """Says of which classes there are too few calibration cases, so that their words promise nothing.

    Args:
        short: name of each class and its patients.
        needed: how many patients it takes.
    """
    names = ", ".join(f"{name} {count}" for name, count in short)
    return say(
        "Too few calibration patients for a promise, which takes {needed} ({names}): there the word follows "
        "the probability alone (unlikely below 10%).",
        needed=needed,
        names=names,
    )


NOT_CALIBRATED = (
    "This model holds no calibration cases, so the words follow the probability alone (unlikely below 10%, "
    "likely from 90%) and promise nothing."
)


def share_of(found: int, count: int) -> str:
    """Returns a share of test images with its 95 % interval and the count: "92% (83 to 97), 61 of 66"."""
    if not count:
        return say("no test image")
    low, high = wilson_interval(found / count, count)
    return say(
        "{share:.0%} ({low:.0f} to {high:.0f}), {found} of {count}",
        share=found / count
        if found in (0, count)
        else min(max(found / count, 0.01), 0.99),  # not all, not none
        low=100 * low,
        high=100 * high,
        found=found,
        count=count,
    )


def held_elsewhere(auroc: float) -> str:
    """Says that a finding was shown to hold in other sources' images."""
    return say("Held in other hospitals' images (AUROC {auroc:.2f}).", auroc=auroc)


def sentence(words: str) -> str:
    """Returns words as a sentence of their own."""
    return f"{words[:1].upper()}{words[1:]}."


def region(name: str, modality: str) -> str:
    """Returns a region of the body for people; "" for a remainder, or what the modality's name says."""
    name = name.replace("_", " ").strip()
    known = name.lower() in MODALITIES[modality].name.lower() or name.startswith(REMAINDER)
    return "" if known else name_of(name)


def unlike(modality: str, shown_region: str, *, chosen_by: str = "") -> str:
    """Says of an image that it is of a modality, but unlike what the findings were learned on.

    Args:
        modality: key.
        shown_region: of those that the model knows the one that the image most probably shows, "" for none.
        chosen_by: who set the modality, "" where it was detected.
    """
    name = _in_sentence(modality_name(modality))
    if chosen_by:
        begins = say("Read as {name}, {set_by}", name=name, set_by=set_by(chosen_by))
    else:
        begins = say("This looks like {name}", name=name)
    said = say(
        "{begins}, but unlike the images that the findings were learned on. No findings are given.",
        begins=begins,
    )
    if not shown_region:
        return said
    # Of a heart "most likely the ovary" would be a claim: regions are told apart, not recognised.
    nearest = say(
        "Of the parts of the body that the model knows, it is nearest to the {region}.", region=shown_region
    )
    return f"{said} {nearest}"


def read_as(modality: str, who: str = YOU) -> str:
    """Says of an image that is not recognised which modality somebody had it read as."""
    return say("Read as {name}, {set_by}.", name=_in_sentence(modality_name(modality)), set_by=set_by(who))


def header_modality(stated: str, seen: str | None) -> str:
    """Compares the modality in a file's header with what the pixels look like.

    Args:
        stated: key of the modality that the header states, or its tag where that is none of the seven.
        seen: key of the one that the model sees; None where it does not recognise the image.
    """
    if stated not in MODALITIES:
        other = say(OTHER_KINDS[stated])
        said = say("The file's header says {kind}, which is none of the seven kinds.", kind=other)
        return said if seen is None else say("{said} Do not rely on what is said here.", said=said)
    name = _in_sentence(modality_name(stated))
    if seen is None:
        return say("The file's header says {name}.", name=name)
    if stated == seen:
        return say("The file's header also says {name}.", name=name)
    seen_name = _in_sentence(modality_name(seen))
    return say("The file's header says {name}; the pixels look like {seen}.", name=name, seen=seen_name)


def poor_match(relevance: float) -> str:
    """Warns that an image is little like those that a label set was made for."""
    return say(
        "The image is only a {share} match for this set of findings; read it with caution.",
        share=percent(relevance),
    )


def auroc(measured: "TaskMetrics") -> str:
    """Returns the AUROC of a label set with its interval."""
    if measured.auroc_low is None or measured.auroc_high is None:
        return say(
            "AUROC {auroc:.2f} (no confidence interval: too few patients)",
            auroc=measured.auroc,
        )
    if measured.auroc == measured.auroc_low:  # drawn again and again, images without a mistake show none
        return say(
            "AUROC {auroc:.2f} (no confidence interval: not one mistake among so few images)",
            auroc=measured.auroc,
        )
    figures = {"auroc": measured.auroc, "low": measured.auroc_low, "high": measured.auroc_high}
    if measured.auroc_low >= _NEARLY_PERFECT:
        return say("AUROC {auroc:.3f} (95% CI {low:.3f} to {high:.3f})", **figures)
    return say("AUROC {auroc:.2f} (95% CI {low:.2f} to {high:.2f})", **figures)


def auroc_on_test(measured: "TaskMetrics") -> str:
    """Returns the AUROC of a label set on its own source, on how many images, and what it cannot show."""
    on_own = say(
        "On held-out images of the same source: {auroc}, {images} images.",
        auroc=auroc(measured),
        images=measured.n_test,
    )
    return f"{on_own} {caveat(measured)}".strip()


def caveat(measured: "TaskMetrics") -> str:
    """Returns what the AUROC of a label set cannot show, "" where nothing is stated."""
    return name_of(measured.caveat)


def miscalibrated(error: float) -> str:
    """Warns of probabilities that mean little."""
    return say(
        "Do not rely on these probabilities: on the test images they were off by {error:.2f} on average.",
        error=error,
    )


def heat_map(method: str, name: str, peak: float) -> str:
    """Says what a heat map shows."""
    return say("{method} heat map for {name} (raw peak {peak:.2g}).", method=method, name=name, peak=peak)


SECOND_LOOK = "A second look"
LOOKING_AGAIN = "The image is looked at again under small changes."
STABLE = "The answer is steady, which does not mean that it is right."
UNSTABLE = "The answer is unstable: do not lean on it."
FLAT_MAP = "The map is high over most of the image, so it points nowhere."
EDGE_MAP = "The map is hottest at the border of the image, where a finding is rare unless tissue fills it."


def second_look(name: str, low: float, high: float, copies: int, turned: Sequence[tuple[str, str]]) -> str:
    """Says what a second look at an image under small changes gave.

    Args:
        name: of the class that was first.
        low: its lowest probability.
        high: its highest.
        copies: how many changed copies were looked at.
        turned: of each change that put another class first, its name and the name of that class.
    """
    if percent(low) == percent(high):
        spread = say(
            "{name} stays at {share} under {copies} small changes to the image.",
            name=name,
            share=percent(low),
            copies=copies,
        )
    else:
        spread = say(
            "{name} gets {low} to {high} under {copies} small changes to the image.",
            name=name,
            low=percent(low),
            high=percent(high),
            copies=copies,
        )
    if not turned:
        return spread
    changes_of: dict[str, list[str]] = {}
    for change, other in turned:
        changes_of.setdefault(other, []).append(in_readers_words(change))
    which = "; ".join(
        say(
            "{other} comes first under {count} of them ({changes})",
            other=other,
            count=len(changes),
            changes=", ".join([*changes[:_TURNED], *["…"][: len(changes) - _TURNED]]),
        )
        for other, changes in changes_of.items()
    )
    return f"{spread} {which}."


def map_check(shuffled: float, before: float, after: float, *, like_shuffled: bool) -> str:
    """Says what two experiments with a heat map gave.

    Args:
        shuffled: rank correlation with the map of a head whose weights are shuffled.
        before: probability of the class.
        after: the same with the hottest tenth of the image blurred.
        like_shuffled: whether the first is too high.
    """
    if like_shuffled:
        verdict = say("stays much the same, so it shows the image rather than the finding")
    else:
        verdict = say("changes, so it depends on the finding")
    return say(
        "Drawn again with the weights of the finding shuffled, the map {verdict} (rank correlation "
        "{shuffled:.2f}; 1 is the same map). With its hottest tenth blurred, the probability {change}.",
        shuffled=round(shuffled, 2) + 0.0,  # no "-0.00"
        verdict=verdict,
        change=_change(before, after),
    )


def _change(before: float, after: float) -> str:
    """Says from what to what a probability goes."""
    if abs(before - after) < _UNMOVED:
        return say("stays at {share}: the answer does not rest on that part alone", share=percent(before))
    return say("goes from {before} to {after}", before=percent(before), after=percent(after))


def modality_name(key: str) -> str:
    """Returns the name of a modality for people."""
    return name_of(MODALITIES[key].name)


def _in_sentence(name: str) -> str:
    """Returns a name for the middle of a sentence: "Ultrasound" gets small in English, "CT" stays."""
    return name if spoken().nouns_are_capital else in_sentence(name)


def set_by(who: str) -> str:
    """Says who set the modality."""
    return say("set by {who}", who=say(who))
