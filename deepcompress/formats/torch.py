"""PyTorch's ``.pt`` and ``.pth`` files, as ``torch.save`` writes a state dict or a checkpoint.

A file is read by ``torch.load(weights_only=True)``, which runs no code that it holds. Tensors in
it are mapped, those of the older format, which is no zip file, are in memory. What is around
them, such as an optimizer's groups, is kept as `structure` says.
"""

import importlib
import math
import os
import re
import warnings
import zipfile
from collections.abc import Collection, Iterable, Mapping
from contextlib import nullcontext
from types import MappingProxyType
from typing import IO, Any

from .. import dtypes
from ..checks import is_whole
from ..errors import ArgumentError, DataError, FormatError, shown
from ..files.atomic import write_by
from . import structure
from .pickles import TORCH_NUMBER
from .source import Array, Format, Source
from .spool import NotingFile, Spooled, spooled

_NO_STATE = "save model.state_dict() by torch.save instead"
_SCRIPT = "constants.pkl"  # a member that only TorchScript's archives have
_REFUSED = re.compile(r"(?:GLOBAL|Unsupported class) ([\w.]+)")
_ADVICE = "Weights only load failed"  # followed by how to load a file without care


def tells(members: Collection[str]) -> bool:
    """Tell by its members whether a zip file is one of PyTorch's."""
    return any(name.endswith("/data.pkl") or name == "data.pkl" for name in members)


class TorchFile(Source):
    """The tensors of a file, by their names in nested objects.

    Raises
    ------
    DataError
        If the file can't be read.
    FormatError
        If it isn't whole, holds code, or is an archive of TorchScript.
    ArgumentError
        If it holds what a ``.dcnn`` file can't, such as a sparse or quantized tensor, or two
        tensors that have the same name, naming it.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._what = os.fspath(path)
        self._torch: Any = importlib.import_module("torch")
        self._tensors: dict[str, Any] = {}
        self._storages: dict[Any, str] = {}
        loaded = self._load()
        try:
            name = structure.ONE_NAME if isinstance(loaded, self._torch.Tensor) else ""
            self._form = structure.encoded(loaded, self._encoded, name)
        except ArgumentError as error:
            raise ArgumentError(f"{self._what}: {error}") from None
        except RecursionError:
            raise ArgumentError(f"{self._what}: objects are nested too deeply") from None
        if not self._tensors:
            raise FormatError(f"{self._what}: holds no tensors")
        self.shapes = {name: tuple(tensor.shape) for name, tensor in self._tensors.items()}

    def _load(self) -> Any:
        """Return the object of the file."""
        is_zip = zipfile.is_zipfile(self._what)
        if is_zip:
            with zipfile.ZipFile(self._what) as archive:
                if any(name.rpartition("/")[2] == _SCRIPT for name in archive.namelist()):
                    what = "is an archive of TorchScript, that is of code, which is never run"
                    raise FormatError(f"{self._what}: {what}; {_NO_STATE}")
        try:
            load = self._torch.load
            with warnings.catch_warnings():  # of what PyTorch itself does with an older file
                warnings.simplefilter("ignore")
                return load(self._what, map_location="cpu", weights_only=True, mmap=is_zip)
        except MemoryError as error:
            raise DataError(f"{self._what}: can't be held in memory: {error}") from error
        except OSError as error:
            raise DataError(f"{self._what}: {error.strerror or error}") from error
        except Exception as error:  # PyTorch raises anything for a damaged file
            if found := _REFUSED.search(str(error)):
                what = f"holds code or objects of {found[1]}, which are never loaded"
                raise FormatError(f"{self._what}: {what}; {_NO_STATE}") from None
            text = str(error).strip().split("\n")[0][:200]
            text = type(error).__name__ if not text or text.startswith(_ADVICE) else text
            raise FormatError(f"{self._what}: not a whole file of torch.save's: {text}") from error

    def _encoded(self, value: Any, name: str) -> Any:
        """Return the form of what is PyTorch's own; note a tensor."""
        torch = self._torch
        if isinstance(value, torch.Size):
            return {"size": list(value)}
        if isinstance(value, (torch.dtype, torch.device)):
            kind = "dtype" if isinstance(value, torch.dtype) else "device"
            return {kind: str(value).removeprefix("torch.")}
        if not isinstance(value, torch.Tensor):
            raise structure.refused(value, name)
        self._check(value, name)
        if name in self._tensors:
            raise ArgumentError(
                f"two tensors have the name {name!r}, once those of nested objects are joined "
                f"by {structure.SEPARATOR!r}"
            )
        form: dict[str, Any] = {"tensor": name}
        is_parameter = type(value) is torch.nn.Parameter
        if is_parameter or value.requires_grad:
            form |= {"parameter": is_parameter, "grad": value.requires_grad}
        if value.numel():
            place = value.data_ptr(), value.dtype, tuple(value.shape), value.stride()
            earlier = self._storages.setdefault(place, name)
            if earlier != name:
                form["same"] = earlier
        self._tensors[name] = value
        if attributes := vars(value):
            form["attributes"] = structure.encoded(attributes, self._encoded, name)
        return form

    def _check(self, tensor: Any, name: str) -> None:
        """Raise ArgumentError for a tensor that isn't one of plain numbers."""
        torch = self._torch
        dtype = str(tensor.dtype).removeprefix("torch.")
        what = ""
        if type(tensor) not in (torch.Tensor, torch.nn.Parameter):
            what = f"is a {type(tensor).__name__}"
        elif tensor.is_quantized:
            what = "is quantized; save its dequantize()"
        elif tensor.layout != torch.strided or tensor.is_nested:
            what = "is sparse or nested; save its to_dense()"
        elif tensor.device.type != "cpu":
            what = f"has no elements, its device is {tensor.device}"
        elif dtype not in dtypes.NAMES:
            what = f"has dtype {dtype}, which can't be stored"
        if what:
            raise ArgumentError(f"tensor {name!r} {what}")

    @property
    def metadata(self) -> dict[str, Any]:
        """The objects around the tensors."""
        return {"origin": {"format": FORMAT.suffix, "structure": self._form}}

    def metadata_below(self, prefix: str) -> dict[str, Any]:
        """Return the objects around the tensors, but for what isn't on the way to a name."""
        form = structure.part(self._form, prefix)
        return {"origin": {"format": FORMAT.suffix, "structure": form}}

    @property
    def exact(self) -> Collection[str]:
        """The tensors of optimizers' states."""
        states = structure.optimizer_states(self._form)
        return [leaf["tensor"] for state in states for leaf in structure.leaves(state)]

    def __getitem__(self, name: str) -> Array:
        tensor = self._tensors[name].detach().resolve_conj().resolve_neg()
        try:
            array = dtypes.from_torch(tensor)
        except ArgumentError as error:
            raise ArgumentError(f"{self._what}: tensor {name!r}: {error}") from None
        assert array is not None  # as it is a tensor
        return array


def write(
    path: str | os.PathLike[str],
    arrays: Iterable[tuple[str, Array]],
    origin: Mapping[str, Any] = MappingProxyType({}),
) -> int:
    """Write a file that ``torch.load(weights_only=True)`` reads.

    Parameters
    ----------
    path : path-like
    arrays : iterable of (str, ndarray)
        Each is copied to a temporary file beside `path` before the next is asked for.
    origin : mapping
        Its ``"structure"``, as `TorchFile.metadata` has it, is what is around the tensors; by
        default they are a dict. Tensors that shared a storage do so again if they are equal.

    Returns
    -------
    int
        Size of the file in bytes.

    Raises
    ------
    ArgumentError
        If PyTorch has no such dtype, or the structure isn't one of these tensors.
    OutputError
        As `write_by`.
    """
    with spooled(path, arrays) as stored:
        try:
            made = _Tensors(stored).all(origin.get("structure"))
        except (FormatError, RecursionError) as error:
            raise ArgumentError(f"what was around the tensors isn't valid: {error}") from None
        return write_by(path, lambda file: _save(made, file))


class _Tensors:
    """Tensors of PyTorch's that have the elements of a temporary file."""

    def __init__(self, stored: Mapping[str, Spooled]) -> None:
        self._torch: Any = importlib.import_module("torch")
        self._stored = stored
        self._made: dict[str, Any] = {}
        self._used: set[str] = set()

    def all(self, form: Any) -> Any:
        """Return the object of a form, by default a dict of all tensors."""
        if form is None:
            return {name: self._tensor(name) for name in self._stored}
        self._decoder = structure.Decoder(self._decoded, self._stored)
        made = self._decoder.decoded(form)
        if left := [name for name in self._stored if name not in self._used]:
            raise FormatError(f"it lacks {shown(left[0])}")
        return made

    def _decoded(self, kind: str, form: Mapping[str, Any]) -> Any:
        value = form[kind]
        if kind == "size" and isinstance(value, list) and all(is_whole(n, 0) for n in value):
            return self._torch.Size(value)
        if kind == "device" and isinstance(value, str):
            try:
                return self._torch.device(value)
            except RuntimeError as error:
                raise FormatError(str(error)[:80]) from None
        if kind == "dtype" and isinstance(value, str):
            dtype = getattr(self._torch, value, None)
            if isinstance(dtype, self._torch.dtype):
                return dtype
        if kind == "tensor" and isinstance(value, str) and value in self._stored:
            return self._leaf(value, form)
        raise FormatError(f"nothing has the form {shown(dict(form))}")

    def _leaf(self, name: str, form: Mapping[str, Any]) -> Any:
        self._used.add(name)
        earlier = form.get("same")
        if isinstance(earlier, str) and self._are_equal(earlier, name):
            tensor = self._tensor(earlier)
        else:
            tensor = self._tensor(name)
        grad = form.get("grad") is True
        if form.get("parameter") is True:
            tensor = self._torch.nn.Parameter(tensor, requires_grad=grad and _is_floating(tensor))
        elif grad and _is_floating(tensor):
            tensor.requires_grad_()
        attributes = self._decoder.decoded(form.get("attributes"))
        for key, value in attributes.items() if isinstance(attributes, dict) else ():
            if not isinstance(key, str) or hasattr(tensor, key):
                raise FormatError(f"no tensor has the attribute {shown(key)}")
            setattr(tensor, key, value)
        return tensor

    def _are_equal(self, earlier: str, name: str) -> bool:
        if earlier not in self._stored:
            return False
        one, other = self._stored[earlier], self._stored[name]
        return (one.element_type, one.shape) == (other.element_type, other.shape) and (
            one.data == other.data
        )

    def _tensor(self, name: str) -> Any:
        """Return a tensor; those of the same name share its storage."""
        if name not in self._made:
            self._made[name] = self._of(self._stored[name], name)
        return self._made[name].detach()

    def _of(self, stored: Spooled, name: str) -> Any:
        dtype = getattr(self._torch, str(stored.element_type), None)
        if dtype is None:
            raise ArgumentError(f"{name[:40]!r}: this PyTorch has no dtype {stored.element_type}")
        if not math.prod(stored.shape):
            return self._torch.empty(stored.shape, dtype=dtype)
        return self._torch.frombuffer(stored.data, dtype=dtype).reshape(stored.shape)


def _is_floating(tensor: Any) -> bool:
    return bool(tensor.is_floating_point() or tensor.is_complex())


def _save(made: Any, file: IO[bytes]) -> int:
    """Write an object to a file; return its size."""
    torch: Any = importlib.import_module("torch")
    noting = NotingFile(file)
    try:
        torch.save(made, noting)
    except RuntimeError:
        if noting.error is not None:
            raise noting.error from None
        raise
    return file.tell()


FORMAT = Format(
    "a PyTorch .pt",
    ".pt",
    lambda path: nullcontext(TorchFile(path)),
    (b"PK\3\4", *(b"\x80" + bytes([protocol]) + TORCH_NUMBER for protocol in (2, 3))),
    also=(".pth",),
    tells=tells,
    write=write,
    requires="torch",
)
