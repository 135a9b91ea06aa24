"""The quality of embeddings: measures against independent ones, and a collapse that is named."""

import math

import numpy as np
import pandas as pd
import pytest
import torch

from mermed_core.data.manifest import Manifest
from mermed_core.pretraining.monitor import EmbeddingQuality, Monitor, effective_rank, knn_votes
from mermed_core.pretraining.student_teacher import build_student


def unit(count, dim, seed=0):
    vectors = np.random.default_rng(seed).normal(size=(count, dim))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def labelled(make_manifest, splits=("train", "val")):
    table = make_manifest({"ct": 50, "oct": 50}).frame
    classes = np.tile(["healthy", "ill"], 50)
    table = table.assign(
        split=np.repeat(list(splits), 50) if len(splits) == 2 and splits[0] != splits[1] else splits[0],
        labels=[[name] for name in classes],
        task=np.repeat(["ct_task", "oct_task"], 50),
    )
    return Manifest.from_frame(pd.DataFrame(table))


@pytest.mark.parametrize("directions", [1, 3, 8])
def test_the_rank_of_equal_spread_is_the_number_of_directions(directions):
    axes = np.eye(10)[:directions]
    assert effective_rank(np.concatenate([axes, -axes]) + 5) == pytest.approx(directions)


def test_the_rank_weighs_directions_by_their_variance():
    points = np.array([[2.0, 0], [-2, 0], [0, 1], [0, -1]])
    shares = np.array([0.8, 0.2])
    assert effective_rank(points) == pytest.approx(math.exp(-(shares * np.log(shares)).sum()))
    assert effective_rank(np.ones((5, 3))) == 0


def test_votes_are_those_of_the_nearest_of_other_groups():
    vectors, targets = unit(60, 5), np.eye(3)[np.random.default_rng(1).integers(0, 3, 60)]
    groups = np.repeat(np.arange(20), 3).astype(str)
    ours = knn_votes(vectors.copy(), targets, groups)
    for row in range(60):
        others = [other for other in range(60) if groups[other] != groups[row]]
        nearest = sorted(others, key=lambda other: -float(vectors[row] @ vectors[other]))[:20]
        votes = np.sum(
            [math.exp(vectors[row] @ vectors[other] / 0.07) * targets[other] for other in nearest], 0
        )
        np.testing.assert_allclose(ours[row], votes / votes.sum(), rtol=1e-4)


def test_images_of_one_patient_alone_have_no_votes():
    assert not knn_votes(unit(4, 3), np.eye(4), np.array(["a"] * 4)).any()


def test_it_samples_the_val_split_only_and_so_many_images_of_each_modality(make_manifest, smoke):
    monitor = Monitor(smoke("run.monitor_images=12"), labelled(make_manifest))
    frame = monitor.images.frame
    assert set(frame["split"]) == {"val"}
    assert frame["modality"].tolist() == ["oct"] * 12
    again = Monitor(smoke("run.monitor_images=12"), labelled(make_manifest))
    assert again.images == monitor.images


def test_every_measure_is_there_and_the_teacher_stays_as_it_was(make_manifest, smoke):
    recipe = smoke("run.monitor_images=100", "encoder.freeze_batch_norm=true")
    teacher = build_student(recipe).train()
    before = {name: tensor.clone() for name, tensor in teacher.state_dict().items()}
    modes = [module.training for module in teacher.modules()]
    quality = Monitor(recipe, labelled(make_manifest, ("val",))).evaluate(teacher.backbone)
    assert [module.training for module in teacher.modules()] == modes
    assert all(torch.equal(tensor, before[name]) for name, tensor in teacher.state_dict().items())
    assert set(quality.embedding_rank) == set(quality.embedding_std) == {"ct", "oct"}
    assert {key: set(tasks) for key, tasks in quality.knn_auroc.items()} == {
        "ct": {"ct_task"},
        "oct": {"oct_task"},
    }
    means = [quality.knn_auroc["ct"]["ct_task"], quality.knn_auroc["oct"]["oct_task"]]
    assert quality.score == pytest.approx(np.mean(means))
    assert quality.collapsed == ()


def test_a_collapse_is_named(make_manifest, smoke):
    teacher = build_student(smoke()).backbone
    with torch.no_grad():
        for parameter in teacher.parameters():
            parameter.zero_()
        for name, parameter in teacher.named_parameters():
            if name.endswith("bias"):
                parameter.fill_(1.0)
    quality = Monitor(smoke("run.monitor_images=9"), labelled(make_manifest, ("val",))).evaluate(teacher)
    assert quality.collapsed == ("ct", "oct")


def test_without_val_images_or_labels_there_is_no_score(make_manifest, smoke):
    teacher = build_student(smoke()).backbone
    assert Monitor(smoke(), make_manifest({"ct": 4})).evaluate(teacher) == EmbeddingQuality()
    unlabelled = Manifest.from_frame(make_manifest({"ct": 4}).frame.assign(split="val"))
    quality = Monitor(smoke(), unlabelled).evaluate(teacher)
    assert quality.score is None
    assert quality.embedding_rank["ct"] > 1


@pytest.mark.parametrize("compiled", [True, False])
def test_nothing_is_compiled_for_it(smoke, make_manifest, compiled):
    recipe = smoke(f"compute.compile={str(compiled).lower()}", "encoder.architecture=test_vit")
    backbone = build_student(recipe).backbone
    graphs = []

    def note(graph, _):
        graphs.append(graph)
        return graph.forward

    if compiled:
        backbone.encoder.compile(backend=note, dynamic=False)
    quality = Monitor(recipe, labelled(make_manifest)).evaluate(backbone)
    assert not graphs
    assert quality.embedding_rank
    if compiled:
        backbone(torch.zeros(2, 3, 32, 32))
        assert graphs
