"""Image files into arrays of one size, by Pillow, which is imported with the first of them."""
import os
import stat
from typing import NamedTuple

import numpy as np

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "PPM")     # no more: others run programs or much older code
SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".ppm", ".pgm")
MOST = 2**26            # pixels of an image: 200 MB of colours, and more while it is decoded
GAP = 2                 # a JPEG is never decoded to less than so many times what is asked for
TRANSPOSED = 5          # from this orientation on, rows are columns
WHITE = 255


class Unreadable(ValueError):
    """An image that cannot be read; the text says why, without the file's name."""


class Form(NamedTuple):
    """What images are made into."""

    height: int
    width: int
    channels: int       # 3, red, green, blue, or 1, grey
    share: float        # of the largest window of that form in the middle that is seen
    draft: bool         # whether JPEGs may be decoded small


def pillow(who):
    """Pillow's module Image; ImportError where it is not installed."""
    try:
        from PIL import Image
    except ImportError:
        raise ImportError(f"{who} needs Pillow, which is not installed: pip install 'fastnet-numba[images]'") from None
    return Image


def decode(path, form, out, choose=None):
    """Write the image in a file into `out`, uint8 (channels, height, width).

    choose : a function (height, width) of the image as it is to be seen that gives the window (top, left, height,
    width) to scale to that form; the one in the middle without it. Unreadable, or an OSError of the system's.
    """
    Image = pillow("ImageFiles")
    if not stat.S_ISREG(os.stat(path).st_mode):     # a pipe would never end
        raise Unreadable("it is no file but a folder or a device")
    with open(path, "rb") as file:
        try:
            with Image.open(file, formats=FORMATS) as image:
                out[...] = _array(_seen(Image, image, form, choose))
        except Unreadable:
            raise
        except Image.UnidentifiedImageError:
            kinds = f"{', '.join(FORMATS[:-1])} or {FORMATS[-1]}, or its beginning is damaged"
            raise Unreadable("it is empty" if os.fstat(file.fileno()).st_size == 0 else f"it is no {kinds}") from None
        except Exception as error:  # damaged files raise nearly anything
            raise Unreadable(f"{type(error).__name__}: {str(error)[:200]}") from error


def _seen(Image, image, form, choose):
    """The image as it is to be seen, scaled: of mode RGB or L."""
    if image.width * image.height > MOST:
        raise Unreadable(f"{image.width} x {image.height} pixels are more than {MOST:,}: make it smaller")
    orientation = _orientation(image)
    height, width = image.height, image.width
    if orientation >= TRANSPOSED:
        height, width = width, height
    top, left, tall, wide = _middle(height, width, form) if choose is None else choose(height, width)
    if form.draft:
        ask = GAP * form.width * width / wide, GAP * form.height * height / tall
        image.draft(None, [round(side + 0.5) for side in (ask[::-1] if orientation >= TRANSPOSED else ask)])
    image = _upright(Image, _plain(Image, image, form.channels), orientation)
    down, across = image.height / height, image.width / width       # a draft is smaller
    box = (max(left * across, 0), max(top * down, 0), min((left + wide) * across, image.width),
           min((top + tall) * down, image.height))
    return image.resize((form.width, form.height), Image.Resampling.BILINEAR, box)


def _array(image):
    array = np.asarray(image)
    return array if array.ndim == 2 else array.transpose(2, 0, 1)


def _middle(height, width, form):
    """The largest window in the middle with the proportions of the form, or a share of it."""
    tall = min(height, width * form.height / form.width)
    wide = tall * form.width / form.height
    tall, wide = tall * form.share, wide * form.share
    return (height - tall) / 2, (width - wide) / 2, tall, wide


def _orientation(image):
    """The number from 1 to 8 by which a camera says how it was held; 1, upright, where there is none or it is damaged,
    which tells nothing about the pixels."""
    try:
        number = image.getexif().get(0x0112, 1)
    except Exception:   # damaged EXIF raises nearly anything
        return 1
    return number if isinstance(number, int) and 1 <= number <= 8 else 1


def _upright(Image, image, orientation):
    if orientation == 1:
        return image
    way = Image.Transpose
    return image.transpose({2: way.FLIP_LEFT_RIGHT, 3: way.ROTATE_180, 4: way.FLIP_TOP_BOTTOM, 5: way.TRANSPOSE,
                            6: way.ROTATE_270, 7: way.TRANSVERSE, 8: way.ROTATE_90}[orientation])


def _plain(Image, image, channels):
    """The image in mode RGB, or L for one channel: what is transparent lies on white, of 16 bits the upper 8 are kept.
    """
    if image.mode == "F":
        raise Unreadable("it holds floating-point numbers, whose range is not known: read it with Pillow, and give the "
                         "array")
    if image.mode.startswith("I"):
        numbers = np.asarray(image)
        if numbers.size and not 0 <= numbers.min() <= numbers.max() < 2**16:
            raise Unreadable("its numbers have more than 16 bits: read it with Pillow, and give the array")
        image = Image.fromarray((numbers >> 8).astype(np.uint8))
    elif image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        image = image.convert("RGBA")
        ground = Image.new("RGBA", image.size, (WHITE,) * 4)
        image = Image.alpha_composite(ground, image).convert("RGB")
    if channels == 1:
        return (image if image.mode in ("L", "1", "RGB") else image.convert("RGB")).convert("L")
    return image.convert("RGB")
