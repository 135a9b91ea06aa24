"""What others have published: as printed, and only what was checked."""

import math

import pytest

from mermed_core.modalities import MODALITY_KEYS


def test_the_paper_has_a_figure_for_every_modality(published):
    assert set(published.modality_auroc) == set(MODALITY_KEYS)
    assert published.modality_auroc["oct"] == 0.988
    assert published.modality_auroc["cxr"] == 0.858
    assert published.modality_auroc["fundus"] == 0.894
    assert "2507.00185" in published.modality_source


@pytest.mark.parametrize(
    ("method", "name", "auroc", "accuracy"),
    [
        ("ResNet-18 (28)", "pathmnist", 0.983, 0.907),
        ("ResNet-18 (224)", "organamnist", 0.998, 0.951),
        ("ResNet-50 (224)", "octmnist", 0.958, 0.776),
        ("ResNet-50 (28)", "retinamnist", 0.726, 0.528),
        ("auto-sklearn", "chestmnist", 0.649, 0.779),
        ("AutoKeras", "tissuemnist", 0.941, 0.703),
        ("Google AutoML Vision", "pneumoniamnist", 0.991, 0.946),
        # half of a cell, or none of it, stands in a second copy of the table
        ("Google AutoML Vision", "dermamnist", math.nan, 0.768),
        ("ResNet-18 (224)", "dermamnist", 0.920, math.nan),
        ("ResNet-18 (28)", "breastmnist", 0.901, 0.863),
        ("ResNet-50 (28)", "breastmnist", math.nan, math.nan),
        ("AutoKeras", "bloodmnist", math.nan, math.nan),
        ("ResNet-18 (28)", "organsmnist", math.nan, math.nan),
    ],
)
def test_cells_are_those_of_the_table(published, method, name, auroc, accuracy):
    table = published.medmnist.set_index(["method", "set"])
    assert table.loc[(method, name)].tolist() == pytest.approx([auroc, accuracy], nan_ok=True)


def test_every_method_and_set_has_a_row_in_range(published):
    table = published.medmnist
    assert len(table) == 7 * 12 == len(table.drop_duplicates(["method", "set"]))
    assert table["auroc"].dropna().between(0.5, 1).all()
    assert table["accuracy"].dropna().between(0.4, 1).all()
    assert list(dict.fromkeys(table["method"]))[:2] == ["ResNet-18 (28)", "ResNet-18 (224)"]
