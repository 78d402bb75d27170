"""Pictures of all modes and formats become inputs, or give one clear error each."""

import io
import sys
import threading
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deepcompress.errors import ArgumentError, BackendError, DataError, FormatError
from deepcompress.runtime import pictures
from deepcompress.runtime.pictures import load_picture
from deepcompress.runtime.preprocessing import INTERPOLATIONS, Preprocessing

RGB = Preprocessing((6, 8), "RGB")
GREY = Preprocessing((6, 8), "L")


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (6, 8, 3)).astype(np.uint8)


def encoded(image: Image.Image, format: str = "PNG", **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format, **options)
    return stream.getvalue()


def test_the_right_size_is_taken_as_it_is(tmp_path: Path, pixels: np.ndarray) -> None:
    Image.fromarray(pixels).save(tmp_path / "a.png")
    expected = pixels.transpose(2, 0, 1)
    for picture in (tmp_path / "a.png", str(tmp_path / "a.png"), Image.fromarray(pixels), pixels):
        assert np.array_equal(load_picture(picture, RGB), expected)


def test_the_middle_is_cut_out(pixels: np.ndarray) -> None:
    wide = np.zeros((6, 13, 3), np.uint8)
    wide[:, 2:10] = pixels  # 2.5 pixels are left on both sides
    assert np.array_equal(load_picture(wide, RGB), pixels.transpose(2, 0, 1))
    tall = np.zeros((9, 8, 3), np.uint8)
    tall[1:7] = pixels
    assert np.array_equal(load_picture(tall, RGB), pixels.transpose(2, 0, 1))


def test_resizing_keeps_the_ratio_of_sides() -> None:
    image = np.zeros((60, 100, 3), np.uint8)  # the crop takes columns 10 to 90
    image[:, 10:50] = 200
    image[:, :10] = image[:, 90:] = 255
    values = load_picture(image, RGB)
    assert values.shape == (3, 6, 8)
    assert (values[:, :, 1:3] == 200).all()
    assert (values[:, :, 5:7] == 0).all()  # the columns between mix what they touch


def test_a_picture_is_stretched_and_its_middle_cut_out() -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (30, 50, 3), np.uint8))
    stretched = np.asarray(image.resize((12, 9), Image.Resampling.BILINEAR))
    values = load_picture(image, Preprocessing((6, 8), resize=(9, 12)))
    assert np.array_equal(values, stretched[1:7, 2:10].transpose(2, 0, 1))


@pytest.mark.parametrize(("shape", "scaled"), [((30, 50), (12, 20)), ((50, 30), (20, 12))])
def test_the_shorter_side_is_scaled_and_the_middle_cut_out(
    shape: tuple[int, int], scaled: tuple[int, int]
) -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8))
    whole = np.asarray(image.resize(scaled[::-1], Image.Resampling.BICUBIC))
    top, left = (scaled[0] - 6) // 2, (scaled[1] - 8) // 2
    values = load_picture(image, Preprocessing((6, 8), resize=12, interpolation="bicubic"))
    assert np.array_equal(values, whole[top : top + 6, left : left + 8].transpose(2, 0, 1))


def test_the_interpolation_is_that_of_pillow() -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8))
    for name in INTERPOLATIONS:
        expected = np.asarray(image.resize((8, 6), Image.Resampling[name.upper()]))
        values = load_picture(image, Preprocessing((6, 8), interpolation=name))
        assert np.array_equal(values, expected.transpose(2, 0, 1))


def test_what_needs_no_scaling_needs_no_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (9, 12, 3), np.uint8)
    monkeypatch.setitem(sys.modules, "PIL", None)
    for resize in (9, (9, 12)):
        values = load_picture(pixels, Preprocessing((6, 8), resize=resize))
        assert np.array_equal(values, pixels[1:7, 2:10].transpose(2, 0, 1))
    with pytest.raises(BackendError, match="Pillow"):
        load_picture(pixels[1:7, 2:10], Preprocessing((6, 8), resize=9))


def test_a_narrow_picture_is_not_scaled_beyond_what_is_taken() -> None:
    narrow = np.zeros((1, 60_000, 3), np.uint8)
    with pytest.raises(ArgumentError, match=r"^photo: .*pixels are too many"):
        load_picture(narrow, Preprocessing((6, 8), resize=256), "photo")


@pytest.mark.parametrize("mode", pictures.MODES)
@pytest.mark.parametrize("preprocessing", [RGB, GREY], ids=["RGB", "L"])
def test_every_mode_that_is_taken(mode: str, preprocessing: Preprocessing) -> None:
    image = Image.new("L", (8, 6), 255).convert(mode if mode != "PA" else "P")
    image = image.convert(mode)
    values = load_picture(image, preprocessing)
    assert values.shape == preprocessing.input_shape
    assert (values >= 254).all()  # white


@pytest.mark.parametrize("mode", ["I;16", "I", "F", "HSV", "LAB"])
def test_every_other_mode_is_named(mode: str, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=rf"^photo: .*mode {mode} aren't taken"):
        load_picture(Image.new(mode, (8, 6)), RGB, "photo")


def test_a_file_of_16_bits_is_named(tmp_path: Path) -> None:
    Image.fromarray(np.full((6, 8), 1000, np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(ArgumentError, match=r"deep.png: .* mode I"):
        load_picture(tmp_path / "deep.png", GREY)


def test_what_is_transparent_is_white(pixels: np.ndarray) -> None:
    alpha = np.zeros((6, 8, 1), np.uint8)
    alpha[:, :4] = 255
    image = Image.fromarray(np.concatenate([pixels, alpha], axis=2))
    values = load_picture(image, RGB)
    assert np.array_equal(values[:, :, :4], pixels.transpose(2, 0, 1)[:, :, :4])
    assert (values[:, :, 4:] == 255).all()


def test_a_photograph_is_turned_upright(tmp_path: Path, pixels: np.ndarray) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    lying = Image.fromarray(np.ascontiguousarray(np.rot90(pixels)))
    lying.save(tmp_path / "a.png", exif=exif)
    assert np.array_equal(load_picture(tmp_path / "a.png", RGB), pixels.transpose(2, 0, 1))


@pytest.mark.parametrize("format", ["PNG", "JPEG", "GIF", "BMP", "TIFF"])
def test_a_cut_file_is_an_error(format: str, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (60, 80, 3)).astype(np.uint8)
    data = encoded(Image.fromarray(noise), format)
    path = tmp_path / "cut"
    for size in (0, 1, 10, 60, len(data) // 2, len(data) * 3 // 4):
        path.write_bytes(data[:size])
        with pytest.raises(FormatError, match=f"^{path}: "):
            load_picture(path, RGB)


def test_a_damaged_file_is_an_error_or_a_picture(tmp_path: Path, pixels: np.ndarray) -> None:
    data = encoded(Image.fromarray(pixels))
    path = tmp_path / "damaged.png"
    refused = 0
    for offset in range(len(data)):
        path.write_bytes(data[:offset] + bytes([data[offset] ^ 0xFF]) + data[offset + 1 :])
        try:
            load_picture(path, RGB)
        except (FormatError, ArgumentError) as error:
            refused += str(error).startswith(f"{path}: ")
    assert refused > len(data) // 2


def test_threads_leave_the_filters_of_warnings_alone(
    monkeypatch: pytest.MonkeyPatch, pixels: np.ndarray
) -> None:
    first_in, second_in, first_out = (threading.Event() for _ in range(3))

    def meet(_: str, what: str) -> None:
        if what == "first":
            first_in.set()
            second_in.wait(0.3)  # in vain, unless two can be here
        else:
            second_in.set()
            first_out.wait(20)

    monkeypatch.setattr(pictures, "_check_mode", meet)
    image, preprocessing = Image.fromarray(pixels), Preprocessing(pixels.shape[1::-1])
    before = list(warnings.filters)
    threads = [
        threading.Thread(target=load_picture, args=(image, preprocessing, what))
        for what in ("first", "second")
    ]
    threads[0].start()
    assert first_in.wait(20)
    threads[1].start()
    threads[0].join(20)
    first_out.set()
    threads[1].join(20)
    assert second_in.is_set()
    assert warnings.filters == before


def test_what_is_no_picture(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("not a picture", encoding="utf-8")
    with pytest.raises(FormatError, match=r"text.png: not a picture"):
        load_picture(tmp_path / "text.png", RGB)
    with pytest.raises(DataError, match=r"absent.png: No such file"):
        load_picture(tmp_path / "absent.png", RGB)
    with pytest.raises(DataError, match="directory"):
        load_picture(tmp_path, RGB)
    for nothing in (None, 3, b"bytes", [[1]]):
        with pytest.raises(ArgumentError, match=r"^x: must be a path"):
            load_picture(nothing, RGB, "x")
    for shape in ((6, 8, 4), (6,), (0, 8), (0, 8, 3), (1, 6, 8, 3)):
        with pytest.raises(ArgumentError, match="must be uint8 of shape"):
            load_picture(np.zeros(shape, np.uint8), RGB)
    with pytest.raises(ArgumentError, match="float64"):
        load_picture(np.zeros((6, 8, 3)), RGB)


def test_a_bomb_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    data = bytearray(encoded(Image.new("1", (8, 6))))
    for width, height in ((30_000, 30_000), (10_001, 10_000), (2**31 - 1, 2**31 - 1)):
        data[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
        data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
        (tmp_path / "bomb.png").write_bytes(data)
        with pytest.raises(ArgumentError, match=r"bomb.png: .*pixels"):
            load_picture(tmp_path / "bomb.png", RGB)


def test_without_pillow(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, pixels: np.ndarray
) -> None:
    Image.fromarray(pixels).save(tmp_path / "a.png")
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(BackendError, match=r"a.png: .*pip install 'deepcompress-nn\[images\]'"):
        load_picture(tmp_path / "a.png", RGB)
    assert np.array_equal(load_picture(pixels, RGB), pixels.transpose(2, 0, 1))
