"""The README's Python runs as it stands there."""
import re
from configparser import ConfigParser
from types import ModuleType

import pytest

import fastnet
from fastnet import data
from tests.pages import DOCS, ROOT, blocks, run, text

README, BLOCKS = text("README.md"), blocks("README.md")


@pytest.mark.parametrize("block", BLOCKS, ids=["quick start", "data flow", "scikit-learn", "files", "program",
                                               "container", "own layer"])
def test_block_runs(block, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if "sklearn" in block:
        pytest.importorskip("sklearn")
    monkeypatch.setattr(data, "cifar10", lambda: data.synthetic(train=130, test=20))
    run([block], "README.md")


def test_quick_start_is_quick_to_read():
    assert len(BLOCKS[0].strip().splitlines()) <= 20


def names(module):
    """The public names of a module."""
    listed = getattr(module, "__all__", None)
    return set(listed) if listed else {name for name, value in vars(module).items() if not name.startswith("_")
                                       and getattr(value, "__module__", None) == module.__name__}


def test_the_vocabulary_is_complete():
    """Each name stands in docs/vocabulary.md, and nothing else is said to be there."""
    there = set(re.findall(r"`(\w+)`", text("vocabulary.md")))
    public = {name: getattr(fastnet, name) for name in fastnet.__all__}
    modules = [value for value in public.values() if isinstance(value, ModuleType) and value is not fastnet.kernels]
    modules += [pytest.importorskip(f"fastnet.{name}") for name in ("estimators", "search")]    # not there at once
    own = {name for name, value in public.items() if not isinstance(value, ModuleType)}
    switches = {"bfloat16_products", "empty_cache", "exact"}    # the README tells of them
    assert own.union(*map(names, modules)) - switches == there - switches


def test_links_lead_somewhere():
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", README)
    assert links and all((ROOT / link).exists() for link in links)


def test_every_page_example_and_extra_is_told_of():
    links = set(re.findall(r"\]\(([^)#]+)\)", README))
    assert {f"docs/{path.name}" for path in DOCS.glob("*.md")} <= links
    assert {f"examples/{path.name}" for path in ROOT.glob("examples/*.py")} <= links
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg")
    extras = re.findall(r"^\| `(\w+)` \| [\w-]+ \|", README, re.M)
    assert extras and set(extras) | {"test", "bench", "peers", "lint", "all"} == set(setup["options.extras_require"])
