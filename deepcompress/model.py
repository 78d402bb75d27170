"""All tensors of a model, packed or as they are, and how each is written to a file."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from . import dtypes
from .coding import delta, encoder, grouped, planes, prices
from .coding.delta import DeltaCoding
from .coding.grouped import GroupedCoding
from .coding.prices import Choice
from .coding.reading import How, Tensor
from .container import writer
from .container.records import Coding, PlaneCoding, SharedRecord, TiedRecord, ToWrite
from .errors import ArgumentError, shown
from .files.atomic import write_bytes
from .inputs import as_array
from .packed.grouped import GroupedTensor
from .packed.tensor import CompressedTensor


@dataclass(frozen=True)
class CompressedModel(Mapping[str, Tensor]):
    """A mapping of tensor names to `CompressedTensor`, or to arrays that are kept as they are.

    Attributes
    ----------
    tensors : dict of str to CompressedTensor or ndarray
        Names of one object, which are written alike, are tied: a file has it once.
    metadata : dict
        JSON's types; ``"network"`` names the network of `nn.zoo` that the tensors belong to.
    storage : dict of str to Coding, Choice, PlaneCoding, DeltaCoding or GroupedCoding
        How compressed tensors are written: as they were read, or by a choice for the
        fewest bytes, as are those that aren't named. Arrays are written in planes where
        it has a PlaneCoding, or a Choice that finds one; with a DeltaCoding as the difference
        to a base's; else raw.
    kept : dict of str to str
        Why a tensor isn't shared or rounded though it may be wanted, as `compress` found it:
        ``"bias"``, ``"too small"``, ``"would grow"``, ``"not finite"``, ``"integers"`` and the
        like. A file doesn't have it.
    combined : dict of str to (str, str)
        The original and the mask that `compress` made a tensor of.
    """

    tensors: dict[str, Tensor]
    metadata: dict[str, Any] = field(default_factory=dict)
    storage: dict[str, How | Choice] = field(default_factory=dict)
    kept: dict[str, str] = field(default_factory=dict)
    combined: dict[str, tuple[str, str]] = field(default_factory=dict)
    _records: dict[str, tuple[Tensor, SharedRecord]] = field(
        init=False, repr=False, compare=False, default_factory=dict
    )

    def __getitem__(self, name: str) -> Tensor:
        return self.tensors[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.tensors)

    def __len__(self) -> int:
        return len(self.tensors)

    def __repr__(self) -> str:
        """Name the tensors; of an array say dtype and shape, as its elements may be many."""
        shown = ", ".join(
            f"{name!r}: {tensor!r}"
            if isinstance(tensor, CompressedTensor | GroupedTensor)
            else f"{name!r}: ndarray(shape={tensor.shape}, dtype={tensor.dtype})"
            for name, tensor in self.tensors.items()
        )
        return f"{type(self).__name__}({{{shown}}}, metadata={self.metadata!r})"

    def to_dense(self) -> dict[str, npt.NDArray[Any]]:
        """Return every tensor as a dense array; tied ones are one array."""
        distinct = {id(tensor): tensor for tensor in self.tensors.values()}
        dense = {
            key: tensor.to_dense()
            if isinstance(tensor, CompressedTensor | GroupedTensor)
            else tensor
            for key, tensor in distinct.items()
        }
        return {name: dense[id(tensor)] for name, tensor in self.tensors.items()}

    def to_bytes(self) -> bytes:
        """Return the bytes of the ``.dcnn`` file, the same for the same tensors."""
        records: dict[str, ToWrite] = {}
        first: dict[int, tuple[int, Any]] = {}  # by the object: its number, and how it is written
        for number, (name, tensor) in enumerate(self.tensors.items()):
            if not isinstance(name, str):
                raise ArgumentError(f"a tensor's name must be a string, not {shown(name)}")
            how = self.storage.get(name)
            index, other = number, how
            if isinstance(tensor, CompressedTensor | GroupedTensor | np.ndarray):
                index, other = first.setdefault(id(tensor), (number, how))
            is_tied = index < number and other == how
            records[name] = _tied(tensor, index) if is_tied else self._record(name, tensor)
        return writer.pack(records, self.metadata)

    def keep_record(self, name: str, record: SharedRecord) -> None:
        """Keep a tensor's record for `to_bytes`, for as long as tensor and coding stay the same."""
        self._records[name] = self.tensors[name], record

    def _record(self, name: str, tensor: Tensor) -> ToWrite:
        """Return the record that is known of a tensor, or make one."""
        coding = self.storage.get(name)
        encoded, record = self._records.get(name, (None, None))
        if record is not None and encoded is tensor and record.coding == coding:
            return record
        if isinstance(tensor, GroupedTensor):
            if not isinstance(coding, GroupedCoding):
                choice = coding if isinstance(coding, Choice) else Choice()
                coding, _ = grouped.choose(tensor.groups, choice)
            return grouped.encode(tensor.shape, tensor.group_rows, tensor.groups, coding)
        if not isinstance(tensor, CompressedTensor):
            tensor = as_array(name, tensor)
        try:
            if not isinstance(tensor, CompressedTensor):
                if isinstance(coding, DeltaCoding):
                    return delta.encode(tensor, coding)
                if isinstance(coding, PlaneCoding):
                    return planes.encode(tensor, coding)
                if not isinstance(coding, Choice):
                    return tensor
                found = planes.encode_if_smaller(tensor, coding.coder, small=coding.small)
                return tensor if found is None else found
            if not isinstance(coding, Coding):
                choice = coding if isinstance(coding, Choice) else Choice()
                coding = prices.choose(tensor, choice).coding
            return encoder.encode(tensor, coding)
        except ArgumentError as error:
            raise ArgumentError(f"tensor {name!r}: {error}") from None

    def save(self, path: str | os.PathLike[str]) -> int:
        """Write the ``.dcnn`` file, whole or not at all; return its size in bytes.

        Raises
        ------
        OutputError
            If it can't be written; a file that was at `path` is untouched then.
        """
        data = self.to_bytes()
        write_bytes(path, data)
        return len(data)


def _tied(tensor: Tensor, index: int) -> TiedRecord:
    """Return the record of a tensor that is the one of a number."""
    if isinstance(tensor, CompressedTensor | GroupedTensor):
        return TiedRecord(tensor.shape, tensor.element_type, index)
    return TiedRecord(tensor.shape, dtypes.named(tensor.dtype), index)
