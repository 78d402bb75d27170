"""The command ``convert``: the paper's authors' ``.net`` files to ours, and back."""

import os

from .atomic import write_bytes
from .commands import Answer
from .container import MAGIC
from .errors import ArgumentError
from .formats import net
from .formats.layers import load_layers
from .pipeline import from_bytes, read_file


def convert(file: str, out: str, layers: str | None = None) -> Answer:
    """Write a ``.net`` file's tensors as a ``.dcnn`` file, or the other way round.

    Parameters
    ----------
    file : str
    out : str
        Its suffix says what is written, ``.dcnn`` or ``.net``.
    layers : str, optional
        The layers of a ``.net`` file, as for `formats.layers.load_layers`.

    Raises
    ------
    ArgumentError
        If the options don't fit each other, or a ``.net`` file can't hold what is to be written.
    FormatError
        If a file isn't valid.
    """
    suffix = os.path.splitext(out)[1].lower()
    if suffix not in (".dcnn", ".net"):
        raise ArgumentError(f"{out}: the suffix must be .dcnn or .net, the format to write")
    for source in filter(None, (file, layers)):
        if os.path.exists(out) and os.path.exists(source) and os.path.samefile(source, out):
            raise ArgumentError(f"{out}: is the very file to read; choose another for -o")
    data = read_file(file)
    if suffix == ".dcnn":
        if data.startswith(MAGIC):
            raise ArgumentError(f"{file}: is a .dcnn file already; -o OUT.net converts it")
        if layers is None:
            raise ArgumentError(f"{file}: a .net file has no shapes; name its layers by --layers")
        model = net.read(data, load_layers(layers), file)
        content = model.to_bytes()
    else:
        if layers is not None:
            raise ArgumentError("--layers is for reading a .net file, a .dcnn file has its shapes")
        model = from_bytes(data, file)
        try:
            content = net.write(model)
        except (ArgumentError, MemoryError) as error:
            raise ArgumentError(f"{file}: can't be held as a .net file: {error}") from error
    write_bytes(out, content)
    values = {
        "file": file,
        "file_bytes": len(data),
        "out": out,
        "out_bytes": len(content),
        "ratio": len(data) / len(content),
        "tensors": list(model),
    }
    text = (
        f"{out}: {len(content):,} bytes, {file} has {len(data):,} "
        f"({values['ratio']:.2f}x); tensors: {len(model)}"
    )
    return Answer(values, text)
