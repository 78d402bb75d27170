"""A fitted perceptron of scikit-learn -> one of ours, packed."""

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.utils.validation import check_is_fitted

from ..config import TensorConfig
from ..errors import ArgumentError, shown
from ..pipeline import compress
from .estimators import DeepCompressionClassifier, DeepCompressionRegressor
from .mlp import about, config_of, perceptron


def compress_estimator(
    estimator: Any, *, density: float = 1.0, bits: int = 5, coder: str = TensorConfig.coder
) -> DeepCompressionClassifier | DeepCompressionRegressor:
    """Prune, share and pack the weights of a fitted perceptron, without training.

    Parameters
    ----------
    estimator : MLPClassifier or MLPRegressor
        Fitted, with the activation ``"relu"`` (or no hidden layer), one label for each row; a
        regressor with the squared error. It isn't changed.
    density, bits, coder
        As for `DeepCompressionClassifier`.

    Returns
    -------
    DeepCompressionClassifier or DeepCompressionRegressor
        Fitted; a clone of it trains anew.

    Raises
    ------
    ArgumentError
        If the estimator is anything else.
    sklearn.exceptions.NotFittedError
        If it isn't fitted.
    """
    if not isinstance(estimator, (MLPClassifier, MLPRegressor)):
        what = type(estimator).__name__
        raise ArgumentError(f"estimator must be an MLPClassifier or MLPRegressor, not {what}")
    check_is_fitted(estimator)
    if len(estimator.coefs_) > 1 and estimator.activation != "relu":
        raise ArgumentError(f"activation {shown(estimator.activation)}: only 'relu' runs packed")
    output = estimator.out_activation_
    is_classifier = isinstance(estimator, MLPClassifier)
    if output == "logistic" and estimator._label_binarizer.y_type_.startswith("multilabel"):
        raise ArgumentError("a classifier of several labels for each row can't be compressed")
    if output not in (("logistic", "softmax") if is_classifier else ("identity",)):
        raise ArgumentError(f"outputs of {shown(output)} don't run packed")

    weights = [np.asarray(one.T, np.float32) for one in estimator.coefs_]
    biases = [np.asarray(one, np.float32) for one in estimator.intercepts_]
    if output == "logistic":  # of the second of two classes: softmax of (0, z)
        weights[-1], biases[-1] = _below_zero(weights[-1]), _below_zero(biases[-1])
    network = perceptron([weights[0].shape[1], *(len(bias) for bias in biases)])
    params = dict(zip(network.param_shapes, _in_turn(weights, biases), strict=True))
    model = compress(params, config_of(density, bits, coder), metadata=about(network))

    kind = DeepCompressionClassifier if is_classifier else DeepCompressionRegressor
    found = kind(estimator.hidden_layer_sizes, density=density, bits=bits, coder=coder)
    found.model_, found.n_iter_ = model, estimator.n_iter_
    for name in ("n_features_in_", "feature_names_in_", "classes_"):
        if hasattr(estimator, name):
            setattr(found, name, getattr(estimator, name))
    if isinstance(found, DeepCompressionRegressor):
        found._is_flat = estimator.n_outputs_ == 1
    return found


def _below_zero(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the values of one output behind those of another, all zeros."""
    return np.concatenate([np.zeros_like(values), values])


def _in_turn(*lists: list[Any]) -> list[Any]:
    return [one for together in zip(*lists, strict=True) for one in together]
