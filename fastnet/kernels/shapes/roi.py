"""Pooling of regions: boxes of any place and size in a batch of images become images of one size.

A box is a row (image number, x1, y1, x2, y2): columns from x1 to x2 and rows from y1 to y2, in pixels of whatever
image they were found in; times spatial_scale they are pixels of x. No gradient flows to boxes.
"""
from fastnet import arguments
from fastnet.kernels import checks, windows
from fastnet.kernels.shapes.kind import Kind, arriving


def roi_pool_forward(x, boxes, output_size, spatial_scale=1.0):
    """(y, index): y[m,c,p,q] is the largest pixel of x in bin (p, q) of box m, and index its place h W + w; where no
    pixel of the image lies in the bin, y is 0 and index H W. The corners of the box, rounded to whole pixels (halves
    away from 0), belong to it, and it is at least 1 pixel high and wide; from its top on, bin p of a box of height h
    has the rows from floor(p h / P) to ceil((p + 1) h / P), and columns alike. x (N, C, H, W), boxes (M, 5),
    output_size (P, Q), y and index (M, C, P, Q), index uint32.

    ValueError for boxes in images that are not there and for coordinates that are not finite; where boxes come from
    within a net whose passes are replayed, which raise nothing, such boxes are empty. Girshick, Fast R-CNN (2015),
    section 2.1."""
    shape = windows.regions_shape(x.shape, boxes, output_size)
    arguments.number(spatial_scale, "spatial_scale", above=0)
    return Kind(shape, checks.result_dtype(x, "x")), Kind(shape, windows.UINT32)


def roi_pool_backward(dy, index, boxes, x_shape):
    """dx: every dy[m,c,p,q] is added to the pixel that won its bin. dy and index (M, C, P, Q), x_shape (N, C, H, W),
    the shape of dx."""
    m, _, *output_size = checks.images(dy.shape, "dy")
    shape = windows.regions_shape(x_shape, boxes, tuple(output_size))
    dtype = arriving(dy, shape)
    windows.region_index(index, shape)
    return Kind(tuple(x_shape), dtype)


def roi_align_forward(x, boxes, output_size, spatial_scale=1.0, sampling_ratio=-1, aligned=False):
    """y[m,c,p,q] is the mean of samples of x, taken between its pixels, in bin (p, q) of box m. From its top on, bin p
    of a box of height h has the rows from p h / P to (p + 1) h / P, and columns alike; with `aligned` all is half a
    pixel further to the top and the left, without it a box is at least 1 pixel high and wide. Each bin has
    sampling_ratio x sampling_ratio samples, evenly spread, or, where that is not above 0, ceil(h / P) rows of
    ceil(w / Q). A sample at (v, u) is the mean of the four pixels around it, weighted linearly by their nearness; it is
    0 beyond -1 and H or W, and between these and the image as at the edge. x (N, C, H, W), boxes (M, 5), output_size
    (P, Q), y (M, C, P, Q).

    ValueError as for roi_pool_forward. He, Gkioxari, Dollar, Girshick, Mask R-CNN (2017), section 3."""
    _alignment(spatial_scale, sampling_ratio, aligned)
    return Kind(windows.regions_shape(x.shape, boxes, output_size), checks.result_dtype(x, "x"))


def roi_align_backward(dy, boxes, x_shape, spatial_scale=1.0, sampling_ratio=-1, aligned=False):
    """dx: every dy[m,c,p,q] goes to the pixels that its samples were made of, with their weights. dy (M, C, P, Q),
    x_shape (N, C, H, W), the shape of dx."""
    m, _, *output_size = checks.images(dy.shape, "dy")
    _alignment(spatial_scale, sampling_ratio, aligned)
    return Kind(tuple(x_shape), arriving(dy, windows.regions_shape(x_shape, boxes, tuple(output_size))))


def _alignment(spatial_scale, sampling_ratio, aligned):
    arguments.number(spatial_scale, "spatial_scale", above=0)
    arguments.integer(sampling_ratio, "sampling_ratio", -1, windows.MOST_SAMPLES)
    arguments.flag(aligned, "aligned")
