"""A perceptron as an estimator of scikit-learn: `fit` compresses it, `predict` runs it packed."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from ..config import TensorConfig
from ..errors import ArgumentError
from ..model import CompressedModel
from ..nn.layers import Array
from ..nn.losses import softmax
from ..runtime.network import CompressedNetwork
from .mlp import Epochs, Gradient, config_of, hidden_sizes, perceptron, train
from .validation import validate_data

BATCH = 32  # inputs that `predict` takes at once, never fewer: sums round by the number of them


class PackedPerceptron(BaseEstimator):
    """What the classifier and the regressor have in common.

    Parameters
    ----------
    hidden_layer_sizes : int or sequence of int
        Neurons of each hidden layer; they are rectified.
    density : float
        Share of the weights that survive pruning in each layer, 0 to 1. Layers of fewer than 128
        weights are kept as they are.
    bits : int
        Width of a label, 1 to 8: a layer's weights share ``2**bits - 1`` values.
    coder : {"fixed", "huffman", "rans"}
        The strongest coder of the file.
    max_iter : int
        Passes through the data of the dense network.
    retrain_iter : int
        Passes while and after it is pruned: along a ramp over the first half.
    fine_tune_iter : int
        Passes of the centroids (Han et al. 2016, section 3.3).
    batch_size : int
    learning_rate : float
        Adam's, at the start; the centroids are tuned with a tenth of it.
    alpha : float
        Weight decay.
    random_state : int, RandomState or None
        Source of the first weights and of the order of the data.

    Attributes
    ----------
    model_ : CompressedModel
        The packed network; ``model_.save(path)`` writes its file, which
        ``CompressedNetwork.load`` runs.
    n_features_in_ : int
    n_iter_ : int
        Passes in all.
    """

    model_: CompressedModel

    def __init__(
        self,
        hidden_layer_sizes: int | Sequence[int] = (100,),
        *,
        density: float = 0.1,
        bits: int = 5,
        coder: str = TensorConfig.coder,
        max_iter: int = 100,
        retrain_iter: int = 100,
        fine_tune_iter: int = 10,
        batch_size: int = 64,
        learning_rate: float = 0.003,
        alpha: float = 1e-4,
        random_state: Any = None,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.density = density
        self.bits = bits
        self.coder = coder
        self.max_iter = max_iter
        self.retrain_iter = retrain_iter
        self.fine_tune_iter = fine_tune_iter
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.alpha = alpha
        self.random_state = random_state

    def _train(
        self, x: Array, targets: Array, gradient: Gradient, **options: Any
    ) -> CompressedModel:
        """Return the packed network for inputs and targets (B, outputs)."""
        config = config_of(self.density, self.bits, self.coder)
        lengths = self.max_iter, self.retrain_iter, self.fine_tune_iter
        epochs = Epochs(*lengths, self.batch_size, self.learning_rate, self.alpha)
        sizes = [x.shape[1], *hidden_sizes(self.hidden_layer_sizes), targets.shape[1]]
        seed = check_random_state(self.random_state).randint(2**31 - 1)
        self.n_iter_ = epochs.total
        return train(perceptron(sizes), (x, targets), gradient, epochs, config, seed, **options)

    def _outputs(self, X: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return the network's outputs, its weights packed."""
        check_is_fitted(self, "model_")
        x = validate_data(self, X, dtype=np.float32, reset=False)
        whole = np.pad(x, ((0, -len(x) % BATCH), (0, 0)))  # so that no row depends on the others
        network = CompressedNetwork.of(self.model_)
        return network.predict(whole, batch_size=BATCH)[: len(x)].astype(np.float64)


class DeepCompressionClassifier(ClassifierMixin, PackedPerceptron):
    """A classifier that is compressed by `fit`; its parameters are those of `PackedPerceptron`.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.preprocessing import scale
    >>> x, y = load_iris(return_X_y=True)
    >>> classifier = DeepCompressionClassifier(density=0.5, random_state=0)
    >>> bool(classifier.fit(scale(x), y).score(scale(x), y) > 0.9)
    True
    >>> classifier.model_["ip1.weight"].density
    0.5
    """

    def fit(self, X: npt.ArrayLike, y: npt.ArrayLike) -> "DeepCompressionClassifier":
        """Train, prune, share and pack a network.

        Parameters
        ----------
        X : array_like of shape (n, features)
            Finite; features of about the same size, as `StandardScaler` makes them, train best.
        y : array_like of shape (n,)
            Classes, of any type.

        Raises
        ------
        ValueError
            If X, y or a parameter can't be used.
        """
        x, y = validate_data(self, X, y, dtype=np.float32)
        check_classification_targets(y)
        self.classes_, indices = np.unique(y, return_inverse=True)
        targets = np.eye(len(self.classes_), dtype=np.float32)[indices]
        self.model_ = self._train(x, targets, _of_cross_entropy)
        return self

    def predict_proba(self, X: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return the probability of each class, (n, n_classes), in the order of `classes_`."""
        return softmax(self._outputs(X))

    def predict(self, X: npt.ArrayLike) -> npt.NDArray[Any]:
        """Return the most probable class of each row."""
        outputs = self._outputs(X)
        found: npt.NDArray[Any] = self.classes_[outputs.argmax(axis=1)]
        return found


class DeepCompressionRegressor(RegressorMixin, PackedPerceptron):
    """A regressor that is compressed by `fit`; its parameters are those of `PackedPerceptron`.

    It minimizes the mean squared error. Targets are centred and scaled by one number for all
    outputs while it trains, which the last layer's codebook and biases take in.
    """

    def fit(self, X: npt.ArrayLike, y: npt.ArrayLike) -> "DeepCompressionRegressor":
        """Train, prune, share and pack a network.

        Parameters
        ----------
        X : array_like of shape (n, features)
            As for `DeepCompressionClassifier`.
        y : array_like of shape (n,) or (n, outputs)

        Raises
        ------
        ValueError
            If X, y or a parameter can't be used.
        """
        x, y = validate_data(self, X, y, dtype=np.float32, multi_output=True, y_numeric=True)
        targets = np.asarray(y, np.float64).reshape(len(x), -1)
        if np.abs(targets).max(initial=0) > np.finfo(np.float32).max:
            raise ArgumentError("y: a target is beyond float32")
        means = targets.mean(axis=0)
        scale = float((targets - means).std()) or 1.0
        scaled = ((targets - means) / scale).astype(np.float32)
        last = len(hidden_sizes(self.hidden_layer_sizes)) + 1

        def finish(values: dict[str, Array]) -> dict[str, Array]:
            weight, bias = f"ip{last}.weight", f"ip{last}.bias"
            moved = (values[bias] * scale + means).astype(np.float32)
            return values | {weight: values[weight] * np.float32(scale), bias: moved}

        self.model_ = self._train(x, scaled, _of_squares, finish=finish)
        self._is_flat = np.ndim(y) == 1
        return self

    def predict(self, X: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return the outputs, in the shape of the targets of `fit`."""
        outputs = self._outputs(X)
        return outputs[:, 0] if self._is_flat else outputs

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def _more_tags(self) -> dict[str, Any]:  # before scikit-learn 1.6
        return {"multioutput": True}


def _of_cross_entropy(outputs: Array, targets: Array) -> Array:
    return (softmax(outputs, 0) - targets) / np.float32(targets.shape[1])


def _of_squares(outputs: Array, targets: Array) -> Array:
    return (outputs - targets) / np.float32(targets.shape[1])
