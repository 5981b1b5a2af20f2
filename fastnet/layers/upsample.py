"""Images of another size, of the same pixels: enlarged, spread out, or made of channels."""
from math import floor

from fastnet import arguments
from fastnet.kernels import checks
from fastnet.layers.base import Layer, keywords, short
from fastnet.layers.formula import formula, named_errors

_ELSEWHERE = {"area": "AdaptiveAvgPool2d(size) is that", "linear": "that is for sequences",
              "trilinear": "that is for volumes"}


class _Upsampling(Layer):
    """What all of them share: the size of the result, told by `size` or by `scale_factor`."""

    traceable, options = True, ("size", "scale_factor")
    mode, align_corners, recompute_scale_factor = "nearest", None, None

    @named_errors
    def __init__(self, size=None, scale_factor=None):
        self.set_options(size=size, scale_factor=scale_factor)

    def check(self, size, scale_factor):
        size = None if size is None else arguments.pair(size, "size")
        if isinstance(scale_factor, (tuple, list)):
            scale_factor = arguments.numbers(scale_factor, "scale_factor", 2, above=0)
        elif scale_factor is not None:
            scale_factor = (arguments.number(scale_factor, "scale_factor", above=0),) * 2
        if (size is None) == (scale_factor is None):
            raise ValueError(f"give either size or scale_factor, got size={size} and scale_factor={scale_factor}")
        return {"size": size, "scale_factor": scale_factor}

    def where(self, x_shape):
        """size, mode, align_corners and steps, as the operations take them, for an x of this shape."""
        hw = checks.images(x_shape)[2:]
        size, steps = self.size, None
        if size is None:
            size = tuple([floor(length * factor) for length, factor in zip(hw, self.scale_factor, strict=True)])
            if min(size) < 1:
                raise ValueError(f"scale_factor {short(self.scale_factor)} makes images of {size[0]} x {size[1]} "
                                 f"pixels of x of shape {tuple(x_shape)}: use a larger one, or larger images")
            if not self.recompute_scale_factor:
                steps = tuple([1 / factor for factor in self.scale_factor])
        return size, self.mode, bool(self.align_corners), steps

    @formula
    def forward(self, x, training=False):
        y = self.ops.upsample2d_forward(x, *self.where(x.shape))
        if training:
            self.saved = (x.shape,)
        return y

    @formula
    def backward(self, dy, need_dx=True):
        x_shape, = self.take_saved()
        if not need_dx:
            return None
        _, *how = self.where(x_shape)
        return self.ops.upsample2d_backward(dy, x_shape, *how)

    def arguments(self):
        factors = self.scale_factor and tuple([int(one) if one.is_integer() else one for one in self.scale_factor])
        return keywords(size=(self.size, None), scale_factor=(factors, None)).removeprefix(", ")


class Upsample(_Upsampling):
    """Images of `size` (P, Q), or `scale_factor` times as large, rounded down; smaller ones too.

        mode "nearest"      y[p, q] is the pixel x[floor(p H / P), floor(q W / Q)]
        mode "bilinear"     the mean of the four pixels around (p + 1/2) H / P - 1/2 and (q + 1/2) W / Q - 1/2, weighted
                            by how near they are; with align_corners around p (H - 1) / (P - 1), so that corners stay

    x (N, C, H, W), y (N, C, P, Q). `size` is an integer or a pair, `scale_factor` a number or a pair, and one of the
    two is given. With a scale_factor H / P is 1 / scale_factor, unless recompute_scale_factor is true. align_corners
    belongs to "bilinear" and is False where it is None. ValueError for arguments that do not fit, and where a side
    would be shorter than one pixel.

    >>> Upsample(scale_factor=(1, 2), mode="bilinear")(np.float32([[[[0, 4]]]]))
    array([[[[0., 1., 3., 4.]]]], dtype=float32)
    """

    options = (*_Upsampling.options, "mode", "align_corners", "recompute_scale_factor")

    @named_errors
    def __init__(self, size=None, scale_factor=None, mode="nearest", align_corners=None, recompute_scale_factor=None):
        self.set_options(size=size, scale_factor=scale_factor, mode=mode, align_corners=align_corners,
                         recompute_scale_factor=recompute_scale_factor)

    def check(self, size, scale_factor, mode, align_corners, recompute_scale_factor):
        found = super().check(size, scale_factor)
        if isinstance(mode, str) and mode in _ELSEWHERE:
            raise ValueError(f"mode must be 'nearest' or 'bilinear', got {mode!r}: {_ELSEWHERE[mode]}")
        arguments.choice(mode, ("nearest", "bilinear"), "mode")
        if align_corners is not None:
            align_corners = arguments.flag(align_corners, "align_corners")
            if mode == "nearest":
                raise ValueError(f"align_corners belongs to mode 'bilinear', got align_corners={align_corners} with "
                                 "mode='nearest': leave it out")
        if recompute_scale_factor is not None:
            recompute_scale_factor = arguments.flag(recompute_scale_factor, "recompute_scale_factor")
            if recompute_scale_factor and size is not None:
                raise ValueError("recompute_scale_factor belongs to scale_factor, and a size was given: leave it out")
        return found | {"mode": mode, "align_corners": align_corners, "recompute_scale_factor": recompute_scale_factor}

    def arguments(self):
        return super().arguments() + keywords(mode=(self.mode, "nearest"), align_corners=(self.align_corners, None),
                                              recompute_scale_factor=(self.recompute_scale_factor, None))


class UpsamplingNearest2d(_Upsampling):
    """Upsample with mode "nearest".

    >>> UpsamplingNearest2d(scale_factor=(1, 2))(np.float32([[[[0, 4]]]]))
    array([[[[0., 0., 4., 4.]]]], dtype=float32)
    """


class UpsamplingBilinear2d(_Upsampling):
    """Upsample with mode "bilinear" and align_corners.

    >>> UpsamplingBilinear2d((1, 3))(np.float32([[[[0, 4]]]]))
    array([[[[0., 2., 4.]]]], dtype=float32)
    """

    mode, align_corners = "bilinear", True


class BedOfNails(Layer):
    """y[n, c, p r, q s] = x[n, c, p, q], and zeros between: each pixel becomes the upper left one of a block of r x s.

    scale_factor is an integer or a pair (r, s). x (N, C, H, W), y (N, C, H r, W s). ValueError for what does not fit.

    >>> BedOfNails(2)(np.float32([[[[1, 2]]]]))
    array([[[[1., 0., 2., 0.],
             [0., 0., 0., 0.]]]], dtype=float32)
    """

    traceable, options = True, ("scale_factor",)

    @named_errors
    def __init__(self, scale_factor):
        self.set_options(scale_factor=scale_factor)

    def check(self, scale_factor):
        return {"scale_factor": arguments.pair(scale_factor, "scale_factor")}

    @formula
    def forward(self, x, training=False):
        y = self.ops.bed_of_nails_forward(x, self.scale_factor)
        if training:
            self.saved = (x.shape,)
        return y

    @formula
    def backward(self, dy, need_dx=True):
        x_shape, = self.take_saved()
        return self.ops.bed_of_nails_backward(dy, x_shape, self.scale_factor) if need_dx else None

    def arguments(self):
        return f"{short(self.scale_factor)}"


class _Shuffle(Layer):
    """Numbers that move between channels and pixels; a subclass names its one option, the factor, and the operations
    there and back."""

    traceable = True

    @property
    def factor(self):
        return getattr(self, *self.options)

    def check(self, **factor):
        return {name: arguments.size(value, name) for name, value in factor.items()}

    @formula
    def forward(self, x, training=False):
        y = getattr(self.ops, self.there)(x, self.factor)
        if training:
            self.saved = ()
        return y

    @formula
    def backward(self, dy, need_dx=True):
        self.take_saved()
        return getattr(self.ops, self.back)(dy, self.factor) if need_dx else None

    def arguments(self):
        return f"{self.factor}"


class PixelShuffle(_Shuffle):
    """Channels become pixels: y[n, c, h r + i, w r + j] = x[n, c r^2 + i r + j, h, w], r being the upscale_factor.

    x (N, C r^2, H, W), y (N, C, H r, W r). ValueError where r^2 does not divide the channels.
    Shi et al., Real-Time Single Image and Video Super-Resolution (2016), equation 4.

    >>> PixelShuffle(2)(np.float32([1, 2, 3, 4]).reshape(1, 4, 1, 1))
    array([[[[1., 2.],
             [3., 4.]]]], dtype=float32)
    """

    options, there, back = ("upscale_factor",), "pixel_shuffle", "pixel_unshuffle"

    @named_errors
    def __init__(self, upscale_factor):
        self.set_options(upscale_factor=upscale_factor)


class PixelUnshuffle(_Shuffle):
    """Pixels become channels: y[n, c r^2 + i r + j, h, w] = x[n, c, h r + i, w r + j], r being the downscale_factor.

    x (N, C, H r, W r), y (N, C r^2, H, W): the way back from PixelShuffle. ValueError where r does not divide both
    sides.

    >>> PixelUnshuffle(2)(np.float32([[[[1, 2], [3, 4]]]])).ravel()
    array([1., 2., 3., 4.], dtype=float32)
    """

    options, there, back = ("downscale_factor",), "pixel_unshuffle", "pixel_shuffle"

    @named_errors
    def __init__(self, downscale_factor):
        self.set_options(downscale_factor=downscale_factor)
