"""The verb ``run``: a network of the paper, from training to the compressed file."""

import os
import sys
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ..experiments import recipes
from ..experiments import run as experiment
from ..experiments.datasets import Dataset, load_digits, load_mnist
from ..experiments.journal import RECORDS_NAME
from ..reports.tables import format_tables
from .verb import Answer, Subparsers, add_verb, whole

AnyRecipe = recipes.Recipe | recipes.MaxRecipe
RUNS_FOLDER = "runs"
RUN_FILES = ("model.dcnn", "report.json", "table.txt", "config.json")
FOLDER = "folder for the results; the same command goes on there, or shows what ended there"
DATA = "folder of MNIST's four files; default: $DEEPCOMPRESS_DATA, then a download"


def add_parser(subparsers: Subparsers) -> None:
    """Add ``run`` to the command line."""
    help = "train, prune, share, code and measure a network of the paper"
    parser = add_verb(subparsers, run, help, resumable=True)
    names, networks = (sorted(set(each)) for each in zip(*recipes.RECIPES, strict=True))
    parser.add_argument("network", metavar=f"{{{','.join(networks)}}}")
    parser.add_argument("--data", metavar="DIR", help=DATA)
    recipe = f"{' or '.join(names)}; default: paper"
    parser.add_argument("--recipe", default="paper", metavar="NAME", help=recipe)
    parser.add_argument("--seed", type=whole(0), default=0, metavar="N", help="default: 0")
    default = f"{RUNS_FOLDER}/NETWORK-seedN"
    parser.add_argument("-o", "--out", metavar="DIR", help=f"{FOLDER}; default: {default}")
    threads = "default: all processors; the result is the same"
    parser.add_argument("--threads", type=whole(1), metavar="N", help=threads)
    holdout = "measure on the last N training images in place of the test images"
    parser.add_argument("--holdout", type=whole(0), default=0, metavar="N", help=holdout)


def run(
    network: str,
    recipe: str = "paper",
    data: str | None = None,
    seed: int = 0,
    holdout: int = 0,
    threads: int | None = None,
    out: str | None = None,
) -> Answer:
    """Run a recipe, from training to the compressed file.

    Parameters
    ----------
    network, recipe : str
        As for `recipes.find_recipe`.
    data : str, optional
        As for `datasets.load_mnist`.
    seed, holdout, threads : int
        As for `experiments.run.run`; `holdout` is its ``holdout_images``.
    out : str, optional
        Folder for the results, ``runs/<network>-seed<seed>`` by default. A run that was
        stopped there goes on; for one that has ended there, the answer is its report.
    """
    chosen = recipes.find_recipe(network, recipe)
    out = out or os.path.join(RUNS_FOLDER, f"{network}-seed{seed}")
    return run_recipe(chosen, data, out, seed=seed, holdout_images=holdout, threads=threads)


def run_recipe(recipe: AnyRecipe, data: str | None, out: str, **options: Any) -> Answer:
    """Run a recipe, or go on with it, and show its tables."""
    folder = Path(out)
    had_ended = (folder / "report.json").exists() and not (folder / RECORDS_NAME).exists()
    dataset = load_data(recipe.data, data)
    with _Progress(recipe) as progress:
        report = experiment.run(recipe, dataset, folder, on_epoch=progress, **options)
    text = format_tables(report) + "\n"
    if had_ended:
        text += "This run had ended before; nothing was computed again.\n"
    text += "\n".join(str(folder / name) for name in RUN_FILES)
    return Answer({"out": out} | report, text)


def load_data(name: str, folder: str | None) -> Dataset:
    """Return the data set of a recipe; `folder` is MNIST's."""
    return load_digits() if name == "digits" else load_mnist(folder)


class _Progress:
    """A bar over the epochs of a recipe, on standard error if that is a terminal."""

    def __init__(self, recipe: AnyRecipe) -> None:
        self._epochs = recipe.epochs()
        self._bar = tqdm(
            total=sum(self._epochs.values()),
            unit="epoch",
            leave=False,
            disable=not sys.stderr.isatty(),
        )

    def __enter__(self) -> "_Progress":
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.close()

    def __call__(self, phase: str, epoch: int, loss: float) -> None:
        """Show that an epoch of a phase has ended; those of a run before count as done."""
        phases = list(self._epochs)
        before = sum(self._epochs[name] for name in phases[: phases.index(phase)])
        if self._bar.n == 0:
            self._bar.initial = before + epoch - 1  # and don't count for the speed
        self._bar.n = before + epoch
        self._bar.set_postfix_str(f"{phase}, loss {loss:.4f}")
