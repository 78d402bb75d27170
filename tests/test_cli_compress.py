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
    kept = {"config": CONFIG}
    expected = dc.compress(TENSORS, dc.Config.from_dict(CONFIG), metadata=kept).to_bytes()
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
    asked = dc.Config.from_dict(drawn)
    expected = dc.compress(TENSORS, asked, seed=5, metadata={"config": drawn}).to_bytes()
    assert out.read_bytes() == expected


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
    other = tmp_path / "weights.bin"
    other.write_bytes(b"x")
    assert "neither .npz nor .safetensors" in fails(1, "compress", other, "-o", out)
    path.write_bytes(path.read_bytes()[:-9])
    assert "in.npz" in fails(1, "compress", path, "-o", out)
    assert sorted(os.listdir(tmp_path)) == ["in.npz", "weights.bin"]


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


@pytest.mark.parametrize("name", ["paper", "small", "lossless"])
def test_a_preset_is_kept_in_the_file_and_shown(tmp_path: Path, name: str) -> None:
    path, out = save(tmp_path, ".npz"), tmp_path / "out.dcnn"
    assert call("compress", path, "-o", out, "--preset", name)[0] == 0
    asked = dc.preset(name).to_dict(brief=True)
    model = dc.load(out)
    assert model.metadata == {"config": asked}
    assert dc.Config.from_dict(asked) == dc.preset(name)
    assert f"\nconfig: {json.dumps(model.metadata['config'])}\n" in call("inspect", out)[1]
    assert json.loads(call("inspect", out, "--json")[1])["config"] == asked
    if name == "lossless":
        assert all(model.to_dense()[n].tobytes() == t.tobytes() for n, t in TENSORS.items())


def test_a_toml_file_is_read_and_kept(tmp_path: Path) -> None:
    path, out, config = save(tmp_path, ".npz"), tmp_path / "out.dcnn", tmp_path / "config.TOML"
    config.write_text('[by_kind]\nlinear = {bits = 3}\n[by_name]\n"re:conv.*" = {method = "raw"}\n')
    assert call("compress", path, "-o", out, "--config", config)[0] == 0
    asked = {"by_kind": {"fc": {"bits": 3}}, "by_name": {"re:conv.*": {"method": "raw"}}}
    assert dc.load(out).metadata["config"] == asked


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--preset", "smal"], "did you mean 'small'?"),
        (["--preset", "small", "--paper"], "not allowed with argument"),
        (["--base", "absent.npz"], "absent.npz: No such file"),
    ],
)
def test_bad_presets_and_bases(tmp_path: Path, options: list[str], words: str) -> None:
    path, out = save(tmp_path, ".npz"), tmp_path / "out.dcnn"
    assert words in fails(2, "compress", path, "-o", out, *options)
    assert not out.exists()


@pytest.mark.parametrize("kind", [".npz", ".dcnn"])
def test_differences_to_a_base(tmp_path: Path, kind: str) -> None:
    path, out, base = save(tmp_path, ".npz"), tmp_path / "out.dcnn", tmp_path / f"base{kind}"
    before = {name: tensor * np.float32(1 - 1e-6) for name, tensor in TENSORS.items()}
    if kind == ".npz":
        base.write_bytes(npz_bytes(before))
    else:
        dc.compress(before, dc.preset("lossless")).save(base)
    assert call("compress", path, "-o", out, "--base", base)[0] == 0
    assert out.read_bytes() == dc.compress(TENSORS, base=before).to_bytes()
    back = tmp_path / "back.npz"
    assert call("decompress", out, "-o", back, "--base", base)[0] == 0
    with np.load(back) as arrays:
        assert all(arrays[name].tobytes() == TENSORS[name].tobytes() for name in TENSORS)
    for option in ([], ["--base", path]):
        back.unlink(missing_ok=True)
        assert "tensor 'conv.weight': " in fails(2, "decompress", out, "-o", back, *option)
        assert not back.exists()
    assert '"base_digest"' in call("inspect", out, "--json")[1]
    assert "is the very file" in fails(2, "compress", path, "-o", base, "--base", base)


PICTURES = {"size": [4, 6], "channels": "RGB", "mean": [1.0, 2.0, 3.0], "scale": [0.5] * 3}


def test_the_way_of_pictures_is_stored(tmp_path: Path) -> None:
    """As text, or as a file."""
    path, out, stated = save(tmp_path, ".npz"), tmp_path / "out.dcnn", tmp_path / "pictures.json"
    stated.write_text(json.dumps(PICTURES | {"scale": 0.5}))
    for given in (stated, json.dumps(PICTURES)):
        assert call("compress", path, "-o", out, "--preprocessing", given)[0] == 0
        assert dc.load(out).metadata == {"preprocessing": PICTURES}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ('{"size": 5}', "--preprocessing: preprocessing: has no channels"),
        ('{"size": 5, "channels": "HSV"}', "--preprocessing: preprocessing: channels must be one"),
        ('{"size": 5', "--preprocessing: "),
        (" {}", "--preprocessing: preprocessing: has no size"),
        ("absent.json", "absent.json: No such file"),
    ],
)
def test_pictures_that_make_no_sense(tmp_path: Path, given: str, message: str) -> None:
    path = save(tmp_path, ".npz")
    status = 2 if "absent" in given else 1
    error = fails(status, "compress", path, "-o", tmp_path / "out.dcnn", "--preprocessing", given)
    assert message in error
    assert not (tmp_path / "out.dcnn").exists()
