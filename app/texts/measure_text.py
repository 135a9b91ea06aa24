"""What a visitor reads about the measures that the neighbours of a case give: columns of the map."""

from mermed_core.collections.quality.case_measures import AGREEMENT, CONFIDENCE, ERROR, OUTLIER, PREDICTION
from mermed_core.languages.say import speaks

say = speaks(__name__)

RIGHT, WRONG = "agrees with the label", "differs from the label"
_NO_VOTE = "no labelled neighbour"
MISSING = {
    PREDICTION: _NO_VOTE,
    ERROR: "lacks a label or a labelled neighbour",
    CONFIDENCE: _NO_VOTE,
    AGREEMENT: "no label, or no labelled neighbour",
    OUTLIER: "too few cases of its modality",
}

_VOTE = (
    "The nearest labelled cases of other patients vote, up to 20, nearer ones counting more: cases of the "
    "same data set and modality, or of the modality where the data set has no labels."
)
# Under the legend, so that nobody takes the one for the other.
ABOUT = {
    PREDICTION: f"{_VOTE} This is not the model's own classifier, which cannot read what a collection keeps "
    "of an image.",
    ERROR: f"Whether the prediction by neighbours is what the case is labelled. {_VOTE}",
    CONFIDENCE: f"The share of the vote that the prediction got, 0 to 1; not calibrated. {_VOTE}",
    AGREEMENT: f"The share of the vote for the label that the case has, 0 to 1: low where the label is "
    f"doubtful. {_VOTE}",
    OUTLIER: "How far the case lies from the 10 nearest of its modality and of other patients, beside what "
    "is usual there: 0 is the upper quartile, 1 an interquartile range above it. The check of outliers flags "
    "cases from 1.5 on.",
}

# The words of a column in the sentence about a selection.
WORDS = {
    PREDICTION: "predicted by neighbours as “{}”",
    ERROR: "whose prediction by neighbours {}",
    CONFIDENCE: "with a confidence of the vote {}",
    AGREEMENT: "with an agreement of the neighbours {}",
    OUTLIER: "with an outlier score {}",
}
# What the map's scripts say while the server computes a column.
MAP_SCRIPT = {
    "made": "Once for all visitors: {}",
    "made_left": "Once for all visitors: {}, about {} s left",
    "unmade": "it could not be computed ({}), and the server's log says more",
    "given_up": "cancelled; choose it again to compute it",
}
