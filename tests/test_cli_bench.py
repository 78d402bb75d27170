"""The command that times products on the user's machine: its table, its cross-over, its picture."""

import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from support.command import call, fails
from threadpoolctl import threadpool_limits

from deepcompress import native
from deepcompress.errors import DeepCompressError
from deepcompress.reports import cost_timing, plots, product_timing
from deepcompress.reports.product_timing import CrossOver, Timing
from deepcompress.runtime import costs, crossover

SMALL = {"SIZES": ((20, 30), (8, 40)), "REFERENCE_SIZES": ((20, 30), (8, 40))}
SMALL |= {"DENSITIES": (0.1, 0.5), "BATCHES": (1, 3)}
TIMES = product_timing.time_products


@pytest.fixture
def small(monkeypatch):
    for name, value in SMALL.items():
        monkeypatch.setattr(product_timing, name, value)

    def few(threads, sizes):
        return TIMES(threads, sizes, SMALL["DENSITIES"], SMALL["BATCHES"], turn_seconds=0)

    monkeypatch.setattr(product_timing, "time_products", few)


def test_the_answer_in_json(small):
    status, out, error = call("bench", "--threads", 1, "--json")
    assert (status, error) == (0, "")
    values = json.loads(out)
    assert values["threads"] == 1
    assert values["isa"] == native.info()["isa"]
    cases = {(r["rows"], r["cols"], r["density"], r["batch"]) for r in values["rows"]}
    assert len(cases) == len(values["rows"]) == 8
    for row in values["rows"]:
        for peer in ("dense", "scipy_csr"):
            assert row[f"ratio_{peer}"] == row[f"{peer}_seconds"] / row["ours_seconds"] > 0
        quicker = row["model_dense_seconds"] < row["model_packed_seconds"]
        assert row["model"] == ("dense" if quicker else "packed")
    assert [(c["rows"], c["batch"]) for c in values["crossovers"]] == [
        (20, 1),
        (20, 3),
        (8, 1),
        (8, 3),
    ]


def test_the_answer_as_text(small):
    status, out, error = call("bench", "--threads", 1)
    assert (status, error) == (0, "")
    assert out.count("  20 x   30") == 4 + 2
    assert "The model picks the faster one in" in out
    assert native.info()["isa"] or "NumPy alone" in out


def timing(density, ratio, rows=10):
    return Timing(rows, 100, density, 1, 1.0, ratio, 2.0, 1.0, 1.0)


@pytest.mark.parametrize(
    ("ratios", "expected"),
    [
        ([4, 2, 0.5], 0.2),  # halfway between 0.1 and 0.4, as logarithms go
        ([4, 1, 0.5], 0.1),
        ([4, 3, 2], None),
        ([0.9, 0.8, 0.7], 0.0),
        ([0.5, 2, 0.5], 0.2),  # noise: the last crossing counts
    ],
)
def test_where_the_ratio_crosses_one(ratios, expected):
    timings = [timing(*point) for point in zip((0.025, 0.1, 0.4), ratios, strict=True)]
    (found,) = product_timing.find_crossovers(timings[::-1], "scalar", 1)
    assert found.measured == (expected if expected is None else pytest.approx(expected))
    assert found.model == crossover.density(10, 100, 1, "scalar", 1)


def test_wrong_answers_are_not_timed(monkeypatch):
    monkeypatch.setattr(
        product_timing.CompressedTensor, "dot", lambda w, x: np.ones(w.rows, np.float32)
    )
    with pytest.raises(DeepCompressError, match=r"product of \(20, 30\) is wrong: ours"):
        [*TIMES(1, [(20, 30)], [0.5], [1], turn_seconds=0)]


def test_threads_are_those_asked_for(monkeypatch):
    seen = []
    monkeypatch.setattr(product_timing, "_take_turns", lambda *_: seen.append(native.threads()))
    with threadpool_limits(2), pytest.raises(TypeError):
        [*TIMES(1, [(4, 5)], [0.5], [1])]
    assert seen == [1]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--threads", "100000"], "--threads 100000: there are"),
        (["--threads", "0"], "'0' isn't a whole number from 1 on"),
        (["--plot", "table.pdf"], "--plot table.pdf: the name of a picture ends with .png"),
        (["--plot", "none/table.png"], "there is no folder none"),
        (["--calibrate", "--threads", "1"], "--calibrate goes with neither --threads nor --plot"),
    ],
)
def test_wrong_use_is_refused_before_anything_is_timed(options, reason, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(product_timing, "time_products", lambda *_: pytest.fail("timed"))
    assert reason in fails(2, "bench", *options)
    assert [*tmp_path.iterdir()] == []


def test_calibration_is_kept(tmp_path, monkeypatch):
    path = tmp_path / "deepcompress" / "costs.json"
    monkeypatch.setattr(costs, "path", lambda: path)
    if native.info()["isa"] is None:
        assert "no kernels whose costs could be measured" in fails(1, "bench", "--calibrate")
        assert not path.exists()
        return
    isa = native.info()["isa"]
    measured = {name: 1.5 * getattr(costs.shipped(isa), name) for name in costs.MEASURED}
    monkeypatch.setattr(cost_timing, "measure", lambda: measured)
    status, out, error = call("bench", "--calibrate", "--json")
    assert (status, error) == (0, "")
    values = json.loads(out)
    assert (values["path"], values["costs"]) == (str(path), measured)
    assert costs.of(isa).entry == measured["entry"] == 1.5 * values["shipped"]["entry"]
    assert str(path) in call("bench", "--calibrate")[1]


def test_a_picture_needs_matplotlib(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    path = tmp_path / "table.png"
    assert "need matplotlib, the extra 'plot' of" in fails(2, "bench", "--plot", path)
    assert not path.exists()


def test_the_picture(small, tmp_path):
    pytest.importorskip("matplotlib")
    path = tmp_path / "table.png"
    status, out, error = call("bench", "--threads", 1, "--plot", path)
    assert (status, error) == (0, "")
    assert out.endswith(f"{path}\n")
    assert path.read_bytes().startswith(b"\x89PNG")


def test_the_picture_has_a_line_for_each_batch_and_the_models_cross_over(monkeypatch):
    pytest.importorskip("matplotlib")
    from matplotlib.figure import Figure

    drawn = SimpleNamespace(figure=None)
    monkeypatch.setattr(Figure, "savefig", lambda self, *_, **__: setattr(drawn, "figure", self))
    crossings = [CrossOver(10, 100, 1, None, 0.3), CrossOver(20, 100, 1, None, None)]
    timings = [timing(d, 2, rows) for rows in (10, 20) for d in (0.1, 0.2)]
    plots.render(plots.draw_products, timings, crossings)
    left, right = drawn.figure.axes
    assert [line.get_xdata()[0] for line in left.lines] == [10, 30, 0]
    assert len(right.lines) == 2
