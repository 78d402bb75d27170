"""The data sets: found where documented, checked, split as documented."""

import gzip
import hashlib
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from test_formats_idx import idx_bytes

from deepcompress.errors import ArgumentError, DataError
from deepcompress.experiments import datasets
from deepcompress.experiments.datasets import MNIST_FILES, Dataset, holdout, load_digits, load_mnist

IMAGES = np.arange(5 * 28 * 28, dtype=np.uint64).astype(np.uint8).reshape(5, 28, 28)
LABELS = np.array([3, 1, 4, 1, 9], np.uint8)
SMALL_MNIST = dict(zip(MNIST_FILES, (IMAGES, LABELS, IMAGES[:2], LABELS[:2]), strict=True))


def write_mnist(folder: Path, changes=(), spell=str, pack=bytes) -> None:
    """Write the small set; `changes` replaces arrays by name, None leaves a file out."""
    folder.mkdir(exist_ok=True)
    for name, array in (SMALL_MNIST | dict(changes)).items():
        if array is not None:
            (folder / spell(name)).write_bytes(pack(idx_bytes(array)))


@pytest.fixture(autouse=True)
def no_variable(monkeypatch) -> None:
    monkeypatch.delenv("DEEPCOMPRESS_DATA", raising=False)


def test_digits() -> None:
    digits = load_digits()
    assert digits.train_images.shape == (1437, 1, 8, 8)
    assert digits.test_images.shape == (360, 1, 8, 8)
    assert digits.train_images.max() == 1.0
    assert list(digits.train_labels[:10]) == list(range(10))
    assert np.bincount(digits.test_labels).min() >= 33  # each digit is tested
    everything = digits.train_images.tobytes() + digits.test_images.tobytes()
    assert hashlib.md5(everything).hexdigest() == "f0b13cb16d129f393fcc3104f721cfc2"


def test_mnist_is_the_standard_one(mnist_folder: Path) -> None:
    mnist = load_mnist(mnist_folder)
    assert mnist.train_images.shape == (60_000, 1, 28, 28)
    assert mnist.test_images.shape == (10_000, 1, 28, 28)
    assert list(mnist.train_labels[:10]) == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert mnist.train_images.mean(dtype=np.float64) == pytest.approx(0.1307, abs=5e-5)
    assert mnist.train_images.std(dtype=np.float64) == pytest.approx(0.3081, abs=5e-5)


@pytest.mark.parametrize("subfolder", ["", "mnist"])
@pytest.mark.parametrize("dotted", [False, True])
@pytest.mark.parametrize("compressed", [False, True])
def test_mnist_is_found(tmp_path: Path, subfolder: str, dotted: bool, compressed: bool) -> None:
    write_mnist(
        tmp_path / subfolder,
        spell=lambda name: (name.replace("-idx", ".idx") if dotted else name) + ".gz" * compressed,
        pack=gzip.compress if compressed else bytes,
    )
    mnist = load_mnist(tmp_path)
    np.testing.assert_array_equal(mnist.train_images[:, 0] * np.float32(255), IMAGES)
    np.testing.assert_array_equal(mnist.test_labels, LABELS[:2])


def test_folder_comes_before_variable(tmp_path: Path, monkeypatch) -> None:
    write_mnist(tmp_path / "argument")
    write_mnist(tmp_path / "variable", {MNIST_FILES[1]: LABELS[::-1]})
    monkeypatch.setenv("DEEPCOMPRESS_DATA", str(tmp_path / "variable"))
    assert load_mnist(tmp_path / "argument").train_labels[0] == 3
    assert load_mnist().train_labels[0] == 9


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        (MNIST_FILES[2], None, "not t10k-images-idx3-ubyte"),
        (MNIST_FILES[0], IMAGES[:, :27], r"items of shape \(27, 28\)"),
        (MNIST_FILES[1], IMAGES, r"items of shape \(28, 28\), MNIST's have \(\)"),
        (MNIST_FILES[1], LABELS[:4], "has 5 images, but .*labels.* has 4 labels"),
        (MNIST_FILES[1], np.array([0, 1, 2, 3, 10], np.uint8), "train labels: 0 … 10 is beyond"),
    ],
)
def test_unfit_mnist_raises(tmp_path: Path, name, array, message: str) -> None:
    write_mnist(tmp_path, {name: array})
    with pytest.raises(DataError, match=message):
        load_mnist(tmp_path)


def test_missing_mnist_tells_both_ways(tmp_path: Path, monkeypatch) -> None:
    with pytest.raises(DataError) as caught:
        load_mnist(tmp_path)
    for part in (str(tmp_path), "--data", "DEEPCOMPRESS_DATA", *MNIST_FILES, "openml.org"):
        assert part in str(caught.value)

    def fail(*arguments, **options):
        raise OSError("the net is down")

    monkeypatch.setattr("sklearn.datasets.fetch_openml", fail)
    with pytest.raises(DataError, match=r"the net is down.*DEEPCOMPRESS_DATA"):
        load_mnist()
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)  # as if not installed
    with pytest.raises(DataError, match=r"sklearn.*DEEPCOMPRESS_DATA"):
        load_mnist()
    with pytest.raises(DataError, match="scikit-learn, which is missing"):
        load_digits()


def test_download(monkeypatch) -> None:
    data = np.zeros((70_000, 784))
    data[60_000] = 255
    target = (np.arange(70_000) % 10).astype(str).astype(object)

    def fetch(name, *, version, as_frame, parser):
        assert (name, version, as_frame, parser) == ("mnist_784", 1, False, "liac-arff")
        return SimpleNamespace(data=data, target=target)

    monkeypatch.setattr("sklearn.datasets.fetch_openml", fetch)
    mnist = load_mnist()
    assert mnist.train_images.shape == (60_000, 1, 28, 28)
    assert mnist.train_images.max() == 0
    assert mnist.test_images[0].min() == 1
    assert list(mnist.test_labels[:3]) == [0, 1, 2]
    data[0, 0] = 0.5
    with pytest.raises(DataError, match="not integers"):
        load_mnist()


def test_holdout() -> None:
    digits = load_digits()
    choices = holdout(digits, 137)
    assert (len(choices.train_images), len(choices.test_images)) == (1300, 137)
    np.testing.assert_array_equal(choices.test_images, digits.train_images[-137:])
    np.testing.assert_array_equal(
        np.concatenate([choices.train_labels, choices.test_labels]), digits.train_labels
    )
    for count in (0, -1, 1437):
        with pytest.raises(ArgumentError, match=f"holdout of {count} "):
            holdout(digits, count)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train_images": np.zeros((2, 28, 28), np.float32)}, "train images: shape"),
        ({"train_images": np.zeros((2, 1, 28, 28))}, "float64"),
        ({"test_labels": np.zeros(3, np.int64)}, r"test labels: shape \(2,\)"),
        ({"test_labels": np.zeros(2, np.uint8)}, "uint8"),
        ({"test_labels": np.array([0, -1])}, "test labels: -1 … 0"),
        ({"train_images": np.full((2, 1, 4, 4), np.nan, np.float32)}, "train images: pixels"),
        ({"train_images": np.full((2, 1, 4, 4), 1.5, np.float32)}, "train images: pixels"),
        ({"train_images": np.zeros((0, 1, 4, 4), np.float32)}, "train images: none"),
    ],
)
def test_dataset_checks_its_arrays(change: dict, message: str) -> None:
    images, labels = np.zeros((2, 1, 4, 4), np.float32), np.zeros(2, np.int64)
    good = {
        "train_images": images,
        "train_labels": labels,
        "test_images": images,
        "test_labels": labels,
    }
    Dataset(**good)
    with pytest.raises(DataError, match=message):
        datasets.Dataset(**(good | change))
