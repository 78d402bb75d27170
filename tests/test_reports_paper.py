"""What the paper's tables say fits the networks' shapes."""

import math

import pytest

from deepcompress.nn import zoo
from deepcompress.reports.paper import PAPER


@pytest.mark.parametrize("network", ["alexnet", "vgg-16"])
def test_the_rows_have_the_weights_of_the_shapes(network: str) -> None:
    *rows, total = PAPER[network].rows
    shapes = zoo.build(network).param_shapes
    sizes = {name: math.prod(shape) for name, shape in shapes.items() if "weight" in name}
    assert {row.layer: row.weights for row in rows} == sizes
    assert total.weights == sum(sizes.values())


@pytest.mark.parametrize("network", PAPER)
def test_the_ratio_is_that_of_the_bytes(network: str) -> None:
    paper = PAPER[network]
    assert math.isclose(paper.reference_bytes / paper.file_bytes, paper.ratio, rel_tol=0.02)
