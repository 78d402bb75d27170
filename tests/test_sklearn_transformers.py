"""What the transformers do to each number, as their docstrings define it."""

import numpy as np
import pytest
from sklearn.pipeline import make_pipeline

import deepcompress
from deepcompress.quantize import share_weights
from deepcompress.sklearn import MagnitudePruner, WeightSharer

X = np.random.default_rng(0).normal(size=(50, 8)) * np.arange(1, 9)


@pytest.mark.parametrize("sparsity", [0.0, 0.3, 0.99, 1.0])
@pytest.mark.parametrize("per_column", [False, True])
def test_a_pruner_prunes_a_fraction(sparsity: float, per_column: bool) -> None:
    pruner = MagnitudePruner(sparsity, per_column=per_column)
    pruned = pruner.fit_transform(X)
    zeros = (pruned == 0).mean(axis=0) if per_column else (pruned == 0).mean()
    np.testing.assert_allclose(zeros, sparsity, atol=0.011)
    assert np.array_equal(pruned[pruned != 0], X[pruned != 0])
    assert pruner.thresholds_.shape == (8,) if per_column else (1,)
    if not per_column and 0 < sparsity < 1:
        assert np.abs(X[pruned == 0]).max() < np.abs(pruned[pruned != 0]).min()


def test_numbers_of_equal_magnitude_are_pruned_together() -> None:
    pruned = MagnitudePruner(0.25).fit_transform([[1.0, -1.0], [1.0, 2.0]])
    np.testing.assert_array_equal(pruned, [[0, 0], [0, 2]])


def test_new_rows_meet_the_thresholds_of_fit() -> None:
    pruner = MagnitudePruner(0.5).fit([[1.0, 2.0], [3.0, 4.0]])
    np.testing.assert_array_equal(pruner.transform([[2.0, -2.1]]), [[0, -2.1]])


@pytest.mark.parametrize("per_column", [False, True])
def test_a_sharer_leaves_few_numbers_and_the_zeros(per_column: bool) -> None:
    pruned = MagnitudePruner(0.5).fit_transform(X)
    sharer = WeightSharer(bits=3, per_column=per_column).fit(pruned)
    shared = sharer.transform(pruned)
    assert np.array_equal(shared == 0, pruned == 0)
    columns = shared.T if per_column else [shared]
    for column, codebook in zip(columns, sharer.codebooks_, strict=True):
        assert set(np.unique(column)) <= set(codebook.astype(float))
        assert len(codebook) <= 8
    if not per_column:
        wanted = share_weights(pruned, pruned != 0, 3)
        np.testing.assert_array_equal(
            shared[shared != 0], wanted.codebook[wanted.labels].astype(float)
        )
    np.testing.assert_array_equal(sharer.transform(shared), shared)


def test_a_column_of_zeros_shares_zero() -> None:
    sharer = WeightSharer(per_column=True).fit([[0.0, 1.0], [0.0, 2.0]])
    np.testing.assert_array_equal(sharer.transform([[3.0, 1.9]]), [[0, 2]])


def test_both_in_a_pipeline_in_single_precision() -> None:
    pipeline = make_pipeline(MagnitudePruner(0.8), WeightSharer(4))
    x = X.astype(np.float32)
    found = pipeline.fit_transform(x)
    assert found.dtype == np.float32
    assert len(np.unique(found)) == 16
    assert list(pipeline.get_feature_names_out(list("abcdefgh"))) == list("abcdefgh")
    assert not np.array_equal(found, x)


def test_parameters_out_of_range() -> None:
    with pytest.raises(deepcompress.ArgumentError, match=r"sparsity must be in \[0, 1\], not 1.5"):
        MagnitudePruner(1.5).fit(X)
    with pytest.raises(deepcompress.ArgumentError, match="bits"):
        WeightSharer(9).fit(X)
    with pytest.raises(deepcompress.ConfigError, match="unknown init 'best'"):
        WeightSharer(init="best").fit(X)
