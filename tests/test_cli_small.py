"""``compress --preset small``: one step for all tensors; and what a search and inputs refuse."""

from pathlib import Path

import numpy as np
import pytest
from support.command import call, fails
from support.npz import npz_bytes

import deepcompress as dc
from deepcompress.calibrate import weights_alone

RNG = np.random.default_rng(0)
TENSORS = {
    "a.weight": RNG.normal(size=(60, 50)).astype(np.float32),
    "a.bias": RNG.normal(size=60).astype(np.float32),
    "b.weight": RNG.normal(scale=0.2, size=(40, 60)),  # float64
    "steps": np.arange(40),
}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "in.npz"
    path.write_bytes(npz_bytes(TENSORS))
    return path


def test_steps_are_those_of_weights_alone(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.dcnn"
    for jobs in (1, 3):
        assert call("compress", source, "-o", out, "--preset", "small", "-j", jobs)[0] == 0
        model = dc.load(out)
        alone = weights_alone(TENSORS, half=True)
        for name, values in model.to_dense().items():
            assert values.dtype == TENSORS[name].dtype
            assert np.array_equal(values, alone.to_dense()[name])
    assert np.array_equal(model["steps"], TENSORS["steps"])
    assert out.stat().st_size < len(dc.compress(TENSORS, dc.preset("small")).to_bytes())


TAKES_NONE = [["--preset", "small"], ["--only", "a"], ["--base", "b.npz"]]
REFUSED = [(["--calibrate", "x.npy"], option) for option in TAKES_NONE]
REFUSED += [(["--target-size", "9K"], option) for option in TAKES_NONE]
REFUSED += [(["--target-size", "9K"], ["--preprocessing", "{}"])]


@pytest.mark.parametrize(("how", "option"), REFUSED)
def test_options_that_would_be_ignored_are_refused(
    source: Path, tmp_path: Path, how: list[str], option: list[str]
) -> None:
    error = fails(2, "compress", source, "-o", tmp_path / "out.dcnn", *how, *option)
    assert option[0] in error
    assert not (tmp_path / "out.dcnn").exists()
