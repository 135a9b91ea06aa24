"""What the About page says of sources and kinds that the model did not see."""

from app.components.unseen_source import unseen_source
from mermed_core.models.model_metrics import (
    Estimate,
    FindingMetrics,
    KindMetrics,
    ModelMetrics,
    SourceMetrics,
    TaskMetrics,
    UnseenSourceMetrics,
)

CHEST = TaskMetrics(modality="cxr", n_test=9, n_groups=9, title="Chest films", names={"pna": "pneumonia"})
SOURCES = {
    "nih": SourceMetrics(modality="cxr", images=700, title="NIH", passed=Estimate(value=0.93)),
    "abroad": SourceMetrics(modality="ct", images=1300, modality_right=Estimate(value=1.0)),
}
UNSEEN = UnseenSourceMetrics(
    modality_right=Estimate(value=0.978, low=0.961, high=0.989),
    passed=Estimate(value=0.91),
    sources=SOURCES,
    kinds={"brain_mri": KindMetrics(value=0.9, images=80)},
    findings={
        "chest": {
            "normal": FindingMetrics(auroc=Estimate(value=0.27), sources=("abroad",)),
            "pna": FindingMetrics(auroc=Estimate(value=0.75, low=0.7, high=0.8), sources=("nih", "abroad")),
            "covid": FindingMetrics(),
        }
    },
)
METRICS = ModelMetrics(tasks={"chest": CHEST}, unseen_source=UNSEEN)


def test_what_nobody_measured_is_said():
    assert "has not been measured" in unseen_source(ModelMetrics())


def test_the_summary_stands_with_intervals_and_what_is_not_defined_is_a_dash():
    html = unseen_source(METRICS)
    assert "Each of 2 sources was left out once" in html
    assert "(2,000 in all)" in html
    assert "97.8%<small>95% CI 96.1 to 98.9</small>" in html
    assert "91.0%<small></small>" in html
    assert html.count("<dd>–<small></small></dd>") == 2


def test_findings_stand_with_their_sources_the_best_first_and_those_that_do_not_hold_without_colour():
    html = unseen_source(METRICS)
    assert "1 of the 3 findings that two sources share hold" in html
    held, failed = html.split("mm-from-zero")[1:]
    assert "Pneumonia" in held
    assert "Chest films; asked about NIH, Abroad" in held
    assert "left:70.0%;right:20.0%" in held
    assert 'title="AUROC 0.75 (95% CI 0.70 to 0.80)"' in held
    assert not held.startswith(" mm-unproven")
    assert failed.startswith(" mm-unproven")
    assert "Normal" in failed
    assert "Covid" not in html


def test_sources_and_kinds_stand_in_tables():
    html = unseen_source(METRICS)
    assert html.index('<th scope="row">Abroad<small>CT</small>') < html.index(">NIH<small>Chest X-ray")
    assert "<td>1300</td><td>100.0%</td><td>–</td>" in html
    assert "Brain MRI</th><td>80</td><td>90.0%</td>" in html


def test_it_says_of_which_sources_the_encoder_had_images_without_labels():
    assert "encoder" not in unseen_source(METRICS)
    for names, words in ((("nih",), "1 of these sources"), (("nih", "abroad"), "all of these sources")):
        sources = {
            name: each.model_copy(update={"in_pretraining": name in names}) for name, each in SOURCES.items()
        }
        seen = UNSEEN.model_copy(update={"sources": sources})
        html = unseen_source(METRICS.model_copy(update={"unseen_source": seen}))
        assert f"had learned from images of {words}, without their labels" in html
