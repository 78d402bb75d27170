"""Random graphs of layers, far stranger than a network has any reason to be."""

import hypothesis.strategies as st
import numpy as np

from deepcompress.errors import ArgumentError
from deepcompress.nn.conv import Conv2D
from deepcompress.nn.layers import Concat, Dropout, Flatten, Linear, ReLU
from deepcompress.nn.network import Network
from deepcompress.nn.pool import GlobalAvgPool2D, MaxPool2D
from deepcompress.nn.wiring import INPUT

MOST_ELEMENTS = 3000  # of a value


@st.composite
def layers(draw, name, shape):
    """Draw a layer that takes `shape`, if its sizes are possible."""
    few = st.integers(1, 4)
    kinds = [Linear] if len(shape) == 1 else [Conv2D, MaxPool2D, GlobalAvgPool2D]
    kind = draw(st.sampled_from([ReLU, Dropout, Flatten, Concat, *kinds, *kinds]))
    if kind is Linear:
        return Linear(name, shape[0], draw(st.sampled_from([1, 3, 16, 33])))
    if kind is Conv2D:
        groups = draw(st.sampled_from([n for n in range(1, shape[0] + 1) if shape[0] % n == 0]))
        outputs = groups * draw(st.sampled_from([1, 2, 3, 17]))
        sizes = draw(few), draw(st.integers(1, 5)), draw(st.integers(0, 3))
        return Conv2D(name, shape[0], outputs, *sizes, groups)
    if kind is MaxPool2D:
        kernel = draw(few)
        sizes = draw(st.integers(1, 6)), draw(st.integers(0, kernel - 1))
        return MaxPool2D(name, kernel, *sizes, draw(st.booleans()))
    return Dropout(name, 0.5) if kind is Dropout else kind(name)


@st.composite
def graphs(draw):
    """Draw layers that take any values before them; what nobody takes is joined at the end."""
    shapes = {INPUT: (draw(st.integers(1, 6)), draw(st.integers(1, 9)), draw(st.integers(1, 9)))}
    made, sources = {}, {}
    for index in range(draw(st.integers(1, 9))):
        names = [*shapes]
        taken = [draw(st.sampled_from(names + names[-1:] * index))]  # mostly the last one
        shape = shapes[taken[0]]
        layer = draw(layers(f"layer{index}", shape))
        if layer.several:
            alike = [one for one, other in shapes.items() if other[1:] == shape[1:]]
            alike = [one for one in alike if len(shapes[one]) == len(shape)]
            taken += draw(st.lists(st.sampled_from(alike), max_size=3))
            shape = [shapes[one] for one in taken]
        try:
            given = layer.output_shape(shape)
        except ArgumentError:
            continue  # too small a picture
        if np.prod(given) <= MOST_ELEMENTS:
            made[layer.name], sources[layer.name], shapes[layer.name] = layer, taken, given
    ends = [name for name in made if not any(name in taken for taken in sources.values())]
    for name in ends if len(ends) > 1 else []:
        made[f"flat {name}"], sources[f"flat {name}"] = Flatten(f"flat {name}"), [name]
    if len(ends) > 1:
        made["end"], sources["end"] = Concat("end"), [f"flat {name}" for name in ends]
    return Network("graph", (*made.values(),) or (ReLU("alone"),), shapes[INPUT], sources)
