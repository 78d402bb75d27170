"""Perceptrons that `fit` compresses, in scikit-learn's pipelines and searches."""

import pickle
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_digits
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler, scale

import deepcompress
from deepcompress.packed.tensor import CompressedTensor
from deepcompress.sklearn import (
    DeepCompressionClassifier,
    DeepCompressionRegressor,
    compress_estimator,
)

PASSES = {"max_iter": 5, "retrain_iter": 5, "fine_tune_iter": 2, "learning_rate": 0.01}


@pytest.fixture(scope="module")
def digits() -> tuple[Any, Any]:
    x, y = load_digits(return_X_y=True)
    return x[:600] / 16, y[:600].astype(str)


@pytest.fixture(scope="module")
def classifier(digits: tuple[Any, Any]) -> DeepCompressionClassifier:
    found = DeepCompressionClassifier(60, density=0.2, bits=4, **PASSES, random_state=0)
    return found.fit(*digits)


def test_a_classifier_is_packed(classifier: DeepCompressionClassifier, digits: Any) -> None:
    x, y = digits
    assert classifier.score(x, y) > 0.95
    weight = classifier.model_["ip1.weight"]
    assert isinstance(weight, CompressedTensor)
    assert weight.density == 0.2
    assert len(weight.codebook) == 16
    assert classifier.n_iter_ == 12
    np.testing.assert_allclose(classifier.predict_proba(x).sum(axis=1), 1)
    assert set(classifier.predict(x)) == set(classifier.classes_) == set(y)


def test_a_row_does_not_depend_on_the_others(
    classifier: DeepCompressionClassifier, digits: Any
) -> None:
    x, _ = digits
    together = classifier.predict_proba(x[:70])
    for rows in ([0], [69], range(30, 65)):
        np.testing.assert_array_equal(classifier.predict_proba(x[rows]), together[rows])


def test_its_file_runs_elsewhere(
    classifier: DeepCompressionClassifier, digits: Any, tmp_path: Path
) -> None:
    classifier.model_.save(tmp_path / "digits.dcnn")
    network = deepcompress.CompressedNetwork.load(tmp_path / "digits.dcnn")
    found = classifier.classes_[network.predict(digits[0]).argmax(axis=1)]
    assert np.mean(found == classifier.predict(digits[0])) > 0.99


def test_it_survives_pickling(classifier: DeepCompressionClassifier, digits: Any) -> None:
    x, _ = digits
    again = pickle.loads(pickle.dumps(classifier))
    np.testing.assert_array_equal(again.predict_proba(x), classifier.predict_proba(x))
    assert again.model_.to_bytes() == classifier.model_.to_bytes()


def test_the_same_seed_gives_the_same_bytes(
    classifier: DeepCompressionClassifier, digits: Any
) -> None:
    again = clone(classifier).fit(*digits)
    assert again.model_.to_bytes() == classifier.model_.to_bytes()
    other = clone(classifier).set_params(random_state=1).fit(*digits)
    assert other.model_.to_bytes() != classifier.model_.to_bytes()


@pytest.mark.parametrize("outputs", [1, 2])
def test_a_regressor_is_packed(outputs: int) -> None:
    x, y = load_diabetes(return_X_y=True)
    targets = y if outputs == 1 else np.stack([y, 200 - y], axis=1)
    regressor = DeepCompressionRegressor(50, density=0.3, **PASSES, random_state=0)
    regressor.set_params(max_iter=30).fit(scale(x), targets)
    assert regressor.score(scale(x), targets) > 0.5
    assert regressor.predict(scale(x)).shape == targets.shape
    assert regressor.model_["ip1.weight"].density == 0.3
    centroids = regressor.model_.to_dense()[f"ip{2}.weight"]
    assert len(np.unique(centroids)) <= 32 or centroids.size < 128


def test_a_search_over_density(digits: Any) -> None:
    pipeline = make_pipeline(
        StandardScaler(), DeepCompressionClassifier(30, **PASSES, random_state=0)
    )
    name = "deepcompressionclassifier__density"
    search = GridSearchCV(pipeline, {name: [0.01, 0.3]}, cv=2).fit(*digits)
    assert search.best_params_ == {name: 0.3}
    assert search.best_estimator_[-1].model_["ip1.weight"].density == pytest.approx(0.3, abs=1e-3)


if find_spec("distributed"):

    @pytest.mark.slow
    @pytest.mark.filterwarnings("ignore::ResourceWarning")  # of its sockets, as it shuts down
    def test_a_search_in_processes_of_dask(digits: Any) -> None:
        from distributed import Client, LocalCluster

        grid = {"density": [0.01, 0.3]}
        base = DeepCompressionClassifier(30, **PASSES, random_state=0)
        alone = GridSearchCV(base, grid, cv=2).fit(*digits)
        options = {"n_workers": 1, "threads_per_worker": 1, "dashboard_address": None}
        with (
            LocalCluster(processes=True, **options) as cluster,
            Client(cluster),
            joblib.parallel_config(backend="dask"),
        ):
            search = GridSearchCV(base, grid, cv=2).fit(*digits)
        scores = alone.cv_results_["mean_test_score"]
        np.testing.assert_array_equal(search.cv_results_["mean_test_score"], scores)
        assert search.best_estimator_.model_.to_bytes() == alone.best_estimator_.model_.to_bytes()


@pytest.mark.parametrize("classes", [2, 10])
def test_a_fitted_classifier_of_scikit_learn(digits: Any, classes: int) -> None:
    x, y = digits
    is_taken = np.isin(y, [str(digit) for digit in range(classes)])
    mlp = MLPClassifier((40, 20), max_iter=40, random_state=0, learning_rate_init=0.01)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it has not converged
        mlp.fit(x[is_taken], y[is_taken])
    exact = compress_estimator(mlp, bits=8)
    np.testing.assert_allclose(exact.predict_proba(x), mlp.predict_proba(x), atol=0.05)
    small = compress_estimator(mlp, density=0.5, bits=5)
    assert small.score(x[is_taken], y[is_taken]) > 0.95
    assert small.model_["ip1.weight"].density == 0.5
    assert small.n_features_in_ == 64
    assert clone(small).get_params()["hidden_layer_sizes"] == (40, 20)


def test_a_fitted_regressor_of_scikit_learn() -> None:
    x, y = load_diabetes(return_X_y=True)
    mlp = MLPRegressor(hidden_layer_sizes=30, max_iter=200, random_state=0, learning_rate_init=0.01)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlp.fit(scale(x), y / 100)
    packed = compress_estimator(mlp, bits=8)
    np.testing.assert_allclose(packed.predict(scale(x)), mlp.predict(scale(x)), atol=0.1)


def refused(call: Callable[[], object], *parts: str) -> None:
    with pytest.raises(deepcompress.ArgumentError) as caught:
        call()
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_estimators_that_cannot_be_compressed(digits: Any) -> None:
    x, y = digits
    refused(lambda: compress_estimator(LogisticRegression()), "not LogisticRegression")
    with pytest.raises(NotFittedError):
        compress_estimator(MLPClassifier())
    tanh = MLPClassifier(5, activation="tanh", max_iter=1).fit(x, y)
    refused(lambda: compress_estimator(tanh), "'tanh'", "'relu'")
    several = MLPClassifier(5, max_iter=1).fit(x, np.eye(3, dtype=int)[np.arange(len(x)) % 3])
    refused(lambda: compress_estimator(several), "several labels")
    refused(lambda: compress_estimator(MLPClassifier(5, max_iter=1).fit(x, y), bits=9), "bits", "9")


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("hidden_layer_sizes", (10, 0)),
        ("density", 1.5),
        ("bits", 0),
        ("coder", "zip"),
        ("max_iter", 0),
        ("retrain_iter", -1),
        ("fine_tune_iter", 1.5),
        ("batch_size", 0),
        ("learning_rate", 0.0),
        ("alpha", float("nan")),
    ],
)
def test_parameters_out_of_range(parameter: str, value: Any, digits: Any) -> None:
    estimator = DeepCompressionClassifier(**{parameter: value})
    refused(lambda: estimator.fit(*digits), parameter)


def test_targets_beyond_float32() -> None:
    x = np.random.default_rng(0).normal(size=(20, 30))
    regressor = DeepCompressionRegressor(5, **PASSES)
    refused(lambda: regressor.fit(x, np.linspace(0, 1e300, 20)), "float32")
    assert not hasattr(regressor, "model_")
