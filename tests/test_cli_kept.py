"""The command ``compress`` tells what is kept, and refuses arrays of anything but numbers."""

import json
from pathlib import Path

import numpy as np
import pytest
from support.command import call, fails
from support.ways import is_same
from test_formats_registry import save_source

import deepcompress as dc

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("kind", [".npz", ".safetensors", "-folder"])
def test_the_command_tells_what_is_kept(tmp_path: Path, kind: str) -> None:
    tensors = {f"ids{i}": np.arange(3 + i) for i in range(12)}
    tensors |= {"mask": np.full((20, 20), -np.inf, np.float32), "few": np.ones((3, 3), np.float16)}
    tensors["weight"] = RNG.normal(size=(30, 30)).astype(np.float16)
    path, out = tmp_path / f"in{kind}", tmp_path / "out.dcnn"
    save_source(path, tensors)
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"by_kind": {"bias": {"bits": 4}}}))
    status, text, _ = call("compress", path, "-o", out, "--config", config)
    own_bytes = sum(tensor.nbytes for tensor in tensors.values())
    assert status == 0
    first, *told = text.splitlines()
    assert f"bytes, {own_bytes:,} as they were (" in first
    assert "kept as they are (not finite): mask" in told
    assert "kept as they are (too small): few" in told
    (ids,) = [line for line in told if "(integers)" in line]
    assert ids.count("ids") == 10
    assert ids.endswith(" and 2 more")
    values = json.loads(call("compress", path, "-o", out, "--config", config, "--json")[1])
    reasons = {name: "integers" for name in tensors if name.startswith("ids")}
    assert values["kept"] == reasons | {"mask": "not finite", "few": "too small"}
    assert values["reference_bytes"] == own_bytes
    assert values["ratio"] == own_bytes / values["out_bytes"]
    model = dc.load(out)
    assert all(is_same(model[name], tensors[name]) for name in values["kept"])
    config.write_text(json.dumps({"by_name": {"ids3": {"bits": 4}}}))
    words = "tensor 'ids3': bits 4 was asked for by its name: not for integers"
    assert words in fails(2, "compress", path, "-o", out, "--config", config)


@pytest.mark.parametrize(
    "array",
    [
        np.array(["cat", "dog"]),
        np.array(["2020-01-01"], "M8[D]"),
        np.zeros(2, [("a", "f4")]),
        np.array([None]),
        np.ones(3, np.longdouble),
    ],
    ids=lambda array: str(array.dtype),
)
@pytest.mark.parametrize("kind", [".npz", "-folder"])
def test_arrays_of_anything_else_give_no_traceback(
    tmp_path: Path, array: np.ndarray, kind: str
) -> None:
    path = tmp_path / f"in{kind}"
    if kind == ".npz":
        np.savez(path, w=array)
    else:
        path.mkdir()
        np.save(path / "w.npy", array)
    config = tmp_path / "config.json"
    config.write_text('{"default": {"method": "float16"}}')
    status, text, error = call(
        "compress", path, "-o", tmp_path / "f.dcnn", "--config", config, "--json"
    )
    if array.dtype == np.float64:  # a machine whose longest double is that
        return
    assert status in (1, 2)
    assert "Error" in json.loads(text)["kind"]
    assert "'w" in error or "w.npy" in error
