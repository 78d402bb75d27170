"""Training that diverges stops, says where, and leaves the parameters of the last whole epoch."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from campaigns.run_kills import TINY
from support.command import fails

from deepcompress.errors import ArgumentError, OutputError
from deepcompress.experiments import datasets, phases, recipes
from deepcompress.experiments import run as experiment_run
from deepcompress.experiments.recipes import Training
from deepcompress.nn.layers import Linear, ReLU
from deepcompress.nn.network import Network
from deepcompress.nn.optim import SGD, Adam, Optimizer, constant
from deepcompress.nn.train import fit
from deepcompress.nn.trainable import Free, Masked, Shared, Trainable, free

NETWORK = Network("tiny", (Linear("a", 20, 30), ReLU("r"), Linear("b", 30, 4)), (20,))
KINDS = ("free", "masked", "shared")
BREAKING = {  # optimizer and rate
    "rate": (SGD(), 1e8),
    "no momentum": (SGD(momentum=0.0), 1e8),
    "momentum": (SGD(momentum=4.0), 0.05),
    "adam": (Adam(), 1e30),
    "l2": (SGD(l2=1e6), 1.0),
    "not a rate": (SGD(), float("nan")),
}


def data(dtype: Any = np.float32) -> tuple[np.ndarray, np.ndarray]:
    """Return 500 inputs and their classes."""
    rng = np.random.default_rng(0)
    return rng.normal(size=(500, 20)).astype(dtype), rng.integers(0, 4, 500)


def prepared(kind: str, dtype: Any = np.float32) -> tuple[dict[str, np.ndarray], list[Trainable]]:
    """Return parameters and trainables of a kind, half of the weights pruned but for "free"."""
    params = NETWORK.init(np.random.default_rng(1), dtype=dtype)
    if kind == "free":
        return params, free(params)
    trainables: list[Trainable] = []
    for name, tensor in params.items():
        mask = np.abs(tensor) > np.median(np.abs(tensor))
        if tensor.ndim == 1:
            trainables.append(Free(name, tensor))
        elif kind == "masked":
            tensor[~mask] = 0
            trainables.append(Masked(name, tensor, mask))
        else:
            codebook = np.array([0, -0.1, 0.1], dtype)
            labels = np.where(tensor[mask] < 0, 1, 2)
            tensor[~mask], tensor[mask] = 0, codebook[labels]
            trainables.append(Shared(name, codebook, labels, np.flatnonzero(mask)))
    return params, trainables


def frozen(params: dict[str, np.ndarray], trainables: list[Trainable], state: dict) -> list[bytes]:
    """Return the bytes of all that training changes."""
    arrays = [*params.values(), *(one.value for one in trainables), *state.values()]
    return [array.tobytes() for array in arrays]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("case", BREAKING)
def test_the_last_whole_epoch_is_kept(kind: str, case: str) -> None:
    """Two epochs go well; what the third changed is undone, on any number of threads alike."""
    optimizer, rate = BREAKING[case]
    good = type(optimizer)()

    def trained(threads: int) -> tuple[list[bytes], str]:
        params, trainables = prepared(kind)
        arguments = NETWORK, params, data(), trainables
        options: dict[str, Any] = {"batch_size": 32, "seed": (0,), "threads": threads}
        state = fit(*arguments, good, constant(0.01), epochs=2, **options)
        before, told = frozen(params, trainables, state), []
        options |= {"start_epoch": 2, "epochs": 9, "state": state}
        on_epoch = {"on_epoch": lambda *seen: told.append(seen[:2])}
        with pytest.raises(ArgumentError) as caught:
            fit(*arguments, optimizer, constant(rate), **options, **on_epoch)
        epoch = 2 + len(told)
        assert np.isfinite([loss for _, loss in told]).all()
        if not told:
            assert frozen(params, trainables, state) == before
        assert all(np.isfinite(array).all() for array in [*params.values(), *state.values()])
        message = str(caught.value)
        assert f" of epoch {epoch + 1}: the loss isn't finite at a rate of {rate:g}; " in message
        assert "lower the rate or the momentum" in message
        assert f"are again as before epoch {epoch + 1}" in message
        options |= {"start_epoch": epoch, "epochs": epoch + 1}
        fit(*arguments, good, constant(0.01), **options)
        return frozen(params, trainables, state), message

    assert trained(1) == trained(2)


@pytest.mark.parametrize(
    ("done", "found"),
    [(0, "step 2 of epoch 1: the loss"), (10, "step 12 of epoch 1: the loss"),
     (15, "step 16 of epoch 1: parameter 'a.weight'")],
)  # fmt: skip
def test_in_the_midst_of_an_epoch(done: int, found: str) -> None:
    """Steps count from 1; those before in the epoch are undone; its last step is checked, too."""
    params, trainables = prepared("free")
    start = frozen(params, trainables, {})

    def schedule(epoch: float) -> float:
        return 0.01 if epoch < done / 16 else float("inf")

    options: dict[str, Any] = {"epochs": 1, "batch_size": 32, "seed": (0,)}
    with pytest.raises(ArgumentError, match=f"in {found} isn't finite at a rate of inf"):
        fit(NETWORK, params, data(), trainables, SGD(), schedule, **options)
    assert frozen(params, trainables, {}) == start


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_squares_that_overflow(dtype: Any) -> None:
    """Adam's parameters would stay finite, and never move again."""
    params, trainables = prepared("free", dtype)
    x, labels = data(dtype)
    x *= np.sqrt(np.finfo(dtype).max) * 10
    with pytest.raises(ArgumentError, match=r"the optimizer's 'a.weight.square' isn't finite"):
        fit(
            *(NETWORK, params, (x, labels), trainables, Adam(), constant(1e-3)),
            epochs=2,
            batch_size=32,
            seed=(0,),
        )


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_is_not_finite_at_the_start(bad: float, dtype: Any) -> None:
    """Parameters, values and states are named as such, and nothing is changed."""

    def error(optimizer: Optimizer, state: Any = None) -> str:
        before = frozen(params, trainables, {})
        with pytest.raises(ArgumentError) as caught:
            fit(
                *(NETWORK, params, (x, labels), trainables, optimizer, constant(0.01)),
                epochs=1,
                batch_size=32,
                seed=(0,),
                state=state,
            )
        assert frozen(params, trainables, {}) == before
        return str(caught.value)

    params, trainables = prepared("free", dtype)
    x, labels = data(dtype)
    state = Adam().init(trainables)
    state["b.bias.mean"][1] = bad
    assert error(Adam(), state) == "the optimizer's 'b.bias.mean' holds NaN or infinity"
    trainables[1].value[2] = bad
    assert error(SGD()) == "parameter 'a.bias' holds NaN or infinity"
    params["a.weight"][3, 4] = bad
    assert error(SGD()) == "parameter 'a.weight' holds NaN or infinity"


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", KINDS)
def test_an_input_that_is_not_finite(bad: float, kind: str) -> None:
    """It is named in place of a rate."""
    params, trainables = prepared(kind)
    start = frozen(params, trainables, {})
    x, labels = data()
    x[117] = bad
    message = r"in step \d+ of epoch 1: input 117 of 500 holds NaN or infinity; correct it"
    with pytest.raises(ArgumentError, match=message):
        fit(
            *(NETWORK, params, (x, labels), trainables, SGD(), constant(0.01)),
            epochs=1,
            batch_size=32,
            seed=(0,),
        )
    assert frozen(params, trainables, {}) == start


@pytest.fixture
def diverging(monkeypatch: pytest.MonkeyPatch) -> recipes.Recipe:
    """Let retraining in ``demo`` and ``run digits`` diverge, with a record after each epoch."""
    round_ = replace(TINY.rounds[0], retrain=Training(epochs=2, rate=1e30))
    recipe = replace(TINY, rounds=(round_,))
    monkeypatch.setattr(recipes, "DEMO", recipe)
    monkeypatch.setitem(recipes.RECIPES, ("paper", "digits"), recipe)
    monkeypatch.setattr(phases, "PIECE_EPOCHS", 1)
    return recipe


def test_a_run_goes_on_where_it_diverged(
    diverging: recipes.Recipe, digits: datasets.Dataset, tmp_path: Path
) -> None:
    """The phases before are kept; a run with another recipe needs another folder, and works."""
    errors, told = [], []
    for _ in range(2):
        with pytest.raises(ArgumentError) as caught:
            experiment_run.run(
                *(diverging, digits, tmp_path),
                on_epoch=lambda phase, epoch, loss: told.append((phase, epoch)),
            )
        errors.append(str(caught.value))
    assert told == [("train", 1), ("train", 2)]
    assert errors[0] == errors[1]
    assert errors[0].startswith("phase 'retrain-1': training diverged in step ")
    assert f"kept in {tmp_path}, where the same run would fail again" in errors[0]
    with pytest.raises(OutputError, match="holds another run"):
        experiment_run.run(TINY, digits, tmp_path)


@pytest.mark.parametrize("verb", [("demo",), ("run", "digits")])
def test_a_command_says_so_in_one_line(
    verb: tuple[str, ...], diverging: recipes.Recipe, tmp_path: Path
) -> None:
    message = fails(2, *verb, "--out", tmp_path / "out")
    assert message.startswith("phase 'retrain-1': training diverged in step 2 of epoch 1")
    assert "lower the rate" in message
