"""Image files of every mode, against Pillow's own answers, and files that are damaged."""
import io
import os
import struct
import zlib

import numpy as np
import pytest

Image = pytest.importorskip("PIL.Image")
ImageOps = pytest.importorskip("PIL.ImageOps")

from fastnet.data import decoding  # noqa: E402  (needs Pillow)
from fastnet.data.decoding import Form, Unreadable, decode  # noqa: E402

WHOLE = Form(12, 9, 3, 1.0, False)
GREY = WHOLE._replace(channels=1)
RNG = np.random.default_rng(0)
SMOOTH = np.asarray(Image.fromarray(RNG.integers(0, 256, (5, 4, 3), np.uint8)).resize((27, 36)))


def decoded(path, form=WHOLE, choose=None):
    out = np.empty((form.channels, form.height, form.width), np.uint8)
    decode(str(path), form, out, choose)
    return out


def saved(path, image, **options):
    image.save(path, **options)
    return path


def planes(image, size=(9, 12)):
    """What Pillow makes of an image in mode RGB or L."""
    array = np.asarray(ImageOps.fit(image, size, Image.Resampling.BILINEAR))
    return array[None] if array.ndim == 2 else array.transpose(2, 0, 1)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "bmp", "ppm", "gif"])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_formats(tmp_path, suffix, mode):
    path = saved(tmp_path / f"a.{suffix}", Image.fromarray(SMOOTH).convert(mode))
    with Image.open(path) as image:
        np.testing.assert_array_equal(decoded(path), planes(image.convert("RGB")))
        np.testing.assert_array_equal(decoded(path, GREY), planes(image.convert("RGB").convert("L")))


@pytest.mark.parametrize("shape", [(36, 27), (36, 30), (50, 27), (12, 9), (1, 1), (3, 200), (200, 3)], ids=str)
def test_windows_in_the_middle(tmp_path, shape):
    image = Image.fromarray(RNG.integers(0, 256, (*shape, 3), np.uint8))
    path = saved(tmp_path / "a.png", image)
    np.testing.assert_array_equal(decoded(path), planes(image))
    wide = Form(7, 20, 3, 1.0, False)
    np.testing.assert_array_equal(decoded(path, wide), planes(image, (20, 7)))


def test_a_share_of_the_window_and_a_chosen_one(tmp_path):
    image = Image.fromarray(RNG.integers(0, 256, (64, 80, 3), np.uint8))
    path, form = saved(tmp_path / "a.png", image), Form(16, 16, 3, 0.5, False)
    box = 24, 16, 56, 48
    middle = image.resize((16, 16), Image.Resampling.BILINEAR, box)
    np.testing.assert_array_equal(decoded(path, form), np.asarray(middle).transpose(2, 0, 1))
    seen = []
    chosen = decoded(path, form, lambda height, width: seen.append((height, width)) or (2, 30, 40, 50))
    part = image.resize((16, 16), Image.Resampling.BILINEAR, (30, 2, 80, 42))
    np.testing.assert_array_equal(chosen, np.asarray(part).transpose(2, 0, 1))
    assert seen == [(64, 80)]


@pytest.mark.parametrize("orientation", range(10))
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
def test_orientations(tmp_path, orientation, suffix):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(tmp_path / f"a.{suffix}", Image.fromarray(SMOOTH), exif=exif)
    with Image.open(path) as image:
        expected = ImageOps.exif_transpose(image).convert("RGB")
    seen = []
    np.testing.assert_array_equal(decoded(path), planes(expected))
    decoded(path, WHOLE, lambda *size: seen.append(size) or (0, 0, *size))
    assert seen == [expected.size[::-1]]


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize("exif", [b"", b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0" + bytes(50)])
def test_damaged_exif_says_nothing(tmp_path, exif):
    path = saved(tmp_path / "a.jpg", Image.fromarray(SMOOTH), exif=exif)
    with Image.open(path) as image:
        np.testing.assert_array_equal(decoded(path), planes(image.convert("RGB")))


def on_white(image):
    """Transparency by its formula."""
    array = np.asarray(image.convert("RGBA")).astype(float)
    alpha = array[..., 3:] / 255
    return alpha * array[..., :3] + (1 - alpha) * 255


def transparent():
    alpha = np.linspace(0, 255, 36 * 27).reshape(36, 27, 1).astype(np.uint8)
    return Image.fromarray(np.concatenate([SMOOTH, alpha], axis=2))


@pytest.mark.parametrize(("image", "options"), [
    (transparent(), {}), (transparent().convert("LA"), {}),
    (Image.fromarray(SMOOTH).quantize(16), {"transparency": 3}), (Image.fromarray(SMOOTH).quantize(16), {}),
    (Image.fromarray(SMOOTH).quantize(16), {"transparency": bytes(range(0, 160, 10))}),
    (Image.fromarray(SMOOTH), {"transparency": tuple(SMOOTH[3, 4].tolist())}),
    (Image.fromarray(SMOOTH).convert("L"), {"transparency": 90}), (Image.fromarray(SMOOTH).convert("1"), {}),
], ids=["RGBA", "LA", "P, one colour", "P", "P, degrees", "RGB, one colour", "L, one grey", "1"])
def test_transparency_and_palettes(tmp_path, image, options):
    path, same = saved(tmp_path / "a.png", image, **options), Form(36, 27, 3, 1.0, False)
    with Image.open(path) as image:
        expected = on_white(image)
    assert np.abs(decoded(path, same).transpose(1, 2, 0) - expected).max() <= 1
    grey = expected @ [0.299, 0.587, 0.114]
    assert np.abs(decoded(path, same._replace(channels=1))[0] - grey).max() <= 1.5


def test_sixteen_bits(tmp_path):
    numbers = np.linspace(0, 65535, 36 * 27).reshape(36, 27).astype(np.uint16)
    same = Form(36, 27, 1, 1.0, False)
    for suffix in ("png", "pgm"):
        path = saved(tmp_path / f"a.{suffix}", Image.fromarray(numbers))
        np.testing.assert_array_equal(decoded(path, same)[0], numbers >> 8)
        np.testing.assert_array_equal(decoded(path, same._replace(channels=3)), np.stack([numbers >> 8] * 3))


def png(head, *chunks):
    """A PNG of these parts."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    parts = [chunk(b"IHDR", head), *(chunk(*one) for one in chunks), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def test_sixteen_bits_of_each_colour(tmp_path):
    """Which Pillow writes not, but reads."""
    numbers = RNG.integers(0, 2**16, (36, 27, 3)).astype(">u2")
    rows = b"".join(b"\0" + row.tobytes() for row in numbers)
    head = struct.pack(">IIBBBBB", 27, 36, 16, 2, 0, 0, 0)
    (tmp_path / "a.png").write_bytes(png(head, (b"IDAT", zlib.compress(rows))))
    np.testing.assert_array_equal(decoded(tmp_path / "a.png", Form(36, 27, 3, 1.0, False)),
                                  (numbers >> 8).transpose(2, 0, 1))


def test_cmyk(tmp_path):
    path = saved(tmp_path / "a.jpg", Image.fromarray(SMOOTH).convert("CMYK"), quality=95)
    with Image.open(path) as image:
        assert image.mode == "CMYK"
        np.testing.assert_array_equal(decoded(path), planes(image.convert("RGB")))
        np.testing.assert_array_equal(decoded(path, GREY), planes(image.convert("RGB").convert("L")))


def test_drafts_are_close(tmp_path):
    """A JPEG that is decoded small, and scaled, is what it is in full, but for a few units."""
    image = Image.fromarray(RNG.integers(0, 256, (9, 12, 3), np.uint8)).resize((500, 375), Image.Resampling.BICUBIC)
    exif = Image.Exif()
    for orientation in (1, 6):
        exif[0x0112] = orientation
        path = saved(tmp_path / "a.jpg", image, quality=90, exif=exif)
        full, small = (decoded(path, Form(24, 24, 3, 1.0, draft)).astype(int) for draft in (False, True))
        assert (full != small).any() and np.abs(full - small).max() <= 6 and np.abs(full - small).mean() < 1
    one = Form(200, 200, 3, 1.0, True)
    np.testing.assert_array_equal(decoded(path, one), decoded(path, one._replace(draft=False)))


def test_what_cannot_be_read(tmp_path):
    jpeg = saved(tmp_path / "a.jpg", Image.fromarray(SMOOTH)).read_bytes()
    huge = png(struct.pack(">IIBBBBB", 2**16, 2**16, 8, 2, 0, 0, 0), (b"IDAT", b""))
    large = png(struct.pack(">IIBBBBB", 8192, 8193, 8, 2, 0, 0, 0), (b"IDAT", b""))
    for content, message in (
            (b"", "it is empty"), (b"<html>404</html>", "it is no JPEG, PNG, WEBP, GIF, BMP or PPM"),
            (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "it is no JPEG"),
            (jpeg[:-20], "OSError: image file is truncated"), (jpeg[9:], "or its beginning is damaged"),
            (huge, "DecompressionBomb"), (large, "8192 x 8193 pixels are more than 67,108,864: make it smaller")):
        (tmp_path / "b.jpg").write_bytes(content)
        with pytest.raises(Unreadable, match=message):
            decoded(tmp_path / "b.jpg")
    floats = io.BytesIO()
    Image.fromarray(np.ones((4, 4), np.float32)).save(floats, "TIFF")
    (tmp_path / "b.jpg").write_bytes(floats.getvalue())
    with pytest.raises(Unreadable, match="it is no JPEG"):
        decoded(tmp_path / "b.jpg")
    with pytest.raises(Unreadable, match="floating-point numbers"):
        decoding._plain(Image, Image.fromarray(np.ones((4, 4), np.float32)), 3)
    with pytest.raises(Unreadable, match="more than 16 bits"):
        decoding._plain(Image, Image.fromarray(np.full((4, 4), -1, np.int32)), 3)
    with pytest.raises(FileNotFoundError):
        decoded(tmp_path / "none.jpg")
    with pytest.raises(Unreadable, match="no file but a folder or a device"):
        decoded(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "a.jpg")
    with pytest.raises(Unreadable, match="no file but a folder or a device"):
        decoded(tmp_path / "a.jpg")


def originals():
    """Small files of every kind."""
    image, found = Image.fromarray(SMOOTH), []
    exif = Image.Exif()
    exif[0x0112] = 6
    for kind, options in (("JPEG", {"exif": exif}), ("JPEG", {"progressive": True, "quality": 30}), ("PNG", {}),
                          ("PNG", {"exif": exif}), ("WEBP", {}), ("WEBP", {"lossless": True}), ("GIF", {}), ("BMP", {}),
                          ("PPM", {})):
        file = io.BytesIO()
        image.save(file, kind, **options)
        found.append(file.getvalue())
    for other in (image.quantize(16), transparent(), image.convert("1"), image.convert("CMYK")):
        file = io.BytesIO()
        other.save(file, "JPEG" if other.mode == "CMYK" else "PNG")
        found.append(file.getvalue())
    return found


def mutated(content, rng):
    """The bytes with some of them changed, cut out, repeated or cut off."""
    content = bytearray(content)
    for _ in range(rng.integers(1, 6)):
        place, length = int(rng.integers(len(content))), int(rng.integers(1, 9))
        match rng.integers(5):
            case 0:
                content[place] ^= 1 << int(rng.integers(8))
            case 1:
                content[place:place + length] = rng.integers(0, 256, length, np.uint8).tobytes()
            case 2:
                del content[place:place + length]
            case 3:
                content[place:place] = content[place:place + 4 * length]
            case 4 if rng.random() < 0.3:
                del content[max(place, 1):]
        if not content:
            break
    return bytes(content)


def mutate(folder, count, seed):
    files, rng, read = originals(), np.random.default_rng(seed), 0
    for i in range(count):
        (folder / "a").write_bytes(mutated(files[i % len(files)], rng))
        try:
            assert decoded(folder / "a", (WHOLE, GREY)[i % 2]._replace(draft=True)).shape[1:] == (12, 9)
            read += 1
        except Unreadable as error:
            assert 5 < len(str(error)) < 260
    return read


def test_mutated_files(tmp_path):
    assert 50 < mutate(tmp_path, 500, 0) < 450


@pytest.mark.slow
def test_many_mutated_files(tmp_path):
    assert mutate(tmp_path, 50_000, 1) > 5000
