//! The kinds of work that the generated tests break, repeat and kill: how each is prepared and begun, and what must hold
//! once it is over.

use contract::world::{ORDINARY_PROGRAM, Step};
use domain::{
    DeploymentId, JobId,
    deployment::DeploymentStatus,
    labels,
    ports::infrastructure::{Infrastructure as _, InstanceSpec},
    source::Source,
};
use engine::{
    Error, Retention,
    state::{jobs::Job, services::Service},
};
use store::services::Wanted;

use crate::bed::{Bed, REPOSITORY, git, replicas, uploads};

/// What is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    FirstDeployment,
    Deployment,
    UploadedDeployment,
    ImageDeployment,
    /// A command runs before its instances do.
    DeploymentWithReleaseCommand,
    FailingDeployment,
    CancelledDeployment,
    Rollback,
    Restart,
    Stop,
    Start,
    RetireInstances,
    PruneImages,
    RemoveImage,
    RemoveService,
    RemoveProject,
}

impl Work {
    /// Those that are sagas, with a journal.
    pub(crate) const SAGAS: [Self; 8] = [
        Self::FirstDeployment,
        Self::Deployment,
        Self::UploadedDeployment,
        Self::ImageDeployment,
        Self::DeploymentWithReleaseCommand,
        Self::FailingDeployment,
        Self::CancelledDeployment,
        Self::Rollback,
    ];

    /// The others, each of which looks at what is there and does what is left.
    pub(crate) const JOBS: [Self; 8] = [
        Self::Restart,
        Self::Stop,
        Self::Start,
        Self::RetireInstances,
        Self::PruneImages,
        Self::RemoveImage,
        Self::RemoveService,
        Self::RemoveProject,
    ];

    fn removes(self) -> bool {
        matches!(self, Self::RemoveService | Self::RemoveProject)
    }

    /// How its deployment ends when nothing breaks.
    fn wished(self) -> DeploymentStatus {
        match self {
            Self::FailingDeployment => DeploymentStatus::Failed,
            Self::CancelledDeployment => DeploymentStatus::Cancelled,
            _ => DeploymentStatus::Live,
        }
    }
}

/// What was asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Begun {
    Deployment(DeploymentId),
    /// A deployment whose cancellation was accepted.
    Cancelled(DeploymentId),
    Job(JobId),
}

/// How the work may end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum May {
    /// As it was wished, and in no other way.
    OnlySucceed,
    /// It may have failed, in an orderly way.
    Fail,
}

/// Steps that jobs call, and the loops in the background too, at any time.
pub(crate) const SHARED: [Step; 3] = [Step::Instances, Step::Wait, Step::FollowOutput];

/// How many calls a kind of work makes.
pub(crate) struct Calls {
    /// Those that only jobs make, and requests.
    pub(crate) of_jobs: usize,
    of_steps: [(Step, usize); SHARED.len()],
}

impl Calls {
    pub(crate) fn of_step(&self, step: Step) -> usize {
        let found = self.of_steps.iter().find(|(of, _)| *of == step);
        found.map_or(0, |(_, number)| *number)
    }
}

/// A platform on which a kind of work can begin.
pub(crate) struct Site {
    pub(crate) bed: Bed,
    work: Work,
    /// As it was before.
    service: Service,
    /// The deployment that was made last, before.
    newest: i64,
}

impl Site {
    pub(crate) async fn prepare(work: Work) -> Self {
        let mut bed = Bed::new().await;
        let mut settings = replicas(2);
        let service = if work == Work::FirstDeployment {
            bed.create("web", &git(), &settings).await
        } else {
            bed.live("web", &settings).await
        };
        match work {
            Work::DeploymentWithReleaseCommand => {
                settings.release_command = Some("echo migrated; sleep 0.05; exit 0".parse().unwrap());
                bed.set_settings(service.id, settings).await;
            }
            Work::UploadedDeployment => bed.set_source(service.id, uploads()).await,
            Work::ImageDeployment => {
                let image = bed.world.add_image("nginx:1", ORDINARY_PROGRAM, None);
                let reference = image.reference.parse().unwrap();
                bed.set_source(service.id, Source::Image { reference }).await;
            }
            Work::FailingDeployment => bed.world.build_with("web", "echo oh no; sleep 0.05; exit 1"),
            Work::Rollback => drop(bed.deploy(service.id).await),
            Work::Start => {
                bed.watched.need_not_serve(&service.host);
                bed.engine.stop_service(bed.organization, service.id).await.unwrap();
                bed.until_quiet().await;
            }
            Work::Stop | Work::RemoveService | Work::RemoveProject => bed.watched.need_not_serve(&service.host),
            Work::PruneImages => {
                bed.deploy(service.id).await;
                let (images, live_images) = (1, 1);
                bed.keep(Retention {
                    images,
                    live_images,
                    ..Retention::default()
                })
                .await;
            }
            Work::RemoveImage => {
                bed.world.fail_next(Step::Start, contract::world::Failure::Refused);
                bed.world.fail_next(Step::Start, contract::world::Failure::Refused);
                bed.deploy(service.id).await;
                bed.world.mend(Step::Start);
            }
            _ => {}
        }
        let service = bed.service(service.id).await;
        let newest = bed.store.deployments(service.id, i64::MAX, 1).await.unwrap();
        Self {
            bed,
            work,
            service,
            newest: newest.first().map_or(0, |deployment| deployment.number),
        }
    }

    /// Which calls the work makes when nothing disturbs it.
    pub(crate) async fn calls_of(work: Work) -> Calls {
        let site = Self::prepare(work).await;
        let watched = &site.bed.watched;
        let count = || Calls {
            of_jobs: watched.counted(),
            of_steps: SHARED.map(|step| (step, watched.counted_of(step))),
        };
        let before = count();
        let begun = site.begin().await.unwrap();
        site.bed.until_quiet_without_pauses().await;
        let after = count();
        site.holds(begun, May::OnlySucceed).await;
        Calls {
            of_jobs: after.of_jobs - before.of_jobs,
            of_steps: SHARED.map(|step| (step, after.of_step(step) - before.of_step(step))),
        }
    }

    /// Asks for the work. The request itself calls ports, too, and can be refused.
    pub(crate) async fn begin(&self) -> Result<Begun, Error> {
        let (bed, service) = (&self.bed, self.service.id);
        let (engine, organization) = (&bed.engine, bed.organization);
        Ok(match self.work {
            Work::FirstDeployment
            | Work::Deployment
            | Work::ImageDeployment
            | Work::DeploymentWithReleaseCommand
            | Work::FailingDeployment => {
                bed.world.push(REPOSITORY, "main", &[("index.html", "two")]);
                Begun::Deployment(bed.ask(service).await)
            }
            Work::UploadedDeployment => Begun::Deployment(bed.upload(service, &[("index.html", "two")]).await),
            Work::CancelledDeployment => self.begin_and_cancel().await?,
            Work::Rollback => {
                let all = bed.store.deployments(service, i64::MAX, 10).await.unwrap();
                let first = all.iter().find(|deployment| deployment.number == 1).unwrap();
                let back = engine.roll_back(organization, service, first.id).await?;
                Begun::Deployment(back.deployment.id)
            }
            Work::Restart => Begun::Job(engine.restart_service(organization, service).await?.id),
            Work::Stop => Begun::Job(engine.stop_service(organization, service).await?.id),
            Work::Start => Begun::Job(engine.start_service(organization, service).await?.id),
            Work::RemoveService => Begun::Job(engine.remove_service(organization, service).await?.id),
            Work::RemoveProject => Begun::Job(engine.remove_project(organization, bed.project.id).await?.id),
            Work::RetireInstances => {
                self.leave_an_instance().await;
                Begun::Job(self.enqueue("retire-instances", &service.to_string()).await)
            }
            Work::PruneImages => Begun::Job(self.enqueue("prune-images", &service.to_string()).await),
            Work::RemoveImage => {
                let all = bed.store.deployments(service, i64::MAX, 1).await.unwrap();
                let image = all[0].image.as_ref().unwrap();
                bed.world.add_image(&image.reference, ORDINARY_PROGRAM, None);
                Begun::Job(self.enqueue("remove-image", &all[0].id.to_string()).await)
            }
        })
    }

    /// Asks for it once more after the platform died under the request; what was begun then goes on.
    pub(crate) async fn begin_unless_begun(&self) -> Begun {
        self.bed.world.release(Step::AskPublic);
        let newest = self.bed.store.deployments(self.service.id, i64::MAX, 1).await.unwrap();
        match newest.first() {
            Some(newest) if newest.number > self.newest => Begun::Deployment(newest.id),
            _ => self.begin().await.unwrap(),
        }
    }

    async fn begin_and_cancel(&self) -> Result<Begun, Error> {
        let bed = &self.bed;
        let asked = bed.world.calls(Step::AskPublic);
        bed.world.hold(Step::AskPublic);
        let id = bed.ask(self.service.id).await;
        bed.until("the public address is asked, or it failed before", async || {
            let is_over = bed.deployment(id).await.status.is_final();
            (is_over || bed.world.calls(Step::AskPublic) > asked).then_some(())
        })
        .await;
        let cancelled = bed.engine.cancel(bed.organization, id).await;
        bed.until("it is over", async || {
            bed.deployment(id).await.status.is_final().then_some(())
        })
        .await;
        bed.world.release(Step::AskPublic);
        match cancelled {
            Ok(_) => Ok(Begun::Cancelled(id)),
            Err(Error::Conflict { code: "over", .. }) => Ok(Begun::Deployment(id)),
            Err(error) => Err(error),
        }
    }

    async fn enqueue(&self, name: &str, subject: &str) -> JobId {
        let (bed, key) = (&self.bed, format!("{name}/{subject}"));
        let key = key.replace("retire-instances/", "retire/");
        let enqueued = async {
            store::transaction!(bed.store, |write| {
                write.enqueue(bed.organization, name, subject, &key).await?
            })
        };
        let job = enqueued.await.unwrap();
        bed.shared().notices.job();
        job
    }

    /// An instance of a version that serves no more.
    async fn leave_an_instance(&self) {
        let found = self.bed.world.instances(&Default::default()).await.unwrap();
        let mut labels = found[0].labels.clone();
        labels.insert(labels::DEPLOYMENT.to_owned(), DeploymentId::mint().to_string());
        labels.insert(labels::JOB.to_owned(), JobId::mint().to_string());
        let current = self.bed.deployment(self.service.current.unwrap()).await;
        let spec = InstanceSpec {
            name: "cd-web-of-before".to_owned(),
            labels,
            image: current.image.unwrap(),
            command: None,
            environment: Default::default(),
            network: self.bed.shared().network_name(self.service.project),
            aliases: Vec::new(),
            resources: self.service.settings.instance_size.resources(),
        };
        self.bed.world.start(&spec).await.unwrap();
    }

    /// How often the job of what was begun was taken.
    pub(crate) async fn attempts_of(&self, begun: Begun) -> i64 {
        let is_it = |job: &&Job| match begun {
            Begun::Deployment(id) | Begun::Cancelled(id) => job.subject == id.to_string(),
            Begun::Job(id) => job.id == id,
        };
        let jobs = self.bed.jobs().await;
        jobs.iter().find(is_it).unwrap().attempt
    }

    /// The job of the deployment that was asked for, if one was.
    pub(crate) async fn new_job(&self) -> Option<Job> {
        let newest = self.bed.store.deployments(self.service.id, i64::MAX, 1).await.unwrap();
        let newest = newest.first().filter(|newest| newest.number > self.newest)?;
        let jobs = self.bed.jobs().await.into_iter();
        jobs.filter(|job| job.name == "deploy")
            .find(|job| job.subject == newest.id.to_string())
    }

    /// Whether what was begun is over, or is put back for later; nothing is waited for then that does not come.
    pub(crate) async fn is_settled(&self, begun: Begun) -> bool {
        let jobs = self.bed.jobs().await;
        if let Begun::Deployment(id) | Begun::Cancelled(id) = begun
            && let Ok(Some(deployment)) = self.bed.store.any_deployment(id).await
            && !deployment.status.is_final()
        {
            return false;
        }
        let mut unfinished = jobs.iter().filter(|job| job.finished_at_ms.is_none()).peekable();
        unfinished.peek().is_none() || unfinished.any(|job| job.failures > 0)
    }

    /// What must hold once it is over; what pauses does not pause any more.
    pub(crate) async fn holds(&self, begun: Begun, may: May) {
        let (bed, service) = (&self.bed, &self.service);
        bed.until_quiet_without_pauses().await;
        for job in bed.jobs().await {
            assert_ne!(job.status, "dead", "{job:?}");
        }
        match begun {
            Begun::Deployment(id) | Begun::Cancelled(id) => {
                let deployment = bed.deployment(id).await;
                let is_wished = deployment.status == self.work.wished();
                let may_be = match begun {
                    // Whoever cancelled it is told so, whatever broke meanwhile.
                    Begun::Cancelled(_) => false,
                    // It was over, or the platform died, before anyone could cancel it.
                    _ if self.work == Work::CancelledDeployment => true,
                    _ => may == May::Fail && deployment.status == DeploymentStatus::Failed,
                };
                assert!(is_wished || may_be, "{:?}: {:?}", deployment.status, deployment.reason);
                let current = if deployment.status == DeploymentStatus::Live {
                    Some(id)
                } else {
                    service.current
                };
                assert_eq!(bed.service(service.id).await.current, current);
                let runs = bed
                    .world
                    .runs()
                    .iter()
                    .filter(|name| name.ends_with("-release"))
                    .count();
                let is_due =
                    self.work == Work::DeploymentWithReleaseCommand && deployment.status == DeploymentStatus::Live;
                assert!(
                    runs == 1 || (runs == 0 && !is_due),
                    "the release command ran {runs} times"
                );
            }
            Begun::Job(id) => {
                let job = bed.job(id).await;
                let may_fail = may == May::Fail && matches!(self.work, Work::Restart | Work::Start);
                assert!(
                    job.status == "done" || (may_fail && job.status == "failed"),
                    "{}: {:?}",
                    job.status,
                    job.reason
                );
            }
        }
        if self.work.removes() {
            self.is_removed().await;
            return;
        }
        let wanted = match self.work {
            Work::Stop => Wanted::Stopped,
            _ => Wanted::Running,
        };
        assert_eq!(bed.service(service.id).await.wanted, wanted);
        bed.is_tidy(&[service.id]).await;
    }

    async fn is_removed(&self) {
        let bed = &self.bed;
        assert!(bed.store.service(bed.organization, self.service.id).await.is_err());
        bed.is_tidy(&[]).await;
        let alive = bed.world.alive();
        assert_eq!(alive.routes, Vec::<String>::new());
        if self.work == Work::RemoveProject {
            assert!(bed.store.project(bed.organization, bed.project.id).await.is_err());
            bed.until(
                "the network is gone, which the engine may keep for a while",
                async || {
                    bed.shared().notices.reconcile();
                    bed.world.alive().networks.is_empty().then_some(())
                },
            )
            .await;
        }
    }

    /// Whatever happened, the next deployment becomes live.
    pub(crate) async fn goes_on(&self) {
        let (bed, id) = (&self.bed, self.service.id);
        if self.work.removes() {
            return;
        }
        bed.world.build_with("web", ORDINARY_PROGRAM);
        let status = bed.deploy_again(id, self.work == Work::UploadedDeployment).await;
        assert_eq!(status, DeploymentStatus::Live, "the next deployment");
        bed.is_tidy(&[id]).await;
    }
}
