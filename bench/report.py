"""Tables and plots of a run."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

from bench.peers import MODULES, OURS, TITLES
from bench.rows import contention
from bench.rows.widths import LIMIT
from bench.work import Work

Result = dict[str, Any]
MEMORY_LIMIT = 0.1  # how far memory may be from what was predicted
MEMORY_LEAST = 10e6  # bytes, below which it is not judged
_BITS = {"avx512": "512", "avx2": "256", "baseline": "128", "neon": "128"}


def duration(seconds: float) -> str:
    """Three digits and a unit."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6), ("ns", 1e-9)):
        if seconds >= size or unit == "ns":
            value = seconds / size
            return f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f} {unit}"
    return ""


def _usable(result: Result) -> bool:
    return "median" in result and bool(result.get("check", {}).get("same_work"))


def best_peer(row: Result) -> tuple[str, float] | None:
    """The fastest implementation, but ours, that did the same work."""
    times = {
        name: result["median"]
        for name, result in row["results"].items()
        if name not in OURS and _usable(result)
    }
    name = min(times, key=times.__getitem__, default=None)
    return (name, times[name]) if name else None


def _cell(result: Result) -> str:
    if "median" not in result:
        return "-" if result.get("refused") else "failed"
    text = duration(result["median"])
    if not _usable(result):
        text = f"({text}: not the same work)"
    # how far apart the repeats were, where it is more than a little
    spread = (result["most"] - result["least"]) / result["median"]
    if spread > 0.1:
        text += f" ±{50 * spread:.0f} %"
    if result.get("disturbed"):
        text += " *"
    return text


def line(row: Result) -> str:
    """For the terminal, while it runs."""
    parts = [
        f"{name} {_cell(result)}" for name, result in row["results"].items() if not result.get("refused")
    ]
    return f"    {'; '.join(parts)}   [{row['took_seconds']:.0f} s]"


def _peak(run: Result, threads: int) -> float:
    """FMA peak in FLOP/s of the instruction set that retrograd used."""
    isa = ""
    for row in run["rows"]:
        isa = row["results"].get("retrograd", {}).get("versions", {}).get("instruction set", isa)
    rates = run["probe"].get("fma", {}).get(_BITS.get(isa, ""), {})
    return float(rates.get(str(threads), 0.0)) * 1e9


def _table(head: list[str], body: list[list[str]]) -> list[str]:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return lines + ["| " + " | ".join(cells) + " |" for cells in body]


def _groups(run: Result) -> tuple[list[Result], list[Result], dict[str, list[Result]]]:
    single, contended, curves = [], [], defaultdict(list)
    for row in run["rows"]:
        if row["work"].get("busy") is not None:
            contended.append(row)
        elif row["work"]["point"] is None:
            single.append(row)
        else:
            curves[row["work"]["row"]].append(row)
    return single, contended, curves


# ---------------------------------------------------------------------------------------------- sections


def _head(run: Result) -> list[str]:
    machine, probe = run["machine"], run["probe"]
    lines = [f"# Benchmarks of {run['when'][:10]} on {machine['cpu']}", ""]
    if run["quick"]:
        lines += ["**A quick run: it shows that everything works; the times mean nothing.**", ""]
    how = run["options"]
    lines += [
        f"Float32. Medians of {how['repeats']} repeats of at least {how['min_seconds']} s (half of it in the "
        f"curves), all implementations in turn. {run.get('took_seconds', 0) / 60:.0f} minutes.",
        "",
        "## Machine",
        "",
    ]
    for key, value in machine.items():
        if isinstance(value, dict):
            text = ", ".join(f"{name} {size // 1024} KiB" for name, size in value.items())
        else:
            text = ", ".join(value) if isinstance(value, list) else str(value)
        lines.append(f"- {key}: {text}")
    versions: dict[str, str] = {}
    for row in run["rows"]:
        for result in row["results"].values():
            versions |= result.get("versions", {})
    lines += [f"- {name}: {text}" for name, text in versions.items()]
    lines.append("")
    if "missing" in probe:
        lines += [f"FMA peak and bandwidth were not measured: {probe['missing']}.", ""]
    else:
        counts = list(probe["read"])
        body = [
            [f"FMA peak, {bits}-bit vectors, GFLOP/s", *(f"{rates[n]:.0f}" for n in counts)]
            for bits, rates in probe["fma"].items()
        ]
        body += [
            [f"{title}, arrays of {probe['megabytes']} MB, GB/s", *(f"{probe[what][n]:.1f}" for n in counts)]
            for what, title in (("read", "Memory, reading"), ("triad", "Memory, a = b + 3 c"))
        ]
        lines += _table(["measured in this run", *(f"{n} thread{'s' * (n != '1')}" for n in counts)], body)
        lines.append("")
    lines += [f"- not measured: {TITLES.get(name, name)}: {why}" for name, why in run["missing"].items()]
    return [*lines, ""]


def _goal(work: Work, threads: int, ours: float, ratio: float | None, peak: float) -> tuple[str, str]:
    """What the goal is, and whether it was met."""
    texts, met = [], []
    allowed = work.goal.ratio(threads)
    if allowed is not None:
        texts.append("1" if allowed == 1 else f"1/{1 / allowed:.3g}")
        met.append(ratio is not None and ratio <= allowed)
    if threads in work.goal.seconds:
        texts.append(duration(work.goal.seconds[threads]))
        met.append(ours <= work.goal.seconds[threads])
    if work.goal.peak:
        texts.append(f"{work.goal.peak:.0%} of peak")
        met.append(peak >= work.goal.peak)
    if not texts:
        return "-", "-"
    if len(set(met)) > 1:
        return ", ".join(texts), ", ".join("met" if m else "missed" for m in met)
    return ", ".join(texts), "met" if met[0] else "**missed**"


def _rows(run: Result, single: list[Result]) -> list[str]:
    lines: list[str] = []
    for threads in sorted({row["threads"] for row in single}):
        body, details = [], []
        chosen = [row for row in single if row["threads"] == threads]
        names = [name for name in MODULES if any("median" in row["results"].get(name, {}) for row in chosen)]
        for row in chosen:
            work = Work.from_dict(row["work"])
            ours = row["results"].get("retrograd", {})
            best = best_peer(row)
            details.append([work.id, *(_cell(row["results"].get(n, {"refused": True})) for n in names)])
            if "median" not in ours:
                body.append([work.id, work.title, work.unit, "failed", *["-"] * 5])
                continue
            ratio = ours["median"] / best[1] if best else None
            peak = _peak(run, threads)
            part = 2 * row["multiply_adds"] / ours["median"] / peak if peak else 0.0
            goal, met = _goal(work, threads, ours["median"], ratio, part)
            body.append(
                [
                    work.id,
                    work.title,
                    work.unit,
                    _cell(ours),
                    f"{duration(best[1])} ({TITLES[best[0]]})" if best else "-",
                    f"{ratio:.2f} (1/{1 / ratio:.2f})" if ratio else "-",
                    goal,
                    met,
                    f"{part:.0%}" if part >= 0.005 else "-",
                ]
            )
        plural = f"{threads} thread{'s' * (threads != 1)}"
        lines += [f"## {plural}", ""]
        head = ["row", "work", "time of a", "retrograd", "best peer", "ratio", "goal", "", "of the FMA peak"]
        lines += [*_table(head, body), "", f"All implementations, {plural}:", ""]
        titles = {"retrograd-auto": "retrograd, threads chosen by it", **TITLES}
        lines += [*_table(["row", *(titles.get(n, n) for n in names)], details), ""]
    if lines:
        lines += [
            "`±`: half the distance between the fastest and the slowest repeat, where above 5 %. `*`: some "
            "repeats stayed disturbed by other work on the machine, or by two threads on one core. `-`: not "
            "in this row.",
            "",
        ]
    return lines


def _threads(single: list[Result]) -> list[str]:
    """What more threads bring, and whether retrograd chooses their number well."""
    one = {
        row["work"]["row"]: row["results"].get("retrograd", {}).get("median")
        for row in single
        if row["threads"] == 1
    }
    body = []
    for row in single:
        base, name = one.get(row["work"]["row"]), row["work"]["row"]
        more = row["results"].get("retrograd", {}).get("median")
        auto = row["results"].get("retrograd-auto", {}).get("median")
        if row["threads"] < 2 or base is None or more is None:
            continue
        better = min(base, more)
        body.append(
            [
                name,
                str(row["threads"]),
                f"{base / more:.2f}",
                f"{auto / better:.2f}" if auto else "-",
                ("met" if auto <= 1.05 * better else "**missed**") if auto else "-",
            ]
        )
    if not body:
        return []
    auto_title = "chosen by retrograd: time over the better of both"
    head = ["row", "threads", "speed-up over one", auto_title, "at most 1.05"]
    return ["## Threads", "", *_table(head, body), ""]


def _contention(rows: list[Result]) -> list[str]:
    """Whether the number of threads is well chosen beside busy processes."""
    body = []
    for row in rows:
        results = [row["results"].get(n, {}) for n in ("retrograd-one", "retrograd-auto", "retrograd")]
        one, auto = (result.get("median") for result in results[:2])
        ratio = auto / one if one and auto else None
        allowed = contention.LIMIT
        body.append(
            [
                row["work"]["row"],
                str(row["work"]["busy"]),
                *(_cell(result) for result in results),
                f"{ratio:.2f}" if ratio else "-",
                "-" if ratio is None else "met" if ratio <= allowed else "**missed**",
            ]
        )
    if not body:
        return []
    head = ["row", "busy processes", "one thread", "chosen by retrograd", "two threads", "chosen over one"]
    works = {row["work"]["row"]: row["work"]["title"] for row in rows}
    return [
        "## Contention",
        "",
        "Time of a step on two CPUs beside processes that never pause, the first on one CPU, the second on "
        "the other. Two threads asked for are shown for information.",
        "",
        *(f"- {name}: {title}" for name, title in works.items()),
        "",
        *_table([*head, f"at most {contention.LIMIT}"], body),
        "",
    ]


def _predicted(row: Result) -> list[str]:
    """What retrograd said it would take, what it took of that, and whether that is near enough."""
    result = row["results"].get("retrograd", {})
    predicted = result.get("notes", {}).get("planned_bytes")
    if not predicted or "memory_peak" not in result:
        return ["-", "-", "-"]
    part = (result["memory_peak"] - result["memory_before"]) / predicted
    near = "met" if abs(part - 1) <= MEMORY_LIMIT else "**missed**"
    return [f"{predicted / 1e6:.1f}", f"{part:.0%}", near if predicted >= MEMORY_LEAST else "-"]


def _memory(single: list[Result]) -> list[str]:
    body = []
    names = [n for n in MODULES if any("memory_peak" in row["results"].get(n, {}) for row in single)]
    names = [n for n in names if n not in OURS[1:]]
    for row in single:
        if row["work"]["kind"] != "train":
            continue
        cells = []
        for name in names:
            result = row["results"].get(name, {})
            if "memory_peak" not in result:
                cells.append("-")
                continue
            grown = result["memory_peak"] - result["memory_before"]
            cells.append(f"{result['memory_peak'] / 1e6:.0f} (+{grown / 1e6:.1f})")
        body.append([row["work"]["row"], str(row["threads"]), *cells, *_predicted(row)])
    if not body:
        return []
    return [
        "## Peak memory",
        "",
        "MB of the whole process after the first epochs (VmHWM), and how much of it came after the library "
        "and the data were loaded and a network of a few units was trained. Then what retrograd's "
        "`trainer.summary()` predicts of that: parameters, gradients, optimizer, workspace; and how much of "
        f"the predicted really came, which has to be within {MEMORY_LIMIT:.0%} of it where it is at least "
        f"{MEMORY_LEAST / 1e6:.0f} MB: allocator and Python take some 0.1 MB of their own.",
        "",
        *_table(["row", "threads", *(TITLES.get(n, n) for n in names), "predicted", "came of it", ""], body),
        "",
    ]


def _checks(run: Result) -> list[str]:
    body = []
    for row in run["rows"]:
        for name, result in row["results"].items():
            check, who = result.get("check"), [row["id"], str(row["threads"]), TITLES.get(name, name)]
            if check is None:
                if result.get("failed"):
                    body.append([*who, "-", result["error"]])
            elif not check["same_work"]:
                body.append([*who, f"{check['relative']:.1e}", "not the same work"])
    lines = [
        "## Checks",
        "",
        "Every implementation began with the same weights and saw the same rows in the same order; the loss "
        "after the same number of steps, computed in float64 from its weights, must agree with retrograd's "
        "to 1e-3. Predictions must agree with those computed in float64.",
        "",
    ]
    if not body:
        return [*lines, "All agreed.", ""]
    return [*lines, *_table(["row", "threads", "implementation", "relative difference", ""], body), ""]


def jumps(rows: list[Result]) -> dict[str, tuple[float, int]]:
    """For each implementation the worst CPU time per multiply-add over that of a smaller width, and where."""
    worst: dict[str, tuple[float, int]] = {}
    names = {name for row in rows for name in row["results"]}
    for name in names:
        least = float("inf")
        for row in sorted(rows, key=lambda r: r["work"]["point"]):
            cpu = row["results"].get(name, {}).get("cpu_median")
            if cpu is None:
                continue
            cost = cpu / row["multiply_adds"]
            least = min(least, cost)
            worst[name] = max(worst.get(name, (0.0, 0)), (cost / least, row["work"]["point"]))
    return worst


def _curve(name: str, rows: list[Result], plot: Path | None) -> list[str]:
    rows = sorted(rows, key=lambda r: r["work"]["point"])
    names = [n for n in MODULES if any("median" in row["results"].get(n, {}) for row in rows)]
    lines = [f"## {name}", "", f"{rows[0]['work']['title']}.", ""]
    if plot:
        lines += [f"![{name}]({plot.name})", ""]
    by_cpu = name == "W11"
    body = []
    for row in rows:
        cells = []
        for n in names:
            result = row["results"].get(n, {"refused": True})
            if by_cpu and "cpu_median" in result:
                cost = result["cpu_median"] / row["multiply_adds"]
                cells.append(f"{cost * 1e12:.1f} ps ({_cell(result)})")
            else:
                cells.append(_cell(result))
        body.append([str(row["work"]["point"]), *cells])
    if by_cpu:
        lines += ["CPU time of all threads per multiply-add, and the time of a step in brackets.", ""]
    lines += [*_table(["", *(TITLES.get(n, n) for n in names)], body), ""]
    if by_cpu:
        for n, (jump, width) in sorted(jumps(rows).items(), key=lambda item: names.index(item[0])):
            goal = f"; goal {LIMIT}: {'met' if jump <= LIMIT else '**missed**'}" if n == "retrograd" else ""
            who = TITLES.get(n, n)
            lines.append(f"- {who}: at most {jump:.2f} times a smaller width, at w = {width}{goal}")
        lines.append("")
    return lines


def _plot(name: str, rows: list[Result], path: Path) -> bool:
    try:
        import matplotlib as mpl
    except ImportError:
        return False
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    rows = sorted(rows, key=lambda r: r["work"]["point"])
    figure, axes = plt.subplots(figsize=(6.4, 4.4), layout="constrained")
    for n in MODULES:
        found = [(row, row["results"][n]) for row in rows if "median" in row["results"].get(n, {})]
        if not found:
            continue
        x = [row["work"]["point"] for row, _ in found]
        if name == "W11":
            y = [result["cpu_median"] / row["multiply_adds"] * 1e12 for row, result in found]
        else:
            y = [result["median"] * 1e3 for _, result in found]
        width = 2.2 if n == "retrograd" else 1.2
        axes.plot(x, y, marker="o", markersize=3.5, linewidth=width, label=TITLES.get(n, n))
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks([row["work"]["point"] for row in rows], minor=False)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.yaxis.set_minor_formatter(lambda value, _: f"{value:g}" if f"{value:e}"[0] in "25" else "")
    axes.tick_params(axis="x", labelsize=8, rotation=45 if len(rows) > 9 else 0)
    axes.set_xlabel("w" if name == "W11" else name.partition("-")[2])
    axes.set_ylabel("CPU time per multiply-add, ps" if name == "W11" else "time of a step, ms")
    axes.set_title(rows[0]["work"]["title"].partition(":")[0], fontsize=9)
    axes.grid(True, which="major", alpha=0.3)
    axes.legend(fontsize=8)
    figure.savefig(path, dpi=130)
    plt.close(figure)
    return True


def write(run: Result, stem: Path) -> list[Path]:
    """The table, and a plot for each curve; says which files."""
    single, contended, curves = _groups(run)
    made = [stem.with_suffix(".json")]
    lines = _head(run) + _rows(run, single) + _threads(single) + _contention(contended) + _memory(single)
    for name, rows in curves.items():
        path = stem.with_name(f"{stem.name}-{name.lower()}.png")
        drawn = _plot(name, rows, path)
        if drawn:
            made.append(path)
        lines += _curve(name, rows, path if drawn else None)
    lines += _checks(run)
    table = stem.with_suffix(".md")
    table.write_text("\n".join(lines).rstrip() + "\n")
    return [table, *made]
