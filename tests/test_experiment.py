"""The whole experiment on the digits, shortened: what a run promises, read from its results."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import deepcompress as dc
from deepcompress import datasets, experiment
from deepcompress.ledger import ledger
from deepcompress.recipes import (
    DEMO,
    RECIPES,
    Recipe,
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
    assert seen[:3] == ["train-05", "train-07", "reference-error"]
    assert all(z.any() for z in zeros.values())


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


def test_another_run_is_left_alone(finished: Path, digits: datasets.Dataset) -> None:
    before = {path: path.read_bytes() for path in finished.iterdir()}
    with pytest.raises(dc.OutputError, match="seed is 3, not 4"):
        experiment.run(SHORT, digits, finished, seed=4)
    assert {path: path.read_bytes() for path in finished.iterdir()} == before


def test_the_gradual_schedule_reaches_its_sparsity(
    tmp_path: Path, digits: datasets.Dataset
) -> None:
    target = {"ip1.weight": 0.8, "ip2.weight": 0.95, "ip3.weight": 0.5}
    training = Training(epochs=1, rate=0.02)
    rounds = gradual_rounds(target, 3, training, training)
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
    assert set(recipe.dropout_of.values()) <= set(weights)


def test_unknown_names_list_the_choices() -> None:
    with pytest.raises(dc.ConfigError, match="'vgg'; the choices are lenet-300-100, lenet-5"):
        find_recipe("vgg")
    with pytest.raises(dc.ConfigError, match="'mine' for lenet-5; the choices are gradual, paper"):
        find_recipe("lenet-5", "mine")
