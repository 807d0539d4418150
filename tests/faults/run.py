"""The fault suite: see README.md beside this file.

    run.py [GROUP…] [--short] [--list] [--only WORDS] [--json FILE]
    run.py storm [--minutes N] [--seed N] [--several]
"""

import argparse
import json
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))
sys.path.insert(0, str(Path(__file__).resolve().parent))

import _pytest.outcomes  # noqa: E402

from suite import beds, scenarios, storm  # noqa: E402
from suite.scenario import Result, run  # noqa: E402

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
        for result in run_all(chosen):
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
            if bed is None or bed.name != key[1]:
                if bed:
                    bed.close()
                bed = None
                try:
                    bed = beds.Bed(key[1], **beds.BEDS[key[1]])
                except SKIPPED as error:
                    words = str(error).removeprefix("skipped: ")
                    yield from (Result(one, skipped=words) for one in group)
                    continue
            for one in group:
                yield run(bed, one)
    finally:
        if bed:
            bed.close()


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
