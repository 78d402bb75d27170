"""The recipe ``max`` on the digits, shortened: what it promises, read from its results."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import deepcompress as dc
from deepcompress.experiments import datasets, max_run
from deepcompress.experiments import run as experiment_run
from deepcompress.experiments.max_recipe import MaxRecipe
from deepcompress.experiments.phases import error_percent
from deepcompress.experiments.training import Training
from deepcompress.nn import zoo
from deepcompress.nn.trainable import Free, Masked, Rounded, Shared
from deepcompress.runtime.network import CompressedNetwork

SHORT = MaxRecipe(
    name="max",
    network="digits",
    data="digits",
    initializer="he",
    batch_size=50,
    shift=1,
    train=Training(6, 3e-3),  # more than one piece
    units={"ip1.weight": 60, "ip2.weight": 40},
    start=5500,
    survivors=4000,
    label_bits=2.5,
    prune=Training(12, 4e-3),
    prune_epochs=5,
    bits=3,
    price=0.02,
    round=Training(2, 1e-3),
    tune=Training(1, 1e-4),
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
    assert report["file_bytes"] == (finished / "model.dcnn").stat().st_size
    assert report["reference_bytes"] == 4 * 185_810
    assert report["ratio"] == report["reference_bytes"] / report["file_bytes"] > 150
    assert (report["network"], report["recipe"], report["seed"]) == ("digits", "max", 3)
    assert set(report["seconds"]) >= {"train", "units", "prune", "round", "share", "tune"}
    weights = {name: tensor.to_dense() for name, tensor in model.items()}
    left = sum(np.count_nonzero(weights[name]) for name in (*SHORT.units, "ip3.weight"))
    assert left <= report["survivors"] <= SHORT.survivors
    for tensor in weights.values():
        assert tensor.dtype == np.float16
        values = tensor[tensor != 0].astype(np.float32)  # NumPy's AVX-512 missorts some float16
        assert len(np.unique(values)) < 2**SHORT.bits


def test_the_file_runs_packed_with_the_error_that_is_reported(
    finished: Path, digits: datasets.Dataset
) -> None:
    report = experiment_run.run(SHORT, digits, finished, seed=3)
    assert report["reference_error"] < 15
    assert report["compressed_error"] < 40  # the digits are small, and soon forgotten
    assert report["compressed_error"] == pytest.approx(report["quantized_error"], abs=0.6)
    network = CompressedNetwork.load(finished / "model.dcnn", dense="never")
    wrong = network.predict(digits.test_images).argmax(axis=1) != digits.test_labels
    assert 100 * np.mean(wrong) == pytest.approx(report["compressed_error"], abs=0.3)
    dense = {name: tensor.to_float32() for name, tensor in dc.load(finished / "model.dcnn").items()}
    again = error_percent(zoo.build("digits"), dense, digits)
    assert again == pytest.approx(report["compressed_error"], abs=0.3)


def test_dead_units_have_nothing_left(finished: Path) -> None:
    weights = {n: t.to_dense() for n, t in dc.load(finished / "model.dcnn").items()}
    for layer, following in (("ip1", "ip2"), ("ip2", "ip3")):
        feeds = weights[f"{following}.weight"].any(axis=0)
        is_fed = weights[f"{layer}.weight"].any(axis=1)
        assert is_fed[: np.count_nonzero(is_fed)].all()  # the dead ones come last
        has_bias = weights[f"{layer}.bias"] != 0
        assert (feeds == is_fed).all()
        assert not has_bias[~feeds].any()
        assert 0 < np.count_nonzero(feeds) <= SHORT.units[f"{layer}.weight"]


def test_stretches_follow_each_other_and_survivors_never_come_back(
    tmp_path: Path, digits: datasets.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    zeros: dict[str, Any] = {}

    class Watched(experiment_run.Journal):
        def phase(self, name: str, function: Any) -> dict[str, Any]:
            record = super().phase(name, function)
            seen.append(name)
            if name == "units":
                masks = [one for key, one in record["masks"].items() if key.endswith(".weight")]
                assert 0.8 * SHORT.start < sum(map(np.count_nonzero, masks)) <= SHORT.start
            for tensor, mask in record.get("masks", {}).items():
                if name == "order":
                    assert np.count_nonzero(mask) == np.count_nonzero(~zeros[tensor])
                    continue
                assert not (mask & zeros.get(tensor, False)).any(), name
                assert not record["params"][tensor][~mask].any(), name
                zeros[tensor] = ~mask
            return record

    told: list[tuple[str, int]] = []
    monkeypatch.setattr(experiment_run, "Journal", Watched)
    experiment_run.run(
        *(SHORT, digits, tmp_path / "out"),
        seed=3,
        on_epoch=lambda phase, epoch, loss: told.append((phase, epoch)),
    )
    assert seen == [
        *("train-05", "train-06", "reference-error", "units", "prune-05", "prune-10", "prune-12"),
        *("pruned-error", "round-02", "share", "tune-01", "quantized-error"),
        *("order", "encode", "compressed-error"),
    ]
    assert told == [(n, e + 1) for n, epochs in SHORT.epochs().items() for e in range(epochs)]


def test_each_stretch_trains_as_the_recipe_says(
    tmp_path: Path, digits: datasets.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit, calls = max_run.fit, []

    def look(network: Any, params: Any, data: Any, trainables: Any, *rest: Any, **options: Any):
        left = sum(one.value.size for one in trainables if one.name.endswith(".weight"))
        kinds = {type(one) for one in trainables}
        calls.append((options["seed"][1], kinds, left, rest[1](0), options))
        moved = options["prepare"](data[0][:30], np.random.default_rng(0))
        assert moved.shape == (30, *network.input_shape)
        return fit(network, params, data, trainables, *rest, **options)

    monkeypatch.setattr(max_run, "fit", look)
    experiment_run.run(SHORT, digits, tmp_path / "out", seed=3)
    streams = [call[0] for call in calls]
    assert streams == [1, 1, *[2] * 12, 3, 3, 4]
    rates = {stream: rate for stream, _, _, rate, _ in calls}
    assert rates == {1: 3e-3, 2: 4e-3, 3: 1e-3, 4: 1e-4}
    kinds = {stream: kinds for stream, kinds, *_ in calls}
    assert kinds[1] == {Free}
    assert Masked in kinds[2] <= {Masked, Free}
    assert (kinds[3], kinds[4]) == ({Rounded}, {Shared})
    sizes = [left for _, _, left, _, _ in calls][2:14]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[4] == sizes[11] <= SHORT.survivors < sizes[3]
    assert all(options["batch_size"] == 50 for *_, options in calls)


def test_a_killed_run_goes_on_to_the_same_bytes(
    finished: Path, tmp_path: Path, digits: datasets.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped in the middle of pruning and of rounding; threads and backend differ, too."""
    fit = max_run.fit

    for stream, start in ((2, 5), (3, 1)):

        def stop(*arguments: Any, stop_at: Any = (stream, start), **options: Any) -> Any:
            if (options["seed"][1], options["start_epoch"]) == stop_at:
                raise KeyboardInterrupt
            return fit(*arguments, **options)

        with monkeypatch.context() as context:
            context.setattr(max_run, "fit", stop)
            with pytest.raises(KeyboardInterrupt):
                experiment_run.run(SHORT, digits, tmp_path / "out", seed=3, threads=2)
    with dc.native.use("reference"):
        experiment_run.run(SHORT, digits, tmp_path / "out", seed=3, threads=1)
    assert (tmp_path / "out/model.dcnn").read_bytes() == (finished / "model.dcnn").read_bytes()


def test_held_out_and_test_images_choose_nothing(
    finished: Path, tmp_path: Path, digits: datasets.Dataset
) -> None:
    spoilt = replace(digits, test_images=digits.test_images * 0, test_labels=digits.test_labels * 0)
    experiment_run.run(SHORT, spoilt, tmp_path / "out", seed=3)
    assert (tmp_path / "out/model.dcnn").read_bytes() == (finished / "model.dcnn").read_bytes()
