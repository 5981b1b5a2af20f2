"""One net that many tests run, and checks of its passes against those of a copy."""
from fastnet import init, layers
from fastnet.layers import BatchNorm2d, Conv2d, Flatten, Linear, MaxPool2d, ReLU, Residual, Sequential

from .nets import check_same, fresh, images, learn, step

SHAPE = (4, 3, 8, 8)


def make_net(*more):
    init.manual_seed(0)
    return Sequential(Conv2d(3, 16, 3, padding=1), BatchNorm2d(16), ReLU(), MaxPool2d(2), *more,
                      Residual(Sequential(Conv2d(16, 16, 3, padding=1, bias=False), BatchNorm2d(16)),
                               Sequential(Conv2d(16, 16, 1), BatchNorm2d(16))), layers.SiLU(), Flatten(),
                      Linear(256, 5))


def replayed_net(*more):
    """A net whose next passes are replayed."""
    net = make_net(*more)
    for i in range(4):
        step(net, images(SHAPE, i))
    for i in range(3):
        net(images(SHAPE, i))
    return net


def check_step(net, x, need_dx=True, dy=None):
    """A training step is that of a copy which has no programs."""
    twin = fresh(net)
    check_same(step(net, x, need_dx, dy), step(twin, x, need_dx, dy))
    learn(net)


def check_inference(net, x):
    check_same({"y": net(x)}, {"y": fresh(net)(x)})



def generators(net):
    return [layer.generator for _, layer in net.named_layers() if hasattr(layer, "generator")]
