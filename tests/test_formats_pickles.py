"""Pickles are refused with the reason and the way out, whatever they are called."""

import pickle
from pathlib import Path

import joblib
import numpy as np
import pytest
from support.round_trips import refused

WAY_OUT = "save its arrays by numpy.savez, its state_dict() by torch.save, or its estimator by"


class Bomb:
    """An object whose pickle runs code when it is loaded."""

    def __reduce__(self):
        return Path.touch, (Path("loaded"),)


@pytest.mark.parametrize("name", ["a.pkl", "a.pickle", "a.joblib", "a.npz", "a.pt", "a.h5", "a"])
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_pickle_by_its_start(tmp_path: Path, monkeypatch, name: str, protocol: int) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / name
    path.write_bytes(pickle.dumps(Bomb(), protocol))
    message = refused(path)
    assert f"{name}: is a pickle, which is never loaded, as that runs any code in it" in message
    assert WAY_OUT in message
    assert not Path("loaded").exists()


def test_a_pickle_by_its_suffix(tmp_path: Path) -> None:
    (tmp_path / "a.pkl").write_bytes(pickle.dumps({"w": 1}, 0))
    joblib.dump({"w": np.ones(3)}, tmp_path / "b.joblib", compress=3)
    for name in ("a.pkl", "b.joblib"):
        assert "is a pickle" in refused(tmp_path / name)


def test_arrays_of_objects(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    objects = np.array([Bomb()])
    np.savez(tmp_path / "a.npz", w=objects)
    np.save(tmp_path / "a.npy", objects)
    (tmp_path / "folder").mkdir()
    np.save(tmp_path / "folder" / "w.npy", objects)
    for name in ("a.npz", "a.npy", "folder"):
        words = "holds Python objects (a pickle), which are never loaded"
        assert words in refused(tmp_path / name)
    assert not Path("loaded").exists()
