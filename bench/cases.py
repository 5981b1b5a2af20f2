"""What is timed: the table of cases, and the inputs that every library gets for them. NumPy only.

`ours` runs a case with fastnet, `peers` with PyTorch, `onnx_peer` with ONNX Runtime.
"""
import os
from dataclasses import dataclass, replace

import numpy as np

PASSES = ("forward", "backward_input", "backward_weight")


@dataclass(frozen=True)
class Case:
    """One line of the report; ``batch`` images of ``size`` x ``size`` pixels with ``channels`` channels."""

    op: str
    batch: int
    channels: int
    size: int = 1
    out_channels: int = 0
    kernel_size: int = 1
    stride: int = 1
    padding: int = 0
    groups: int = 1
    model: str = ""
    threads: int = 0        # 0: as many as FASTNET_BENCH_THREADS says
    precision: str = "float32"  # "exact": fastnet without Winograd; "bfloat16": products of such numbers, for all
    naive: bool = False     # whether naive NumPy is timed too, and is what the others are compared with
    group: str = "ops"      # ops, train, infer, real or scaling: a table of the report, and a word for -k
    goal: str = ""          # the line of the summary that the case counts for
    classes: int = 10       # that a net tells apart
    per_pixel: bool = False  # whether it does so for each pixel
    options: tuple = ()     # what else its function is called with: (name, value)

    def __str__(self):
        if self.model:
            text = f"{self.op} {self.model}, batch {self.batch}"
            text += f" at {self.size}x{self.size}" if self.group == "real" else ""
        elif self.op.startswith("linear"):
            text = f"{self.op} {self.channels}->{self.out_channels}, batch {self.batch}"
        elif self.op.startswith("conv2d"):
            text = f"{self.op} {self.channels}->{self.out_channels} {self.kernel_size}x{self.kernel_size}"
            text += f"/{self.stride}" if self.stride > 1 else ""
            text += f" groups {self.groups}" if self.groups > 1 else ""
            text += f" at {self.batch}x{self.size}x{self.size}"
        else:
            text = f"{self.op} {self.batch}x{self.channels}" + (f"x{self.size}x{self.size}" if self.size > 1 else "")
        text += {"float32": "", "exact": ", exact()", "bfloat16": ", bfloat16"}[self.precision]
        return text + (f", {self.threads} thread{'s' * (self.threads > 1)}" if self.threads else "")

    @property
    def out_size(self):
        """Height and width of the result of a convolution or of pooling."""
        return (self.size + 2 * self.padding - self.kernel_size) // self.stride + 1

    @property
    def flops(self):
        """Floating-point operations of a convolution or product by its definition, the same in all passes; else 0."""
        if not self.op.startswith(("conv2d", "linear")):
            return 0
        weights = self.out_channels * self.channels // self.groups * self.kernel_size**2
        return 2 * self.batch * self.out_size**2 * weights

    @property
    def bytes(self):
        """Bytes that must move where memory is the limit, with every array counted once a pass that needs it; else 0.

        Max-pooling: x, y, dy, dx. Batch norm with ReLU: x, y forward and x, dy, dx backward.
        """
        large, small = (4 * self.batch * self.channels * size**2 for size in (self.size, self.out_size))
        return {"maxpool2d": 2 * (large + small), "batchnorm_relu": 5 * large}.get(self.op, 0)

    def tolerance(self, result):
        """How far the contenders' results may lie apart: the norm of the error relative to that of the result."""
        rounded = self.precision == "bfloat16"
        if result.ndim == 0:  # a loss
            return 0.02 if rounded else 1e-4
        if self.op == "step":  # a gradient that came through a net takes another way where a ReLU or a pooling
            # decides by the last bit. Of 8 bits, each library's goes its own way; nothing, or a wrong sign, is 1 off.
            return 0.95 if rounded else 0.03
        if rounded:     # a whole net rounds again and again
            return 0.15 if self.group == "real" else 0.06
        return 2e-3 if self.op == "batchnorm_relu" else 1e-4


def convolutions(goal, passes, *shapes, **options):
    """A case for each pass of each (channels, out_channels, size, kernel_size, stride, padding)."""
    return [Case(f"conv2d_{direction}", 128, channels, size, out_channels, *geometry, goal=goal, **options)
            for channels, out_channels, size, *geometry in shapes for direction in passes]


def available_threads():
    """How many threads this process may run at once."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


MODELS = ("small_convnet", "lenet5", "vgg_small", "resnet20")

CASES = [
    *convolutions("3x3, 32 to 256 channels", PASSES, (32, 32, 32, 3, 1, 1), naive=True),
    *convolutions("3x3, 32 to 256 channels", PASSES,
                  (64, 64, 32, 3, 1, 1), (32, 64, 16, 3, 1, 1), (64, 64, 16, 3, 1, 1), (64, 128, 16, 3, 1, 1),
                  (128, 128, 16, 3, 1, 1), (128, 256, 8, 3, 1, 1), (256, 256, 8, 3, 1, 1)),
    *convolutions("3x3, 16 channels", PASSES, (16, 16, 32, 3, 1, 1), (16, 32, 16, 3, 1, 1)),
    *convolutions("5x5", PASSES, (16, 16, 16, 5, 1, 2), (32, 32, 16, 5, 1, 2), (32, 64, 16, 5, 1, 2)),
    *convolutions("1x1", PASSES, (64, 128, 16, 1, 1, 0), (256, 256, 8, 1, 1, 0)),
    *convolutions("stride 2", PASSES, (16, 32, 32, 3, 2, 1), (64, 128, 16, 3, 2, 1), (32, 64, 16, 1, 2, 0)),
    # Nobody needs the gradient for the images.
    *convolutions("first layer", ("forward", "backward_weight"), (3, 32, 32, 3, 1, 1), (3, 64, 32, 3, 1, 1)),
    *convolutions("direct 3x3, share of the peak", PASSES, (64, 64, 32, 3, 1, 1), precision="exact"),
    *convolutions("", PASSES, (64, 64, 16, 3, 1, 1), (128, 128, 16, 3, 1, 1), (256, 256, 8, 3, 1, 1),
                  precision="bfloat16"),
    *convolutions("", PASSES[:2], (256, 256, 8, 1, 1, 0), (64, 128, 16, 3, 2, 1), precision="bfloat16"),
    *convolutions("", PASSES, (6, 16, 14, 5, 1, 0), (64, 64, 16, 3, 1, 1, 64)),
    *(Case(f"linear_{direction}", 128, 4096, out_channels=512, goal="Linear 4096x512", naive=True)
      for direction in PASSES),
    *(Case("maxpool2d", 128, *shape, kernel_size=2, stride=2, goal="max-pool 2x2, forward + backward",
           naive=shape == (64, 16)) for shape in ((32, 32), (64, 16), (256, 8))),
    *(Case("batchnorm_relu", 128, *shape, goal="batch norm + ReLU, forward + backward", naive=shape == (64, 16))
      for shape in ((64, 32), (64, 16), (256, 8))),
    *(Case("softmax_cross_entropy", 128, classes, naive=True) for classes in (10, 1000)),
]
CASES += [Case("step", 128, 3, 32, model=model, group="train", goal=f"training step {model}", naive=model == "lenet5")
          for model in MODELS]
CASES += [Case("inference", batch, 3, 32, model=model, group="infer", naive=model == "lenet5",
               goal=f"inference {model}, {'one image' if batch == 1 else f'batch {batch}'}")
          for model in MODELS for batch in (128, 1)]

CASES += [Case("step", 128, 3, 32, model=model, group="train", precision="bfloat16")
          for model in MODELS if model != "lenet5"]  # whose layers have too few channels to be concerned

# Less of everything, to see whether all works: tiny nets of the group real, one block, nothing compiled by PyTorch.
QUICK = bool(os.environ.get("FASTNET_BENCH_QUICK"))

_STILL = (("dropout", 0.0),)    # what is drawn, nobody can compare

# Nets as they are used: (model, batch, size, options of Case), and (size, options of the model) of a tiny one.
REAL = [
    ("resnet18", 16, 224, {}, 64, {"width": 0.125}),
    ("resnet50", 16, 224, {}, 64, {"width": 0.125}),
    ("mobilenet_v2", 16, 224, {"options": _STILL}, 64, {"width": 0.25}),
    ("efficientnet_b0", 16, 224, {"options": (*_STILL, ("drop_path", 0.0))}, 64, {"width": 0.25}),
    ("squeezenet1_1", 16, 224, {"options": _STILL}, 64, {"width": 0.25}),
    ("densenet40", 64, 32, {"classes": 10}, 16, {"growth_rate": 4}),
    ("googlenet", 16, 224, {"options": _STILL}, 64, {"width": 0.125}),
    ("vgg16", 4, 224, {"options": _STILL}, 224, {"width": 0.0625}),
    ("alexnet", 16, 224, {"options": _STILL}, 224, {"width": 0.0625}),
    ("unet", 4, 256, {"classes": 2, "per_pixel": True, "channels": 1, "options": _STILL}, 32, {"width": 0.0625}),
    ("resnext50_32x4d", 16, 160, {}, 64, {"width": 0.125}),
    # Nets that no kernel was ever tuned for, see `nets`.
    ("shufflenet_v2", 16, 224, {}, 64, {"width": 0.25}),
    ("regnet_x_400mf", 16, 224, {}, 64, {"width": 0.25}),
    ("darknet19", 16, 224, {}, 64, {"width": 0.125}),
]


def real(quick):
    """Training step, inference of the batch and of one image for each net of REAL; inference with bfloat16 too."""
    for model, batch, size, given, tiny, small in REAL:
        given = {"channels": 3, "classes": 1000, "options": ()} | given
        if quick:
            batch, size = 4, tiny
            given |= {"classes": min(given["classes"], 10), "options": (*given["options"], *small.items())}
        for op, count in (("step", batch), ("inference", batch), ("inference", 1)):
            yield Case(op, count, size=size, model=model, group="real", **given)
        for count in (batch, 1):
            yield Case("inference", count, size=size, model=model, group="real", precision="bfloat16", **given)


CASES += real(QUICK)

_step = Case("step", 128, 3, 32, model="small_convnet", group="scaling")
_conv = Case("conv2d_forward", 128, 64, 16, 64, 3, 1, 1, group="scaling")
CASES += [replace(_step, threads=n) for n in sorted({*(2**i for i in range(8) if 2**i < available_threads()),
                                                     available_threads()})]
CASES += [replace(_step, batch=n) for n in (8, 32, 512)]
CASES += [replace(_conv, batch=n) for n in (1, 8, 32, 512)]
CASES += [replace(_conv, channels=n, out_channels=n) for n in (8, 16, 24, 32, 64, 128, 256)]


def images(rng, *shape):
    """Normally distributed float32 numbers of shape (N, C, H, W), channels-last in memory.

    They start at a cache line, as all activations do within a net, and as PyTorch's tensors do everywhere.
    """
    n, c, h, w = shape
    memory = np.empty(n * h * w * c + 16, np.float32)
    start = -memory.ctypes.data % 64 // 4
    x = memory[start: start + n * h * w * c].reshape(n, h, w, c)
    rng.standard_normal(dtype=np.float32, out=x)
    return x.transpose(0, 3, 1, 2)


def convolution_inputs(case):
    """x, w, b, dy of a convolution."""
    rng = np.random.default_rng(0)
    x = images(rng, case.batch, case.channels, case.size, case.size)
    w = rng.standard_normal(
        (case.out_channels, case.channels // case.groups, case.kernel_size, case.kernel_size), dtype=np.float32)
    b = rng.standard_normal(case.out_channels, dtype=np.float32)
    return x, w, b, images(rng, case.batch, case.out_channels, case.out_size, case.out_size)


def linear_inputs(case):
    """x, w, b, dy of a product with weights."""
    rng = np.random.default_rng(0)
    shapes = (case.batch, case.channels), (case.out_channels, case.channels), case.out_channels, \
        (case.batch, case.out_channels)
    return [rng.standard_normal(shape, dtype=np.float32) for shape in shapes]


def map_inputs(case):
    """x and dy of pooling (dy is as large as the result) or of batch norm."""
    rng = np.random.default_rng(0)
    x = images(rng, case.batch, case.channels, case.size, case.size)
    return x, images(rng, case.batch, case.channels, case.out_size, case.out_size)


def score_inputs(case):
    """Logits and labels."""
    rng = np.random.default_rng(0)
    logits = rng.standard_normal((case.batch, case.channels), dtype=np.float32)
    return logits, rng.integers(0, case.channels, case.batch)


def net_inputs(case):
    """Images and labels."""
    rng = np.random.default_rng(0)
    shape = (case.batch, case.size, case.size) if case.per_pixel else case.batch
    return images(rng, case.batch, case.channels, case.size, case.size), rng.integers(0, case.classes, shape)
