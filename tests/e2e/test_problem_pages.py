"""Every code that a user can meet has a page in docs/problems, and every page is of a code that exists."""

import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]

# A code is the first text that these calls are given; `Failure::new` is given the status before it.
CALLS = re.compile(
    r'(?:Reason::new|[^_\w]fail|(?:Self|Error)::conflict)\(\s*"([a-z][a-z0-9-]*)"'
    r'|(?:Failure::new|Self::new)\(\s*StatusCode::\w+,\s*"([a-z][a-z0-9-]*)"'
    r'|\(StatusCode::\w+,\s*"([a-z][a-z0-9-]*)"\)'
    r'|code: "([a-z][a-z0-9-]*)"'
)


def codes_of_the_program():
    codes = set()
    for folder in ("crates/api/src", "crates/engine/src"):
        for file in (ROOT / folder).rglob("*.rs"):
            text = file.read_text().split("#[cfg(test)]")[0]
            codes.update(code for found in CALLS.findall(text) for code in found if code)
    return codes


def test_codes_and_pages_are_the_same():
    pages = {file.stem for file in (ROOT / "docs/problems").glob("*.md")} - {"README"}
    codes = codes_of_the_program()
    assert len(codes) > 50, "the codes were not found in the source"
    assert codes - pages == set(), "codes without a page"
    # Some codes are put together elsewhere: a page needs to be named somewhere in the source.
    source = "".join(file.read_text() for folder in ("crates/api/src", "crates/engine/src") for file in (ROOT / folder).rglob("*.rs"))
    assert {page for page in pages if f'"{page}"' not in source} == set(), "pages without a code"
