"""A run as one HTML page that needs nothing else: curves, nearest neighbours, recipe."""

import json
from html import escape
from pathlib import Path
from typing import Any

from plotly.io import to_html
from plotly.offline import get_plotlyjs

from mermed_core.errors import TrainingError
from mermed_core.modalities import MODALITIES
from mermed_core.pretraining.curves import LOG_CURVES, SIGHT_CURVES, Curve, Lines, draw
from mermed_core.pretraining.examples import Example, Picture
from mermed_core.pretraining.recipe import Recipe
from mermed_core.pretraining.run_folder import read_log

# Nothing of the page leaves it: no logo with a link, no button that sends a figure away.
_CONFIG = {"displaylogo": False, "displayModeBar": False, "responsive": True, "showSendToCloud": False}
# The charts are drawn while the page is still being laid out.
_RESIZE = """addEventListener("load", () =>
  document.querySelectorAll(".js-plotly-plot").forEach(chart => Plotly.Plots.resize(chart)));"""
_STYLE = Path(__file__).with_name("report.css")


def read_run(run: Path) -> tuple[Lines, Lines, dict[str, Any]]:
    """Returns the lines of log and monitor, and the provenance; what is not there yet is empty.

    Raises:
        TrainingError: the folder holds no run, or its files are damaged.
    """
    if not (run / "recipe.toml").is_file():
        raise TrainingError(f"'{run}' holds no run: recipe.toml is missing.")
    try:
        logs = [
            read_log(path) if (path := run / name).exists() else [] for name in ("log.jsonl", "monitor.jsonl")
        ]
        path = run / "provenance.json"
        provenance = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    except ValueError as error:
        raise TrainingError(f"The logs in '{run}' are damaged: {error}") from error
    return logs[0], logs[1], provenance


def report_page(run: Path, recipe: Recipe, examples: list[Example] | None, missing: str = "") -> str:
    """Returns the page.

    Args:
        run: folder of the run.
        recipe: the resolved one.
        examples: see `examples.find_examples`; None where they were not asked for or cannot be had.
        missing: why there are none.

    Raises:
        TrainingError: the folder holds no run.
    """
    log, sights, provenance = read_run(run)
    resolved = (run / "recipe.toml").read_text(encoding="utf-8")
    sections = [
        f"<h1>{escape(recipe.model.name)}</h1>",
        f"<p>{escape(summary(log))}</p>",
        *(f'<p class="warn">{escape(text)}</p>' for text in problems(log, sights)),
        _facts(recipe, log, provenance),
        _charts("Embeddings of the val split", SIGHT_CURVES, sights),
        _charts("Training", LOG_CURVES, log),
        _neighbours(examples, missing),
        f'<h2>Recipe</h2><div class="card"><pre>{escape(resolved)}</pre></div>',
    ]
    head = [
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(recipe.model.name)}</title><style>{_STYLE.read_text('utf-8')}</style>",
        f"<script>{get_plotlyjs()}</script><script>{_RESIZE}</script>",
    ]
    body = f"<body><main>{''.join(sections)}</main></body>"
    return f'<!doctype html><html lang="en"><head>{"".join(head)}</head>{body}</html>'


def summary(log: Lines) -> str:
    """Returns how far the run has come, in a sentence."""
    if not log:
        return "No step has been logged yet."
    last = log[-1]
    loss = "none yet" if last.get("loss") is None else f"{last['loss']:.4f}"
    return f"Step {last['step']:,}, {last.get('images', 0):,} images seen, loss {loss}."


def problems(log: Lines, sights: Lines) -> list[str]:
    """Returns a sentence for everything that a reader should know before the curves."""
    found = []
    if sights and (collapsed := sights[-1].get("collapsed")):
        names = ", ".join(MODALITIES[key].name if key in MODALITIES else str(key) for key in collapsed)
        found.append(f"The embeddings have collapsed: {names}.")
    last = log[-1] if log else {}
    if last.get("skipped"):
        found.append(f"{last['skipped']} steps were skipped because something was not finite.")
    if last.get("unreadable"):
        found.append(f"{last['unreadable']} images could not be read and were passed over.")
    if low := [key for key, share in last.get("memory", {}).items() if share < 1]:
        found.append(f"The memory of {len(low)} modalities is not full yet.")
    return found


def _facts(recipe: Recipe, log: Lines, provenance: dict[str, Any]) -> str:
    encoder, memory = recipe.encoder, recipe.memory
    data, versions = provenance.get("data", {}), provenance.get("versions", {})
    images = ", ".join(
        f"{MODALITIES[key].name if key in MODALITIES else key} {count:,}"
        for key, count in data.get("modalities", {}).items()
    )
    rows = {
        "Encoder": f"{encoder.architecture}, {encoder.image_size} px, from {encoder.start}",
        "Images": f"{data['images']:,}: {images}" if data else "not recorded",
        "Data": f"sha256 {data['sha256'][:16]}" if data else "not recorded",
        "Code": provenance.get("code", "not recorded"),
        "Versions": ", ".join(f"{name} {number}" for name, number in versions.items()),
        "Batch": f"{recipe.data.batch} images, {memory.size:,} memories, blocks of {memory.block_size:,}",
    }
    entries = "".join(f"<dt>{name}</dt><dd>{escape(str(value))}</dd>" for name, value in rows.items())
    return f'<h2>What it is</h2><div class="card"><dl>{entries}</dl></div>'


def _charts(title: str, curves: tuple[Curve, ...], lines: Lines) -> str:
    drawn = [(curve, figure) for curve in curves if (figure := draw(curve, lines)) is not None]
    if not drawn:
        return ""
    cards = [
        f'<div class="card"><h3>{escape(curve.title)}</h3><p class="soft">{escape(curve.note)}</p>'
        f"{to_html(figure, config=_CONFIG, include_plotlyjs=False, full_html=False)}</div>"
        for curve, figure in drawn
    ]
    return f'<h2>{escape(title)}</h2>{_legend(lines)}<div class="grid">{"".join(cards)}</div>'


def _legend(lines: Lines) -> str:
    seen = {key for line in lines for key in {**line.get("memory", {}), **line.get("embedding_rank", {})}}
    entries = [
        f'<span><i style="background: {modality.colour}"></i>{escape(modality.name)}</span>'
        for key, modality in MODALITIES.items()
        if key in seen
    ]
    return f'<p class="legend">{"".join(entries)}</p>'


def _neighbours(examples: list[Example] | None, missing: str) -> str:
    title = "<h2>Nearest neighbours</h2>"
    if examples is None:
        return f'{title}<p class="soft">{escape(missing)}</p>' if missing else ""
    cards = [
        f'<div class="card"><h3>{escape(MODALITIES[example.modality].name)}</h3><div class="row">'
        f"{_figure(example.query)}{''.join(map(_figure, example.neighbours))}</div></div>"
        for example in examples
    ]
    note = (
        "One image of each modality and its nearest of other patients. These are images of the data: "
        "share this page as you may share them."
    )
    return f'{title}<p class="soft">{note}</p><div class="stack">{"".join(cards)}</div>'


def _figure(picture: Picture) -> str:
    first = "asked for" if picture.similarity is None else f"cosine {picture.similarity:.3f}"
    caption = "<br>".join(escape(text) for text in (first, *picture.labels))
    kind = ' class="query"' if picture.similarity is None else ""
    return f'<figure{kind}><img src="{picture.source}" alt=""><figcaption>{caption}</figcaption></figure>'
