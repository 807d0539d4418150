//! The network of the project, and the address of the service.

use async_trait::async_trait;
use domain::{
    Reason,
    deployment::Phase,
    labels::Ownership,
    ports::{
        infrastructure::NetworkSpec,
        router::{Route, RouteState, RouterError},
    },
};
use serde_json::{Value, json};
use store::services::Service;

use super::Deploying;
use crate::{
    instances::refused,
    leases,
    saga::{Step, StepError},
    world::World,
};

pub(super) struct Provision;

/// Makes the network of a project, or finds it. For two workers at once the engine would make two of one name: `owner`
/// names whoever makes it.
pub(crate) async fn ensure_network(world: &World, owner: &str, service: &Service) -> Result<(), StepError> {
    let labels = Ownership {
        installation: world.settings.installation.clone(),
        organization: service.organization,
        project: service.project,
        service: None,
        deployment: None,
    }
    .labels();
    let spec = NetworkSpec {
        name: world.network_name(service.project),
        labels,
    };
    let lease = format!("network/{}", service.project);
    let making = world.infrastructure.ensure_network(&spec);
    match leases::alone(&world.store, owner, &lease, making).await {
        Ok(made) => made.map(drop).map_err(refused),
        Err(store::Error::LeaseLost(_)) => Err(StepError::Again(Reason::new(
            "engine-unreachable",
            "making the project's network took too long",
            "Look whether the container engine answers.",
        ))),
        Err(error) => Err(error.into()),
    }
}

/// What a router error means for a step.
pub(crate) fn unrouted(error: RouterError) -> StepError {
    match error {
        RouterError::Unreachable(cause) => StepError::Again(Reason::new(
            "proxy-unreachable",
            format!("the proxy does not answer: {}", crate::error::bottom(&cause)),
            "It goes on serving what it knows. Start it, then deploy again.",
        )),
        RouterError::Refused(message) => StepError::Fail(Reason::new(
            "proxy-refused",
            format!("the proxy refused the route: {message}"),
            "",
        )),
    }
}

#[async_trait]
impl Step<Deploying> for Provision {
    fn name(&self) -> &'static str {
        "provision"
    }

    async fn run(&self, deploying: &Deploying) -> Result<Value, StepError> {
        let Deploying {
            world,
            service,
            claim,
            progress,
            ..
        } = deploying;
        deploying
            .phase(Phase::Provision, async {
                ensure_network(world, &claim.owner, service).await?;
                if service.current.is_none() {
                    // The address answers at once, with a page that says that the first version is on its way.
                    let route = Route {
                        service: service.id,
                        name: service.name.to_string(),
                        state: RouteState::Building,
                        message: String::new(),
                        deployment: None,
                        instances: Vec::new(),
                    };
                    world.router.set(&service.host, &route).await.map_err(unrouted)?;
                }
                progress.say(
                    Phase::Provision,
                    &format!("the address is {}", world.url_of(&service.host)),
                );
                Ok(json!({}))
            })
            .await
    }

    async fn undo(&self, _deploying: &Deploying, _made: Option<&Value>) -> Result<(), StepError> {
        // The network belongs to the project and the address to the service: both stay. What the address shows follows
        // from the state, and the reconciler of routes sees to it.
        Ok(())
    }
}
