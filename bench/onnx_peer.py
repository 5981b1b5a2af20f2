"""How ONNX Runtime runs the cases of inference: a graph written from fastnet's net, batch norm left as it is.

ONNX Runtime folds batch norm, fuses and chooses its own memory layout when it loads the graph.
"""
import numpy as np
import onnxruntime
from cases import net_inputs
from onnx import TensorProto, helper, numpy_helper


class Writer:
    """Collects the nodes of a net, as `ours.describe` tells of it; `weights` are the arrays that they read."""

    def __init__(self, description, state):
        self.nodes, self.images, self.weights = [], description["images"], {}
        for op, inputs, options, result in description["nodes"]:
            self.weights |= {name: state[name] for name in inputs.values() if str(name) in description["shapes"]}
            OPERATIONS[op](self, inputs, options, result)
        self.result = result

    def node(self, kind, given, result, **attributes):
        self.nodes.append(helper.make_node(kind, given, [result], **attributes))

    def constant(self, value):
        """The name of a number."""
        self.weights[f"constant {value}"] = np.array(value, np.float32)
        return f"constant {value}"

    def integers(self, *values):
        """The name of a row of integers."""
        self.weights[f"integers {values}"] = np.array(values, np.int64)
        return f"integers {values}"


def plain(kind, names, attributes=lambda options: {}):
    """An operation that is one node of ONNX, its inputs in order by our names, and its attributes by our options."""

    def write(writer, inputs, options, result):
        writer.node(kind, [inputs[name] for name in names if name in inputs], result, **attributes(options))

    return write


def convolution(options):
    top, bottom, left, right = options["padding"]
    found = {"strides": options["stride"], "dilations": options["dilation"], "group": options["groups"],
             "pads": [top, left, bottom, right]}
    return found | ({"output_padding": options["output_padding"]} if "output_padding" in options else {})


def pooling(options):
    top, bottom, left, right = options.get("padding", [0] * 4)
    found = {"kernel_shape": options["kernel_size"], "strides": options["stride"], "pads": [top, left, bottom, right],
             "ceil_mode": int(options.get("ceil_mode", False))}
    return found | ({"count_include_pad": int(options["count_include_pad"])} if "count_include_pad" in options else {})


def adaptive_avgpool(writer, inputs, options, result):
    """An average over windows of one size, which ONNX has, where the result divides the image."""
    size, wanted = writer.images[inputs["x"]][1:], options["output_size"]
    window = [a // b for a, b in zip(size, wanted, strict=True)]
    if any(a % b for a, b in zip(size, wanted, strict=True)):
        raise NotImplementedError(f"ONNX has no pooling from {size} to {wanted} pixels")
    writer.node("AveragePool", [inputs["x"]], result, kernel_shape=window, strides=window)


def part(writer, inputs, options, result):
    """Some of x along an axis."""
    numbers = [writer.integers(options[name]) for name in ("start", "stop", "dim")]
    writer.node("Slice", [inputs["x"], *numbers], result)


def shuffled(writer, inputs, options, result):
    """As ONNX has it: the channels as a matrix, transposed."""
    (channels, *size), groups = writer.images[inputs["x"]], options["groups"]
    shape = writer.integers(-1, groups, channels // groups, *size)
    writer.node("Reshape", [inputs["x"], shape], f"{result} matrix")
    writer.node("Transpose", [f"{result} matrix"], f"{result} turned", perm=[0, 2, 1, 3, 4])
    writer.node("Reshape", [f"{result} turned", writer.integers(-1, channels, *size)], result)


def activation(writer, inputs, options, result):
    x, function = inputs["x"], options["function"]
    if function == "hardtanh":
        writer.node("Clip", [x, writer.constant(options["alpha"]), writer.constant(options["beta"])], result)
    elif function == "leaky_relu":
        writer.node("LeakyRelu", [x], result, alpha=options["alpha"])
    elif function == "silu":
        writer.node("Sigmoid", [x], f"{result} sigmoid")
        writer.node("Mul", [x, f"{result} sigmoid"], result)
    else:
        writer.node({"relu": "Relu", "sigmoid": "Sigmoid"}[function], [x], result)


OPERATIONS = {
    "conv2d_forward": plain("Conv", "xwb", convolution),
    "conv_transpose2d_forward": plain("ConvTranspose", "xwb", convolution),
    "batchnorm_inference": plain("BatchNormalization", ("x", "gamma", "beta", "mean", "var"),
                                 lambda options: {"epsilon": options["eps"]}),
    "maxpool2d_forward": plain("MaxPool", "x", pooling),
    "avgpool2d_forward": plain("AveragePool", "x", pooling),
    "adaptive_avgpool2d_forward": adaptive_avgpool,
    "linear_forward": plain("Gemm", "xwb", lambda options: {"transB": 1}),
    "activation_forward": activation,
    "global_avgpool_forward": plain("GlobalAveragePool", "x"),
    "add": plain("Add", "ab"),
    "multiply": plain("Mul", "ab"),
    "concat": lambda writer, inputs, options, result: writer.node(
        "Concat", inputs["arrays"], result, axis=options["dim"]),
    "split": part,
    "channel_shuffle": shuffled,
    "flatten": plain("Flatten", "x"),
    "reshape": plain("Flatten", "x"),
}


def model(case, network):
    """The net of a case as a ModelProto, for its batch."""
    writer = Writer(*network)
    sample = writer.images[writer.result]
    values = [[helper.make_tensor_value_info(name, TensorProto.FLOAT, (case.batch, *shape))]
              for name, shape in (("x", writer.images["x"]), (writer.result, sample))]
    weights = [numpy_helper.from_array(np.ascontiguousarray(value), name) for name, value in writer.weights.items()]
    graph = helper.make_graph(writer.nodes, case.model, *values, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def inference(case, threads, network):
    """A function that returns the scores of a whole net, which is what the clock sees."""
    x = np.ascontiguousarray(net_inputs(case)[0])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(
        model(case, network).SerializeToString(), options, providers=["CPUExecutionProvider"])
    return lambda: tuple(session.run(None, {"x": x}))
