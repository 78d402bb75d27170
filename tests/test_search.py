"""Search under a budget, on tensors whose score is known in closed form."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import deepcompress
from deepcompress import CompressedModel, errors
from deepcompress.nn import zoo
from deepcompress.search import agreement, divergence, search, sensitivity
from deepcompress.search.scores import dense

RNG = np.random.default_rng(0)
TENSORS = {
    "a": RNG.normal(size=(30, 20)).astype(np.float32),
    "b": RNG.normal(size=(40, 20)).astype(np.float32),
    "b.bias": RNG.normal(size=40).astype(np.float32),
}


def score(model: CompressedModel) -> float:
    """Score by squares of errors; those of b count ten times."""
    off = {name: float(np.sum((dense(model[name]) - TENSORS[name]) ** 2)) for name in "ab"}
    return 5 - (off["a"] + 10 * off["b"])


class Counting:
    """A score that counts its calls, and may stop after some."""

    def __init__(self, most: float = np.inf) -> None:
        self.calls, self.most = 0, most

    def __call__(self, model: CompressedModel) -> float:
        self.calls += 1
        if self.calls > self.most:
            raise KeyboardInterrupt
        return score(model)


def test_a_scan_has_points_from_fine_to_coarse() -> None:
    found = sensitivity(TENSORS, score, rungs=[24, -24, 0])
    assert list(found) == ["a", "b"]
    for name, one in found.items():
        assert one.size == TENSORS[name].nbytes
        assert [point.rung for point in one.points] == [-24, 0, 24]
        losses = [point.loss for point in one.points]
        sizes = [point.bytes for point in one.points]
        assert losses == sorted(losses)
        assert sizes == sorted(sizes, reverse=True)
        assert all(point.loss == 5 - point.score for point in one.points)
    assert found["b"].points[0].loss > 5 * found["a"].points[0].loss


def test_a_scan_ends_where_a_loss_is_enough() -> None:
    found = sensitivity(TENSORS, score, rungs=range(-32, 36, 4), enough=1.0)
    for one in found.values():
        assert all(point.loss <= 1 for point in one.points[:-1])


def test_the_smallest_file_within_a_drop() -> None:
    found = search(TENSORS, score, max_drop=100)
    assert found.met
    assert found.missed == 0
    assert 50 < found.drop <= 100
    assert found.reference_score == 5
    assert found.score == score(found.model)
    assert found.bytes == len(found.model.to_bytes())
    assert found.settings["a"] > found.settings["b"] + 16  # which are a factor of 4 in squares
    equal = [
        (len(model.to_bytes()), 5 - score(model))
        for model in (search(TENSORS, score, max_drop=0).model, *_equal_steps())
    ]
    assert found.bytes < 0.95 * min(size for size, drop in equal if drop <= 100)


def _equal_steps() -> list[CompressedModel]:
    from deepcompress.inputs import flat
    from deepcompress.search.rungs import Ladder

    ladder = Ladder(flat(TENSORS), False, "rans", {})
    return [ladder.model({"a": rung, "b": rung}) for rung in range(-64, 32, 4)]


def test_the_best_score_within_a_size() -> None:
    found = search(TENSORS, score, target_bytes=900)
    assert found.met
    assert 850 < found.bytes <= 900
    smaller = search(TENSORS, score, target_bytes=700)
    assert smaller.bytes <= 700
    assert smaller.score < found.score


def test_without_any_drop_nothing_is_lost() -> None:
    found = search(TENSORS, score, max_drop=0)
    assert found.met
    assert found.drop == 0
    assert all((dense(found.model[name]) == TENSORS[name]).all() for name in TENSORS)


def test_a_size_that_cannot_be_met_is_missed_by_so_much() -> None:
    found = search(TENSORS, score, target_bytes=10)
    assert not found.met
    assert found.missed == found.bytes - 10 > 0
    assert found.bytes < 600


def test_a_score_of_one_value_lets_everything_go() -> None:
    found = search(TENSORS, lambda model: 1, max_drop=0)
    assert found.met
    assert found.bytes < 600


def test_limits_end_a_search_with_the_best_so_far() -> None:
    for trials in (1, 2, 5, 9):
        counting = Counting()
        found = search(TENSORS, counting, max_drop=100, max_trials=trials)
        assert found.stopped
        assert found.trials <= trials
        assert counting.calls == found.trials
        assert found.met
    assert found.bytes < 2000
    found = search(TENSORS, score, max_drop=100, max_seconds=0)
    assert (found.trials, found.stopped, found.settings) == (1, True, None)


@pytest.mark.parametrize("stops", [1, 4, 16])
def test_a_search_goes_on_from_its_journal(tmp_path: Path, stops: int) -> None:
    whole, journal = search(TENSORS, score, max_drop=100), tmp_path / "trials.jsonl"
    with pytest.raises(KeyboardInterrupt):
        search(TENSORS, Counting(stops), max_drop=100, journal=journal)
    lines = journal.read_text().splitlines()
    assert len(lines) == 1 + stops
    assert all(map(json.loads, lines))
    counting = Counting()
    found = search(TENSORS, counting, max_drop=100, journal=journal)
    assert counting.calls == whole.trials - stops + 1  # the original is scored once more
    assert found.model.to_bytes() == whole.model.to_bytes()
    assert found.frontier == whole.frontier
    again = search(TENSORS, counting, max_drop=100, journal=journal)
    assert again.settings == whole.settings


SEARCH = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
import test_search
from deepcompress.search import search
class Killing(test_search.Counting):
    def __call__(self, model):
        if self.calls == 7:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(model)
search(test_search.TENSORS, Killing(), max_drop=100, journal=sys.argv[2])
"""


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL")
def test_a_killed_search_goes_on_to_the_same_answer(tmp_path: Path) -> None:
    journal = tmp_path / "trials.jsonl"
    command = [sys.executable, "-c", SEARCH, str(Path(__file__).parent), str(journal)]
    environment = os.environ | {"PYTHONPATH": str(Path(deepcompress.__file__).parents[1])}
    killed = subprocess.run(command, env=environment, cwd=tmp_path, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert len(journal.read_text().splitlines()) == 8
    found = search(TENSORS, score, max_drop=100, journal=journal)
    whole = search(TENSORS, score, max_drop=100)
    assert found.model.to_bytes() == whole.model.to_bytes()


def test_a_journal_serves_another_budget(tmp_path: Path) -> None:
    journal, counting = tmp_path / "trials.jsonl", Counting()
    sensitivity(TENSORS, counting, journal=journal)
    scanned = counting.calls
    found = search(TENSORS, counting, max_drop=100, journal=journal)
    assert counting.calls < scanned + found.trials - 6
    assert found.settings == search(TENSORS, score, max_drop=100).settings


def test_a_journal_of_something_else_is_refused(tmp_path: Path) -> None:
    journal = tmp_path / "trials.jsonl"
    search(TENSORS, score, max_drop=100, journal=journal, max_trials=3)
    kept = journal.read_bytes()
    others: list[Callable[[], Any]] = [
        lambda: search({"a": TENSORS["a"]}, score, max_drop=100, journal=journal),
        lambda: search(TENSORS, score, max_drop=100, journal=journal, half=True),
        lambda: sensitivity(TENSORS, score, journal=journal, coder="huffman"),
    ]
    for other in others:
        with pytest.raises(errors.OutputError, match=r"trials\.jsonl: not the journal of this"):
            other()
    with pytest.raises(errors.ArgumentError, match=r"another score: the original has 5\.0"):
        search(TENSORS, lambda model: 7, max_drop=100, journal=journal)
    assert journal.read_bytes() == kept
    for damage in (b"nonsense\n", b'{"key": "model 1"}\n', b"[]\n", b'{"key": []}\n'):
        journal.write_bytes(kept + damage)
        with pytest.raises(errors.OutputError, match="line 5 isn't a trial"):
            search(TENSORS, score, max_drop=100, journal=journal)
    with pytest.raises(errors.OutputError, match="can't read it"):
        search(TENSORS, score, max_drop=100, journal=tmp_path)


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), None, "0.9", True, np.ones(2)])
def test_a_score_must_be_a_number(wrong: Any) -> None:
    with pytest.raises(errors.ArgumentError, match=r"score must be a finite number.*original"):
        search(TENSORS, lambda model: wrong, max_drop=1)


def test_a_score_that_raises_is_named_and_loses_nothing(tmp_path: Path) -> None:
    journal, counting = tmp_path / "trials.jsonl", Counting()

    def breaking(model: CompressedModel) -> float:
        if counting.calls == 3:
            raise RuntimeError("out of luck")
        return counting(model)

    with pytest.raises(errors.ArgumentError, match=r"raised RuntimeError for trial scan.*of luck"):
        search(TENSORS, breaking, max_drop=100, journal=journal)
    assert len(journal.read_text().splitlines()) == 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "one budget is needed"),
        ({"max_drop": 1, "target_bytes": 5}, "one budget is needed"),
        ({"max_drop": -1}, "max_drop must be a number from 0 on, not -1"),
        ({"max_drop": float("nan")}, "max_drop must be"),
        ({"max_drop": "1"}, "max_drop must be"),
        ({"target_bytes": 0}, "target_bytes must be a whole number from 1 on"),
        ({"max_drop": 1, "max_trials": 0}, "max_trials must be a whole number from 1 on"),
        ({"max_drop": 1, "max_seconds": -1}, "max_seconds must be"),
        ({"max_drop": 1, "half": 1}, "half must be a bool"),
        ({"max_drop": 1, "coder": "none"}, "coder"),
        ({"max_drop": 1, "metadata": 3}, "metadata must be a mapping"),
        ({"max_drop": 1, "inputs": np.ones((3, 64))}, "network and inputs go together"),
        ({"max_drop": 1, "network": zoo.build("digits")}, "network and inputs go together"),
    ],
)
def test_options_are_checked(options: dict[str, Any], message: str) -> None:
    with pytest.raises(errors.ArgumentError, match=message):
        search(TENSORS, score, **options)


def test_other_arguments_are_checked() -> None:
    with pytest.raises(errors.ArgumentError, match="score must be a function"):
        search(TENSORS, 3, max_drop=1)  # type: ignore[arg-type]
    for rungs in ([], [99], "12", 5, [0.5]):
        with pytest.raises(errors.ArgumentError, match="rungs must be whole numbers"):
            sensitivity(TENSORS, score, rungs=rungs)  # type: ignore[arg-type]


def test_a_model_without_anything_to_share() -> None:
    found = search({"bias": np.ones(5, np.float32)}, lambda model: 0, max_drop=1)
    assert found.met
    assert len(found.model) == 1
    assert found.sensitivity == {}
    assert search({}, lambda model: 0, target_bytes=5).bytes > 5


NETWORK = zoo.build("digits")
PARAMS = NETWORK.init(np.random.default_rng(0))
X = np.random.default_rng(1).random((60, 64), np.float32)


def test_scores_without_labels() -> None:
    other = CompressedModel({**PARAMS, "ip3.weight": -PARAMS["ip3.weight"]})
    kl, agree = divergence(NETWORK, PARAMS, X), agreement(NETWORK, PARAMS, X)
    original = CompressedModel(dict(PARAMS))
    assert (kl(original), agree(original)) == (0, 1)
    assert kl(other) < -0.1
    assert agree(other) < 0.2
    with pytest.raises(errors.ArgumentError, match="network must be a Network"):
        divergence("digits", PARAMS, X)  # type: ignore[arg-type]


def test_inputs_calibrate(tmp_path: Path) -> None:
    kl, journal = divergence(NETWORK, PARAMS, X), tmp_path / "trials.jsonl"
    options: dict[str, Any] = {"network": NETWORK, "inputs": X, "max_trials": 5}
    found = search(PARAMS, kl, max_drop=0.05, journal=journal, **options)
    assert found.met
    assert 0 < found.drop <= 0.05
    assert found.sensitivity == {}
    assert found.score == kl(found.model)
    alone = search(PARAMS, kl, max_drop=0.05, max_trials=20)
    assert found.bytes < alone.bytes
    again = search(PARAMS, kl, max_drop=0.05, journal=journal, threads=1, **options)
    assert again.model.to_bytes() == found.model.to_bytes()


def test_points_of_a_frontier() -> None:
    from deepcompress.search import FrontierPoint, ParetoFrontier

    pairs = [(10, 0.0), (20, 5.0), (20, 6.0), (25, 5.5), (30, 7.0), (90, 8.0)]
    frontier = ParetoFrontier.of(
        FrontierPoint(size, value, None) for size, value in reversed(pairs)
    )
    assert [point.bytes for point in frontier.points] == [10, 20, 30, 90]
    assert frontier.knee == FrontierPoint(20, 6.0, None)
    assert frontier.to_dict()["points"][1] == {"bytes": 20, "score": 6.0, "settings": None}
    assert ParetoFrontier(()).knee is None
    assert ParetoFrontier(frontier.points[:1]).knee == frontier.points[0]


def test_the_page_on_search_says_what_happens(capsys: pytest.CaptureFixture[str]) -> None:
    page = (Path(__file__).parents[1] / "docs" / "budgets.md").read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    blocks = re.findall(r"```python\n(.*?)```\n\n```text\n(.*?)```", page, re.DOTALL)
    assert len(blocks) == page.count("```python") == 3
    for code, output in blocks:
        exec(code, names)
        assert capsys.readouterr().out == output
