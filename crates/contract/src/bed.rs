//! What tests need of the machine that they run on, and what they say when it is not there.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// The value of a variable that names a counterpart, such as a container engine. Without it the test says that it is
/// skipped, and passes; unless `CLICK_DEPLOY_REQUIRE`, a list with commas, holds `what`.
///
/// # Panics
/// When the counterpart is required and the variable is not set.
#[must_use]
pub fn counterpart(what: &str, variable: &str) -> Option<String> {
    if let Some(value) = std::env::var(variable).ok().filter(|value| !value.is_empty()) {
        return Some(value);
    }
    skipped(what);
    None
}

/// Says by name that a counterpart is absent: on standard error, and as a line of the file that
/// `CLICK_DEPLOY_TEST_SKIPS` names, so that a run can count them.
///
/// # Panics
/// When `CLICK_DEPLOY_REQUIRE`, a list with commas, holds `what`.
pub fn skipped(what: &str) {
    let required = std::env::var("CLICK_DEPLOY_REQUIRE").unwrap_or_default();
    assert!(
        !required.split(',').any(|name| name.trim() == what),
        "{what} is required and absent"
    );
    eprintln!("skipped: {what}");
    if let Some(file) = std::env::var_os("CLICK_DEPLOY_TEST_SKIPS") {
        let list = std::fs::OpenOptions::new().create(true).append(true).open(file);
        let _ = list.and_then(|mut list| std::io::Write::write_all(&mut list, format!("{what}\n").as_bytes()));
    }
}

/// A name that nothing else has, on this machine and in other runs.
#[must_use]
pub fn unique(what: &str) -> String {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let since_1970 = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    let number = COUNTER.fetch_add(1, Ordering::Relaxed);
    format!("{what}-{:x}-{:x}-{number}", std::process::id(), since_1970.as_micros())
}

/// One label that nothing else has.
#[must_use]
pub fn unique_labels(what: &str) -> BTreeMap<String, String> {
    BTreeMap::from([("click-deploy.org/test".to_owned(), unique(what))])
}

/// Waits until something is so; looks every 20 ms.
///
/// # Panics
/// When it is not so within 20 s.
pub async fn eventually<F: Future<Output = bool>>(what: &str, mut is_so: impl FnMut() -> F) {
    let looked = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(20), looked).await;
    assert!(in_time.is_ok(), "not within 20 s: {what}");
}
