"""All scenarios, as data. To add one, add a line."""

from .scenario import Scenario

STEPS = ("provision", "build", "release", "check")
FORWARD = tuple(f"journal {step} {state}" for step in STEPS for state in ("started", "done"))
FAILED = ("failed",)


def _server():
    """kill -9 of the server at each entry of each journal, and at each status of each job."""
    group, fault = "server", "server killed"
    short = {
        ("deploy from Git", "journal build started"),
        ("deploy an image", "journal release started"),
        ("deploy an image", "journal check started"),
        ("deploy an image", "journal check done"),
        ("deploy what ends at once", "journal giving-up started"),
        ("roll back", "journal build done"),
        ("restart", "job restart-service running"),
        ("remove the service", "job remove-service running +0.1"),
    }

    def one(action, moment, **more):
        return Scenario(group, action, fault, moment, short=(action, moment) in short, **more)

    for action in ("deploy from Git", "deploy an image", "redeploy", "roll back"):
        for moment in FORWARD:
            yield one(action, moment)
    yield one("deploy what builds slowly", "journal build started +1.5")
    yield one("deploy what starts slowly", "journal release started +1")
    yield one("deploy what answers slowly", "journal check started +0.7")
    for moment in ("journal release-command started", "journal release-command started +1", "journal release-command done"):
        yield one("deploy with a release command", moment)
    undone = ("journal giving-up started", "journal release undone", "journal build undone", "journal provision undone")
    for moment in undone:
        yield one("deploy what ends at once", moment)
        yield one("deploy what is cancelled", moment)
    for moment in ("journal giving-up started", "journal build undone", "journal provision undone"):
        yield one("deploy what cannot be built", moment)
    for moment in ("journal giving-up started", "journal check undone"):
        yield one("deploy what does not answer", moment)
    jobs = {
        "deploy an image": "deploy",
        "restart": "restart-service",
        "stop": "stop-service",
        "start": "start-service",
        "remove the service": "remove-service",
        "remove the project": "remove-project",
    }
    for action, job in jobs.items():
        for moment in ("waiting", "running", "running +0.1", "running +0.4", "done"):
            # A service's own jobs go with it.
            if not (job == "remove-service" and moment == "done"):
                yield one(action, f"job {job} {moment}")
    for job in ("retire-instances", "prune-images"):
        for moment in ("waiting", "running", "done"):
            yield one("deploy an image", f"job {job} {moment}")
    yield one("deploy an image", "job retire-instances running +0.3")
    # Its lease ends meanwhile; when it wakes up, what it held is nobody's.
    for action in ("deploy what builds slowly", "deploy what starts slowly", "restart"):
        yield Scenario(group, action, "server frozen 20", "+0.8")


def _engine():
    """The engine that builds and runs: killed, hung, refusing, slow, silent, half open."""
    group = "engine"
    for moment in ("journal build started +1", "journal release started +0.3", "journal check started", "job retire-instances running"):
        yield Scenario(group, "deploy what builds slowly", "engine killed 1", moment, bed="engine", or_ends=FAILED, within=240)
    yield Scenario(group, "nothing", "engine killed 1", "+1", bed="engine")
    for moment in ("journal build started +1", "journal release started +0.3"):
        yield Scenario(group, "deploy what builds slowly", "engine frozen 10", moment, bed="engine", or_ends=FAILED, within=240)
    yield Scenario(group, "nothing", "engine frozen 10", "+1", bed="engine")
    yield Scenario(group, "deploy an image", "engine frozen until over", "before", bed="engine", or_ends=FAILED, within=400)
    for action in ("stop", "restart", "remove the service"):
        yield Scenario(group, action, "engine killed 1", "+0.1", bed="engine", or_ends=FAILED, within=240)
    for action in ("deploy an image", "deploy what builds slowly", "deploy what starts slowly"):
        for fault in ("engine refusing 3", "engine slow 5", "engine silent 8", "engine reset"):
            short = (action, fault) == ("deploy what starts slowly", "engine reset")
            yield Scenario(group, action, fault, "+0.7", or_ends=FAILED, within=240, short=short)
    for fault in ("engine refusing 3", "engine slow 5", "engine silent 8", "engine reset"):
        yield Scenario(group, "deploy with a release command", fault, "journal release-command started +0.7", or_ends=FAILED, within=240)
    yield Scenario(group, "deploy with a release command", "engine killed 1", "journal release-command started +0.7", bed="engine", or_ends=FAILED, within=240)
    yield Scenario(group, "deploy an image", "engine refusing until over", "before", or_ends=FAILED, within=240)
    yield Scenario(group, "deploy what ends at once", "engine refusing 5", "journal giving-up started", within=240)
    for action in ("stop", "start", "restart", "remove the service", "remove the project"):
        yield Scenario(group, action, "engine refusing 3", "before", or_ends=FAILED, within=240, short=action == "stop")


def _buildkit():
    """A buildkitd of its own."""
    group, bed = "buildkit", "remote"
    for fault in ("buildkit killed 1", "buildkit frozen 8", "buildkit refusing 3", "buildkit slow 5", "buildkit silent 8", "buildkit reset"):
        yield Scenario(group, "deploy what builds slowly", fault, "journal build started +1.5", bed=bed, or_ends=FAILED, within=240)
    for fault in ("buildkit killed until over", "buildkit refusing until over"):
        yield Scenario(group, "deploy from Git", fault, "before", bed=bed, or_ends=FAILED, within=240)
    for fault in ("buildkit killed 1", "buildkit refusing 3"):
        yield Scenario(group, "deploy what is cancelled", fault, "+0.2", bed=bed, or_ends=FAILED, within=240)


def _registry():
    """A registry that images are pushed to and run from."""
    group, bed = "registry", "remote"
    for fault in ("registry killed 1", "registry frozen 8", "registry refusing 3", "registry slow 5", "registry silent 8", "registry reset"):
        yield Scenario(group, "deploy from Git", fault, "+0.8", bed=bed, or_ends=FAILED, within=240)
    for fault in ("registry killed until over", "registry refusing until over", "registry frozen until over"):
        yield Scenario(group, "deploy from Git", fault, "before", bed=bed, or_ends=FAILED, within=400)
    yield Scenario(group, "remove the service", "registry refusing 3", "before", bed=bed, or_ends=FAILED, within=240)


def _proxy():
    """Caddy, and the way to its admin endpoint."""
    group = "proxy"
    for moment in ("journal build done", "journal release started", "journal check started", "job retire-instances running"):
        yield Scenario(group, "deploy what starts slowly", "proxy killed 1", moment, or_ends=FAILED, short=moment == "journal check started")
    yield Scenario(group, "nothing", "proxy killed 1", "+0.5", short=True)
    yield Scenario(group, "deploy an image", "proxy killed until over", "before", or_ends=FAILED, within=240)
    for action, moment in (("nothing", "+0.5"), ("deploy an image", "journal check started"), ("restart", "job restart-service running")):
        yield Scenario(group, action, "proxy frozen 5", moment, or_ends=FAILED)
    yield Scenario(group, "deploy an image", "proxy frozen until over", "before", or_ends=FAILED, within=240)
    for fault in ("proxy-admin refusing 2", "proxy-admin slow 5", "proxy-admin silent 8", "proxy-admin reset"):
        for action in ("deploy an image", "restart"):
            yield Scenario(group, action, fault, "+0.2", or_ends=FAILED, within=240, short=(action, fault) == ("deploy an image", "proxy-admin refusing 2"))
    yield Scenario(group, "deploy an image", "proxy-admin silent until over", "before", or_ends=FAILED, within=240)
    for action in ("stop", "start", "remove the service"):
        yield Scenario(group, action, "proxy-admin refusing 3", "before", or_ends=FAILED, within=240)


def _disks():
    """No room: for the state, for the work directories, for the server's own log, for images, for a database server."""
    group = "disks"
    for action in ("deploy an image", "deploy what builds slowly", "deploy what ends at once", "stop"):
        yield Scenario(group, action, "data full 4", "+0.5", bed="data", or_ends=FAILED)
    for action in ("deploy an image", "deploy from Git", "remove the service"):
        yield Scenario(group, action, "data full 4", "before", bed="data", or_ends=FAILED)
    yield Scenario(group, "deploy from Git", "work full until over", "before", bed="work", or_ends=FAILED)
    yield Scenario(group, "deploy what builds slowly", "work full 3", "+0.5", bed="work", or_ends=FAILED)
    for action in ("deploy an image", "deploy what ends at once", "remove the service"):
        yield Scenario(group, action, "log full until over", "before", bed="log", or_ends=())
    yield Scenario(group, "nothing", "log full 5", "+0.1", bed="log")
    # The engine's store: while it builds, while it makes instances, while it pulls.
    for action, fault, moment in (
        ("deploy what builds slowly", "images full 6", "journal build started +1"),
        ("deploy from Git", "images full until over", "before"),
        ("deploy an image", "images full 6", "before"),
        ("restart", "images full 6", "before"),
        ("remove the service", "images full 6", "before"),
        ("nothing", "images full 6", "+0.1"),
    ):
        yield Scenario(group, action, fault, moment, bed="images", or_ends=FAILED, within=240)
    for fault, moment in (("images full until over", "before"), ("images full 6", "journal build done")):
        yield Scenario(group, "deploy from Git", fault, moment, bed="images-remote", or_ends=FAILED, within=240)
    for kind in ("postgresql", "mariadb"):
        for action, moment in (
            ("deploy an image", "+0.5"),
            ("deploy what builds slowly", "journal build started +1"),
            ("deploy from Git", "before"),
            ("remove the service", "before"),
            ("nothing", "+0.1"),
        ):
            yield Scenario(group, action, "database full 20", moment, bed=f"disk-{kind}", or_ends=FAILED, within=400)


def _clock():
    """The server's clock jumps by an hour or a day."""
    for action in ("deploy an image", "deploy what builds slowly", "deploy what starts slowly", "deploy what ends at once", "restart"):
        for fault in ("clock forward 3600", "clock backward 3600"):
            yield Scenario("clock", action, fault, "+0.6", bed="clock")
    yield Scenario("clock", "deploy an image", "clock backward 86400", "before", bed="clock")
    yield Scenario("clock", "deploy an image", "clock forward 86400", "before", bed="clock")
    # A job that waits for another try must not wait for the old time to come again.
    for action, job in (("stop", "stop-service"), ("restart", "restart-service"), ("remove the service", "remove-service")):
        yield Scenario("clock", action, "clock backward 3600", f"again {job}", bed="clock", also="engine refusing 4")


def _links():
    """Connections whose other end is not there any more, and does not say so."""
    for action in ("deploy an image", "deploy what builds slowly", "deploy what starts slowly", "restart", "nothing"):
        yield Scenario("links", action, "engine half-open", "+0.7", or_ends=FAILED, within=400, short=action == "nothing")
    yield Scenario("links", "deploy an image", "proxy-admin half-open", "journal check started", or_ends=FAILED, within=240)
    yield Scenario("links", "deploy what builds slowly", "buildkit half-open", "journal build started +1.5", bed="remote", or_ends=FAILED, within=400)
    yield Scenario("links", "deploy from Git", "registry half-open", "+0.8", bed="remote", or_ends=FAILED, within=400)


def _database(kind):
    """A database of its own: what was acknowledged is there, and all goes on when it is back."""
    for fault in ("database refusing 3", "database slow 5", "database silent 8", "database reset", "database half-open"):
        for action in ("deploy an image", "deploy what builds slowly", "restart", "remove the service"):
            yield Scenario(kind, action, fault, "+0.5", bed=kind, or_ends=FAILED, within=400)
    for fault in ("database killed 2", "database frozen 5"):
        for action in ("deploy an image", "deploy what builds slowly", "restart"):
            yield Scenario(kind, action, fault, "+0.5", bed=kind, or_ends=FAILED, within=400)
    for moment in FORWARD:
        yield Scenario(kind, "deploy an image", "database reset", moment, bed=kind, or_ends=FAILED, within=240)
        yield Scenario(kind, "deploy an image", "server killed", moment, bed=kind)
    # Away for longer than anybody waits.
    for fault in ("database refusing 90", "database killed 90", "database silent 90"):
        for action, moment in (("deploy what builds slowly", "journal build started +1"), ("deploy what starts slowly", "journal release started +0.5")):
            yield Scenario(kind, action, fault, moment, bed=kind, or_ends=FAILED, within=600)


def _workers(kind):
    """Two workers and two API processes on one database: what one leaves, exactly one other goes on with."""
    bed = f"several-{kind}"

    def one(action, fault, moment, **more):
        return Scenario("workers", action, fault, moment, bed=bed, **{"within": 240, **more})

    # kill -9 at each entry of the journal; it stays away, so that only the other one can go on.
    for action in ("deploy an image", "deploy from Git"):
        for moment in FORWARD:
            yield one(action, "worker killed until over", moment)
    for moment in ("journal giving-up started", "journal release undone", "journal build undone", "journal provision undone"):
        yield one("deploy what ends at once", "worker killed until over", moment)
        yield one("deploy what is cancelled", "worker killed until over", moment)
    for moment in ("journal giving-up started", "journal check undone"):
        yield one("deploy what does not answer", "worker killed until over", moment)
    for action, job in (("restart", "restart-service"), ("stop", "stop-service"), ("start", "start-service"), ("remove the service", "remove-service")):
        yield one(action, "worker killed until over", f"job {job} running +0.1")
    for fault in ("worker killed until over", "worker frozen until another", "worker stopped until over", "worker-database silent until another"):
        yield one("deploy with a release command", fault, "journal release-command started +0.7")
    # Both race for what one of them left.
    for action, moment in (("deploy what builds slowly", "journal build started +1.5"), ("deploy what starts slowly", "journal release started +1")):
        yield one(action, "worker killed", moment)
    # Frozen past its lease: it wakes while another one works on it, and after that.
    slow = (
        ("deploy what builds slowly", "journal build started +1.5"),
        ("deploy what starts slowly", "journal release started +1"),
        ("deploy what answers slowly", "journal check started +0.7"),
        ("deploy what ends at once", "journal giving-up started"),
        ("restart", "job restart-service running +0.1"),
    )
    for action, moment in slow:
        yield one(action, "worker frozen until another", moment)
        yield one(action, "worker frozen until over", moment)
    # Cut off from the database until its lease is another's, and back.
    for action, moment in slow:
        yield one(action, "worker-database refusing until another", moment)
        yield one(action, "worker-database silent until another", moment)
    yield one("deploy what starts slowly", "worker-database half-open", "journal release started +1")
    # Told to stop, in each phase.
    short = kind == "postgresql"
    for status in ("provisioning", "building", "releasing", "checking"):
        yield one("deploy from Git", "worker stopped until over", f"status {status}")
    for moment in FORWARD:
        yield one("deploy an image", "worker stopped until over", moment, short=short and moment == "journal release started")
    for action, moment in slow:
        yield one(action, "worker stopped until over", moment)
    for moment in ("job deploy waiting", "job retire-instances running"):
        yield one("deploy an image", "worker stopped 1", moment)
    # What one does for all.
    for fault in ("reconciler killed until another", "reconciler frozen until another", "reconciler-database refusing until another", "reconciler stopped until another"):
        yield one("lose an instance", fault, "before")
    for fault in ("output killed until another", "output frozen until another", "output-database silent until another", "output stopped until another"):
        yield one("print lines", fault, "+1")
    # An API process that has taken half of something, or all of it and not answered.
    for moment in ("+0.5", "+2", "job deploy waiting", "journal build started"):
        yield one("deploy what is uploaded slowly", "api-1 killed 2", moment)
    for api in ("api-1", "api-2"):
        for action, job in (("deploy an image", "deploy"), ("restart", "restart-service"), ("remove the service", "remove-service")):
            yield one(action, f"{api} killed 2", f"job {job} waiting")
    yield one("deploy what is uploaded slowly", "api-1 stopped 1", "+0.5", short=short)
    yield one("deploy an image", "api-2 frozen 20", "+0")
    # The database of all of them, while two work.
    for fault in ("database killed 2", "database frozen 5", "database frozen 30", "database reset", "database half-open", "database refusing 20", "database silent 20"):
        yield one("deploy two at once", fault, "journal build started +1", or_ends=FAILED, within=400)
    for fault in ("database refusing 90", "database killed 90"):
        yield one("deploy two at once", fault, "journal build started +1", or_ends=FAILED, within=600)
    for moment in FORWARD:
        yield one("deploy an image", "database reset", moment, or_ends=FAILED)


GROUPS = {
    "server": _server,
    "engine": _engine,
    "buildkit": _buildkit,
    "registry": _registry,
    "proxy": _proxy,
    "disks": _disks,
    "clock": _clock,
    "links": _links,
    "postgresql": lambda: _database("postgresql"),
    "mariadb": lambda: _database("mariadb"),
    "workers": lambda: (one for kind in ("postgresql", "mariadb") for one in _workers(kind)),
}


def scenarios(groups=(), only=None, short=False):
    """Those that are asked for, in the order of this file."""
    found = [one for group, make in GROUPS.items() if not groups or group in groups for one in make()]
    return [one for one in found if (not short or one.short) and (not only or any(word in one.name for word in only))]
