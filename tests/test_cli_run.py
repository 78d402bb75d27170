"""The commands ``run`` and ``demo``: what they leave, and that they go on after any end."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from campaigns import run_kills
from campaigns.run_kills import FILES, TINY
from support.command import call, fails

import deepcompress
from deepcompress.commands import run as commands_run
from deepcompress.experiments import phases, recipes


@pytest.fixture(autouse=True)
def tiny(monkeypatch, tmp_path: Path) -> None:
    """Make the demo short, let ``run digits`` do the same, and work in an empty folder."""
    monkeypatch.setattr(recipes, "DEMO", TINY)
    monkeypatch.setattr(phases, "PIECE_EPOCHS", 1)
    monkeypatch.setitem(recipes.RECIPES, ("paper", "digits"), TINY)
    monkeypatch.chdir(tmp_path)


def contents(folder: str) -> dict[str, object]:
    """Read all files of a finished run, its report without the seconds."""
    return run_kills.contents(Path(folder))


def test_demo_and_the_commands_on_its_file() -> None:
    status, text, error = call("demo")
    assert (status, error) == (0, "")
    report = json.loads(Path("deepcompress-demo/report.json").read_bytes())
    for key in (
        *("network", "recipe", "seed", "reference_error", "pruned_error", "quantized_error"),
        *("compressed_error", "reference_bytes", "file_bytes", "ratio", "stages", "layers"),
        *("kept", "seconds"),
    ):
        assert key in report
    assert text.startswith(Path("deepcompress-demo/table.txt").read_text())
    assert text.splitlines()[-4:] == [
        f"deepcompress-demo/{name}" for name in commands_run.RUN_FILES
    ]
    assert "ended before" not in text
    before = contents("deepcompress-demo")
    status, text, error = call("demo")
    assert (status, error) == (0, "")
    assert "ended before; nothing was computed again" in text
    assert json.loads(call("demo", "--json")[1]) == {"out": "deepcompress-demo"} | report
    assert contents("deepcompress-demo") == before

    model = "deepcompress-demo/model.dcnn"
    assert call("verify", model)[0] == 0
    inspected = json.loads(call("inspect", model, "--json")[1])
    assert inspected["file_bytes"] == report["file_bytes"] == os.path.getsize(model)
    assert (inspected["stages"], inspected["ratio"]) == (report["stages"], report["ratio"])
    evaluated = json.loads(call("evaluate", model, "--json")[1])
    assert evaluated["error_percent"] == report["compressed_error"]


def test_run_with_options() -> None:
    assert call("run", "digits", "--seed", 3, "--threads", 1)[0] == 0
    report = json.loads(Path("runs/digits-seed3/report.json").read_bytes())
    assert report["seed"] == 3
    assert call("run", "digits", "--seed", 3, "--threads", 2, "-o", "two")[0] == 0
    assert contents("two") == contents("runs/digits-seed3")
    assert call("run", "digits", "--seed", 3, "--holdout", 100, "--out", "held")[0] == 0
    assert contents("held")["config.json"] != contents("two")["config.json"]
    assert "holdout" in fails(2, "run", "digits", "--holdout", 5000, "--out", "none")
    assert not Path("none").exists()


def test_folder_of_another_run() -> None:
    assert call("run", "digits", "--out", "x")[0] == 0
    before = contents("x")
    assert "x: holds another run" in fails(2, "run", "digits", "--seed", 1, "--out", "x")
    assert contents("x") == before
    Path("mine").mkdir()
    Path("mine/thesis.tex").touch()
    assert "not empty" in fails(2, "demo", "-o", "mine")
    assert "can't use it" in fails(2, "demo", "--out", "mine/thesis.tex")
    assert os.listdir("mine") == ["thesis.tex"]


def test_data_missing_or_truncated(mnist_folder: Path) -> None:
    command = ["run", "lenet-300-100", "--out", "x", "--data", "."]
    assert "MNIST is missing" in fails(2, *command)
    for path in (mnist_folder / "mnist").glob("*ubyte*"):
        Path(path.name).symlink_to(path)
    images = next(Path().glob("train-images*"))
    content = images.read_bytes()
    images.unlink()
    images.write_bytes(content[:-1000])
    assert str(images) in fails(2, *command)
    images.unlink()
    assert "holds a part of MNIST" in fails(2, *command)
    assert not Path("x").exists()


def test_full_disk(monkeypatch) -> None:
    assert call("demo", "--out", "undisturbed")[0] == 0
    replace_file, failed = os.replace, []

    def fail_once(source: str, target: str) -> None:
        if target not in failed:
            failed.append(target)
            raise OSError(28, "No space left on device")
        replace_file(source, target)

    monkeypatch.setattr(os, "replace", fail_once)
    while (result := call("demo", "--out", "full"))[0] != 0:
        assert result[:2] == (1, "")
        assert "No space left on device" in result[2]
        assert result[2].startswith("deepcompress: error: full/")
        assert result[2].count("\n") == 1
        assert not list(Path("full").rglob("*partial"))
        assert not os.path.exists(failed[-1])
    assert {Path(path).name for path in failed} > set(FILES)
    assert len(failed) > 10
    assert contents("full") == contents("undisturbed")


def test_interrupted_run_goes_on(monkeypatch) -> None:
    phases = []

    class Interrupting(commands_run._Progress):
        def __call__(self, phase: str, epoch: int, loss: float) -> None:
            phases.append(phase)
            if len(phases) == 3:
                raise KeyboardInterrupt

    assert call("demo", "--out", "undisturbed")[0] == 0
    monkeypatch.setattr(commands_run, "_Progress", Interrupting)
    status, text, error = call("demo", "--out", "x")
    assert (status, text) == (130, "")
    assert "the same command goes on" in error
    assert call("demo", "--out", "x")[0] == 0
    assert phases == ["train", "train", "retrain-1", "retrain-1", "fine-tune"]
    assert contents("x") == contents("undisturbed")


def test_progress_only_on_a_terminal(monkeypatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(commands_run.tqdm, "monitor_interval", 0)  # it would start a thread
    monkeypatch.setattr(sys, "stderr", Terminal())
    with commands_run._Progress(TINY) as progress:
        progress("retrain-1", 1, 0.5)  # resumed after the training
        progress("fine-tune", 1, 0.25)
    shown = sys.stderr.getvalue()
    assert "retrain-1, loss 0.5000" in shown
    assert "4/4" in shown
    assert "fine-tune" in shown


@pytest.mark.slow
def test_killed_runs_end_in_the_same_bytes(tmp_path: Path) -> None:
    """And both backends in the same model; in a process of its own, as it forks."""
    environment = os.environ | {"PYTHONPATH": str(Path(deepcompress.__file__).parents[1])}
    command = [sys.executable, run_kills.__file__, "--kills", "20", "--json", tmp_path / "kills"]
    subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True)
    counts = json.loads((tmp_path / "kills").read_text())
    assert counts["kills"] == 20
    assert counts["runs that were killed and ended"] > 0
    assert counts["runs that ended otherwise"] == 0
    assert counts["the same model by all backends"] is True
