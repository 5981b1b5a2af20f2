"""What people who come from other libraries reach for first, and how it is done here: a sentence for each.

None of these attributes exists, ``hasattr(net, "eval")`` is False; the AttributeError says where the thing is found.
"""

_MODE = "training is an argument and no mode: net(x) is inference, net.forward(x, training=True) begins a training pass"
_DEVICE = 'fastnet computes on the CPU, with all its cores, and there is nothing to move: leave it out'
_HALF = "parameters are float32 or float64; within `with fastnet.bfloat16_products():` bfloat16 numbers are multiplied"
_NO_ZERO = "backward assigns gradients and adds to none, so there is nothing to set to zero: leave it out"
_BACKWARD = "a loss gives its gradient along with its value: value, gradient = loss(outputs, targets), then " \
    "net.backward(gradient)"
_HOOKS = "use `with fastnet.watch(net, function):`, or fastnet.activations(net, x) and fastnet.gradients(net, x, dy)"
_FREEZE = 'fastnet.freeze(net, "features.*") and fastnet.unfreeze do that, or parameter.requires_grad = False for one'
_WALK = "net.named_layers() lists all layers with their paths, net.named_children() those directly inside"
_BUFFER = 'assign the array to an attribute, and name that in the class: buffer_names = ("running_mean",)'
_ASSIGN = "assign it: a layer or Parameter that is an attribute, or in a list or dictionary that is one, is found"
_TRAINER = "fastnet.Trainer(net, loss, optimizer).fit(batches, epochs) trains; see also fastnet.evaluate and predict"
_FILES = "fastnet.save_weights(net, path) and fastnet.load_weights(net, path) do that"
_PATH = 'net["layer1.0.conv1"] is the layer at a path, and may be assigned'
_NO_GRAD = "net(x) is inference and keeps nothing for a backward pass, so there is nothing to switch off: leave it out"
_ARRAYS = "arrays are NumPy's: np.asarray, np.zeros, np.random.default_rng().standard_normal"
_STEP = "a schedule is a function of the step: a Trainer takes fastnet.LearningRateSchedule(schedule) as a callback, " \
    "else assign optimizer.lr = schedule(step)"
_MODULES = "layers are fastnet.Conv2d and so on, all of them in fastnet.layers, losses in fastnet.losses"
_OWN = "a net of your own derives from fastnet.Container, a layer from fastnet.Layer"

LAYER = {
    **dict.fromkeys(("eval", "train"), _MODE), **dict.fromkeys(("cuda", "cpu", "xpu", "ipu"), _DEVICE),
    **dict.fromkeys(("half", "bfloat16"), _HALF), "float": 'net.astype("float32") does that',
    "double": 'net.astype("float64") does that', "type": "net.astype(dtype) converts, net.dtype tells",
    "zero_grad": _NO_ZERO, "requires_grad_": _FREEZE, "trainable": _FREEZE,
    **dict.fromkeys(("register_forward_hook", "register_forward_pre_hook", "register_full_backward_hook",
                     "register_full_backward_pre_hook", "register_backward_hook"), _HOOKS),
    **dict.fromkeys(("modules", "named_modules", "children"), _WALK),
    **dict.fromkeys(("buffers", "named_buffers", "register_buffer"), _BUFFER),
    **dict.fromkeys(("add_module", "register_module", "register_parameter"), _ASSIGN),
    **dict.fromkeys(("get_submodule", "set_submodule", "get_parameter", "get_layer"), _PATH),
    "apply": "fastnet.init.apply(net, weight=...) draws weights anew; " + _WALK,
    "compile": "nets are compiled and recorded by themselves; " + _TRAINER,
    **dict.fromkeys(("fit", "evaluate", "predict", "train_on_batch"), _TRAINER),
    **dict.fromkeys(("save", "load", "save_weights", "load_weights"), _FILES),
    "summary": "print(fastnet.summary(net, (1, 3, 32, 32))) does that",
    **dict.fromkeys(("get_weights", "set_weights", "weights"), "net.state_dict() and net.load_state_dict(state)"),
    "share_memory": "threads may share a net for inference as it is",
    "call": "define forward(x, training=False) and backward, or compose(x, training) in a Container",
}
PARAMETER = {
    "data": "parameter.value is the array, and may be assigned and written into",
    **dict.fromkeys(("detach", "cpu", "numpy", "item", "clone", "copy", "mean", "sum", "std", "min", "max", "ndim",
                     "dtype", "T", "reshape", "tolist"), "parameter.value is the array, a NumPy one"),
    "cuda": _DEVICE, "zero_grad": _NO_ZERO, "requires_grad_": "assign it: parameter.requires_grad = False",
    "backward": _BACKWARD, "register_hook": _HOOKS,
}
OPTIMIZER = {
    "zero_grad": _NO_ZERO, **dict.fromkeys(("backward", "apply_gradients"), "net.backward(gradient), then step()"),
    "minimize": "fastnet.minimise(net, loss, x, y) searches over a whole data set; else net.backward and step()",
    "add_param_group": "make a new optimiser of all groups: [{\"params\": ..., \"lr_scale\": 0.1}, ...]",
    "learning_rate": "optimizer.lr is the rate, and may be assigned",
}
LOSS = {
    **dict.fromkeys(("backward", "item"), _BACKWARD), "forward": "call it: value, gradient = loss(outputs, targets)",
    **dict.fromkeys(("cuda", "cpu", "to"), _DEVICE), **dict.fromkeys(("eval", "train"), _MODE), "zero_grad": _NO_ZERO,
}
ANSWER = dict.fromkeys(("backward", "item", "detach", "cpu", "numpy"), _BACKWARD)
SCHEDULE = dict.fromkeys(("step", "get_last_lr", "state_dict", "load_state_dict"), _STEP)
PACKAGE = {
    "nn": _MODULES, "Module": _OWN, "functional": _MODULES, "Dense": "Linear does that",
    **dict.fromkeys(("no_grad", "inference_mode", "enable_grad", "set_grad_enabled", "autograd"), _NO_GRAD),
    **dict.fromkeys(("tensor", "Tensor", "as_tensor", "from_numpy", "array", "zeros", "ones", "randn"), _ARRAYS),
    **dict.fromkeys(("float16", "float32", "float64", "int64", "long"), 'dtypes are NumPy\'s, or texts: "float32"'),
    **dict.fromkeys(("device", "cuda", "set_default_device"), _DEVICE),
    **dict.fromkeys(("load", "save"), _FILES), "seed": "fastnet.manual_seed(0) does that",
    **dict.fromkeys(("compile", "jit"), "nets are compiled and recorded by themselves: leave it out"),
    "set_num_threads": "numba.set_num_threads(n) does that, or NUMBA_NUM_THREADS in the environment",
    **dict.fromkeys(("DataLoader", "Dataset", "Augment", "Normalize"), "it is in fastnet.data"),
    **dict.fromkeys(("cifar10", "train_val_split", "k_folds"), "it is in fastnet.data"),
    "accuracy": "it is in fastnet.metrics", "profiler": "print(fastnet.profile(net, x)) does that",
    "checkpoint": "fastnet.Recompute(layer) trains with less memory",
}
CALL = ("calling it is inference and takes one x: net.forward(x, training=True) begins a training pass, and "
        "several arrays are given as a tuple, net((a, b))")


def look_up(owner, name, who, table):
    """What ``__getattr__`` does: AttributeError for an attribute that an object has not, with the sentence of the table
    for it; `who` is how errors call the object. Where its class has the attribute, a property has raised an error of
    its own, and does so again."""
    if hasattr(type(owner), name):
        return object.__getattribute__(owner, name)
    if name in table:
        raise AttributeError(f"{who} has no {name}: {table[name]}")
    raise AttributeError(f"{who} has no attribute {name!r}", name=name, obj=owner)


def of_package(name):
    """The same for ``fastnet.name``."""
    if name in PACKAGE:
        raise AttributeError(f"fastnet has no {name}: {PACKAGE[name]}")
    raise AttributeError(f"module 'fastnet' has no attribute {name!r}")
