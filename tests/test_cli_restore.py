"""The command ``convert`` from a ``.dcnn`` file to another, with another strongest coder."""

import json
from pathlib import Path

import numpy as np
import pytest
from support.command import call, fails

import deepcompress as dc
from deepcompress.coding.prices import Choice, choose
from deepcompress.container.records import CODERS

RNG = np.random.default_rng(0)
MODEL = dc.compress(
    {
        "sparse": RNG.normal(size=(60, 70)) * (RNG.random((60, 70)) < 0.05),
        "full": RNG.normal(size=(40, 30)),
        "bias": np.array([np.nan, 1], np.float32),
    },
    dc.Config(dc.TensorConfig(encoding="bitmask")),  # so that there is something to choose anew
    metadata={"network": "x"},
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    MODEL.save(tmp_path / "in.dcnn")
    return tmp_path / "in.dcnn"


@pytest.mark.parametrize("coder", CODERS)
def test_with_each_coder(tmp_path: Path, file: Path, coder: str) -> None:
    out = tmp_path / "out.dcnn"
    status, text, error = call("convert", file, "--coder", coder, "-o", out)
    assert (status, error) == (0, "")
    sizes = out.stat().st_size, file.stat().st_size
    assert text.startswith(f"{out}: {sizes[0]:,} bytes, {file} has {sizes[1]:,} ")
    found = dc.load(out)
    assert list(found) == list(MODEL)
    assert found.metadata == MODEL.metadata
    for name, array in MODEL.to_dense().items():
        np.testing.assert_array_equal(found.to_dense()[name], array, strict=True)
    for name in ("sparse", "full"):
        assert found.storage[name] == choose(MODEL[name], Choice(coder)).coding
    used = {max(how.label_coder, how.position_coder) for how in found.storage.values()}
    assert max(used) == CODERS.index(coder)
    assert call("verify", out)[0] == 0
    assert call("diff", file, out)[0] == 0
    values = json.loads(call("convert", file, "--coder", coder, "-o", out, "--json")[1])
    assert (values["out_bytes"], values["tensors"]) == (sizes[0], list(MODEL))


def test_there_and_back(tmp_path: Path, file: Path) -> None:
    """What is chosen depends on nothing but the tensors."""
    paths = [tmp_path / f"{index}.dcnn" for index in range(3)]
    for source, coder, out in (
        (file, "huffman", paths[0]),
        (paths[0], "rans", paths[1]),
        (paths[1], "huffman", paths[2]),
    ):
        assert call("convert", source, "--coder", coder, "-o", out)[0] == 0
    assert paths[0].read_bytes() == paths[2].read_bytes()
    assert len({path.stat().st_size for path in paths}) == 2


def test_used_wrongly(tmp_path: Path, file: Path) -> None:
    out = tmp_path / "out.dcnn"
    before = file.read_bytes()
    assert "store it anew by --coder" in fails(2, "convert", file, "-o", out)
    assert "invalid choice: 'zip'" in fails(2, "convert", file, "--coder", "zip", "-o", out)
    assert "choose another" in fails(2, "convert", file, "--coder", "fixed", "-o", file)
    file.write_bytes(before[:-1])
    assert f"{file}: 1 of" in fails(1, "convert", file, "--coder", "fixed", "-o", out)
    assert list(tmp_path.iterdir()) == [file]
