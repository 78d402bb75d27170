"""The command line itself: wrong use, exit statuses, and output that can't be written."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support.command import call, fails

import deepcompress
from deepcompress import cli, native
from deepcompress.commands import run
from deepcompress.errors import ArgumentError, BackendError, ChecksumError, OutputError

ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(deepcompress.__file__).parents[1])}
COMMAND = [sys.executable, "-m", "deepcompress"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("", "arguments are required: COMMAND (see deepcompress --help)"),
        ("shrink f", "invalid choice: 'shrink'"),
        ("compress f", "required: -o"),
        ("compress f -o g --paper --config h", "--config: not allowed with argument --paper"),
        ("compress f -o g --jobs 0", "'0' isn't a whole number from 1 on"),
        ("inspect", "required: FILE (see deepcompress inspect --help)"),
        ("info f", "unrecognized arguments: f"),
        ("info --js", "unrecognized arguments: --js"),
        ("decompress f", "required: -o"),
        ("run", "required: {lenet-300-100"),
        ("run alexnet", "unknown network 'alexnet'; the choices are lenet-300-100"),
        ("run lenet-300-100 --recipe best", "unknown recipe 'best' for lenet-300-100"),
        ("run lenet-300-100 --seed -1", "'-1' isn't a whole number from 0 on"),
        ("run lenet-300-100 --seed 1.5", "'1.5' isn't a whole number from 0 on"),
        ("run lenet-300-100 --threads 0", "'0' isn't a whole number from 1 on"),
        ("run lenet-300-100 --data", "argument --data: expected one argument"),
    ],
)
def test_wrong_use(line: str, reason: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert reason in fails(2, *line.split())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("line", ["--help", "run --help", "--version"])
def test_help_and_version(line: str, capsys) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(line.split())
    assert caught.value.code == 0
    expected = {"--version": f"deepcompress {deepcompress.__version__}\n"}
    assert expected.get(line, "usage: deepcompress") in capsys.readouterr().out


@pytest.mark.parametrize(
    ("error", "cause", "status"),
    [
        (ChecksumError, None, 1),
        (OutputError, OSError(errno.ENOSPC, "No space left on device"), 1),
        (OutputError, OSError(errno.EACCES, "Permission denied"), 2),
        (OutputError, None, 2),
        (ArgumentError, MemoryError(), 1),
        (ArgumentError, None, 2),
        (BackendError, None, 2),
    ],
)
def test_exit_status(error, cause, status, monkeypatch) -> None:
    def raises() -> None:
        raise error("two\nlines") from cause

    monkeypatch.setattr(native, "info", raises)
    assert fails(status, "info") == "two lines"


def test_out_of_memory(monkeypatch) -> None:
    def raises() -> None:
        raise MemoryError("Unable to allocate 1 GiB")

    monkeypatch.setattr(native, "info", raises)
    message = "out of memory: Unable to allocate 1 GiB"
    assert call("info") == (1, "", f"deepcompress: error: {message}\n")
    values = json.loads(call("info", "--json")[1])
    assert values == {"error": message, "kind": "MemoryError"}


@pytest.mark.parametrize(
    ("has_threads", "threads"),
    [(True, "3, which look for more work for 150 us"), (False, "3, built without threads")],
)
def test_info_with_extension(has_threads, threads, monkeypatch) -> None:
    found = {"backend": "native", "isa": "avx2", "available_isas": ["scalar", "avx2"]}
    found |= {"threads": 3, "has_threads": has_threads, "spin_us": 150.0}
    monkeypatch.setattr(native, "info", lambda: found | {"compiler": "gcc 1", "reason": None})
    status, text, error = call("info")
    assert (status, error) == (0, "")
    assert "backend       native: C kernels, for avx2\n" in text
    assert "C extension   built by gcc 1; runs here: scalar, avx2\n" in text
    assert f"threads       {threads}\n" in text
    assert "kernels       spmv avx2, spmm avx2, conv avx2\n" in text
    for word in (deepcompress.__version__, np.__version__, "processors"):
        assert word in text
    assert '"isa": "avx2"' in call("info", "--json")[1]


def test_info_without_extension(monkeypatch) -> None:
    found = {"backend": "reference", "isa": None, "available_isas": [], "compiler": None}
    found |= {"threads": 1, "has_threads": False, "spin_us": 150.0}
    monkeypatch.setattr(native, "info", lambda: found | {"reason": "no compiler"})
    text = call("info")[1]
    assert "backend       reference: NumPy alone, without C\n" in text
    assert "kernels       spmv numpy, spmm numpy, conv numpy\n" in text
    assert "C extension   there is none: no compiler\n" in text
    assert "threads       1\n" in text


def test_unknown_backend() -> None:
    result = subprocess.run(
        [*COMMAND, "info"],
        env=ENVIRONMENT | {"DEEPCOMPRESS_BACKEND": "gpu"},
        capture_output=True,
        text=True,
    )
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("deepcompress: error: unknown backend 'gpu'")


@pytest.mark.parametrize(
    ("command", "hint"), [("info", ""), ("demo", "; the same command goes on where it stopped")]
)
def test_interrupted(command: str, hint: str, monkeypatch) -> None:
    def interrupt(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(native, "info", interrupt)
    monkeypatch.setattr(run, "run_recipe", interrupt)
    assert call(command) == (130, "", f"deepcompress: interrupted{hint}\n")


def test_nobody_reads(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)  # a checkout's own package would hide the installed one
    reading, writing = os.pipe()
    os.close(reading)
    process = subprocess.run(
        [*COMMAND, "info"], env=ENVIRONMENT, stdout=writing, stderr=subprocess.PIPE
    )
    os.close(writing)
    assert (process.returncode, process.stderr) == (141, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_output_to_a_full_disk(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with open("/dev/full", "wb") as full:
        process = subprocess.run(
            [*COMMAND, "info"], env=ENVIRONMENT, stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert process.returncode == 1
    expected = "deepcompress: error: standard output: No space left on device\n"
    assert process.stderr == expected


def test_terminal_without_unicode() -> None:
    code = r"from deepcompress.cli import _print; _print('\xb5 \udcff', 0)"
    process = subprocess.run(
        [sys.executable, "-c", code],
        env=ENVIRONMENT | {"PYTHONIOENCODING": "ascii"},
        capture_output=True,
    )
    assert (process.returncode, process.stdout, process.stderr) == (0, rb"\xb5 \udcff", b"")
