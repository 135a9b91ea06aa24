"""The report of a run: complete, of one piece, and true to the logs."""

import json
import re
import shutil
from typing import Any

import pytest

from mermed_core.data.manifest import Manifest
from mermed_core.errors import TrainingError
from mermed_core.pretraining.pretrainer import Pretrainer
from mermed_core.pretraining.report import (
    LOG_CURVES,
    MONITOR_CURVES,
    Curve,
    draw_curve,
    find_examples,
    problems,
    run_report,
    summary,
)
from mermed_core.reports.render import render_html


def labelled(make_manifest):
    frame = make_manifest({"ct": 8, "oct": 8}).frame
    frame["labels"] = [["<b>healthy</b>"] if row % 2 else ["ill"] for row in range(16)]
    frame["split"] = ["val" if row % 4 < 2 else "train" for row in range(16)]
    return Manifest.from_frame(frame)


@pytest.fixture
def run(make_manifest, smoke):
    weights = ("loss.koleo_weight_start=0.1", "distillation.weight_start=0.1")
    recipe = smoke("run.monitor_every=2", "model.name=<i>name</i>", *weights)
    images = labelled(make_manifest)
    return Pretrainer(recipe, images).run().parent, recipe, images


def page_of(*arguments):
    return render_html(run_report(*arguments))


def test_the_page_has_every_part_and_loads_nothing(run):
    folder, recipe, images = run
    page = page_of(folder, recipe, find_examples(folder, recipe, images, images=20))
    for curve in (*LOG_CURVES, *MONITOR_CURVES):
        if curve.key != "knn_auroc":  # too few images for votes
            assert f"<h3>{curve.title}</h3>" in page
    assert page.count('class="query"') == 2
    assert "Step 4, 28 images seen" in page
    provenance = json.loads((folder / "provenance.json").read_text())
    assert provenance["code"] in page
    assert provenance["data"]["sha256"][:16] in page
    assert "student_temperature = 0.1" in page
    markup = re.sub(r"<script\b.*?</script>", "", page, flags=re.DOTALL)
    sources = re.findall(r"\b(?:src|href)\s*=\s*.?([a-z]*:?)", markup)
    assert set(sources) == {"data:"}
    assert "<i>name" not in markup
    assert "<b>healthy" not in markup
    assert "&lt;b&gt;healthy" in markup


def test_neighbours_are_the_nearest_of_other_groups_in_the_val_split(run):
    folder, recipe, images = run
    for example in find_examples(folder, recipe, images, images=20):
        assert list(example.similarities) == sorted(example.similarities, reverse=True)
        assert len(example.similarities) == 5  # of seven other val images
        assert all(-1 <= value <= 1 for value in example.similarities)
        query, *neighbours = example.pictures
        assert query.marked
        assert query.captions[0] == "query"
        assert [picture.captions[0] for picture in neighbours] == [
            f"cosine {value:.3f}" for value in example.similarities
        ]


def test_a_run_that_goes_on_is_reported_from_its_checkpoint(run):
    folder, recipe, images = run
    whole = find_examples(folder, recipe, images, images=20)
    shutil.rmtree(folder / "model")
    assert find_examples(folder, recipe, images, images=20) == whole
    newest = sorted((folder / "checkpoints").iterdir())[-1] / "state.safetensors"
    newest.write_bytes(newest.read_bytes()[:-9])
    assert find_examples(folder, recipe, images, images=20) != whole
    shutil.rmtree(folder / "checkpoints")
    with pytest.raises(TrainingError, match="no checkpoint yet"):
        find_examples(folder, recipe, images, images=20)
    (folder / "log.jsonl").unlink()
    (folder / "provenance.json").unlink()
    page = page_of(folder, recipe, None, "Not shown: nothing there")
    assert "No step has been logged yet." in page
    assert "Not shown: nothing there" in page


def test_a_folder_without_a_run_or_with_a_damaged_log_is_a_sentence(run, tmp_path):
    folder, recipe, _ = run
    with pytest.raises(TrainingError, match=r"recipe\.toml is missing"):
        run_report(tmp_path / "none", recipe, None)
    (folder / "provenance.json").write_text("{")
    with pytest.raises(TrainingError, match="damaged"):
        run_report(folder, recipe, None)


def test_a_chart_holds_the_values_of_the_log():
    curve = Curve("kNN", "knn_auroc", "AUROC", "")
    lines = [
        {"step": 2, "knn_auroc": {"ct": {"a": 0.5}, "oct": {"b": 0.75}}},
        {"step": 4, "knn_auroc": {"ct": {"a": 1.0}}},
    ]
    figure: Any = draw_curve(curve, lines)
    assert figure is not None
    values = {trace.name: (list(trace.x), list(trace.y)) for trace in figure.data}
    assert values == {"CT · a": ([2, 4], [0.5, 1.0]), "OCT · b": ([2], [0.75])}
    assert draw_curve(Curve("KoLeo", "koleo", "", ""), [{"step": 1, "koleo": None}, {"step": 2}]) is None


def test_what_went_wrong_is_named():
    log = [{"step": 9, "skipped": 2, "unreadable": 3, "memory": {"ct": 0.5, "oct": 1.0}}]
    sentences = " ".join(problems(log, [{"step": 9, "collapsed": ["oct"]}]))
    for part in ("collapsed: OCT", "2 steps were skipped", "3 images could not", "is not full yet: CT."):
        assert part in sentences
    assert problems([{"step": 1, "memory": {"ct": 1.0}}], []) == []
    assert summary([]) == "No step has been logged yet."
