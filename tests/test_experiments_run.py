"""The whole experiment on the digits, shortened: what a run promises, read from its results."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import deepcompress as dc
from deepcompress.experiments import datasets
from deepcompress.experiments import run as experiment_run
from deepcompress.experiments.phases import error_percent
from deepcompress.experiments.recipes import DEMO, Training, gradual_rounds
from deepcompress.nn import zoo
from deepcompress.nn.network import Network
from deepcompress.nn.trainable import Free
from deepcompress.reports.ledger import ledger

SHORT = replace(
    DEMO,
    train=replace(DEMO.train, epochs=7),  # more than one piece
    rounds=tuple(replace(one, retrain=replace(one.retrain, epochs=2)) for one in DEMO.rounds),
    fine_tune=replace(DEMO.fine_tune, epochs=2),
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, digits: datasets.Dataset) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "finished"
    experiment_run.run(SHORT, digits, folder, seed=3)
    return folder


def test_what_a_run_leaves(finished: Path, digits: datasets.Dataset) -> None:
    assert {path.name for path in finished.iterdir()} == {
        *("model.dcnn", "report.json", "table.txt", "config.json")
    }
    report = experiment_run.run(SHORT, digits, finished, seed=3)
    model = dc.load(finished / "model.dcnn")
    data = (finished / "model.dcnn").read_bytes()
    assert report["file_bytes"] == len(data) == sum(row.size_bytes for row in ledger(data))
    assert (report["network"], report["recipe"], report["seed"]) == ("digits", "demo", 3)
    assert report["reference_bytes"] == 4 * 185_810
    assert report["ratio"] == pytest.approx(report["reference_bytes"] / len(data))
    assert report["stages"]["P+Q+H"] == len(data)
    assert report["kept"] == {
        name: "bias" for name, tensor in model.items() if isinstance(tensor, np.ndarray)
    }
    assert set(report["seconds"]) >= {"train", "prune", "retrain", "quantize", "fine-tune"}
    network = zoo.build(report["network"])
    assert report["compressed_error"] == error_percent(network, model, digits)
    dense = error_percent(network, model.to_dense(), digits)
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

    class Watched(experiment_run.Journal):
        def phase(self, name: str, function: Any) -> dict[str, Any]:
            record = super().phase(name, function)
            seen.append(name)
            for tensor in SHORT.bits:
                if "params" in record:
                    now = record["params"][tensor] == 0
                    if not name.startswith("prune"):
                        assert (now == zeros.get(tensor, now)).all(), name
                    assert (now | ~zeros.get(tensor, now)).all(), name
                    zeros[tensor] = now
            return record

    monkeypatch.setattr(experiment_run, "Journal", Watched)
    experiment_run.run(SHORT, digits, tmp_path / "out", seed=3)
    assert seen == [
        *("train-05", "train-07", "reference-error"),
        *("prune-1", "retrain-1-02", "prune-2", "retrain-2-02", "pruned-error"),
        *("quantize", "fine-tune-02", "quantized-error", "encode", "compressed-error"),
    ]
    assert all(z.any() for z in zeros.values())


def test_a_survivor_that_trains_to_zero_stays_one(
    tmp_path: Path, digits: datasets.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """First a weight alone, at the end of retraining; then a centroid, at that of fine-tuning."""
    kept, fit = {}, experiment_run.fit

    def fit_to_zero(network, params, data, trainables, *arguments, **options):
        state = fit(network, params, data, trainables, *arguments, **options)
        for one in trainables:
            if one.name in SHORT.bits:
                if not isinstance(one, Free):
                    assert len(one.positions) == kept.get(one.name, len(one.positions))
                    one.value[3] = 0
                    one.scatter(params)
                if options["seed"] == (3, 3):  # retrained after the last pruning
                    kept[one.name] = len(one.positions)
        return state

    monkeypatch.setattr(experiment_run, "fit", fit_to_zero)
    experiment_run.run(SHORT, digits, tmp_path / "out", seed=3)
    model = dc.load(tmp_path / "out/model.dcnn")
    for name, count in kept.items():
        weights, (positions, _) = model[name].to_dense(), model[name].survivors()
        assert len(positions) == count > np.count_nonzero(weights)
    assert kept.keys() == SHORT.bits.keys()


def test_layers_are_trained_whatever_their_names_hold(
    tmp_path: Path, digits: datasets.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As those of SqueezeNet, "fire2/conv1x1_1" and the like."""
    layers = tuple(
        replace(one, name=f"state/{one.name}") if one.param_shapes() else one
        for one in zoo.build("digits").layers
    )
    network = Network("digits", layers, (64,))
    monkeypatch.setattr(zoo, "build", lambda name: network)

    def renamed(values: dict[str, Any]) -> dict[str, Any]:
        return {f"state/{name}": value for name, value in values.items()}

    recipe = replace(
        SHORT,
        bits=renamed(SHORT.bits),
        dropout_of={layer: f"state/{name}" for layer, name in SHORT.dropout_of.items()},
        rounds=tuple(replace(one, sensitivity=renamed(one.sensitivity)) for one in SHORT.rounds),
    )
    report = experiment_run.run(recipe, digits, tmp_path / "out", seed=3)
    assert report["reference_error"] < 20
    assert report["compressed_error"] < 20
    assert list(dc.load(tmp_path / "out/model.dcnn")) == list(network.param_shapes)


def test_error_is_the_percentage_of_wrong_test_images(digits: datasets.Dataset) -> None:
    network = zoo.build("digits")
    params = network.init(np.random.default_rng(0))
    found = network.predict(params, digits.test_images).argmax(axis=1)
    expected = 100 * np.mean(found != digits.test_labels)
    assert 60 < expected < 99  # far from its complement
    assert error_percent(network, params, digits) == pytest.approx(expected)


def test_seconds_are_summed_over_the_pieces_of_a_phase(digits: datasets.Dataset) -> None:
    seconds = {"train-05": 1.0, "train-10": 0.5, "prune-1": 2.0, "retrain-1-05": 4.0}
    seconds |= {"prune-2": 0.25, "retrain-2-02": 3.0, "pruned-error": 0.125}
    journal: Any = SimpleNamespace(seconds=seconds)
    assert experiment_run.PaperRun(SHORT, digits, journal, 0, None, None)._seconds() == {
        "train": 1.5,
        "prune": 2.25,
        "retrain": 7.0,
        "pruned-error": 0.125,
    }


def test_thread_count_and_backend_dont_change_the_file(
    finished: Path, tmp_path: Path, digits: datasets.Dataset
) -> None:
    with dc.native.use("reference"):
        experiment_run.run(SHORT, digits, tmp_path / "out", seed=3, threads=1)
    assert (tmp_path / "out/model.dcnn").read_bytes() == (finished / "model.dcnn").read_bytes()
    experiment_run.run(SHORT, digits, tmp_path / "other", seed=4)
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
        experiment_run.run(one_round, data, folder, holdout_images=100)
        files.append((folder / "model.dcnn").read_bytes())
    assert files[0] == files[1]


def test_another_run_is_left_alone(
    finished: Path, digits: datasets.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path: path.read_bytes() for path in finished.iterdir()}
    with pytest.raises(dc.OutputError, match="seed is 3, not 4"):
        experiment_run.run(SHORT, digits, finished, seed=4)
    with pytest.raises(dc.OutputError, match="holdout_images is 0, not 9"):
        experiment_run.run(SHORT, digits, finished, seed=3, holdout_images=9)
    with pytest.raises(dc.OutputError, match="recipe"):
        experiment_run.run(replace(SHORT, batch_size=65), digits, finished, seed=3)
    monkeypatch.setattr(experiment_run, "__version__", "0.0.1")
    with pytest.raises(dc.OutputError, match="deepcompress"):
        experiment_run.run(SHORT, digits, finished, seed=3)
    assert {path: path.read_bytes() for path in finished.iterdir()} == before


@pytest.mark.parametrize("lost", ["model.dcnn", "report.json"])
def test_a_lost_result_is_computed_again(
    lost: str, finished: Path, tmp_path: Path, digits: datasets.Dataset
) -> None:
    experiment_run.run(SHORT, digits, tmp_path / "out", seed=3)
    (tmp_path / "out" / lost).unlink()
    report = experiment_run.run(SHORT, digits, tmp_path / "out", seed=3)
    assert (tmp_path / "out/model.dcnn").read_bytes() == (finished / "model.dcnn").read_bytes()
    before = experiment_run.read_report(finished / "report.json")
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
        context.setattr(experiment_run, unwritten, full)
        with pytest.raises(dc.OutputError, match="full"):
            experiment_run.run(SHORT, digits, tmp_path / "out", seed=3)
    monkeypatch.delattr(experiment_run, "fit")  # nothing is left to train
    report = experiment_run.run(SHORT, digits, tmp_path / "out", seed=3)
    before = experiment_run.read_report(finished / "report.json")
    assert report | {"seconds": None} == before | {"seconds": None}


def test_the_gradual_schedule_reaches_its_sparsity(
    tmp_path: Path, digits: datasets.Dataset
) -> None:
    target = {"ip1.weight": 0.8, "ip2.weight": 0.95, "ip3.weight": 0.5}
    training = Training(epochs=1, rate=0.02)
    rounds = gradual_rounds(target, 3, training, training)
    assert len(rounds) == 3
    assert [round(one.sparsity["ip1.weight"], 3) for one in rounds] == [0.563, 0.770, 0.8]
    experiment_run.run(replace(SHORT, rounds=rounds), digits, tmp_path / "out")
    model = dc.load(tmp_path / "out/model.dcnn")
    for name, sparsity in target.items():
        zeros = np.count_nonzero(model[name].to_dense() == 0)
        assert zeros == round(sparsity * model[name].size)
