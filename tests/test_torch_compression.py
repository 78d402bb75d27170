"""A module of PyTorch keeps masks and codebooks through its own training loop."""

import io
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import deepcompress
from deepcompress.nn.optim import SGD
from deepcompress.torch import Compression, prepare, state_dict
from deepcompress.training import Retraining, Timetable

CONFIG = deepcompress.Config(
    {"bits": 3},
    by_kind={"fc": {"sparsity": 0.75}},
    by_name={"2.weight": {"sensitivity": 0.5, "bits": 2}},
)
OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, 0.01, momentum=0.9, weight_decay=0.01),
    "adam": lambda p: torch.optim.Adam(p, 0.01, weight_decay=0.01),
    "adamw": lambda p: torch.optim.AdamW(p, 0.01, weight_decay=0.1, foreach=True),
}
each_optimizer = pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(20, 30), nn.ReLU(), nn.Linear(30, 10))


def batches(count: int, seed: int = 0) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    for _ in range(count):
        yield (
            torch.randn(16, 20, generator=generator),
            torch.randint(10, (16,), generator=generator),
        )


def train(
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    compression: Compression | None = None,
    count: int = 5,
    seed: int = 0,
) -> None:
    for x, y in batches(count, seed):
        optimizer.zero_grad()
        nn.functional.cross_entropy(module(x), y).backward()
        optimizer.step()
        if compression is not None:
            compression.step()


def distinct(tensor: torch.Tensor) -> int:
    return len(torch.unique(tensor[tensor != 0]))


@each_optimizer
def test_masks_survive_an_optimizer_that_knows_them_not(
    make: Callable[..., torch.optim.Optimizer],
) -> None:
    module = network()
    optimizer = make(module.parameters())
    train(module, optimizer)  # which gives all weights momentum
    compression = prepare(module, CONFIG)
    zeros = module[0].weight == 0
    assert zeros.sum() == 450
    before = module[0].weight.detach().clone()
    train(module, optimizer, compression)
    assert torch.equal(module[0].weight == 0, zeros)
    assert not torch.equal(module[0].weight, before)
    assert compression.sparsity["0.weight"] == 0.75
    assert (module[0].bias != 0).all()


@each_optimizer
def test_shared_weights_stay_shared(make: Callable[..., torch.optim.Optimizer]) -> None:
    module = network()
    optimizer = make(module.parameters())
    compression = prepare(module, CONFIG)
    train(module, optimizer, compression)
    compression.share()
    labels = compression.state_dict()["labels.0.weight"]
    before = module[0].weight.detach().clone()
    train(module, optimizer, compression)
    assert distinct(module[0].weight) == 7
    assert not torch.equal(module[0].weight, before)
    for label in range(8):
        assert len(torch.unique(module[0].weight[labels == label])) == 1


def test_a_centroid_moves_by_the_sum_of_its_members_gradients() -> None:
    module = nn.Linear(2, 2, bias=False)
    module.weight.data = torch.tensor([[1.0, 1.0], [-2.0, 0.0]])
    compression = prepare(module, deepcompress.Config(by_name={"weight": {"bits": 2}}))
    compression.share()
    optimizer = torch.optim.SGD(module.parameters(), 0.5)
    for factor in (1.0, 2.0):  # gradients of two batches add up
        (factor * module(torch.tensor([[0.25, 0.5]])).sum()).backward()
    optimizer.step()
    compression.step()
    # Of the first two weights 3 * (0.25 + 0.5) * 0.5, of the third 3 * 0.25 * 0.5.
    expected = torch.tensor([[-0.125, -0.125], [-2.375, 0.0]])
    assert torch.equal(module.weight, expected)


class Gradients:
    """A module's parameters and gradients as arrays."""

    def __init__(self, module: nn.Module) -> None:
        self.module = module

    def arrays(self) -> dict[str, np.ndarray]:
        return {name: one.detach().numpy() for name, one in self.module.named_parameters()}

    def gradients(self) -> dict[str, np.ndarray]:
        return {name: one.grad.numpy() for name, one in self.module.named_parameters()}

    def put(self, arrays: dict[str, np.ndarray]) -> None:
        for name, one in self.module.named_parameters():
            one.data.copy_(torch.from_numpy(arrays[name]))


def test_it_is_the_course_that_arrays_take() -> None:
    ours, theirs = network(), network()
    ours.load_state_dict(theirs.state_dict())
    timetable = Timetable(2, 4, 2, 8)
    retraining = Retraining(Gradients(ours), CONFIG, timetable, optimizer=SGD(momentum=0))
    for x, y in batches(12):
        ours.zero_grad()
        nn.functional.cross_entropy(ours(x), y).backward()
        retraining.step(0.01)
    options = {"prune_after": 2, "ramp_steps": 4, "prune_every": 2, "share_after": 8}
    compression = prepare(theirs, CONFIG, **options)
    train(theirs, torch.optim.SGD(theirs.parameters(), 0.01), compression, count=12)
    for name, value in theirs.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], value, msg=name)
    packed, other = retraining.finalize(), compression.finalize()
    assert packed["0.weight"].density == other["0.weight"].density == 0.25
    assert list(packed) == list(other)


def test_a_ramp_prunes_more_and_more() -> None:
    module = network()
    compression = prepare(module, CONFIG, ramp_steps=4, prune_every=1)
    optimizer = OPTIMIZERS["sgd"](module.parameters())
    found = []
    for _ in range(4):
        train(module, optimizer, compression, count=1)
        found.append(compression.sparsity["0.weight"])
    assert found == sorted(found)
    assert found[0] == pytest.approx(0.75 * (1 - 0.75**3), abs=1e-3)
    assert found[-1] == 0.75


@pytest.mark.parametrize("steps", [3, 6])  # while it is pruned, and once it is shared
def test_a_checkpoint_goes_on_with_the_same_numbers(steps: int) -> None:
    def begin() -> tuple[nn.Module, torch.optim.Optimizer, Compression]:
        torch.manual_seed(7)
        module = network()
        options = {"ramp_steps": 4, "prune_every": 2, "share_after": 5}
        return module, OPTIMIZERS["adam"](module.parameters()), prepare(module, CONFIG, **options)

    module, optimizer, compression = begin()
    train(module, optimizer, compression, count=steps)
    file = io.BytesIO()
    parts = {"module": module, "optimizer": optimizer, "compression": compression}
    torch.save({name: part.state_dict() for name, part in parts.items()}, file)
    train(module, optimizer, compression, seed=1)

    file.seek(0)
    saved = torch.load(file, weights_only=True)
    again, other_optimizer, restored = begin()
    again.load_state_dict(saved["module"])
    other_optimizer.load_state_dict(saved["optimizer"])
    restored.load_state_dict(saved["compression"])
    train(again, other_optimizer, restored, seed=1)
    assert restored.steps == compression.steps == steps + 5
    for name, value in module.state_dict().items():
        assert torch.equal(again.state_dict()[name], value), name
    assert restored.finalize().to_bytes() == compression.finalize().to_bytes()


def test_other_weights_loaded_in_the_middle_are_pruned_and_shared_alike() -> None:
    module, other = network(), network()
    compression = prepare(module, CONFIG)
    compression.share()
    labels = compression.state_dict()["labels.0.weight"]
    module.load_state_dict(other.state_dict())
    compression.step()
    members = other[0].weight[labels == 3]
    assert distinct(module[0].weight) == 7
    assert module[0].weight[labels == 3][0].item() == pytest.approx(members.mean().item())


class Tied(nn.Module):
    """An embedding whose weight is the output's, too, and a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(30, 8)
        self.norm = nn.BatchNorm1d(8)
        self.output = nn.Linear(8, 30, bias=False)
        self.output.weight = self.embedding.weight
        self.register_buffer("table", torch.randn(30, 8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.output(self.norm(self.embedding(x)))


def test_tied_modules_stay_tied_and_are_stored_once(tmp_path: Path) -> None:
    module = Tied()
    keys = list(module.state_dict())
    compression = prepare(module, deepcompress.Config({"bits": 3, "sparsity": 0.5}), share_after=1)
    optimizer = torch.optim.SGD(module.parameters(), 0.1, momentum=0.9)
    for _ in range(3):
        optimizer.zero_grad()
        nn.functional.cross_entropy(module(torch.arange(30)), torch.arange(30)).backward()
        optimizer.step()
        compression.step()
    packed = compression.finalize({"made": "here"})
    assert module.output.weight is module.embedding.weight
    assert "output.weight" not in packed
    assert packed.metadata == {"made": "here", "tied": {"output.weight": "embedding.weight"}}
    packed.save(tmp_path / "tied.dcnn")
    decoded = state_dict(deepcompress.load(tmp_path / "tied.dcnn"))
    assert sorted(decoded) == sorted(keys)
    other = Tied()
    other.load_state_dict(decoded)
    for name, value in module.state_dict().items():
        assert torch.equal(other.state_dict()[name], value), name
    assert distinct(module.table) == 240  # a buffer is kept


def test_strip_leaves_a_plain_module() -> None:
    module = network()
    keys = list(module.state_dict())
    compression = prepare(module, CONFIG)
    train(module, torch.optim.SGD(module.parameters(), 0.1), compression)
    packed = compression.finalize()
    assert compression.strip() is module
    assert list(module.state_dict()) == keys == list(packed)
    assert not list(module.buffers())
    assert not any(one._backward_hooks for one in module.parameters())
    assert (distinct(module[0].weight), distinct(module[2].weight)) == (7, 3)
    for name, value in state_dict(packed).items():
        assert torch.equal(module.state_dict()[name], value)
    zeros = module[0].weight == 0
    train(module, torch.optim.SGD(module.parameters(), 0.1))
    assert not torch.equal(module[0].weight == 0, zeros)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_parameters_of_any_precision(dtype: torch.dtype) -> None:
    module = network().to(dtype)
    compression = prepare(module, CONFIG)
    optimizer = torch.optim.SGD(module.parameters(), 0.01, momentum=0.9)
    for x, y in batches(4):
        optimizer.zero_grad()
        nn.functional.cross_entropy(module(x.to(dtype)).float(), y).backward()
        optimizer.step()
        compression.step()
        if compression.steps == 2:
            compression.share()
    assert distinct(module[0].weight) <= 7
    decoded = state_dict(compression.finalize())
    for name, value in module.state_dict().items():
        assert decoded[name].dtype == dtype
        assert torch.equal(decoded[name], value), name


def test_convolutions_in_another_order_of_memory() -> None:
    module = nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU()).to(memory_format=torch.channels_last)
    wanted = module[0].weight.detach().clone().contiguous()
    config = deepcompress.Config(by_kind={"conv": {"sparsity": 0.5}})
    compression = prepare(module, config)
    kept = deepcompress.prune.sparsity_mask(wanted.numpy(), 0.5)
    assert np.array_equal((module[0].weight != 0).numpy(), kept)
    compression.share()
    expected = deepcompress.compress({"w": wanted.numpy()}, config)["w"].to_dense()
    assert np.array_equal(module[0].weight.detach().contiguous().numpy(), expected)


def test_frozen_and_unused_parameters() -> None:
    module = network()
    module[0].weight.requires_grad_(False)
    compression = prepare(module, CONFIG)
    train(module, torch.optim.SGD([module[2].weight], 0.1), compression)
    assert compression.sparsity["0.weight"] == 0.75
    assert set(compression.finalize()) == set(module.state_dict())


def refused(call: Callable[[], object], *parts: str) -> None:
    with pytest.raises(deepcompress.ArgumentError) as caught:
        call()
    for part in parts:
        assert part in str(caught.value)


def test_modules_that_cannot_be_compressed() -> None:
    refused(lambda: prepare(nn.ReLU()), "ReLU has no parameters")
    refused(lambda: prepare("net"), "torch.nn.Module, not str")
    refused(lambda: prepare(nn.LazyLinear(3)), "'weight' has no shape before")
    refused(lambda: prepare(nn.Linear(3, 3, device="meta")), "'weight'", "meta device")
    module = network()
    module[2].weight = nn.Parameter(module[0].weight.data[:10].view(-1)[: 10 * 20].view(10, 20))
    refused(lambda: prepare(module, CONFIG), "'0.weight'", "'2.weight'", "overlap")
    module = network()
    module[0].weight.data[3, 4] = float("nan")
    refused(lambda: prepare(module, CONFIG), "'0.weight'", "NaN")


class Extra(nn.Linear):
    """A layer whose state has more than tensors."""

    def get_extra_state(self) -> dict[str, int]:
        return {"calls": 3}


def test_state_that_a_file_cannot_hold() -> None:
    refused(lambda: prepare(Extra(3, 3)), "'_extra_state'", "isn't a tensor")


def test_parts_of_one_storage_that_do_not_overlap() -> None:
    module, flat = network(), torch.randn(900)
    module[0].weight = nn.Parameter(flat[:600].view(30, 20))
    module[2].weight = nn.Parameter(flat[600:].view(10, 30))
    assert set(prepare(module, CONFIG).sparsity) == {"0.weight", "2.weight"}


def test_configurations_that_do_not_fit() -> None:
    misspelt = deepcompress.Config(by_name={"0.weigth": {"bits": 3}})
    refused(lambda: prepare(network(), misspelt), "'0.weigth'")
    tied = deepcompress.Config(by_name={"output.weight": {"bits": 3}})
    refused(lambda: prepare(Tied(), tied), "'output.weight'", "tied to 'embedding.weight'")
    refused(lambda: prepare(network(), {"bits": 3}), "config must be a Config, not dict")
    refused(lambda: prepare(network(), ramp_steps=8, share_after=7), "share_after 7", "step 8")
    refused(lambda: prepare(network(), prune_every=0), "prune_every")
    refused(lambda: prepare(network(), ramp_steps=8).share(), "after 0 steps", "step 8")
    refused(lambda: prepare(network(), ramp_steps=8).finalize(), "after 0 steps", "step 8")


def test_parameters_that_change_beneath() -> None:
    module = network()
    compression = prepare(module, CONFIG)
    before = module[2].weight
    module[2].weight = nn.Parameter(before.detach().clone())
    refused(compression.step, "'2.weight' was replaced")
    module[2].weight = before
    module.append(nn.Linear(10, 2))
    refused(compression.step, "'3.weight' was added")
    del module[3]
    compression.step()
    module[2].bias = None
    refused(compression.finalize, "'2.bias' was removed")
    assert compression.steps == 1


def test_data_that_is_replaced_under_a_parameter() -> None:
    module = network()
    compression = prepare(module, CONFIG)
    module[0].weight.data = torch.ones(30, 20)
    compression.step()
    assert module[0].weight.sum() == 150


@pytest.mark.parametrize("is_shared", [False, True])
def test_gradients_that_are_not_finite(is_shared: bool) -> None:
    module = network()
    compression = prepare(module, CONFIG)
    if is_shared:
        compression.share()
    optimizer = torch.optim.SGD(module.parameters(), 0.1)
    (module(torch.randn(4, 20)).sum() * float("nan")).backward()
    optimizer.step()
    refused(compression.step, "'0.weight'", "NaN", "step 1")
    assert compression.steps == 0


def test_nothing_goes_on_after_finalize() -> None:
    compression = prepare(network(), CONFIG)
    compression.finalize()
    for name in ("step", "share", "finalize"):
        refused(getattr(compression, name), f"{name}: finalize was called already")
    refused(lambda: compression.load_state_dict(compression.state_dict()), "already")


def test_a_module_that_is_prepared_anew() -> None:
    module = network()
    first = prepare(module, CONFIG)
    first.share()
    second = prepare(module, CONFIG)
    second.share()
    refused(first.step, "step: the module was prepared anew")
    module(torch.ones(1, 20)).sum().backward()
    plain = network()
    plain.load_state_dict(module.state_dict())
    plain(torch.ones(1, 20)).sum().backward()
    labels = second.state_dict()["labels.2.weight"]
    expected = plain[2].weight.grad[labels == 1].sum()
    found = module[2].weight.grad[labels == 1]
    torch.testing.assert_close(found, expected.expand(found.shape))


def test_states_of_other_models() -> None:
    compression = prepare(network(), CONFIG)
    other = prepare(nn.Sequential(nn.Linear(20, 31)), deepcompress.Config({"sparsity": 0.5}))
    refused(lambda: compression.load_state_dict(other.state_dict()), "another model", "(31, 20)")
    third = prepare(nn.Linear(20, 30), deepcompress.Config({"sparsity": 0.5}))
    refused(lambda: compression.load_state_dict(third.state_dict()), "'target.weight'")
    for state in ({}, [], compression.module.state_dict()):
        refused(lambda state=state: compression.load_state_dict(state), "not what state_dict")


def test_without_pytorch_the_error_names_the_extra() -> None:
    code = "import sys; sys.modules['torch'] = None; import deepcompress.torch"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "ImportError: deepcompress.torch needs PyTorch: pip install" in done.stderr
    assert "deepcompress-nn[torch]" in done.stderr
