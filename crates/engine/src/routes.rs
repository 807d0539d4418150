//! What the proxy should do for a service's host.

use std::net::SocketAddr;

use domain::{
    DeploymentId, JobId, Reason, labels,
    ports::{
        infrastructure::{Instance, InstanceStatus},
        router::{Route, RouteInstance, RouteState},
    },
};
use store::services::{Service, Wanted};

/// What is known of a service when its route is decided.
pub(crate) struct Situation<'a> {
    /// The service.
    pub service: &'a Service,
    /// The port of its current deployment.
    pub port: Option<u16>,
    /// Its instances, of whichever deployment.
    pub instances: &'a [Instance],
    /// A deployment is under way.
    pub deploying: bool,
    /// Why the newest deployment failed, when it did.
    pub failure: Option<&'a Reason>,
}

/// The instances that a job started for a deployment, running, by name.
pub(crate) fn serving(
    instances: &[Instance],
    deployment: DeploymentId,
    job: Option<JobId>,
    port: u16,
) -> Vec<RouteInstance> {
    let mut serving: Vec<RouteInstance> = instances
        .iter()
        .filter(|instance| belongs(instance, deployment, job) && instance.status == InstanceStatus::Running)
        .filter_map(|instance| {
            let address = SocketAddr::new(instance.address?, port);
            Some(RouteInstance {
                id: instance.name.clone(),
                address,
            })
        })
        .collect();
    serving.sort();
    serving
}

/// Whether an instance is of this deployment and was started by this job.
pub(crate) fn belongs(instance: &Instance, deployment: DeploymentId, job: Option<JobId>) -> bool {
    let has = |label: &str, value: String| instance.labels.get(label) == Some(&value);
    has(labels::DEPLOYMENT, deployment.to_string()) && job.is_none_or(|job| has(labels::JOB, job.to_string()))
}

/// The route that fits a situation.
pub(crate) fn wanted(situation: &Situation<'_>) -> Route {
    let service = situation.service;
    let page = |state: RouteState, message: String| Route {
        service: service.id,
        name: service.name.to_string(),
        state,
        message,
        deployment: None,
        instances: Vec::new(),
    };
    match (service.wanted, service.current, situation.port) {
        (Wanted::Stopped | Wanted::Removed, ..) => page(RouteState::Stopped, String::new()),
        (Wanted::Running, Some(deployment), Some(port)) => {
            let instances = serving(situation.instances, deployment, service.current_job, port);
            if instances.is_empty() {
                // Why is nobody's business but the owner's.
                return page(RouteState::Failed, String::new());
            }
            Route {
                state: RouteState::Live,
                deployment: Some(deployment),
                instances,
                ..page(RouteState::Live, String::new())
            }
        }
        _ if situation.deploying => page(RouteState::Building, String::new()),
        _ => match situation.failure {
            Some(_) => page(RouteState::Failed, String::new()),
            None => page(RouteState::Building, "Nothing was deployed yet.".to_owned()),
        },
    }
}
