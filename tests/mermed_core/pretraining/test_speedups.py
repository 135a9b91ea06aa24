"""Each speed-up against the plain form: the same values, the same gradients, the same random draws."""

import contextlib
import copy
import multiprocessing
import platform
import resource
from typing import cast

import numpy as np
import pytest
import timm
import torch
from timm.models import VisionTransformer
from torch import nn

from mermed_core.errors import RecipeError
from mermed_core.pretraining.distributed import Processes
from mermed_core.pretraining.speedups import (
    compile_encoder,
    explain_compile_errors,
    keep_freed_memory,
    shorten_last_block,
    skip_dropped_branches,
    use_single_precision_convolutions,
    without_compiling,
)
from mermed_core.pretraining.student_teacher import build_student_teacher

_PAGES = 20_000


def vit(**options) -> VisionTransformer:
    torch.manual_seed(0)
    options = {"img_size": 32, "embed_dim": 48, "num_heads": 3, "depth": 3, "num_classes": 0, **options}
    return cast(VisionTransformer, timm.create_model("vit_tiny_patch16_224", **options).double())


def images(count):
    return torch.randn(count, 3, 32, 32, generator=torch.Generator().manual_seed(1)).double()


def assert_equal_gradients(first, second):
    theirs = dict(second.named_parameters())
    for name, parameter in first.named_parameters():
        torch.testing.assert_close(parameter.grad, theirs[name].grad, rtol=0, atol=1e-10)


class TestShortenedLastBlock:
    @pytest.mark.parametrize(
        "options",
        [{}, {"qkv_bias": False}, {"init_values": 0.1, "qk_norm": True}, {"scale_attn_norm": True}],
        ids=["plain", "no_bias", "scale_and_qk_norm", "attention_norm"],
    )
    def test_embedding_and_gradients_are_those_of_the_whole_block(self, options):
        whole = vit(**options)
        ours = copy.deepcopy(whole)
        assert shorten_last_block(ours)
        direction = torch.randn(3, 48).double()
        embeddings = [model(images(3)) for model in (whole, ours)]
        torch.testing.assert_close(*embeddings, rtol=0, atol=1e-10)
        for embedding in embeddings:
            (embedding * direction).sum().backward()
        assert_equal_gradients(ours, whole)

    def test_stochastic_depth_draws_the_same_images(self):
        whole = vit(drop_path_rate=0.5).train()
        ours, embeddings = copy.deepcopy(whole), []
        shorten_last_block(ours)
        for model in (whole, ours):
            torch.manual_seed(1)
            embeddings.append(model(images(8)))
        torch.testing.assert_close(*embeddings)

    def test_a_copy_has_its_own_weights(self):
        first = vit()
        shorten_last_block(first)
        before, second = first(images(2)), copy.deepcopy(first)
        for parameter in first.parameters():
            parameter.data.zero_()
        torch.testing.assert_close(second(images(2)), before)

    def test_activations_can_be_checkpointed(self):
        plain, saving = vit(), vit()
        saving.set_grad_checkpointing(True)
        for model in (plain, saving):
            shorten_last_block(model)
            model(images(2)).square().sum().backward()
        assert_equal_gradients(saving, plain)

    @pytest.mark.parametrize(
        ("architecture", "options"),
        [
            ("test_efficientnet", {}),
            ("test_vit", {"global_pool": "avg"}),
            ("test_vit", {"global_pool": "map"}),
            ("eva02_tiny_patch14_224", {"depth": 1}),
            ("vit_relpos_small_patch16_224", {"depth": 1}),
        ],
    )
    def test_an_encoder_that_reads_more_than_the_class_token_stays_as_it_is(self, architecture, options):
        model = timm.create_model(architecture, num_classes=0, **options)
        assert not shorten_last_block(model)
        assert not [module for module in model.modules() if "forward" in vars(module)]

    def test_student_and_teacher_of_a_run_have_it(self, smoke):
        for network in build_student_teacher(smoke("encoder.architecture=test_vit"), Processes("cpu")):
            encoder = cast(VisionTransformer, network.backbone.encoder)
            assert encoder.forward_features(torch.randn(2, 3, 32, 32)).shape == (2, 1, network.backbone.dim)


class TestSkippedBranches:
    @pytest.mark.parametrize(("batch", "seed"), [(1, 0), (1, 1), (2, 2), (16, 3)])
    def test_the_same_images_are_dropped_and_value_and_gradients_are_the_same(self, batch, seed):
        whole = vit(drop_path_rate=0.5).train()
        ours, embeddings = copy.deepcopy(whole), []
        skip_dropped_branches(ours)
        direction = torch.randn(batch, 48).double()
        for model in (whole, ours):
            torch.manual_seed(seed)
            embeddings.append(model(images(batch)))
            (embeddings[-1] * direction).sum().backward()
        torch.testing.assert_close(*embeddings, rtol=0, atol=1e-10)
        assert_equal_gradients(ours, whole)

    def test_a_branch_sees_only_the_images_that_are_left(self):
        model, seen = vit(drop_path_rate=0.9).train(), []
        skip_dropped_branches(model)
        model.get_submodule("blocks.2.mlp").register_forward_hook(lambda *call: seen.append(len(call[1][0])))
        torch.manual_seed(0)
        model(images(64))
        assert 0 < seen[0] < 20

    def test_evaluation_drops_nothing(self):
        whole = vit(drop_path_rate=0.5).eval()
        ours = copy.deepcopy(whole)
        skip_dropped_branches(ours)
        torch.testing.assert_close(ours(images(3)), whole(images(3)), rtol=0, atol=0)

    def test_checkpointed_activations_are_computed_again_with_the_same_draws(self):
        plain, saving = vit(drop_path_rate=0.5).train(), vit(drop_path_rate=0.5).train()
        saving.set_grad_checkpointing(True)
        for model in (plain, saving):
            skip_dropped_branches(model)
            torch.manual_seed(3)
            model(images(5)).square().sum().backward()
        assert_equal_gradients(saving, plain)

    def test_half_precision_works(self):
        model = vit(drop_path_rate=0.5).train().float()
        skip_dropped_branches(model)
        with torch.autocast("cpu", torch.bfloat16):
            embeddings = model(images(6).float())
        embeddings.float().sum().backward()
        assert torch.isfinite(embeddings).all()

    def test_an_encoder_without_such_blocks_stays_as_it_is(self):
        for model in (vit(), timm.create_model("test_efficientnet", drop_path_rate=0.5)):
            skip_dropped_branches(model)
            assert not [module for module in model.modules() if "forward" in vars(module)]


class TestSinglePrecisionConvolutions:
    def test_the_gradient_on_the_smallest_map_is_that_of_single_precision(self):
        torch.manual_seed(0)
        single = nn.Conv2d(8, 8, 3, stride=2, padding=1)
        half = copy.deepcopy(single)
        use_single_precision_convolutions(half)
        values = torch.randn(14, 8, 1, 1)
        single(values).square().sum().backward()
        for _ in range(20):
            half.zero_grad()
            sizes = (64, 1024, 16_384, 262_144)
            spoiled = [torch.full((size,), float("nan")) for size in sizes for _ in range(6)]
            del spoiled  # reading this memory would show
            with torch.autocast("cpu", torch.bfloat16):
                output = half(values)
            output.square().sum().backward()
            torch.testing.assert_close(half.weight.grad, single.weight.grad)

    def test_all_other_layers_stay_in_half_precision(self):
        network = nn.Sequential(
            nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3), nn.Flatten(), nn.Linear(144, 2)
        )
        use_single_precision_convolutions(network)
        types = []
        for layer in network:
            layer.register_forward_hook(lambda *call: types.append(call[2].dtype))
        with torch.autocast("cpu", torch.bfloat16):
            network(torch.zeros(1, 3, 8, 8))
        assert types == [torch.float32, *[torch.bfloat16] * 3]

    def test_a_subclass_keeps_its_own_forward_and_a_copy_its_own_weights(self):
        network = timm.create_model("test_resnet", num_classes=0).eval()
        pixels = torch.randn(2, 3, 32, 32)
        before = network(pixels)
        use_single_precision_convolutions(network)
        other = copy.deepcopy(network)
        for parameter in network.parameters():
            parameter.data.zero_()
        torch.testing.assert_close(other(pixels), before)

    @pytest.mark.parametrize(("precision", "single"), [("bf16", True), ("fp32", False)])
    def test_a_run_in_half_precision_on_the_cpu_has_them(self, smoke, precision, single):
        recipe = smoke("encoder.architecture=test_resnet", f"compute.precision={precision}")
        for network in build_student_teacher(recipe, Processes("cpu")):
            padded = [
                module
                for module in network.modules()
                if isinstance(module, nn.Conv2d) and module.padding != (0, 0)
            ]
            assert padded
            assert all(("forward" in vars(module)) == single for module in padded)


def _count_page_faults(answers) -> None:
    kept, faults = keep_freed_memory(), _PAGES
    for _ in range(2):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        np.ones(_PAGES * resource.getpagesize(), np.uint8)
        faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
    answers.put((kept, faults))


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has mallopt")
def test_malloc_keeps_the_memory_of_a_step_for_the_next():
    context = multiprocessing.get_context("fork")  # what malloc has been told cannot be taken back
    answers = context.SimpleQueue()
    process = context.Process(target=_count_page_faults, args=(answers,))
    process.start()
    kept, faults = answers.get()
    process.join()
    assert kept
    assert faults < 0.01 * _PAGES  # each page faults once more where the memory was given back


class TestCompilation:
    def test_an_encoder_is_compiled_at_its_first_views_unless_told_not_to(self, monkeypatch):
        model, graphs = vit(depth=1).float(), []

        def backend(graph, _):
            graphs.append(graph)
            return graph.forward

        compile_module = nn.Module.compile
        monkeypatch.setattr(
            nn.Module, "compile", lambda self, **options: compile_module(self, backend=backend, **options)
        )
        compile_encoder(model)
        pixels = images(2).float()
        with without_compiling(True):
            expected = model(pixels)
        assert not graphs
        torch.testing.assert_close(model(pixels), expected)
        assert graphs
        assert isinstance(without_compiling(False), contextlib.nullcontext)

    def test_an_error_of_the_compiler_is_explained_and_any_other_is_not(self):
        """Fails when an upgrade moves the compiler's errors, which have no public class."""

        def fail(graph, _):
            raise ValueError("no compiler\nand more")

        with (
            pytest.raises(RecipeError, match=r"^'compute\.compile' is true, but nothing .*: backend='fail'"),
            explain_compile_errors(),
        ):
            torch.compile(lambda x: x + 1, backend=fail)(torch.zeros(1))
        with pytest.raises(RuntimeError, match="another"), explain_compile_errors():
            raise RuntimeError("another")
