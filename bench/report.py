"""Reads pytest-benchmark's rounds; prints tables, writes results.json and results.png beside them, and real.md for the
nets of the group real, with the layers where most time is lost.

usage: python bench/report.py bench/results/rounds.json
"""
import json
import os
import statistics
import sys
from collections import defaultdict
from importlib import metadata
from pathlib import Path

import limits
import matplotlib
from summary import summary

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402  (the backend comes first)

PEERS = ("torch", "torch channels-last", "torch compiled", "torch tcmalloc", "onnxruntime", "openvino", "mnn", "ncnn",
         "litert")
CONTENDERS = ("naive", "fastnet", *PEERS)
# Heading and unit of each group's table.
GROUPS = {
    "ops": ("operations", "ms"),
    "train": ("training steps", "ms"),
    "infer": ("inference", "ms"),
    "real": ("nets as they are used", "ms"),
    "scaling": ("scaling", "ms"),
    "memory": ("peak of resident memory", "MB"),
    "startup": ("start-up", "s"),
}
MOST_LOST = 10  # layers of a net that are listed
CALM = 1.1  # how much slower a slow burst (third quartile) may be than a quick one (first), while nobody else computes


def machine(raw):
    """One line: processor, threads, versions."""
    packages = []
    for name in ("numpy", "numba", "torch", "onnxruntime"):
        try:
            packages.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            packages.append(f"no {name}")
    threads = os.environ.get("FASTNET_BENCH_THREADS", "2")
    processor = raw["machine_info"]["cpu"].get("brand_raw", "unknown processor")
    python = raw["machine_info"]["python_version"]
    return f"{processor}, {threads} threads, Python {python}, {', '.join(packages)}"


def ceilings(raw):
    """FLOP and bytes a second that were reached at best, by name, and whether the bursts of arithmetic took very
    different times: then something else was running."""
    bursts, amounts = defaultdict(list), {}
    for bench in raw["benchmarks"]:
        info = bench["extra_info"]
        if info["group"] == "ceiling":
            bursts[info["case"]] += bench["stats"]["data"]
            amounts[info["case"]] = info["amount"]
    reached = {name: amounts[name] / statistics.median(data) for name, data in bursts.items()}
    low, _, high = statistics.quantiles(bursts.get("multiply-add", [1, 1]), n=4)
    return reached, high > CALM * low


def measurements(raw):
    """{(group, case): {"info": ..., "values": {contender: [...]}, "first_call": {contender: seconds}}}, in the units
    of GROUPS, in the order of measuring."""
    found = {}
    for bench in raw["benchmarks"]:
        info = bench["extra_info"]
        if info["group"] in ("ceiling", "layers"):
            continue
        values = info.get("values") or {info["case"]: None}
        for case, value in values.items():
            entry = found.setdefault((info["group"], case), {"info": info, "values": {}, "first_call": {}})
            data = [1e3 * seconds for seconds in bench["stats"]["data"]] if value is None else [value]
            entry["values"].setdefault(info["contender"], []).extend(data)
            entry["first_call"].setdefault(info["contender"], info.get("first_call"))
    return found


def rows_of(raw, reached):
    """The rows of the report: medians over the rounds of all blocks, and what follows from them."""
    rows = []
    for (group, case), entry in measurements(raw).items():
        by, info = {who: statistics.median(data) for who, data in entry["values"].items()}, entry["info"]
        ours, peers = by.get("fastnet"), [by[who] for who in PEERS if who in by]
        row = {"group": group, "case": case, "op": info.get("op", ""), "goal": info.get("goal", ""),
               "unit": GROUPS[group][1], "median": by, "first_call_s": entry["first_call"].get("fastnet")}
        row["times_best_peer"] = min(peers) / ours if ours and peers else None
        for share, amount, ceiling in (("share_of_peak", "flops", "multiply-add"),
                                       ("share_of_bandwidth", "bytes", "bandwidth")):
            known = ours and info.get(amount) and ceiling in reached
            row[share] = info[amount] / (1e-3 * ours) / reached[ceiling] if known else None
        known = ours and info.get("work") and len(reached) == 2
        row["limit"] = 1e3 * sum(limits.seconds(one, reached) for one in info["work"].values()) if known else None
        row["share_of_limit"] = row["limit"] / ours if known else None
        rows.append(row)
    return rows


def losses_first(rows):
    """Where a peer is quickest first, where nobody else ran last."""
    return sorted(rows, key=lambda row: row["times_best_peer"] or float("inf"))


def lost(raw, reached):
    """{case: [(name, layer, ms, least ms)]} of the layers, those first where most time is lost against `limits`."""
    work = {bench["extra_info"]["case"]: bench["extra_info"]["work"] for bench in raw["benchmarks"]
            if "work" in bench["extra_info"]}
    found = {}
    for bench in raw["benchmarks"]:
        info = bench["extra_info"]
        if info["group"] != "layers" or info["case"] not in work or len(reached) < 2:
            continue
        least = {label: 1e3 * limits.seconds(one, reached) for label, one in work[info["case"]].items()}
        rows = [(name, layer, 1e3 * seconds, least.get(f'{layer.partition("(")[0]} "{name}"', 0.0))
                for name, layer, _, seconds in info["layers"]]
        found[info["case"]] = sorted(rows, key=lambda row: row[3] - row[2])
    return found


def layers_text(case, rows):
    """A title and the table of the layers where most time is lost."""
    rows = rows[:MOST_LOST]
    titles = f"{case}: layer", "", "ms", "limit", "lost"
    cells = [(name, layer, f"{ms:.3g}", f"{least:.3g}", f"{ms - least:.3g}") for name, layer, ms, least in rows]
    return markdown(list(zip(titles, zip(*cells, strict=True), strict=True)))


def number(value, form):
    """A number as text, or a dash where there is none."""
    return "-" if value is None else format(value, form)


def table(rows):
    """The rows of one group as a Markdown table; columns that nobody fills are left out."""
    heading, unit = GROUPS[rows[0]["group"]]
    columns = [(f"{heading}, {unit}", [row["case"] for row in rows])]
    for who in CONTENDERS:
        values = [row["median"].get(who) for row in rows]
        columns.append((who, [number(v, ".3g" if v is not None and v < 100 else ".0f") for v in values]))
    for title, key, form in (("best peer / fastnet", "times_best_peer", ".2f"),
                             ("share of peak", "share_of_peak", ".0%"),
                             ("of bandwidth", "share_of_bandwidth", ".0%"),
                             ("limit", "limit", ".3g"), ("limit / fastnet", "share_of_limit", ".0%"),
                             ("first call, s", "first_call_s", ".2f")):
        columns.append((title, [number(row[key], form) for row in rows]))
    return markdown([(title, cells) for title, cells in columns if set(cells) != {"-"}])


def markdown(columns):
    """Columns, each (title, cells), as a Markdown table; the first is flush left, the others right."""
    widths = [max(map(len, (title, *cells))) for title, cells in columns]
    lines = [[title for title, _ in columns], ["-" * widths[0]] + ["-" * (w - 1) + ":" for w in widths[1:]],
             *zip(*(cells for _, cells in columns), strict=True)]
    return "\n".join("| " + " | ".join(c.ljust(w) if i == 0 else c.rjust(w)
                                       for i, (c, w) in enumerate(zip(line, widths, strict=True))) + " |"
                     for line in lines)


def picture(rows, title, path):
    """One line of dots for each case that has a time in milliseconds: how long each contender takes."""
    figure, ax = plt.subplots(figsize=(10, 1.5 + 0.22 * len(rows)), layout="constrained")
    styles = {"naive": ("0.6", "x"), "fastnet": ("tab:red", "o"), "torch": ("tab:blue", "|"),
              "torch channels-last": ("tab:cyan", "|"), "torch compiled": ("tab:green", "|"),
              "torch tcmalloc": ("tab:olive", "|"), "onnxruntime": ("tab:purple", "|"),
              "openvino": ("tab:pink", "|"), "mnn": ("tab:brown", "|"), "ncnn": ("tab:orange", "|"),
              "litert": ("tab:gray", "|")}
    for who in CONTENDERS:
        points = [(row["median"][who], i) for i, row in enumerate(rows) if who in row["median"]]
        if points:
            color, marker = styles[who]
            ax.scatter(*zip(*points, strict=True), color=color, marker=marker, s=40, label=who)
    ax.set(xscale="log", xlabel="milliseconds, median (left is faster)")
    ax.set_title(title, fontsize=8)
    ax.set_yticks(range(len(rows)), [row["case"] for row in rows], fontsize=7)
    ax.set_ylim(len(rows), -1)
    ax.grid(alpha=0.3)
    ax.legend()
    figure.savefig(path, dpi=120)


def main(path):
    raw = json.loads(Path(path).read_text())
    reached, busy = ceilings(raw)
    rows = rows_of(raw, reached)
    where = machine(raw)
    if reached:
        where += (f", multiply-add peak {reached['multiply-add'] / 1e9:.0f} GFLOP/s, "
                  f"bandwidth {reached['bandwidth'] / 1e9:.0f} GB/s")
    print(f"\n{where}\n")
    rows = [row for row in rows if row["group"] != "real"] + losses_first(
        [row for row in rows if row["group"] == "real"])
    for group in GROUPS:
        if members := [row for row in rows if row["group"] == group]:
            print(table(members) + "\n")
    goals = summary(rows)
    if goals:
        titles = "summary", "bar", "reached", ""
        print(markdown([(title, cells) for title, cells in zip(titles, zip(*goals, strict=True), strict=True)]) + "\n")
    folder, layers = Path(path).parent, lost(raw, reached)
    results = {"machine": where, "busy": busy, "ceilings": reached, "cases": rows, "summary": goals, "layers": layers}
    (folder / "results.json").write_text(json.dumps(results, indent=1))
    if members := [row for row in rows if row["group"] == "real"]:
        texts = [where, table(members), *(layers_text(case, each) for case, each in layers.items())]
        (folder / "real.md").write_text("\n\n".join(texts) + "\n")
    if busy:
        print("The machine was busy with other work: do not rely on these numbers, and measure again.")
    print(f"Above 1, fastnet is the better one. Written: {folder / 'results.json'}", end="")
    if members:
        print(f", {folder / 'real.md'}", end="")
    if timed := [row for row in rows if row["unit"] == "ms" and row["group"] != "scaling"]:
        picture(timed, where, folder / "results.png")
        print(f", {folder / 'results.png'}", end="")
    print()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
