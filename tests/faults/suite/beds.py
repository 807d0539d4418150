"""Beds: a platform with the counterparts of its own that a group of scenarios needs, and all that a fault can be done to:
`programs` (killed, frozen, stopped), `links` (refusing, slow, silent, half open), `disks` (full), the `clock` (jumps)."""

import contextlib
import glob
import os
import shutil
import tempfile
import time
import uuid
from pathlib import Path

import httpx

from bed import counterparts, database, own, sources
from bed.fleet import Fleet
from bed.platform import Platform
from bed.processes import wait_until
from bed.relay import Relay

from .faults import Clock, Disk
from .state import State

# What each bed is made of.
BEDS = {
    "embedded": {},
    "engine": {"own_engine": True},
    "remote": {"remote": True},
    "data": {"disks": {"data": ("platform/data", 24)}},
    "work": {"disks": {"work": ("platform/data/work", 4)}},
    "log": {"disks": {"log": ("platform/log", 1)}},
    # Where the engine keeps images and instances, and where a database server keeps all that it has.
    "images": {"own_engine": True, "disks": {"images": ("engine/docker", 1000)}},
    "images-remote": {"own_engine": True, "remote": True, "disks": {"images": ("engine/docker", 1000)}},
    "disk-postgresql": {"state": "postgresql", "disks": {"database": ("postgresql/databases", 400)}},
    "disk-mariadb": {"state": "mariadb", "disks": {"database": ("mariadb/databases", 400)}},
    "clock": {"clock": True},
    "whole": {"own_engine": True, "remote": True},
    "postgresql": {"state": "postgresql"},
    "mariadb": {"state": "mariadb"},
    # Two API processes and two workers.
    "several-postgresql": {"state": "postgresql", "several": True},
    "several-mariadb": {"state": "mariadb", "several": True},
    "whole-several": {"own_engine": True, "remote": True, "state": "postgresql", "several": True},
}
# What one worker does for all.
LEADERS = ("reconciler", "output", "build-cache")
# Targets that are found when the fault begins: who has the action's job, the other worker, and the leaders.
ROLES = ("worker", "beside", *LEADERS)


class Absent(Exception):
    """What a bed needs is not here; the message names it."""


class Bed:
    """One bed. Closed, it leaves nothing behind, whatever state it is in."""

    def __init__(self, name, own_engine=False, remote=False, disks=None, clock=False, state=None, several=False):
        self.name = name
        self.programs, self.links, self.disks, self.clock = {}, {}, {}, None
        self.pushed = None
        # Something in it did not come back after a scenario.
        self.spoiled = False
        # The processes of the platform, and how the job that a fault is about is found.
        self.members, self.job = [], lambda: None
        self._undo = contextlib.ExitStack()
        # Sockets have short paths, and the engine adds to its own.
        self.folder = Path(tempfile.mkdtemp(prefix="cdf-", dir="/tmp"))
        self._undo.callback(shutil.rmtree, self.folder, ignore_errors=True)
        try:
            self._make(own_engine, remote, disks or {}, clock, state, several)
        except BaseException:
            self.close()
            raise

    def _make(self, own_engine, remote, disks, clock, kind, several):
        self.image = self._application()
        for key, (folder, megabytes) in disks.items():
            disk = self.disks[key] = Disk(self.folder / folder, megabytes)
            self._undo.callback(disk.remove)
        engine_address, settings = counterparts.need("docker"), {}
        if own_engine:
            engine = self.programs["engine"] = own.engine(self.folder)
            self._undo.callback(engine.remove)
            self.start("engine")
            engine_address = engine.address
            own.give_images(engine.address, self.image, sources.BASE_IMAGE)
        self._link("engine", self.folder / "engine.sock", engine_address)
        if remote:
            registry = self.programs["registry"] = own.registry(self.folder)
            builder = self.programs["buildkit"] = own.buildkitd(self.folder)
            for program in (registry, builder):
                self._undo.callback(program.kill)
            self._undo.callback(builder.clean)
            self.start("registry")
            self.start("buildkit")
            link = self._link("registry", "tcp", f"tcp://{registry.address}")
            # In this form images come from registries alone.
            pushed = f"127.0.0.1:{link.port}/faults/{self.image.rpartition('/')[2]}"
            counterparts.docker("tag", self.image, pushed)
            self.image = self.pushed = pushed
            self._push()
            builder_link = self._link("buildkit", self.folder / "buildkit.sock", builder.address)
            settings = {"BUILDKIT_HOST": builder_link.address, "REGISTRY_URL": f"http://127.0.0.1:{link.port}/team"}
        state = self._database(kind) if kind else None
        settings |= {
            "docker_host": self.links["engine"].address, "engine": engine_address, "state": state, "CLICK_DEPLOY_LOG": "info,engine=debug",
            # What nothing else ends, its deadline does; nobody waits half an hour for that here.
            "BUILD_DEADLINE_SECONDS": "90",
        }  # fmt: skip
        folder = self.folder / "platform"
        platform = self.platform = Fleet(folder, kind, **settings) if several else Platform(folder, **settings)
        self._undo.callback(self._end_platform)
        # A socket in the file system: by a port of the relay's, Caddy would see a host that is not its own, and refuse.
        platform.proxy_admin = f"unix://{self.folder}/caddy.sock"
        platform.caddy.environment["CLICK_DEPLOY_PROXY_ADMIN"] = f"unix/{self.folder}/caddy.sock"
        admin = self._link("proxy-admin", self.folder / "admin.sock", platform.proxy_admin)
        platform.environment["PROXY_ADMIN_URL"] = admin.address
        if "log" in self.disks:
            platform.serve.log = self.disks["log"].folder / "serve.log"
        if clock:
            self.clock = Clock(faketime(), self.folder / "clock")
            platform.environment.update(self.clock.environment)
        if several:
            self._members(platform, admin.address)
        else:
            self.members = [platform.serve]
            self.programs["server"] = platform.serve
        self.programs["proxy"] = platform.caddy
        platform.start()
        self.state = State(platform)
        self.project = platform.api.project("faults")
        self.repository = sources.Repository(self.folder / "repository")

    def _application(self):
        counterparts.image_needed(sources.BASE_IMAGE)
        name = f"click-deploy-e2e/app:{uuid.uuid4().hex[:12]}"
        context = sources.write_files(self.folder / "image", sources.app_files("image"))
        # Of its own even where the content is the same: an image is removed with all its names.
        counterparts.docker("build", "--quiet", "--label", f"click-deploy-e2e={name}", "--tag", name, str(context))
        self._undo.callback(counterparts.remove_image, name)
        return name

    def _push(self):
        counterparts.docker("push", "--quiet", self.pushed)

    def users_image_is_there(self):
        """Whether the image that a user brought is still in the registry."""
        host, _, path = self.pushed.partition("/")
        name, _, tag = path.partition(":")
        kinds = "application/vnd.docker.distribution.manifest.v2+json,application/vnd.oci.image.manifest.v1+json"
        address = f"http://{self.programs['registry'].address}/v2/{name}/manifests/{tag}"
        return httpx.head(address, headers={"Accept": kinds}, trust_env=False, timeout=10).status_code == 200

    def _link(self, name, near, target):
        link = self.links[name] = Relay(near, target)
        self._undo.callback(link.cut)
        return link

    def _database(self, kind):
        """A server of its own with a fresh database; the platform reaches it through a relay."""
        server = self.programs["database"] = own.database_server(self.folder, kind)
        self._undo.callback(server.remove)
        self.start("database")
        state = database.Server(kind, server.address)
        link = self._database_link("database", state)
        state.settings = {"DATABASE_URL": state.behind(f"127.0.0.1:{link.port}")}
        return state

    def _database_link(self, name, state):
        return self._link(name, "tcp", f"tcp://{state.parts.hostname}:{state.parts.port}")

    def _members(self, platform, admin):
        """Each process reaches the database by a link of its own; `database` is all of them together."""
        own_links = []
        for member in platform.members:
            link = self._database_link(f"{member.name}-database", platform.database)
            member.environment |= {"PROXY_ADMIN_URL": admin, "DATABASE_URL": platform.database.behind(f"127.0.0.1:{link.port}")}
            self.programs[member.name] = member
            own_links.append(link)
        self.links["database"] = Together(own_links)
        self.members = platform.members

    def who(self, target):
        """What a target is just now: `worker` is the worker that has the action's job, `beside` the other one, `reconciler` the one
        that compares and mends for all; `worker-database` is that one's link."""
        if target in self.programs or target in self.links or target in self.disks:
            return target
        role = next((role for role in ROLES if target == role or target.startswith(role + "-")), None)
        if role is None or not self.members:
            return target
        found = self._leader(role) if role in LEADERS else self._worker(role)
        return found.name + target[len(role) :]

    def _leader(self, role):
        return wait_until(lambda: self.platform.leader(role), 90, f"a worker that does `{role}` for all", 0.1)

    def _worker(self, role):
        workers = self.platform.workers
        job = self.job()
        # A job that nobody has yet is as good as anybody's.
        holder = next((one for one in workers if job and one.running and one.id == job["owner"]), workers[0])
        return holder if role == "worker" else next(one for one in workers if one is not holder)

    def tails(self, lines):
        """The end of the log of each process."""
        return "\n".join(f"--- {one.name}\n{one.tail(lines)}" for one in self.members)

    def _end_platform(self):
        for program in self.programs.values():
            program.thaw()
        for link in self.links.values():
            link.restore()
        for disk in self.disks.values():
            disk.free()
        # What is removed then is asked of both.
        for name in ("database", "engine"):
            if name in self.programs:
                self.start(name)
        self.platform.end()

    def start(self, name):
        """Starts a program again, and returns when it answers."""
        program = self.programs[name]
        if program.running:
            return
        if name == "server":
            self.platform.start_serve()
        elif name == "proxy":
            self.platform.start_caddy()
        elif program in self.members:
            self._start_member(program)
        else:
            if hasattr(program, "clean"):
                program.clean()
            program.start()
            program.up()

    def _start_member(self, member):
        """One that finds no database ends, and is started again, as a supervisor does."""
        end = time.monotonic() + 150
        while True:
            try:
                if not member.running:
                    member.start()
                return wait_until(member.ready, 150, f"{member.name}\n{member.tail()}")
            except RuntimeError:
                if time.monotonic() > end:
                    raise
                time.sleep(1)

    def keep_log(self, scenario):
        """Keeps the end of the server's log for whoever looks into a failure."""
        kept = Path(os.environ.get("CLICK_DEPLOY_HOME", tempfile.gettempdir())) / "faults"
        kept.mkdir(parents=True, exist_ok=True)
        name = "".join(letter if letter.isalnum() else "-" for letter in scenario.name)
        (kept / f"{name[:150]}.log").write_text(self.tails(600))

    def mend(self):
        """Brings everything back after a scenario that broke off."""
        for program in self.programs.values():
            if program.running:
                program.thaw()
        for link in self.links.values():
            link.restore()
            link.bury()
        for disk in self.disks.values():
            disk.free()
        if self.clock:
            self.clock.jump(-self.clock.offset)
        for name in sorted(self.programs, key=lambda name: self.programs[name] in self.members):
            self.start(name)
        wait_until(self.platform.answers, 60, "the server")
        if self.pushed and not self.users_image_is_there():
            self._push()

    def close(self):
        """Removes everything."""
        self._undo.close()


class Together:
    """Links that are harmed and restored as one."""

    def __init__(self, links):
        self._links = links

    def __getattr__(self, name):
        def all_of_them(*arguments):
            for link in self._links:
                getattr(link, name)(*arguments)

        return all_of_them


def faketime():
    """The library that moves a program's clock."""
    found = glob.glob("/usr/lib/*/faketime/libfaketime.so.1")
    if not found:
        raise Absent("faketime (Debian's package faketime is not installed)")
    return found[0]
