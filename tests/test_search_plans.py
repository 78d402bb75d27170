"""From the points of a scan to curves, and from these to plans and their neighbours."""

import numpy as np
import pytest
from test_search import TENSORS, score

from deepcompress.inputs import flat
from deepcompress.search import ScanPoint, TensorScan, budget, search
from deepcompress.search.families import PlannedFamily
from deepcompress.search.plans import plan_for
from deepcompress.search.responses import RANGE, response
from deepcompress.search.rungs import COARSEST, FINEST, Ladder


def scanned(name: str, losses: dict[int, float], size: int = 4000) -> TensorScan:
    points = [ScanPoint(r, int(size / 8 * 2 ** (-r / 32)), -x, x) for r, x in losses.items()]
    return TensorScan(name, size, tuple(points))


def test_a_curve_goes_through_what_was_seen() -> None:
    one = response(scanned("a", {-16: 0.001, 0: 0.5, 16: 3.0, 32: 2.0}), floor=0.1)
    at = dict(zip(RANGE.tolist(), one.losses.tolist(), strict=True))
    assert (at[0], at[16], at[32]) == pytest.approx((0.5, 3.0, 3.0))
    assert at[8] == pytest.approx((0.5 * 3.0) ** 0.5)
    assert at[-16] == pytest.approx(0.5 / 4)  # below the floor, by the square of the step
    assert at[48] == pytest.approx(3.0 * 4)
    assert (np.diff(one.losses) >= -1e-12).all()
    assert (np.diff(one.sizes) <= 1e-9).all()
    assert dict(zip(RANGE.tolist(), one.sizes, strict=True))[0] == pytest.approx(500)


def test_curves_without_points_or_losses() -> None:
    nothing = response(scanned("a", {}), 0.1)
    unharmed = response(scanned("a", {0: -0.2, 16: 0.0}), 0.1)
    for one in (nothing, unharmed):
        assert np.isfinite(one.losses).all()
        assert (np.diff(one.losses) > 0).all()
        assert (np.diff(one.sizes) <= 0).all()
    assert dict(zip(RANGE.tolist(), unharmed.losses, strict=True))[16] == pytest.approx(0.1)


def test_the_more_sensitive_tensor_gets_the_finer_step() -> None:
    a = response(scanned("a", {0: 1.0, 16: 4.0}), 0.01)
    b = response(scanned("b", {0: 16.0, 16: 64.0}), 0.01)
    settings = plan_for([a, b], 8.0)
    assert settings["a"] is not None
    assert settings["b"] is not None
    assert settings["a"] - settings["b"] == pytest.approx(32, abs=2)  # 16 times in squares
    finer = plan_for([a, b], 0.5)
    assert finer["a"] is not None
    assert finer["a"] < settings["a"]
    assert plan_for([a, b], 0.0) == {"a": None, "b": None}


def test_neighbours_stay_on_the_ladder() -> None:
    ladder = Ladder(flat(TENSORS), False, "rans", {})
    curves = [response(scanned(name, {0: 1.0}), 0.1) for name in "ab"]
    family = PlannedFamily(ladder, curves, 0.0)
    assert list(family.neighbours({"a": 0, "b": 0}, 1)) == [
        {"a": 2, "b": 0},
        {"a": 0, "b": 2},
        {"a": 4, "b": -2},
        {"a": -2, "b": 4},
    ]
    assert list(family.neighbours({"a": COARSEST, "b": FINEST}, 1)) == [
        {"a": COARSEST, "b": FINEST + 2},
        {"a": COARSEST - 2, "b": FINEST + 4},
    ]
    assert list(family.neighbours({"a": None, "b": 0}, -1)) == [{"a": None, "b": -2}]


@pytest.mark.parametrize("max_drop", [30, 100])
def test_no_neighbour_of_the_answer_is_better(
    max_drop: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budget, "HALVINGS", 0)  # so that much is left for steps to neighbours
    found = search(TENSORS, score, max_drop=max_drop)
    ladder = Ladder(flat(TENSORS), False, "rans", {})
    curves = [response(found.sensitivity[name], max_drop / 8) for name in "ab"]
    family = PlannedFamily(ladder, curves, 0.0)
    for settings in family.neighbours(found.settings, 1):
        model, size = family.build(settings)
        assert size >= found.bytes or 5 - score(model) > max_drop
