"""Max-unpooling: numbers go back to the places where the largest pixels stood, see `pool_max`."""
from fastnet.kernels import checks, windows
from fastnet.kernels.shapes.kind import Kind


def maxunpool2d_forward(x, indices, output_size):
    """y[n,c,h,w] is x[n,c,p,q] where h W + w is indices[n,c,p,q], and 0 elsewhere; of several numbers for one place the
    last stays. x and indices (N, C, P, Q), y (N, C, H, W) with output_size (H, W). ValueError for an index that is no
    place in y; where passes are replayed, which raise nothing, its number goes nowhere."""
    return Kind(windows.unpooled_shape(x.shape, indices, output_size), checks.result_dtype(x, "x"))


def maxunpool2d_backward(dy, indices):
    """dx[n,c,p,q] is dy[n,c,h,w] where h W + w is indices[n,c,p,q]; dy (N, C, H, W), dx and indices (N, C, P, Q)."""
    n, c, h, w = checks.images(dy.shape, "dy")
    shape = checks.images(indices.shape, "indices")
    windows.indices_fit(indices, (n, c, *shape[2:]), h * w)
    return Kind(tuple(shape), checks.result_dtype(dy, "dy"))
