"""examples/knn.py and examples/features.py from end to end, on a few generated images."""
import re
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.mark.parametrize("name, sizes, wanted", [
    ("knn", {"TRAIN, TEST = 5000, 500": "TRAIN, TEST = 120, 20"},
     ["120 images to compare with, 20 to test: generated images", *[f"k = {k:2}: " for k in (1, 3, 5, 8, 10, 20, 50)],
      "with k = "]),
    ("features", {"TRAIN, TEST, EPOCHS = 10_000, 2000, 10": "TRAIN, TEST, EPOCHS = 200, 40, 2"},
     ["200 images to train on, 40 to test: generated images", "334 numbers an image instead of 3,072", "pixels: ",
      "features: "]),
])
def test_runs_tells_and_draws(name, sizes, wanted, tmp_path, monkeypatch, capsys):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pytest.importorskip("sklearn")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FASTNET_DATA", raising=False)
    text = (EXAMPLES / f"{name}.py").read_text(encoding="utf-8")
    for line, short in sizes.items():
        assert line in text
        text = text.replace(line, short)
    with pyplot.rc_context({"backend": "Agg"}):
        exec(compile(text, name, "exec"), {"__name__": name})
        pyplot.close("all")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(wanted) and all(map(str.startswith, lines, wanted))
    assert all(0 <= float(share) <= 100 for line in lines for share in re.findall(r"([\d.]+)%", line))
    assert (tmp_path / "runs" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
