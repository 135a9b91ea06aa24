"""Every sentence for a visitor who brings images of their own; templates reach this module as `own`."""

from datetime import date

from mermed_core.collections.told import ToldCounts
from mermed_core.languages.say import speaks

from . import text

say = speaks(__name__)

TAB = "Your images"
HOW = (
    "Your images become a map to explore: their clusters, copies, outliers and doubtful labels. Pack a "
    "folder of them as a ZIP archive; folders in it name modality and label (MODALITY/LABEL/image.png). "
    "Where nothing states the modality, the model tells it."
)
PRIVATE = (
    "Nothing of them stays: the archive is deleted when its images are embedded, the collection 30 minutes "
    "after its page was last open. Only whoever has the address of that page can open it."
)
KEPT = (
    "This server keeps the collections that are made here, with small pictures of the images. Only whoever "
    "has the address of its page can open one, but who runs the server can see all of them."
)
KEPT_HERE = "Your collections on this server"
KEPT_HOW = (
    "This browser remembers the addresses of their pages; nobody else is shown them. If others use this "
    "browser too, take off the list what they should not see."
)
FORGET_ONE = "Forget…"
DELETE_KEPT, UNLIST_KEPT = "Delete this collection", "Only take it off this list"
ABOUT = "Images that you bring to “Your images” become a collection."
DROP = "Drop a ZIP archive of images"
FOLDER = "Or name a folder of the server"
FOLDER_HINT = "A folder that this server opens for its visitors, or one in it."
MODALITY = "Modality"
AS_STATED = "As stated, else by the model"
START, STOP = "Explore these images", "Stop and keep what is embedded"
GO_ON, TAKE_PART, FORGET = "Go on", "Explore what is embedded", "Forget these images"
HERE = "Your map appears here."
NOTHING_CHOSEN = "Drop a ZIP archive first."
NOTHING_NAMED = "Drop a ZIP archive or name a folder first."
NO_ARCHIVE = "This is no ZIP archive. Pack the images, or a folder of them, as one."
NO_MODALITY = (
    "The folders of the images name no modality. Choose the modality, or lay them out as "
    "MODALITY/LABEL/image.png."
)
NOT_OPEN = "The folder is not there, or it is none that this server opens for its visitors."
WAITING = "Your images are next, as soon as those of others are done."
DRAWING = "Computing the map…"
STOPPED = "Stopped."
FORGOTTEN = "Your images and all that was made of them are deleted."
FULL = "Too many visitors explore images of their own at the moment. Try again in some minutes."
GONE = "This page is gone: collections of visitors are deleted 30 minutes after they were last open."
GONE_KEPT = "There is no such page: its collection was deleted, or the address is not complete."
NOT_OPENED = (
    "This collection cannot be opened any more: it is damaged, or was made by another model than this server "
    "uses now. Make it again of its images."
)
OPEN = "Open the map"
OWN_PAGE = "These are your own images. This page is gone 30 minutes after you close it."
OWN_PAGE_KEPT = "These are your own images, which this server keeps."
BACK = "Back to the page where they came from"


def kept(cases: int, changed: date) -> str:
    """Says how large a kept collection is and when it was made."""
    return say("{cases:,} images, {day}", cases=cases, day=changed.isoformat())


def unpacked(name: str, files: int) -> str:
    """Says that an archive was opened."""
    return say("{files:,} files in {name}.", files=files, name=name)


def progress(done: int, total: int, rate: float, left: float | None) -> str:
    """Says how far the embedding is, how fast it is, and how long it will take."""
    if left is None:
        return say("{done:,} of {total:,} images.", done=done, total=total)
    return say(
        "{done:,} of {total:,} images, {rate:.1f} a second, about {remaining} left.",
        done=done,
        total=total,
        rate=rate,
        remaining=text.time_left(left),
    )


def made(cases: int, broken: int, unstated: int, others: int, counts: ToldCounts) -> str:
    """Says what became of the images, of those whose modality nothing states, and of other files."""
    said = say("{cases:,} images are on the map.", cases=cases)
    if counts.told:
        said += " " + say(
            "Nothing states the modality of {told:,} of them, so it is the model's own answer; it takes "
            "{unknown:,} of these for none of the seven kinds. Colour the map by “Kind of image” to see it.",
            told=counts.told,
            unknown=counts.unknown,
        )
    if broken:
        said += " " + say("{broken:,} could not be read.", broken=broken)
    if unstated:
        said += " " + say(
            "{images:,} were left out, as nothing states their modality: choose it to take them in.",
            images=unstated,
        )
    if others:
        said += " " + say("{files:,} files are no images of a modality that the model knows.", files=others)
    return said
