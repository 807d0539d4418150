"""A scenario, and how one is run."""

import contextlib
import dataclasses
import itertools
import threading
import time
import traceback

from bed.load import Watch
from bed.processes import wait_until

from . import promises
from .actions import ACTIONS
from .beds import LEADERS
from .faults import Fault
from .ledger import Ledger
from .moments import Moment, Never
from .promises import Broken

PROMISES = (
    promises.the_old_version_serves,
    promises.it_is_as_the_action_says,
    promises.one_set_of_instances,
    promises.nothing_ran_twice,
    promises.nothing_is_left_over,
    promises.acknowledged_writes_are_there,
    promises.exactly_one_other_goes_on,
    promises.it_goes_on,
)
NUMBERS = itertools.count(1)
# Seconds after the fault within which it serves again, where the fault itself takes away what serves.
SERVES_AGAIN = {"proxy": 10, "engine": 60}
# A worker's lease ends after 15 s, a leader is missed after 20 s.
ANOTHER_WITHIN = 120


@dataclasses.dataclass(frozen=True)
class Scenario:
    """An action, a fault, a moment; and how the action may end besides as it would have without the fault."""

    group: str
    action: str
    fault: str
    moment: str
    bed: str = "embedded"
    # Ends that are fine too, because the fault may make the action fail.
    or_ends: tuple = ()
    # Seconds within which the action ends.
    within: int = 120
    # Seconds of grace after the fault in which visitors may see errors; none unless what serves is hit.
    serves_within: int = None
    # A fault that is there from before the action begins, beside the one at the moment.
    also: str = None
    # It is part of the short form.
    short: bool = False

    @property
    def name(self):
        """What `--only` takes a part of."""
        return f"{self.action}; {self.fault}; {self.moment}" + (f"; {self.also} before" if self.also else "")


@dataclasses.dataclass
class Result:
    """How one ended."""

    scenario: Scenario
    injected: int = 0
    broken: list = dataclasses.field(default_factory=list)
    skipped: str = None
    seconds: float = 0.0
    end: str = ""

    @property
    def outcome(self):
        """passed, FAILED or skipped."""
        return "skipped" if self.skipped else "FAILED" if self.broken else "passed"


class Case:
    """One run of a scenario on a bed."""

    def __init__(self, bed, scenario):
        number = next(NUMBERS)
        self.bed, self.scenario = bed, scenario
        self.old, self.new = f"old {number}", f"new {number}"
        self.fault, self.moment = Fault(scenario.fault), Moment(scenario.moment)
        self.action = ACTIONS[scenario.action](self)
        self.ends = self.action.good_ends + scenario.or_ends
        grace = scenario.serves_within or (SERVES_AGAIN.get(self.fault.target) if self.fault.kind in ("killed", "frozen") else None)
        # Only a frozen engine takes nothing away from what serves.
        if self.fault.target == "engine" and self.fault.kind == "frozen":
            grace = scenario.serves_within
        self.may_interrupt = {self.fault.target: grace} if grace else {}
        # `begun` and `over` are about the action, `lifted` about the fault.
        self.begun, self.over, self.lifted = threading.Event(), threading.Event(), threading.Event()
        self.deployments_wanted = None
        self.injected, self.error = 0, None
        # What a worker had when it was hit.
        self.left = None

    def shown(self, wanted, seconds=30):
        """What the address shows, once it is what is wanted or the time is over."""
        end = time.monotonic() + seconds
        while True:
            try:
                answer = self.bed.platform.get(self.action.url, "/page")
                found = answer.text if answer.status_code == 200 else f"{answer.status_code} {answer.text[:100]}"
            except Exception as error:  # whatever a visitor sees instead of a page
                found = repr(error)
            if found == wanted or time.monotonic() > end:
                return found
            time.sleep(0.1)

    def run(self):
        """Runs it; yields each promise that was not kept."""
        action, bed = self.action, self.bed
        action.prepare()
        self.moment.arm(bed.state)
        bed.job = self.moment.job
        self.watch = Watch(bed.platform, action.url, *action.allowed, pause=0.15)
        fills_database = (self.fault.target, self.fault.kind) == ("database", "full")
        self.ledger = Ledger(bed.platform, bed.project, padding=30_000 if fills_database else 0)
        before = len(bed.state.deployments(action.service))
        broken = []
        with contextlib.ExitStack() as stack:
            stack.enter_context(self.ledger)
            self.began = time.monotonic()
            self.watch._thread.start()
            stack.callback(self.watch.stop)
            if self.scenario.also:
                self._also(Fault(self.scenario.also), stack)
            thread = threading.Thread(target=self._inject, daemon=True)
            thread.start()
            if self.moment.is_before:
                while not self.injected and thread.is_alive():
                    time.sleep(0.01)
            try:
                # Asked for before it is waited for: the moment may be in between.
                beginning = threading.Thread(target=self._begin, args=(broken,), daemon=True)
                beginning.start()
                beginning.join(self.scenario.within + 120)
                if not broken:
                    action.finish(self.scenario.within)
            except Broken as error:
                broken.append(error)
            self.over.set()
            thread.join(200)
            if self.error:
                broken.append(self.error)
            if thread.is_alive():
                broken.append(Broken("the fault is lifted", "after 200 s it was not"))
            # What served and what was written under the fault is judged; a moment of calm belongs to it.
            if not broken:
                with contextlib.suppress(AssertionError):
                    self.ledger.wait_for_one(30)
            time.sleep(0.3)
        if fills_database and not self.ledger.refused:
            broken.append(Broken("the moment", "no write was refused while the database had no room: this proves nothing"))
        self.deployments_wanted = before + 1 if action.deployment else before
        if any(error.promise in ("it comes to an end", "the moment") for error in broken):
            return broken
        for promise in PROMISES:
            try:
                promise(self)
            except Broken as error:
                broken.append(error)
            except Exception as error:  # what was asked of the platform failed
                broken.append(Broken(promise.__name__.replace("_", " "), f"{error!r}"[:600]))
            if promise is promises.acknowledged_writes_are_there:
                with contextlib.suppress(Exception):
                    self.ledger.remove()
        return broken

    def _wait_for_another(self):
        if not self.left:
            raise Broken("exactly one other worker goes on", f"{self.fault.words} hit no worker")
        try:
            wait_until(lambda: self.left.is_taken(self.bed), ANOTHER_WITHIN, "another worker", 0.05)
        except AssertionError as error:
            self.fault.end(self.bed)
            raise Broken("exactly one other worker goes on", error) from None

    def _begin(self, broken):
        self.begun.set()
        try:
            self.action.begin()
        except Broken as error:
            broken.append(error)
        except Exception as error:  # the platform did not take it
            broken.append(Broken("it can be asked for", repr(error)[:600]))

    def _also(self, fault, stack):
        def lift():
            time.sleep(fault.seconds)
            fault.end(self.bed)

        fault.begin(self.bed)
        self.injected += 1
        thread = threading.Thread(target=lift, daemon=True)
        thread.start()
        stack.callback(thread.join, 200)

    def _inject(self):
        try:
            self.moment.wait(self.begun, self.over)
            job = self.bed.job() if len(self.bed.members) > 1 else None
            self.fault.begin(self.bed)
            self.injected += 1
            self.left = Left.of(self, job)
            if self.fault.until_over:
                self.over.wait(600)
            elif self.fault.until_another:
                self._wait_for_another()
            elif self.fault.kind not in ("forward", "backward"):
                time.sleep(self.fault.seconds)
            self.fault.end(self.bed)
        except Never as error:
            self.error = Broken("the moment", error)
        except Broken as error:
            self.error = error
        except Exception as error:  # what should have come back did not
            self.error = Broken("what was hit comes back", f"{error!r}"[:1500])
        finally:
            self.lifted.set()


class Left:
    """What a worker had when a fault hit it: a job, or something that it did for all."""

    def __init__(self, member, role, job, deployment):
        self.member, self.id, self.role, self.job, self.deployment = member, member.id, role, job, deployment
        self.log_from = member.log.stat().st_size if member.log.exists() else 0

    @classmethod
    def of(cls, case, job):
        """What it was; None when no worker was hit. `job` is as it was before."""
        bed, hit = case.bed, case.fault.hit
        member = next((one for one in bed.members if len(bed.members) > 1 and hit in (one.name, f"{one.name}-database")), None)
        if member is None or member not in bed.platform.workers:
            return None
        role = next((role for role in LEADERS if case.fault.target.startswith(role)), None)
        held = job if not role and job and job["status"] == "running" and job["owner"] == member.id else None
        deployment = None
        if held and held["name"] == "deploy":
            # What it had sent already is committed by now, or never.
            time.sleep(0.3)
            deployment = bed.state.rows("SELECT status FROM deployments WHERE id = ?", held["subject"])[0]["status"]
        return cls(member, role, held, deployment)

    def is_taken(self, bed):
        """Whether another worker has it, or it is over."""
        if self.role:
            return bed.platform.leader(self.role) not in (None, self.member)
        now = bed.state.rows("SELECT owner, status FROM jobs WHERE id = ?", self.job["id"]) if self.job else []
        return not now or now[0]["owner"] != self.id or now[0]["status"] in ("done", "failed")

    def said_since(self, words):
        """Whether its log says so since it was hit."""
        with open(self.member.log, errors="replace") as log:
            log.seek(self.log_from)
            return any(words in line for line in log)


def run(bed, scenario):
    """Runs a scenario on a bed; afterwards the bed is as it was."""
    result, began = Result(scenario), time.monotonic()
    case = Case(bed, scenario)
    try:
        result.broken = case.run()
    except Exception as error:  # the suite or the platform could not even begin
        result.broken = [Broken("the scenario can be run", f"{error!r}"[:1500])]
        if not isinstance(error, AssertionError):
            traceback.print_exc()
    finally:
        case.over.set()
        result.injected, result.end = case.injected, case.action.end or ""
        if result.broken:
            bed.keep_log(scenario)
            # The next scenario begins with a server that this one did not spoil.
            for member in bed.members:
                member.kill()
        try:
            bed.mend()
            with contextlib.suppress(Exception):
                case.action.remove()
            bed.mend()
        except Exception as error:
            bed.spoiled = True
            result.broken = [*result.broken, Broken("all comes back", f"{error!r}"[:1500])]
    result.seconds = time.monotonic() - began
    return result
