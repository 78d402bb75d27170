"""Slots for the values of a program in its one stretch of memory."""

from collections.abc import Mapping, Sequence

from ..structs import Name

ALIGNMENT = 16  # elements


def place(
    given: Sequence[Name],
    inside: Mapping[Name, tuple[Name, int]],
    sizes: Mapping[Name, int],
    last_use: Mapping[Name, int],
    source: str,
) -> tuple[dict[Name, int | None], int]:
    """Give each value the first gap that is large enough between those needed at the same time.

    `given` are the values that the operations write, in their order; `inside` has, for a value in
    another's memory, the other and the first element there; `sizes` are elements of each value;
    `last_use` is the index of the last operation that needs it. The program's input, `source`, has
    memory of its own. Return the first element of each value, None in the memory of `source`, and
    the elements of the stretch of memory.
    """

    def whole(name: Name) -> tuple[Name, int]:
        first = 0
        while name in inside:
            name, offset = inside[name]
            first += offset
        return name, first

    ends: dict[Name, int] = {}
    for name, use in last_use.items():
        root = whole(name)[0]
        ends[root] = max(use, ends.get(root, 0))
    begins: dict[Name, int] = {source: 0}
    used: list[tuple[int, int, int]] = []  # first element, end, last operation that needs it
    for index, name in enumerate(given):
        root = whole(name)[0]
        if root in begins:
            continue
        used = sorted(slot for slot in used if slot[2] >= index)
        first, size = 0, -(-sizes[root] // ALIGNMENT) * ALIGNMENT
        for begin, end, _ in used:
            if begin - first >= size:
                break
            first = max(first, end)
        begins[root] = first
        used.append((first, first + size, ends[root]))
    roots = {name: whole(name) for name in {*sizes, *inside, source}}
    places = {
        name: None if root == source else begins[root] + first
        for name, (root, first) in roots.items()
    }
    elements = max(begins[root] + sizes[root] for root in begins if root != source)
    return places, elements
