"""The sizes that keep the package readable: of files, of functions, of lists of arguments."""
import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "fastnet"
FILE_LINES, FUNCTION_LINES, ARGUMENTS = 400, 60, 8

# Functions that may have more arguments, since others say which.
FREE = {
    # PyTorch's, and the epilogue's behind them
    "data/loader.py": {"DataLoader.__init__"},
    # scikit-learn's
    "estimators/nets.py": {"NetClassifier.__init__", "NetRegressor.__init__"},
    "estimators/linear.py": {"SVMClassifier.__init__", "SoftmaxClassifier.__init__"},
    "search.py": {"coarse_to_fine"},
    **{f"optim/{file}.py": {f"{name}.__init__" for name in names} for file, names in (
        ("adam", ("Adam", "AdamW", "NAdam")), ("adagrad", ["Adagrad"]), ("muon", ["Muon"]), ("rmsprop", ["RMSprop"]),
        ("sgd", ["SGD"]))},
    "layers/conv.py": {"Conv1d.__init__", "Conv2d.__init__", "ConvTranspose2d.__init__", "ConvTranspose2d.check"},
    "layers/recurrent.py": {"RNN.__init__", "LSTM.__init__"},
    "kernels/cpu/conv/ops.py": {"conv2d_forward", "conv2d_backward_input"},
    "kernels/cpu/conv/transposed.py": {"conv_transpose2d_forward", "conv_transpose2d_inference",
                                       "conv_transpose2d_backward_input"},
    # one for each number of an optimiser's formula
    **{f"kernels/{place}/update.py": {f"{rule}_update" for rule in ("sgd", "adam", "nadam", "rmsprop")}
       for place in ("shapes", "naive", "cpu")},
}


def is_primitive(path, node):
    """Whether a function is a SIMD primitive, which names memory as (array, index) and so has two arguments for one."""
    marked = any(isinstance(mark, ast.Name) and mark.id == "primitive" for mark in node.decorator_list)
    means = ("python.py", "python_amx.py", "python_rows.py", "python_transforms.py", "python_windows.py")
    return path.parent.name == "simd" and (marked or path.name in means)


def functions(tree, within=""):
    """(name with the class's, node) of all functions, those within functions included."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield within + node.name, node
            yield from functions(node)
        else:
            yield from functions(node, f"{node.name}." if isinstance(node, ast.ClassDef) else within)


def arguments(node):
    """How many arguments a function has, without the object or class that it belongs to."""
    given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    return len(given) - (given[:1] != [] and given[0].arg in ("self", "cls", "typingctx"))


def lines(node):
    """How many lines a function has."""
    return node.end_lineno - node.lineno + 1


def places(node):
    """The lines in which the numbers of an array are told apart by their places: ``a, b = numbers[:2]``, and
    ``numbers[3]`` for an argument of that name. A NamedTuple has names for them, see `runtime.plan`."""
    for part in ast.walk(node):
        if isinstance(part, ast.Assign) and isinstance(part.targets[0], ast.Tuple) and \
                isinstance(part.value, ast.Subscript) and isinstance(part.value.slice, ast.Slice):
            yield part.lineno
        elif isinstance(part, ast.Subscript) and isinstance(part.value, ast.Name) and \
                part.value.id in ("shape", "numbers", "state") and isinstance(part.slice, ast.Constant):
            yield part.lineno


def modules():
    """(path, its name within the package, its text) of all modules."""
    for path in sorted(PACKAGE.rglob("*.py")):
        yield path, path.relative_to(PACKAGE).as_posix(), path.read_text(encoding="utf-8")


def test_files_are_short():
    assert {name: count for _, name, text in modules() if (count := len(text.splitlines())) > FILE_LINES} == {}


def test_functions_are_short():
    assert {(name, function): count for _, name, text in modules() for function, node in functions(ast.parse(text))
            if (count := lines(node)) > FUNCTION_LINES} == {}


def test_functions_have_few_arguments():
    found = {(name, function): count for path, name, text in modules() for function, node in functions(ast.parse(text))
             if (count := arguments(node)) > ARGUMENTS and not is_primitive(path, node)
             and function not in FREE.get(name, set())}
    assert found == {}


@pytest.mark.parametrize("name", sorted(FREE))
def test_every_exception_is_needed(name):
    counts = {function: arguments(node) for function, node in functions(ast.parse((PACKAGE / name).read_text()))}
    excepted = FREE.get(name, set())
    assert {function for function in excepted if counts.get(function, 0) <= ARGUMENTS} == set()


def test_numbers_have_names():
    """Kernels read numbers by name."""
    found = {name: found for _, name, text in modules() if name.startswith("kernels/cpu/")
             and (found := sorted(places(ast.parse(text))))}
    assert found == {}


def test_what_is_measured():
    tree = ast.parse("class A:\n    def f(self, a, *, b):\n        def g(c): pass\n        x, y = numbers[:2]\n"
                     "        return numbers[3], name[4]\n")
    found = dict(functions(tree))
    assert {name: (arguments(node), lines(node)) for name, node in found.items()} == {"A.f": (2, 4), "g": (1, 1)}
    assert sorted(places(tree)) == [4, 5]
