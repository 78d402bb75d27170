"""Kill runs at random moments: ``python tests/campaigns/run_kills.py [--kills N] [--json FILE]``.

A short run of the demo's network is started in a child of a process that has imported
everything, so that the child's life is the run, and is killed (SIGKILL) at a random moment
of it; the same command then goes on in the same folder, and is killed again. A run that ended
before its kill makes room for the next. Each folder must end with the files of an undisturbed
run, byte by byte; of the report, all but the seconds.
"""

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

# Children are forked: without threads, which NumPy's library would start.
if __name__ == "__main__":
    os.environ["OPENBLAS_NUM_THREADS"] = "1"

from deepcompress import cli, native
from deepcompress.commands import run as commands
from deepcompress.experiments import phases, recipes
from deepcompress.experiments.recipes import Training

FILES = ["config.json", "model.dcnn", "report.json", "table.txt"]
IMAGES = 300
TINY = replace(
    recipes.DEMO,
    train=Training(epochs=2, rate=0.05),
    rounds=(replace(recipes.DEMO.rounds[0], retrain=Training(epochs=1, rate=0.02)),),
    fine_tune=Training(epochs=1, rate=1e-4),
)


def contents(folder: Path) -> dict[str, Any]:
    """Read all files of a finished run, its report without the seconds."""
    found: dict[str, Any] = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert sorted(found) == FILES, sorted(found)
    report = json.loads((folder / "report.json").read_bytes())
    return found | {"report.json": report | {"seconds": None}}


@contextmanager
def shortened() -> Iterator[None]:
    """Make the demo short, with a record of the journal after each epoch."""
    before = recipes.DEMO, phases.PIECE_EPOCHS, commands.load_digits
    digits = commands.load_digits()
    few = {name: getattr(digits, name)[:IMAGES] for name in ("train_images", "train_labels")}
    recipes.DEMO, phases.PIECE_EPOCHS = TINY, 1
    commands.load_digits = lambda: replace(digits, **few)
    try:
        yield
    finally:
        recipes.DEMO, phases.PIECE_EPOCHS, commands.load_digits = before


def start(folder: Path) -> int:
    """Start the run in a child."""
    child = os.fork()
    if child == 0:
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 1)
            os._exit(cli.main(["demo", "--json", "--out", str(folder)]))
    return child


def status_of(child: int) -> int:
    """Wait for a child to end."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def run(kills: int, seed: int, root: Path) -> dict[str, int]:
    """Kill runs and return the counts."""
    began = time.perf_counter()
    assert status_of(start(root / "undisturbed")) == 0
    seconds = time.perf_counter() - began
    moment = random.Random(seed)
    done = folder = 0
    while done < kills:
        child = start(root / f"killed-{folder}")
        time.sleep(moment.uniform(0, seconds / 2))
        os.kill(child, signal.SIGKILL)
        status = status_of(child)
        assert status in (0, -signal.SIGKILL)
        done += status != 0
        folder += status == 0
    assert status_of(start(root / f"killed-{folder}")) == 0
    undisturbed = contents(root / "undisturbed")
    ended = [contents(path) for path in sorted(root.glob("killed-*"))]
    return {
        "kills": done,
        "runs that were killed and ended": len(ended),
        "runs that ended otherwise": sum(found != undisturbed for found in ended),
    }


def backends(root: Path) -> dict[str, Any]:
    """Run undisturbed on each backend, and tell whether the models are the same bytes."""
    names = ["reference"] + (["native"] if native.info()["reason"] is None else [])
    for name in names:
        with native.use(name):
            assert status_of(start(root / f"backend-{name}")) == 0
    models = {(root / f"backend-{name}" / "model.dcnn").read_bytes() for name in names}
    return {"backends": names, "the same model by all backends": len(models) == 1}


def main() -> int:
    """Run everything, print the counts, and return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--json", type=Path, help="where to write the counts")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, shortened():
        counts = run(arguments.kills, arguments.seed, Path(folder))
        same = backends(Path(folder))
    command = (
        f"python tests/campaigns/run_kills.py --kills {arguments.kills} --seed {arguments.seed}"
    )
    text = json.dumps({"command": command, **counts, **same}, indent=2) + "\n"
    print(text, end="")
    if arguments.json:
        arguments.json.write_text(text)
    same_model = same["the same model by all backends"]
    return int(counts["runs that ended otherwise"] > 0 or not same_model)


if __name__ == "__main__":
    sys.exit(main())
