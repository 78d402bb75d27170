"""A network that runs from its ``.dcnn`` file, the weights still packed.

Beside the tensors, the file's metadata holds ``"network"``, the name of a network of `nn.zoo`
or a definition (see `nn.definition`); ``"parameters"``, where those aren't tensors of their own
names (see `parameters`); and, for pictures, ``"preprocessing"`` (see `preprocessing`).
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

from ..checks import as_real_array, as_whole_number
from ..coding.reading import Tensor
from ..errors import ArgumentError, FormatError
from ..model import CompressedModel
from ..model_file import open_file
from ..nn.network import Network
from ..packed.tensor import CompressedTensor
from ..tensors import Float32Array
from .inference import Inference
from .loading import (
    by_winograd,
    check_names,
    check_preprocessing,
    checked,
    dense_weights,
    held,
    read_definition,
)
from .parameters import parameter, read_sources
from .pictures import load_picture
from .preprocessing import Preprocessing
from .program import Programs

BATCH_SIZE = 32
DENSE = ("auto", "never", "always")


@dataclass(frozen=True)
class ParamInfo:
    """How a parameter is held.

    Attributes
    ----------
    name : str
    shape : tuple of int
    is_packed : bool
        Otherwise it is a dense array.
    density : float
        Share of the elements that aren't zero.
    nbytes : int
        Its size in memory now; the first product rearranges packed weights.
    """

    name: str
    shape: tuple[int, ...]
    is_packed: bool
    density: float
    nbytes: int


class CompressedNetwork:
    """A network with its parameters, packed or dense.

    Parameters
    ----------
    network : Network
    params : mapping of str to CompressedTensor or ndarray
        Every parameter by name. Weights of two axes and more may be packed; arrays must be
        of floating point numbers.
    preprocessing : Preprocessing, optional
        The way from pictures to inputs, for `predict_images`.

    Attributes
    ----------
    network : Network
    preprocessing : Preprocessing or None

    Raises
    ------
    ArgumentError
        If the parameters or the preprocessing don't fit the network.

    Examples
    --------
    >>> from deepcompress.nn import zoo
    >>> weights = zoo.build("lenet-5").init(np.random.default_rng(0))
    >>> network = CompressedNetwork(zoo.build("lenet-5"), weights)
    >>> network.predict(np.zeros((2, 1, 28, 28), np.float32)).shape
    (2, 10)
    """

    def __init__(
        self,
        network: Network,
        params: Mapping[str, Tensor],
        preprocessing: Preprocessing | None = None,
    ) -> None:
        network.check_params(params)
        check_preprocessing(network, preprocessing)
        self.network = network
        self.preprocessing = preprocessing
        self._params = {name: checked(name, params[name]) for name in network.param_shapes}
        for name in dense_weights(network):
            self._params[name] = held(network, name, self._params[name], "always", None)
        self._run_by(frozenset())

    @classmethod
    def load(
        cls, path: str | os.PathLike[str], *, max_bytes: int | None = None, dense: str = "auto"
    ) -> "CompressedNetwork":
        """Read a network and its preprocessing from a ``.dcnn`` file.

        Parameters
        ----------
        path : path-like
        max_bytes : int, optional
            The most memory that decoding one tensor may take (see `open_file`), and that a
            dense array may have.
        dense : {"auto", "never", "always"}
            The weights that become dense arrays: those too dense for a packed product to be
            faster (see `crossover`), none, or all. Those that no packed product has are always
            dense (see `loading.dense_weights`). Unless "never", some convolutions of 3x3 have
            transformed weights as well, which take four times a dense array's memory (see
            `winograd`).

        Returns
        -------
        CompressedNetwork

        Raises
        ------
        DataError
            If the file can't be read.
        FormatError
            If it isn't valid, or its metadata defines an impossible network.
        ArgumentError
            If its metadata names no known network, if tensors are missing, too many or of
            other shapes than the network's, or need more memory than `max_bytes`.
        """
        if dense not in DENSE:
            raise ArgumentError(f"dense must be one of {', '.join(DENSE)}, not {dense!r}")
        with open_file(path, max_bytes=max_bytes) as file:
            try:
                network, preprocessing = read_definition(file.metadata)
                sources, has_others = read_sources(file.metadata, network)
                shapes = {name: file.shape(name) for name in file}
                check_names(network, sources, shapes, has_others=has_others)
                check_preprocessing(network, preprocessing)
                params = {}
                for name, shape in network.param_shapes.items():
                    tensor = parameter(name, sources[name], shape, file.__getitem__)
                    params[name] = held(network, name, checked(name, tensor), dense, max_bytes)
                loaded = cls(network, params, preprocessing)
                if dense != "never":
                    loaded._run_by(by_winograd(network, params, max_bytes))
                return loaded
            except (ArgumentError, FormatError) as error:
                what = f"{os.fspath(path)}: "
                if str(error).startswith(what):
                    raise
                raise type(error)(what + str(error)) from None

    @classmethod
    def of(cls, model: CompressedModel) -> "CompressedNetwork":
        """Return the network of a model in memory, its weights packed as they are.

        Raises
        ------
        FormatError, ArgumentError
            As `load`.
        """
        network, preprocessing = read_definition(model.metadata)
        sources, has_others = read_sources(model.metadata, network)
        shapes = {name: tensor.shape for name, tensor in model.items()}
        check_names(network, sources, shapes, has_others=has_others)
        params = {
            name: parameter(name, sources[name], shape, model.__getitem__)
            for name, shape in network.param_shapes.items()
        }
        return cls(network, params, preprocessing)

    def _run_by(self, winograd: frozenset[str]) -> None:
        """Run these weights' convolutions by Winograd's transforms, and no others."""
        self._programs = Programs(self._params, winograd)
        self._inference = Inference(self.network, self._programs.run)

    @property
    def name(self) -> str:
        """The network's name."""
        return self.network.name

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one input."""
        return self.network.input_shape

    @property
    def params(self) -> tuple[ParamInfo, ...]:
        """How each parameter is held, in the order of the layers."""
        return tuple(
            ParamInfo(name, value.shape, *_describe(value)) for name, value in self._params.items()
        )

    def predict(self, x: npt.ArrayLike, batch_size: int = BATCH_SIZE) -> Float32Array:
        """Return the logits of inputs.

        Parameters
        ----------
        x : array_like of shape (n, ...), each row an input
            Real numbers after preprocessing, converted to float32; of images, (n, C, H, W).
        batch_size : int
            Inputs per pass, from 1 on: bounds the memory. The result depends on it only by
            rounding, and on the number of threads not at all.

        Returns
        -------
        ndarray of shape (n, classes), float32

        Raises
        ------
        ArgumentError
            If x or `batch_size` is anything else.
        """
        inputs = self._checked_inputs(x)
        starts = range(0, len(inputs), as_whole_number(batch_size, "batch_size", 1))
        return self._joined(self._infer(inputs[i : i + batch_size]) for i in starts)

    def predict_images(self, images: Iterable[Any], batch_size: int = BATCH_SIZE) -> Float32Array:
        """Return the logits of pictures.

        Parameters
        ----------
        images : iterable of path-like, PIL.Image.Image or ndarray of uint8
            As for `pictures.load_picture`; a batch of them at a time is held in memory.
        batch_size : int
            As for `predict`.

        Returns
        -------
        ndarray of shape (n, classes), float32

        Raises
        ------
        ArgumentError
            If there is no preprocessing, or a picture can't be taken.
        DataError, FormatError, BackendError
            As `pictures.load_picture`.
        """
        preprocessing = self.preprocessing
        if preprocessing is None:
            raise ArgumentError(
                f"network {self.name!r}: its metadata has no preprocessing of pictures"
            )
        as_whole_number(batch_size, "batch_size", 1)
        if isinstance(images, (str, os.PathLike)):
            raise ArgumentError(f"images must be several, not one path: {os.fspath(images)}")
        pictures = (
            load_picture(image, preprocessing, f"picture {index}")
            for index, image in enumerate(images)
        )
        batches = iter(lambda: list(islice(pictures, batch_size)), [])
        return self._joined(
            self._infer(np.stack(batch).reshape(-1, *self.input_shape)) for batch in batches
        )

    def _infer(self, x: Float32Array) -> Float32Array:
        """Return the logits of one batch."""
        try:
            return self._inference.run(self._params, x)
        except MemoryError as error:
            raise ArgumentError(
                f"network {self.name!r}: can't hold a batch of {len(x)}: {error}"
            ) from None

    def _joined(self, parts: Iterable[Float32Array]) -> Float32Array:
        collected = list(parts)
        if not collected:
            return np.zeros((0, *self.network.output_shape), np.float32)
        return collected[0] if len(collected) == 1 else np.concatenate(collected)

    def _checked_inputs(self, x: npt.ArrayLike) -> Float32Array:
        inputs: Float32Array = np.ascontiguousarray(as_real_array(x, "x"), np.float32)
        self.network.check_inputs(inputs)
        return inputs.reshape(-1, *self.input_shape)


def _describe(value: Tensor) -> tuple[bool, float, int]:
    """Return the last three fields of a `ParamInfo`."""
    if isinstance(value, CompressedTensor):
        return True, value.density, value.nbytes
    density = np.count_nonzero(value) / value.size if value.size else 0.0
    return False, density, value.nbytes
