"""An index and two shards, ``a.safetensors`` and ``b.safetensors``, in one input.

The sizes of the index and of the first shard come before them, in two bytes each.
"""

from random import Random
from typing import Any

from deepcompress.formats import safetensors_shards
from deepcompress.formats.safetensors_shards import ShardedSafetensors

from .limits import limited, outcome, require, scratch_path

NAMES = ("model.safetensors.index.json", "a.safetensors", "b.safetensors")
_given, _out = scratch_path(), scratch_path()
for _folder in (_given, _out):
    _folder.mkdir()


def join(parts: list[bytes]) -> bytes:
    index, first, second = (part[:0xFFFF] for part in parts)
    sizes = len(index).to_bytes(2, "little") + len(first).to_bytes(2, "little")
    return sizes + index + first + second


def split(data: bytes) -> list[bytes]:
    sizes, rest = data[:4], data[4:]
    index, first = (int.from_bytes(sizes[at : at + 2], "little") for at in (0, 2))
    return [rest[:index], rest[index : index + first], rest[index + first :]]


def test_one_input(data: bytes) -> None:
    for name, part in zip(NAMES, split(data), strict=True):
        (_given / name).write_bytes(part)
    with limited("reading"):
        source, _ = outcome(lambda: ShardedSafetensors(_given))
    if source is None:
        return
    with limited("reading arrays"):
        arrays, _ = outcome(lambda: dict(source.items()))
    if arrays is None:
        return
    for path in _out.iterdir():  # shards replace nothing
        path.unlink()
    origin = source.metadata.get("origin", {})
    with limited("writing"):
        _, refusal = outcome(
            lambda: safetensors_shards.write(_out / NAMES[0], arrays.items(), origin)
        )
    require(not refusal, f"what was read can't be written: {refusal}")
    again = ShardedSafetensors(_out)
    require(list(again) == list(arrays), "names differ")
    for name, array in arrays.items():
        same = again[name].dtype == array.dtype and again[name].tobytes() == array.tobytes()
        require(same and again[name].shape == array.shape, f"{name!r} differs")
    require(again.metadata == source.metadata, "metadata differ")


def mutate(data: bytes, max_size: int, random: Random, mutate_bytes: Any) -> bytes:
    """Change a part, most of the time a shard's header, whose size is made right, or anything."""
    if random.random() < 0.1:
        return mutate_bytes(data, max_size)
    parts = split(data)
    chosen = random.randrange(3)
    part = parts[chosen]
    if chosen and random.random() < 0.8:
        size = int.from_bytes(part[:8], "little")
        header = mutate_bytes(part[8 : 8 + min(size, len(part))], max_size)
        parts[chosen] = len(header).to_bytes(8, "little") + header + part[8 + size :]
    else:
        parts[chosen] = mutate_bytes(part, max_size)
    return join(parts)[:max_size]
