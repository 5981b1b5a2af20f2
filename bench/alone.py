"""What only a process of its own can tell: start-up times and the peak of resident memory. Prints a JSON object.

usage: python bench/alone.py fastnet|torch|"torch channels-last" DESCRIPTION STEPS
DESCRIPTION is the JSON of `ours.describe` for PyTorch (which then runs without fastnet in memory), a model's name for
fastnet. Times in seconds, memory in MB (10^6 bytes).
"""
import json
import sys
import time


def resident_peak():
    """The largest resident memory of this process so far."""
    try:
        # ru_maxrss would still know the memory of the process that started this one.
        with open("/proc/self/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:")) * 1024 / 1e6
    except OSError:
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6


def fastnet_step(model, case):
    import ours

    return ours.step("cpu", case(model))


def torch_step(description, case, way):
    import peers
    import torch
    from cases import net_inputs

    module = peers.Net(json.loads(description))
    if way != peers.EAGER:
        module = module.to(memory_format=torch.channels_last)
    return peers.training(module, net_inputs(case("")), way)


def main(contender, description, steps):
    start = time.perf_counter()
    if contender == "fastnet":
        import fastnet  # noqa: F401  (that is what is timed)
    else:
        import torch  # noqa: F401
    imported = time.perf_counter()
    from cases import Case

    def case(model):
        return Case("step", 128, 3, 32, model=model)

    # The net and its images are made before the clock starts again: they are no part of a step.
    run = fastnet_step(description, case) if contender == "fastnet" else torch_step(description, case, contender)
    before, ready = resident_peak(), time.perf_counter()
    run()
    stepped = time.perf_counter()
    for _ in range(int(steps) - 1):
        run()
    peak = resident_peak()
    print(json.dumps({"import": imported - start, "first step": stepped - ready,
                      "peak": peak, "above what was there before": peak - before}))


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
