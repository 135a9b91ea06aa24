"""What the nearest cases say of an image: their vote beside the classifier's answer, and its contrast."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from mermed_core.inference.predictor import Predictor
from mermed_core.records import Analysis, Embedding, Finding, Neighbour
from mermed_core.reports.case import neighbour_wording, wording
from mermed_core.search.filters import Filter

_FEWEST_VOTERS = 3
_SEARCHED = 24  # cases that are looked through for those of a class


@dataclass(frozen=True)
class Vote:
    """How many of the nearest cases have which class of one label set.

    Attributes:
        task: the label set.
        answer: the class that the classifier gives the highest probability.
        counts: cases by class, the most frequent first; only classes that occur.
        cases: how many cases were asked; those of other label sets have no vote.
    """

    task: str
    answer: str
    counts: dict[str, int]
    cases: int

    @property
    def disagrees(self) -> bool:
        """Whether three cases or more have a class that is not the answer, and clearly more than have that.

        Clearly: they are most of those with a vote, or at least twice as many.
        """
        first = next(iter(self.counts.values()), 0)
        if first < _FEWEST_VOTERS or next(iter(self.counts)) == self.answer:
            return False
        return self.by_majority or first >= 2 * self.counts.get(self.answer, 0)

    @property
    def by_majority(self) -> bool:
        """Whether most of the cases with a vote have the most frequent class."""
        return 2 * next(iter(self.counts.values()), 0) > sum(self.counts.values())


@dataclass(frozen=True)
class Contrast:
    """The nearest cases of the class that the classifier answers, and the nearest of the set's other classes.

    Attributes:
        same: of that class, nearest first.
        other: of others, nearest first.
    """

    same: tuple[Neighbour, ...]
    other: tuple[Neighbour, ...]


def votes(predictor: Predictor, analysis: Analysis) -> tuple[Vote, ...]:
    """Returns how the nearest cases of an image vote in each label set that has findings, in their order.

    None vote without neighbours.
    """
    firsts = {finding.task: finding for finding in reversed(analysis.findings)}
    tasks = dict.fromkeys(finding.task for finding in analysis.findings)
    return tuple(_vote(predictor, analysis, firsts[task]) for task in tasks if analysis.neighbours)


def _vote(predictor: Predictor, analysis: Analysis, answer: Finding) -> Vote:
    head = predictor.heads.get(answer.task)
    classes = (head.class_of(near.case.source, near.case.labels) for near in analysis.neighbours)
    counts = Counter(name for name in classes if name)
    return Vote(head.task, answer.label, dict(counts.most_common()), len(analysis.neighbours))


def none_similar(predictor: Predictor, analysis: Analysis) -> bool:
    """Returns whether even the nearest case is further away than known cases are from each other."""
    collection, nearest = predictor.collection, analysis.neighbours[:1]
    return collection is not None and any(each.similarity < collection.usual_similarity for each in nearest)


def doubts(predictor: Predictor, analysis: Analysis) -> dict[str, str]:
    """Returns what the nearest cases say against findings: a sentence by label set, where there is one."""
    if none_similar(predictor, analysis):
        return dict.fromkeys((finding.task for finding in analysis.findings), neighbour_wording.NONE_SIMILAR)
    found = {voted.task: _doubt(predictor, voted) for voted in votes(predictor, analysis)}
    return {task: said for task, said in found.items() if said}


def _doubt(predictor: Predictor, voted: Vote) -> str:
    metrics = predictor.metrics
    if not voted.counts:
        title = wording.set_title(voted.task, metrics.tasks.get(voted.task))
        return neighbour_wording.beside_the_point(voted.cases, title)
    if not voted.disagrees:
        return ""
    answer, most = (
        wording.class_name(metrics, voted.task, label) for label in (voted.answer, next(iter(voted.counts)))
    )
    if voted.by_majority:
        return neighbour_wording.disagreement(answer, most)
    return neighbour_wording.outvoted(answer, most)


def contrast(predictor: Predictor, embedding: Embedding, task: str, label: str, count: int) -> Contrast:
    """Returns the nearest cases with a class of a label set, and those with another one.

    Args:
        predictor: with a collection.
        embedding: of the image.
        task: the label set.
        label: the class.
        count: how many of either kind.

    Raises:
        CollectionError: there is no collection.
        ModelError: there is no such label set.
    """
    head = predictor.heads.get(task)

    def nearest(names: Iterable[str]) -> tuple[Neighbour, ...]:
        wanted = set(names)
        stated = [name.partition(":") for name, known in head.meanings.items() if known in wanted]
        if not stated:
            return ()
        where = Filter(
            {"source": {source for source, _, _ in stated}, "label": {name for *_, name in stated}}
        )
        found = predictor.similar(embedding, count=_SEARCHED, where=where)
        own = (near for near in found if head.class_of(near.case.source, near.case.labels) in wanted)
        return tuple(own)[:count]

    return Contrast(nearest([label]), nearest(name for name in head.classes if name != label))


def in_words(predictor: Predictor, analysis: Analysis) -> tuple[str, str]:
    """Returns what the nearness of the nearest cases means and how they vote, and why to doubt the answer.

    Either is "" where there is nothing to say.
    """
    asked = votes(predictor, analysis)
    said = [_nearness(predictor, analysis)]
    said += [_voted(predictor, voted) for voted in [each for each in asked if each.counts] or asked[:1]]
    disagreeing = [_doubt(predictor, voted) for voted in asked if voted.disagrees]
    return " ".join(filter(None, said)), " ".join(disagreeing)


def _voted(predictor: Predictor, voted: Vote) -> str:
    metrics = predictor.metrics
    counts = [
        (wording.class_name(metrics, voted.task, label), count) for label, count in voted.counts.items()
    ]
    title = wording.set_title(voted.task, metrics.tasks.get(voted.task))
    return neighbour_wording.vote(counts, voted.cases, title)


def _nearness(predictor: Predictor, analysis: Analysis) -> str:
    measured = predictor.closeness
    if measured is None or not analysis.neighbours or none_similar(predictor, analysis):
        return ""
    best = analysis.neighbours[0].similarity
    return neighbour_wording.closeness(measured.closer_than(best), measured.sharing(best))
