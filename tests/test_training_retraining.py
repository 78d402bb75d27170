"""Arrays of any framework are pruned, retrained, shared and fine-tuned."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import deepcompress
from deepcompress.config import Config
from deepcompress.nn.optim import SGD, Adam, Optimizer
from deepcompress.training import Retraining, Timetable

Array = npt.NDArray[Any]
CONFIG = Config({"bits": 3}, by_kind={"fc": {"sparsity": 0.75}})


@dataclass
class Quadratic:
    """A model whose loss is half the squared distance of its parameters from a goal."""

    values: dict[str, Array]
    goal: dict[str, Array] = field(default_factory=dict)

    def __post_init__(self) -> None:
        rng = np.random.default_rng(1)
        self.goal = {
            name: rng.normal(size=a.shape).astype(a.dtype) for name, a in self.values.items()
        }

    def arrays(self) -> dict[str, Array]:
        return self.values

    def gradients(self) -> dict[str, Array]:
        return {name: self.values[name] - self.goal[name] for name in self.values}

    def put(self, arrays: dict[str, Array]) -> None:
        self.values = {name: array.copy() for name, array in arrays.items()}


def quadratic(dtype: Any = np.float32) -> Quadratic:
    rng = np.random.default_rng(0)
    shapes = {"fc.weight": (20, 30), "fc.bias": (20,), "small": (3, 3)}
    return Quadratic({n: rng.normal(size=s).astype(dtype) for n, s in shapes.items()})


@pytest.mark.parametrize("optimizer", [SGD(momentum=0.9, l2=0.01), Adam(l2=0.01)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_masks_and_codebooks_last(optimizer: Optimizer, dtype: Any) -> None:
    model = quadratic(dtype)
    retraining = Retraining(model, CONFIG, optimizer=optimizer)
    zeros = model.values["fc.weight"] == 0
    assert zeros.sum() == 450
    for _ in range(5):
        retraining.step(0.1)
    assert np.array_equal(model.values["fc.weight"] == 0, zeros)
    retraining.share()
    before = model.values["fc.weight"]
    for _ in range(5):
        retraining.step(0.001)
    assert not np.array_equal(model.values["fc.weight"], before)
    assert len(np.unique(model.values["fc.weight"])) == 8
    assert len(np.unique(model.values["small"])) == 9
    packed = retraining.finalize({"made": "here"})
    assert packed.metadata == {"made": "here"}
    for name, values in model.values.items():
        assert values.dtype == dtype
        assert np.array_equal(packed.to_dense()[name], values)


def test_the_gradient_of_a_centroid_is_the_sum_of_its_members() -> None:
    model = quadratic()
    retraining = Retraining(model, CONFIG, optimizer=SGD(momentum=0))
    retraining.share()
    before = model.values["fc.weight"]
    grad = model.gradients()["fc.weight"]
    retraining.step(0.001)
    for centroid in np.unique(before[before != 0]):
        members = before == centroid
        moved = centroid - 0.001 * grad[members].sum()
        assert model.values["fc.weight"][members] == pytest.approx(moved, rel=1e-5)


def test_retraining_reduces_the_loss_that_pruning_left() -> None:
    def loss(model: Quadratic) -> float:
        return sum(float(np.square(grad).sum()) for grad in model.gradients().values())

    model = quadratic()
    retraining = Retraining(model, CONFIG)
    losses = [loss(model)]
    for _ in range(30):
        retraining.step(0.05)
    losses.append(loss(model))
    assert losses[1] < 0.8 * losses[0]


def test_momentum_of_survivors_outlives_a_pruning() -> None:
    model, dense = quadratic(), quadratic()
    retraining = Retraining(model, CONFIG, Timetable(prune_after=3))
    plain = Retraining(dense, Config({"method": "raw"}))
    for _ in range(6):
        retraining.step(0.05)
        plain.step(0.05)
    survives = model.values["fc.weight"] != 0
    assert survives.sum() == 150
    np.testing.assert_array_equal(
        model.values["fc.weight"][survives], dense.values["fc.weight"][survives]
    )


@pytest.mark.parametrize("steps", [1, 3, 6])  # dense, while it is pruned, and once it is shared
def test_a_state_goes_on_with_the_same_numbers(steps: int) -> None:
    timetable = Timetable(2, 3, 1, 6)
    first, optimizer = quadratic(), Adam()
    one = Retraining(first, CONFIG, timetable, optimizer=optimizer)
    for _ in range(steps):
        one.step(0.01)
    state, values = one.state_dict(), {name: a.copy() for name, a in first.values.items()}
    second = quadratic()
    other = Retraining(second, CONFIG, timetable, optimizer=optimizer)
    second.put(values)
    other.load_state_dict(state)
    for _ in range(5):
        one.step(0.01)
        other.step(0.01)
    for name in values:
        np.testing.assert_array_equal(second.values[name], first.values[name])
    if steps == 6:
        assert other.finalize().to_bytes() == one.finalize().to_bytes()


def test_a_ramp_follows_the_cubic_schedule() -> None:
    model = quadratic()
    retraining = Retraining(model, CONFIG, Timetable(1, 4, 2))
    found = []
    for _ in range(6):
        found.append(np.mean(model.values["fc.weight"] == 0))
        retraining.step(0.05)
    expected = [0, 0, 0, 0.75 * (1 - 0.5**3), 0.75 * (1 - 0.5**3), 0.75]
    assert found == pytest.approx(expected, abs=1e-3)


def test_a_sensitivity_is_met_by_the_weights_of_the_first_pruning() -> None:
    model = quadratic()
    by_name = {"fc.weight": {"sensitivity": 1.0, "bits": 3}, "small": {"threshold": 0.5}}
    config = Config(by_name=by_name)
    weights = model.values["fc.weight"]
    Retraining(model, config)
    expected = deepcompress.prune.sensitivity_mask(weights, 1.0)
    np.testing.assert_array_equal(model.values["fc.weight"] != 0, expected)
    assert (np.abs(model.values["small"]) <= 0.5).sum() == (model.values["small"] == 0).sum() > 0


def refused(call: Callable[[], object], *parts: str) -> None:
    with pytest.raises(deepcompress.ArgumentError) as caught:
        call()
    for part in parts:
        assert part in str(caught.value)


def test_gradients_that_do_not_fit() -> None:
    model = quadratic()
    retraining = Retraining(model, CONFIG)
    before = {name: values.copy() for name, values in model.values.items()}
    for wrong, part in (
        ({}, "'fc.weight': its gradient is missing"),
        (model.gradients() | {"small": np.zeros((3, 4))}, "'small': its gradient has shape (3, 4)"),
        (model.gradients() | {"fc.bias": np.full(20, np.nan)}, "NaN or infinity in step 1"),
    ):
        model.gradients = lambda wrong=wrong: wrong
        refused(lambda: retraining.step(0.1), part)
    assert retraining.steps == 0
    for name, values in before.items():
        np.testing.assert_array_equal(model.values[name], values)


def test_parameters_that_do_not_fit() -> None:
    refused(lambda: Retraining(Quadratic({})), "no parameters")
    half = Quadratic({"w": np.zeros(3, np.float16)})
    refused(lambda: Retraining(half), "'w'", "float16")
    refused(lambda: Retraining(Quadratic({"w": np.full(3, np.inf)})), "'w'", "infinity")
    misspelt = Config(by_name={"fc.weigth": {"bits": 3}})
    refused(lambda: Retraining(quadratic(), misspelt), "'fc.weigth'")


def test_states_and_steps_that_do_not_fit() -> None:
    retraining = Retraining(quadratic(), CONFIG)
    other = Retraining(quadratic(), CONFIG, optimizer=Adam())
    refused(lambda: retraining.load_state_dict(other.state_dict()), "another optimizer")
    small = Retraining(Quadratic({"fc.weight": np.ones((20, 31), np.float32)}), CONFIG)
    refused(lambda: retraining.load_state_dict(small.state_dict()), "another")
    refused(lambda: retraining.load_state_dict({}), "another")
    retraining.finalize()
    refused(lambda: retraining.step(0.1), "step: finalize was called already")
    refused(retraining.finalize, "finalize: finalize was called already")


def test_timetables_that_contradict_themselves() -> None:
    refused(lambda: Timetable(5, 3, share_after=7), "share_after 7", "step 8")
    refused(lambda: Timetable(prune_after=-1), "prune_after", "-1")
    refused(lambda: Timetable(ramp_steps=True), "ramp_steps", "True")


def test_the_package_loads_no_framework() -> None:
    code = "import deepcompress, sys; print({'torch', 'sklearn', 'distributed'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
