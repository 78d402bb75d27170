"""What a tensor becomes at a setting: one number for its sparsity, bits, codebook and rates.

A rung is a whole number r: the step of the tensor's grid of levels is ``2^(r/16)`` times the root
mean square of its weights. lambda, the price of a bit, follows from the step (see
`calibrate.alone`), so that pruning, sharing and coding are one decision. Rungs end where nothing
is lost, and where next to nothing is left. ``None`` leaves the tensor as it is.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ..calibrate.alone import rounded_alone, why_kept
from ..dtypes import as_float32
from ..inputs import Inputs
from ..model import CompressedModel
from ..nn.parallel import single_threaded_blas
from ..pipeline.models import put
from ..pipeline.weights import Encodable, Kept, naming

PER_OCTAVE = 16
FINEST, COARSEST = -96, 80  # steps of 1/64 and of 32 rms
REMEMBERED = 3  # rungs of a tensor, in memory

Rung = int | None
Settings = dict[str, Rung]


class Ladder:
    """The tensors of a model at any rungs.

    Parameters
    ----------
    inputs : Inputs
    half : bool
        Whether centroids, biases and small tensors are of float16.
    coder : str
    metadata : mapping

    Attributes
    ----------
    names : tuple of str
        Those that have rungs; others are kept, in float16 with `half` where they are floating.
    """

    def __init__(self, inputs: Inputs, half: bool, coder: str, metadata: Mapping[str, Any]) -> None:
        self.tensors = {name: inputs[name] for name in inputs}
        self.half, self.coder = half, coder
        self.metadata, self.combined = dict(metadata), inputs.combined
        self.names = tuple(name for name, values in self.tensors.items() if not why_kept(values))
        self.rms = {name: _rms(self.tensors[name]) for name in self.names}
        self._made: OrderedDict[tuple[str, int], Encodable | Kept] = OrderedDict()

    def weights(self, name: str, rung: Rung) -> Encodable | Kept:
        """Return a tensor at a rung."""
        values = self.tensors[name]
        if name not in self.rms:
            with naming(name):
                return rounded_alone(values, 1.0, half=self.half, coder=self.coder)
        if rung is None:
            return Kept(values)
        key = (name, rung)
        if key not in self._made:
            step = self.rms[name] * 2 ** (rung / PER_OCTAVE)
            with naming(name), single_threaded_blas():
                self._made[key] = rounded_alone(values, step, half=self.half, coder=self.coder)
            while len(self._made) > REMEMBERED * len(self.names):
                self._made.popitem(last=False)
        self._made.move_to_end(key)
        return self._made[key]

    def model(self, settings: Settings) -> CompressedModel:
        """Return the model with every tensor at its rung."""
        model = CompressedModel({}, dict(self.metadata), {}, combined=self.combined)
        for name in self.tensors:
            put(model, name, self.weights(name, settings.get(name)), coder=self.coder)
        return model

    def alone(self, name: str, rung: Rung) -> tuple[CompressedModel, int]:
        """Return the model with one tensor at a rung, all others as they are; and its bytes."""
        model = CompressedModel({})
        put(model, name, self.weights(name, rung), coder=self.coder)
        size = len(model.to_bytes())
        tensors = {**self.tensors, name: model.tensors[name]}
        return replace(model, tensors=tensors, metadata=dict(self.metadata)), size

    def untouched(self) -> CompressedModel:
        """Return the model with all tensors as they are."""
        return CompressedModel(dict(self.tensors), dict(self.metadata), combined=self.combined)


def _rms(values: npt.NDArray[Any]) -> float:
    floats = as_float32(values).astype(np.float64)
    return float(np.sqrt(np.mean(floats * floats))) or 1.0
