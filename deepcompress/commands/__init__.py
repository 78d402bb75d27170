"""What each command of the command line does; `cli` parses its arguments and prints its answer.

A command that fails raises an error of ours. None prints anything but progress.
"""

import os
import platform
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from .. import __version__, native
from ..errors import ArgumentError, FormatError
from ..experiments import recipes
from ..experiments import run as experiment_run
from ..experiments.datasets import Dataset, load_digits, load_mnist
from ..experiments.journal import RECORDS_NAME
from ..files.atomic import write_bytes
from ..files.reading import read_file
from ..formats.npz import npz_bytes
from ..native import spmv as native_spmv
from ..nn.losses import error_count
from ..nn.parallel import available_threads
from ..pipeline import load
from ..reports.inspection import describe, format_description
from ..reports.tables import format_tables, printable
from ..runtime.network import CompressedNetwork

DEMO_FOLDER = "deepcompress-demo"
RUNS_FOLDER = "runs"
RUN_FILES = ("model.dcnn", "report.json", "table.txt", "config.json")


@dataclass(frozen=True)
class Answer:
    """What a command has to say: `values`, in JSON's types, for ``--json``, else `text`.

    `failed` is for a check whose outcome is an answer, not an error.
    """

    values: dict[str, Any]
    text: str
    failed: bool = False


def demo(out: str | None = None) -> Answer:
    """Run the demo's recipe on the digits that come with scikit-learn.

    Parameters
    ----------
    out : str, optional
        As for `run`, ``deepcompress-demo`` by default.
    """
    return _run(recipes.DEMO, None, out or DEMO_FOLDER)


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
        As for `experiment.run`; `holdout` is its ``holdout_images``.
    out : str, optional
        Folder for the results, ``runs/<network>-seed<seed>`` by default. A run that was
        stopped there goes on; of one that has ended there the answer is the report.
    """
    chosen = recipes.find_recipe(network, recipe)
    out = out or os.path.join(RUNS_FOLDER, f"{network}-seed{seed}")
    return _run(chosen, data, out, seed=seed, holdout_images=holdout, threads=threads)


def inspect(file: str, codes: bool = False, alternatives: bool = False) -> Answer:
    """Say what a file holds and where its bytes go.

    Parameters
    ----------
    file : str
    codes : bool
        Whether to list what each symbol of each stream costs.
    alternatives : bool
        Whether to list what other ways to store each tensor would have cost.
    """
    description = describe(read_file(file), file, codes=codes, prices=alternatives)
    return Answer({"file": file} | description, f"{file}: {format_description(description)}")


def evaluate(file: str, data: str | None = None) -> Answer:
    """Run a file's network on its test images, with the weights packed.

    Parameters
    ----------
    file : str
        Its metadata names the network.
    data : str, optional
        As for `datasets.load_mnist`; the demo's network needs none.

    Raises
    ------
    ArgumentError
        If the file holds no network, or one that we have no test images for.
    """
    model = load(file)
    try:
        network = CompressedNetwork.of(model)
    except (ArgumentError, FormatError) as error:
        raise type(error)(f"{file}: {error}") from None
    name = network.name
    if name not in {recipes.DEMO.network, *(network for _, network in recipes.RECIPES)}:
        raise ArgumentError(f"{file}: there are no test images for network {name!r}; see predict")
    dataset = _dataset("digits" if name == recipes.DEMO.network else "mnist", data)
    start = time.perf_counter()
    logits = network.predict(dataset.test_images, batch_size=250)
    error_percent = 100 * error_count(logits, dataset.test_labels) / len(logits)
    seconds = time.perf_counter() - start
    values = {
        "file": file,
        "network": name,
        "error_percent": error_percent,
        "images": len(dataset.test_images),
        "seconds": round(seconds, 3),
        "backend": native.backend(),
    }
    text = (
        f"{file}: {name}, error {error_percent:.2f} % of {len(dataset.test_images):,} test images, "
        f"{seconds:.2f} s with packed weights ({native.backend()} backend)"
    )
    return Answer(values, text)


def decompress(file: str, out: str) -> Answer:
    """Write a file's tensors, dense, as an npz file.

    Raises
    ------
    ArgumentError
        If `out` is the file itself, or the tensors are too large or have unsuitable names.
    """
    model = load(file)
    if os.path.exists(out) and os.path.samefile(file, out):
        raise ArgumentError(f"{out}: is the very file to decompress; choose another for -o")
    try:
        content = npz_bytes(model.to_dense())
    except (ArgumentError, MemoryError) as error:
        raise ArgumentError(f"{file}: can't be held as an npz file: {error}") from error
    write_bytes(out, content)
    values = {"file": file, "out": out, "out_bytes": len(content), "tensors": list(model)}
    return Answer(
        values, f"{out}: {len(content):,} bytes, tensors: {', '.join(map(printable, model))}"
    )


def info() -> Answer:
    """Say which versions and which backend are at work."""
    values = {
        "deepcompress": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        **(native_info := native.info()),
        "kernels": native_spmv.kernels(native_info["isa"]),
        "processors": available_threads(),
    }
    lines = {key: values[key] for key in ("deepcompress", "python", "numpy")}
    lines["backend"] = (
        f"native: C kernels, for {values['isa']}"
        if values["backend"] == "native"
        else "reference: NumPy alone, without C"
    )
    lines["C extension"] = (
        f"built by {values['compiler']}; runs here: {', '.join(values['available_isas'])}"
        if values["reason"] is None
        else f"there is none: {values['reason']}"
    )
    kernels = values["kernels"].items()
    lines["kernels"] = ", ".join(f"{product} {kernel}" for product, kernel in kernels)
    lines["processors"] = values["processors"]
    by = f"by OpenMP {values['openmp']}" if values["openmp"] else "built without OpenMP"
    lines["threads"] = f"{values['threads']}, {by}" if values["reason"] is None else 1
    width = max(map(len, lines))
    return Answer(values, "\n".join(f"{key:{width}}  {value}" for key, value in lines.items()))


class _Progress:
    """A bar over the epochs of a recipe, on standard error if that is a terminal."""

    def __init__(self, recipe: recipes.Recipe) -> None:
        self._epochs = {"train": recipe.train.epochs}
        for index, one_round in enumerate(recipe.rounds, start=1):
            self._epochs[f"retrain-{index}"] = one_round.retrain.epochs
        self._epochs["fine-tune"] = recipe.fine_tune.epochs
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


def _run(recipe: recipes.Recipe, data: str | None, out: str, **options: Any) -> Answer:
    folder = Path(out)
    had_ended = (folder / "report.json").exists() and not (folder / RECORDS_NAME).exists()
    dataset = _dataset(recipe.data, data)
    with _Progress(recipe) as progress:
        report = experiment_run.run(recipe, dataset, folder, on_epoch=progress, **options)
    text = format_tables(report) + "\n"
    if had_ended:
        text += "This run had ended before; nothing was computed again.\n"
    text += "\n".join(str(folder / name) for name in RUN_FILES)
    return Answer({"out": out} | report, text)


def _dataset(name: str, folder: str | None) -> Dataset:
    return load_digits() if name == "digits" else load_mnist(folder)
