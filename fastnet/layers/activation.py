"""Activations: y = f(x), number by number."""
from fastnet import arguments
from fastnet.layers.base import Layer, keywords
from fastnet.layers.formula import formula, named_errors


class Activation(Layer):
    """y = f(x) for any shape. A subclass names the `function` as the operation `activation_forward` knows it, and what
    its derivative `reads`, "x" or "y"; `numbers` are the function's alpha and beta.

    >>> class Halving(Activation):
    ...     function, reads, numbers = "leaky_relu", "y", (0.5,)
    >>> Halving()(np.float32([-2, 3]))
    array([-1.,  3.], dtype=float32)
    """

    traceable = True
    function = reads = None
    numbers = ()

    @formula
    def forward(self, x, training=False):
        y = self.ops.activation_forward(x, self.function, *self.numbers)
        if training:
            self.saved = (x if self.reads == "x" else y,)
        return y

    @formula
    def backward(self, dy, need_dx=True):
        kept, = self.take_saved()
        return self.ops.activation_backward(dy, kept, self.function, *self.numbers) if need_dx else None


class ReLU(Activation):
    """y = max(x, 0). The gradient at 0 is 0, as in PyTorch.

    >>> ReLU()(np.float32([-1, 0, 2]))
    array([0., 0., 2.], dtype=float32)
    """

    function, reads = "relu", "y"


class LeakyReLU(Activation):
    """y = x where x > 0, else negative_slope x. The gradient at 0 is negative_slope, as in PyTorch.

    ValueError unless negative_slope is a finite number of at least 0.
    Maas et al., Rectifier nonlinearities improve neural network acoustic models (2013).

    >>> LeakyReLU(0.1)(np.float32([-2, 0, 3]))
    array([-0.2,  0. ,  3. ], dtype=float32)
    """

    function, reads, options = "leaky_relu", "y", ("negative_slope",)

    @named_errors
    def __init__(self, negative_slope=0.01):
        self.set_options(negative_slope=negative_slope)

    def check(self, negative_slope):
        return {"negative_slope": arguments.number(negative_slope, "negative_slope", 0)}

    @property
    def numbers(self):
        return (self.negative_slope,)

    def arguments(self):
        return keywords(negative_slope=(self.negative_slope, 0.01))[2:]


class Hardtanh(Activation):
    """y = min(max(x, min_val), max_val). No gradient passes where x is not between the two.

    ValueError unless both are finite and min_val is the smaller one.

    >>> Hardtanh(-1, 2)(np.float32([-3, 0.5, 3]))
    array([-1. ,  0.5,  2. ], dtype=float32)
    """

    function, reads, options = "hardtanh", "y", ("min_val", "max_val")

    @named_errors
    def __init__(self, min_val=-1.0, max_val=1.0):
        self.set_options(min_val=min_val, max_val=max_val)

    def check(self, min_val, max_val):
        low, high = arguments.number(min_val, "min_val"), arguments.number(max_val, "max_val")
        if low >= high:
            raise ValueError(f"min_val must be below max_val, got {low:g} and {high:g}")
        return {"min_val": low, "max_val": high}

    @property
    def numbers(self):
        return self.min_val, self.max_val

    def arguments(self):
        return keywords(min_val=(self.min_val, -1.0), max_val=(self.max_val, 1.0))[2:]


class ReLU6(Activation):
    """y = min(max(x, 0), 6). Krizhevsky, Convolutional deep belief networks on CIFAR-10 (2010).

    >>> ReLU6()(np.float32([-1, 3, 9]))
    array([0., 3., 6.], dtype=float32)
    """

    function, reads, numbers = "hardtanh", "y", (0.0, 6.0)


class Sigmoid(Activation):
    """y = 1 / (1 + exp(-x)).

    >>> Sigmoid()(np.log(np.float32([1, 3, 9]))).round(4)  # of odds of 1, 3 and 9 to 1
    array([0.5 , 0.75, 0.9 ], dtype=float32)
    """

    function, reads = "sigmoid", "y"


class Tanh(Activation):
    """y = tanh(x).

    >>> Tanh()(np.float32([-1, 0, 1])).round(4)
    array([-0.7616,  0.    ,  0.7616], dtype=float32)
    """

    function, reads = "tanh", "y"


class _Alpha(Activation):
    """An activation whose negative side is bent by `alpha`."""

    reads, options = "y", ("alpha",)

    @named_errors
    def __init__(self, alpha=1.0):
        self.set_options(alpha=alpha)

    def check(self, alpha):
        return {"alpha": arguments.number(alpha, "alpha", above=0)}

    @property
    def numbers(self):
        return (self.alpha,)

    def arguments(self):
        return keywords(alpha=(self.alpha, 1.0))[2:]


class ELU(_Alpha):
    """y = x where x > 0, else alpha (exp(x) - 1). ValueError unless alpha is a finite number above zero.

    Clevert et al., Fast and accurate deep network learning by exponential linear units (2016).

    >>> ELU()(np.float32([-1, 0, 1])).round(4)
    array([-0.6321,  0.    ,  1.    ], dtype=float32)
    """

    function = "elu"


class SELU(Activation):
    """y = scale x where x > 0, else scale alpha (exp(x) - 1), scale = 1.0507 and alpha = 1.6733: where weights have the
    variance 1 / fan-in, what has mean 0 and variance 1 keeps them from layer to layer.

    Klambauer et al., Self-normalizing neural networks (2017), equation 2.

    >>> SELU()(np.float32([-1, 0, 1])).round(4)
    array([-1.1113,  0.    ,  1.0507], dtype=float32)
    """

    function, reads = "selu", "y"


class SiLU(Activation):
    """y = x / (1 + exp(-x)): x times its sigmoid, a smooth ReLU that lets some of what is negative pass.

    Elfwing et al., Sigmoid-weighted linear units for neural network function approximation in reinforcement learning
    (2018).

    >>> SiLU()(np.float32([-1, 0, 1])).round(4)
    array([-0.2689,  0.    ,  0.7311], dtype=float32)
    """

    function, reads = "silu", "x"


class GELU(Activation):
    """y = x Phi(x) with the normal distribution Phi(x) = (1 + erf(x / sqrt(2))) / 2; with approximate="tanh"
    y = x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2, which is within 0.0005 of it and quicker.

    ValueError unless approximate is "none" or "tanh". Hendrycks and Gimpel, Gaussian error linear units (2016).

    >>> GELU()(np.float32([-1, 0, 1])).round(4)
    array([-0.1587,  0.    ,  0.8413], dtype=float32)
    """

    reads, options = "x", ("approximate",)

    @named_errors
    def __init__(self, approximate="none"):
        self.set_options(approximate=approximate)

    def check(self, approximate):
        return {"approximate": arguments.choice(approximate, ("none", "tanh"), "approximate")}

    @property
    def function(self):
        return "gelu" if self.approximate == "none" else "gelu_tanh"

    def arguments(self):
        return keywords(approximate=(self.approximate, "none"))[2:]


class Hardsigmoid(Activation):
    """y = min(max(x + 3, 0), 6) / 6. No gradient passes where y is 0 or 1. Courbariaux et al., BinaryConnect (2015).

    >>> Hardsigmoid()(np.float32([-3, 0, 1.5, 4]))
    array([0.  , 0.5 , 0.75, 1.  ], dtype=float32)
    """

    function, reads = "hardsigmoid", "y"


class Hardswish(Activation):
    """y = x min(max(x + 3, 0), 6) / 6. Howard et al., Searching for MobileNetV3 (2019), section 5.2.

    >>> Hardswish()(np.float32([-1.5, 0, 1.5, 4]))
    array([-0.375,  0.   ,  1.125,  4.   ], dtype=float32)
    """

    function, reads = "hardswish", "x"


class Mish(Activation):
    """y = x tanh(log(1 + exp(x))). Misra, Mish: a self regularized non-monotonic activation function (2019).

    >>> Mish()(np.float32([-1, 0, 1])).round(4)
    array([-0.3034,  0.    ,  0.8651], dtype=float32)
    """

    function, reads = "mish", "x"


class Softplus(Activation):
    """y = log(1 + exp(beta x)) / beta, a ReLU without the kink; x itself where beta x > threshold.

    ValueError unless beta is above zero and both are finite. Dugas et al., Incorporating second-order functional
    knowledge for better option pricing (2001).

    >>> Softplus()(np.float32([-1, 0, 1])).round(4)
    array([0.3133, 0.6931, 1.3133], dtype=float32)
    """

    function, reads, options = "softplus", "x", ("beta", "threshold")

    @named_errors
    def __init__(self, beta=1.0, threshold=20.0):
        self.set_options(beta=beta, threshold=threshold)

    def check(self, beta, threshold):
        return {"beta": arguments.number(beta, "beta", above=0),
                "threshold": arguments.number(threshold, "threshold")}

    @property
    def numbers(self):
        return self.beta, self.threshold

    def arguments(self):
        return keywords(beta=(self.beta, 1.0), threshold=(self.threshold, 20.0))[2:]


class Softsign(Activation):
    """y = x / (1 + |x|). Bergstra et al., Quadratic polynomials learn better image features (2009).

    >>> Softsign()(np.float32([-3, 0, 1]))
    array([-0.75,  0.  ,  0.5 ], dtype=float32)
    """

    function, reads = "softsign", "x"


class LogSigmoid(Activation):
    """y = log(1 / (1 + exp(-x))), without loss where x is far below zero.

    >>> LogSigmoid()(np.float32([-100, 0])).round(4)
    array([-100.    ,   -0.6931], dtype=float32)
    """

    function, reads = "log_sigmoid", "x"


class CELU(_Alpha):
    """y = x where x > 0, else alpha (exp(x / alpha) - 1): an `ELU` whose slope does not jump at 0.

    ValueError unless alpha is a finite number above zero. Barron, Continuously differentiable exponential linear units
    (2017).

    >>> CELU(0.5)(np.float32([-1, 0, 1])).round(4)
    array([-0.4323,  0.    ,  1.    ], dtype=float32)
    """

    function = "celu"


class _Shrink(Activation):
    """What is 0 where |x| is up to `lambd`."""

    @named_errors
    def __init__(self, lambd=0.5):
        self.set_options(lambd=lambd)

    def check(self, lambd):
        return {"lambd": arguments.number(lambd, "lambd", 0)}

    @property
    def numbers(self):
        return (self.lambd,)

    def arguments(self):
        return keywords(lambd=(self.lambd, 0.5))[2:]


class Softshrink(_Shrink):
    """y = x - lambd where x > lambd, x + lambd where x < -lambd, else 0. ValueError unless lambd is a finite number of
    at least 0.

    >>> Softshrink()(np.float32([-2, 0.3, 2]))
    array([-1.5,  0. ,  1.5], dtype=float32)
    """

    function, reads, options = "softshrink", "y", ("lambd",)


class Hardshrink(_Shrink):
    """y = x where |x| > lambd, else 0. ValueError unless lambd is a finite number of at least 0.

    >>> Hardshrink()(np.float32([-2, 0.3, 2]))
    array([-2.,  0.,  2.], dtype=float32)
    """

    function, reads, options = "hardshrink", "y", ("lambd",)


class Tanhshrink(Activation):
    """y = x - tanh(x).

    >>> Tanhshrink()(np.float32([-1, 0, 1])).round(4)
    array([-0.2384,  0.    ,  0.2384], dtype=float32)
    """

    function, reads = "tanhshrink", "x"


class Threshold(Activation):
    """y = x where x > threshold, else value. ValueError unless both are finite numbers.

    >>> Threshold(0.5, value=-1)(np.float32([0.25, 0.5, 0.75]))
    array([-1.  , -1.  ,  0.75], dtype=float32)
    """

    function, reads, options = "threshold", "x", ("threshold", "value")

    @named_errors
    def __init__(self, threshold, value):
        self.set_options(threshold=threshold, value=value)

    def check(self, threshold, value):
        return {"threshold": arguments.number(threshold, "threshold"), "value": arguments.number(value, "value")}

    @property
    def numbers(self):
        return self.threshold, self.value

    def arguments(self):
        return f"threshold={self.threshold}, value={self.value}"
