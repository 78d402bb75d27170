"""Lists of layers: JSON beside a ``.net`` file."""

import json

from deepcompress.formats.layers import parse_layers

from .limits import limited, outcome, require


def test_one_input(data: bytes) -> None:
    with limited("reading"):
        layers, _ = outcome(lambda: parse_layers(data))
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
