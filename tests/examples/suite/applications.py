"""A manifest of ours for applications that have no test.json: which they are, and what their authors' own tests expect of them."""

import re

KEYS = {"folder", "variables", "expects", "skipped", "differs"}
EXPECTATIONS = {
    "answer": {"path", "status", "body", "without", "headers", "sends", "port"},
    "output": {"output"},
    "refusal": {"refused"},
}


def parse(path, table):
    """The applications of a manifest, by name; what is not understood ends the run with a sentence."""
    for name, entry in table.items():
        if unknown := set(entry) - KEYS:
            raise SystemExit(f"{path}: application.{name}: {', '.join(sorted(unknown))} is not understood; there are {', '.join(sorted(KEYS))}")
        if bool(entry.get("expects")) == bool(entry.get("skipped")):
            raise SystemExit(f"{path}: application.{name} needs either `expects` or `skipped`")
        for one in entry.get("expects", []):
            kind(f"{path}: application.{name}", one)
    return table


def kind(where, expectation):
    """An answer over HTTP, words in the log, or a refusal."""
    given = set(expectation) - {"variables"}
    for name, keys in EXPECTATIONS.items():
        if given and given <= keys:
            return name
    raise SystemExit(f"{where}: an expectation has `output`, `refused`, or some of path, status, body, without, headers, sends and port")


def chosen(folder, table, only, case):
    """(name, folder, cases, why it is skipped, in what it differs) of each application that is asked for; `case` makes one of an expectation."""
    for name, entry in sorted(table.items()):
        if only and not any(re.search(part, name) for part in only):
            continue
        where = folder / entry.get("folder", name)
        if not entry.get("skipped") and not where.is_dir():
            raise SystemExit(f"there is no folder {where} for application.{name}")
        cases = tuple(
            case(number, {**one, "variables": {**entry.get("variables", {}), **one.get("variables", {})}})
            for number, one in enumerate(entry.get("expects", []))
        )
        yield name, where, cases, entry.get("skipped"), entry.get("differs")
