"""The whole experiment on the digits, shortened: what a run promises, read from its results."""

import math
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import deepcompress as dc
from deepcompress import datasets, experiment, recipes
from deepcompress.ledger import ledger
from deepcompress.nn.layers import Dropout
from deepcompress.nn.network import Network
from deepcompress.paper import PAPER
from deepcompress.recipes import (
    DEMO,
    PAPER_SPARSITY,
    RECIPES,
    Recipe,
    Round,
    Training,
    find_recipe,
    gradual_rounds,
)

SHORT = replace(
    DEMO,
    train=replace(DEMO.train, epochs=7),  # more than one piece
    rounds=tuple(replace(one, retrain=replace(one.retrain, epochs=2)) for one in DEMO.rounds),
    fine_tune=replace(DEMO.fine_tune, epochs=2),
)


@pytest.fixture(scope="module")
def digits() -> datasets.Dataset:
    data = datasets.load_digits()
    return replace(data, train_images=data.train_images[:400], train_labels=data.train_labels[:400])


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, digits: datasets.Dataset) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "finished"
    experiment.run(SHORT, digits, folder, seed=3)
    return folder


def test_what_a_run_leaves(finished: Path, digits: datasets.Dataset) -> None:
    assert {path.name for path in finished.iterdir()} == {
        *("model.dcnn", "report.json", "table.txt", "config.json")
    }
    report = experiment.run(SHORT, digits, finished, seed=3)
    model = dc.load(finished / "model.dcnn")
    data = (finished / "model.dcnn").read_bytes()
    assert report["file_bytes"] == len(data) == sum(row.size_bytes for row in ledger(data))
    assert (report["network"], report["recipe"], report["seed"]) == ("digits", "demo", 3)
    assert report["reference_bytes"] == 4 * 185_810
    assert report["ratio"] == pytest.approx(report["reference_bytes"] / len(data))
    assert report["stages"]["P+Q+H"] == len(data)
    assert set(report["seconds"]) >= {"train", "prune", "retrain", "quantize", "fine-tune"}
    network = experiment.zoo.build(report["network"])
    assert report["compressed_error"] == experiment.error_percent(network, model, digits)
    dense = experiment.error_percent(network, model.to_dense(), digits)
    assert report["compressed_error"] == pytest.approx(dense, abs=100 / 360)
    for name, bits in SHORT.bits.items():
        weights = model[name].to_dense()
        assert len(np.unique(weights[weights != 0])) < 2**bits
        assert 0 < np.count_nonzero(weights) < weights.size


def test_survivors_never_come_back(
    tmp_path: Path, digits: datasets.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Follow the zeros of every weight tensor through all phases of the journal."""
    zeros: dict[str, np.ndarray] = {}
    seen = []

    class Watched(experiment.Journal):
        def phase(self, name: str, function: Any) -> dict[str, Any]:
            record = super().phase(name, function)
            seen.append(name)
            for tensor in SHORT.bits:
                if tensor in record:
                    now = record[tensor] == 0
                    if not name.startswith("prune"):
                        assert (now == zeros.get(tensor, now)).all(), name
                    assert (now | ~zeros.get(tensor, now)).all(), name
                    zeros[tensor] = now
            return record

    monkeypatch.setattr(experiment, "Journal", Watched)
    experiment.run(SHORT, digits, tmp_path / "out", seed=3)
    assert seen == [
        *("train-05", "train-07", "reference-error"),
        *("prune-1", "retrain-1-02", "prune-2", "retrain-2-02", "pruned-error"),
        *("quantize", "fine-tune-02", "quantized-error", "encode", "compressed-error"),
    ]
    assert all(z.any() for z in zeros.values())


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

    spy(experiment, "fit", look)
    experiment.run(
        *(DISTINCT, digits, tmp_path / "out"),
        seed=3,
        on_epoch=lambda phase, epoch, loss: told.append((phase, epoch)),
    )
    network = experiment.zoo.build(DISTINCT.network)
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

    spy(experiment.prune, "sensitivity_mask", look_at_pruning)
    spy(experiment.quantize, "share_weights", look_at_sharing)
    spy(experiment, "error_percent", look_at_measuring)
    experiment.run(DISTINCT, digits, tmp_path / "out", seed=3, threads=1)
    assert pruned == [value for one in DISTINCT.rounds for value in one.sensitivity.values()]
    assert shared[:3] == [
        (bits, "random", np.random.default_rng([3, index]).bit_generator.state)
        for index, bits in enumerate((3, 4, 5))
    ]
    # Then `compress` finds the trained centroids, which all fit into the recipe's bits.
    assert [bits for bits, _, _ in shared[3:]] == [3, 4, 5]
    assert measured == [*[("dict", 1)] * 3, ("CompressedModel", 1)]


def test_error_is_the_percentage_of_wrong_test_images(digits: datasets.Dataset) -> None:
    network = experiment.zoo.build("digits")
    params = network.init(np.random.default_rng(0))
    found = network.predict(params, digits.test_images).argmax(axis=1)
    expected = 100 * np.mean(found != digits.test_labels)
    assert 60 < expected < 99  # far from its complement
    assert experiment.error_percent(network, params, digits) == pytest.approx(expected)


def test_seconds_are_summed_over_the_pieces_of_a_phase(digits: datasets.Dataset) -> None:
    seconds = {"train-05": 1.0, "train-10": 0.5, "prune-1": 2.0, "retrain-1-05": 4.0}
    seconds |= {"prune-2": 0.25, "retrain-2-02": 3.0, "pruned-error": 0.125}
    journal: Any = SimpleNamespace(seconds=seconds)
    assert experiment._Run(SHORT, digits, journal, 0, None, None)._seconds() == {
        "train": 1.5,
        "prune": 2.25,
        "retrain": 7.0,
        "pruned-error": 0.125,
    }


def test_thread_count_and_backend_dont_change_the_file(
    finished: Path, tmp_path: Path, digits: datasets.Dataset
) -> None:
    with dc.native.use("reference"):
        experiment.run(SHORT, digits, tmp_path / "out", seed=3, threads=1)
    assert (tmp_path / "out/model.dcnn").read_bytes() == (finished / "model.dcnn").read_bytes()
    experiment.run(SHORT, digits, tmp_path / "other", seed=4)
    assert (tmp_path / "other/model.dcnn").read_bytes() != (finished / "model.dcnn").read_bytes()


def test_held_out_images_arent_trained_on(tmp_path: Path, digits: datasets.Dataset) -> None:
    """Spoiling the test images, or the labels of the held-out ones, must not change the file."""
    labels = digits.train_labels.copy()
    labels[-100:] = 0
    spoilt_data = replace(digits, train_labels=labels, test_images=digits.test_images * 0)
    one_round = replace(SHORT, rounds=SHORT.rounds[:1])
    files = []
    for index, data in enumerate((digits, spoilt_data)):
        folder = tmp_path / str(index)
        experiment.run(one_round, data, folder, holdout_images=100)
        files.append((folder / "model.dcnn").read_bytes())
    assert files[0] == files[1]


def test_another_run_is_left_alone(
    finished: Path, digits: datasets.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path: path.read_bytes() for path in finished.iterdir()}
    with pytest.raises(dc.OutputError, match="seed is 3, not 4"):
        experiment.run(SHORT, digits, finished, seed=4)
    with pytest.raises(dc.OutputError, match="holdout_images is 0, not 9"):
        experiment.run(SHORT, digits, finished, seed=3, holdout_images=9)
    with pytest.raises(dc.OutputError, match="recipe"):
        experiment.run(replace(SHORT, batch_size=65), digits, finished, seed=3)
    monkeypatch.setattr(experiment, "__version__", "0.0.1")
    with pytest.raises(dc.OutputError, match="deepcompress"):
        experiment.run(SHORT, digits, finished, seed=3)
    assert {path: path.read_bytes() for path in finished.iterdir()} == before


@pytest.mark.parametrize("lost", ["model.dcnn", "report.json"])
def test_a_lost_result_is_computed_again(
    lost: str, finished: Path, tmp_path: Path, digits: datasets.Dataset
) -> None:
    experiment.run(SHORT, digits, tmp_path / "out", seed=3)
    (tmp_path / "out" / lost).unlink()
    report = experiment.run(SHORT, digits, tmp_path / "out", seed=3)
    assert (tmp_path / "out/model.dcnn").read_bytes() == (finished / "model.dcnn").read_bytes()
    before = experiment.read_report(finished / "report.json")
    assert report | {"seconds": None} == before | {"seconds": None}


@pytest.mark.parametrize("unwritten", ["write_text", "write_json"])
def test_the_journal_stays_until_all_is_written(
    unwritten: str,
    finished: Path,
    tmp_path: Path,
    digits: datasets.Dataset,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(path: Path, content: object) -> None:
        raise dc.OutputError("the disk is full")

    with monkeypatch.context() as context:
        context.setattr(experiment, unwritten, full)
        with pytest.raises(dc.OutputError, match="full"):
            experiment.run(SHORT, digits, tmp_path / "out", seed=3)
    monkeypatch.delattr(experiment, "fit")  # nothing is left to train
    report = experiment.run(SHORT, digits, tmp_path / "out", seed=3)
    before = experiment.read_report(finished / "report.json")
    assert report | {"seconds": None} == before | {"seconds": None}


def test_the_gradual_schedule_reaches_its_sparsity(
    tmp_path: Path, digits: datasets.Dataset
) -> None:
    target = {"ip1.weight": 0.8, "ip2.weight": 0.95, "ip3.weight": 0.5}
    training = Training(epochs=1, rate=0.02)
    rounds = gradual_rounds(target, 3, training, training)
    assert len(rounds) == 3
    assert [round(one.sparsity["ip1.weight"], 3) for one in rounds] == [0.563, 0.770, 0.8]
    experiment.run(replace(SHORT, rounds=rounds), digits, tmp_path / "out")
    model = dc.load(tmp_path / "out/model.dcnn")
    for name, sparsity in target.items():
        zeros = np.count_nonzero(model[name].to_dense() == 0)
        assert zeros == round(sparsity * model[name].size)


@pytest.mark.parametrize(
    "recipe", [DEMO, *RECIPES.values()], ids=lambda recipe: f"{recipe.name}-{recipe.network}"
)
def test_recipes_fit_their_networks(recipe: Recipe) -> None:
    network = experiment.zoo.build(recipe.network)
    weights = [name for name in network.param_shapes if name.endswith(".weight")]
    assert list(recipe.bits) == weights
    assert all([*one.sensitivity, *one.sparsity] == weights for one in recipe.rounds)
    network.with_dropout(recipe.dropout)
    assert set(recipe.dropout) <= set(recipe.dropout_of)
    for dropout, weight in recipe.dropout_of.items():
        assert weight == weight_at(network, dropout)


def weight_at(network: Network, layer: str) -> str:
    """Return the last weight that an input has passed when it comes to a layer, or the first."""
    names = [one.name for one in network.layers]
    passed = names[: names.index(layer)]
    weights = [name for name in network.param_shapes if name.endswith(".weight")]
    return [w for w in weights if w.removesuffix(".weight") in passed or w == weights[0]][-1]


def test_recipes_share_what_the_paper_says() -> None:
    assert find_recipe("lenet-5") is RECIPES["paper", "lenet-5"]
    assert set(find_recipe("lenet-300-100").bits.values()) == {6}  # 64 centroids
    for recipe in (DEMO, *RECIPES.values()):
        assert (recipe.init, recipe.momentum) == ("linear", 0.9)
        last = recipe.rounds[-1].retrain
        assert (recipe.train.final_rate, last.final_rate, recipe.fine_tune.final_rate) == (0, 0, 0)
        assert all(last.epochs > one.retrain.epochs for one in recipe.rounds[:-1])
    for network, sparsity in PAPER_SPARSITY.items():
        *kept, _ = (row.kept_percent for row in PAPER[network].rows)
        assert [round(100 * (1 - zeros)) for zeros in sparsity.values()] == kept
        gradual, paper = RECIPES["gradual", network], RECIPES["paper", network]
        assert gradual.rounds[-1].sparsity == sparsity
        assert [one.retrain for one in gradual.rounds] == [
            *[paper.rounds[0].retrain] * 3,
            paper.rounds[-1].retrain,
        ]
        differing = {key for key, value in asdict(gradual).items() if value != asdict(paper)[key]}
        assert differing == {"name", "rounds"}


def test_rounds_pair_the_sensitivities_in_their_order() -> None:
    first, last = Training(1, 0.1), Training(2, 0.1)
    assert recipes._rounds({"a": (0.1, 0.2, 0.3), "b": (0.4, 0.5, 0.6)}, first, last) == (
        Round({"a": 0.1, "b": 0.4}, first),
        Round({"a": 0.2, "b": 0.5}, first),
        Round({"a": 0.3, "b": 0.6}, last),
    )


def test_unknown_names_list_the_choices() -> None:
    with pytest.raises(dc.ConfigError, match="'vgg'; the choices are lenet-300-100, lenet-5"):
        find_recipe("vgg")
    with pytest.raises(dc.ConfigError, match="'mine' for lenet-5; the choices are gradual, paper"):
        find_recipe("lenet-5", "mine")
