"""The verb ``convert``: the paper's authors' ``.net`` files to ours and back, and ours anew."""

import os
from dataclasses import replace
from typing import Any

from ..coding.prices import Choice
from ..container.records import CODERS, MAGIC
from ..errors import ArgumentError
from ..files.atomic import write_bytes
from ..files.reading import read_file
from ..formats import net
from ..formats.caffe import parse_network
from ..formats.layers import parse_layers
from ..model import CompressedModel
from ..nn.definition import to_metadata
from ..pipeline import from_bytes
from .verb import Answer, Subparsers, add_verb, refuse_to_replace

# The preprocessing with which networks of the zoo were trained: Caffe's models see blue first, less
# the mean colour of ImageNet, which two of them round. Two stretch a picture before they cut its
# middle out, VGG's authors keep the ratio of its sides.
PREPROCESSING: dict[str, dict[str, Any]] = {
    name: {"size": [side, side], "channels": "BGR", "mean": mean, "scale": 1.0, "resize": resize}
    for name, side, mean, resize in (
        ("alexnet", 227, [104, 117, 123], [256, 256]),
        ("squeezenet", 227, [104, 117, 123], [256, 256]),
        ("squeezenet-1.1", 227, [104, 117, 123], [256, 256]),
        ("vgg-16", 224, [103.939, 116.779, 123.68], 256),
    )
}
_NO_LAYERS = "--layers is for reading a .net file, a .dcnn file has its shapes"


def add_parser(subparsers: Subparsers) -> None:
    """Add ``convert`` to the command line."""
    help = "a .net file of the paper's authors to .dcnn and back, or .dcnn anew"
    parser = add_verb(subparsers, convert, help)
    parser.add_argument("file", metavar="FILE", help="a .net or a .dcnn file")
    layers = "the layers of a .net file, in its order; see formats/layers.py"
    parser.add_argument("--layers", metavar="LAYERS.json", help=layers)
    coder = "the strongest coder of OUT.dcnn, chosen anew for each tensor"
    parser.add_argument("--coder", choices=CODERS, help=coder)
    parser.add_argument("-o", "--out", metavar="OUT", required=True, help="OUT.dcnn or OUT.net")


def convert(file: str, out: str, layers: str | None = None, coder: str | None = None) -> Answer:
    """Write a ``.net`` file as a ``.dcnn`` file, the other way round, or one of ours anew.

    Parameters
    ----------
    file : str
    out : str
        Its suffix, ``.dcnn`` or ``.net``, is the format to write.
    layers : str, optional
        The layers of a ``.net`` file, as for `formats.layers.load_layers`. Where they say enough
        (see `formats.caffe`), the file's metadata has the network, and of one that the zoo
        knows also how to prepare pictures for it.
    coder : str, optional
        The strongest coder of the ``.dcnn`` file to write; each tensor takes the encoding,
        gap width and coders up to it that have the fewest bytes. From a ``.dcnn`` file to
        another it has to be given, as nothing else would change.

    Raises
    ------
    ArgumentError
        If the options don't fit each other, or a ``.net`` file can't hold the tensors.
    FormatError
        If a file isn't valid.
    """
    suffix = os.path.splitext(out)[1].lower()
    if suffix not in (".dcnn", ".net"):
        raise ArgumentError(f"{out}: the suffix must be .dcnn or .net, the format to write")
    refuse_to_replace(out, *filter(None, (file, layers)))
    data = read_file(file)
    if suffix == ".dcnn":
        if data.startswith(MAGIC):
            if coder is None:
                raise ArgumentError(
                    f"{file}: is a .dcnn file already; store it anew by --coder, or as -o OUT.net"
                )
            if layers is not None:
                raise ArgumentError(_NO_LAYERS)
            model = from_bytes(data, file)
        elif layers is None:
            raise ArgumentError(f"{file}: a .net file has no shapes; name its layers by --layers")
        else:
            model = _read_net(data, file, layers)
        if coder is not None:
            model = replace(model, storage=dict.fromkeys(model, Choice(coder)))
        content = model.to_bytes()
    else:
        if layers is not None:
            raise ArgumentError(_NO_LAYERS)
        if coder is not None:
            raise ArgumentError("--coder is for writing a .dcnn file, a .net file has its own code")
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


def _read_net(data: bytes, file: str, layers: str) -> CompressedModel:
    """Read a ``.net`` file, and the network if its layers describe one."""
    listed = read_file(layers)
    model = net.read(data, parse_layers(listed, layers), file)
    network = parse_network(listed, layers)
    if network is None:
        return model
    metadata: dict[str, Any] = {"network": to_metadata(network)}
    if network.name in PREPROCESSING:
        metadata["preprocessing"] = PREPROCESSING[network.name]
    return replace(model, metadata=metadata)
