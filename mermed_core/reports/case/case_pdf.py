"""The report on one image as one A4 page: the image, where the model looked, what it says, and its limits.

Text from elsewhere (labels, names of data sets) is escaped, since the library would follow markup in it.
"""

import io
from collections.abc import Iterable, Sequence
from functools import cache
from xml.sax.saxutils import escape

import numpy as np
from PIL import Image
from reportlab.lib.colors import Color, HexColor
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.utils import ImageReader
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Flowable, KeepInFrame, Paragraph, Spacer, Table

from mermed_core.imaging.fonts import font_file
from mermed_core.imaging.overlay import fitted, heat_colours, laid_over
from mermed_core.languages.say import spoken
from mermed_core.records import Likelihood
from mermed_core.reports.case import report_wording, wording
from mermed_core.reports.case.case_report import PROGRAM, CaseReport, NearCase
from mermed_core.reports.case.findings import FindingLine, FindingSet

_PLAIN, _BOLD = "DejaVuSans", "DejaVuSans-Bold"
_WIDTH, _HEIGHT = A4
_MARGIN = 34.0
_INNER = _WIDTH - 2 * _MARGIN
_GAP = 14.0
_PICTURE_HEIGHT = 205.0
_PICTURE_SIDE = 1000  # pixels: more than a printer shows at this size
_FOOTER = 26.0
_LEFT = 0.36  # share of the width that modality and remarks take beside the findings
_STEP, _SMALLEST = 0.025, 0.5  # what does not fit is set smaller by such a share, down to half
_LINES = 6  # classes of one label set on the page; the others are counted
_INK, _QUIET = HexColor("#1b2430"), HexColor("#5b6675")
_RULE, _ALERT, _GROUND = HexColor("#cfd6de"), HexColor("#a61b1b"), HexColor("#fdf0ef")
_HOLDS, _UNPROVEN, _TRACK = HexColor("#0d9488"), HexColor("#9aa3ae"), HexColor("#e8ecf0")


def render_pdf(report: CaseReport) -> bytes:
    """Returns the report as a PDF of one page; what does not fit is set smaller."""
    _register_fonts()
    buffer = io.BytesIO()
    canvas = Canvas(buffer, pagesize=A4, lang=spoken().code)
    canvas.setTitle(f"{report_wording.TITLE}, {PROGRAM}")
    canvas.setSubject(report_wording.RESEARCH_ONLY)
    canvas.setCreator(report.origin)
    top = _draw_head(canvas, report)
    top = _draw_pictures(canvas, report, top - _GAP)
    _draw_body(canvas, report, top - _GAP)
    _draw_foot(canvas, report)
    canvas.showPage()
    canvas.save()
    return buffer.getvalue()


@cache
def _register_fonts() -> None:
    for name, bold in ((_PLAIN, False), (_BOLD, True)):
        pdfmetrics.registerFont(TTFont(name, str(font_file(bold=bold))))
    pdfmetrics.registerFontFamily(_PLAIN, normal=_PLAIN, bold=_BOLD, italic=_PLAIN, boldItalic=_BOLD)


def _style(size: float, colour: Color = _INK, *, bold: bool = False, after: float = 0.0) -> ParagraphStyle:
    return ParagraphStyle(
        f"{size}{bold}",
        fontName=_BOLD if bold else _PLAIN,
        fontSize=size,
        leading=1.28 * size,
        textColor=colour,
        spaceAfter=after,
        splitLongWords=1,
    )


def _text(words: str, style: ParagraphStyle) -> Paragraph:
    return Paragraph(escape(words), style)


def _heading(words: str) -> list[Flowable]:
    return [_text(words, _style(9.5, bold=True, after=2))]


def _draw_head(canvas: Canvas, report: CaseReport) -> float:
    """Draws title and warning; returns where they end."""
    top = _HEIGHT - _MARGIN
    canvas.setFillColor(_INK)
    canvas.setFont(_BOLD, 15)
    canvas.drawString(_MARGIN, top - 12, report_wording.TITLE)
    canvas.setFont(_PLAIN, 8.5)
    canvas.setFillColor(_QUIET)
    canvas.drawRightString(_WIDTH - _MARGIN, top - 11, f"{PROGRAM} · {report.created:%Y-%m-%d %H:%M %Z}")
    warning = _text(report_wording.RESEARCH_ONLY, _style(9.5, _ALERT, bold=True))
    _, height = warning.wrapOn(canvas, _INNER - 16, 100)
    bottom = top - 24 - height - 10
    canvas.setFillColor(_GROUND)
    canvas.setStrokeColor(_ALERT)
    canvas.roundRect(_MARGIN, bottom, _INNER, height + 10, 3, fill=1)
    warning.drawOn(canvas, _MARGIN + 8, bottom + 5)
    return bottom


def _draw_pictures(canvas: Canvas, report: CaseReport, top: float) -> float:
    """Draws the image, beside it the heat map over it, and their captions; returns where they end."""
    width = (_INNER - _GAP) / 2
    small = fitted(report.pixels, _PICTURE_SIDE)
    left = _draw_picture(canvas, small, report.image_caption, _MARGIN, top, width)
    if report.heat is None:
        note = _text(report_wording.NO_HEAT_MAP, _style(8, _QUIET))
        _, height = note.wrapOn(canvas, width, 200)
        note.drawOn(canvas, _MARGIN + width + _GAP, top - height)
        return left
    heat = np.clip(fitted(report.heat.heat, max(small.shape[:2])), 0, 1)
    heat = np.asarray(Image.fromarray(heat).resize((small.shape[1], small.shape[0])))
    across = _MARGIN + width + _GAP
    right = _draw_picture(canvas, laid_over(small, heat), report.heat_caption, across, top, width)
    return min(left, right - _draw_scale(canvas, across, right))


def _draw_picture(
    canvas: Canvas, pixels: np.ndarray, caption: str, left: float, top: float, width: float
) -> float:
    height = pixels.shape[0] / pixels.shape[1] * width
    shown = (
        (width, height) if height <= _PICTURE_HEIGHT else (_PICTURE_HEIGHT / height * width, _PICTURE_HEIGHT)
    )
    canvas.setFillColor(HexColor("#0b0f14"))
    box = min(_PICTURE_HEIGHT, max(shown[1], 60))
    canvas.rect(left, top - box, width, box, stroke=0, fill=1)
    place = (left + (width - shown[0]) / 2, top - (box + shown[1]) / 2)
    canvas.drawImage(ImageReader(Image.fromarray(pixels)), *place, *shown)
    words = _text(caption, _style(7.5, _QUIET))
    _, lines = words.wrapOn(canvas, width, 200)
    words.drawOn(canvas, left, top - box - 3 - lines)
    return top - box - 3 - lines


def _draw_scale(canvas: Canvas, left: float, top: float) -> float:
    """Draws the colours of the heat map from less to more; returns the height that it takes."""
    canvas.setFont(_PLAIN, 7)
    canvas.setFillColor(_QUIET)
    canvas.drawString(left, top - 9, report_wording.LESS)
    ramp = heat_colours(np.linspace(0, 1, 128))[None]
    across = left + 4 + pdfmetrics.stringWidth(report_wording.LESS, _PLAIN, 7)
    canvas.drawImage(ImageReader(Image.fromarray(ramp)), across, top - 9.5, 80, 6)
    canvas.drawString(across + 85, top - 9, report_wording.MORE)
    return 12.0


def _draw_body(canvas: Canvas, report: CaseReport, top: float) -> None:
    """Draws everything that is said, shrunk where it is too much for what is left of the page."""
    room = top - _MARGIN - _FOOTER
    scale = 1.0
    body, height = _set(canvas, report, _INNER)
    while height * scale > room and scale > _SMALLEST:
        scale -= _STEP
        body, height = _set(canvas, report, _INNER / scale)
    canvas.saveState()
    canvas.translate(_MARGIN, top - height * scale)
    canvas.scale(scale, scale)
    body.drawOn(canvas, 0, 0)
    canvas.restoreState()


def _set(canvas: Canvas, report: CaseReport, width: float) -> tuple[Flowable, float]:
    """Returns everything that is said, set to a width, and how high it is; both in points."""
    body = KeepInFrame(width, 0, _body(report, width), mode="error")
    _, height = body.wrapOn(canvas, width, 10 * _HEIGHT)
    return body, height


def _body(report: CaseReport, width: float) -> list[Flowable]:
    """Returns everything that is said, set to a width in points."""
    left, right = _LEFT * width, (1 - _LEFT) * width
    columns = Table(
        [[_answer(report), _findings(report.findings, right)]],
        colWidths=[left, right],
        style=[("VALIGN", (0, 0), (-1, -1), "TOP"), *_padding(0, 0), ("RIGHTPADDING", (0, 0), (0, 0), _GAP)],
    )
    return [columns, Spacer(1, 6), *_cases(report, width)]


def _answer(report: CaseReport) -> list[Flowable]:
    """Returns what the image is, how well its kind is known, and how it was read."""
    small = _style(7.5, _QUIET, after=3)
    said: list[Flowable] = [
        *_heading(report_wording.SEEN),
        _text(report.modality, _style(12, bold=True, after=2)),
    ]
    if report.region:
        said.append(_text(report.region, _style(9, after=3)))
    said += [_text(each, small) for each in (*report.familiarity, *report.remarks)]
    if report.looks:
        said += [Spacer(1, 4), *_heading(wording.SECOND_LOOK)]
        said += [_text(f"{each.verdict} {each.said}", small) for each in report.looks]
    return said


def _findings(sets: Sequence[FindingSet], width: float) -> list[Flowable]:
    if not sets:
        return [*_heading(report_wording.FINDINGS), _text(report_wording.NO_FINDINGS, _style(8.5))]
    return [
        *_heading(report_wording.FINDINGS),
        *(part for each in sets for part in _finding_set(each, width)),
    ]


def _finding_set(each: FindingSet, width: float) -> list[Flowable]:
    small = _style(7, _QUIET, after=2)
    said: list[Flowable] = [_text(each.title, _style(7.5, _QUIET, bold=True))]
    if each.headline:
        said.append(_text(each.headline, _style(9.5, _INK if each.holds else _QUIET, bold=True, after=1)))
    if each.elsewhere:
        said.append(_text(each.elsewhere, _style(7.5, after=2)))
    if each.against:
        said.append(_text(each.against, _style(7.5, after=2)))
    said += [part for line in each.lines[:_LINES] for part in _finding_line(line, width)]
    if more := len(each.lines) - _LINES:
        said += [_text(report_wording.left_out(more), small)] * (more > 0)
    limits = " ".join(filter(None, (each.order, each.doubt, each.guarantee, each.evidence, each.warning)))
    return [*said, Spacer(1, 2), *[_text(limits, small)] * bool(limits), Spacer(1, 5)]


def _finding_line(line: FindingLine, width: float) -> list[Flowable]:
    colour = _HOLDS if line.holds else _UNPROVEN
    note = [_text(line.elsewhere, _style(7, _QUIET))] if line.elsewhere else []
    row = [
        _text(line.name, _style(8)),
        _Bar(line.probability, colour, 90),
        _text(line.percent, _style(8, bold=True)),
        _text(_likelihood(line.likelihood), _style(7.5, _INK if line.holds else _QUIET)),
    ]
    words = max(pdfmetrics.stringWidth(_likelihood(word), _PLAIN, 7.5) for word in Likelihood)
    name = width - 98 - 34 - words - 1
    style = [("VALIGN", (0, 0), (-1, -1), "MIDDLE"), *_padding(0, 0.5)]
    return [Table([row], colWidths=[name, 98, 34, words + 1], style=style, hAlign="LEFT"), *note]


def _likelihood(word: Likelihood) -> str:
    return wording.likelihood(word).replace("\u00ad", "")  # the library would draw a soft hyphen


def _cases(report: CaseReport, width: float) -> list[Flowable]:
    """Returns the nearest cases as a table."""
    said: list[Flowable] = _heading(report_wording.nearest_cases(report.collection))
    if report.cases_note:
        said.append(_text(report.cases_note, _style(7.5, after=2)))
    if not report.cases:
        return said
    pictures = any(case.thumbnail for case in report.cases)
    rows = [
        [_text(words, _style(7, _QUIET, bold=True)) for words in report_wording.CASE_COLUMNS],
        *map(_case, report.cases),
    ]
    widths = [26.0 if pictures else 0.0, 52.0, 110.0, 68.0]
    longest = max(pdfmetrics.stringWidth(case.case_id, _PLAIN, 7.5) for case in report.cases)
    names = min(max(longest + 7, 60.0), 160.0)  # a name that is broken finds no case
    table = Table(
        rows,
        colWidths=[*widths, width - sum(widths) - names, names],
        style=[
            ("VALIGN", (0, 0), (-1, -1), "MIDDLE"),
            ("LINEBELOW", (0, 0), (-1, -1), 0.3, _RULE),
            *_padding(0, 1.2),
            ("RIGHTPADDING", (1, 0), (-1, -1), 6),
        ],
    )
    return [*said, table]


def _case(case: NearCase) -> list[Flowable | str]:
    style = _style(7.5)
    origin = ", ".join(filter(None, (case.source, case.licence)))
    return [
        _Thumbnail(case.thumbnail) if case.thumbnail else "",
        _text(wording.decimal(case.similarity), style),
        _text(case.label, style),
        _text(case.modality, style),
        _text(origin, style),
        _text(case.case_id, style),
    ]


def _draw_foot(canvas: Canvas, report: CaseReport) -> None:
    canvas.setStrokeColor(_RULE)
    canvas.line(_MARGIN, _MARGIN + 16, _WIDTH - _MARGIN, _MARGIN + 16)
    canvas.setFillColor(_QUIET)
    canvas.setFont(_PLAIN, 7)
    canvas.drawString(_MARGIN, _MARGIN + 5, report_wording.unchecked(report.origin))
    canvas.drawString(_MARGIN, _MARGIN - 5, report_wording.RESEARCH_ONLY)


def _padding(across: float, up: float) -> list[tuple]:
    sides: Iterable[tuple[str, float]] = (
        ("LEFTPADDING", across),
        ("RIGHTPADDING", across),
        ("TOPPADDING", up),
        ("BOTTOMPADDING", up),
    )
    return [(side, (0, 0), (-1, -1), amount) for side, amount in sides]


class _Bar(Flowable):
    """A probability as a bar."""

    def __init__(self, share: float, colour: Color, width: float) -> None:
        super().__init__()
        self.width, self.height = width, 6.0
        self._share, self._colour = share, colour

    def draw(self) -> None:
        for colour, width in ((_TRACK, self.width), (self._colour, self.width * self._share)):
            self.canv.setFillColor(colour)
            self.canv.rect(0, 0, width, self.height, stroke=0, fill=1)


class _Thumbnail(Flowable):
    """The picture of a case, 22 points high at most."""

    def __init__(self, jpeg: bytes) -> None:
        super().__init__()
        self._image = ImageReader(io.BytesIO(jpeg))
        across, up = self._image.getSize()
        scale = 22.0 / max(across, up)
        self.width, self.height = across * scale, up * scale

    def draw(self) -> None:
        self.canv.drawImage(self._image, 0, 0, self.width, self.height)
