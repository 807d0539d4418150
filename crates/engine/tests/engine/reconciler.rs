//! What happens to the world while nobody deploys.

use std::{collections::BTreeMap, time::Duration};

use contract::world::{Failure, Step};
use domain::{
    DeploymentId, ServiceId, labels,
    names::HostName,
    ports::{
        infrastructure::{Infrastructure as _, NetworkSpec},
        router::{Route, RouteState, Router as _},
    },
    service::ServiceStatus,
};

use crate::bed::{Bed, git, quick, replicas};

async fn running_again(bed: &Bed, service: &engine::state::services::Service, instances: usize) {
    bed.until("everything runs again and is served", async || {
        let alive = bed.world.alive();
        let route = bed.route(&service.host).await?;
        let view = bed.engine.service(bed.organization, service.id).await.unwrap();
        let right = alive.running.len() == instances
            && route.instances.len() == instances
            && route.state == RouteState::Live
            && view.status == ServiceStatus::Live;
        right.then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_was_removed_by_hand_comes_back_and_the_others_serve_meanwhile() {
    let bed = Bed::new().await;
    let service = bed.live("web", &replicas(2)).await;
    bed.watched.need_not_serve(&service.host);
    let victim = bed.world.alive().running[0].clone();
    bed.world.vanish(&victim);
    bed.shared().notices.reconcile();
    running_again(&bed, &service, 2).await;
    bed.is_tidy(&[service.id]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_crashed_comes_back() {
    let bed = Bed::new().await;
    let service = bed.live("web", &quick()).await;
    bed.watched.need_not_serve(&service.host);
    let victim = bed.world.alive().running[0].clone();
    for _ in 0..3 {
        bed.world.crash(&victim, 1);
        bed.shared().notices.reconcile();
        running_again(&bed, &service, 1).await;
    }
    bed.is_tidy(&[service.id]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_the_engine_will_not_start_again_is_made_anew_under_its_name() {
    let bed = Bed::new().await;
    let service = bed.live("web", &quick()).await;
    bed.watched.need_not_serve(&service.host);
    bed.world.fail_always(Step::StartAgain, Failure::Refused);
    let victim = bed.world.alive().running[0].clone();
    let before = bed.world.instance(&victim).await.unwrap().unwrap();
    // The engine was killed: it brings nothing back by itself.
    bed.world.keep_running(&victim, false).await.unwrap();
    bed.world.crash(&victim, 137);
    bed.shared().notices.reconcile();
    running_again(&bed, &service, 1).await;
    let after = bed.world.instance(&victim).await.unwrap().unwrap();
    assert_ne!(after.id, before.id);
    assert_eq!(after.labels, before.labels);
    bed.is_tidy(&[service.id]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_is_not_made_anew_because_the_engine_is_away_for_a_moment() {
    let bed = Bed::new().await;
    let service = bed.live("web", &quick()).await;
    bed.watched.need_not_serve(&service.host);
    bed.world.fail_next(Step::StartAgain, Failure::Unreachable);
    let victim = bed.world.alive().running[0].clone();
    let before = bed.world.instance(&victim).await.unwrap().unwrap();
    bed.world.keep_running(&victim, false).await.unwrap();
    bed.world.crash(&victim, 137);
    bed.shared().notices.reconcile();
    running_again(&bed, &service, 1).await;
    let after = bed.world.instance(&victim).await.unwrap().unwrap();
    assert_eq!(after.id, before.id);
    bed.is_tidy(&[service.id]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_of_which_an_instance_cannot_come_back_says_so_until_it_can() {
    let bed = Bed::new().await;
    let service = bed.live("web", &replicas(2)).await;
    bed.watched.need_not_serve(&service.host);
    bed.world.fail_always(Step::Start, Failure::Refused);
    let victim = bed.world.alive().running[0].clone();
    bed.world.vanish(&victim);
    bed.shared().notices.reconcile();
    bed.until("it is unhealthy, and the other instance serves", async || {
        let view = bed.engine.service(bed.organization, service.id).await.unwrap();
        let route = bed.route(&service.host).await?;
        let right = view.status == ServiceStatus::Unhealthy && view.reason.is_some() && route.instances.len() == 1;
        right.then_some(())
    })
    .await;
    bed.world.mend(Step::Start);
    running_again(&bed, &service, 2).await;
    bed.is_tidy(&[service.id]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_the_proxy_lost_is_restored() {
    let bed = Bed::new().await;
    let service = bed.live("web", &replicas(2)).await;
    let never = bed.create("never", &git(), &quick()).await;
    bed.watched.need_not_serve(&service.host);
    let before = bed.route(&service.host).await;
    bed.world.forget_routes();
    bed.shared().notices.reconcile();
    bed.until("the table is as it was", async || {
        (bed.route(&service.host).await == before).then_some(())
    })
    .await;
    bed.until("what was never deployed says so", async || {
        (bed.route(&never.host).await?.state == RouteState::Building).then_some(())
    })
    .await;
    bed.is_tidy(&[service.id, never.id]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_nobodys_goes_and_what_is_somebody_elses_stays() {
    let bed = Bed::new().await;
    let service = bed.live("web", &quick()).await;
    let host = HostName::parse("gone.apps.example.com").unwrap();
    let route = Route {
        service: domain::ServiceId::mint(),
        name: "gone".to_owned(),
        state: RouteState::Failed,
        message: String::new(),
        deployment: None,
        instances: Vec::new(),
    };
    bed.world.set(&host, &route).await.unwrap();
    for (name, installation) in [("nobodys", "test"), ("somebodys", "other")] {
        let labels = BTreeMap::from([(labels::INSTALLATION.to_owned(), installation.to_owned())]);
        bed.world
            .ensure_network(&NetworkSpec {
                name: name.to_owned(),
                labels,
            })
            .await
            .unwrap();
    }
    bed.shared().notices.reconcile();
    bed.until("what is nobody's is gone", async || {
        let networks = bed.world.alive().networks;
        (bed.route(&host).await.is_none() && !networks.contains(&"nobodys".to_owned())).then_some(())
    })
    .await;
    assert!(bed.world.alive().networks.contains(&"somebodys".to_owned()));
    bed.world.remove_network("somebodys").await.unwrap();
    bed.is_tidy(&[service.id]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_build_cache_is_bounded_again_and_again_whatever_the_builder_says() {
    let mut bed = Bed::with_build_cache(engine::BuildCache {
        limit_bytes: 1 << 30,
        first_after: Duration::from_millis(10),
        every: Duration::from_millis(10),
    })
    .await;
    bed.world.fail_next(Step::PruneCache, Failure::Unreachable);
    bed.start_runner();
    bed.until("it was bounded more than once", async || {
        (bed.world.calls(Step::PruneCache) >= 3).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_for_one_orphan_does_not_keep_the_next_one() {
    let bed = Bed::new().await;
    bed.world.fail_next(Step::RemoveNetwork, Failure::Refused);
    for name in ["orphan-1", "orphan-2"] {
        let labels = BTreeMap::from([(labels::INSTALLATION.to_owned(), "test".to_owned())]);
        let name = name.to_owned();
        bed.world.ensure_network(&NetworkSpec { name, labels }).await.unwrap();
    }
    bed.shared().notices.reconcile();
    let orphans = async || bed.world.alive().networks;
    bed.until("the first is kept, and the second is gone", async || {
        (orphans().await == ["orphan-1"]).then_some(())
    })
    .await;
    bed.until("the first is gone, too", async || {
        orphans().await.is_empty().then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_platform_that_was_away_finds_its_world_changed_and_mends_it() {
    let mut bed = Bed::new().await;
    let service = bed.live("web", &replicas(2)).await;
    bed.watched.need_not_serve(&service.host);
    bed.kill().await;
    for name in bed.world.alive().containers {
        bed.world.vanish(&name);
    }
    bed.world.forget_routes();
    bed.restart().await;
    running_again(&bed, &service, 2).await;
    bed.is_tidy(&[service.id]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn counterparts_that_are_away_do_not_end_the_reconciler() {
    let bed = Bed::new().await;
    let service = bed.live("web", &quick()).await;
    bed.watched.need_not_serve(&service.host);
    for step in [Step::Instances, Step::Table, Step::Networks, Step::Start] {
        bed.world.fail_always(step, Failure::Unreachable);
    }
    let victim = bed.world.alive().running[0].clone();
    bed.world.vanish(&victim);
    bed.shared().notices.reconcile();
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    for step in [Step::Instances, Step::Table, Step::Networks, Step::Start] {
        bed.world.mend(step);
    }
    bed.shared().notices.reconcile();
    running_again(&bed, &service, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_owns_is_listed_with_its_times_and_hidden_from_other_organizations() {
    let mut bed = Bed::new().await;
    let service = bed.live("web", &quick()).await;
    assert_eq!(bed.engine.orphans(bed.organization).await.unwrap(), []);
    // Nobody removes it while it is listed.
    bed.kill().await;
    let other = domain::OrganizationId::mint();
    for (name, organization) in [
        ("ours", Some(bed.organization)),
        ("theirs", Some(other)),
        ("unnamed", None),
    ] {
        let mut labels = BTreeMap::from([(labels::INSTALLATION.to_owned(), "test".to_owned())]);
        labels.extend(organization.map(|id| (labels::ORGANIZATION.to_owned(), id.to_string())));
        let name = name.to_owned();
        bed.world.ensure_network(&NetworkSpec { name, labels }).await.unwrap();
    }
    let work = bed.directory().join("work/left");
    std::fs::create_dir_all(&work).unwrap();
    let listed = bed.engine.orphans(bed.organization).await.unwrap();
    let names: Vec<(&str, &str)> = listed.iter().map(|one| (one.kind.name(), one.name.as_str())).collect();
    assert_eq!(
        names,
        [("network", "ours"), ("network", "unnamed"), ("file", "work/left")]
    );
    for orphan in &listed {
        assert_eq!(orphan.remove_at_ms, orphan.since_ms + 300);
        assert!(!orphan.why.is_empty());
    }
    assert_eq!(
        bed.engine.orphans(bed.organization).await.unwrap(),
        listed,
        "times do not move"
    );
    bed.restart().await;
    bed.until("all of them are gone", async || {
        bed.shared().notices.reconcile();
        let left = bed.world.alive().networks.len();
        (left == 1 && !work.exists()).then_some(())
    })
    .await;
    bed.is_tidy(&[service.id]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_processes_are_the_operators_alone() {
    let bed = Bed::new().await;
    let process = engine::state::processes::Process {
        id: "p".to_owned(),
        role: "all".to_owned(),
        host: "here".to_owned(),
        version: "1".to_owned(),
        started_at_ms: 1,
        seen_at_ms: 1,
    };
    bed.store.see_process(&process).await.unwrap();
    let seen = bed.engine.processes(bed.organization).await.unwrap();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].1, ["build-cache", "output", "reconciler"]);
    let other = bed.store.ensure_organization("other").await.unwrap();
    assert_eq!(bed.engine.processes(other).await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_no_deployment_has_is_listed_and_goes_after_its_grace() {
    let bed = Bed::new().await;
    let service = bed.live("web", &quick()).await;
    let before = bed.world.alive().images;
    let label = |service: ServiceId| {
        BTreeMap::from([
            (labels::INSTALLATION.to_owned(), "test".to_owned()),
            (labels::ORGANIZATION.to_owned(), bed.organization.to_string()),
            (labels::RESOURCE.to_owned(), service.to_string()),
            (labels::DEPLOYMENT.to_owned(), DeploymentId::mint().to_string()),
        ])
    };
    // Of a service that is there, and of one that is not: a backup that was restored knows neither.
    let left = ["click-deploy/a:1", "click-deploy/b:1"];
    bed.world.add_built_image(left[0], label(service.id));
    bed.world.add_built_image(left[1], label(ServiceId::mint()));
    bed.world.add_built_image("click-deploy/others:1", BTreeMap::new());
    let listed = bed.engine.orphans(bed.organization).await.unwrap();
    let names: Vec<&str> = listed.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, left);
    bed.until("they are gone", async || {
        let cleaning = store::transaction!(bed.store, |write| {
            write.enqueue(bed.organization, "cleanup", "all", "cleanup").await?
        });
        cleaning.unwrap();
        bed.shared().notices.job();
        bed.until_quiet().await;
        let images = bed.world.alive().images;
        left.iter()
            .all(|name| !images.iter().any(|image| image == name))
            .then_some(())
    })
    .await;
    let mut kept = before;
    kept.push("click-deploy/others:1".to_owned());
    kept.sort();
    let mut now = bed.world.alive().images;
    now.sort();
    assert_eq!(now, kept);
}

#[tokio::test(flavor = "multi_thread")]
async fn services_are_compared_page_by_page_and_what_is_right_is_not_set_again() {
    let mut bed = Bed::asleep().await;
    for number in 0..1100 {
        bed.create(&format!("app-{number}"), &git(), &quick()).await;
    }
    bed.start_runner();
    bed.until("every host has its page", async || {
        (bed.world.table().await.unwrap().len() == 1100).then_some(())
    })
    .await;
    let set = || bed.world.calls(Step::SetRoute);
    let (before, rounds) = (set(), bed.world.calls(Step::Networks));
    bed.until("two more rounds", async || {
        bed.shared().notices.reconcile();
        (bed.world.calls(Step::Networks) >= rounds + 2).then_some(())
    })
    .await;
    assert_eq!((before, set()), (1100, 1100));
}
