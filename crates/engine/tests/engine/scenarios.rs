//! Many scenarios at once, each of which may fail and none of which may hang.

use std::{fmt::Debug, panic::AssertUnwindSafe, time::Duration};

use futures_util::{FutureExt as _, StreamExt as _, stream};
use tokio::sync::Semaphore;

/// How long one scenario may take, however busy the machine is. A request that is broken or killed may be waited for by
/// nobody but the scenario itself.
const LONGEST: Duration = Duration::from_secs(180);

/// Places for scenarios, in all tests together: most of a scenario is waiting, but each has threads of its own.
static PLACES: Semaphore = Semaphore::const_new(32);

/// Runs each scenario within its own time.
///
/// # Panics
/// With the scenarios that failed.
pub(crate) async fn all<S: Debug + Copy>(what: &str, scenarios: Vec<S>, run: impl AsyncFn(S)) {
    let (number, run) = (scenarios.len(), &run);
    let failed: Vec<S> = stream::iter(scenarios)
        .map(|scenario| async move {
            let _place = PLACES.acquire().await.unwrap();
            let named = async {
                let in_time = tokio::time::timeout(LONGEST, run(scenario)).await;
                assert!(in_time.is_ok(), "{scenario:?} hangs");
            };
            let end = AssertUnwindSafe(named).catch_unwind().await;
            if end.is_err() {
                eprintln!("^ {what}: {scenario:?}");
            }
            (scenario, end.is_err())
        })
        .buffer_unordered(64)
        .filter_map(async |(scenario, failed)| failed.then_some(scenario))
        .collect()
        .await;
    println!("{what}: {number} scenarios");
    assert!(
        failed.is_empty(),
        "{what}: {} of {number} are not as they should be: {failed:#?}",
        failed.len()
    );
}
