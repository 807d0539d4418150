"""One example with one builder: its plan, its builds, and whether it does what its test.json expects."""

import http.client
import shutil
import time
from dataclasses import asdict, dataclass

from .ours import Absent, Refused

# The platform's own default, so that an application which ignores PORT is seen to do so.
PORT = "8080"
OUTPUT_SECONDS = 90
ANSWER_SECONDS = 60


@dataclass
class Trial:
    """What came of it."""

    example: str
    builder: str
    verdict: str
    why: str = ""
    plan_ms: float | None = None
    cold_s: float | None = None
    warm_s: float | None = None
    changed: str | None = None
    image_mb: float | None = None
    user: str | None = None
    provider: str | None = None
    differs: str | None = None
    seconds: float | None = None
    load: float | None = None

    def as_json(self):
        """For the file of results."""
        return asdict(self)


def judge_example(example, builder, work, keep):
    """Plans, builds and runs it. Cases that need the same build share it; the first one is also built warm."""
    trial = Trial(example.name, builder.name, "passed", differs=example.differs if builder.counts_manifest else None)
    asked = example.cases if builder.counts_manifest else example.theirs
    home = work / builder.name / example.name
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    builds = {}
    for case in asked:
        builds.setdefault((case.variables, case.must_fail), []).append(case)
    try:
        for number, ((variables, must_fail), cases) in enumerate(builds.items()):
            if unusual := next((one.unusual for one in cases if one.unusual), None):
                raise Absent(f"it asks for {unusual}")
            folder = home / f"app-{number}"
            shutil.copytree(example.folder, folder, symlinks=True)
            (folder / "test.json").unlink(missing_ok=True)
            judge_build(trial, builder, folder, dict(variables), must_fail, cases, home, first=number == 0)
    except Absent as absent:
        trial.verdict, trial.why = "skipped", absent.why
        if absent.log:
            (home / "absent.log").write_text(absent.log)
    except (Refused, AssertionError, RuntimeError) as broken:
        trial.verdict, trial.why = "FAILED", " ".join(str(getattr(broken, "why", broken)).split())
        if log := getattr(broken, "log", ""):
            (home / "failed.log").write_text(log)
    if not keep:
        for folder in [*home.glob("app-?"), *home.glob("app-?-plan"), home / "secrets"]:
            shutil.rmtree(folder, ignore_errors=True)
    return trial


def judge_build(trial, builder, folder, variables, must_fail, cases, home, *, first):
    """One build with its variables, and all that is expected of it."""
    image = f"click-deploy-examples/{builder.engine.mark}-{builder.name}-{trial.example.lower()}:{folder.name}"
    try:
        plan, milliseconds = builder.plan(folder, variables)
        builder.make_ready(plan)
        cold, log = builder.build(folder, plan, variables, image, cold=True)
    except Refused:
        if must_fail:
            return
        raise
    (home / f"{folder.name}.cold.log").write_text(log)
    assert not must_fail, "it was to fail, and was built"
    if first:
        trial.plan_ms, trial.cold_s, trial.provider = round(milliseconds, 1), round(cold, 1), plan.get("provider")
        trial.changed = change_a_line(folder)
        warm, log = builder.build(folder, plan, variables, image, cold=False)
        (home / f"{folder.name}.warm.log").write_text(log)
        trial.warm_s = round(warm, 1)
        trial.image_mb = round(builder.engine.size_mb(image), 1)
        trial.user = builder.engine.user(image)
    for case in cases:
        container = builder.engine.start(image, {"PORT": PORT, **variables})
        try:
            if case.asks:
                expect_answer(builder.engine, container, case, [plan["port"] or variables.get("PORT", PORT), case.port])
            else:
                expect_output(builder.engine, container, case)
        finally:
            (home / f"{folder.name}.run-{case.number}.log").write_text(builder.engine.logs(container))
            builder.engine.remove(container)


def expect_output(engine, container, case):
    """All the words are in the log in time, whether it ends or goes on."""
    end = time.monotonic() + OUTPUT_SECONDS
    while True:
        runs, ended, _ = engine.state(container)
        said = engine.logs(container)
        missing = [word for word in case.output if word not in said]
        if not missing:
            return
        if not runs:
            raise Refused(f"case {case.number}: {ended} without {missing[0]!r} in its log: {last_line(said)}")
        if time.monotonic() > end:
            raise Refused(f"case {case.number}: {missing[0]!r} is not in its log after {OUTPUT_SECONDS} s: {last_line(said)}")
        time.sleep(0.3)


def expect_answer(engine, container, case, ports):
    """The status, the headers, and the words in the body. An application may ignore PORT and listen where it always does: the platform finds it."""
    end = time.monotonic() + ANSWER_SECONDS
    got = "nothing listens"
    while time.monotonic() < end:
        runs, ended, address = engine.state(container)
        if not runs:
            raise Refused(f"case {case.number}: {ended}: {last_line(engine.logs(container))}")
        for port in dict.fromkeys(int(one) for one in ports):
            try:
                status, headers, body = ask(address, port, case)
            except (OSError, http.client.HTTPException) as broken:
                got = got if isinstance(broken, ConnectionRefusedError) else f"{broken}"
                continue
            wrong = [f"without {word!r}" for word in case.body if word not in body]
            wrong += [f"with {word!r}" for word in case.without if word in body]
            wrong += [f"with {name}: {headers.get(name)}" for name, value in case.headers if name not in headers or value not in headers[name]]
            if status == case.status and not wrong:
                return
            got = " ".join([str(status), *wrong[:1]])
        time.sleep(0.3)
    raise Refused(f"case {case.number}: GET {case.path}: {got} instead of {case.status}: {last_line(engine.logs(container))}")


def ask(address, port, case):
    """One request; its status, headers and body."""
    connection = http.client.HTTPConnection(address, port, timeout=5)
    try:
        connection.request("GET", case.path, headers={"Host": f"localhost:{port}", "Accept": "*/*", **dict(case.sends)})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read().decode(errors="replace")
    finally:
        connection.close()


def last_line(log):
    """The end of a log, for a table."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    return lines[-1][:200] if lines else "it says nothing"


REMARKS = {
    "//": (".ts", ".tsx", ".js", ".jsx", ".mjs", ".cjs", ".go", ".rs", ".java", ".kt", ".cs"),
    "#": (".py", ".rb", ".ex", ".sh"),
    "<!---->": (".astro", ".svelte", ".vue", ".html"),
}
# Looked through in this order: what is in a source folder is the application's.
SOURCES = ("src", "app", "lib", "cmd", "pages", "routes", "binary", "api", "apps", "packages", ".")
NO_SOURCES = ("node_modules", "vendor", "target", "dist", ".yarn", "test", "tests")


def change_a_line(folder):
    """Adds one line to a file of the application's source; which one, or that nothing was changed."""
    for start in SOURCES:
        for path in sorted((folder / start).rglob("*")):
            within = path.relative_to(folder)
            remark = next((one for one, endings in REMARKS.items() if path.suffix in endings), None)
            if not remark or path.is_symlink() or not path.is_file() or set(within.parts) & set(NO_SOURCES):
                continue
            if ".config." in path.name or path.name.endswith((".d.ts", ".test.ts", ".spec.ts", "_test.ts")):
                continue
            text = path.read_text(errors="surrogateescape")
            line = "<!-- changed -->" if remark == "<!---->" else f"{remark} changed"
            path.write_text(f"{text.rstrip()}\n{line}\n", errors="surrogateescape")
            return str(within)
    return None
