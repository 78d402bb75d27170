"""The commands that compare: ``verify --against`` and ``diff``."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.command import call, fails

import deepcompress as dc
from deepcompress.coding.prices import Choice

RNG = np.random.default_rng(0)
DENSE = {
    "a/w": (RNG.normal(size=(20, 30)) * (RNG.random((20, 30)) < 0.3)).astype(np.float32),
    "a/b": np.array([1, math.nan, math.inf], np.float32),
    "steps": np.arange(6).reshape(2, 3),
}


@pytest.fixture
def model() -> dc.CompressedModel:
    return dc.compress(DENSE, metadata={"network": "x", "epochs": 1})


@pytest.fixture
def file(tmp_path: Path, model: dc.CompressedModel) -> Path:
    model.save(tmp_path / "model.dcnn")
    return tmp_path / "model.dcnn"


def answer(status: int, *arguments: object) -> tuple[dict[str, Any], str]:
    """Run a command as text and in JSON; return both answers."""
    found, text, error = call(*arguments)
    assert (found, error) == (status, "")
    found, values, error = call(*arguments, "--json")
    assert (found, error) == (status, "")
    return json.loads(values), text


def test_verify_against_what_was_compressed(tmp_path: Path, file: Path) -> None:
    original = tmp_path / "original.npz"
    np.savez(original, **DENSE)
    values, text = answer(0, "verify", file, "--against", original)
    assert text.startswith(f"ok: {file}, ")
    assert "- the original's tensors, in their shapes\n" in text
    assert f"against {original}:\n" in text
    assert values["ok"] is True
    assert values["missing"] == values["extra"] == values["other_shapes"] == []
    assert len(values["checks"]) == 4
    rows = {row["name"]: row for row in values["differences"]}
    assert list(rows) == list(DENSE)
    apart = dc.load(file)["a/w"].to_dense().astype(float) - DENSE["a/w"]
    assert rows["a/w"]["differing"] == np.count_nonzero(apart) > 100
    assert rows["a/w"]["largest"] == np.abs(apart).max()
    rms = math.sqrt(np.mean(apart**2))
    assert rows["a/w"]["rms"] == pytest.approx(rms)
    size = math.sqrt(np.mean(DENSE["a/w"].astype(float) ** 2))
    assert rows["a/w"]["relative_rms"] == pytest.approx(rms / size)
    for name in ("a/b", "steps"):
        assert (rows[name]["differing"], rows[name]["unmeasured"], rows[name]["rms"]) == (0, 0, 0)
    (line,) = [line for line in text.splitlines() if line.startswith("a/w ")]
    assert line.split()[1:3] == ["600", str(rows["a/w"]["differing"])]


def test_verify_against_other_tensors(tmp_path: Path, file: Path) -> None:
    original = tmp_path / "original.npz"
    np.savez(original, **{"steps": DENSE["steps"].T, "a/b": np.ones(3), "more": 1, "\x1b": 2})
    values, text = answer(1, "verify", file, "--against", original)
    assert text.startswith(f"not ok: {file}, ")
    assert (values["ok"], values["missing"], values["extra"]) == (False, ["more", "\x1b"], ["a/w"])
    assert values["other_shapes"] == [{"name": "steps", "shape": [2, 3], "original": [3, 2]}]
    (row,) = values["differences"]
    assert (row["name"], row["differing"], row["unmeasured"]) == ("a/b", 2, 2)
    for line in (
        r"- missing: more, \x1b",
        "- not in the original: a/w",
        "- steps has shape 2x3 and the original 3x2",
    ):
        assert f"\n{line}\n" in text
    assert "in their shapes" not in text


@pytest.mark.parametrize("key", ["missing", "extra", "other_shapes"])
def test_each_of_them_fails(tmp_path: Path, file: Path, key: str) -> None:
    arrays = dict(DENSE)
    if key == "missing":
        arrays["more"] = np.ones(1)
    elif key == "extra":
        del arrays["steps"]
    else:
        arrays["steps"] = np.arange(6)
    np.savez(tmp_path / "f.npz", **arrays)
    values, _ = answer(1, "verify", file, "--against", tmp_path / "f.npz")
    assert [one for one in ("missing", "extra", "other_shapes") if values[one]] == [key]


def test_verify_against_another_of_ours(tmp_path: Path, file: Path) -> None:
    coarse = dc.compress(DENSE, dc.Config(dc.TensorConfig(bits=2)))
    coarse.save(tmp_path / "coarse.dcnn")
    values, _ = answer(0, "verify", file, "--against", tmp_path / "coarse.dcnn")
    apart = dc.load(file)["a/w"].to_dense().astype(float) - coarse["a/w"].to_dense()
    assert values["differences"][0]["largest"] == np.abs(apart).max()
    assert answer(0, "verify", file, "--against", file)[0]["differences"][0]["differing"] == 0


def test_verify_against_what_is_none(tmp_path: Path, file: Path) -> None:
    other = tmp_path / "other"
    assert f"{other}: No such file" in fails(2, "verify", file, "--against", other)
    assert f"{tmp_path}: has no .npy files" in fails(2, "verify", file, "--against", tmp_path)
    for content in (b"", b"hello, world"):
        other.write_bytes(content)
        error = fails(1, "verify", file, "--against", other)
        assert error.startswith(f"{other}: neither a .dcnn, an npz, a .safetensors, ")
    other.write_bytes(b"PK\3\4")
    assert f"{other}: not a whole npz file" in fails(1, "verify", file, "--against", other)
    other.write_bytes(file.read_bytes()[:-1])
    assert f"{other}: 1 of" in fails(1, "verify", file, "--against", other)
    (broken := tmp_path / "broken").write_bytes(file.read_bytes()[:-1])
    assert f"{broken}: 1 of" in fails(1, "verify", broken, "--against", file)


def test_verify_names_what_it_cannot_hold(tmp_path: Path, file: Path, monkeypatch) -> None:
    def no_memory(tensor: dc.CompressedTensor) -> None:
        raise dc.ArgumentError("can't hold it")

    np.savez(tmp_path / "f.npz", **DENSE)
    monkeypatch.setattr(dc.CompressedTensor, "to_dense", no_memory)
    error = fails(2, "verify", file, "--against", tmp_path / "f.npz")
    assert error == f"{file}: tensor 'a/w': can't hold it"


def test_diff_of_the_same(tmp_path: Path, file: Path) -> None:
    (other := tmp_path / "other").write_bytes(file.read_bytes())
    values, text = answer(0, "diff", file, other)
    size = file.stat().st_size
    assert text.startswith(f"{file}, {other}: same bytes ({size:,} and {size:,} bytes)\n")
    assert values["same_bytes"]
    assert values["same_tensors"]
    assert values["same_order"]
    assert (values["metadata"], values["only_a"], values["only_b"]) == ([], [], [])
    assert "->" not in text


def test_diff_of_what_is_stored_otherwise(
    tmp_path: Path, file: Path, model: dc.CompressedModel
) -> None:
    other = tmp_path / "other"
    storage = {"a/w": Choice("fixed", gap_bits=3)}
    reverse = dict(reversed(model.tensors.items()))
    metadata = {"epochs": True, "network": "x", "seed": [1]}
    replace(model, tensors=reverse, storage=storage, metadata=metadata).save(other)
    values, text = answer(0, "diff", file, other)
    assert values["verdict"] == "same tensors, stored otherwise"
    assert (values["same_bytes"], values["same_tensors"]) == (False, True)
    assert values["same_order"] is False
    assert "another order" in text
    assert values["metadata"] == [{"key": "epochs", "a": 1, "b": True}, {"key": "seed", "b": [1]}]
    assert '\nmetadata "epochs": 1 -> true\nmetadata "seed": absent -> [1]\n' in text
    row = values["tensors"][0]
    assert (row["name"], row["same"]) == ("a/w", True)
    assert (row["labels_differ"], row["weights_differ"], row["largest"]) == (0, 0, 0)
    assert (row["a"]["encoding"], row["b"]["encoding"]) == ("bitmask", "relative")
    assert (row["a"]["gap_bits"], row["b"]["gap_bits"]) == (None, 3)
    assert row["b"]["coders"] == "fixed/fixed"
    assert row["a"]["K"] == row["b"]["K"] == len(model["a/w"].codebook)
    for side, path in (("a", file), ("b", other)):
        inspected = json.loads(call("inspect", path, "--json")[1])["tensors"]
        for key, value in next(one for one in inspected if one["name"] == "a/w").items():
            assert row[side].get(key, value) == value
    assert "bitmask -> relative" in text
    assert f"{row['a']['bytes']:,} -> {row['b']['bytes']:,}" in text
    assert (values["tensors"][1]["a"]["coders"], values["tensors"][1]["labels_differ"]) == (
        None,
        None,
    )


def test_diff_of_other_values(tmp_path: Path, file: Path, model: dc.CompressedModel) -> None:
    other = tmp_path / "other"
    w = model["a/w"]
    assert isinstance(w, dc.CompressedTensor)
    codebook = w.codebook.copy()
    codebook[3] += 0.25
    tensors = model.tensors | {"a/w": replace(w, codebook=codebook)}
    replace(model, tensors=tensors).save(other)
    values, text = answer(1, "diff", file, other)
    assert values["verdict"] == "differ"
    row, *others = values["tensors"]
    assert row["labels_differ"] == 0
    assert row["weights_differ"] == np.count_nonzero(w.labels() == 3) > 0
    assert row["largest"] == pytest.approx(0.25)
    assert row["rms"] == pytest.approx(0.25 * math.sqrt(row["weights_differ"] / w.size))
    assert [one["same"] for one in values["tensors"]] == [False, True, True]
    assert f"{file}, {other}: differ (" in text
    assert others[0]["unmeasured"] == 0


def test_diff_counts_labels(tmp_path: Path, file: Path, model: dc.CompressedModel) -> None:
    w = model["a/w"]
    assert isinstance(w, dc.CompressedTensor)
    order = np.r_[0, len(w.codebook) - 1 : 0 : -1]
    values = w.codebook[order]  # the same weights by other labels
    swapped = dc.CompressedTensor.from_entries(
        w.shape,
        values,
        (order[w.labels()].astype(np.uint8), w.label_bits),
        (w.gaps(), w.gap_bits),
    )
    replace(model, tensors=model.tensors | {"a/w": swapped}).save(tmp_path / "other")
    row = answer(0, "diff", file, tmp_path / "other")[0]["tensors"][0]
    middle = np.count_nonzero(w.labels() == len(w.codebook) // 2)  # is its own mirror image
    assert row["labels_differ"] == np.count_nonzero(w.labels()) - middle
    assert row["weights_differ"] == 0


def test_diff_of_other_tensors(tmp_path: Path, file: Path, model: dc.CompressedModel) -> None:
    other = tmp_path / "other"
    changed = {"steps": DENSE["steps"].T, "a/b": DENSE["a/b"].astype(np.float64), "new\n": 1.0}
    dc.compress({"a/w": DENSE["a/w"]} | changed, metadata=model.metadata).save(other)
    values, text = answer(1, "diff", file, other)
    assert (values["only_a"], values["only_b"]) == ([], ["new\n"])
    assert f"\nonly in {other}: new\\n\n" in text
    rows = {row["name"]: row for row in values["tensors"]}
    assert rows["a/w"]["same"]
    assert (rows["steps"]["same"], rows["steps"]["weights_differ"]) == (False, None)
    assert (rows["a/b"]["same"], rows["a/b"]["weights_differ"]) == (False, 0)  # of another dtype
    assert "2x3 -> 3x2" in text
    dc.compress({"a/w": DENSE["a/w"]}, metadata=model.metadata).save(other)
    for pair, only in (((file, other), "only_a"), ((other, file), "only_b")):
        values, _ = answer(1, "diff", *pair)
        assert values[only] == ["a/b", "steps"]
        assert (values["same_tensors"], values["same_order"]) == (False, True)
    dc.CompressedModel({}).save(other)
    assert answer(0, "diff", other, other)[0]["tensors"] == []


def test_diff_used_wrongly(tmp_path: Path, file: Path) -> None:
    assert "No such file" in fails(2, "diff", file, tmp_path / "absent")
    assert "required: B" in fails(2, "diff", file)
    data = bytearray(file.read_bytes())
    data[-10] ^= 1
    (broken := tmp_path / "broken").write_bytes(data)
    assert f"{broken}: checksum of tensor 'steps'" in fails(1, "diff", file, broken)
    dc.CompressedModel({}).save(tmp_path / "nothing")
    for pair in ((broken, tmp_path / "nothing"), (tmp_path / "nothing", broken)):
        assert f"{broken}: checksum of tensor 'steps'" in fails(1, "diff", *pair)


@pytest.fixture
def tuned(tmp_path: Path) -> Path:
    """A file of differences to ``base.npz``; ``elsewhere.npz`` has all but one element of that."""
    tensors = {"a/w": RNG.normal(size=(40, 50)).astype(np.float32), "steps": np.arange(3)}
    before = tensors | {"a/w": tensors["a/w"] * np.float32(1 - 1e-6)}
    np.savez(tmp_path / "base.npz", **before)
    dc.compress(tensors, base=before).save(tmp_path / "tuned.dcnn")
    np.savez(tmp_path / "tuned.npz", **tensors)
    before["a/w"][3, 4] += 1
    np.savez(tmp_path / "elsewhere.npz", **before)
    return tmp_path / "tuned.dcnn"


def test_verify_with_a_base(tmp_path: Path, tuned: Path) -> None:
    base, original = tmp_path / "base.npz", tmp_path / "tuned.npz"
    values, text = answer(0, "verify", tuned, "--base", base, "--against", original)
    assert text.startswith(f"ok: {tuned}, ")
    assert [row["differing"] for row in values["differences"]] == [0, 0]
    assert answer(0, "verify", tuned, "--base", base)[0]["ok"] is True
    for option in ([], ["--base", tmp_path / "elsewhere.npz"]):
        for more in ([], ["--against", original]):
            assert "tensor 'a/w': " in fails(2, "verify", tuned, *option, *more)
    assert "absent.npz: No such file" in fails(2, "verify", tuned, "--base", "absent.npz")


def test_diff_with_a_base(tmp_path: Path, tuned: Path) -> None:
    """Of either side, or of both."""
    base, whole = tmp_path / "base.npz", tmp_path / "whole.dcnn"
    with np.load(tmp_path / "tuned.npz") as arrays:
        dc.compress({**arrays}, dc.preset("lossless")).save(whole)
    for sides in ((tuned, whole), (whole, tuned)):
        values, _ = answer(0, "diff", *sides, "--base", base)
        assert values["verdict"] == "same tensors, stored otherwise"
        encodings = [values["tensors"][0][side]["encoding"] for side in "ab"]
        assert sorted(encodings) == ["delta", "planes"]
    assert answer(0, "diff", tuned, tuned, "--base", base)[0]["same_bytes"] is True
    for option in ([], ["--base", tmp_path / "elsewhere.npz"]):
        assert "tuned.dcnn: tensor 'a/w': " in fails(2, "diff", whole, tuned, *option)
