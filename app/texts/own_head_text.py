"""What a visitor reads about a classifier of their own. Templates reach this module as `own`."""

from collections.abc import Sequence

from mermed_core.languages.say import in_readers_words, speaks
from mermed_core.models.few_shot_head import FewShotAnswer, LeftOut

say = speaks(__name__)

TAB = "Your classifier"
HOW = (
    "Name a label and give it a few images, then another; two labels with five images each are a start. The "
    "classifier is made in seconds. It and your images stay in memory for this visit only."
)
LABEL, LABEL_HINT = "Label", "What the next images show: type a new label or choose one of yours."
IMAGES = "Images with this label"
ADD_OPEN = "Add the image that is open"
CASES, CASES_HINT = "Cases of the collection with this label", "Choose, or type an ID and press Enter."
ADD_CASES = "Add these cases"
LEARN, SAVE, FORGET = "Make the classifier", "Save it (ZIP)", "Forget everything"
LOAD = "Load a classifier that you saved"
NO_IMAGES = "Your labelled images appear here."
RESULT, ANSWER = "How good it is", "What it says about your image"
RESULT_HERE = "Each image is left out once, and the classifier made of the others is asked about it."
OPEN_ONE = "Open an image on the Classify tab, and the classifier answers here."
NO_LABEL = "Name the label first: what do these images show?"
NO_OPEN_IMAGE = "No image is open. Open one on the Classify tab first."
NO_CASES = "Choose cases of the collection first."
NOTHING_YET = "There is no classifier yet. Label some images and make one, or load one."
ADDED_BEFORE = "This image was there already."
PATIENTS = (
    "Every image of yours counts as another patient. If several are of one patient, the classifier is not as "
    "good as this says."
)
NOT_BETTER = "Not shown to be better than guessing. Give more images, or labels that look more different."
ONLY_YOURS = (
    "It knows your labels only, and nothing tells whether they hold in other images. Research use only."
)
YOUR_FILE = "your image"


def remove(caption: str, label: str) -> str:
    """Says what pressing the cross on a picture does."""
    return say("Remove {caption} from {label}", caption=caption, label=label)


def count(images: int) -> str:
    """Returns how many images a label has."""
    return say("1 image") if images == 1 else say("{images} images", images=images)


def right_when_left_out(left_out: LeftOut) -> str:
    """Returns how often the classifier is right about images that it was made without."""
    return say("{right} of {images} right", right=left_out.right, images=left_out.images)


def figure(left_out: LeftOut) -> str:
    """Returns the same as a share with its interval, beside what guessing gets."""
    return say(
        "{share:.0%} when left out (95% CI {low:.0%} to {high:.0%}). Always naming the most frequent label "
        "gets {guessing:.0%}.",
        share=left_out.share,
        low=left_out.low,
        high=left_out.high,
        guessing=left_out.guessing,
    )


def taken(seconds: float) -> str:
    """Says how long it took."""
    return say("Made in {seconds:.1f} s.", seconds=seconds)


def unfamiliar(answer: FewShotAnswer) -> str:
    """Says that an image is unlike those that the classifier was made of."""
    return say(
        "No answer: this image is unlike those that the classifier was made of (similarity "
        "{similarity:.2f}; theirs among themselves {reach:.2f} or more).",
        similarity=answer.similarity,
        reach=answer.reach,
    )


def no_such_cases(ids: Sequence[str]) -> str:
    """Names the IDs that the collection does not have."""
    return say(
        "The collection has no case {ids}. What is left in the field was not added.", ids=", ".join(ids)
    )


def refused(name: str, problem: str) -> str:
    """Says why a file was not added."""
    return f"{name}: {in_readers_words(problem)}"
