//! What must hold whenever nothing is under way.

use std::collections::BTreeSet;

use domain::{ServiceId, deployment::DeploymentStatus, ports::router::RouteState};
use engine::state::{
    deployments::Deployment,
    logs::{Filter, Log},
};

use crate::bed::Bed;

impl Bed {
    /// Once every job is over: the service is as its state says, and nothing else is in the world.
    pub(crate) async fn is_tidy(&self, services: &[ServiceId]) {
        self.until_quiet().await;
        let mut containers = BTreeSet::new();
        let mut images = BTreeSet::new();
        for id in services {
            let service = self.service(*id).await;
            let deployments = self.store.deployments(*id, i64::MAX, 1000).await.unwrap();
            for deployment in &deployments {
                assert!(deployment.status.is_final(), "{deployment:?}");
                assert!(
                    deployment.finished_at_ms.is_some(),
                    "it is over and never finished: {deployment:?}"
                );
                let has_image = deployment.status == DeploymentStatus::Live && !deployment.image_removed;
                images.extend(
                    deployment
                        .image
                        .as_ref()
                        .filter(|_| has_image)
                        .map(|image| image.reference.clone()),
                );
                if deployment.status == DeploymentStatus::Failed {
                    let reason = deployment.reason.as_ref().expect("a failed deployment says why");
                    assert!(!reason.message.is_empty() && !reason.code.is_empty());
                }
                self.has_one_last_line(deployment).await;
                let phases = self.store.phases(deployment.id).await.unwrap();
                assert!(phases.iter().all(|phase| phase.status != "running"), "{phases:?}");
            }
            let (Some(current), Some(job)) = (service.current, service.current_job) else {
                continue;
            };
            if service.wanted != store::services::Wanted::Running {
                continue;
            }
            let current = deployments.iter().find(|deployment| deployment.id == current).unwrap();
            let names: BTreeSet<String> = (1..=current.made.settings.replicas.get())
                .map(|replica| format!("cd-{}-{}-{}-{replica}", service.name, id.short(), job.short()))
                .collect();
            self.until("the route leads to the current instances", async || {
                let route = self.route(&service.host).await?;
                let there: BTreeSet<String> = route.instances.iter().map(|instance| instance.id.clone()).collect();
                let right = route.state == RouteState::Live && there == names && route.deployment == service.current;
                right.then_some(())
            })
            .await;
            containers.extend(names);
        }
        let alive = self.world.alive();
        let there = |names: &[String]| names.iter().cloned().collect::<BTreeSet<String>>();
        // Somebody else's images are not ours to count.
        let is_own = |name: &String| name.starts_with("click-deploy/");
        assert_eq!(there(&alive.containers), containers, "containers");
        assert_eq!(there(&alive.running), containers, "running");
        let images: BTreeSet<String> = images.into_iter().filter(is_own).collect();
        let own: BTreeSet<String> = alive.images.iter().filter(|name| is_own(name)).cloned().collect();
        assert_eq!(own, images, "images");
        let network = format!("cd-test-{}", self.project.id.short());
        assert!(
            alive.networks.iter().all(|name| *name == network),
            "{:?}",
            alive.networks
        );
        self.until("no work directory is left", async || {
            let work = std::fs::read_dir(self.directory().join("work"));
            work.map_or(true, |mut entries| entries.next().is_none()).then_some(())
        })
        .await;
        assert_eq!(self.watched.violations(), Vec::<String>::new());
    }

    /// How a deployment ended is said once, at the end of its log.
    async fn has_one_last_line(&self, deployment: &Deployment) {
        if deployment.log_removed {
            return;
        }
        let log = Log::Build(deployment.id);
        let lines = self.store.lines(log, 0, &Filter::default(), 10_000).await.unwrap();
        let said = |words: &str| lines.iter().filter(|line| line.message.starts_with(words)).count();
        let words = match deployment.status {
            DeploymentStatus::Live => "live at ",
            DeploymentStatus::Failed => "failed: ",
            DeploymentStatus::Cancelled => "cancelled; ",
            _ => "superseded: ",
        };
        let all = ["live at ", "failed: ", "cancelled; ", "superseded: "].map(said);
        assert_eq!(
            (said(words), all.iter().sum()),
            (1, 1),
            "{:?}: {lines:#?}",
            deployment.status
        );
        let last = lines.last().map(|line| line.message.as_str()).unwrap_or_default();
        assert!(last.starts_with(words), "{last}");
    }
}
