"""The command line: which rows, which implementations, how carefully."""

from __future__ import annotations

import argparse
import datetime
import json
import os
import re
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import machine, peers, report, rows
from bench.measure import Options, Row

if TYPE_CHECKING:
    from bench.work import Work

_HERE = Path(__file__).resolve().parent


def _parser() -> argparse.ArgumentParser:
    names = list(dict.fromkeys(work.row for work in rows.ALL))
    others = [name for name in peers.MODULES if name not in peers.OURS]
    parser = argparse.ArgumentParser(
        prog="bench", description="retrograd beside other libraries, on the same work, in one run"
    )
    parser.add_argument("--rows", help=f"comma-separated; all unless given: {', '.join(names)}")
    parser.add_argument("--peers", help=f"comma-separated; all unless given: {', '.join(others)}")
    parser.add_argument("--threads", default="1,2", help="comma-separated (default: %(default)s)")
    parser.add_argument("--repeats", type=int, help="default: 5, with --quick 2")
    parser.add_argument("--seconds", type=float, help="of a repeat, at least; default 0.6, with --quick 0.05")
    parser.add_argument("--tries", type=int, help="for a disturbed repeat; default 6, with --quick 1")
    parser.add_argument("--quick", action="store_true", help="does everything run? the times mean nothing")
    parser.add_argument("--load-limit", type=float, default=300.0, help="seconds to import and compile")
    parser.add_argument("--out", type=Path, default=_HERE / "results", help="folder of the results")
    parser.add_argument("--render", type=Path, metavar="JSON", help="write table and plots of a run again")
    parser.add_argument("--list", action="store_true", help="show the rows and what would run, and end")
    return parser


def _known(wanted: list[str], known: list[str], what: str) -> list[str]:
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise SystemExit(f"bench: unknown {what}: {', '.join(unknown)}; there are {', '.join(known)}")
    return wanted


def _peers(given: str | None) -> list[str]:
    known = [name for name in peers.MODULES if name not in peers.OURS]
    return known if given is None else _known(given.split(","), known, "peer")


def _rows(given: str | None) -> list[str]:
    """W4a stands for W4a-128 and W4a-32, W4 for all four, S for all curves, C for all about contention."""
    known = list(dict.fromkeys(work.row for work in rows.ALL))
    if given is None:
        return known
    wanted: list[str] = []
    for name in given.split(","):
        wanted += [row for row in known if re.match(rf"{re.escape(name)}([-ab]|$)", row)] or [name]
    return _known(wanted, known, "row")


def _plan(options: argparse.Namespace) -> list[tuple[Work, int]]:
    wanted = _rows(options.rows)
    usable = len(os.sched_getaffinity(0))
    threads = [int(n) for n in options.threads.split(",")]
    plan = []
    for work in rows.ALL:
        if work.row not in wanted:
            continue
        if options.quick and work.busy is None and work.point not in (None, 32, 64, 1, 2):
            continue
        for n in work.threads or threads:
            if n > usable:
                print(f"bench: {work.id} left out: {n} threads, {usable} CPUs", file=sys.stderr)
                continue
            plan.append((work, n))
    return plan


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower().replace("(r)", "").replace("(tm)", "")).strip("-")


def main(arguments: list[str] | None = None) -> int:
    """Runs the benchmarks; 0 if every check of retrograd passed."""
    options = _parser().parse_args(arguments)
    if options.render:
        for path in report.write(json.loads(options.render.read_text()), options.render.with_suffix("")):
            print(path)
        return 0
    wanted = [*peers.OURS, *_peers(options.peers)]
    missing = {name: reason for name in wanted if (reason := peers.missing(name))}
    if "retrograd" in missing:
        raise SystemExit(
            "bench: retrograd is not installed; install it, or put its python folder on PYTHONPATH"
        )
    names = [name for name in wanted if name not in missing]
    plan = _plan(options)
    if options.list:
        for work, threads in plan:
            print(f"{work.id:14} threads {threads or 'default'}: {work.title}")
        print("implementations:", ", ".join(names))
        for name, reason in missing.items():
            print(f"missing: {name}: {reason}")
        return 0

    def or_else(value: Any, full: Any, quick: Any) -> Any:
        return value if value is not None else quick if options.quick else full

    how = Options(
        repeats=or_else(options.repeats, 5, 2),
        min_seconds=or_else(options.seconds, 0.6, 0.05),
        tries=or_else(options.tries, 6, 1),
        load_limit=options.load_limit,
    )
    counts = tuple(sorted({max(n, 1) for _, n in plan} | {1}))
    probe = machine.Probe(machine.pick_cpus(max(counts)))
    started = time.monotonic()
    now = datetime.datetime.now(datetime.UTC)
    stem = options.out / f"{now:%Y-%m-%d}-{_slug(machine.cpu_name())}{'-quick' if options.quick else ''}"
    options.out.mkdir(parents=True, exist_ok=True)
    run: dict[str, Any] = {
        "when": now.isoformat(timespec="seconds"),
        "quick": options.quick,
        "options": vars(how),
        "machine": machine.describe(),
        "missing": missing | peers.NOT_RUN,
        "probe": probe.measure(counts, options.quick),
        "rows": [],
    }
    ok = True
    try:
        for number, (work, threads) in enumerate(plan, 1):
            print(f"[{number}/{len(plan)}] {work.id}, threads {threads or 'default'}", flush=True)
            curve = work.point is not None and work.busy is None
            few = curve and options.seconds is None and not options.quick
            careful = replace(how, min_seconds=how.min_seconds / 2) if few else how
            row = Row(work, threads, names, careful, probe, lambda text: print(text, flush=True)).measure()
            run["rows"].append(row)
            run["took_seconds"] = time.monotonic() - started
            ours = row["results"].get("retrograd", {})
            ok = ok and ours.get("check", {}).get("same_work", False)
            print(report.line(row), flush=True)
            # after every row: a run that is broken off leaves what it has
            stem.with_suffix(".json").write_text(json.dumps(run, indent=1) + "\n")
        run["probe"] = probe.measure(counts, options.quick, run["probe"])
        run["took_seconds"] = time.monotonic() - started
        stem.with_suffix(".json").write_text(json.dumps(run, indent=1) + "\n")
    finally:
        probe.close()
    for path in report.write(run, stem):
        print(path)
    return 0 if ok else 1
