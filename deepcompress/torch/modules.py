"""What a module's tensors are called, which may be compressed, and how they come back."""

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import dtypes
from ..errors import ArgumentError
from .extra import torch

TIED = "tied"  # the key of metadata that has the further names of tied parameters


def parameters_of(module: torch.nn.Module) -> dict[str, torch.nn.Parameter]:
    """Return a module's parameters by their first names, or raise."""
    if not isinstance(module, torch.nn.Module):
        raise ArgumentError(f"module must be a torch.nn.Module, not {type(module).__name__}")
    found = dict(module.named_parameters())
    if not found:
        raise ArgumentError(f"{type(module).__name__} has no parameters to compress")
    for name, value in module.state_dict().items():
        if not isinstance(value, torch.Tensor):
            raise ArgumentError(f"{name!r} of the module's state isn't a tensor")
    for name, one in found.items():
        if torch.nn.parameter.is_lazy(one):
            raise ArgumentError(f"parameter {name!r} has no shape before a first batch")
        if one.is_meta:
            raise ArgumentError(f"parameter {name!r} is on the meta device: it has no values")
    by_place = sorted((place, name) for name, one in found.items() if (place := _place(one)))
    for (first, name), (second, other) in pairwise(by_place):
        if first[:2] == second[:2] and second[2] < first[3]:
            raise ArgumentError(
                f"parameters {name!r} and {other!r} overlap in memory: have one parameter, "
                "tied under both names, or copy one of them"
            )
    return found


def _place(one: torch.Tensor) -> tuple[str, int, int, int] | None:
    """Return where a tensor is: device, storage, first element and the one behind the last."""
    if one.numel() == 0 or one.layout != torch.strided:
        return None
    last = sum((int(size) - 1) * step for size, step in zip(one.shape, one.stride(), strict=True))
    size, start = one.element_size(), int(one.storage_offset())
    storage = one.untyped_storage().data_ptr()
    return str(one.device), storage, start * size, (start + last + 1) * size


def tied_names(module: torch.nn.Module) -> Iterator[tuple[str, str]]:
    """Yield each further name in a module's state, of a parameter or buffer, and the first one."""
    first: dict[int, str] = {}
    for name, value in module.state_dict(keep_vars=True).items():
        if id(value) in first:
            yield name, first[id(value)]
        first.setdefault(id(value), name)


def state_dict(model: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """Return a model's decoded tensors for ``module.load_state_dict``, tied ones by every name.

    Parameters
    ----------
    model : CompressedModel
        From `finalize`, or `load`.
    """
    tensors = {name: _tensor(np.asarray(tensor)) for name, tensor in model.items()}
    tied = getattr(model, "metadata", {}).get(TIED, {})
    return tensors | {alias: tensors[name] for alias, name in tied.items() if name in tensors}


def _tensor(array: npt.NDArray[Any]) -> torch.Tensor:
    """Return a copy of an array as a tensor of the same dtype."""
    if array.dtype.name not in dtypes.NUMPY_LACKS:
        return torch.from_numpy(array.copy())
    signed = array.view(f"i{array.dtype.itemsize}").copy()
    return torch.from_numpy(signed).view(getattr(torch, array.dtype.name))


def entries_of(
    state: Mapping[str, torch.Tensor], prefix: str, parameters: Mapping[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """Return the entries of a state with a prefix, on the devices of their parameters."""
    names = [key.removeprefix(prefix) for key in state if key.startswith(prefix)]
    return {name: state[prefix + name].to(parameters[name].device, copy=True) for name in names}
