"""Pooling of regions, for nets that look for objects: boxes of any size become images of one size."""
from fastnet import arguments
from fastnet.kernels import windows
from fastnet.layers.base import keywords, short
from fastnet.layers.compose import Merge
from fastnet.layers.formula import formula, named_errors


class _Regions(Merge):
    """What both share: x and boxes come as a tuple, and no gradient flows to boxes."""

    options = ("output_size", "spatial_scale")

    def check(self, output_size, spatial_scale):
        return {"output_size": arguments.pair(output_size, "output_size"),
                "spatial_scale": arguments.number(spatial_scale, "spatial_scale", above=0)}

    def _pair(self, x):
        """(x, boxes)."""
        self.check_several(x)
        if len(x) != 2:
            raise TypeError(f"expected a tuple (x, boxes) as x, got {len(x)} array(s)")
        return x

    def arguments(self):
        return f"{short(self.output_size)}, spatial_scale={self.spatial_scale:g}"


class RoIPool(_Regions):
    """y[m, c, p, q] is the largest of the pixels of x in bin (p, q) of box m, and 0 where there is none.

    Takes a tuple (x, boxes): x (N, C, H, W), boxes (M, 5), a row of which is (image number, x1, y1, x2, y2) in
    coordinates that times spatial_scale are pixels of x. Gives y (M, C, P, Q); output_size is (P, Q), or one number for
    both. Corners are rounded to whole pixels and belong to the box; from its top on, bin p of a box of height h has the
    rows from floor(p h / P) to ceil((p + 1) h / P), and columns alike.

    ValueError for boxes of images that are not there, before anything is computed; where a net has seen this shape
    twice and its passes are replayed, such boxes are empty. Girshick, Fast R-CNN (2015), section 2.1.

    >>> x, boxes = np.float32(range(9)).reshape(1, 1, 3, 3), np.float32([[0, 0, 0, 1, 1]])
    >>> RoIPool(1)((x, boxes)).ravel()  # of 0, 1, 3 and 4
    array([4.], dtype=float32)
    """

    traceable = True

    @named_errors
    def __init__(self, output_size, spatial_scale=1.0):
        self.set_options(output_size=output_size, spatial_scale=spatial_scale)

    @formula
    def forward(self, x, training=False):
        x, boxes = self._pair(x)
        y, index = self.ops.roi_pool_forward(x, boxes, self.output_size, self.spatial_scale)
        if training:
            self.saved = (index, boxes, x.shape)
        return y

    @formula
    def backward(self, dy, need_dx=True):
        index, boxes, x_shape = self.take_saved()
        return (self.ops.roi_pool_backward(dy, index, boxes, x_shape), None) if need_dx else None


class RoIAlign(_Regions):
    """y[m, c, p, q] is the mean of samples, taken between the pixels of x, in bin (p, q) of box m.

    x, boxes, y, output_size, spatial_scale and errors as for RoIPool, but nothing is rounded: from its top on, bin p of
    a box of height h has the rows from p h / P to (p + 1) h / P. Each bin has sampling_ratio rows of as many samples,
    evenly spread; sampling_ratio = -1 or 0 stands for ceil(h / P) rows of ceil(w / Q). A sample is the mean of the four
    pixels around it, weighted linearly by their nearness. `aligned` moves boxes by half a pixel to the top and the
    left, so that a pixel's centre is where it is; without it a box is at least 1 pixel high and wide.
    He, Gkioxari, Dollar, Girshick, Mask R-CNN (2017), section 3.

    >>> x, boxes = np.float32(range(9)).reshape(1, 1, 3, 3), np.float32([[0, 0, 0, 2, 2]])
    >>> RoIAlign(1, aligned=True)((x, boxes)).ravel()  # of 0, 1, 3 and 4
    array([2.], dtype=float32)
    """

    traceable, options = True, (*_Regions.options, "sampling_ratio", "aligned")

    @named_errors
    def __init__(self, output_size, spatial_scale=1.0, sampling_ratio=-1, aligned=False):
        self.set_options(output_size=output_size, spatial_scale=spatial_scale, sampling_ratio=sampling_ratio,
                         aligned=aligned)

    def check(self, sampling_ratio, aligned, **options):
        ratio = arguments.integer(sampling_ratio, "sampling_ratio", -1, windows.MOST_SAMPLES)
        return {**super().check(**options), "sampling_ratio": ratio, "aligned": arguments.flag(aligned, "aligned")}

    @formula
    def forward(self, x, training=False):
        x, boxes = self._pair(x)
        y = self.ops.roi_align_forward(x, boxes, self.output_size, *self._how)
        if training:
            self.saved = (boxes, x.shape)
        return y

    @formula
    def backward(self, dy, need_dx=True):
        boxes, x_shape = self.take_saved()
        return (self.ops.roi_align_backward(dy, boxes, x_shape, *self._how), None) if need_dx else None

    @property
    def _how(self):
        return self.spatial_scale, self.sampling_ratio, self.aligned

    def arguments(self):
        return super().arguments() + keywords(sampling_ratio=(self.sampling_ratio, -1), aligned=(self.aligned, False))
