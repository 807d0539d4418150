"""Redeployments under load, with a WebSocket of another application that has to stay open."""

import argparse
import sys
import time

from stage import stage

from bed.load import Load, OpenSocket


def main():
    """Runs, and counts."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--times", type=int, default=100)
    arguments.add_argument("--rate", type=int, default=500, help="requests a second")
    arguments.add_argument("--replicas", type=int, default=1)
    asked = arguments.parse_args()
    with stage() as (platform, project, image):
        api = platform.api
        services = []
        for name, replicas in (("busy", asked.replicas), ("other", 1)):
            service = api.service(project, name, {"kind": "image", "reference": image}, replicas=replicas, drain_timeout_seconds=10)
            api.set_variables(service["id"], TEXT="version 0")
            api.up(service["id"])
            services.append(service)
        busy, other = services
        began = time.monotonic()
        with OpenSocket(platform, other["url"]) as socket, Load(platform, busy["url"], asked.rate, lambda text: text.startswith("version ")) as load:
            for number in range(1, asked.times + 1):
                started = time.monotonic()
                api.set_variables(busy["id"], TEXT=f"version {number}")
                api.up(busy["id"])
                assert platform.page(busy["url"]) == f"version {number}"
                print(f"{number}: live after {time.monotonic() - started:.2f} s, {load.sent} requests, {len(load.wrong)} wrong", flush=True)
            seconds = time.monotonic() - began
        print(f"{load.sent} requests in {seconds:.0f} s ({load.sent / seconds:.0f}/s), slowest {load.slowest:.2f} s, {len(load.wrong)} wrong: {load.wrong[:5]}")
        print(f"WebSocket: {socket.echoes} messages, {socket.broken or 'open throughout'}")
        return 1 if load.wrong or socket.broken else 0


sys.exit(main())
