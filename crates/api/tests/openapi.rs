//! The committed OpenAPI document is the one that the handlers make.

use std::{collections::BTreeSet, fs, path::Path};

/// `UPDATE_OPENAPI=1 cargo test -p api` writes it anew.
#[test]
fn the_committed_document_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.json");
    let made = api::openapi_json() + "\n";
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        fs::write(&path, &made).expect("docs/ is there");
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        made == committed,
        "docs/openapi.json is not current: run `make openapi`"
    );
}

#[test]
fn every_operation_has_a_name_of_its_own_and_says_how_it_fails() {
    let document: serde_json::Value = serde_json::from_str(&api::openapi_json()).expect("the document is JSON");
    let mut names = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().expect("there are paths") {
        for (method, operation) in methods.as_object().expect("a path has methods") {
            let name = operation["operationId"].as_str().unwrap_or_default();
            assert!(
                names.insert(name.to_owned()) && !name.is_empty(),
                "{method} {path} has no operation id of its own"
            );
            let fails = operation["responses"].get("4XX").is_some();
            assert!(
                fails || path.starts_with("/health") || path.ends_with("/auth/me"),
                "{method} {path}"
            );
        }
    }
}
