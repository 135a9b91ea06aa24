"""What a report consists of, whatever it reports: sections of tables, charts, facts, pictures and notes.

`render_html` and `render_markdown` turn the same report into a page and into a text. All text in it is plain:
names from other people's tables can neither break the page nor inject anything into it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import plotly.graph_objects as go


@dataclass(frozen=True)
class Table:
    """Cells of text.

    Attributes:
        caption: distinguishes it from the other tables of its section; "" where it is the only one.
        header: names of the columns.
        rows: cells.
        best: (row, column) of the cells to be emphasised.
    """

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    best: frozenset[tuple[int, int]] = frozenset()


@dataclass(frozen=True)
class Tables:
    """Tables in one card; on a page those with a caption are folded, except the first."""

    kind: ClassVar = "tables"
    tables: tuple[Table, ...]


@dataclass(frozen=True)
class Facts:
    """Names with values."""

    kind: ClassVar = "facts"
    entries: Mapping[str, str]


@dataclass(frozen=True)
class Note:
    """A sentence; a warning stands out."""

    kind: ClassVar = "note"
    text: str
    warning: bool = False


@dataclass(frozen=True)
class Chart:
    """A plotly figure under a heading, with a sentence on how to read it; either may be empty."""

    figure: go.Figure
    title: str = ""
    note: str = ""

    @property
    def height(self) -> int:
        """The height in pixels."""
        return int(self.figure.layout["height"] or 320)


@dataclass(frozen=True)
class Charts:
    """Charts side by side; a text cannot show them.

    Attributes:
        charts: one or more.
        legend: name → colour, for charts that share one.
    """

    kind: ClassVar = "charts"
    charts: tuple[Chart, ...]
    legend: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Picture:
    """An image small enough for a page.

    Attributes:
        source: a data URI.
        captions: lines of text below it.
        marked: it is the one that the others relate to.
    """

    source: str
    captions: tuple[str, ...]
    marked: bool = False


@dataclass(frozen=True)
class Pictures:
    """A row of pictures; a text cannot show them."""

    kind: ClassVar = "pictures"
    title: str
    pictures: tuple[Picture, ...]


@dataclass(frozen=True)
class Code:
    """Text with its own line breaks, such as a recipe."""

    kind: ClassVar = "code"
    text: str


@dataclass(frozen=True)
class Folded:
    """Blocks that a page shows once they are opened."""

    kind: ClassVar = "folded"
    title: str
    blocks: "tuple[Block, ...]"
    opened: bool = False


Block = Tables | Facts | Note | Charts | Pictures | Code | Folded


@dataclass(frozen=True)
class Section:
    """Blocks under a heading, with a sentence or two on how to read them."""

    title: str
    text: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Report:
    """A whole report.

    Attributes:
        title: heading.
        notes: what a reader should know before anything else.
        sections: in their order.
        contents: whether a page begins with links to its sections.
    """

    title: str
    notes: tuple[Note, ...]
    sections: tuple[Section, ...]
    contents: bool = True
