"""Checkpoints in several safetensors files with an index, as Hugging Face's libraries write them.

The index is a JSON object: ``weight_map`` has the file of each tensor by its name, and
``metadata`` the ``total_size`` of all in bytes. Shards lie beside it. Tensors have the order of
the shards' names, and within one that of its header.
"""

import itertools
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ..errors import ArgumentError, DataError, FormatError
from ..files import strict_json
from ..files.reading import read_file
from ..files.together import FileSet, check_free
from . import safetensors
from .safetensors import SafetensorsFile, are_texts, elements_after, header_of, texts_of
from .source import Array, Arrays, Format, Source

INDEX = ".safetensors.index.json"
SHARD_BYTES = 5 * 10**9  # as Hugging Face's libraries choose it


class ShardedSafetensors(Source):
    """The tensors of all shards that an index names.

    Parameters
    ----------
    path : path-like
        The index, or a folder that has one.

    Raises
    ------
    DataError, FormatError
        If the index or a shard can't be read or isn't valid; if a shard isn't there, lies in
        another folder, or is listed twice; if a tensor isn't in its shard, or in two.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._index = _index_of(Path(path))
        weight_map, self._index_metadata = _read_index(self._index)
        self._shards: dict[str, SafetensorsFile] = {}
        self._shard_of: dict[str, SafetensorsFile] = {}
        self.shapes = {}
        for name, path in self._paths(sorted(set(weight_map.values()))).items():
            shard = self._shards[name] = SafetensorsFile(path)
            for tensor in shard:
                self._check_place(tensor, name, weight_map)
                self._shard_of[tensor] = shard
                self.shapes[tensor] = shard.shapes[tensor]
        for tensor, name in weight_map.items():
            if tensor not in self._shard_of:
                raise self._error(f"tensor {tensor!r} isn't in {name}")

    def _paths(self, names: list[str]) -> dict[str, Path]:
        """Return the paths of shards, of which none is another's."""
        paths: dict[str, Path] = {}
        for name in names:
            path = self._index.parent / name
            if name != os.path.basename(name) or name in ("", ".", "..") or "\0" in name:
                raise self._error(f"shard {name!r} isn't a file beside it")
            if not path.exists():
                raise DataError(f"{self._index}: shard {name!r} isn't there")
            paths[name] = path
        seen: dict[tuple[int, int], str] = {}
        for name, path in paths.items():
            status = path.stat()
            other = seen.setdefault((status.st_dev, status.st_ino), name)
            if other != name:
                raise self._error(f"shard {name!r} is listed twice, also as {other!r}")
        return paths

    def _check_place(self, tensor: str, name: str, weight_map: dict[str, str]) -> None:
        if tensor in self._shard_of:
            raise self._error(f"tensor {tensor!r} is in {name}, too, and in another shard")
        if weight_map.get(tensor) != name:
            said = f"is in {weight_map[tensor]}" if tensor in weight_map else "isn't listed"
            raise self._error(f"tensor {tensor!r} of {name} {said} by the index")

    def _error(self, problem: str) -> FormatError:
        return FormatError(f"{self._index}: {problem}")

    @property
    def files(self) -> list[Path]:
        """The index and the shards."""
        return [self._index, *(self._index.parent / name for name in self._shards)]

    @property
    def metadata(self) -> dict[str, Any]:
        """Which tensors were in which shard, and the ``metadata`` of index and shards."""
        texts = [shard.texts for shard in self._shards.values()]
        common = {key: text for key, text in texts[0].items() if all_have(texts, key, text)}
        shards = []
        for (name, shard), own in zip(self._shards.items(), texts, strict=True):
            rest = {key: text for key, text in own.items() if key not in common}
            shards.append(
                {"file": name, "tensors": list(shard)} | ({"metadata": rest} if rest else {})
            )
        origin: dict[str, Any] = {"format": safetensors.FORMAT.suffix, "shards": shards}
        if common:
            origin["metadata"] = common
        extra = {key: value for key, value in self._index_metadata.items() if key != "total_size"}
        if extra:
            origin["index"] = extra
        return {"origin": origin}

    def __getitem__(self, name: str) -> Array:
        return self._shard_of[name][name]


def all_have(mappings: Iterable[Mapping[str, str]], key: str, text: str) -> bool:
    """Tell whether each mapping has the text by this key."""
    return all(mapping.get(key) == text for mapping in mappings)


def is_folder_of_shards(path: str) -> bool:
    """Tell whether a folder has an index."""
    return next(Path(path).glob(f"*{INDEX}"), None) is not None


def _index_of(path: Path) -> Path:
    if not path.is_dir():
        return path
    found = sorted(path.glob(f"*{INDEX}"))
    if len(found) != 1:
        names = ", ".join(one.name for one in found) or "none"
        raise DataError(f"{path}: one *{INDEX} is needed in the folder; there: {names}")
    return found[0]


def _read_index(path: Path) -> tuple[dict[str, str], dict[str, Any]]:
    """Return an index's ``weight_map`` and ``metadata``."""
    try:
        index = strict_json.parse(read_file(path), unique=True)
    except ValueError as error:
        raise FormatError(f"{path}: isn't JSON: {error}") from None
    index = index if isinstance(index, dict) else {}
    weight_map, metadata = index.get("weight_map"), index.get("metadata", {})
    if not weight_map or not are_texts(weight_map) or not isinstance(metadata, dict):
        raise FormatError(f"{path}: has no weight_map of tensors' names to shards' names")
    return weight_map, metadata


@dataclass(frozen=True)
class Shard:
    """A file to be written, with the names of its tensors, and its ``__metadata__``."""

    file: str
    tensors: list[str]
    texts: dict[str, str] = field(default_factory=dict)


def write(
    path: str | os.PathLike[str],
    arrays: Iterable[tuple[str, Array]],
    origin: Mapping[str, Any] = MappingProxyType({}),
    shard_bytes: int | None = None,
) -> int:
    """Write shards and their index; all are complete on the disk before the first has its name.

    Parameters
    ----------
    path : path-like
        Of the index, ``NAME.safetensors.index.json``, or, with `shard_bytes`,
        ``NAME.safetensors``, which is written itself if it is not to be cut.
    arrays : iterable of (str, ndarray)
    origin : mapping
        As of `ShardedSafetensors`. Without `shard_bytes`, the shards are what they were, if the
        tensors are the same.
    shard_bytes : int, optional
        The most bytes of tensors in a shard, but for one that is larger by itself; by default
        `SHARD_BYTES`.

    Returns
    -------
    int
        Size of all files in bytes.

    Raises
    ------
    ArgumentError
        As `safetensors.write`.
    OutputError
        If a file can't be written, or there is a file of a shard's name; then nothing changed.
    """
    arrays = Arrays.of(arrays)
    stem = os.fspath(path).removesuffix(".index.json").removesuffix(".safetensors")
    shards = [] if shard_bytes else _shards_of(origin, list(arrays.types))
    if not shards:
        shards = _cut(arrays, os.path.basename(stem), shard_bytes or SHARD_BYTES)
        if len(shards) == 1 and shard_bytes:
            return safetensors.write(f"{stem}.safetensors", arrays, origin)
    common = texts_of(origin)
    heads = [header_of(arrays, one.tensors, {**common, **one.texts}) for one in shards]
    files = [one.file for one in shards]
    target = f"{stem}{INDEX}"
    check_free(os.path.dirname(os.path.realpath(target)), files)
    pairs = iter(arrays)
    with FileSet(target) as together:
        size = 0
        for head, one in zip(heads, shards, strict=True):
            size += together.add(elements_after(head, arrays, pairs, one.tensors))
        extra = origin.get("index")
        return size + together.publish(files, [_index_text(arrays, shards, extra)])


def _index_text(arrays: Arrays, shards: Sequence[Shard], extra: Any) -> bytes:
    """Return the text of an index, in the form that Hugging Face's libraries give it."""
    metadata = dict(extra) if isinstance(extra, dict) else {}
    metadata["total_size"] = sum(map(arrays.bytes_of, arrays.types))
    weight_map = {name: one.file for one in shards for name in one.tensors}
    index = {"metadata": metadata, "weight_map": weight_map}
    return (json.dumps(index, indent=2, sort_keys=True) + "\n").encode()


def _shards_of(origin: Mapping[str, Any], names: list[str]) -> list[Shard]:
    """Return the shards that an origin tells of; none if it doesn't, or of other tensors."""
    if "shards" not in origin:
        return []
    try:
        told = [Shard(one["file"], list(one["tensors"]), texts_of(one)) for one in origin["shards"]]
        are_plain = all(one.file == os.path.basename(one.file) for one in told)
        are_shards = all(one.file.encode().endswith(b".safetensors") for one in told)
        are_shards &= not any("\0" in one.file for one in told)
    except (TypeError, KeyError, ValueError, AttributeError):  # ArgumentError is a ValueError
        are_plain = are_shards = False
    if not (are_plain and are_shards and len({one.file for one in told}) == len(told)):
        raise ArgumentError("its metadata tells of shards that can't be: use --shard-size")
    in_order = list(itertools.chain.from_iterable(one.tensors for one in told))
    return told if in_order == names else []


def _cut(arrays: Arrays, stem: str, shard_bytes: int) -> list[Shard]:
    """Return shards of as many tensors, in their order, as don't take more than a size."""
    parts: list[list[str]] = [[]]
    held = 0
    for name in arrays.types:
        own = arrays.bytes_of(name)
        if parts[-1] and held + own > shard_bytes:
            parts.append([])
            held = 0
        parts[-1].append(name)
        held += own
    count = len(parts)
    return [
        Shard(f"{stem}-{number:05d}-of-{count:05d}.safetensors", part)
        for number, part in enumerate(parts, 1)
    ]


FORMAT = Format(
    "a .safetensors.index.json",
    INDEX,
    lambda path: nullcontext(ShardedSafetensors(path)),
    write=write,
    origin=safetensors.FORMAT.suffix,
)
FOLDER = Format(
    "a folder of .safetensors shards",
    INDEX,
    lambda path: nullcontext(ShardedSafetensors(path)),
    is_folder=True,
    holds=is_folder_of_shards,
)
