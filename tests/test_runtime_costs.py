"""The costs of products that a machine has measured: when they count, and when they don't."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from deepcompress import __version__, native
from deepcompress.errors import BackendError, OutputError
from deepcompress.reports import cost_timing
from deepcompress.runtime import costs, crossover

MEASURED = {name: 2 * getattr(costs.shipped("avx2"), name) for name in costs.MEASURED}


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return where costs are kept; the folder isn't there yet."""
    path = tmp_path / "caches" / "deepcompress" / "costs.json"
    monkeypatch.setattr(costs, "path", lambda: path)
    costs._kept.cache_clear()
    return path


def test_measured_costs_count_for_their_instruction_set(file: Path) -> None:
    before = crossover.packed_ns(1000, 1000, 10**5, 1, "avx2", 1)
    assert costs.of("avx2") == costs.shipped("avx2")
    assert costs.keep("avx2", MEASURED, __version__) == file
    own = costs.of("avx2")
    assert {name: getattr(own, name) for name in MEASURED} == MEASURED
    assert own.row == costs.shipped("avx2").row  # isn't measured
    assert crossover.packed_ns(1000, 1000, 10**5, 1, "avx2", 1) > before
    for isa in ("scalar", "avx512", None):
        assert costs.of(isa) == costs.shipped(isa)
    found = json.loads(file.read_text())
    assert found["processor"] == costs.processor()
    assert (found["isa"], found["deepcompress"], found["format"]) == ("avx2", __version__, 1)


DAMAGE: dict[str, dict[str, Any]] = {
    "another processor": {"processor": "Z80"},
    "costs measured for other kernels": {"shipped": MEASURED},
    "another format": {"format": 2},
    "another set": {"isa": "avx512"},
    "more fields": {"more": 1},
    "no costs": {"costs": None},
    "too few costs": {"costs": {"call": 4000.0}},
    "text for a cost": {"costs": MEASURED | {"entry": "0.4"}},
    "true for a cost": {"costs": MEASURED | {"entry": True}},
    "a negative cost": {"costs": MEASURED | {"entry": -0.4}},
    "an absurd cost": {"costs": MEASURED | {"entry": 1e9}},
}


@pytest.mark.parametrize("change", [*DAMAGE.values()], ids=[*DAMAGE])
def test_files_of_others_are_ignored(file: Path, change: dict[str, Any]) -> None:
    costs.keep("avx2", MEASURED, __version__)
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    costs._kept.cache_clear()
    assert costs.of("avx2") == costs.shipped("avx2")


@pytest.mark.parametrize("text", [b"", b"{", b"[1]", b"\xff", b"[" * 10**5, b'{"costs": NaN}'])
def test_damaged_files_are_ignored(file: Path, text: bytes) -> None:
    file.parent.mkdir(parents=True)
    file.write_bytes(text)
    assert costs.of("avx2") == costs.shipped("avx2")


def test_a_file_that_is_cut_short_anywhere_is_ignored(file: Path) -> None:
    costs.keep("avx2", MEASURED, __version__)
    whole = file.read_bytes().rstrip()
    for end in range(len(whole)):
        file.write_bytes(whole[:end])
        costs._kept.cache_clear()
        assert costs.of("avx2") == costs.shipped("avx2")


def test_a_folder_that_cannot_be_made_is_told(file: Path) -> None:
    file.parent.parent.write_text("a file")
    with pytest.raises(OutputError, match="caches"):
        costs.keep("avx2", MEASURED, __version__)


def test_where_caches_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "own"))
    assert costs.folder_of_caches() == tmp_path / "own"
    for ignored in ("", "relative/path"):
        monkeypatch.setenv("XDG_CACHE_HOME", ignored)
        assert costs.folder_of_caches() == tmp_path / ".cache"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert costs.folder_of_caches() == tmp_path / "Library" / "Caches"
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    assert costs.folder_of_caches() == tmp_path / "local"


def test_measures_are_those_that_costs_take(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost_timing, "SECONDS", 0.0)
    for name in ("CACHED", "LARGE"):
        monkeypatch.setattr(cost_timing, name, (64, 128))
    if native.info()["isa"] is None:
        with pytest.raises(BackendError, match="no kernels"):
            cost_timing.measure()
        return
    found = cost_timing.measure()
    usual = costs.shipped(native.info()["isa"])
    assert found.keys() == {*costs.MEASURED}
    for name, value in found.items():
        bound = getattr(usual, name)
        assert bound / costs.FACTOR <= value <= bound * costs.FACTOR
