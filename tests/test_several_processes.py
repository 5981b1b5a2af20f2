"""The example in which several processes train one net."""
import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np

import fastnet
from fastnet import data

EXAMPLE = Path(__file__).parents[1] / "examples" / "several_processes.py"
RUN = """
import sys
import numpy as np
sys.path.insert(0, sys.argv[1])
from several_processes import main

if __name__ == "__main__":
    for number, weights in enumerate(main(["--images", "64", "--batch-size", "8", "--epochs", "2"])):
        np.savez(f"{number}.npz", **weights)
"""


def test_two_processes_are_one_with_batches_twice_as_large(tmp_path):
    (tmp_path / "run.py").write_text(RUN)
    done = subprocess.run([sys.executable, "run.py", EXAMPLE.parent], cwd=tmp_path, capture_output=True, text=True,
                          timeout=300)
    assert done.returncode == 0 and "2 processes, weights that are equal to the last bit" in done.stdout, done.stderr
    first, second = (dict(np.load(tmp_path / f"{number}.npz")) for number in (0, 1))
    for name, value in first.items():
        np.testing.assert_array_equal(second[name], value)

    # The same in one process, which takes the batches of both in turns and adds up their gradients.
    spec = importlib.util.spec_from_file_location("several_processes", EXAMPLE)
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    net, (images, _) = example.make_net(), data.synthetic(64, 10)
    optimizer = fastnet.Adam(net.parameters(), 0.002)
    parts = [data.DataLoader(images[part], batch_size=8, seed=number, normalize=data.Normalize([128] * 3, [64] * 3))
             for number, part in enumerate((slice(0, 32), slice(32, 64)))]
    trainer = fastnet.Trainer(net, fastnet.CrossEntropyLoss(), optimizer, accumulate=2)
    for _ in range(2):
        trainer.fit([batch for both in zip(*parts, strict=True) for batch in both], 1)
    for name, value in net.state_dict().items():
        np.testing.assert_allclose(first[name], value, rtol=0, atol=3e-5 * np.abs(value).max(), err_msg=name)
