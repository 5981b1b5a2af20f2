"""How ONNX Runtime runs the cases of inference: a graph written from fastnet's net, batch norm left as it is.

ONNX Runtime folds batch norm, fuses and chooses its own memory layout when it loads the graph.
"""
import numpy as np
import onnxruntime
from cases import net_inputs
from onnx import TensorProto, helper, numpy_helper


class Writer:
    """Collects the nodes of a net, as `ours.describe` tells of it, and its weights."""

    def __init__(self, state):
        self.state, self.nodes, self.names = state, [], set()

    def add(self, kind, inputs, name, **attributes):
        """One node; returns its output, which bears the layer's path."""
        self.nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        return name

    def weights(self, path, *names):
        """The names of those weights of the layer that it has."""
        found = [f"{path}.{name}" for name in names if f"{path}.{name}" in self.state]
        self.names.update(found)
        return found

    def write(self, description, x, path):
        """The nodes of a layer and of all inside it, applied to the value named x; returns the output's name."""
        kind, content = description
        if kind == "Sequential":
            for i, part in enumerate(content):
                x = self.write(part, x, f"{path}.{i}" if path else str(i))
            return x
        if kind == "Residual":
            body, shortcut = content
            y = self.write(body, x, f"{path}.body")
            return self.add("Add", [y, self.write(shortcut, x, f"{path}.shortcut") if shortcut else x], path)
        if kind == "Conv2d":
            return self.add("Conv", [x, *self.weights(path, "weight", "bias")], path, group=content["groups"],
                            strides=pair(content["stride"]), dilations=pair(content["dilation"]),
                            pads=pair(content["padding"]) * 2)
        if kind == "Linear":
            return self.add("Gemm", [x, *self.weights(path, "weight", "bias")], path, transB=1)
        if kind == "BatchNorm2d":
            inputs = [x, *self.weights(path, "weight", "bias", "running_mean", "running_var")]
            return self.add("BatchNormalization", inputs, path, epsilon=content["eps"])
        if kind == "MaxPool2d":
            return self.add("MaxPool", [x], path, kernel_shape=pair(content["kernel_size"]),
                            strides=pair(content["stride"]))
        kinds = {"ReLU": "Relu", "Flatten": "Flatten", "AdaptiveAvgPool2d": "GlobalAveragePool"}
        return self.add(kinds[kind], [x], path)


def pair(value):
    """A list of two integers."""
    return [value] * 2 if isinstance(value, int) else list(value)


def inference(case, threads, network):
    """A function that returns the scores of a whole net, which is what the clock sees."""
    description, state = network
    writer = Writer(state)
    x = np.ascontiguousarray(net_inputs(case)[0])
    y = writer.write(description, "x", "")
    values = [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)], \
        [helper.make_tensor_value_info(y, TensorProto.FLOAT, (case.batch, None))]
    weights = [numpy_helper.from_array(state[name], name) for name in sorted(writer.names)]
    graph = helper.make_graph(writer.nodes, case.model, *values, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return lambda: tuple(session.run(None, {"x": x}))
