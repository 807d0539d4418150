"""The fault suite: see README.md beside this file.

    run.py [GROUP…] [--short] [--list] [--only WORDS] [--at-once N] [--json FILE]
    run.py storm [--minutes N] [--seed N] [--several]
"""

import argparse
import json
import multiprocessing
import queue
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))
sys.path.insert(0, str(Path(__file__).resolve().parent))

import _pytest.outcomes  # noqa: E402

from suite import beds, scenarios, storm  # noqa: E402
from suite.scenario import Result, run  # noqa: E402

# Scenarios that one process takes at a time when several run at once: a bed is made for each such part.
PART = 20
# A scenario whose bed cannot be made is skipped by the name of what is absent, as the other tests are.
SKIPPED = (beds.Absent, _pytest.outcomes.Skipped)


def main():
    """Runs what is asked for; 0 when nothing failed."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=f"{', '.join(scenarios.GROUPS)}; or storm")
    parser.add_argument("--short", action="store_true", help="a dozen scenarios that take two minutes at most")
    parser.add_argument("--list", action="store_true", help="print the scenarios and run none")
    parser.add_argument("--only", action="append", metavar="WORDS", help="only scenarios whose name has these words in it")
    parser.add_argument("--at-once", type=int, default=1, metavar="N", help="scenarios that run beside one another, each on a bed of its own")
    parser.add_argument("--json", metavar="FILE", help="write the results there")
    parser.add_argument("--minutes", type=float, default=20, help="of the storm")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of the storm: the same seed makes the same schedule")
    parser.add_argument("--several", action="store_true", help="the storm is over two API processes and two workers on one database")
    asked = parser.parse_args()
    if asked.groups == ["storm"]:
        return storm.main(asked.minutes, asked.seed, asked.several)
    if unknown := set(asked.groups) - set(scenarios.GROUPS):
        parser.error(f"no group {', '.join(sorted(unknown))}; groups: {', '.join(scenarios.GROUPS)}")
    chosen = scenarios.scenarios(asked.groups, asked.only, asked.short)
    if asked.list:
        for one in chosen:
            print(f"{one.group:<11} {one.name}{'  (short)' if one.short else ''}")
        return 0
    results = []
    try:
        for result in run_beside(chosen, asked.at_once) if asked.at_once > 1 else run_all(chosen):
            results.append(result)
            print(line(result), flush=True)
            for broken in result.broken:
                print(f"    {broken}", flush=True)
    finally:
        report(results, asked.json)
    return 1 if not results or any(one.broken for one in results) else 0


def run_all(chosen):
    """Runs the scenarios, those of one bed together."""
    order = list(dict.fromkeys((one.group, one.bed) for one in chosen))
    bed = None
    try:
        for key in order:
            group = [one for one in chosen if (one.group, one.bed) == key]
            for one in group:
                try:
                    bed = bed_for(one, bed)
                except SKIPPED as error:
                    bed = None
                    yield Result(one, skipped=str(error).removeprefix("skipped: "))
                    continue
                yield run(bed, one)
    finally:
        if bed:
            bed.close()


def bed_for(scenario, bed):
    """The bed of a scenario: the one that is there, if it is of the right kind and was not spoiled."""
    if bed and bed.name == scenario.bed and not bed.spoiled:
        return bed
    if bed:
        bed.close()
    return beds.Bed(scenario.bed, **beds.BEDS[scenario.bed])


def run_beside(chosen, count):
    """The same in several processes, each with beds of its own; what takes longest begins first."""
    by_bed = {}
    for one in chosen:
        by_bed.setdefault((one.group, one.bed), []).append(one)
    parts = [group[start : start + PART] for group in sorted(by_bed.values(), key=len, reverse=True) for start in range(0, len(group), PART)]
    context = multiprocessing.get_context("spawn")
    asked, answered = context.Queue(), context.Queue()
    for part in [*parts, *[None] * count]:
        asked.put(part)
    processes = [context.Process(target=_take_parts, args=(asked, answered)) for _ in range(count)]
    ended = 0
    try:
        for process in processes:
            process.start()
        while ended < count:
            try:
                result = answered.get(timeout=5)
            except queue.Empty:
                # One that broke down says nothing more.
                if dead := [process for process in processes if process.exitcode]:
                    raise RuntimeError(f"{len(dead)} of the processes that run scenarios ended") from None
                continue
            if result is None:
                ended += 1
            else:
                yield result
    finally:
        for process in processes:
            # Those that have run everything end by themselves.
            if ended < count:
                process.terminate()
        for process in processes:
            process.join(120)


def _take_parts(asked, answered):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    while part := asked.get():
        for result in run_all(part):
            # Errors cannot travel between processes as they are.
            result.broken = [str(one) for one in result.broken]
            answered.put(result)
    answered.put(None)


def line(result):
    """A line of the table."""
    one = result.scenario
    told = f"  skipped: {result.skipped}" if result.skipped else f"  ({result.end})"
    return f"{result.outcome:<8} {one.group:<11} {result.seconds:6.1f} s  {one.name}{told}"


def report(results, file):
    """The table of groups, and the line that counts."""
    print(f"\n{'group':<12} {'scenarios':>9} {'injected':>9} {'survived':>9} {'skipped':>8} {'seconds':>8}")
    for group in dict.fromkeys(one.scenario.group for one in results):
        of_it = [one for one in results if one.scenario.group == group]
        count = [len(of_it), sum(one.injected for one in of_it), sum(one.outcome == "passed" for one in of_it), sum(one.outcome == "skipped" for one in of_it)]
        print(f"{group:<12} {count[0]:>9} {count[1]:>9} {count[2]:>9} {count[3]:>8} {sum(one.seconds for one in of_it):>8.0f}")
    outcomes = [one.outcome for one in results]
    print(f"\n{outcomes.count('passed')} passed, {outcomes.count('FAILED')} failed, {outcomes.count('skipped')} skipped", flush=True)
    if file:
        rows = [
            {
                "group": one.scenario.group, "scenario": one.scenario.name, "outcome": one.outcome, "injected": one.injected, "end": one.end,
                "seconds": round(one.seconds, 1), "broken": [str(broken) for broken in one.broken], "skipped": one.skipped,
            }
            for one in results
        ]  # fmt: skip
        Path(file).write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
