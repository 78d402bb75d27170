"""What a recipe says is what a run does: no number of it is mistaken for another."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deepcompress.experiments import datasets, phases
from deepcompress.experiments import run as experiment_run
from deepcompress.experiments.recipes import DEMO, Training
from deepcompress.nn import zoo
from deepcompress.nn.layers import Dropout

# No number twice, so that none can stand in for another.
DISTINCT = replace(
    DEMO,
    initializer="xavier",
    batch_size=50,
    momentum=0.8,
    init="random",
    bits={"ip1.weight": 3, "ip2.weight": 4, "ip3.weight": 5},
    dropout={"drop1": 0.3, "drop2": 0.2},
    train=Training(7, 0.05, 0.04, 1e-4),
    rounds=tuple(
        replace(one, retrain=Training(6 - index, 0.03 - index / 100, 0.025, (2 + index) * 1e-4))
        for index, one in enumerate(DEMO.rounds)
    ),
    fine_tune=Training(6, 1e-4, 1e-5, 5e-4),
)


@pytest.fixture
def spy(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any, str, Callable[..., None]], None]:
    """Replace a module's function by one that tells `look` of its arguments first."""

    def install(module: Any, name: str, look: Callable[..., None]) -> None:
        function = getattr(module, name)

        def spied(*arguments: Any, **options: Any) -> Any:
            look(*arguments, **options)
            return function(*arguments, **options)

        monkeypatch.setattr(module, name, spied)

    return install


def test_each_stretch_trains_as_the_recipe_says(
    tmp_path: Path, digits: datasets.Dataset, spy: Callable[..., None]
) -> None:
    stretches, first, last, told = [], {}, [], []

    def look(network, params, data, trainables, sgd, schedule, **options) -> None:
        first.update({name: value.copy() for name, value in params.items() if not stretches})
        rates = {one.name: one.rate for one in network.layers if isinstance(one, Dropout)}
        kept = {name: np.mean(params[name] != 0) for name in DISTINCT.bits}
        kinds = [type(one).__name__ for one in trainables if one.name in DISTINCT.bits]
        epochs = range(options["start_epoch"], options["epochs"])
        assert [one.name for one in trainables] == list(network.param_shapes)
        assert {type(one).__name__ for one in trainables if one.name.endswith(".bias")} == {"Free"}
        assert (options["batch_size"], sgd.momentum) == (50, 0.8)
        assert (options["state"] is None) == (epochs.start == 0)
        if epochs.start:  # goes on where the piece before has ended
            for one, before in zip(trainables, last, strict=True):
                assert (one.value == before.value).all()
        last[:] = trainables
        stretches.append((set(kinds), epochs, options["seed"], sgd.l2, schedule, rates, kept))

    spy(experiment_run, "fit", look)
    experiment_run.run(
        *(DISTINCT, digits, tmp_path / "out"),
        seed=3,
        on_epoch=lambda phase, epoch, loss: told.append((phase, epoch)),
    )
    network = zoo.build(DISTINCT.network)
    initial = network.init(np.random.default_rng([3, 0]), "xavier")
    assert all((initial[name] == value).all() for name, value in first.items())
    recipe, (one, two) = DISTINCT, (one.retrain for one in DISTINCT.rounds)
    expected = [
        ({"Free"}, range(5), (3, 1), recipe.train),
        ({"Free"}, range(5, 7), (3, 1), recipe.train),
        ({"Masked"}, range(5), (3, 2), one),
        ({"Masked"}, range(5, 6), (3, 2), one),
        ({"Masked"}, range(5), (3, 3), two),
        ({"Shared"}, range(5), (3, 4), recipe.fine_tune),
        ({"Shared"}, range(5, 6), (3, 4), recipe.fine_tune),
    ]
    assert [stretch[:3] for stretch in stretches] == [stretch[:3] for stretch in expected]
    for (*_, l2, schedule, rates, kept), (*_, training) in zip(stretches, expected, strict=True):
        assert l2 == training.l2
        assert schedule(0) == pytest.approx(training.rate)
        assert schedule(training.epochs) == pytest.approx(training.final_rate)
        for layer, weight in DISTINCT.dropout_of.items():
            scaled = DISTINCT.dropout[layer] * math.sqrt(kept[weight])
            assert rates[layer] == pytest.approx(scaled)
    phases = [("train", 7), ("retrain-1", 6), ("retrain-2", 5), ("fine-tune", 6)]
    assert told == [(phase, epoch + 1) for phase, epochs in phases for epoch in range(epochs)]


def test_stages_get_what_the_recipe_says(
    tmp_path: Path, digits: datasets.Dataset, spy: Callable[..., None]
) -> None:
    """The rules of pruning with their masks, the sharing with its start, what is measured."""
    pruned, shared, measured = [], [], []

    def look_at_pruning(weights: np.ndarray, sensitivity: float, mask: np.ndarray) -> None:
        pruned.append(sensitivity)
        assert (mask == (weights != 0)).all()

    def look_at_sharing(weights, mask, bits, init, *, rng, **_) -> None:
        shared.append((bits, init, rng.bit_generator.state))
        assert (mask == (weights != 0)).all()

    def look_at_measuring(network, params, data, threads) -> None:
        measured.append((type(params).__name__, threads))

    spy(experiment_run.prune, "sensitivity_mask", look_at_pruning)
    spy(experiment_run.quantize, "share_weights", look_at_sharing)
    spy(phases, "error_percent", look_at_measuring)
    experiment_run.run(DISTINCT, digits, tmp_path / "out", seed=3, threads=1)
    assert pruned == [value for one in DISTINCT.rounds for value in one.sensitivity.values()]
    assert shared == [  # once each: the trained centroids aren't clustered again
        (bits, "random", np.random.default_rng([3, index]).bit_generator.state)
        for index, bits in enumerate((3, 4, 5))
    ]
    assert measured == [*[("dict", 1)] * 3, ("CompressedModel", 1)]
