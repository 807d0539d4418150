//! The images of Dockerfiles.

use std::collections::BTreeMap;

use crate::promises::on_processor;
use planner::base_images_of_dockerfile;

fn images(text: &str) -> Vec<String> {
    base_images_of_dockerfile(text, &BTreeMap::new(), None)
}

fn arguments(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

#[test]
fn stages_and_scratch_are_no_images() {
    let text = "# a comment\nFROM --platform=$BUILDPLATFORM golang:1.26 AS Build\nRUN x\nfrom build as test\n\
                FROM scratch\nCOPY --from=BUILD /a /b\nCOPY --from=0 /a /b\nCOPY --chown=1:1 --from=busybox:1 /c /d\n";
    assert_eq!(images(text), ["golang:1.26", "busybox:1"]);
}

#[test]
fn only_what_the_target_is_made_of_is_pulled() {
    let text = "FROM a AS one\nFROM b AS two\nFROM one AS three\nRUN --mount=type=bind,from=two,target=/x --mount=type=cache,target=/y z\n\
                FROM d AS four\nCOPY --from=e / /\n";
    assert_eq!(images(text), ["d", "e"]);
    let of = |target| base_images_of_dockerfile(text, &BTreeMap::new(), Some(target));
    assert_eq!(of("three"), ["a", "b"]);
    assert_eq!(of("THREE"), ["a", "b"]);
    assert_eq!(of("0"), ["a"]);
    assert_eq!(of("missing"), Vec::<String>::new());
    assert_eq!(of(""), ["d", "e"]);
}

#[test]
fn arguments_are_substituted() {
    let text = "ARG VERSION=20\nARG BASE=node:${VERSION}\nARG EMPTY\nFROM ${BASE}-slim\nARG VERSION\nRUN --mount=from=tool:$VERSION,target=/t x\n\
                COPY --from=${EMPTY:-fallback}:1 / /\nCOPY --from=x${VERSION:+-set} / /\n";
    assert_eq!(images(text), ["node:20-slim", "tool:20", "fallback:1", "x-set"]);
    let given = base_images_of_dockerfile(text, &arguments(&[("VERSION", "24")]), None);
    assert_eq!(given[..2], ["node:24-slim".to_owned(), "tool:24".to_owned()]);
    let given = base_images_of_dockerfile(text, &arguments(&[("BASE", "mine:1")]), None);
    assert_eq!(given[0], "mine:1-slim");
    assert_eq!(images("ARG A=\"x y\" B='img:2'\nFROM $B\n"), ["img:2"]);
    assert_eq!(images("FROM $UNKNOWN\n"), Vec::<String>::new());
}

#[test]
fn continuations_heredocs_and_escapes_are_followed() {
    let text = "FROM \\\n  # in between\n  a:1 \\\n  AS x\nRUN <<EOF\nFROM not:this\nEOF\nCOPY <<-\"END\" /x\n\tFROM nor:this\n\tEND\nCOPY --from=b:2 / /\n";
    assert_eq!(images(text), ["a:1", "b:2"]);
    assert_eq!(
        images("# escape=`\nFROM a:1 `\n AS x\nCOPY --from=b\\c / /\n"),
        ["a:1", "bc"]
    );
    assert_eq!(images("\u{feff}FROM a\r\nCOPY --from=b / /\r\n"), ["a", "b"]);
}

#[test]
fn hostile_files_end_in_time_and_without_a_panic() {
    let doubling: String = (0..60)
        .map(|n| format!("ARG A{}=${{A{n}}}${{A{n}}}\n", n + 1))
        .collect();
    assert_eq!(
        images(&format!("ARG A0=xxxxxxxx\n{doubling}FROM $A60\n")),
        Vec::<String>::new()
    );
    for text in [
        "",
        "FROM",
        "FROM \\",
        "ARG",
        "FROM ${",
        "FROM ${a",
        "FROM $",
        "COPY --from=",
        "FROM a\nCOPY --from=${${${ x",
        "RUN <<EOF",
        "FROM \\\u{e9}",
        "FROM é$é",
    ] {
        let _ = images(text);
    }
    let _ = images(&format!("FROM {}", "${a:-".repeat(50_000)));
    let _ = images(&"FROM a AS a\n".repeat(5_000));
}

#[test]
fn many_stages_images_arguments_and_heredocs_end_in_time() {
    let many = |line: fn(usize) -> String| (0..50_000).map(line).collect::<String>();
    let began = on_processor();
    let copied = images(&format!(
        "FROM a\n{}",
        many(|index| format!("COPY --from=x{index} / /\n"))
    ));
    assert_eq!(copied.len(), 50_001);
    let chain = many(|index| format!("FROM s{index} AS s{}\n", index + 1));
    assert_eq!(images(&chain), ["s0"]);
    let arguments = many(|index| format!("ARG A{index}=x\n"));
    assert_eq!(images(&format!("{arguments}FROM $A7\n{arguments}")), ["x"]);
    let begun = many(|_| "<<E ".to_owned());
    assert_eq!(images(&format!("FROM a\nRUN {begun}\n{}", "E\n".repeat(50_000))), ["a"]);
    let took = on_processor() - began;
    assert!(took.as_secs() < 20, "{took:?}");
}
