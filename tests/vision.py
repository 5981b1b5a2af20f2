"""torchvision as a judge of nets, also where its compiled operators do not fit the PyTorch that is installed."""
import importlib
import importlib.util
import re
import sys
from pathlib import Path

import pytest

STANDING_IN = []    # operators live as long as the library that defines them


def torchvision():
    """The package; a test that asks for it is skipped where it is not there.

    Its nets are plain PyTorch, but it cannot be imported without its operators, those of detection. Where these cannot
    be loaded, others of their names that do nothing take their places.
    """
    torch, found = pytest.importorskip("torch"), importlib.util.find_spec("torchvision")
    if found is None:
        pytest.skip("torchvision is not installed", allow_module_level=True)
    try:
        return importlib.import_module("torchvision")
    except RuntimeError as error:
        if "operator torchvision::" not in str(error):
            pytest.skip(f"torchvision cannot be imported: {error}", allow_module_level=True)
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[name]
    text = (Path(found.origin).parent / "_meta_registrations.py").read_text(encoding="utf-8")
    names = re.findall(r'torchvision::(\w+)', text) + re.findall(r'register_meta\("(\w+)"', text)
    STANDING_IN.append(torch.library.Library("torchvision", "DEF"))
    for name in sorted(set(names)):
        STANDING_IN[-1].define(f"{name}(Tensor x) -> Tensor")
    return importlib.import_module("torchvision")
