"""The paper's experiment from end to end: train, prune, share, encode, and run the result.

`run` is behind the commands ``run`` and ``demo``. Each phase takes a `State`, hands on the next,
and goes through the journal in pieces of a few epochs, so that a run that was killed goes on
where it was and ends with the same bytes.
"""

import contextlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__, prune, quantize
from ..config import Config, TensorConfig
from ..files.atomic import write_bytes, write_json, write_text
from ..model import CompressedModel
from ..nn import optim
from ..nn.train import fit
from ..nn.trainable import Shared
from ..pipeline import load
from ..pipeline.models import put
from ..pipeline.weights import Encodable, Grouped, Kept, compress_tensor, priced, survivors_of
from ..reports.ledger import account
from ..reports.tables import format_tables, read_report
from .datasets import Dataset, holdout
from .journal import Journal
from .max_recipe import MaxRecipe
from .max_run import MaxRun
from .phases import OnEpoch, Phases
from .recipes import Recipe, Round, Training
from .state import State, ascending


def run(
    recipe: Recipe | MaxRecipe,
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
    recipe : Recipe or MaxRecipe
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
            options = (data, journal, seed, threads, on_epoch)
            if isinstance(recipe, MaxRecipe):
                report = MaxRun(recipe, *options).report(model_path)
            else:
                report = PaperRun(recipe, *options).report(model_path)
            write_text(folder / "table.txt", format_tables(report))
            write_json(report_path, report)
            journal.finish()
    return read_report(report_path)


@dataclass
class PaperRun(Phases):
    """A run of the paper's recipe or one like it."""

    recipe: Recipe
    stretches: int = 0  # each draws from a seed of its own

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
                weights: Encodable | Grouped | Kept
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

    def _train(
        self, phase: str, state: State, training: Training, dropout: Mapping[str, float]
    ) -> State:
        """Train by SGD, in pieces."""
        self.stretches += 1
        network = self.network.with_dropout(dropout)
        schedule = optim.cosine(training.rate, training.epochs, training.final_rate)
        sgd = optim.SGD(l2=training.l2, momentum=self.recipe.momentum)
        seed = (self.seed, self.stretches)

        def piece(state: State, start: int, end: int) -> State:
            trainables = state.trainables()
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
                on_epoch=lambda epoch, loss, _: self._tell(phase, epoch, loss),
            )
            trained = {
                one.name: replace(state.shared[one.name], codebook=one.codebook)
                for one in trainables
                if isinstance(one, Shared)
            }
            return replace(state, shared=trained, optimizer=optimizer)

        return replace(self._in_pieces(phase, training.epochs, state, piece), optimizer={})
