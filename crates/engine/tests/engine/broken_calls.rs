//! The generated tests of what breaks: each kind of work is run once to count its calls of ports, and then once for each
//! of them with that call broken: only it, or its step from then on; the counterpart away, refusing, or doing it with its
//! answer lost. While it is broken the work ends or says why it does not; once it is mended nothing is left over, and the
//! next deployment becomes live.

use contract::world::{Failure, Step};

use crate::{
    scenarios,
    watched::{Breakage, Which},
    works::{May, SHARED, Site, Work},
};

async fn broken(work: Work, breakage: Breakage) {
    let site = Site::prepare(work).await;
    site.bed.watched.break_call(breakage);
    let begun = site.begin().await;
    site.bed
        .until(
            "it is over or put back, however long it is broken",
            async || match &begun {
                Ok(begun) => site.is_settled(*begun).await.then_some(()),
                Err(_) => Some(()),
            },
        )
        .await;
    let steps = site.bed.watched.mend();
    // A counterpart that is away for a moment is asked again; but for the planner, which is a part of ourselves.
    let is_asked_again = !breakage.lasting && breakage.failure != Failure::Refused && !steps.contains(&Step::Plan);
    let may = if is_asked_again { May::OnlySucceed } else { May::Fail };
    let begun = match begun {
        Ok(begun) => begun,
        // The request was refused, and can be made again.
        Err(_) => site.begin_unless_begun().await,
    };
    site.holds(begun, may).await;
    site.goes_on().await;
}

async fn broken_everywhere(work: Work) {
    let calls = Site::calls_of(work).await;
    let mut which: Vec<Which> = (1..=calls.of_jobs).map(Which::Nth).collect();
    for step in SHARED {
        let number = calls.of_step(step);
        which.extend((1..=number).map(|number| Which::NthOf(step, number)));
    }
    assert!(!which.is_empty(), "{work:?} makes no call");
    let mut scenarios = Vec::new();
    for which in which {
        for failure in [Failure::Unreachable, Failure::Refused, Failure::Lost] {
            scenarios.extend([false, true].map(|lasting| Breakage {
                which,
                failure,
                lasting,
            }));
        }
    }
    scenarios::all(&format!("{work:?} is broken"), scenarios, async |breakage| {
        broken(work, breakage).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_deployment_of_which_any_call_breaks_ends_and_leaves_nothing() {
    broken_everywhere(Work::FirstDeployment).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_of_which_any_call_breaks_ends_while_the_old_version_serves() {
    broken_everywhere(Work::Deployment).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_of_an_upload_of_which_any_call_breaks_ends_while_the_old_version_serves() {
    broken_everywhere(Work::UploadedDeployment).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_of_an_image_of_which_any_call_breaks_ends_while_the_old_version_serves() {
    broken_everywhere(Work::ImageDeployment).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_that_fails_and_of_which_any_call_breaks_is_undone_while_the_old_version_serves() {
    broken_everywhere(Work::FailingDeployment).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_that_is_cancelled_and_of_which_any_call_breaks_is_told_as_cancelled() {
    broken_everywhere(Work::CancelledDeployment).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_of_which_any_call_breaks_even_of_its_request_ends_while_the_old_version_serves() {
    broken_everywhere(Work::Rollback).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_of_which_any_call_breaks_ends_while_the_service_is_served() {
    broken_everywhere(Work::Restart).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_and_a_start_of_which_any_call_breaks_end() {
    broken_everywhere(Work::Stop).await;
    broken_everywhere(Work::Start).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cleans_up_and_of_which_any_call_breaks_ends() {
    for work in [Work::RetireInstances, Work::PruneImages, Work::RemoveImage] {
        broken_everywhere(work).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_of_which_any_call_breaks_ends_and_leaves_nothing() {
    broken_everywhere(Work::RemoveService).await;
    broken_everywhere(Work::RemoveProject).await;
}
