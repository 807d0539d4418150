//! Logs: nothing lost, nothing twice, in order.

use std::time::Duration;

use contract::world::{Failure, Step};
use domain::{deployment::DeploymentStatus, logs::LogLevel};
use engine::state::{
    deployments::Deployment,
    logs::{Filter, Line, Log},
};

use crate::bed::{Bed, git, quick, replicas};

fn line(origin: &str, message: String) -> Line {
    Line {
        sequence: 0,
        at_ns: 0,
        phase: "run",
        level: LogLevel::Info,
        origin: origin.to_owned(),
        message,
    }
}

fn talkative(lines: usize) -> String {
    let said: Vec<String> = (0..lines)
        .map(|number| format!("echo line {number}; sleep 0.002"))
        .collect();
    format!("listen $PORT; {}; wait", said.join("; "))
}

async fn run_lines(bed: &Bed, log: Log, wanted: usize) -> Vec<Line> {
    bed.until("every line is there", async || {
        let lines = bed.engine.lines(log, 0, &Filter::default(), 10_000).await.unwrap();
        (lines.len() >= wanted).then_some(lines)
    })
    .await
}

/// Numbered from 1 without a gap; of each instance, each line once and in order.
fn are_whole(lines: &[Line], each: usize) {
    assert_eq!(
        lines.iter().map(|line| line.sequence).collect::<Vec<_>>(),
        (1..=lines.len() as i64).collect::<Vec<_>>()
    );
    let mut of_each = std::collections::BTreeMap::<&str, Vec<&str>>::new();
    for line in lines {
        of_each.entry(&line.origin).or_default().push(&line.message);
    }
    let wanted: Vec<String> = (0..each).map(|number| format!("line {number}")).collect();
    for (origin, said) in of_each {
        assert_eq!(said, wanted, "{origin}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_that_write_at_once_are_numbered_without_a_gap() {
    let bed = Bed::new().await;
    bed.world.build_with("web", &talkative(200));
    let service = bed.live("web", &replicas(2)).await;
    let log = bed.engine.run_log(bed.organization, service.id).await.unwrap();
    let lines = run_lines(&bed, log, 400).await;
    assert_eq!(lines.len(), 400);
    are_whole(&lines, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn output_that_broke_off_or_was_followed_by_a_killed_platform_goes_on_where_it_was() {
    let mut bed = Bed::new().await;
    bed.world.build_with("web", &talkative(300));
    bed.world.fail_next(Step::FollowOutput, Failure::Unreachable);
    bed.world.fail_next(Step::FollowOutput, Failure::Lost);
    let service = bed.live("web", &quick()).await;
    for _ in 0..4 {
        tokio::time::sleep(Duration::from_millis(60)).await;
        bed.restart().await;
    }
    let log = bed.engine.run_log(bed.organization, service.id).await.unwrap();
    let lines = run_lines(&bed, log, 300).await;
    assert_eq!(lines.len(), 300);
    are_whole(&lines, 300);
}

#[tokio::test(flavor = "multi_thread")]
async fn output_that_broke_off_is_followed_again_without_a_restart() {
    let bed = Bed::new().await;
    bed.world.build_with("web", &talkative(20));
    bed.world.fail_next(Step::FollowOutput, Failure::Unreachable);
    let service = bed.live("web", &quick()).await;
    let log = bed.engine.run_log(bed.organization, service.id).await.unwrap();
    are_whole(&run_lines(&bed, log, 20).await, 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_is_started_again_is_read_once() {
    let bed = Bed::new().await;
    bed.world
        .build_with("web", "listen $PORT; echo hello; sleep 0.3; exit 1");
    let service = bed.create("web", &git(), &quick()).await;
    let deployment = bed.deploy(service.id).await;
    assert_eq!(deployment.status, DeploymentStatus::Live);
    let log = bed.engine.run_log(bed.organization, service.id).await.unwrap();
    let lines = run_lines(&bed, log, 3).await;
    let times: std::collections::BTreeSet<i64> = lines.iter().map(|line| line.at_ns).collect();
    assert_eq!(times.len(), lines.len(), "each start says it once: {lines:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_is_started_again_while_it_is_read_has_no_second_reader() {
    let bed = Bed::new().await;
    bed.world.build_with("web", "listen $PORT; echo hello; wait");
    bed.world.hold(Step::FollowOutput);
    let service = bed.create("web", &git(), &quick()).await;
    let deployment = bed.deploy(service.id).await;
    let look = async |calls: usize| {
        bed.shared().notices.tell(engine::Notice::Deployment(deployment.id));
        (bed.world.calls(Step::FollowOutput) >= calls).then_some(())
    };
    bed.until("it is read", async || look(1).await).await;
    bed.world.crash(&bed.world.alive().running[0], 1);
    bed.until("it runs again", async || {
        (!bed.world.alive().running.is_empty()).then_some(())
    })
    .await;
    for _ in 0..20 {
        // Whoever looks for instances to read looks now.
        let _ = look(2).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    bed.world.release(Step::FollowOutput);
    let log = bed.engine.run_log(bed.organization, service.id).await.unwrap();
    run_lines(&bed, log, 2).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let lines = run_lines(&bed, log, 2).await;
    assert_eq!(lines.len(), 2, "each start says it once: {lines:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_reader_neither_loses_nor_doubles_a_line_while_many_write() {
    let bed = Bed::asleep().await;
    let service = bed.create("web", &git(), &quick()).await;
    let log = bed.engine.run_log(bed.organization, service.id).await.unwrap();
    let mut cursor = bed.engine.follow(log, 0, Filter::default());
    let writers: Vec<_> = (0..8)
        .map(|writer| {
            let (store, notices) = (bed.store.clone(), bed.shared().notices.clone());
            tokio::spawn(async move {
                for batch in 0..25 {
                    let mut lines: Vec<Line> = (0..4)
                        .map(|number| line(&writer.to_string(), format!("{}", batch * 4 + number)))
                        .collect();
                    store.append_lines(log, &mut lines, None).await.unwrap();
                    notices.tell(engine::Notice::Log(log));
                }
            })
        })
        .collect();
    let mut read: Vec<Line> = Vec::new();
    while read.len() < 800 {
        read.extend(cursor.next().await.unwrap().expect("a service's log has no end"));
    }
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!(
        read.iter().map(|line| line.sequence).collect::<Vec<_>>(),
        (1..=800).collect::<Vec<_>>()
    );
    for writer in 0..8 {
        let said: Vec<&str> = read
            .iter()
            .filter(|line| line.origin == writer.to_string())
            .map(|line| line.message.as_str())
            .collect();
        assert_eq!(said, (0..100).map(|number| number.to_string()).collect::<Vec<_>>());
    }
    let later = bed
        .engine
        .follow(log, 795, Filter::default())
        .next()
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        later.iter().map(|line| line.sequence).collect::<Vec<_>>(),
        [796, 797, 798, 799, 800]
    );
}

async fn read_to_the_end(bed: &Bed, deployment: &Deployment) -> (Vec<Line>, DeploymentStatus) {
    let log = bed.engine.build_log(bed.organization, deployment.id).await.unwrap();
    let mut cursor = bed.engine.follow(log, 0, Filter::default());
    let mut read = Vec::new();
    loop {
        match cursor.next().await.unwrap() {
            Ok(lines) => read.extend(lines),
            Err(status) => return (read, status),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_of_a_deployment_ends_with_its_status_after_its_last_line() {
    let bed = Bed::new().await;
    let service = bed.create("web", &git(), &quick()).await;
    for (failure, status) in [
        (None, DeploymentStatus::Live),
        (Some(Failure::Refused), DeploymentStatus::Failed),
    ] {
        failure
            .into_iter()
            .for_each(|failure| bed.world.fail_next(Step::Start, failure));
        let id = bed.ask(service.id).await;
        let deployment = bed.deployment(id).await;
        let (lines, end) = read_to_the_end(&bed, &deployment).await;
        assert_eq!(end, status);
        assert_eq!(
            lines.iter().map(|line| line.sequence).collect::<Vec<_>>(),
            (1..=lines.len() as i64).collect::<Vec<_>>()
        );
        let last = &lines.last().unwrap().message;
        assert!(
            last.starts_with(if status == DeploymentStatus::Live {
                "live at"
            } else {
                "failed:"
            }),
            "{last}"
        );
        let log = Log::Build(id);
        assert_eq!(
            bed.engine.newest_line(log).await.unwrap(),
            lines.len() as i64,
            "nothing comes after the end"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_of_a_deployment_that_was_cancelled_before_it_began_ends_at_once() {
    let bed = Bed::asleep().await;
    let service = bed.create("web", &git(), &quick()).await;
    let id = bed.ask(service.id).await;
    bed.engine.cancel(bed.organization, id).await.unwrap();
    let deployment = bed.deployment(id).await;
    let (lines, end) = read_to_the_end(&bed, &deployment).await;
    assert_eq!(end, DeploymentStatus::Cancelled);
    let messages: Vec<&str> = lines.iter().map(|line| line.message.as_str()).collect();
    assert_eq!(messages, ["cancelled; it had not begun"]);
}
