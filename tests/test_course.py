"""docs/course.md: each topic has the names that cover it, with arguments that they take."""
import ast
import importlib
import inspect
import re

import pytest

import fastnet
from tests.pages import text

PAGE = text("course.md")
LINES = re.findall(r"^\| (?!topic)(.+?) \| (`.+`) \|$", PAGE, re.M)
SECTIONS = dict(re.findall(r"^## (.*)\n((?:(?!^## ).*\n)*)", PAGE, re.M))
# What the course is made of, and how many topics of each there are at least.
TOPICS = {"Data": 7, "Baselines": 7, "Layers": 16, "Activations": 4, "Losses": 8, "Optimisation": 13, "Checks": 6,
          "Calculators": 4, "Nets": 15, "Pictures": 12}


def found(path):
    """What a name stands for, after `import fastnet`."""
    first, *rest = path.split(".")
    if first in ("estimators", "search"):      # not there at once
        pytest.importorskip("sklearn")
        one = importlib.import_module(f"fastnet.{first}")
    else:
        assert first in fastnet.__all__, path
        one = getattr(fastnet, first)
    for name in rest:
        one = getattr(one, name)
    return one


@pytest.mark.parametrize("topic, names", LINES, ids=[topic for topic, _ in LINES])
def test_names_are_there_and_take_their_arguments(topic, names):
    for span in re.findall(r"`(.+?)`", names):
        path, _, given = span.partition("(")
        parameters = inspect.signature(found(path)).parameters
        if given:
            wanted = {keyword.arg for keyword in ast.parse(span, mode="eval").body.keywords}
            assert wanted and wanted <= parameters.keys(), span


@pytest.mark.parametrize("section", TOPICS)
def test_no_topic_is_without_a_name(section):
    rows = re.findall(r"^\| (?!topic)(?!-)(.*) \|$", SECTIONS[section], re.M)
    assert len(rows) >= TOPICS[section] and all(row.partition(" | ")[2].startswith("`") for row in rows)


def test_values_of_arguments_are_taken():
    """Those of layers and losses, whose other arguments do not matter."""
    for padding in re.findall(r"`Conv2d\(padding=(.+?)\)`", PAGE):
        assert fastnet.Conv2d(2, 3, 3, padding=ast.literal_eval(padding)).output_shape((1, 2, 8, 8))[:2] == (1, 3)
    fastnet.Upsample(scale_factor=2, mode="nearest"), fastnet.MultiMarginLoss(p=2)
    fastnet.data.Augment(brightness=0.1, contrast=0.1, noise=5, cutout=8)
