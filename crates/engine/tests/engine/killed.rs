//! The platform is killed before and after every call of a port, and at every other moment; it is started again and
//! ends what it had begun: it finishes, or undoes. Meanwhile the old version is served.

use std::time::Duration;

use crate::{
    scenarios,
    watched::{Moment, Pause, Which},
    works::{May, Site, Work},
};

/// When it is killed.
#[derive(Debug, Clone, Copy)]
enum Kill {
    /// At this call, counted from the beginning of the work.
    At(usize, Moment),
    /// At this call, and again at the next call after it was started again.
    Twice(usize),
    /// After so many milliseconds.
    After(u64),
}

/// One run makes a few calls less than another: then everything is over, and the kill comes afterwards.
async fn reached_or_over(site: &Site, pause: &Pause) {
    tokio::select! {
        () = pause.reached() => {}
        () = site.bed.until_quiet() => {}
    }
}

async fn killed(work: Work, kill: Kill) {
    let mut site = Site::prepare(work).await;
    let pause = match kill {
        Kill::At(number, moment) => Some(site.bed.watched.pause(Which::Nth(number), moment)),
        Kill::Twice(number) => Some(site.bed.watched.pause(Which::Nth(number), Moment::After)),
        Kill::After(_) => None,
    };
    let begun = match (&pause, kill) {
        (Some(pause), _) => tokio::select! {
            // The request itself may make the call: then whoever asked hears nothing.
            () = pause.reached() => None,
            begun = site.begin() => {
                reached_or_over(&site, pause).await;
                Some(begun.unwrap())
            }
        },
        (None, Kill::After(milliseconds)) => {
            let after = tokio::time::sleep(Duration::from_millis(milliseconds));
            tokio::select! {
                begun = async { let begun = site.begin().await; after.await; begun } => Some(begun.unwrap()),
                // A request that waits for the work is killed with it.
                () = tokio::time::sleep(Duration::from_millis(milliseconds + 200)) => None,
            }
        }
        (None, _) => None,
    };
    if let Kill::Twice(_) = kill {
        let second = site.bed.watched.pause(Which::Nth(1), Moment::After);
        site.bed.restart().await;
        reached_or_over(&site, &second).await;
    }
    site.bed.restart().await;
    let begun = match begun {
        Some(begun) => begun,
        None => site.begin_unless_begun().await,
    };
    site.holds(begun, May::OnlySucceed).await;
}

/// How thoroughly: every way to kill it, or only after each call, where another kind of work has the same steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kills {
    All,
    AfterEachCall,
}

async fn killed_everywhere(work: Work, thoroughly: Kills) {
    let calls = Site::calls_of(work).await.of_jobs;
    assert!(calls > 0, "{work:?} makes no call");
    let mut kills: Vec<Kill> = (1..=calls).map(|number| Kill::At(number, Moment::After)).collect();
    if thoroughly == Kills::All {
        kills.extend((1..=calls).flat_map(|number| [Kill::At(number, Moment::Before), Kill::Twice(number)]));
        kills.extend((0..12).map(|step| Kill::After(step * 15)));
    }
    scenarios::all(&format!("{work:?} is killed"), kills, async |kill| {
        killed(work, kill).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_deployment_that_is_killed_anywhere_is_finished() {
    killed_everywhere(Work::FirstDeployment, Kills::AfterEachCall).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_that_is_killed_anywhere_is_finished_while_the_old_version_serves() {
    killed_everywhere(Work::Deployment, Kills::All).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_of_an_upload_that_is_killed_anywhere_is_finished() {
    killed_everywhere(Work::UploadedDeployment, Kills::AfterEachCall).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_of_an_image_that_is_killed_anywhere_is_finished() {
    killed_everywhere(Work::ImageDeployment, Kills::AfterEachCall).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_that_fails_and_is_killed_anywhere_is_undone_while_the_old_version_serves() {
    killed_everywhere(Work::FailingDeployment, Kills::All).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_that_is_cancelled_and_killed_anywhere_is_undone_or_finished_while_the_old_version_serves() {
    killed_everywhere(Work::CancelledDeployment, Kills::AfterEachCall).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_that_is_killed_anywhere_even_under_its_request_is_finished() {
    killed_everywhere(Work::Rollback, Kills::AfterEachCall).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_that_is_killed_anywhere_is_finished_while_the_service_is_served() {
    killed_everywhere(Work::Restart, Kills::All).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_and_a_start_that_are_killed_anywhere_are_finished() {
    killed_everywhere(Work::Stop, Kills::AfterEachCall).await;
    killed_everywhere(Work::Start, Kills::AfterEachCall).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cleans_up_and_is_killed_anywhere_is_finished() {
    for work in [Work::RetireInstances, Work::PruneImages, Work::RemoveImage] {
        killed_everywhere(work, Kills::AfterEachCall).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_that_is_killed_anywhere_is_finished_and_leaves_nothing() {
    killed_everywhere(Work::RemoveService, Kills::AfterEachCall).await;
    killed_everywhere(Work::RemoveProject, Kills::AfterEachCall).await;
}
