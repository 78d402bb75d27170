"""Scores, the higher the better: those of the caller, checked, and two that need no labels."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ..calibrate.divergence import kl_divergence
from ..calibrate.network import checked_inputs, checked_params
from ..checks import is_finite
from ..errors import ArgumentError, shown
from ..model import CompressedModel
from ..nn.layers import Array
from ..nn.network import Network
from ..packed.tensor import CompressedTensor

Score = Callable[[CompressedModel], float]


def checked_score(score: Score, model: CompressedModel, of: str) -> float:
    """Return a model's score as a float, or raise ArgumentError that says `of` what it was."""
    try:
        value: Any = score(model)
    except MemoryError:
        raise
    except Exception as error:
        raise ArgumentError(f"score raised {type(error).__name__} for {of}: {error}") from error
    if not is_finite(value):
        raise ArgumentError(f"score must be a finite number, not {shown(value)}, for {of}")
    return float(value)


def divergence(
    network: Network, params: Mapping[str, npt.ArrayLike], inputs: npt.ArrayLike
) -> Score:
    """Return a score without labels: minus how far outputs are from the original's.

    Parameters
    ----------
    network : Network
        Its outputs are taken for logits.
    params : mapping of str to array_like
        Of the original.
    inputs : array_like of shape (n, ...), each row an input

    Returns
    -------
    callable
        From a model to minus the mean divergence KL(original || model), in nats; 0 is the best.

    Raises
    ------
    ArgumentError
        If an argument is anything else.

    Examples
    --------
    >>> from deepcompress.nn import zoo
    >>> rng = np.random.default_rng(0)
    >>> network = zoo.build("digits")
    >>> params = network.init(rng)
    >>> score = divergence(network, params, rng.random((20, 64), np.float32))
    >>> score(CompressedModel(dict(params)))
    0.0
    """
    predict, reference = _predictor(network, params, inputs)

    def score(model: CompressedModel) -> float:
        return 0.0 - kl_divergence(reference, predict(model))

    return score


def agreement(
    network: Network, params: Mapping[str, npt.ArrayLike], inputs: npt.ArrayLike
) -> Score:
    """Return a score without labels: the share of inputs that get the original's class.

    Arguments are as for `divergence`, which is the better guide: it tells of small changes, too.

    Examples
    --------
    >>> from deepcompress.nn import zoo
    >>> rng = np.random.default_rng(0)
    >>> network = zoo.build("digits")
    >>> params = network.init(rng)
    >>> score = agreement(network, params, rng.random((20, 64), np.float32))
    >>> score(CompressedModel(dict(params)))
    1.0
    """
    predict, reference = _predictor(network, params, inputs)

    def score(model: CompressedModel) -> float:
        return float((predict(model).argmax(axis=1) == reference.argmax(axis=1)).mean())

    return score


def _predictor(
    network: Network, params: Mapping[str, npt.ArrayLike], inputs: npt.ArrayLike
) -> tuple[Callable[[Mapping[str, Any]], Array], Array]:
    """Return a function from parameters to logits for the inputs, and the original's logits."""
    if not isinstance(network, Network):
        raise ArgumentError(f"network must be a Network, not {type(network).__name__}")
    original, x = checked_params(network, params), checked_inputs(network, inputs)

    def predict(model: Mapping[str, Any]) -> Array:
        with np.errstate(all="ignore"):
            return network.predict({name: dense(model[name]) for name in original}, x)

    return predict, predict(original)


def dense(tensor: Any) -> Array:
    """Return a tensor of a model as a dense array of float32."""
    values = tensor.to_dense() if isinstance(tensor, CompressedTensor) else tensor
    return np.asarray(values, np.float32)
