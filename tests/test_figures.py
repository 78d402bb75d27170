"""Figures on the digits, with few images, epochs and points; what they are drawn from is real."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.command import call, fails

from deepcompress.errors import ArgumentError, ConfigError
from deepcompress.experiments import datasets
from deepcompress.figures import (
    FIGURES,
    Bench,
    cache,
    compute,
    draw,
    frontier,
    layer_costs,
    methods,
    points,
    sensitivity,
    starts,
    widths,
)
from deepcompress.figures import bench as benches
from deepcompress.figures.networks import trained
from deepcompress.files.atomic import canonical_json
from deepcompress.model_file import ModelFile
from deepcompress.nn.conv import Conv2D
from deepcompress.nn.layers import Flatten, Linear
from deepcompress.nn.network import Network
from deepcompress.pipeline import compress
from deepcompress.reports import plots

RESULTS = Path(__file__).parents[1] / "benchmarks" / "results"
COMPUTED = sorted((RESULTS / "figures").glob("*.json"))
FEW = {"methods": ("DENSITIES", "WIDTHS", "RATES"), "widths": ("PRUNED", "WIDTHS")}


@pytest.fixture(autouse=True)
def few_points(monkeypatch: pytest.MonkeyPatch, digits: datasets.Dataset) -> None:
    monkeypatch.setattr(benches, "load_digits", lambda: digits)
    for module, names in ((methods, FEW["methods"]), (widths, FEW["widths"])):
        for name in names:
            monkeypatch.setattr(module, name, getattr(module, name)[1:2])
    monkeypatch.setattr(starts, "WIDTHS", (2, 3))
    monkeypatch.setattr(starts, "PRUNED", widths.PRUNED)
    monkeypatch.setattr(sensitivity, "DENSITIES", (1.0, 0.1))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tmp_path_factory.mktemp("figures") / "cache")


@pytest.fixture
def bench(folder: str, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.delenv("DEEPCOMPRESS_DATA", raising=False)
    few = {"shorten": (("", 20),), "images": (("digits", 128),), "threads": 1}
    return Bench(folder, networks=("digits",), **few)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["4", "5", "6", "7", "8", "11", "sensitivity"])
def test_data_are_json_and_are_drawn(bench: Bench, name: str) -> None:
    data = compute(name, bench)
    assert json.loads(canonical_json(data)) == json.loads(json.dumps(data))
    claim = data["claim"]
    assert set(claim) == {"paper", "held", "sentence"}
    assert claim["sentence"].startswith("The paper's claim")
    assert ("didn't" in claim["sentence"]) != claim["held"]
    read_back = json.loads(canonical_json(data))
    pictures = [plots.render(draw, one, format="svg") for one in (data, read_back)]
    assert pictures[0] == pictures[1]
    assert b"dc:date" not in pictures[0]


def test_nothing_is_computed_twice(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    first = compute("6", bench)
    trained.cache_clear()
    monkeypatch.setattr(points, "fit", None)
    monkeypatch.setattr(points, "error_percent", None)
    monkeypatch.setattr("deepcompress.figures.networks.PaperRun", None)
    assert compute("6", bench) == first


def test_another_folder_and_more_jobs_give_the_same(bench: Bench, tmp_path: Path) -> None:
    other = replace(bench, cache=str(tmp_path), jobs=2)
    assert compute("sensitivity", other) == compute("sensitivity", bench)


def test_a_damaged_result_is_computed_again(tmp_path: Path) -> None:
    calls = []

    def count() -> dict[str, Any]:
        calls.append(None)
        return {"file": np.arange(3), "n": len(calls)}

    key = {"what": "count", "of": 1}
    assert cache.remembered(tmp_path, key, count)["n"] == 1
    assert cache.remembered(tmp_path, key, count)["n"] == 1
    assert cache.remembered(tmp_path, key | {"of": 2}, count)["n"] == 2
    (path,) = tmp_path.glob(f"count-{cache.digest(key)}.npz")
    path.write_bytes(path.read_bytes()[:-9])
    found = cache.remembered(tmp_path, key, count)
    assert (found["n"], found["file"].tolist()) == (3, [0, 1, 2])


def test_a_trained_network_is_what_its_run_left(bench: Bench) -> None:
    net = trained(bench, "digits")
    model = ModelFile(net.file)
    for name, mask in net.masks.items():
        assert (net.pruned[name][~mask] == 0).all()
        dense = np.zeros(mask.shape, np.float32)
        dense[mask] = net.shared[name].codebook[net.shared[name].labels]
        np.testing.assert_array_equal(np.asarray(model[name].to_dense()), dense)
    assert points.measured(bench, "digits", net.reference) == net.errors["reference"]
    assert points.measured(bench, "digits", net.pruned) == net.errors["pruned"]


def test_sizes_are_those_of_files(bench: Bench) -> None:
    net = trained(bench, "digits")
    dense = ModelFile(net.file)
    params = {
        name: np.asarray(getattr(one, "to_dense", lambda one=one: one)())
        for name, one in dense.items()
    }
    bits = dict.fromkeys(net.masks, 5)
    found = points.sizes(params, bits)
    assert found["bytes_PQH"] == len(compress(params).to_bytes())
    assert found["bytes_P"] > found["bytes_PQ"] > found["bytes_PQH"]


@pytest.mark.parametrize("density", [0.5, 0.1, 0.02])
def test_densities_together(bench: Bench, density: float) -> None:
    params = trained(bench, "digits").reference
    found = points.profile(bench, "digits", params, density)
    sizes = {name: params[name].size for name in found}
    assert benches.overall(found, sizes) == pytest.approx(density)


def test_factors_of_full_rank_change_nothing() -> None:
    layers = (Conv2D("conv", 2, 6, kernel=3), Flatten("flat"), Linear("ip", 96, 12))
    network = Network("small", layers, (2, 6, 6))
    params = network.init(np.random.default_rng(0), "he")
    x = np.random.default_rng(1).random((4, 2, 6, 6), np.float32)
    expected = network.predict(params, x)
    thin, factors = points._factored(network, params, 4.0)
    assert thin == network
    np.testing.assert_array_equal(thin.predict(factors, x), expected)
    for name, values in params.items():  # of rank 1
        if name.endswith("weight"):
            matrix = values.reshape(len(values), -1)
            values[:] = np.outer(matrix[:, 0], matrix[0]).reshape(values.shape)
    thin, factors = points._factored(network, params, 0.1)
    assert len(thin.layers) == len(network.layers) + 2
    expected = network.predict(params, x)
    found = thin.predict(factors, x)
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())
    thin, factors = points._factored(network, params, 0.5)
    size = sum(one.size for name, one in factors.items() if name.endswith("weight"))
    assert size <= 0.5 * sum(one.size for n, one in params.items() if n.endswith("weight"))
    assert thin.predict(factors, x).shape == (4, 12)


def test_verdicts_follow_from_the_data() -> None:
    curve = [
        {"percent": 9, "error": 1.0},
        {"percent": 3, "error": 1.4},
        {"percent": 2, "error": 1.6},
    ]
    assert methods._smallest(curve, 1.0) == 3
    assert methods._smallest(curve, 0.0) is None
    one = {"bits": [1, 2, 4, 8], "dense": [9, 1.6, 1.2, 1], "unshared": {"dense": 1.0}}
    assert widths._least(one, "dense") == 4
    assert sensitivity._needed([1.0, 1.9], 1.0) == 0.1
    assert sensitivity._needed([1.0, 2.1], 1.0) == 1.0


def test_the_frontier_tells_what_is_counted(bench: Bench) -> None:
    found = [sorted(RESULTS.glob(f"{name}-*seed*.json")) for name in ("lenet-300-100", "lenet-5")]
    reports = tuple(str(path) for paths in found for path in paths)
    data = compute("frontier", Bench(bench.cache, reports=reports))
    assert [len(one["ours"]) for one in data["networks"]] == [len(paths) for paths in found]
    for one in data["networks"]:
        kinds = {point["counts"] for point in one["ours"] + one["others"]}
        assert kinds <= set(frontier.LOOKS)
        assert all(point["source"] for point in one["ours"] + one["others"])
    assert data["claim"]["held"]
    assert plots.render(draw, data)
    with pytest.raises(ArgumentError, match="needs report"):
        compute("frontier", bench)


@pytest.mark.parametrize("path", COMPUTED, ids=lambda path: path.stem)
def test_kept_data_are_drawn(path: Path) -> None:
    data = json.loads(path.read_text(encoding="utf-8"))
    assert draw(data).get_axes()
    assert path.with_suffix(".png").stat().st_size < 200_000
    assert path.stat().st_size < 100_000


def test_energy_is_a_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layer_costs, "LAYERS", {"AlexNet fc8": (40, 160, 0.25)})
    data = compute("10", Bench("nowhere"))
    assert "a model" in data["model"]
    first = data["rows"][0]
    assert first["dense_microjoules"] == pytest.approx(40 * 160 * (4.6 + 640) * 1e-6)
    assert plots.render(draw, data)


def test_speed_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layer_costs, "LAYERS", {"AlexNet fc8": (40, 160, 0.25)})
    data = compute("9", Bench("nowhere"))
    assert [row["batch"] for row in data["rows"]] == [1, 64]
    assert all(row["packed_microseconds"] > 0 for row in data["rows"])
    assert plots.render(draw, data)


def test_what_there_is_not(bench: Bench) -> None:
    with pytest.raises(ConfigError, match="unknown figure '12'; the choices are 4, 5"):
        compute("12", bench)
    with pytest.raises(ArgumentError, match="must be positive"):
        Bench("", jobs=0)
    with pytest.raises(ConfigError, match="isn't one of the paper's kind"):
        Bench("", recipe="max").recipe_of("lenet-5")
    monkey = Bench("", weights="nowhere")
    assert monkey.densities("digits")["ip1.weight"] == 0.1


def test_the_command(bench: Bench, tmp_path: Path) -> None:
    status, text, _ = call("figure", "--list")
    assert (status, [line.split()[0] for line in text.splitlines()]) == (0, list(FIGURES))
    options = ["--network", "digits", "--shorten", 20, "--images", "digits=128", "--threads", 1]
    options += ["-o", tmp_path, "--cache", bench.cache]
    status, text, _ = call("figure", 11, "sensitivity", *options)
    assert status == 0
    assert text.count("The paper's claim") == 2
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"figure-11.json", "figure-11.png", "sensitivity.json", "sensitivity.png"}
    data = (tmp_path / "figure-11.json").read_bytes()
    assert call("figure", 11, "-o", tmp_path, "--redraw", "--format", "svg")[0] == 0
    assert (tmp_path / "figure-11.svg").exists()
    assert (tmp_path / "figure-11.json").read_bytes() == data


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("figure", "name a figure: 4, 5"),
        ("figure 4", "-o DIR is needed"),
        ("figure 3 -o here", "unknown figure '3'"),
        ("figure 4 -o here --shorten vgg=3", "'vgg' isn't a network"),
        ("figure 4 -o here --images 0", "'0' isn't a whole number"),
        ("figure 4 -o here --redraw", "figure-4.json"),
    ],
)
def test_wrong_use(line: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert reason in fails(2, *line.split())
