"""kill -9 of the server in each phase of a deployment, many times."""

import argparse
import sys
import time
import traceback
from collections import Counter

from stage import stage

from bed import kills


def main():
    """Runs, and counts."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--times", type=int, default=20)
    arguments.add_argument("--phase", action="append", choices=kills.PHASES)
    arguments.add_argument("--seed", type=int, default=int(time.time()))
    asked = arguments.parse_args()
    print(f"seed {asked.seed}")
    ends, wrong = Counter(), 0
    with stage() as (platform, project, image):
        for phase in asked.phase or kills.PHASES:
            victim = kills.Victim(platform, project, image, asked.seed)
            for number in range(1, asked.times + 1):
                try:
                    told = victim.kill_once(phase)
                    ends[f"{phase}: {told['end']}"] += 1
                    print(f"{phase} {number}: killed at {told['reached']}, ended {told['end']}, {told['asked']} pages", flush=True)
                except AssertionError as error:
                    wrong += 1
                    print(f"{phase} {number}: WRONG: {error}", flush=True)
                    traceback.print_exc()
                    print(platform.serve.tail(40), flush=True)
                    if not platform.serve.running:
                        platform.start_serve()
                    victim = kills.Victim(platform, project, image, asked.seed + number)
            victim.remove()
    print(f"{wrong} wrong of {sum(ends.values()) + wrong}: {dict(ends)}")
    return 1 if wrong else 0


sys.exit(main())
