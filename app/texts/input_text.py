"""What a visitor reads where images are opened and looked at; templates reach it as `i`.

What this returns is plain text; the templates escape it.
"""

from mermed_core.imaging.archives import ARCHIVE_LIMITS, too_many
from mermed_core.imaging.grey_values import Window
from mermed_core.languages.say import speaks

say = speaks(__name__)

# Opening
DROP = "Drop images, a folder, a ZIP or a DICOM study anywhere on this page"
CHOOSE_FILES, CHOOSE_FOLDER = "Choose files", "Choose a folder"
PASTE_HINT = "or paste an image"
CAMERA_REFUSED = (
    "The browser does not let this page use the camera. Allow it in the settings of the browser, or choose a "
    "file."
)
CAMERA_MISSING = "No camera was found. Connect one and try again, or choose a file."
CAMERA_BUSY = "The camera cannot be used. Close other programs that use it and try again, or choose a file."
CAMERA_INSECURE = (
    "Browsers give the camera only to pages whose address begins with https. Choose a file instead."
)
NOTHING_READABLE = (
    "None of these files is an image that can be read here. Use DICOM, PNG, JPEG, TIFF, JPEG 2000, WebP, "
    "BMP, GIF or AVIF."
)
LABELS = "The slide's label and overview were left out: they may name the patient."
NO_SUCH_PICTURE = "There is no such picture. Open the file again."
REGION_TOO_SMALL = "The region is too small to be analysed. Draw a larger one."
TOO_BUSY = (
    "Too many images of other visitors are open at the moment. Try again in some minutes, or with fewer."
)
ANSWER_BEFORE = "The answer shown is still that of the picture before."
DRAW_A_REGION = "A region that you draw is read at full size."
INVERTED = "You exchanged dark and bright."

# What is wrong with a picture
CONCERNS = {
    "too_small": "A side of the picture is below 64 px: too small for an answer that means anything.",
    "nearly_empty": "The picture is nearly empty: check that it is the right one, and its window.",
    "too_dark": "The picture is very dark: choose another window, or take it again with more light.",
    "blurred": "The picture is blurred: small findings cannot be seen in it.",
    "enlarged": "The picture was enlarged from some 100 px or less: small findings cannot be seen in it.",
    "of_a_screen": "This looks like a photograph of a screen: open the file itself instead.",
    "fundus_cut": "The edge of the fundus photograph is cut off: what lies there is not seen.",
}

# The viewer
VIEWER, STRIP, TOOLS = "Picture", "What you opened", "Tools of the picture"
SLICE = "Slice"
MODES = (
    ("window", "Window", "Drag to change the window: sideways its width, up and down its level (key W)"),
    ("move", "Move", "Drag to move the picture (key M, or hold Shift)"),
    ("region", "Region", "Drag a region: it is analysed instead of the whole (key R)"),
)
ACTIONS = (
    ("farther", "−", "Zoom out"),
    ("nearer", "+", "Zoom in"),
    ("invert", "Invert", "Exchange dark and bright (key I)"),
    ("blacken", "Blacken", "Make the region that you drew black (key B)"),
    ("reset", "Reset", "Back to how the file was opened (key 0)"),
)
PRESETS = "Window"
PRESET_NAMES = {
    "lung": "Lung",
    "bone": "Bone",
    "brain": "Brain",
    "soft_tissue": "Soft tissue",
    "liver": "Liver",
    "mediastinum": "Mediastinum",
}
TEXT_FOUND = "Text seems to be burned into the picture (outlined): it may name the patient."
NO_TEXT_FOUND = (
    "Print in the picture is sought and outlined; not all of it is found. Look for yourself: draw a region "
    "over the rest and press “Blacken”."
)
BLACKEN = "Blacken it"
ANALYSE_VIEW = "Analyse this view"
CASE_OPENED = (
    "This is the picture of a known case. Drag a region on it and press “Analyse this view”: similar cases "
    "are then those of the region."
)
NO_CASE_PICTURE = "The picture of this case is not here."
KEYS_TITLE = "Keys"
KEYS = (
    "Left and right change the file, up and down the slice, + and − zoom, 0 resets, I inverts, B "
    "blackens the region, W, M and R choose what dragging and Shift with arrows do (with Alt: the region's "
    "size), Enter analyses. The wheel changes the slice, with Ctrl it zooms."
)

# What the viewer's scripts say.
VIEWER_SCRIPT = {
    "slice": "{} of {}",
    "own": "as opened",
    "window": "centre {}, width {}",
    "chosen": "Chosen by you",
    "fileWindow": "File: {} / {}",
    "region": "region {} × {} px",
    "inverted": "dark and bright exchanged",
    "saw": "The model saw: {}.",
    "looking": "You look at another view than the model saw.",
    "whole": "the whole picture",
    "covered": "parts blackened",
    "gone": "The picture is no longer held for you. Open the file again.",
    "reduced": "shown at {} % of its size",
    "file": "{}, {} pictures",
}

# What the script says where files come in.
OPENER_SCRIPT = {
    "uploading": "Sending {} of {}…",
    "failed": "Some files could not be sent. Check the connection and try again.",
    "many": too_many(ARCHIVE_LIMITS).args[0],
}


def too_large_to_send(megabytes: int) -> str:
    """Says what to do about a file that is larger than the host allows."""
    return say(
        "Files of more than {megabytes} MB were not sent. Save a smaller version, of a slide a level or "
        "a part of it; or ask whoever runs this page to allow larger files (MERMED_UPLOAD_MB).",
        megabytes=megabytes,
    )


def chosen_window(window: Window | None, inverted: bool) -> str:
    """Says how the visitor chose to see the grey values; without a window, as the file says."""
    if window is None:
        how = say("Shown as the file says, but")
    else:
        how = say(
            "Shown through the window that you chose (centre {centre:.6g}, width {width:.6g}),",
            centre=window.centre,
            width=window.width,
        )
    if inverted:
        return say("{how} with low values bright.", how=how)
    return say("{how} with low values dark.", how=how)


def region(width: int, height: int) -> str:
    """Says that a part of the picture is analysed."""
    return say(
        "Only the region that you drew is analysed ({width} × {height} px).", width=width, height=height
    )


def covered(count: int) -> str:
    """Says that parts of the picture were made black."""
    if count == 1:
        return say("One part of the picture was blackened.")
    return say("{count} parts were blackened.", count=count)


def passed_over(count: int) -> str:
    """Says how many files before the one that is shown cannot be read."""
    if count == 1:
        return say("A file before this picture cannot be read: press it in the strip to see why.")
    return say(
        "{count} files before this picture cannot be read: press one in the strip to see why.", count=count
    )


def left_out(count: int) -> str:
    """Says how many files were left out."""
    if count == 1:
        return say("One file is no image that can be read here and was left out.")
    return say("{count} files are no images that can be read here and were left out.", count=count)
