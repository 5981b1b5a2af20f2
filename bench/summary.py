"""What the project promises about speed, and whether a run of the benchmarks kept it."""
from statistics import geometric_mean

# How many times as fast as the best peer, at least: the geometric mean over the cases of a goal, for each operation.
TIMES = {
    "3x3, 32 to 256 channels": 2.0,
    "3x3, 16 channels": 1.3,
    "5x5": 1.3,
    "1x1": 1.0,
    "stride 2": 1.0,
    "first layer": 1.0,
    "Linear 4096x512": 1.0,
    "max-pool 2x2, forward + backward": 1.5,
    "batch norm + ReLU, forward + backward": 1.5,
    "training step small_convnet": 2.0,
    "training step vgg_small": 2.0,
    "training step resnet20": 2.0,
    "training step lenet5": 1.3,
    **{f"inference {model}, batch 128": 1.5 for model in ("small_convnet", "vgg_small", "resnet20")},
    **{f"inference {model}, one image": 1.0 for model in ("small_convnet", "vgg_small", "resnet20")},
}
# Of the multiply-add peak, at least, where convolutions multiply directly.
SHARES = {
    "conv2d_forward": 0.75,
    "conv2d_backward_input": 0.65,
    "conv2d_backward_weight": 0.65,
}
# At most, in seconds.
SECONDS = {
    "import": 0.5,
    "first step small_convnet, ever": 20.0,
    "first step small_convnet, from the cache": 1.5,
}


def summary(rows):
    """Lines of (what, the bar, what was reached, "met" or "missed") as text, for all goals that were measured."""
    lines = []
    for (goal, op), members in grouped(rows).items():
        ratios = [row["times_best_peer"] for row in members if row["times_best_peer"]]
        if goal in TIMES and ratios:
            lines.append(line(f"{goal}: {op}" if op.startswith(("conv2d", "linear")) else goal, ">=", TIMES[goal],
                              geometric_mean(ratios), "{:.2f}x"))
        if goal not in TIMES and op in SHARES:
            shares = [row["share_of_peak"] for row in members if row["share_of_peak"]]
            lines += [line(f"{goal}: {op}", ">=", SHARES[op], share, "{:.0%}") for share in shares]
    for row in rows:
        if row["group"] == "memory" and "above" not in row["case"] and row["times_best_peer"]:
            lines.append(line(f"memory of a {row['case']}", ">=", 1.0, row["times_best_peer"], "{:.2f}x less"))
        if row["group"] == "startup" and "fastnet" in row["median"]:
            lines.append(line(row["case"], "<=", SECONDS[row["case"]], row["median"]["fastnet"], "{:.2f} s"))
    return lines


def grouped(rows):
    """The rows of each (goal, operation)."""
    groups = {}
    for row in rows:
        if row["goal"]:
            groups.setdefault((row["goal"], row["op"]), []).append(row)
    return groups


def line(what, relation, bar, reached, form):
    """One line of the summary."""
    met = reached >= bar if relation == ">=" else reached <= bar
    return what, f"{relation} {form.format(bar)}", form.format(reached), "met" if met else "missed"
