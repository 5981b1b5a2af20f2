"""How ONNX Runtime runs the cases of inference: a graph written from fastnet's net, batch norm left as it is.

ONNX Runtime folds batch norm, fuses and chooses its own memory layout when it loads the graph.
"""
import numpy as np
import onnxruntime
from cases import net_inputs
from onnx import TensorProto, helper, numpy_helper


class Writer:
    """Collects the nodes of a net, as `ours.describe` tells of it; `names` are those of the weights that it reads."""

    def __init__(self, description):
        self.nodes, self.names, self.shapes = [], [], description["shapes"]
        for op, inputs, options, result in description["nodes"]:
            self.names += [name for name in inputs.values() if name in self.shapes]
            kind, names, attributes = OPERATIONS[op](options)
            given = [inputs[name] for name in names if name in inputs]
            self.nodes.append(helper.make_node(kind, given, [result], **attributes))
        self.result = result


def conv(options):
    top, bottom, left, right = options["padding"]
    return "Conv", "xwb", {"strides": options["stride"], "dilations": options["dilation"], "group": options["groups"],
                           "pads": [top, left, bottom, right]}


def norm(options):
    return "BatchNormalization", ("x", "gamma", "beta", "mean", "var"), {"epsilon": options["eps"]}


def maxpool(options):
    top, bottom, left, right = options.get("padding", [0] * 4)
    return "MaxPool", "x", {"kernel_shape": options["kernel_size"], "strides": options["stride"],
                            "pads": [top, left, bottom, right]}


# For each operation the node of ONNX, its inputs in order by our names, and its attributes.
OPERATIONS = {
    "conv2d_forward": conv,
    "batchnorm_inference": norm,
    "maxpool2d_forward": maxpool,
    "linear_forward": lambda options: ("Gemm", "xwb", {"transB": 1}),
    "activation_forward": lambda options: ({"relu": "Relu"}[options["function"]], "x", {}),
    "global_avgpool_forward": lambda options: ("GlobalAveragePool", "x", {}),
    "add": lambda options: ("Add", "ab", {}),
    "flatten": lambda options: ("Flatten", "x", {}),
    "reshape": lambda options: ("Flatten", "x", {}),
}


def inference(case, threads, network):
    """A function that returns the scores of a whole net, which is what the clock sees."""
    description, state = network
    writer = Writer(description)
    x = np.ascontiguousarray(net_inputs(case)[0])
    values = [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)], \
        [helper.make_tensor_value_info(writer.result, TensorProto.FLOAT, (case.batch, None))]
    weights = [numpy_helper.from_array(state[name], name) for name in writer.names]
    graph = helper.make_graph(writer.nodes, case.model, *values, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return lambda: tuple(session.run(None, {"x": x}))
