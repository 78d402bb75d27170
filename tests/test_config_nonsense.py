"""Any configuration and any argument at all is taken, or refused by an error of ours."""

import contextlib
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import deepcompress as dc
from deepcompress.config import SHARING
from deepcompress.pipeline import from_bytes

nonsense = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.binary(max_size=3)
    | st.sampled_from([dict, object(), np.zeros(2), np.array("x"), 1j, SHARING, len, float("nan")]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner)
        | st.dictionaries(st.text(max_size=3) | st.integers() | st.none(), inner, max_size=3)
    ),
    max_leaves=5,
)
field_names = st.sampled_from(["method", "min_size", "sparsity", "threshold", *SHARING])
somewhat_valid = st.sampled_from(
    [0, 1, 4, 0.5, "raw", "float16", "lossless", "shared", "rans", "dense"]
)
fields = st.dictionaries(field_names | st.text(max_size=3), somewhat_valid | nonsense, max_size=4)


@given(
    nonsense | fields,
    nonsense
    | st.dictionaries(st.sampled_from(["fc", "conv", "bias", "norm", "x"]), nonsense | fields),
    nonsense
    | st.dictionaries(st.sampled_from(["w", "b", "x", "*", "re:(b|w)", "re:("]), nonsense | fields),
)
def test_a_configuration_is_taken_or_refused(default: Any, by_kind: Any, by_name: Any) -> None:
    tensors = {"w": np.eye(20), "b": np.ones(3), "ids": np.arange(5)}
    for make in (
        lambda: dc.Config(default, by_kind, by_name),
        lambda: dc.Config.from_dict({"default": default, "by_kind": by_kind, "by_name": by_name}),
        lambda: dc.Config.from_dict(default),
        lambda: dc.Config(by_kind=by_kind, by_name=by_name),
        lambda: dc.Config(default),
    ):
        try:
            config = make()
        except dc.ConfigError:
            continue
        assert dc.Config.from_dict(config.to_dict()) == config
        try:
            model = dc.compress(tensors, config)
        except dc.DeepCompressError:
            continue
        assert list(from_bytes(model.to_bytes())) == list(tensors)


@given(st.dictionaries(field_names, somewhat_valid | nonsense, max_size=3))
def test_fields_are_taken_or_refused(values: dict[str, Any]) -> None:
    try:
        config = dc.TensorConfig(**values)
    except dc.ConfigError:
        return
    assert dc.TensorConfig(**{name: getattr(config, name) for name in values}) == config


@given(nonsense, nonsense, nonsense, nonsense)
def test_arguments_are_taken_or_refused(a: Any, b: Any, metadata: Any, seed: Any) -> None:
    for call_it in (
        lambda: dc.compress(a),
        lambda: dc.compress({"a": a, "b": [b]}, metadata=metadata),
        lambda: dc.compress({"w": 1}, seed=seed),
        lambda: dc.compress({"w": 1}, b),
    ):
        with contextlib.suppress(dc.DeepCompressError):
            call_it().to_bytes()
