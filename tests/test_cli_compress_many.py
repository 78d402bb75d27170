"""Several models into a folder by ``compress``: all of them, once, whatever happens."""

import contextlib
import functools
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from support.command import call, fails
from support.npz import npz_bytes
from test_formats_registry import save_safetensors

import deepcompress as dc
from deepcompress import cli
from deepcompress.commands import bar
from deepcompress.files.resumable import JOURNAL_NAME


def tensors(seed: int, size: int = 60) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        "fc.weight": rng.normal(size=(size, 50)).astype(np.float32),
        "fc.bias": np.arange(size, dtype=np.float32),
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder with three models, one of them a folder, and an empty folder for outputs."""
    (tmp_path / "a.npz").write_bytes(npz_bytes(tensors(0)))
    save_safetensors(tmp_path / "b.v1.safetensors", tensors(1))
    (tmp_path / "c.5B").mkdir()
    for name, tensor in tensors(2).items():
        np.save(tmp_path / "c.5B" / f"{name}.npy", tensor)
    (tmp_path / "out").mkdir()
    return tmp_path


def inputs(folder: Path) -> list[Path]:
    return [folder / name for name in ("a.npz", "b.v1.safetensors", "c.5B")]


OUTPUTS = ["a.dcnn", "b.v1.dcnn", "c.5B.dcnn"]


def states(paths: list[Path]) -> list[tuple[int, int]]:
    """Return what changes when files are replaced."""
    return [(path.stat().st_ino, path.stat().st_mtime_ns) for path in paths]


def test_each_becomes_a_file_once(folder: Path) -> None:
    outs = [folder / "out" / name for name in OUTPUTS]
    status, text, error = call("compress", *inputs(folder), "-o", folder / "out", "-j", 2)
    assert (status, error) == (0, "")
    assert [line.split(": ")[0] for line in text.splitlines()] == list(map(str, outs))
    for seed, out in enumerate(outs):
        assert dict(dc.load(out)).keys() == tensors(seed).keys()
        assert out.read_bytes() == single(folder, inputs(folder)[seed])
    before = states(outs)
    status, text, _ = call("compress", *inputs(folder), "-o", f"{folder / 'out'}/", "--json")
    values = json.loads(text)
    assert (status, values["failed"]) == (0, [])
    assert [file["done_before"] for file in values["files"]] == [True] * 3
    assert [file["out_bytes"] for file in values["files"]] == [p.stat().st_size for p in outs]
    assert states(outs) == before
    assert sorted(os.listdir(folder / "out")) == [JOURNAL_NAME, *OUTPUTS]


def single(folder: Path, path: Path, *options: object) -> bytes:
    """Return the bytes that the command makes of one file by itself."""
    out = folder / "single.dcnn"
    assert call("compress", path, "-o", out, *options)[0] == 0
    return out.read_bytes()


def test_what_has_changed_is_made_again(folder: Path) -> None:
    outs = [folder / "out" / name for name in OUTPUTS]

    def made_again(*options: object) -> list[bool]:
        before = states(outs)
        command = ["compress", *inputs(folder), "-o", folder / "out", "--json", *options]
        status, text, _ = call(*command)
        assert status == 0
        known = [file["done_before"] for file in json.loads(text)["files"]]
        assert [one == other for one, other in zip(states(outs), before, strict=True)] == known
        for path, out in zip(inputs(folder), outs, strict=True):
            assert out.read_bytes() == single(folder, path, *options)
        return [not one for one in known]

    assert call("compress", *inputs(folder), "-o", folder / "out")[0] == 0
    (folder / "a.npz").write_bytes(npz_bytes(tensors(3)))
    assert made_again() == [True, False, False]
    np.save(folder / "c.5B" / "fc.bias.npy", np.ones(60, np.float32))
    assert made_again() == [False, False, True]
    assert made_again("-j", 1) == [False] * 3
    assert made_again("--paper") == [True] * 3
    assert made_again("--paper", "--seed", 1) == [True] * 3
    outs[1].write_bytes(outs[0].read_bytes())
    assert made_again("--paper", "--seed", 1) == [False, True, False]
    (folder / "config.json").write_text('{"default": {"bits": 3}}')
    assert made_again("--config", folder / "config.json") == [True] * 3
    (folder / "config.json").write_text('{"default": {"bits": 2}}')
    assert made_again("--config", folder / "config.json") == [True] * 3


def test_a_base_that_has_changed(folder: Path) -> None:
    command = ["compress", *inputs(folder), "-o", folder / "out", "--preset", "lossless"]
    command += ["--base", folder / "base.npz", "--json"]
    for seed, known in ((0, False), (0, True), (1, False)):
        (folder / "base.npz").write_bytes(npz_bytes(tensors(seed)))
        status, text, _ = call(*command)
        assert status == 0
        assert [file["done_before"] for file in json.loads(text)["files"]] == [known] * 3


def test_one_file_into_a_folder(folder: Path) -> None:
    assert call("compress", folder / "a.npz", "-o", folder / "out")[0] == 0
    assert sorted(os.listdir(folder / "out")) == [JOURNAL_NAME, "a.dcnn"]


def test_others_are_done_where_one_fails(folder: Path) -> None:
    (folder / "bad.npz").write_bytes(npz_bytes(tensors(4))[:-9])
    (folder / "nan.npz").write_bytes(npz_bytes({"fc.weight": np.full((60, 50), np.nan, "f4")}))
    (folder / "config.json").write_text('{"by_name": {"fc.weight": {"bits": 4}}}')
    files = ["bad.npz", "absent.npz", "nan.npz", *inputs(folder)]
    command = ["compress", *(folder / file for file in files), "-o", folder / "out"]
    command += ["--config", folder / "config.json"]
    status, text, error = call(*command)
    assert (status, error) == (1, "")
    assert text.count("error: ") == 3
    assert f"error: {folder / 'nan.npz'}: tensor 'fc.weight': " in text
    assert text.endswith("3 of 6 failed\n")
    assert sorted(os.listdir(folder / "out")) == [JOURNAL_NAME, *OUTPUTS]
    status, text, _ = call(*command, "--json")
    values = json.loads(text)
    assert status == 1
    assert [file["done_before"] for file in values["files"]] == [True] * 3
    failed = {Path(one["file"]).name: (one["kind"], one["error"]) for one in values["failed"]}
    assert {name: kind for name, (kind, _) in failed.items()} == {
        "bad.npz": "FormatError",
        "absent.npz": "DataError",
        "nan.npz": "ArgumentError",
    }
    assert all(str(folder / name) in message for name, (_, message) in failed.items())


def test_what_is_refused_before_anything_is_written(folder: Path) -> None:
    (folder / "a.safetensors").write_bytes(b"")
    both, out = [folder / "a.npz", folder / "a.safetensors"], folder / "out"
    words = f"{out / 'a.dcnn'}: would be made of both {both[0]} and {both[1]}"
    assert fails(2, "compress", *both, "-o", out) == words
    assert "would be made of both" in fails(2, "compress", both[0], both[0], "-o", out)
    (out / "a.dcnn").symlink_to(folder / "a.npz")
    words = "a.dcnn: is the very file to read; choose another for -o"
    assert words in fails(2, "compress", *inputs(folder), "-o", out)
    words = "c.5B: is the very file to read"
    assert words in fails(2, "compress", *inputs(folder), "-o", folder / "c.5B")
    words = ": can't write there: make that folder first"
    assert words in fails(2, "compress", *inputs(folder), "-o", folder / "absent")
    assert words in fails(2, "compress", folder / "a.npz", "-o", f"{folder / 'absent'}/")
    words = "a.safetensors: can't write there: it is no folder"
    assert words in fails(2, "compress", *inputs(folder), "-o", folder / "a.safetensors")
    for jobs in (0, -1, "x", 1.5):
        assert "whole number from 1 on" in fails(2, "compress", both[0], "-o", out, f"-j{jobs}")
    assert os.listdir(out) == ["a.dcnn"]
    assert (folder / "a.npz").read_bytes() == npz_bytes(tensors(0))


def test_an_array_of_a_folder_is_not_replaced(folder: Path) -> None:
    (folder / "out" / "c.5B.dcnn").symlink_to(folder / "c.5B" / "fc.bias.npy")
    status, text, _ = call("compress", *inputs(folder), "-o", folder / "out")
    assert status == 1
    assert "c.5B.dcnn: is the very file to read" in text
    assert sorted(os.listdir(folder / "out")) == [JOURNAL_NAME, *OUTPUTS]
    assert np.array_equal(np.load(folder / "c.5B" / "fc.bias.npy"), tensors(2)["fc.bias"])


def test_an_input_that_changes_meanwhile(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from deepcompress.commands import compress

    compress_to = compress.compress_to

    def change(*arguments: object, **options: object) -> object:
        os.utime(folder / "a.npz", (1, 1))
        return compress_to(*arguments, **options)

    monkeypatch.setattr(compress, "compress_to", change)
    status, text, _ = call("compress", *inputs(folder), "-o", folder / "out")
    assert status == 1
    assert f"error: {folder / 'a.npz'}: was changed while it was read\n" in text
    assert sorted(os.listdir(folder / "out")) == [JOURNAL_NAME, *OUTPUTS[1:]]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_progress_is_for_terminals(
    folder: Path, options: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bar, "tqdm", functools.partial(bar.tqdm, mininterval=0, miniters=1))
    command = ["compress", *map(str, inputs(folder)), "-o", str(folder / "out"), *options]
    error = Terminal()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(error):
        assert cli.main(command) == 0
    shown = error.getvalue()
    if options:
        assert shown == ""
    else:
        assert "2/3 b.v1.safetensors: 100%" in shown
        assert "12.2k/12.2k [00:0" in shown  # bytes of a model, and times
        assert "B/s]" in shown


@pytest.mark.slow
def test_fifty_models_and_a_kill(tmp_path: Path) -> None:
    paths = [tmp_path / f"m{index:02}.npz" for index in range(50)]
    for index, path in enumerate(paths):
        path.write_bytes(npz_bytes(tensors(index, 200 + index)))
    out = tmp_path / "out"
    out.mkdir()
    command = ["compress", *map(str, paths), "-o", str(out)]
    environment = os.environ | {"PYTHONPATH": str(Path(dc.__file__).parents[1])}
    process = subprocess.Popen(
        [sys.executable, "-m", "deepcompress", *command], env=environment, cwd=tmp_path
    )
    try:
        while len(finished := sorted(out.glob("m*.dcnn"))) < 10:
            assert process.poll() is None
            time.sleep(0.001)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == -signal.SIGKILL
    finished = sorted(out.glob("m*.dcnn"))
    assert 10 <= len(finished) < 50
    before = states(finished)
    status, text, _ = call(*command, "--json")
    assert status == 0
    known = {Path(file["out"]) for file in json.loads(text)["files"] if file["done_before"]}
    assert known >= set(finished)
    assert len(known) <= len(finished) + 1  # one may have waited for its name
    assert states(finished) == before
    for index in range(50):
        expected = dc.compress(tensors(index, 200 + index)).to_bytes()
        assert (out / f"m{index:02}.dcnn").read_bytes() == expected
    assert sorted(os.listdir(out)) == [JOURNAL_NAME, *(f"m{i:02}.dcnn" for i in range(50))]
