"""The commands of docs/formats.md on files of Python's libraries run as they stand."""

import importlib.util
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse
from support.command import call
from support.round_trips import assert_same

from deepcompress.formats.registry import FORMATS, open_source

TEXT = (Path(__file__).parents[1] / "docs" / "formats.md").read_text(encoding="utf-8")
SECTIONS = {
    section.splitlines()[0]: "".join(re.findall(r"```sh\n(.*?)```", section, re.DOTALL))
    for section in TEXT.split("\n## ")[1:]
}
RNG = np.random.default_rng(0)
NEEDS = {"NumPy": "numpy", "SciPy": "scipy"}
NEEDS |= {"PyTorch": "torch", "Keras": "h5py", "scikit-learn": "skops"}


def save(title: str) -> None:
    """Write what the commands of a section read."""
    arrays = {"b": np.ones(3), "w": RNG.normal(size=(40, 50)).astype(np.float32)}
    if title == "NumPy":
        np.savez("arrays.npz", **arrays)
        Path("layers").mkdir()
        np.savez("layers/first.npz", **arrays)
        np.save("layers/second.npy", arrays["w"])
    elif title == "SciPy":
        sparse.save_npz("matrix.npz", sparse.random(40, 50, 0.1, "csr", random_state=0))
    elif title == "PyTorch":
        import torch

        network = torch.nn.Linear(30, 20)
        optimizer = torch.optim.SGD(network.parameters(), momentum=0.9)
        states = {"model_state": network.state_dict(), "optim_state": optimizer.state_dict()}
        torch.save(states, "checkpoint.pt")
    elif title == "Keras":
        keras_file(arrays)
    else:
        from sklearn.neural_network import MLPClassifier
        from skops import io

        io.dump(MLPClassifier((30,), max_iter=200).fit(*two_groups()), "estimator.skops")


def two_groups() -> tuple[np.ndarray, np.ndarray]:
    labels = np.arange(60) % 2
    return RNG.normal(size=(60, 3)) + 9 * labels[:, None], labels


def keras_file(arrays: dict[str, np.ndarray]) -> None:
    """Write a file like Keras's; Keras itself takes seconds to import."""
    import zipfile

    import h5py

    with h5py.File("weights.h5", "w") as file:
        file["layers/dense/vars/0"], file["layers/dense/vars/1"] = arrays["w"], arrays["b"]
    with zipfile.ZipFile("network.keras", "w") as archive:
        archive.writestr("config.json", "{}")
        archive.write("weights.h5", "model.weights.h5")


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("title", NEEDS)
def test_commands(title: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if importlib.util.find_spec(NEEDS[title]) is None:
        pytest.skip(f"{NEEDS[title]} isn't installed")
    monkeypatch.chdir(tmp_path)
    save(title)
    given = ""
    for line in SECTIONS[title].splitlines():
        program, verb, first, *arguments = shlex.split(line)
        assert program == "deepcompress"
        assert call(verb, first, *arguments)[::2] == (0, ""), line
        out = arguments[arguments.index("-o") + 1]
        if verb == "compress":
            given = first
            continue
        with open_source(given) as one, open_source(out) as two:
            assert two.shapes == one.shapes
    assert SECTIONS[title].count("\n") >= 2


def test_each_format_has_a_row() -> None:
    rows = re.findall(r"^\| (.*?) \|.*\| (.*)\|$", TEXT, re.MULTILINE)
    for one in FORMATS:
        extras = [extra.strip() for cell, extra in rows if f"`{one.suffix}`" in cell]
        assert extras, one.suffix
        assert extras[0] == (f"`{one.requires}`" if one.requires else "")


def test_lossless_is_bit_for_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The names of both files differ only where the array has the file's name."""
    monkeypatch.chdir(tmp_path)
    np.savez("arrays.npz", a=RNG.normal(size=9))
    Path("raw.json").write_text('{"default": {"method": "raw"}}')
    assert call("compress", "arrays.npz", "-o", "a.dcnn", "--config", "raw.json")[0] == 0
    assert call("decompress", "a.dcnn", "-o", "restored.npz")[0] == 0
    assert_same(Path("arrays.npz"), Path("restored.npz"))
