"""Which kind of image it is, whether the model knows its kind, and what the file's header says of it."""

from mermed_core.languages.say import in_readers_words
from mermed_core.modalities import MODALITIES
from mermed_core.records import Analysis, Familiarity

from ..texts import spoken_text, text
from .html_parts import fresh_number
from .templates import render

_SHOWN = 3  # of the modalities always; the others where the card has room for them
_LEAST = 0.005  # a smaller share would be a bar without length


def empty() -> str:
    """Returns what stands there before there is an image."""
    return render("modality.html", analysis=None, bars=[_bar(key, None) for key in MODALITIES])


def modality_card(analysis: Analysis, chosen: str | None) -> str:
    """Returns the modality with its probability and region, or the plain answer that it is not recognised.

    An image of the modality that is unlike what the findings were learned on gets a sentence that says so.

    Args:
        analysis: of the image.
        chosen: the modality that the visitor set, None where it was detected.
    """
    seen = next(iter(analysis.modality))
    key = chosen or seen
    region = text.region(analysis.region, key) if analysis.region else ""
    unlike = analysis.familiarity is Familiarity.UNLIKE
    name = text.modality_name(key)
    how = text.set_by(text.YOU) if chosen else text.percent(analysis.modality[key])
    why = text.unlike(key, region, chosen_by=text.YOU if chosen else "") if unlike else ""
    return render(
        "modality.html",
        analysis=analysis,
        chosen=chosen,
        number=fresh_number(),
        said=_said(analysis, name, how, why),
        name=name,
        how=how,
        region=text.humanise(region),
        region_share=text.percent(analysis.region_probability),
        unlike=why,
        degree=text.degree(analysis.familiarity),
        doubtful=analysis.familiarity is Familiarity.UNUSUAL,
        bars=[_bar(key, share) for key, share in analysis.modality.items()],
        shown=sum(share >= _LEAST for share in list(analysis.modality.values())[:_SHOWN]),
        header=_header_modality(analysis, seen),
        contradicted=analysis.header_modality not in (None, seen),
    )


def _said(analysis: Analysis, name: str, how: str, unlike: str) -> str:
    """Returns what is read out when the answer comes."""
    if not analysis.in_distribution:
        return f"{text.UNKNOWN_IMAGE}. {in_readers_words(analysis.reason)}"
    return f"{spoken_text.modality(name, how)} {unlike}".strip()


def _header_modality(analysis: Analysis, seen: str) -> str:
    stated = analysis.header_modality
    return "" if stated is None else text.header_modality(stated, seen if analysis.in_distribution else None)


def _bar(key: str, share: float | None) -> dict[str, str]:
    return {
        "name": text.modality_name(key),
        "share": f"{share or 0:.4f}",
        "colour": MODALITIES[key].colour,
        "percent": "" if share is None else text.percent(share),
    }
