"""Images shifted by hand."""

import numpy as np
import pytest

from deepcompress.experiments.augment import shifted


@pytest.mark.parametrize("pixels", [0, 1, 2])
def test_each_image_is_shifted_by_one_of_all_numbers(pixels):
    images = np.random.default_rng(0).random((400, 1, 4, 6), dtype=np.float32) + 1
    before = images.copy()
    found = shifted(images, pixels, np.random.default_rng(1)).reshape(400, 4, 6)
    seen = set()
    for image, moved in zip(images[:, 0], found, strict=True):
        padded = np.pad(image, pixels)
        windows = {
            (down, right): padded[down : down + 4, right : right + 6]
            for down in range(2 * pixels + 1)
            for right in range(2 * pixels + 1)
        }
        (shift,) = [key for key, window in windows.items() if np.array_equal(window, moved)]
        seen.add(shift)
    assert len(seen) == (2 * pixels + 1) ** 2
    assert (images == before).all()
    assert found.dtype == np.float32


def test_places_are_taken_from_the_shifted_images():
    images = np.random.default_rng(0).random((9, 1, 4, 6), dtype=np.float32)
    places = np.array([0, 5, 6, 23])
    whole = shifted(images, 1, np.random.default_rng(1))
    assert (shifted(images, 1, np.random.default_rng(1), places) == whole[:, places]).all()
