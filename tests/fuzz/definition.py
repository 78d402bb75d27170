"""What a file's metadata says of its network: the name of one, or its definition."""

import math

from deepcompress.files import strict_json
from deepcompress.nn.definition import from_metadata, to_metadata
from deepcompress.nn.network import MAX_ELEMENTS

from .limits import limited, outcome, require


def test_one_input(data: bytes) -> None:
    try:
        value = strict_json.parse(data)
    except ValueError:
        return  # the container reads no other metadata
    with limited("building"):
        network, _ = outcome(lambda: from_metadata(value))
    if network is None:
        return
    for name, shape in network.shapes.items():
        require(0 < math.prod(shape) < MAX_ELEMENTS and min(shape) > 0, f"{name} of shape {shape}")
    known = to_metadata(network)
    require(from_metadata(known) == network or isinstance(known, str), "it isn't what it says")
