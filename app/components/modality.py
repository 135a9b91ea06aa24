"""Which kind of image it is, and whether it is one that the model knows."""

from mermed_core.modalities import MODALITIES
from mermed_core.records import Analysis

from ..text import modality_name, percent, text

EMPTY = '<section class="mm-card mm-quiet"><h2>Modality</h2><p>Detected from the pixels alone.</p></section>'
_SHOWN = 3


def modality_card(analysis: Analysis, chosen: str | None) -> str:
    """Returns the modality with its probability, or the plain answer that the image is not known.

    Args:
        analysis: of the image.
        chosen: the modality that the visitor set, None where it was detected.
    """
    if not analysis.known:
        read = ""
        if chosen:
            read = f'<p class="mm-small">Read as {text(modality_name(chosen))}, set by you.</p>'
        return (
            '<section class="mm-card mm-unknown" role="alert"><h2>Not an image I know</h2>'
            f"<p>{text(analysis.gate)}</p>{read}</section>"
        )
    key = chosen or next(iter(analysis.modality))
    how = "set by you" if chosen else percent(analysis.modality[key])
    rows = "".join(
        _bar(other, share) for other, share in list(analysis.modality.items())[:_SHOWN] if share >= 0.005
    )
    return (
        f'<section class="mm-card"><h2>Modality</h2><p class="mm-headline">{text(modality_name(key))} '
        f'<span class="mm-how">{how}</span></p>{rows}<p class="mm-small">{text(analysis.gate)}</p></section>'
    )


def _bar(key: str, share: float) -> str:
    return (
        f'<div class="mm-bar"><span>{text(modality_name(key))}</span><i style="--share:{share:.4f};'
        f'--colour:{MODALITIES[key].colour}"></i><b>{percent(share)}</b></div>'
    )
