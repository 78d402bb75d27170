"""A run that is killed and resumed gives the bytes of an undisturbed one."""

import logging
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

import deepcompress
from deepcompress.errors import ArgumentError, OutputError
from deepcompress.experiments.journal import Journal

CONFIG = {"seed": 1, "recipe": {"bits": [4, 5]}, "rate": 0.1}
RESULT = {
    "text": "µ",
    "weights": np.arange(6, dtype=np.float32).reshape(2, 3),
    "loss": float("nan"),
    "columns": np.asfortranarray(np.ones((2, 3), np.uint8)),
    "nested": {"a": [1, None, True, 0.1], "layer/state/": {"w": np.arange(3), "": {}}},
    "none": np.zeros((0, 3), np.bool_),
    "count": np.int64(3),
}
RUN = """
import sys, time
from contextlib import closing
from pathlib import Path
import numpy as np
from deepcompress.files.atomic import write_bytes
from deepcompress.experiments.journal import Journal

with closing(Journal(sys.argv[1], {"seed": 1})) as journal:
    print("started", flush=True)
    state = np.arange(1000, dtype=np.float64)
    for step in range(6):
        def phase(state=state):
            time.sleep(0.02)
            return {"state": np.sin(state) + step, "step": step}
        state = journal.phase(f"step{step}", phase)["state"]
    if not journal.finished:
        write_bytes(Path(sys.argv[1]) / "result.bin", state.tobytes())
        journal.finish()
"""


def never() -> dict:
    raise AssertionError("computed again")


def names_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def start(folder: Path) -> subprocess.Popen:
    """Start RUN in a process of its own; it has begun when this returns."""
    environment = os.environ | {"PYTHONPATH": str(Path(deepcompress.__file__).parents[1])}
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, str(folder)], env=environment, stdout=subprocess.PIPE, text=True
    )
    with process.stdout as output:
        assert output.readline() == "started\n"
    return process


@pytest.mark.slow
def test_killed_run_ends_in_the_same_bytes(tmp_path: Path) -> None:
    assert start(tmp_path / "undisturbed").wait() == 0
    random_moment = random.Random(0)
    kills = 0
    for _ in range(10):
        process = start(tmp_path / "killed")
        time.sleep(random_moment.uniform(0, 0.08))
        process.send_signal(signal.SIGKILL)
        kills += process.wait() == -signal.SIGKILL
    assert start(tmp_path / "killed").wait() == 0
    assert kills > 0
    assert names_in(tmp_path / "killed") == ["config.json", "result.bin"]
    for name in names_in(tmp_path / "killed"):
        undisturbed = (tmp_path / "undisturbed" / name).read_bytes()
        assert (tmp_path / "killed" / name).read_bytes() == undisturbed


def test_phase_returns_what_is_recorded(tmp_path: Path) -> None:
    with closing(Journal(tmp_path, CONFIG)) as journal:
        computed = journal.phase("a", lambda: RESULT)
        seconds = journal.seconds
    with closing(Journal(tmp_path, dict(reversed(CONFIG.items())))) as journal:
        resumed = journal.phase("a", never)
        assert journal.seconds == seconds
        assert list(seconds) == ["a"]
    for result in (computed, resumed):
        assert list(result) == list(RESULT)
        for key, value in RESULT.items():
            assert type(result[key]) is (int if key == "count" else type(value))
            np.testing.assert_equal(result[key], value)
        assert result["weights"].dtype == np.float32
        assert result["weights"].flags.writeable
        assert result["columns"].flags.f_contiguous


def test_every_damage_is_noticed(tmp_path: Path, caplog) -> None:
    with closing(Journal(tmp_path, CONFIG)) as journal:
        journal.phase("a", lambda: {"x": np.zeros(3, np.uint8), "y": 1})
    (record,) = (tmp_path / "journal").iterdir()
    content = record.read_bytes()
    damages = [content[:cut] for cut in range(0, len(content), 7)] + [content + b"\0"]
    for position in range(len(content)):
        flipped = bytearray(content)
        flipped[position] ^= 1
        damages.append(bytes(flipped))
    with closing(Journal(tmp_path, CONFIG)) as journal:
        for damaged in damages:
            record.write_bytes(damaged)
            journal.seconds.clear()
            caplog.clear()
            assert journal.phase("a", lambda: {"y": 2})["y"] == 2
            assert "damaged" in caplog.text
    assert caplog.records[0].levelno == logging.WARNING


@pytest.mark.parametrize(
    ("config", "difference"),
    [
        (CONFIG | {"seed": 2}, "seed is 1, not 2$"),
        (CONFIG | {"seed": True}, "seed is 1, not True$"),
        (CONFIG | {"recipe": {"bits": [4, 6]}}, r"recipe is .*5\]}, not .*6\]}$"),
        (CONFIG | {"new": None}, r"new is '\(absent\)', not None$"),
        ({"seed": 1}, "rate is 0.1, not .*; recipe is"),
    ],
)
def test_folder_of_another_run(tmp_path: Path, config: dict, difference: str) -> None:
    Journal(tmp_path, CONFIG).close()
    with pytest.raises(OutputError, match=f"holds another run; .*--out.*{difference}") as caught:
        Journal(tmp_path, config)
    assert str(tmp_path) in str(caught.value)
    Journal(tmp_path, CONFIG).close()  # the failed attempt holds no lock


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b'{"seed": 1}'])
def test_unfit_config(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(OutputError, match=r"config of a run|another run"):
        Journal(tmp_path, CONFIG)
    assert (tmp_path / "config.json").read_bytes() == content


@pytest.mark.parametrize("name", ["letter.txt", "journal/thesis.tex"])
def test_folder_of_somebody_else(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).touch()
    (tmp_path / "theirs.deepcompress-partial").touch()
    before = names_in(tmp_path)
    with pytest.raises(OutputError, match="not empty"):
        Journal(tmp_path, CONFIG)
    assert names_in(tmp_path) == before


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_unsuitable_folder(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="can't use it"):
        Journal(tmp_path / place, CONFIG)


def test_leftovers_of_killed_writers_go(tmp_path: Path) -> None:
    (tmp_path / "journal").mkdir()
    (tmp_path / ".1.deepcompress-partial").touch()  # killed before config.json was there
    with closing(Journal(tmp_path, CONFIG)) as journal:
        journal.phase("a", dict)
    (tmp_path / ".2.deepcompress-partial").touch()
    (tmp_path / "journal" / ".3.deepcompress-partial").touch()
    (tmp_path / ".journal.deepcompress-partial").mkdir()  # killed in finish
    Journal(tmp_path, CONFIG).close()
    assert names_in(tmp_path) == ["config.json", "journal", "journal/01-a.record"]


def test_finish(tmp_path: Path) -> None:
    for computations in (1, 2):  # a finished run can be run again
        with closing(Journal(tmp_path, CONFIG)) as journal:
            assert journal.finished == (computations == 2)
            journal.phase("a", dict)
            assert not journal.finished
            journal.finish()
            journal.finish()
            assert journal.finished
    assert names_in(tmp_path) == ["config.json"]


def test_one_run_at_a_time(tmp_path: Path) -> None:
    first = Journal(tmp_path, CONFIG)
    with pytest.raises(OutputError, match="another run is writing here"):
        Journal(tmp_path, CONFIG)
    first.close()
    Journal(tmp_path, CONFIG).close()


def test_unrecordable_results_and_names(tmp_path: Path) -> None:
    with closing(Journal(tmp_path, CONFIG)) as journal:
        for value in (np.array([None]), {1, 2}, [np.zeros(2)], b""):
            with pytest.raises(ArgumentError, match="phase 'a': a value can't be recorded"):
                journal.phase("a", lambda value=value: {"x": value})
        for value in ({1: 0}, {"x": {1: np.zeros(2)}}):
            with pytest.raises(ArgumentError, match="keys must be strings"):
                journal.phase("a", lambda value=value: value)
        journal.phase("a", dict)
        for name in ("a", "", "a/b", "a\n"):
            with pytest.raises(ArgumentError, match="unsuitable or already taken"):
                journal.phase(name, never)
    with pytest.raises(ArgumentError, match="no JSON form"):
        Journal(tmp_path, {"rate": float("nan")})


def test_disk_full(tmp_path: Path, monkeypatch) -> None:
    def fail(*arguments) -> None:
        raise OSError(28, "No space left on device")

    with closing(Journal(tmp_path, CONFIG)) as journal:
        monkeypatch.setattr(os, "replace", fail)
        with pytest.raises(OutputError, match=r"01-a\.record.*No space left"):
            journal.phase("a", dict)
        monkeypatch.undo()
        assert journal.seconds == {}
        assert journal.phase("a", lambda: {"x": 1}) == {"x": 1}
