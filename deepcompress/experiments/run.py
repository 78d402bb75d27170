"""The paper's experiment from end to end: train, prune, share, encode, and run the result.

`run` is behind the commands ``run`` and ``demo``. Each phase takes a `State`, hands on the next,
and goes through the journal in pieces of a few epochs, so that a run that was killed goes on
where it was and ends with the same bytes.
"""

import contextlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__, prune, quantize
from ..config import Config, TensorConfig
from ..errors import ArgumentError
from ..files.atomic import write_bytes, write_json, write_text
from ..model import CompressedModel
from ..nn import optim, zoo
from ..nn.losses import error_count
from ..nn.network import Network
from ..nn.train import fit
from ..nn.trainable import Shared
from ..pipeline import compress_tensor, load, priced, put, survivors_of
from ..reports.ledger import account
from ..reports.tables import format_tables, read_report
from .datasets import Dataset, holdout
from .journal import Journal
from .recipes import Recipe, Round, Training
from .state import State, ascending

PIECE_EPOCHS = 5  # lost at most if the run is killed

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
        Source of the initial weights, the order of images, and dropout.
    holdout_images : int
        If not 0, so many of the last training images take the place of the test images: for
        making choices, such as the numbers of a recipe.
    threads : int, optional
        All processors by default; has no influence on the result.
    on_epoch : callable, optional
        Called after each epoch with the phase, the epochs done and the mean loss.

    Returns
    -------
    dict
        The content of ``report.json``.

    Raises
    ------
    OutputError
        If the folder holds another run or can't be written.
    ArgumentError
        If training diverges, naming phase, epoch and step. Finished phases stay in the journal.
    """
    if holdout_images:
        data = holdout(data, holdout_images)
    config: dict[str, Any] = {"deepcompress": __version__, "recipe": recipe.to_dict()}
    config |= {"seed": seed, "holdout_images": holdout_images}
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


@dataclass
class _Run:
    """A run on its way; `journal` holds the phases that it has finished."""

    recipe: Recipe
    data: Dataset
    journal: Journal
    seed: int
    threads: int | None
    on_epoch: OnEpoch | None
    stretches: int = 0  # each draws from a seed of its own

    def __post_init__(self) -> None:
        self.network = zoo.build(self.recipe.network)

    def report(self, model_path: Path) -> dict[str, Any]:
        """Go through all phases, write the model, and account for it."""
        rng = np.random.default_rng([self.seed, 0])
        state = State(self.network.init(rng, self.recipe.initializer))
        state = self._train("train", state, self.recipe.train, self.recipe.dropout)
        errors = {"reference_error": self._error("reference", state.params)}
        dropout = self.recipe.dropout
        for index, one_round in enumerate(self.recipe.rounds, start=1):
            state = self._prune(f"prune-{index}", state, one_round)
            dropout = {layer: self._scaled_dropout(layer, state) for layer in self.recipe.dropout}
            state = self._train(f"retrain-{index}", state, one_round.retrain, dropout)
        errors["pruned_error"] = self._error("pruned", state.params)
        state = self._share(state)
        state = self._train("fine-tune", state, self.recipe.fine_tune, dropout)
        errors["quantized_error"] = self._error("quantized", state.params)
        data, kept = self._encode(state)
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
            "kept": kept,
            "seconds": self._seconds(),
        }

    def _phase(self, name: str, function: Callable[[], State]) -> State:
        """Return the state that a phase ends with, computed now or taken from the journal."""
        return State.from_record(self.journal.phase(name, lambda: function().to_record()))

    def _prune(self, phase: str, state: State, one_round: Round) -> State:
        """Remove the small ones of the surviving weights."""

        def pruned() -> State:
            masks = {}
            for name, value in one_round.sensitivity.items():
                masks[name] = prune.sensitivity_mask(state.params[name], value, state.mask(name))
            for name, value in one_round.sparsity.items():
                masks[name] = prune.sparsity_mask(state.params[name], value, state.mask(name))
            zeroed = {name: state.params[name] * mask for name, mask in masks.items()}
            return State(state.params | zeroed, state.masks | masks)

        return self._phase(phase, pruned)

    def _scaled_dropout(self, layer: str, state: State) -> float:
        """Return the dropout rate of a layer for the connections that are left."""
        mask = state.mask(self.recipe.dropout_of[layer])
        survivors = int(np.count_nonzero(mask))
        return prune.scaled_dropout(self.recipe.dropout[layer], survivors, mask.size)

    def _share(self, state: State) -> State:
        """Cluster the surviving weights."""

        def clustered() -> State:
            params, masks, shared = dict(state.params), dict(state.masks), {}
            for index, (name, bits) in enumerate(self.recipe.bits.items()):
                masks[name] = mask = state.mask(name)
                rng = np.random.default_rng([self.seed, index])
                shared[name] = quantize.share_weights(
                    params[name], mask, bits, self.recipe.init, rng=rng
                )
                params[name] = np.zeros_like(params[name])
                params[name][mask] = shared[name].codebook[shared[name].labels]
            return State(params, masks, shared)

        return self._phase("quantize", clustered)

    def _encode(self, state: State) -> tuple[bytes, dict[str, str]]:
        """Return the bytes of the model's file, and why tensors in it aren't shared."""

        def encoded() -> dict[str, Any]:
            model = CompressedModel({}, {"network": self.recipe.network})
            for name, values in state.params.items():
                if name in state.shared and values.size >= TensorConfig.min_size:
                    mask = state.masks[name]
                    survivors = survivors_of(mask, ascending(state.shared[name]))
                    weights = priced(values, mask, survivors, TensorConfig())
                else:
                    weights = compress_tensor(name, values, Config(), 0)
                put(model, name, weights)
            kept = json.dumps(model.kept).encode()
            parts = {"data": model.to_bytes(), "kept": kept}
            return {part: np.frombuffer(content, np.uint8) for part, content in parts.items()}

        record = self.journal.phase("encode", encoded)
        kept: dict[str, str] = json.loads(bytes(record["kept"]))
        return bytes(record["data"]), kept

    def _error(self, phase: str, params: Mapping[str, Any]) -> float:
        """Measure the error on the test images."""
        record = self.journal.phase(
            f"{phase}-error",
            lambda: {"error": error_percent(self.network, params, self.data, self.threads)},
        )
        return float(record["error"])

    def _train(
        self, phase: str, state: State, training: Training, dropout: Mapping[str, float]
    ) -> State:
        """Train in pieces of `PIECE_EPOCHS`, each a phase of the journal."""
        self.stretches += 1
        network = self.network.with_dropout(dropout)
        schedule = optim.cosine(training.rate, training.epochs, training.final_rate)
        sgd = optim.SGD(l2=training.l2, momentum=self.recipe.momentum)
        seed = (self.seed, self.stretches)

        def tell(epoch: int, loss: float, seconds: float) -> None:
            if self.on_epoch is not None:
                self.on_epoch(phase, epoch + 1, loss)

        for start in range(0, training.epochs, PIECE_EPOCHS):
            end = min(start + PIECE_EPOCHS, training.epochs)

            def piece(start: int = start, end: int = end, state: State = state) -> State:
                trainables = state.trainables()
                try:
                    optimizer = fit(
                        network,
                        state.params,
                        (self.data.train_images, self.data.train_labels),
                        trainables,
                        sgd,
                        schedule,
                        epochs=end,
                        batch_size=self.recipe.batch_size,
                        seed=seed,
                        start_epoch=start,
                        state=state.optimizer if start else None,
                        threads=self.threads,
                        on_epoch=tell,
                    )
                except ArgumentError as error:
                    raise ArgumentError(
                        f"phase {phase!r}: {error}. Phases that have ended are kept in "
                        f"{self.journal.folder}, where the same run would fail again; one with "
                        "another seed or recipe needs another folder"
                    ) from error
                trained = {
                    one.name: replace(state.shared[one.name], codebook=one.codebook)
                    for one in trainables
                    if isinstance(one, Shared)
                }
                return replace(state, shared=trained, optimizer=optimizer)

            state = self._phase(f"{phase}-{end:02}", piece)
        return replace(state, optimizer={})

    def _seconds(self) -> dict[str, float]:
        """Sum the journal's seconds over the pieces of each phase."""
        seconds: dict[str, float] = {}
        for piece, value in self.journal.seconds.items():
            phase = piece.rstrip("0123456789-")
            seconds[phase] = round(seconds.get(phase, 0.0) + value, 3)
        return seconds
