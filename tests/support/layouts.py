"""Each layout of a matrix, whether it would be chosen or not."""

from typing import NamedTuple

from deepcompress import native
from deepcompress.packed.tensor import CompressedTensor
from deepcompress.spmv import lanes, lists, masks, tiles
from deepcompress.structs import Layout


class Plan(NamedTuple):
    """A kind of layout, for lanes with a width of gaps."""

    kind: str
    gap_bits: int = 0

    def __str__(self) -> str:
        return f"{self.kind}{self.gap_bits or ''}"


MASKS, TILES, LISTS = Plan("masks"), Plan("tiles"), Plan("lists")
LANES = [Plan("lanes", bits) for bits in range(1, 9)]
PLANS = [MASKS, *LANES, TILES, LISTS]


def arrange(w: CompressedTensor, plan: Plan, backend: str = "reference") -> Layout:
    """Lay a tensor out as planned, without changing it."""
    with native.use(backend):
        stream = w.stream()
        counts = lanes.row_counts(stream)[plan.gap_bits]
        if plan.kind == "lanes":
            layout = lanes.arrange(stream, plan.gap_bits, counts)
        elif plan.kind == "masks":
            layout = masks.arrange(stream, counts)
        elif plan.kind == "lists":
            layout = lists.arrange(stream, counts)
        else:
            layout = tiles.arrange(stream)
    assert layout is not None
    return layout


def laid_out(w: CompressedTensor, plan: Plan) -> CompressedTensor:
    """Give the tensor that layout, as if it were the best one."""
    forms = w._forms
    forms._layout, forms._is_laid_out, forms._preferred = arrange(w, plan), True, "speed"
    return w
