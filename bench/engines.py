"""How engines for inference run whole nets, those that are installed. Each reads the graph that `onnx_peer` writes, but
for LiteRT, whose form is made of PyTorch's modules. They compute in float32; OpenVINO, where bfloat16 is asked, as it
does when it is only installed."""
import importlib.util
import multiprocessing
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import onnx_peer
from cases import net_inputs


def openvino(case, threads, network):
    import openvino as ov

    core = ov.Core()
    model = core.read_model(onnx_peer.model(case, network).SerializeToString())
    exactly = {"INFERENCE_PRECISION_HINT": "f32"} if case.precision == "float32" else {}
    compiled = core.compile_model(model, "CPU", {
        "INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", **exactly})
    request, x = compiled.create_infer_request(), np.ascontiguousarray(net_inputs(case)[0])
    return lambda: (request.infer({0: x})[0],)


def mnn(case, threads, network):
    import MNN

    x, graph = np.ascontiguousarray(net_inputs(case)[0]), onnx_peer.model(case, network)
    with tempfile.TemporaryDirectory() as folder:
        written, converted = Path(folder, "net.onnx"), Path(folder, "net.mnn")
        written.write_bytes(graph.SerializeToString())
        quietly([sys.executable, "-m", "MNN.tools.mnnconvert", "-f", "ONNX", "--modelFile", written,
                 "--MNNModel", converted, "--bizCode", "bench"], folder)
        runtime = MNN.nn.create_runtime_manager(({"backend": "CPU", "numThread": threads, "precision": "high"},))
        net = MNN.nn.load_module_from_file(
            str(converted), ["x"], [graph.graph.output[0].name], runtime_manager=runtime)
    given = MNN.expr.placeholder(x.shape, MNN.expr.NCHW)
    given.write(x)

    def run():
        y = net.forward([given])[0]
        if y.data_format == MNN.expr.NC4HW4:
            y = MNN.expr.convert(y, MNN.expr.NCHW)
        return (y.read(),)

    return run


def ncnn(case, threads, network):
    import ncnn

    x, graph = np.ascontiguousarray(net_inputs(case)[0][0]), onnx_peer.model(case, network)
    net = ncnn.Net()
    net.opt.num_threads = threads
    net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = net.opt.use_fp16_packed = False
    net.opt.use_bf16_storage = False
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder, "net.onnx")
        written.write_bytes(graph.SerializeToString())
        quietly([sys.executable, "-c", "import pnnx; pnnx.pnnx()", written, "fp16=0"], folder)
        net.load_param(str(written.with_name("net.ncnn.param")))
        net.load_model(str(written.with_name("net.ncnn.bin")))

    def run():
        extractor = net.create_extractor()
        extractor.input("in0", ncnn.Mat(x))
        return (np.array(extractor.extract("out0")[1])[None],)

    return run


def litert(case, threads, network):
    from ai_edge_litert.interpreter import Interpreter

    x = np.ascontiguousarray(net_inputs(case)[0].transpose(0, 2, 3, 1))
    # In a process of its own, which takes along what the converter has loaded: JAX and more.
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        written = process.submit(tflite, case, network).result()
    net = Interpreter(model_content=written, num_threads=threads)
    net.allocate_tensors()
    (given,), (result,) = net.get_input_details(), net.get_output_details()

    def run():
        net.set_tensor(given["index"], x)
        net.invoke()
        y = net.get_tensor(result["index"])
        return (y.transpose(0, 3, 1, 2) if y.ndim == 4 else y,)

    return run


def tflite(case, network):
    """The net of a case in the form that LiteRT reads, as bytes; its images are channels-last, and so is its result
    where it is one."""
    import litert_torch
    import peers
    import torch

    module = peers.loaded(network, peers.EAGER).eval()
    images = litert_torch.to_channel_last_io(module, args=[0], outputs=[0] if case.per_pixel else None)
    x = torch.zeros(case.batch, case.size, case.size, case.channels)
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder, "net.tflite")
        litert_torch.convert(images, (x,)).export(str(written))
        return written.read_bytes()


def quietly(command, folder):
    """Run a program there; RuntimeError with what it said where it fails."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=os.environ)
    if done.returncode:
        raise RuntimeError(f"{Path(str(command[2])).name}: {done.stdout[-500:]}{done.stderr[-500:]}")


# For each engine its module, that of its converter, whether it takes batches, whether it rounds to bfloat16 by itself
# where the processor can, and how it is prepared.
ENGINES = {
    "openvino": ("openvino", None, True, True, openvino),
    "mnn": ("MNN", None, True, False, mnn),
    "ncnn": ("ncnn", "pnnx", False, False, ncnn),
    "litert": ("ai_edge_litert", "litert_torch", True, False, litert),
}


def installed(case):
    """The engines that can run a case of inference, whether or not their converter is there."""
    return [name for name, (module, _, batches, rounds, _) in ENGINES.items()
            if (batches or case.batch == 1) and (rounds or case.precision == "float32")
            and importlib.util.find_spec(module)]


def inference(name, case, threads, network):
    """A function that returns the scores of a whole net, which is what the clock sees. ModuleNotFoundError without the
    converter, which brings nets into the engine's form."""
    module, converter, *_, prepare = ENGINES[name]
    if converter and not importlib.util.find_spec(converter):
        package = converter.replace("_", "-")
        raise ModuleNotFoundError(
            f"{module} is installed, but not {package}, which brings nets into its form: pip install {package}")
    return prepare(case, threads, network)
