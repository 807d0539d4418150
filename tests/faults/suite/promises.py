"""What is promised after a fault. Each promise looks at a case that is over, and raises `Broken` with what it found."""

import json
import time

from bed.api import numbered
from bed.processes import wait_until

OVER = ("live", "failed", "cancelled", "superseded")
# What no job owns is found by the reconciler after a minute of grace.
LEFTOVERS_WITHIN = 150

# How the last line of a deployment's log begins.
ENDS = ("live at ", "failed: ", "cancelled; ", "superseded: ")


class Broken(Exception):
    """A promise was not kept."""

    def __init__(self, promise, found):
        super().__init__(f"{promise}: {found}")
        self.promise, self.found = promise, found


def eventually(promise, question, seconds, pause=0.3):
    """`question()` yields what is wrong; a promise is kept when nothing is, within the time."""
    end, wrong = time.monotonic() + seconds, None
    while True:
        try:
            wrong = question()
            if not wrong:
                return
        except Exception as error:  # the platform does not answer yet
            wrong = repr(error)
        if time.monotonic() > end:
            raise Broken(promise, wrong)
        time.sleep(pause)


def the_old_version_serves(case):
    """No visitor saw anything but the old version and then the new one."""
    if not case.action.serves:
        return
    wrong = list(zip(case.watch.when, case.watch.wrong))
    if case.fault.target in case.may_interrupt:
        # What is promised then is that it serves again, soon.
        wrong = [(when, what) for when, what in wrong if when[0] > case.fault.ended + case.may_interrupt[case.fault.target]]
    if wrong:
        words = [f"{when[0] - case.began:+.1f} s: {what}" for when, what in wrong[:4]]
        fault = f"(fault {case.fault.began - case.began:+.1f} to {case.fault.ended - case.began:+.1f} s)"
        raise Broken("the old version serves", f"{len(wrong)} of {len(wrong) + sum(case.watch.seen.values())} pages wrong: {words} {fault}")
    if not case.watch.seen:
        raise Broken("the old version serves", "no page was seen")


def it_is_as_the_action_says(case):
    """The end of the action and what the address shows are the same thing."""
    case.action.check_end()


def one_set_of_instances(case):
    """The instances of the service are those of its current deployment, of one job, in the right number."""
    platform, service = case.bed.platform, case.action.service

    def wrong():
        now = case.bed.state.rows("SELECT * FROM services WHERE id = ?", service)
        found = platform.containers(resource=service)
        if not now:
            return [one["Name"] for one in found]
        now = now[0]
        stopped = now["wanted"] != "running" or not now["current_deployment_id"]
        wanted = 0 if stopped else json.loads(now["settings"]).get("replicas", 1)
        labels = [{key.rsplit("/")[-1]: value for key, value in one["Config"]["Labels"].items()} for one in found]
        owners = {(label.get("deployment"), label.get("job")) for label in labels}
        running = sum(one["State"]["Running"] for one in found)
        if len(found) == running == wanted and (not wanted or owners == {(now["current_deployment_id"], now["current_job_id"])}):
            return None
        return f"{len(found)} instances, {running} of them run, {wanted} wanted, of {owners}; current {now['current_deployment_id']} {now['current_job_id']}"

    eventually("no job ran twice with effect", wrong, LEFTOVERS_WITHIN)


def nothing_ran_twice(case):
    """One job for each deployment, one deployment for each wish, and a log that tells each end once."""
    state = case.bed.state
    for deployment in state.deployments(case.action.service):
        jobs = state.rows("SELECT id, attempt FROM jobs WHERE name = 'deploy' AND subject = ?", deployment["id"])
        if len(jobs) != 1:
            raise Broken("no job ran twice with effect", f"{len(jobs)} jobs for {deployment['id']}")
        lines = state.rows("SELECT sequence, message FROM deployment_logs WHERE deployment_id = ? ORDER BY sequence", deployment["id"])
        # Only the newest logs of a service are kept.
        if state.rows("SELECT log_removed FROM deployments WHERE id = ?", deployment["id"])[0]["log_removed"]:
            continue
        if not numbered(lines):
            raise Broken("no log line is missing or double", f"{[line['sequence'] for line in lines][:50]} of {deployment['id']}")
        # How it ended is said in the transaction that ends it, and nothing is said after that.
        ends = [line["message"] for line in lines if line["message"].startswith(ENDS)]
        if deployment["finished_at_ms"] and not (len(ends) == 1 and lines[-1]["message"] == ends[0]):
            raise Broken("no log line is missing or double", f"the log of {deployment['id']} ends with {ends}")
    wanted = case.deployments_wanted
    found = len(state.deployments(case.action.service))
    if wanted is not None and case.action.stays and found > wanted:
        raise Broken("no job ran twice with effect", f"{found} deployments were made, {wanted} were asked for")


def nothing_is_left_over(case):
    """No job that is not over, no files, and nothing on the engine that no row of the state owns."""
    eventually("nothing is left over", lambda: left_over(case.bed), LEFTOVERS_WITHIN)


def left_over(bed):
    """What is there and belongs to nothing."""
    platform, state = bed.platform, bed.state
    found = [f"job {job['name']} {job['status']}, attempt {job['attempt']}, {job['reason']}" for job in state.unfinished_jobs()]
    found += platform.files()
    services = {row["id"]: row for row in state.services()}
    for row in state.rows("SELECT id, status FROM deployments WHERE finished_at_ms IS NULL OR status NOT IN ('live', 'failed', 'cancelled', 'superseded')"):
        found.append(f"deployment {row['id']} is {row['status']}")
    for row in state.rows("SELECT deployment_id, phase FROM deployment_phases WHERE status = 'running'"):
        found.append(f"phase {row['phase']} of {row['deployment_id']} runs")
    label = "click-deploy.org/"
    for one in platform.containers():
        labels = one["Config"]["Labels"]
        service = services.get(labels.get(label + "resource"))
        if not service or labels.get(label + "deployment") != service["current_deployment_id"] or service["wanted"] != "running":
            found.append(f"container {one['Name']}")
    projects = {row["id"] for row in state.rows("SELECT id FROM projects")}
    for project, name in (line.split(" ", 1) for line in networks(platform)):
        if project not in projects:
            found.append(f"network {name}")
    with_image = {row["id"] for row in state.rows("SELECT id FROM deployments WHERE image IS NOT NULL AND image_removed = 0")}
    for owner, image in (line.split(" ", 1) for line in images(platform)):
        if owner and owner != "-" and owner not in with_image:
            found.append(f"image {image} of {owner}")
    uploads = {row["id"] for row in state.rows("SELECT id FROM uploads")}
    found += [name for name in platform.files("uploads") if name.removeprefix("uploads/") not in uploads]
    hosts = {row["host"] for row in services.values()}
    routes = platform.table()
    found += [f"route {host}" for host in routes if host not in hosts]
    return found


def networks(platform):
    """`project name` of each network of ours."""
    text = platform.docker("network", "ls", "--format", '{{.Label "click-deploy.org/project"}} {{.Name}}', *platform.filters({}))
    return text.splitlines()


def images(platform):
    """`deployment id` of each image of ours."""
    ids = platform.images()
    if not ids:
        return []
    text = platform.docker("image", "inspect", "--format", '{{or (index .Config.Labels "click-deploy.org/deployment") "-"}} {{.Id}}', *ids, check=False)
    return [line for line in text.splitlines() if line.strip()]


def acknowledged_writes_are_there(case):
    """What was answered with 2xx is there."""
    if not case.ledger.acknowledged:
        raise Broken("no acknowledged write is missing", "not one write was acknowledged: this proves nothing")
    gone = case.ledger.missing()
    if gone:
        raise Broken("no acknowledged write is missing", f"{len(gone)} of {len(case.ledger.acknowledged)}: {gone[:4]}")


def exactly_one_other_goes_on(case):
    """What a worker had that was hit, one other worker took, once; and one that wakes finds that out by itself."""
    left = case.left
    if not left or not left.job:
        return
    promise, state = "exactly one other worker goes on", case.bed.state
    now = state.rows("SELECT * FROM jobs WHERE id = ?", left.job["id"])
    if not now:
        # Removed with its service.
        return
    now = now[0]
    # Each try that failed was claimed again too.
    taken = now["attempt"] - left.job["attempt"] - (now["failures"] - left.job["failures"])
    if now["owner"] == left.id and taken == 0:
        # It had come to its end when the fault reached it.
        return
    if taken != 1:
        raise Broken(promise, f"the job of {left.id} was taken over {taken} times: before {left.job}, now {now}")
    if left.job["name"] == "deploy":
        lines = [row["message"] for row in state.rows("SELECT message FROM deployment_logs WHERE deployment_id = ?", left.job["subject"])]
        lines = [line for line in lines if line.endswith("the deployment goes on from where it was")]
        wanted = (0, 1) if left.deployment in ("queued", *OVER) else (1,)
        if len(lines) not in wanted:
            raise Broken(promise, f"the log of a deployment that was {left.deployment} says {len(lines)} times that another went on: {lines}")
    if case.fault.kind == "frozen":
        eventually(promise, lambda: None if left.said_since("is lost: another worker goes on") else f"{left.id} woke, and does not say that its lease is lost", 60)


def it_goes_on(case):
    """Another deployment goes live."""
    action, api = case.action, case.bed.platform.api
    if not action.stays:
        return
    wait_until(case.bed.platform.answers, 30, "the server")
    text = f"after {case.new}"
    api.change(action.service, source={"kind": "image", "reference": case.bed.image})
    blank = {"BEHAVE_SLEEP": "0", "BEHAVE_SLOW": "0", "BEHAVE_EXIT": ""}
    api.set_variables(action.service, TEXT=text, **blank)
    try:
        api.up(action.service, 120)
    except AssertionError as error:
        raise Broken("it goes on", str(error)[:1500]) from None
    shown = case.shown(text)
    if shown != text:
        raise Broken("it goes on", f"the address shows {shown!r}")
