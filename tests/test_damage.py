"""A damaged file gives an error of ours or the same tensors: what `damage` counts, in short."""

from functools import cache
from importlib.util import find_spec

import hypothesis.strategies as st
import pytest
from campaigns.damage import CHANGED, ERROR, GOLDEN, SAME, base, changes, contents, outcome
from hypothesis import given

import deepcompress as dc
from deepcompress.container.reader import Reader
from deepcompress.container.records import CODERS, SHARED, Coding, PlaneCoding
from deepcompress.pipeline import from_bytes

NAMES = sorted(path.stem for path in GOLDEN.glob("*.dcnn"))
if find_spec("ml_dtypes") is None:
    NAMES.remove("v2-lacking")


@cache
def sound(name: str) -> tuple[bytes, dc.CompressedModel]:
    data = contents(name)
    return data, from_bytes(data, base=base())


def test_what_is_changed_has_every_encoding_and_coder() -> None:
    models = [sound(name)[1] for name in CHANGED]
    codings = [how for model in models for how in model.storage.values()]
    planes = [how for how in codings if isinstance(how, PlaneCoding)]
    codings = [how for how in codings if isinstance(how, Coding)]
    assert {how.encoding for how in codings} == set(SHARED)
    assert {coder for how in planes for coder in how.coders} == set(range(len(CODERS)))
    assert {how.label_coder for how in codings} == set(range(len(CODERS)))
    assert {how.position_coder for how in codings} == set(range(len(CODERS)))
    assert any(len(model.storage) < len(model) for model in models)  # raw ones


@pytest.mark.parametrize("name", NAMES)
def test_the_sound_file_counts_as_the_same(name: str) -> None:
    data, model = sound(name)
    assert outcome(data, model) == SAME
    for size in range(0, len(data), max(1, len(data) // 60)):
        assert outcome(data[:size], model) == ERROR


def test_the_outcome_tells_other_tensors_and_strange_errors(monkeypatch) -> None:
    data, model = sound("v1-every-coder")
    assert "other tensors" in outcome(contents("v1-nothing"), model)

    def fail(*arguments, **named) -> None:
        raise IndexError("strange")

    monkeypatch.setattr("campaigns.damage.from_bytes", fail)
    assert "IndexError" in outcome(data, model)


@given(st.sampled_from(NAMES), st.data())
def test_a_changed_byte(name: str, draw: st.DataObject) -> None:
    data, model = sound(name)
    offset = draw.draw(st.integers(0, len(data) - 1))
    damaged = draw.draw(st.sampled_from(list(changes(data, offset))))
    assert outcome(damaged, model) == ERROR


@given(st.sampled_from(NAMES), st.data())
def test_cuts_and_inserts(name: str, draw: st.DataObject) -> None:
    data, model = sound(name)
    start, stop = sorted(draw.draw(st.tuples(*[st.integers(0, len(data))] * 2)))
    inserted = draw.draw(st.binary(max_size=20))
    damaged = data[:start] + inserted + data[stop:]
    assert outcome(damaged, model) == (SAME if damaged == data else ERROR)


@given(st.sampled_from(NAMES), st.data())
def test_swapped_runs_of_bytes(name: str, draw: st.DataObject) -> None:
    data, model = sound(name)
    a, b, c, d = sorted(draw.draw(st.tuples(*[st.integers(0, len(data))] * 4)))
    damaged = data[:a] + data[c:d] + data[b:c] + data[a:b] + data[d:]
    assert outcome(damaged, model) == (SAME if damaged == data else ERROR)


@given(st.data())
def test_swapped_blocks(draw: st.DataObject) -> None:
    """Chunks are swapped with their checksums, which tell their places too."""
    data, model = sound("v1-blocks")
    reader = Reader(data)
    entries = [entry for entry in reader.entries.values() if entry.encoding]
    places = [
        (entry.offset + begin, entry.offset + end + 4)
        for entry in entries
        for begin, end in reader.shared_head(entry).spans
    ]
    one, other = sorted(draw.draw(st.sampled_from(places)) for _ in range(2))
    damaged = data
    if one != other:
        parts = data[: one[0]], data[slice(*other)], data[one[1] : other[0]]
        damaged = b"".join([*parts, data[slice(*one)], data[other[1] :]])
    assert outcome(damaged, model) == (SAME if damaged == data else ERROR)
