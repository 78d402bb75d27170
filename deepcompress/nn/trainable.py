"""The variables of an optimizer: whole tensors, surviving weights, or shared centroids.

An optimizer sees a list of trainables and nothing else. Each has a `value`, the vector that it
updates in place; `gather` turns the gradient of the dense tensor into that of the value, and
`scatter` writes the value back into the dense tensor. Since a pruned weight is in no value, it
has no momentum either and can't come back.
"""

# ruff: noqa: D102 -- overriding methods are documented where they are declared

from abc import ABC, abstractmethod

import numpy as np
import numpy.typing as npt

from ..errors import ArgumentError
from .layers import Array


class Trainable(ABC):
    """One tensor's free variables.

    Attributes
    ----------
    name : str
        Full name of the parameter.
    value : ndarray of shape (n,)
        The variables; an optimizer updates them in place.
    decay : float or ndarray of shape (n,)
        Factor of L2 regularization: the gradient of ``l2/2 * sum(w**2)`` over the dense tensor is
        ``l2 * decay * value``. Biases have 0: they are few, can't overfit, and pulling them to
        zero would only shift the outputs.
    """

    name: str
    value: Array
    decay: float | Array

    @abstractmethod
    def gather(self, grad: Array) -> Array:
        """Return the gradient of `value`, shape (n,), from that of the dense tensor.

        The result may be overwritten, and may share memory with `grad`.
        """

    @abstractmethod
    def scatter(self, params: dict[str, Array]) -> None:
        """Write `value` into ``params[name]``, in place."""

    def bind(self, params: dict[str, Array]) -> None:
        """Scatter, and from now on keep `value` in ``params[name]`` itself, where it can be."""
        self.scatter(params)


class Free(Trainable):
    """Every element of a tensor, such as a bias or an unpruned weight.

    Parameters
    ----------
    name : str
    tensor : ndarray
        Initial value; copied.
    """

    def __init__(self, name: str, tensor: Array) -> None:
        self.name = name
        self.value = tensor.reshape(-1).copy()
        self.decay = 0.0 if name.endswith(".bias") else 1.0

    def gather(self, grad: Array) -> Array:
        return grad.reshape(-1)

    def scatter(self, params: dict[str, Array]) -> None:
        tensor = params[self.name]
        if not np.may_share_memory(tensor, self.value):  # else there is nothing to copy
            tensor[...] = self.value.reshape(tensor.shape)

    def bind(self, params: dict[str, Array]) -> None:
        self.scatter(params)
        if params[self.name].flags.c_contiguous:
            self.value = params[self.name].reshape(-1)


class Masked(Trainable):
    """The weights that survived pruning (Han et al. 2016, section 2).

    Parameters
    ----------
    name : str
    tensor : ndarray
        Initial value, zero where `mask` is False; copied.
    mask : ndarray of bool, shape of `tensor`
        True where a weight survives.

    Raises
    ------
    ArgumentError
        If the shapes differ or a pruned weight isn't zero.
    """

    def __init__(self, name: str, tensor: Array, mask: npt.NDArray[np.bool_]) -> None:
        if mask.shape != tensor.shape or mask.dtype != np.bool_:
            raise ArgumentError(
                f"{name}: mask of shape {mask.shape}, dtype {mask.dtype}; "
                f"expected bool of shape {tensor.shape}"
            )
        if np.any(tensor[~mask]):
            raise ArgumentError(f"{name}: a pruned weight isn't zero")
        self.name = name
        self.positions = np.flatnonzero(mask)
        self.value = tensor.reshape(-1)[self.positions]
        self.decay = 0.0 if name.endswith(".bias") else 1.0

    def gather(self, grad: Array) -> Array:
        return grad.reshape(-1)[self.positions]

    def scatter(self, params: dict[str, Array]) -> None:
        params[self.name].reshape(-1)[self.positions] = self.value


class Shared(Trainable):
    """The centroids that weights share (Han et al. 2016, section 3.3).

    Equation (3): the gradient of a centroid is the sum of the gradients of its members. L2 is
    summed alike, as if each member decayed on its own.

    Parameters
    ----------
    name : str
    codebook : ndarray of shape (K,)
        Initial centroids; ``codebook[0] == 0`` is the pruned weight and never trained. Copied.
    labels : ndarray of shape (N,), integer, each in 1 … K-1
        Centroid of each survivor.
    positions : ndarray of shape (N,), integer
        Where the survivors are in the flattened tensor, ascending.

    Raises
    ------
    ArgumentError
        If a label is out of range or the lengths differ.
    """

    def __init__(
        self,
        name: str,
        codebook: Array,
        labels: npt.NDArray[np.integer],
        positions: npt.NDArray[np.integer],
    ) -> None:
        if len(codebook) == 0 or codebook[0] != 0:
            raise ArgumentError(f"{name}: codebook[0] is the zero weight and must be 0")
        if labels.shape != positions.shape or labels.ndim != 1:
            raise ArgumentError(
                f"{name}: labels of shape {labels.shape}, positions of shape {positions.shape}"
            )
        if labels.size and not 1 <= labels.min() <= labels.max() < len(codebook):
            raise ArgumentError(f"{name}: labels must lie in 1 … {len(codebook) - 1}")
        self.name = name
        self.positions = positions.astype(np.intp)
        self.members = labels.astype(np.intp) - 1  # index into value, which has no zero
        self.value = codebook[1:].copy()
        self.decay = np.bincount(self.members, minlength=self.value.size).astype(self.value.dtype)

    @property
    def codebook(self) -> Array:
        """The current codebook of shape (K,), the zero first, in the order of the labels."""
        return np.concatenate([np.zeros(1, self.value.dtype), self.value])

    def gather(self, grad: Array) -> Array:
        members = grad.reshape(-1)[self.positions]
        sums = np.bincount(self.members, weights=members, minlength=self.value.size)
        return sums.astype(self.value.dtype)

    def scatter(self, params: dict[str, Array]) -> None:
        params[self.name].reshape(-1)[self.positions] = self.value[self.members]


class Rounded(Trainable):
    """Surviving weights that are rounded to centroids in the tensor, but train as they are.

    The network computes with centroids; the gradient of a centroid goes to each of its members
    as it is (the straight-through estimator, Bengio et al. 2013). So a weight can move to
    another centroid. It takes the one with the least squared distance plus penalty.

    Parameters
    ----------
    name : str
    tensor : ndarray
        Initial value; copied.
    mask : ndarray of bool, shape of `tensor`
        True where a weight survives.
    centroids, penalties : ndarray of shape (K,)
    """

    def __init__(
        self,
        name: str,
        tensor: Array,
        mask: npt.NDArray[np.bool_],
        centroids: Array,
        penalties: Array,
    ) -> None:
        self.name = name
        self.positions = np.flatnonzero(mask)
        self.value = tensor.reshape(-1)[self.positions]
        self.decay = 0.0
        self.centroids = centroids.astype(self.value.dtype)
        self._penalties = penalties.astype(self.value.dtype)

    @property
    def members(self) -> npt.NDArray[np.intp]:
        """The centroid of each survivor now, shape (n,)."""
        distances = self.value[:, None] - self.centroids
        distances *= distances
        distances += self._penalties
        nearest: npt.NDArray[np.intp] = distances.argmin(axis=1)
        return nearest

    def gather(self, grad: Array) -> Array:
        return grad.reshape(-1)[self.positions]

    def scatter(self, params: dict[str, Array]) -> None:
        params[self.name].reshape(-1)[self.positions] = self.centroids[self.members]


def free(params: dict[str, Array]) -> list[Trainable]:
    """Return every parameter as a `Free` trainable, in order: plain training."""
    return [Free(name, tensor) for name, tensor in params.items()]
