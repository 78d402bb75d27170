"""Lists of layers: JSON beside a ``.net`` file, and the networks that they describe."""

import json

from deepcompress.formats.caffe import parse_network
from deepcompress.formats.layers import parse_layers
from deepcompress.nn.definition import from_metadata, to_metadata

from .limits import limited, outcome, require


def test_one_input(data: bytes) -> None:
    with limited("reading"):
        layers, _ = outcome(lambda: parse_layers(data))
        network, _ = outcome(lambda: parse_network(data))
    if network is not None:
        require(
            from_metadata(to_metadata(network)) == network, "a network isn't what its file says"
        )
    if layers is None:
        return
    entries = []
    for layer in layers:
        require(0 < layer.size < 2**63, "a size out of range")
        out_channels, in_channels, *window = layer.shape
        kind = {"type": "Convolution", "kernel": window[0]} if window else {"type": "InnerProduct"}
        entries.append(
            {"name": layer.name, "out_channels": out_channels, "in_channels": in_channels} | kind
        )
    require(parse_layers(json.dumps(entries).encode()) == layers, "layers differ from themselves")
