"""Examples, what their test.json expects, and what the manifest says about them."""

import json
import re
import tomllib
from dataclasses import dataclass, field, replace
from pathlib import Path

from . import applications

# Where the platform's own default port is what an application is told.
PORT = 8080


@dataclass(frozen=True)
class Case:
    """One expectation: words in the log, an answer over HTTP, or a refusal."""

    number: int
    output: tuple[str, ...] = ()
    variables: tuple[tuple[str, str], ...] = ()
    port: int | None = None
    path: str = "/"
    status: int = 200
    body: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    sends: tuple[tuple[str, str], ...] = ()
    must_fail: bool = False
    unusual: str | None = None

    @property
    def asks(self):
        """Whether the expectation is an answer over HTTP."""
        return self.port is not None


@dataclass(frozen=True)
class Example:
    """A folder with an application, how it is judged, and how its authors judge it."""

    name: str
    folder: Path
    cases: tuple[Case, ...]
    theirs: tuple[Case, ...] = ()
    skipped: str | None = None
    differs: str | None = None


@dataclass(frozen=True)
class Manifest:
    """Sentences about examples: why one is not run, or in what and why the expectation differs; or the applications themselves."""

    skipped: dict[str, str] = field(default_factory=dict)
    differs: dict[str, dict] = field(default_factory=dict)
    applications: dict[str, dict] = field(default_factory=dict)

    @classmethod
    def read(cls, path):
        """The manifest in a file."""
        found = tomllib.loads(path.read_text())
        listed = applications.parse(path, found.pop("application", {}))
        manifest = cls(found.pop("skipped", {}), found.pop("differs", {}), listed)
        for name, entry in manifest.differs.items():
            if not entry.get("why") or set(entry) - {"why", "cases", "output", "body", "must_fail"}:
                raise SystemExit(f"{path}: differs.{name} needs `why`, and may have cases, output, body and must_fail")
        if found or set(manifest.skipped) & set(manifest.differs) or (listed and (manifest.skipped or manifest.differs)):
            raise SystemExit(f"{path}: only [skipped] and [differs.NAME], and no name in both; or only [application.NAME]")
        return manifest

    def apply(self, example):
        """The example as it is judged here."""
        entry = self.differs.get(example.name, {})
        chosen = [one for one in example.cases if one.number in entry.get("cases", range(len(example.cases)))]
        if "output" in entry:
            chosen = [replace(one, output=words(entry["output"])) if one.output else one for one in chosen]
        if "body" in entry:
            chosen = [replace(one, body=words(entry["body"])) if one.body else one for one in chosen]
        if "must_fail" in entry:
            chosen = [replace(one, must_fail=entry["must_fail"]) for one in chosen]
        return replace(example, cases=tuple(chosen), theirs=example.cases, skipped=self.skipped.get(example.name), differs=entry.get("why"))


def read(folder, manifest, only):
    """The examples in a folder, by name."""
    if manifest.applications:
        listed = applications.chosen(folder, manifest.applications, only, expectation)
        found = [Example(name, where, ours, ours, skipped, differs) for name, where, ours, skipped, differs in listed]
    else:
        found = with_test_json(folder, manifest, only)
    if not found:
        raise SystemExit(f"there is no example in {folder} with such a name and a test.json")
    return found


def with_test_json(folder, manifest, only):
    """Those that say themselves what is expected of them."""
    found = []
    for file in sorted(folder.glob("*/test.json")):
        name = file.parent.name
        if only and not any(re.search(part, name) for part in only):
            continue
        listed = json.loads(plain_json(file.read_text()))
        all_cases = tuple(case(number, one) for number, one in enumerate(listed))
        found.append(manifest.apply(Example(name, file.parent, all_cases)))
    return found


def expectation(number, entry):
    """An entry of `expects` in a manifest of ours."""
    asks = not entry.get("output") and not entry.get("refused")
    return Case(
        number=number,
        output=words(entry.get("output", [])),
        variables=tuple(sorted(entry["variables"].items())),
        port=entry.get("port", PORT) if asks else None,
        path=entry.get("path", "/"),
        status=entry.get("status", 200),
        body=words(entry.get("body", [])),
        without=words(entry.get("without", [])),
        headers=tuple(entry.get("headers", {}).items()),
        sends=tuple(entry.get("sends", {}).items()),
        must_fail=entry.get("refused", False),
    )


def case(number, entry):
    """An entry of test.json."""
    check = entry.get("httpCheck") or {}
    unusual = None
    if entry.get("configFile"):
        unusual = f"its own configuration file {entry['configFile']}"
    elif entry.get("platform", "linux/amd64") != "linux/amd64":
        unusual = f"another machine, {entry['platform']}"
    return Case(
        number=number,
        output=words(entry.get("expectedOutput", [])),
        variables=tuple(sorted(entry.get("envs", {}).items())),
        port=check.get("internalPort"),
        path=check.get("path", "/"),
        status=check.get("expected", 200),
        body=words(check.get("expectedOutput", [])),
        must_fail=entry.get("shouldFail", False),
        unusual=unusual,
    )


def words(value):
    """One text or a list of them."""
    return (value,) if isinstance(value, str) else tuple(value)


def plain_json(text):
    """The same JSON without remarks and surplus commas."""
    kept, at, in_text = [], 0, False
    while at < len(text):
        here = text[at]
        if in_text and here == "\\":
            kept.append(text[at : at + 2])
            at += 2
            continue
        if here == '"':
            in_text = not in_text
        elif not in_text and text.startswith("//", at):
            at = text.find("\n", at) if "\n" in text[at:] else len(text)
            continue
        elif not in_text and text.startswith("/*", at):
            at = text.index("*/", at) + 2
            continue
        elif not in_text and here in "}]":
            before = "".join(kept).rstrip()
            kept = [before.removesuffix(",")]
        kept.append(here)
        at += 1
    return "".join(kept)
