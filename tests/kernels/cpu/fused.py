"""The fused forms of an operation, for those who run them in other circumstances than `test_epilogues` does."""
from fastnet.kernels import load
from tests.kernels import cases

cpu = load("cpu")
# In registers, at most a bound and more than that; by a function; and the derivatives that follow from an output.
ACTIVATIONS = ("relu", 0.0, 0.0), ("hardtanh", -0.5, 0.75), ("gelu", 0.0, 0.0)
MASKINGS = ("relu", 0.0, 0.0), ("leaky_relu", 0.125, 0.0), ("sigmoid", 0.0, 0.0)


def forms(case, dtype):
    """(what a fused form gives, what the plain operations do one after the other) for each form of the case."""
    arrays = cases.operands(case, cases.reals, dtype)
    if case.op in ("conv_transpose2d_forward", "locally_connected2d_forward"):
        x, w, _ = arrays
        plain, where = cases.forward(cpu, case, arrays)[0], cases.geometry(case)
        forward, back = getattr(cpu, case.op), getattr(cpu, case.op.replace("forward", "backward_input"))
        for activation in ACTIVATIONS:
            summed = cpu.activation_forward(cpu.add(plain, plain), *activation)
            yield forward(*arrays, **case.options, add=plain, activation=activation), summed
        dx = back(plain, w, x.shape, *where)
        for masking in MASKINGS:
            wanted = cpu.activation_backward(cpu.add(dx, x), x, *masking)
            yield back(plain, w, x.shape, *where, add=x, mask=x, masking=masking), wanted
    elif case.op in ("conv2d_forward", "linear_forward"):
        x, w, _ = arrays
        plain = cases.forward(cpu, case, arrays)[0]
        where, name = ((), "linear") if case.op == "linear_forward" else (cases.geometry(case), "conv2d")
        back, shape = getattr(cpu, f"{name}_backward_input"), (x.shape,) if where else ()
        for activation in ACTIVATIONS:
            wanted = cpu.activation_forward(plain, *activation)
            yield getattr(cpu, case.op)(*arrays, *where, activation=activation), wanted
        dx = back(plain, w, *shape, *where)
        for masking in MASKINGS:
            yield back(plain, w, *shape, *where, mask=x, masking=masking), cpu.activation_backward(dx, x, *masking)
        if where:
            yield cpu.conv2d_forward(*arrays, *where, add=plain), cpu.add(plain, plain)
            yield back(plain, w, *shape, *where, add=x), cpu.add(dx, x)
        if where and min(plain.shape[2:]) > 1:
            pooled = cpu.maxpool2d_forward(plain, (2, 2), (2, 2), relu=True)
            yield from zip(cpu.conv2d_maxpool_forward(*arrays, *where, relu=True), pooled, strict=True)
    elif case.op == "batchnorm_forward":
        (x, gamma, beta), eps = arrays, case.options["eps"]
        y, mean, var = cpu.batchnorm_forward(x, gamma, beta, eps)
        for activation in (*ACTIVATIONS, MASKINGS[-1]):
            out = cpu.activation_forward(y, *activation)
            yield cpu.batchnorm_forward(x, gamma, beta, eps, activation=activation)[0], out
            g = cpu.activation_backward(x, y if activation[0] == "gelu" else out, *activation)
            both = zip(cpu.batchnorm_backward(x, x, gamma, mean, var, eps, beta=beta, activation=activation),
                       cpu.batchnorm_backward(g, x, gamma, mean, var, eps), strict=True)
            yield from (pair for pair in both if pair[0] is not None)
        yield cpu.batchnorm_forward(x, gamma, beta, eps, add=x)[0], cpu.add(y, x)
    elif case.op in ("groupnorm_forward", "layernorm_forward"):
        plain = cases.forward(cpu, case, arrays)[0]
        for activation in ACTIVATIONS:
            followed = getattr(cpu, case.op)(*arrays, **case.options, add=plain, activation=activation)[0]
            yield followed, cpu.activation_forward(cpu.add(plain, plain), *activation)
    elif case.op == "add":
        plain = cpu.add(*arrays)
        for activation in ACTIVATIONS:
            for masking in MASKINGS:
                wanted = cpu.activation_backward(cpu.activation_forward(plain, *activation), arrays[0], *masking)
                yield cpu.add(*arrays, activation=activation, mask=arrays[0], masking=masking), wanted
    elif case.op == "multiply":
        a, b = arrays
        d, dims = b[::-1] / 3, tuple(axis for axis, length in enumerate(b.shape) if length != a.shape[axis])
        share = cpu.mean_backward(d, a.shape, dims) if dims else d
        yield cpu.multiply(a, b, shared=d), cpu.add(cpu.multiply(a, b), share)
    elif case.op == "batchnorm_inference":
        eps = case.options["eps"]
        plain = cpu.batchnorm_inference(*arrays, eps)
        for activation in ACTIVATIONS:
            wanted = cpu.activation_forward(plain, *activation)
            yield cpu.batchnorm_inference(*arrays, eps, activation=activation), wanted
