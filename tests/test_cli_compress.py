"""The command ``compress``, from each kind of source."""

import errno
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.command import call, fails
from support.npz import npz_bytes
from test_formats_registry import save_safetensors

import deepcompress as dc
from deepcompress import quantize

RNG = np.random.default_rng(0)
TENSORS = {
    "conv.weight": RNG.normal(size=(12, 10, 3, 3)).astype(np.float32),
    "fc.bias": np.arange(12, dtype=np.float32),
    "fc.weight": RNG.normal(size=(50, 60)).astype(np.float32),
}
CONFIG = {"by_kind": {"fc": {"bits": 4}}, "by_name": {"fc.weight": {"sparsity": 0.9}}}


def save(tmp_path: Path, kind: str) -> Path:
    """Write the tensors as a source; return its path."""
    path = tmp_path / f"in{kind}"
    if kind == ".npz":
        path.write_bytes(npz_bytes(TENSORS))
    elif kind == ".safetensors":
        save_safetensors(path, TENSORS)
    else:
        path.mkdir()
        for name, tensor in TENSORS.items():
            np.save(path / f"{name}.npy", tensor)
    return path


@pytest.mark.parametrize("kind", [".npz", ".safetensors", "-folder"])
def test_each_kind_of_source(tmp_path: Path, kind: str) -> None:
    path, out, config = save(tmp_path, kind), tmp_path / "out.dcnn", tmp_path / "config.json"
    config.write_text(json.dumps(CONFIG))
    expected = dc.compress(TENSORS, dc.Config.from_dict(CONFIG)).to_bytes()
    status, text, error = call("compress", path, "-o", out, "--config", config)
    assert (status, error) == (0, "")
    assert text.startswith(f"{out}: {len(expected):,} bytes, 16,368 as they were (")
    assert out.read_bytes() == expected
    command = ["compress", path, "-o", out, "--config", config, "--jobs", 3, "--json"]
    values = json.loads(call(*command)[1])
    assert out.read_bytes() == expected
    assert (values["out_bytes"], values["tensors"]) == (len(expected), list(TENSORS))
    assert values["ratio"] == 16_368 / len(expected)
    status, text, _ = call("verify", out, "--against", path, "--json")
    differences = {row["name"]: row["differing"] for row in json.loads(text)["differences"]}
    assert status == 0
    assert differences["fc.bias"] == 0
    assert differences["fc.weight"] == np.count_nonzero(
        dc.load(out)["fc.weight"].to_dense() != TENSORS["fc.weight"]
    )


def test_without_a_configuration_and_with_the_papers(tmp_path: Path) -> None:
    path, out = save(tmp_path, ".npz"), tmp_path / "out.dcnn"
    for options, config in (([], dc.Config()), (["--paper"], dc.paper_config())):
        assert call("compress", path, "-o", out, *options)[0] == 0
        assert out.read_bytes() == dc.compress(TENSORS, config).to_bytes()


def test_the_seed_is_for_starts_that_are_drawn(tmp_path: Path) -> None:
    path, out, config = save(tmp_path, ".npz"), tmp_path / "out.dcnn", tmp_path / "config.json"
    drawn = {"default": {"init": "random"}}
    config.write_text(json.dumps(drawn))
    assert call("compress", path, "-o", out, "--config", config, "--seed", 5)[0] == 0
    assert out.read_bytes() == dc.compress(TENSORS, dc.Config.from_dict(drawn), seed=5).to_bytes()


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ("{", "config.json: Expecting property name"),
        ("[]", "config.json: expected default, by_kind and by_name, not []"),
        ('{"default": {"bits": 9}}', "config.json: bits must be a whole number from 1 to 8"),
        ('{"by_name": {"fc.weigth": {}}}', "by_name has 'fc.weigth', which isn't among the 3"),
    ],
)
def test_bad_configurations(tmp_path: Path, config: str, words: str) -> None:
    path, out = save(tmp_path, ".npz"), tmp_path / "out.dcnn"
    (tmp_path / "config.json").write_text(config)
    assert words in fails(2, "compress", path, "-o", out, "--config", tmp_path / "config.json")
    assert not out.exists()


def test_bad_files(tmp_path: Path) -> None:
    path, out = save(tmp_path, ".npz"), tmp_path / "out.dcnn"
    assert "absent: No such file" in fails(2, "compress", tmp_path / "absent", "-o", out)
    assert "absent.npz: No such file" in fails(2, "compress", tmp_path / "absent.npz", "-o", out)
    missing = ["--config", tmp_path / "absent.json"]
    assert "absent.json: No such file" in fails(2, "compress", path, "-o", out, *missing)
    assert "is the very file to read" in fails(2, "compress", path, "-o", path)
    assert "can't write: No such file" in fails(2, "compress", path, "-o", tmp_path / "no" / "x")
    other = tmp_path / "weights.pth"
    other.write_bytes(b"x")
    assert "neither .npz nor .safetensors" in fails(1, "compress", other, "-o", out)
    path.write_bytes(path.read_bytes()[:-9])
    assert "in.npz" in fails(1, "compress", path, "-o", out)
    assert sorted(os.listdir(tmp_path)) == ["in.npz", "weights.pth"]


def test_no_array_of_a_folder_is_replaced(tmp_path: Path) -> None:
    folder = save(tmp_path, "-folder")
    before = {path: path.read_bytes() for path in folder.iterdir()}
    out = folder / "fc.weight.npy"
    assert f"{out}: is the very file to read" in fails(2, "compress", folder, "-o", out)
    (tmp_path / "link.dcnn").symlink_to(out)
    assert "is the very file" in fails(2, "compress", folder, "-o", tmp_path / "link.dcnn")
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_a_tensor_that_cant_be_compressed(tmp_path: Path) -> None:
    path, out = tmp_path / "in.npz", tmp_path / "out.dcnn"
    path.write_bytes(npz_bytes({"w": np.full((20, 20), np.nan, np.float32)}))
    config = tmp_path / "config.json"
    config.write_text('{"by_name": {"w": {"bits": 4}}}')
    words = "tensor 'w': bits 4 was asked for by its name: weights must be finite"
    assert words in fails(2, "compress", path, "-o", out, "--config", config)
    assert not out.exists()


_share_weights = quantize.share_weights


class Full:
    """A file that can't be written."""

    def __enter__(self) -> "Full":
        return self

    def __exit__(self, *exception: object) -> None:
        pass

    def writelines(self, lines: list[bytes]) -> None:
        raise OSError(errno.ENOSPC, "Full")


def share_weights(values: np.ndarray, *how: Any, **more: Any) -> Any:
    """Fail for one of the tensors."""
    if values.ndim == 2:
        raise MemoryError("no 1 GiB")
    return _share_weights(values, *how, **more)


@pytest.mark.parametrize("jobs", [1, 2])  # threads of joblib put causes of their own in place
@pytest.mark.parametrize(
    ("module", "name", "stand_in", "words"),
    [
        (quantize, "share_weights", share_weights, "'fc.weight': too large for the memory: no"),
        (tempfile, "TemporaryFile", lambda dir: Full(), "out.dcnn: can't write: Full"),
    ],
    ids=["memory", "disk"],
)
def test_what_the_system_fails_at(
    module: Any, name: str, stand_in: Any, words: str, jobs: int, tmp_path: Path, monkeypatch
) -> None:
    path = save(tmp_path, ".npz")
    monkeypatch.setattr(module, name, stand_in)
    assert words in fails(1, "compress", path, "-o", tmp_path / "out.dcnn", "--jobs", jobs)
    assert list(tmp_path.iterdir()) == [path]
