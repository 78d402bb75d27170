"""The recipe ``max`` from end to end: a network in as few bytes as its error allows.

It trains a dense network, takes its weakest units out, prunes single weights a few at a time while
it trains, rounds what is left to few centroids while it trains, trains the centroids, and at last
brings the hidden units into an order that takes fewer bytes. The numbers stand in `max_recipe`.
A unit without a weight on one of its sides goes, too, with its bias; training runs on what is left
(see `nn.compact`), which takes a fraction of the time.

In the file centroids are float16, and biases share weights as all tensors do.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from .. import dtypes, prune
from ..coding import prices
from ..coding.prices import Choice
from ..files.atomic import write_bytes
from ..model import CompressedModel
from ..nn import optim
from ..nn.compact import Compact, compact, live_masks
from ..nn.train import fit
from ..nn.trainable import Free, Masked, Rounded, Shared, Trainable
from ..pipeline import load
from ..pipeline.models import put
from ..pipeline.weights import Encodable, survivors_of
from ..quantize.rated import RatedCodebook, rated_codebook
from ..reports.ledger import account
from ..runtime.loading import checked
from ..tensors import BoolArray, Float32Array, SharedWeights
from .augment import shifted
from .max_recipe import MaxRecipe
from .phases import Phases
from .saliency import per_bit, strongest_units
from .state import State, ascending
from .training import Training
from .unit_order import alike_together, arranged

HALF = dtypes.named("float16")

_TRAIN, _PRUNE, _ROUND, _TUNE = range(1, 5)  # which stream of random numbers


@dataclass
class MaxRun(Phases):
    """A run of the recipe ``max``."""

    recipe: MaxRecipe

    def __post_init__(self) -> None:
        super().__post_init__()
        self.weights = [n for n in self.network.param_shapes if n.endswith(".weight")]

    def report(self, model_path: Path) -> dict[str, Any]:
        """Go through all phases, write the model, and account for it."""
        params = self.network.init(np.random.default_rng([self.seed, 0]), self.recipe.initializer)
        whole = {name: np.ones(tensor.shape, np.bool_) for name, tensor in params.items()}
        state = State(params, whole)
        state = self._in_pieces("train", self.recipe.train.epochs, state, self._train)
        errors = {"reference_error": self._error("reference", state.params)}
        state = self._phase("units", lambda: self._without_units(state))
        first = self._survivors(state.masks)
        state = self._in_pieces(
            "prune", self.recipe.prune.epochs, state, lambda *piece: self._prune(first, *piece)
        )
        errors["pruned_error"] = self._error("pruned", state.params)
        state = self._in_pieces("round", self.recipe.round.epochs, state, self._round)
        state = self._phase("share", lambda: self._share(state))
        state = self._in_pieces("tune", self.recipe.tune.epochs, state, self._tune)
        errors["quantized_error"] = self._error("quantized", state.params)
        state = self._phase("order", lambda: self._ordered(state))
        record = self.journal.phase("encode", lambda: {"data": self._encoded(state)})
        data = bytes(record["data"])
        write_bytes(model_path, data)
        packed = {name: checked(name, tensor) for name, tensor in load(model_path).items()}
        errors["compressed_error"] = self._error("compressed", packed)
        books = account(data)
        reference_bytes = sum(tensor.nbytes for tensor in params.values())
        return {
            "network": self.recipe.network,
            "recipe": self.recipe.name,
            "seed": self.seed,
            **errors,
            "survivors": self._survivors(state.masks),
            "reference_bytes": reference_bytes,
            "file_bytes": books.file_bytes,
            "ratio": reference_bytes / books.file_bytes,
            "stages": books.stages,
            "layers": [asdict(row) for row in books.layers],
            "kept": {},
            "seconds": self._seconds(),
        }

    def _survivors(self, masks: Mapping[str, BoolArray]) -> int:
        return sum(int(np.count_nonzero(masks[name])) for name in self.weights)

    def _train(self, state: State, start: int, end: int) -> State:
        """Train the dense network."""
        return self._fit("train", _TRAIN, self.recipe.train, state, start, end, _masked)[0]

    def _without_units(self, state: State) -> State:
        """Take all but the strongest units out, and all but their worthiest weights."""
        counts = [self.recipe.units.get(name) for name in self.weights[:-1]]
        masks = strongest_units([state.params[name] for name in self.weights], counts)
        state = self._masked(
            replace(state, optimizer={}), dict(zip(self.weights, masks, strict=True))
        )
        return self._worthiest(state, self.recipe.start)

    def _worthiest(self, state: State, left: float) -> State:
        """Keep so many of the weights, those that are worth most for what they cost."""
        old = {name: state.masks[name] for name in self.weights}
        worth = {
            name: per_bit(state.params[name], mask, self.recipe.label_bits)
            for name, mask in old.items()
        }
        sparsity = max(0.0, 1 - left / sum(mask.size for mask in old.values()))
        return self._masked(state, prune.global_masks(worth, sparsity=sparsity, masks=old))

    def _masked(self, state: State, masks: Mapping[str, BoolArray]) -> State:
        """Prune weights, and those of the units that are dead then, with their biases."""
        lively, units = live_masks([masks[name] for name in self.weights])
        kept = dict(zip(self.weights, lively, strict=True))
        for name, alive in zip(self.weights, units[1:], strict=True):
            kept[name.removesuffix("weight") + "bias"] = alive
        slots = {}
        for slot, values in state.optimizer.items():
            mask = state.masks.get(slot.rpartition(".")[0])
            if mask is not None:  # else it is the count of steps
                values = values[kept[slot.rpartition(".")[0]][mask]]
            slots[slot] = values
        params = {name: tensor * kept[name] for name, tensor in state.params.items()}
        return State(params, kept, optimizer=slots)

    def _prune(self, first: int, state: State, start: int, end: int) -> State:
        """Prune the least worthy weights before each epoch; `first` is the number before all."""
        recipe = self.recipe
        for epoch in range(start, end):
            if epoch < recipe.prune_epochs:
                done = prune.cubic_sparsity(epoch + 1, recipe.prune_epochs, 1.0)
                state = self._worthiest(state, first + done * (recipe.survivors - first))
            state, _ = self._fit("prune", _PRUNE, recipe.prune, state, epoch, epoch + 1, _masked)
        return state

    def _round(self, state: State, start: int, end: int) -> State:
        """Train weights as they are rounded; codebooks are made anew before each epoch."""
        for epoch in range(start, end):
            books = {name: self._book(state, name) for name in state.params}
            kinds = self._rounded(state, books)
            stretch = self.recipe.round
            state, trained = self._fit("round", _ROUND, stretch, state, epoch, epoch + 1, kinds)
            for one in trained:
                state.params[one.name][state.masks[one.name]] = one.value
        return state

    def _price(self, state: State, name: str) -> float:
        """Return what a bit costs in squared distance."""
        return self.recipe.price * float(np.var(state.params[name][state.masks[name]]))

    def _book(self, state: State, name: str) -> RatedCodebook:
        survivors = state.params[name][state.masks[name]]
        return rated_codebook(survivors, 2**self.recipe.bits - 1, self._price(state, name))

    def _rounded(self, state: State, books: Mapping[str, RatedCodebook]) -> "Kinds":
        def kinds(name: str, tensor: Float32Array, mask: BoolArray) -> Trainable:
            book = books[name]
            penalties = self._price(state, name) * book.bits
            return Rounded(name, tensor, mask, book.centroids, penalties)

        return kinds

    def _share(self, state: State) -> State:
        """Give each survivor the label of its centroid for good."""
        params, shared = {}, {}
        for name, values in state.params.items():
            book, mask = self._book(state, name), state.masks[name]
            labels = book.labels(values[mask], self._price(state, name))
            codebook = np.concatenate([np.zeros(1, np.float32), book.centroids])
            shared[name] = SharedWeights(codebook, (labels + 1).astype(np.uint8), self.recipe.bits)
            params[name] = _with(values, mask, codebook[shared[name].labels])
        return State(params, state.masks, shared)

    def _tune(self, state: State, start: int, end: int) -> State:
        """Train the centroids (Han et al. 2016, section 3.3)."""

        def kinds(name: str, tensor: Float32Array, mask: BoolArray) -> Trainable:
            weights = state.shared[name]
            return Shared(name, weights.codebook, weights.labels, np.flatnonzero(mask))

        state, trained = self._fit("tune", _TUNE, self.recipe.tune, state, start, end, kinds)
        codebooks = {one.name: one.codebook for one in trained if isinstance(one, Shared)}
        shared = {
            name: replace(one, codebook=codebooks[name]) for name, one in state.shared.items()
        }
        return replace(state, shared=shared)

    def _ordered(self, state: State) -> State:
        """Bring the hidden units into an order that takes fewer bytes."""
        pairs = pairwise(self.weights)
        orders = [alike_together(state.params[one], state.params[two]) for one, two in pairs]
        labels = {name: np.zeros(mask.shape, np.uint8) for name, mask in state.masks.items()}
        for name, one in state.shared.items():
            labels[name][state.masks[name]] = one.labels

        def moved(tensors: Mapping[str, Any]) -> dict[str, Any]:
            chain = arranged([tensors[name] for name in self.weights], orders)
            found = {**tensors, **dict(zip(self.weights, chain, strict=True))}
            for name, order in zip(self.weights, orders, strict=False):
                bias = name.removesuffix("weight") + "bias"
                found[bias] = tensors[bias][order]
            return found

        masks, labels = moved(state.masks), moved(labels)
        shared = {
            name: replace(one, labels=labels[name][masks[name]])
            for name, one in state.shared.items()
        }
        return State(moved(state.params), masks, shared)

    def _fit(
        self,
        phase: str,
        stream: int,
        training: Training,
        state: State,
        start: int,
        end: int,
        kinds: "Kinds",
    ) -> tuple[State, Sequence[Trainable]]:
        """Train what is left of the network for some epochs; return the trainables, too."""
        part = compact(self.network, {name: state.masks[name] for name in self.weights})
        params, masks = part.take(state.params), part.take(state.masks)
        trainables = [kinds(name, tensor, masks[name]) for name, tensor in params.items()]
        optimizer = fit(
            part.network,
            params,
            (self.data.train_images, self.data.train_labels),
            trainables,
            optim.Adam(),
            optim.cosine(training.rate, training.epochs, training.final_rate),
            epochs=end,
            batch_size=self.recipe.batch_size,
            seed=(self.seed, stream),
            start_epoch=start,
            state=state.optimizer if start else None,
            threads=self.threads,
            on_epoch=lambda epoch, loss, _: self._tell(phase, epoch, loss),
            prepare=self._prepare(part),
        )
        return replace(
            state, params=part.put(params, state.params), optimizer=optimizer
        ), trainables

    def _prepare(self, part: Compact) -> Callable[[Any, np.random.Generator], Any]:
        """Return what shifts images, and leaves out the pixels that no weight sees."""
        pixels = part.inputs if len(self.network.input_shape) == 1 else None

        def prepare(images: Any, rng: np.random.Generator) -> Any:
            return shifted(images, self.recipe.shift, rng, pixels)

        return prepare

    def _encoded(self, state: State) -> Any:
        """Return the bytes of the model's file."""
        model = CompressedModel({}, {"network": self.recipe.network})
        for name, shared in state.shared.items():
            rounded = shared.codebook.astype(np.float16).astype(np.float32)
            distinct = ascending(replace(shared, codebook=rounded))
            survivors = survivors_of(state.masks[name], distinct, HALF)
            found = [prices.choose(survivors, Choice("rans", each)) for each in (None, "context")]
            best = min(found, key=lambda price: price.size_bytes)
            put(model, name, Encodable(survivors, best.coding))
        return np.frombuffer(model.to_bytes(), np.uint8)


Kinds = Callable[[str, Float32Array, BoolArray], Trainable]


def _masked(name: str, tensor: Float32Array, mask: BoolArray) -> Trainable:
    """Return the survivors of a tensor; all its elements take less work as they are."""
    return Free(name, tensor) if mask.all() else Masked(name, tensor, mask)


def _with(values: Float32Array, mask: BoolArray, survivors: Float32Array) -> Float32Array:
    """Return a tensor with other survivors."""
    full = np.zeros_like(values)
    full[mask] = survivors
    return full
