"""The paper's experiment from end to end: train, prune, share, encode, and run what was encoded.

`run` is what the commands ``run`` and ``demo`` do. Each phase goes through the
journal, in pieces of a few epochs, so that a run that was killed goes on where
it was and ends with the same bytes.
"""

import contextlib
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__, prune, quantize
from ..config import Config
from ..files.atomic import write_bytes, write_json, write_text
from ..nn import optim, zoo
from ..nn.losses import error_count
from ..nn.network import Network
from ..nn.train import fit
from ..nn.trainable import Free, Masked, Shared, Trainable
from ..pipeline import compress, load
from ..reports.ledger import account
from ..reports.tables import format_tables, read_report
from .datasets import Dataset, holdout
from .journal import Journal
from .recipes import Recipe, Round, Training

PIECE_EPOCHS = 5  # what a kill may cost
WEIGHT_SUFFIX = ".weight"

# What a record of the journal holds beside the parameters.
STATE, CODEBOOK, LABELS, POSITIONS = "state/", "codebook/", "labels/", "positions/"

Params = dict[str, np.ndarray[Any, Any]]
OnEpoch = Callable[[str, int, float], None]  # phase, epochs done, mean loss


def run(
    recipe: Recipe,
    data: Dataset,
    out: str | os.PathLike[str],
    *,
    seed: int = 0,
    holdout_images: int = 0,
    threads: int | None = None,
    on_epoch: OnEpoch | None = None,
) -> dict[str, Any]:
    """Run a recipe and leave ``model.dcnn``, ``report.json``, ``table.txt`` and ``config.json``.

    Parameters
    ----------
    recipe : Recipe
    data : Dataset
        The test images are only ever used to measure; nothing is chosen by them.
    out : path
        Folder for the results: absent, empty, or that of the same run, which then goes
        on where it stopped (or, if it has ended, only returns its report).
    seed : int
        Of the initial weights, the order of images, and dropout.
    holdout_images : int
        Where not 0, so many of the last training images take the place of the test
        images: for making choices, such as the numbers of a recipe.
    threads : int, optional
        All processors by default; has no influence on the result.
    on_epoch : callable, optional
        Told of each epoch.

    Returns
    -------
    dict
        What ``report.json`` holds.

    Raises
    ------
    OutputError
        If the folder holds another run or can't be written.
    """
    if holdout_images:
        data = holdout(data, holdout_images)
    config = {
        "deepcompress": __version__,
        "recipe": recipe.to_dict(),
        "seed": seed,
        "holdout_images": holdout_images,
    }
    folder = Path(out)
    with contextlib.closing(Journal(folder, config)) as journal:
        report_path, model_path = folder / "report.json", folder / "model.dcnn"
        if not (journal.finished and report_path.exists() and model_path.exists()):
            report = _Run(recipe, data, journal, seed, threads, on_epoch).report(model_path)
            write_text(folder / "table.txt", format_tables(report))
            write_json(report_path, report)
            journal.finish()
    return read_report(report_path)


def error_percent(
    network: Network, params: Mapping[str, Any], data: Dataset, threads: int | None = None
) -> float:
    """Return the percentage of test images that a network gets wrong.

    `params` may be a `model.CompressedModel`: its weights stay packed.
    """
    logits = network.predict(params, data.test_images, threads=threads)
    return 100 * error_count(logits, data.test_labels) / len(logits)


class _Run:
    """One run on its way; `journal` holds what it has reached."""

    def __init__(
        self,
        recipe: Recipe,
        data: Dataset,
        journal: Journal,
        seed: int,
        threads: int | None,
        on_epoch: OnEpoch | None,
    ) -> None:
        self.recipe, self.data, self.journal = recipe, data, journal
        self.seed, self.threads = seed, threads
        self.on_epoch = on_epoch or (lambda phase, epoch, loss: None)
        self.network = zoo.build(recipe.network)
        self.stretches = 0  # each draws from a seed of its own

    def report(self, model_path: Path) -> dict[str, Any]:
        """Go through all phases, write the model, and account for it."""
        params = self._dense()
        errors = {"reference_error": self._error("reference", params)}
        dropout = self.recipe.dropout
        for index, one_round in enumerate(self.recipe.rounds, start=1):
            params = self._prune(f"prune-{index}", params, one_round)
            dropout = {
                layer: prune.scaled_dropout(
                    rate, int(np.count_nonzero(params[weight])), params[weight].size
                )
                for layer, rate in self.recipe.dropout.items()
                for weight in [self.recipe.dropout_of[layer]]
            }
            params = self._train(f"retrain-{index}", params, one_round.retrain, dropout, _masked)
        errors["pruned_error"] = self._error("pruned", params)
        params = self._share(params, dropout)
        errors["quantized_error"] = self._error("quantized", params)
        data = self._encode(params)
        write_bytes(model_path, data)
        errors["compressed_error"] = self._error("compressed", load(model_path))
        books = account(data)
        return {
            "network": self.recipe.network,
            "recipe": self.recipe.name,
            "seed": self.seed,
            **errors,
            "reference_bytes": books.reference_bytes,
            "file_bytes": books.file_bytes,
            "ratio": books.ratio,
            "stages": books.stages,
            "layers": [asdict(row) for row in books.layers],
            "seconds": self._seconds(),
        }

    def _dense(self) -> Params:
        rng = np.random.default_rng([self.seed, 0])
        params = self.network.init(rng, self.recipe.initializer)
        return self._train("train", params, self.recipe.train, self.recipe.dropout, _free)

    def _prune(self, phase: str, params: Params, one_round: Round) -> Params:
        def pruned() -> Params:
            masks = {
                name: rule(params[name], value, params[name] != 0)
                for rule, targets in (
                    (prune.sensitivity_mask, one_round.sensitivity),
                    (prune.sparsity_mask, one_round.sparsity),
                )
                for name, value in targets.items()
            }
            return params | {name: params[name] * mask for name, mask in masks.items()}

        return self.journal.phase(phase, pruned)

    def _share(self, params: Params, dropout: Mapping[str, float]) -> Params:
        """Cluster the surviving weights, then train centroids and biases."""

        def clustered() -> Params:
            record = dict(params)
            for index, (name, bits) in enumerate(self.recipe.bits.items()):
                mask = params[name] != 0
                rng = np.random.default_rng([self.seed, index])
                shared = quantize.share_weights(params[name], mask, bits, self.recipe.init, rng=rng)
                record[CODEBOOK + name] = shared.codebook
                record[LABELS + name] = shared.labels
                record[POSITIONS + name] = np.flatnonzero(mask)
                record[name] = np.zeros_like(params[name])
                record[name][mask] = shared.codebook[shared.labels]
            return record

        record = self.journal.phase("quantize", clustered)
        record = self._train("fine-tune", record, self.recipe.fine_tune, dropout, _shared)
        return {name: record[name] for name in params}

    def _encode(self, params: Params) -> bytes:
        def encoded() -> Params:
            by_name = {name: {"bits": bits} for name, bits in self.recipe.bits.items()}
            metadata = {"network": self.recipe.network}
            model = compress(params, Config(by_name=by_name), metadata=metadata)
            return {"data": np.frombuffer(model.to_bytes(), np.uint8)}

        return bytes(self.journal.phase("encode", encoded)["data"])

    def _error(self, phase: str, params: Mapping[str, Any]) -> float:
        record = self.journal.phase(
            f"{phase}-error",
            lambda: {"error": error_percent(self.network, params, self.data, self.threads)},
        )
        return float(record["error"])

    def _train(
        self,
        phase: str,
        record: Params,
        training: Training,
        dropout: Mapping[str, float],
        trainables_of: Callable[[Params], list[Trainable]],
    ) -> Params:
        """Train in pieces of `PIECE_EPOCHS`, each a phase of the journal."""
        self.stretches += 1
        network = self.network.with_dropout(dropout)
        schedule = optim.cosine(training.rate, training.epochs, training.final_rate)
        sgd = optim.SGD(l2=training.l2, momentum=self.recipe.momentum)
        seed = (self.seed, self.stretches)
        for start in range(0, training.epochs, PIECE_EPOCHS):
            end = min(start + PIECE_EPOCHS, training.epochs)

            def piece(start: int = start, end: int = end, record: Params = record) -> Params:
                params = {name: record[name] for name in network.param_shapes}
                trainables = trainables_of(record)
                state = {
                    key.removeprefix(STATE): value
                    for key, value in record.items()
                    if key.startswith(STATE)
                }
                state = fit(
                    network,
                    params,
                    (self.data.train_images, self.data.train_labels),
                    trainables,
                    sgd,
                    schedule,
                    epochs=end,
                    batch_size=self.recipe.batch_size,
                    seed=seed,
                    start_epoch=start,
                    state=state if start else None,
                    threads=self.threads,
                    on_epoch=lambda epoch, loss, seconds: self.on_epoch(phase, epoch + 1, loss),
                )
                trained = record | params | {STATE + key: value for key, value in state.items()}
                for trainable in trainables:
                    if isinstance(trainable, Shared):
                        trained[CODEBOOK + trainable.name] = trainable.codebook
                return trained

            record = self.journal.phase(f"{phase}-{end:02}", piece)
        return {name: value for name, value in record.items() if not name.startswith(STATE)}

    def _seconds(self) -> dict[str, float]:
        """Sum the journal's seconds over the pieces of each phase."""
        seconds: dict[str, float] = {}
        for piece, value in self.journal.seconds.items():
            phase = piece.rstrip("0123456789-")
            seconds[phase] = round(seconds.get(phase, 0.0) + value, 3)
        return seconds


def _free(record: Params) -> list[Trainable]:
    return [Free(name, value) for name, value in record.items() if "/" not in name]


def _masked(record: Params) -> list[Trainable]:
    """Train the weights that aren't zero, and the biases."""
    return [
        Masked(name, value, value != 0) if name.endswith(WEIGHT_SUFFIX) else Free(name, value)
        for name, value in record.items()
        if "/" not in name
    ]


def _shared(record: Params) -> list[Trainable]:
    """Train the centroids, and the biases."""
    return [
        Shared(name, record[CODEBOOK + name], record[LABELS + name], record[POSITIONS + name])
        if CODEBOOK + name in record
        else Free(name, value)
        for name, value in record.items()
        if "/" not in name
    ]
