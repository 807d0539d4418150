"""Other people's examples, planned, built, run and judged: see README.md beside this file.

    run.py --from FOLDER [--manifest FILE] [--only WORDS]… [--json FILE] [--keep] [--railpack PROGRAM --buildkit ADDRESS]
"""

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from suite import cases, compare, engine, table  # noqa: E402
from suite.ours import Ours  # noqa: E402
from suite.railpack import Railpack  # noqa: E402
from suite.trial import Trial, judge_example  # noqa: E402

HERE = Path(__file__).resolve().parent


def main():
    """Runs what is asked for; 0 when nothing failed."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    asked = arguments()
    examples = cases.read(Path(asked.folder), cases.Manifest.read(Path(asked.manifest)), asked.only)
    work = Path(asked.work or tempfile.mkdtemp(prefix="click-deploy-examples-"))
    work.mkdir(parents=True, exist_ok=True)
    mine = engine.Engine(asked.cgroup_parent, asked.memory)
    builders = [Ours(mine, asked.planner, asked.base_images)]
    if asked.railpack:
        builders.append(Railpack(mine, asked.railpack, asked.buildkit, asked.railpack_frontend, asked.railpack_settings, asked.railpack_registry))
    else:
        print("skipped: railpack (no --railpack PROGRAM)")
    print(table.head(builders), flush=True)
    results = []
    try:
        for number, example in enumerate(examples):
            # Who begins changes, so that neither always finds the machine as the other left it.
            for result in judge(example, builders[:: -1 if number % 2 else 1], work, asked.keep):
                results.append(result)
            print(table.line(results, example.name, builders), flush=True)
    finally:
        mine.remove_all(asked.keep)
        print(table.sums(results, builders))
        if asked.railpack:
            print(compare.summary(results))
        if asked.json:
            Path(asked.json).write_text(json.dumps([one.as_json() for one in results], indent=1) + "\n")
        print(f"logs: {work}")
    ours = [one.verdict for one in results if one.builder == Ours.name]
    return 1 if not ours or "FAILED" in ours else 0


def judge(example, builders, work, keep):
    """A result of each builder; what has a sentence in the manifest is skipped by it."""
    for builder in builders:
        began = time.monotonic()
        if example.skipped and builder.counts_manifest:
            result = Trial(example.name, builder.name, "skipped", example.skipped)
        else:
            result = judge_example(example, builder, work, keep)
        result.seconds, result.load = round(time.monotonic() - began, 1), round(os.getloadavg()[0], 1)
        yield result


def arguments():
    """What is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--from", dest="folder", required=True, metavar="FOLDER", help="each folder in it is an example with a test.json, or the manifest names those that are")
    parser.add_argument("--only", action="append", metavar="WORDS", help="only examples whose name matches one of these: python, ^node-npm$")
    parser.add_argument("--json", metavar="FILE", help="write the results there")
    parser.add_argument("--keep", action="store_true", help="keep images and the examples' copies")
    parser.add_argument("--work", metavar="FOLDER", help="for copies and logs (default: a new temporary folder)")
    parser.add_argument("--manifest", default=HERE / "railpack.toml", metavar="FILE", help="what cannot be served here, and what differs; or the applications and what is expected of them")
    parser.add_argument("--memory", default="512m", metavar="SIZE", help="a container's limit (default: 512m)")
    parser.add_argument("--cgroup-parent", metavar="GROUP", help="of builds and containers, for instance one with a low share of the CPUs")
    parser.add_argument(
        "--planner",
        default=os.environ.get("CLICK_DEPLOY_TEST_PLANNER"),
        metavar="PROGRAM",
        help="the planner crate's example `plan`, compiled (default: $CLICK_DEPLOY_TEST_PLANNER)",
    )
    parser.add_argument(
        "--base-images",
        default=os.environ.get("CLICK_DEPLOY_TEST_BASE_IMAGE_PROGRAM"),
        metavar="PROGRAM",
        help="called with the names of base images (default: $CLICK_DEPLOY_TEST_BASE_IMAGE_PROGRAM)",
    )
    parser.add_argument("--railpack", metavar="PROGRAM", help="builds with Railpack too")
    parser.add_argument("--buildkit", metavar="ADDRESS", help="the buildkitd that Railpack uses; buildctl is on PATH")
    parser.add_argument("--railpack-frontend", metavar="IMAGE", help="its BuildKit frontend (default: the published one of the program's version)")
    parser.add_argument("--railpack-registry", metavar="HOST:PORT", help="its images go through it, layer by layer (default: `docker load` of the whole)")
    parser.add_argument("--railpack-settings", metavar="FILE", help="lines NAME=VALUE: what its steps need to reach package registries from here")
    asked = parser.parse_args()
    if not asked.planner:
        parser.error("--planner or CLICK_DEPLOY_TEST_PLANNER is needed")
    if asked.railpack and not asked.buildkit:
        parser.error("--railpack needs --buildkit")
    return asked


if __name__ == "__main__":
    sys.exit(main())
