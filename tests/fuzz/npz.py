"""npz files."""

import io
import zipfile
from random import Random

from support.npz import npz_bytes, read_npz

from .limits import MAX_BYTES, limited, outcome, require, scratch_path

_path = scratch_path()


def test_one_input(data: bytes) -> None:
    _path.write_bytes(data)
    with limited("reading"):
        arrays, _ = outcome(lambda: read_npz(_path, MAX_BYTES))
    if arrays is None:
        return
    arrays = dict(arrays)
    _path.write_bytes(npz_bytes(arrays))
    again = dict(read_npz(_path, 2 * MAX_BYTES))
    require(list(again) == list(arrays), "names differ")
    for name, array in arrays.items():
        same = again[name].dtype == array.dtype and again[name].tobytes() == array.tobytes()
        require(same and again[name].shape == array.shape, f"{name!r} differs")


def mutate(data: bytes, max_size: int, random: Random, mutate_bytes: object) -> bytes:
    """Change an array within the archive, whose checksums are made anew, or anything."""
    if random.random() < 0.3:
        return mutate_bytes(data, max_size)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = [(info, archive.read(info)) for info in archive.infolist()]
    except Exception:  # whatever zipfile has to say of a damaged archive
        return mutate_bytes(data, max_size)
    chosen = random.randrange(len(members)) if members else 0
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for index, (info, content) in enumerate(members):
            content = mutate_bytes(content, max_size) if index == chosen else content
            archive.writestr(zipfile.ZipInfo(info.filename), content, info.compress_type)
    return stream.getvalue()[:max_size]
