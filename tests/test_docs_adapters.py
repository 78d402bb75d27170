"""The pages for training loops and scikit-learn, and their example, run as they stand."""

import re
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest
from threadpoolctl import threadpool_limits

DOCS = Path(__file__).parents[1] / "docs"
LENET5 = DOCS / "examples" / "torch_lenet5.py"


def run(page: Path) -> dict[str, Any]:
    """Run all blocks of a page, one behind the other, in the current folder."""
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, Any] = {}
    with threadpool_limits(1):  # as the products are small
        for block in blocks:
            exec(compile(block, str(page), "exec"), names)
    return names


@pytest.mark.slow
def test_the_page_for_scikit_learn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(DOCS / "scikit-learn.md")["shared"].shape == (200, 30)


def test_the_example_is_short() -> None:
    assert len(LENET5.read_text(encoding="utf-8").splitlines()) < 60


if find_spec("torch"):

    @pytest.mark.slow
    def test_the_page_for_training_loops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        assert run(DOCS / "training-loops.md")["packed"].to_bytes()

    @pytest.mark.slow
    def test_lenet_5_on_few_digits(tmp_path: Path) -> None:
        import torch

        from deepcompress.experiments.datasets import load_digits

        spec = spec_from_file_location("torch_lenet5", LENET5)
        assert spec is not None
        assert spec.loader is not None
        example = module_from_spec(spec)
        spec.loader.exec_module(example)
        digits = load_digits()
        images, labels = (
            torch.from_numpy(digits.train_images),
            torch.from_numpy(digits.train_labels),
        )
        large = torch.nn.functional.interpolate(images, (28, 28))  # of MNIST's size
        data, test = (large[:1024], labels[:1024]), (large[1024:], labels[1024:])
        found = example.run(data, test, tmp_path / "lenet5.dcnn", (2, 1, 1, 1))
        assert found["file_bytes"] == (tmp_path / "lenet5.dcnn").stat().st_size < 45_000
        assert found["error"] < found["reference_error"] + 5 < 50
