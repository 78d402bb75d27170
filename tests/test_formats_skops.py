"""Perceptrons of scikit-learn's in skops's files, in and out; the tests need skops."""

import importlib.util
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from support.command import fails
from support.round_trips import assert_same, refused, there, there_and_back

import deepcompress as dc
from deepcompress.errors import ArgumentError
from deepcompress.formats import skops as formats
from deepcompress.formats.registry import open_source

if importlib.util.find_spec("skops") is None:
    pytest.skip("skops isn't installed (extra skops)", allow_module_level=True)

from skops import io as skops_io

X, Y = (part[:200] for part in load_digits(return_X_y=True))
LABELS = np.array([f"digit {y}" for y in Y])
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def made(kind: str) -> Any:
    """Fit an estimator for some rounds."""
    how = {"random_state": 0, "max_iter": 4}
    if kind == "classifier":
        return MLPClassifier((30, 20), **how).fit(X, LABELS)
    if kind == "stopped":
        return MLPClassifier((30,), early_stopping=True, solver="sgd", **how).fit(X, Y)
    if kind == "regressor":
        return MLPRegressor(hidden_layer_sizes=(30,), solver="lbfgs", **how).fit(
            X.astype(np.float32), Y
        )
    return make_pipeline(StandardScaler(), MLPClassifier((30,), **how)).fit(X, Y)


def loaded(path: Path) -> Any:
    return skops_io.load(path, trusted=list(formats.OPTIMIZERS))


@pytest.mark.parametrize("kind", ["classifier", "stopped", "regressor", "pipeline"])
def test_an_estimator_comes_back(tmp_path: Path, kind: str) -> None:
    estimator = made(kind)
    skops_io.dump(estimator, tmp_path / "a.skops")
    back = there_and_back(tmp_path / "a.skops", "b.skops")
    assert_same(tmp_path / "a.skops", back)
    again = loaded(back)
    np.testing.assert_array_equal(again.predict(X), estimator.predict(X))
    if kind != "regressor":
        np.testing.assert_array_equal(again.predict_proba(X), estimator.predict_proba(X))
    assert again.get_params().keys() == estimator.get_params().keys()
    assert back.read_bytes() == there_and_back(tmp_path / "a.skops", "b.skops").read_bytes()


def test_members_are_the_same_bytes(tmp_path: Path) -> None:
    skops_io.dump(made("classifier"), tmp_path / "a.skops")
    back = there_and_back(tmp_path / "a.skops", "b.skops")
    with zipfile.ZipFile(tmp_path / "a.skops") as one, zipfile.ZipFile(back) as two:
        assert sorted(one.namelist()) == sorted(two.namelist())
        for name in one.namelist():
            assert one.read(name) == two.read(name)


def test_weights_alone_are_shared(tmp_path: Path) -> None:
    estimator = made("classifier")
    skops_io.dump(estimator, tmp_path / "a.skops")
    again = loaded(there_and_back(tmp_path / "a.skops", "b.skops", "--seed", 0))
    assert [len(np.unique(weights)) <= 32 for weights in again.coefs_] == [True] * 3
    assert (again.predict(X) == estimator.predict(X)).mean() > 0.9
    with open_source(tmp_path / "a.skops") as one, open_source(tmp_path / "b.skops") as two:
        changed = [name for name in one if not np.array_equal(one[name], two[name])]
        assert changed == ["coefs_.0", "coefs_.1", "coefs_.2"]
        assert {"intercepts_.2", "_optimizer.ms.0", "_random_state.state.key"} < set(one)


def test_names_in_a_pipeline(tmp_path: Path) -> None:
    skops_io.dump(made("pipeline"), tmp_path / "a.skops")
    shapes = dc.load(there(tmp_path / "a.skops"))
    assert shapes["steps.1.1.coefs_.0"].shape == (64, 30)
    assert shapes["steps.0.1.mean_"].shape == (64,)


def test_what_has_no_perceptron(tmp_path: Path) -> None:
    path = tmp_path / "a.skops"
    for estimator in (LogisticRegression(max_iter=3).fit(X, Y > 4), MLPClassifier(), {"a": 1}):
        skops_io.dump(estimator, path)
        words = "a.skops: holds neither a fitted MLPClassifier nor MLPRegressor of scikit-learn's"
        assert words in refused(path)


def test_types_that_arent_trusted(tmp_path: Path) -> None:
    estimator = made("classifier")
    estimator.extra_ = np.random.default_rng(0).integers  # a method of an object
    skops_io.dump(estimator, tmp_path / "a.skops")
    message = refused(tmp_path / "a.skops")
    assert "a.skops: holds types that skops doesn't trust: " in message
    assert "integers" in message


def test_other_formats(tmp_path: Path) -> None:
    skops_io.dump(made("regressor"), tmp_path / "a.skops")
    assert_same(tmp_path / "a.skops", there_and_back(tmp_path / "a.skops", "b.npz"))
    packed = there(tmp_path / "b.npz")
    message = fails(2, "decompress", packed, "-o", tmp_path / "c.skops")
    assert "can't be held as a scikit-learn .skops file: it takes an estimator" in message
    assert not (tmp_path / "c.skops").exists()


def archive_of(members: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return stream.getvalue()


def npy(array: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def schema(*nodes: Any) -> bytes:
    content = {"content": {"coefs_": {"content": list(nodes)}}, "__loader__": "DictNode"}
    return json.dumps(
        {"__class__": "MLPClassifier", "__loader__": "ObjectNode", "content": content}
    ).encode()


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"schema.json": b"{"}, "schema.json: "),
        ({"schema.json": b"[" * 100_000}, "schema.json"),
        ({"schema.json": b"[]"}, "holds neither"),
        ({"schema.json": schema({"file": "a.npy"})}, "names 'a.npy', which isn't there"),
        ({"schema.json": schema({"file": "a.npy"}), "a.npy": b"x"}, "member 'a.npy'"),
        ({"schema.json": schema({"file": "a.npy"}), "a.npy": npy(np.ones(3))}, "not a whole"),
        (
            {
                "schema.json": schema({"file": "a.npy"}),
                "a.npy": npy(np.ones(3))[:-8],
            },
            "member 'a.npy'",
        ),
    ],
)
def test_damaged_files(tmp_path: Path, members: dict[str, bytes], words: str) -> None:
    (tmp_path / "a.skops").write_bytes(archive_of(members))
    message = refused(tmp_path / "a.skops")
    assert "a.skops: " in message
    assert words in message


def test_no_zip_file(tmp_path: Path) -> None:
    (tmp_path / "a.skops").write_bytes(b"PK\3\4")
    assert "a.skops: not a whole .skops file" in refused(tmp_path / "a.skops")


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        ({}, "'w': the file that it came from has no such tensor"),
        ({"w": 1}, "'w': the file that it came from has no such tensor"),
        ({"w": {"member": 1}}, "'w': the file that it came from has no such tensor"),
        ({"w": {"member": "a", "dtype": "<f4"}}, "'w': <f8, not the <f4 that it was"),
        ({"w": {"member": "a", "dtype": "<f8"}, "v": {}}, "tensor 'v' is missing"),
        ({"w": {"member": "a\0", "dtype": "<f8"}}, "no name in a zip file"),
        (1, "it takes an estimator"),
    ],
)
def test_origins_that_arent_valid(tmp_path: Path, tensors: Any, words: str) -> None:
    with pytest.raises(ArgumentError, match=words):
        formats.write(
            tmp_path / "a.skops", [("w", np.ones(3))], {"members": {}, "tensors": tensors}
        )
    assert list(tmp_path.iterdir()) == []
