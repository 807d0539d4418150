//! What is forgotten is what the policy says, a batch at a time, and nobody who writes has to wait for all of it.

use std::sync::Arc;

use domain::{
    Reason, ServiceId,
    deployment::DeploymentEvent,
    logs::LogLevel,
    ports::{image::StoredImage, infrastructure::OutputCursor},
};
use store::{
    logs::{Filter, Line, Log, Read},
    retention::{BATCH, Range},
};

use crate::bed::Bed;

crate::bed::promises!(
    a_log_goes_in_batches_while_others_write,
    the_logs_that_go_are_the_old_ones_and_those_beyond_the_newest,
    a_deployment_goes_when_nothing_may_need_it,
    the_newest_line_of_a_service_stays_and_numbers_go_on,
    jobs_and_cursors_go_by_age,
);

fn lines(number: usize, at_ns: i64) -> Vec<Line> {
    let line = |place| Line {
        sequence: 0,
        at_ns,
        phase: "run",
        level: LogLevel::Info,
        origin: "web".to_owned(),
        message: format!("line {place}"),
    };
    (0..number).map(line).collect()
}

fn only(service: ServiceId) -> Range {
    Range {
        first: service,
        last: service,
    }
}

impl Bed {
    /// A deployment that failed.
    async fn over(&self, service: &store::services::Service) -> domain::DeploymentId {
        let id = self.deployment(service, &[]).await;
        let mut write = self.store.write().await.unwrap();
        let reason = Reason::new("exited", "it ended", "");
        assert!(
            write
                .end_deployment(id, DeploymentEvent::Fail, Some(&reason))
                .await
                .unwrap()
        );
        write.commit().await.unwrap();
        id
    }
}

async fn a_log_goes_in_batches_while_others_write(bed: Bed) {
    let service = bed.service("web").await;
    let old = bed.over(&service).await;
    let mut many = lines(3500, 1);
    bed.store.append_lines(Log::Build(old), &mut many, None).await.unwrap();
    let bed = Arc::new(bed);
    let mut left = 3500;
    loop {
        // Whoever writes beside a batch gets through, into the same table and the service's own.
        let beside = {
            let (bed, service) = (Arc::clone(&bed), service.clone());
            tokio::spawn(async move {
                let id = bed.deployment(&service, &[]).await;
                bed.store
                    .append_lines(Log::Build(id), &mut lines(3, 1), None)
                    .await
                    .unwrap();
                bed.store
                    .append_lines(Log::Run(service.id), &mut lines(3, 1), None)
                    .await
                    .unwrap();
            })
        };
        let more = bed.store.forget_build_lines(old).await.unwrap();
        beside.await.unwrap();
        assert!(bed.store.deployment(bed.organization, old).await.unwrap().log_removed);
        let now = bed
            .store
            .lines(Log::Build(old), 0, &Filter::default(), 10_000)
            .await
            .unwrap()
            .len() as i64;
        assert!(left - now <= BATCH, "one batch took {} lines", left - now);
        assert_eq!(more, left > 0);
        left = now;
        if !more {
            break;
        }
    }
    assert_eq!(left, 0);
    assert_eq!(bed.store.newest_line(Log::Run(service.id)).await.unwrap(), 15);
}

async fn the_logs_that_go_are_the_old_ones_and_those_beyond_the_newest(bed: Bed) {
    let service = bed.service("web").await;
    let mut all = Vec::new();
    for _ in 0..5 {
        all.push(bed.over(&service).await);
    }
    let under_way = bed.deployment(&service, &[]).await;
    let of = only(service.id);
    let forget = async |before_ms, kept| bed.store.logs_to_forget(&of, before_ms, kept).await.unwrap();
    assert_eq!(forget(0, 100).await, []);
    assert_eq!(forget(0, 4).await, all[..2], "six were made, the newest four are kept");
    assert_eq!(forget(i64::MAX, 100).await, all, "one that is under way stays");
    let mut write = bed.store.write().await.unwrap();
    write
        .set_current(service.id, all[0], domain::JobId::mint())
        .await
        .unwrap();
    write.commit().await.unwrap();
    assert_eq!(forget(0, 4).await, all[1..2], "the current one's stays");
    // One that was begun is found again after a crash, whatever the policy says by then.
    bed.store
        .append_lines(Log::Build(all[3]), &mut lines(3, 1), None)
        .await
        .unwrap();
    assert!(bed.store.forget_build_lines(all[3]).await.unwrap());
    assert_eq!(forget(0, 100).await, all[3..4]);
    assert!(!bed.store.forget_build_lines(all[3]).await.unwrap());
    assert_eq!(forget(0, 100).await, []);
    let other = bed.service("other").await;
    assert_eq!(
        bed.store.logs_to_forget(&only(other.id), i64::MAX, 0).await.unwrap(),
        []
    );
    bed.store
        .append_lines(Log::Build(under_way), &mut lines(3, 1), None)
        .await
        .unwrap();
    assert!(!bed.store.forget_build_lines(under_way).await.unwrap());
    assert_eq!(bed.store.newest_line(Log::Build(under_way)).await.unwrap(), 3);
    assert!(
        !bed.store
            .deployment(bed.organization, under_way)
            .await
            .unwrap()
            .log_removed
    );
}

async fn a_deployment_goes_when_nothing_may_need_it(bed: Bed) {
    let service = bed.service("web").await;
    let mut all = Vec::new();
    for _ in 0..6 {
        all.push(bed.over(&service).await);
    }
    // Without a log: the first five. With an image: the second. Current: the third. With a job: the fourth.
    for id in &all[..5] {
        assert!(!bed.store.forget_build_lines(*id).await.unwrap());
    }
    let image = StoredImage {
        reference: "app:1".to_owned(),
        digest: "sha256:1".to_owned(),
        size_bytes: 1,
    };
    bed.store.set_image(all[1], &image).await.unwrap();
    let mut write = bed.store.write().await.unwrap();
    write
        .set_current(service.id, all[2], domain::JobId::mint())
        .await
        .unwrap();
    let subject = all[3].to_string();
    write
        .enqueue(bed.organization, "remove-image", &subject, &subject)
        .await
        .unwrap();
    write.commit().await.unwrap();
    let of = only(service.id);
    assert_eq!(bed.store.deployments_to_forget(&of, 6).await.unwrap(), []);
    assert_eq!(bed.store.deployments_to_forget(&of, 2).await.unwrap(), [all[0]]);
    assert_eq!(bed.store.deployments_to_forget(&of, 0).await.unwrap(), [all[0], all[4]]);
    assert_eq!(bed.store.forget_deployment(all[1]).await.unwrap(), 0);
    assert_eq!(bed.store.forget_deployment(all[5]).await.unwrap(), 0);
    assert_eq!(bed.store.forget_deployment(all[0]).await.unwrap(), 1);
    bed.store.set_image_removed(all[1]).await.unwrap();
    assert_eq!(bed.store.deployments_to_forget(&of, 2).await.unwrap(), [all[1]]);
    // Numbers are never given again.
    let next = bed.over(&service).await;
    assert_eq!(bed.store.deployment(bed.organization, next).await.unwrap().number, 7);
}

async fn the_newest_line_of_a_service_stays_and_numbers_go_on(bed: Bed) {
    let (service, silent) = (bed.service("web").await, bed.service("silent").await);
    let log = Log::Run(service.id);
    for at_ns in [10, 20, 30] {
        bed.store
            .append_lines(log, &mut lines(1000, at_ns), None)
            .await
            .unwrap();
    }
    let page = bed.store.run_logs("", 10).await.unwrap();
    assert_eq!(page.len(), 2);
    let found = page.iter().find(|one| one.service == service.id).unwrap();
    assert_eq!((found.oldest, found.newest, found.oldest_at_ns), (1, 3000, 10));
    let nothing = page.iter().find(|one| one.service == silent.id).unwrap();
    assert_eq!((nothing.oldest, nothing.newest), (0, 0));
    assert_eq!(
        bed.store.run_logs(&page[0].service.to_string(), 10).await.unwrap(),
        page[1..]
    );
    let forget = async |up_to, before_ns| bed.store.forget_run_lines(found, up_to, before_ns).await.unwrap();
    assert_eq!(forget(0, 10).await, 0);
    assert_eq!(forget(10, 0).await, 10, "by number");
    assert_eq!(forget(0, 11).await, 990, "by age");
    assert_eq!(forget(0, 15).await, 0);
    assert_eq!(forget(i64::MAX, i64::MAX).await, BATCH as u64);
    assert_eq!(forget(i64::MAX, i64::MAX).await, 999, "all but the newest");
    assert_eq!(forget(i64::MAX, i64::MAX).await, 0);
    assert_eq!(
        bed.store.forget_run_lines(nothing, i64::MAX, i64::MAX).await.unwrap(),
        0
    );
    let mut more = lines(1, 40);
    bed.store.append_lines(log, &mut more, None).await.unwrap();
    assert_eq!(more[0].sequence, 3001);
}

async fn jobs_and_cursors_go_by_age(bed: Bed) {
    let service = bed.service("web").await;
    let mut write = bed.store.write().await.unwrap();
    for number in 0..3 {
        write
            .enqueue(bed.organization, "stop-service", "s", &format!("k{number}"))
            .await
            .unwrap();
    }
    write.commit().await.unwrap();
    let claims = bed.store.claim_jobs("me", 60_000, 2).await.unwrap();
    for claim in &claims {
        bed.store.finish_job(claim, None).await.unwrap();
    }
    assert_eq!(bed.store.forget_jobs(1).await.unwrap(), 0);
    assert_eq!(
        bed.store.forget_jobs(store::now_ms() + 60_000).await.unwrap(),
        2,
        "one waits"
    );
    assert_eq!(bed.store.forget_jobs(store::now_ms() + 60_000).await.unwrap(), 0);
    assert_eq!(bed.store.forget_idempotency_keys().await.unwrap(), 0);
    for (instance, at_ns) in [("a", 10), ("b", 20), ("c", 30)] {
        let to = OutputCursor {
            at_ns,
            lines_at_that_time: 1,
        };
        let from = OutputCursor::default();
        let log = Log::Run(service.id);
        bed.store
            .append_lines(log, &mut lines(1, at_ns), Some(Read { instance, from, to }))
            .await
            .unwrap();
    }
    assert_eq!(bed.store.instances_silent_since(30, "").await.unwrap(), ["a", "b"]);
    assert_eq!(bed.store.instances_silent_since(30, "a").await.unwrap(), ["b"]);
    bed.store.forget_output_cursor("a", 10).await.unwrap();
    assert_eq!(
        bed.store.instances_silent_since(30, "").await.unwrap(),
        ["a", "b"],
        "it was read meanwhile"
    );
    bed.store.forget_output_cursor("a", 30).await.unwrap();
    assert_eq!(bed.store.instances_silent_since(30, "").await.unwrap(), ["b"]);
}
