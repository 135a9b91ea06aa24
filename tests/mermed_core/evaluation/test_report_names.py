"""Names as people read them."""

from mermed_core.evaluation.report_names import metric_name, modality_name, protocol_name, subset_name


def test_sizes_of_subsets_are_shots_or_shares():
    assert subset_name(4, 0.0) == "4-shot"
    assert subset_name(0, 0.005) == "0.5 %"
    assert subset_name(0, 1.0) == "100 %"


def test_unknown_names_stay_as_they_are():
    assert modality_name("cxr") == "Chest X-ray"
    assert modality_name("mr") == "mr"
    assert metric_name("quadratic_kappa") == "Quadratic kappa"
    assert metric_name("ece") == "Calibration error (ECE)"
    assert protocol_name("linear_probe") == "Linear probe"
    assert protocol_name("knn") == "k nearest neighbours"
