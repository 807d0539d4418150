//! The ports: each call goes through the watch to the world.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use async_trait::async_trait;
use contract::world::Step;
use domain::{
    DeploymentId, SecretText,
    names::{HostName, InsidePath},
    ports::{
        builder::{BuildError, BuildObserver, BuildRequest, Builder},
        image::{ImageError, ImageStore, LabelledImage, StoredImage},
        infrastructure::{
            Infrastructure, InfrastructureError, Instance, InstanceExit, InstanceSpec, ListeningPorts, Network,
            NetworkSpec, OutputCursor, OutputSink,
        },
        planning::{BaseImages, BuildPlan, PlanError, PlanRequest, Planner},
        prober::{Probe, Prober},
        router::{Route, Router, RouterError},
        source::{CommitFacts, GitRequest, SourceError, SourceLimits, SourceObserver, Sources},
    },
    service::HealthCheck,
};

use super::Watched;

#[async_trait]
impl Infrastructure for Watched {
    async fn ensure_network(&self, spec: &NetworkSpec) -> Result<Network, InfrastructureError> {
        self.around(Step::EnsureNetwork, self.world.ensure_network(spec)).await
    }
    async fn remove_network(&self, name: &str) -> Result<(), InfrastructureError> {
        self.around(Step::RemoveNetwork, self.world.remove_network(name)).await
    }
    async fn networks(&self, labels: &BTreeMap<String, String>) -> Result<Vec<Network>, InfrastructureError> {
        self.around(Step::Networks, self.world.networks(labels)).await
    }
    async fn start(&self, spec: &InstanceSpec) -> Result<Instance, InfrastructureError> {
        self.around(Step::Start, self.world.start(spec)).await
    }
    async fn instance(&self, name: &str) -> Result<Option<Instance>, InfrastructureError> {
        self.around(Step::Instance, self.world.instance(name)).await
    }
    async fn instances(&self, labels: &BTreeMap<String, String>) -> Result<Vec<Instance>, InfrastructureError> {
        self.around(Step::Instances, self.world.instances(labels)).await
    }
    async fn wait(&self, name: &str) -> Result<Option<InstanceExit>, InfrastructureError> {
        self.around(Step::Wait, self.world.wait(name)).await
    }
    async fn start_again(&self, name: &str) -> Result<Instance, InfrastructureError> {
        self.around(Step::StartAgain, self.world.start_again(name)).await
    }
    async fn keep_running(&self, name: &str, keep: bool) -> Result<(), InfrastructureError> {
        self.around(Step::KeepRunning, self.world.keep_running(name, keep))
            .await
    }
    async fn stop(&self, name: &str, grace_seconds: u32) -> Result<(), InfrastructureError> {
        self.around(Step::Stop, self.world.stop(name, grace_seconds)).await
    }
    async fn remove(&self, name: &str) -> Result<(), InfrastructureError> {
        self.around(Step::RemoveInstance, Infrastructure::remove(&self.world, name))
            .await
    }
    async fn listening_ports(&self, name: &str) -> Result<ListeningPorts, InfrastructureError> {
        self.around(Step::ListeningPorts, self.world.listening_ports(name))
            .await
    }
    async fn follow_output(
        &self,
        name: &str,
        from: OutputCursor,
        sink: &dyn OutputSink,
    ) -> Result<(), InfrastructureError> {
        self.around(Step::FollowOutput, self.world.follow_output(name, from, sink))
            .await
    }
    async fn version(&self) -> Result<String, InfrastructureError> {
        Infrastructure::version(&self.world).await
    }
}

#[async_trait]
impl ImageStore for Watched {
    fn name_for(&self, organization: &str, project: &str, service: &str, tag: &str) -> String {
        self.world.name_for(organization, project, service, tag)
    }
    async fn resolve(&self, reference: &str) -> Result<StoredImage, ImageError> {
        self.around(Step::ResolveImage, self.world.resolve(reference)).await
    }
    async fn resolve_own(&self, name: &str) -> Result<Option<StoredImage>, ImageError> {
        self.around(Step::ResolveOwnImage, self.world.resolve_own(name)).await
    }
    async fn built(&self, labels: &BTreeMap<String, String>) -> Result<Vec<LabelledImage>, ImageError> {
        // The clean-up asks, at any moment: it is not among the calls that a test counts.
        self.world.built(labels).await
    }
    async fn exists(&self, image: &StoredImage) -> Result<bool, ImageError> {
        self.around(Step::ImageExists, self.world.exists(image)).await
    }
    async fn remove(&self, image: &StoredImage) -> Result<(), ImageError> {
        self.around(Step::RemoveImage, ImageStore::remove(&self.world, image))
            .await
    }
    async fn exposed_port(&self, image: &StoredImage) -> Result<Option<u16>, ImageError> {
        self.around(Step::ExposedPort, self.world.exposed_port(image)).await
    }
    async fn version(&self) -> Result<String, ImageError> {
        ImageStore::version(&self.world).await
    }
}

#[async_trait]
impl Router for Watched {
    async fn set(&self, host: &HostName, route: &Route) -> Result<(), RouterError> {
        self.around(Step::SetRoute, self.world.set(host, route)).await
    }
    async fn remove(&self, host: &HostName) -> Result<(), RouterError> {
        self.around(Step::RemoveRoute, Router::remove(&self.world, host)).await
    }
    async fn get(&self, host: &HostName) -> Result<Option<Route>, RouterError> {
        self.around(Step::GetRoute, self.world.get(host)).await
    }
    async fn table(&self) -> Result<BTreeMap<HostName, Route>, RouterError> {
        self.around(Step::Table, self.world.table()).await
    }
    async fn table_at(&self) -> Result<(u64, BTreeMap<HostName, Route>), RouterError> {
        let number = self.state().changes;
        let table = self.around(Step::Table, self.world.table()).await?;
        Ok((number, table))
    }
    async fn change_at(&self, number: u64, host: &HostName, route: Option<&Route>) -> Result<Option<u64>, RouterError> {
        {
            let mut state = self.state();
            if state.changes != number {
                return Ok(None);
            }
            state.changes += 1;
        }
        match route {
            Some(route) => self.world.set(host, route).await?,
            None => Router::remove(&self.world, host).await?,
        }
        self.look(Step::SetRoute).await;
        Ok(Some(number + 1))
    }
    async fn drained(&self, instance: &str, limit: Duration) -> Result<u64, RouterError> {
        self.around(Step::Drained, self.world.drained(instance, limit)).await
    }
    async fn version(&self) -> Result<String, RouterError> {
        Router::version(&self.world).await
    }
}

#[async_trait]
impl Prober for Watched {
    async fn probe(&self, address: SocketAddr, check: &HealthCheck, timeout: Duration) -> Probe {
        self.around(Step::Probe, self.world.probe(address, check, timeout))
            .await
    }
    async fn ask_public(
        &self,
        host: &HostName,
        path: &str,
        timeout: Duration,
    ) -> Result<(Option<DeploymentId>, u16), String> {
        self.around(Step::AskPublic, self.world.ask_public(host, path, timeout))
            .await
    }
}

#[async_trait]
impl Builder for Watched {
    async fn build(&self, request: &BuildRequest, observer: &dyn BuildObserver) -> Result<StoredImage, BuildError> {
        self.around(Step::Build, self.world.build(request, observer)).await
    }
    fn merges_layers(&self) -> bool {
        self.world.merges_layers()
    }
    async fn prune_cache(&self, keep_bytes: u64) -> Result<u64, BuildError> {
        self.world.prune_cache(keep_bytes).await
    }
    async fn version(&self) -> Result<String, BuildError> {
        Builder::version(&self.world).await
    }
}

#[async_trait]
impl Planner for Watched {
    async fn plan(&self, request: &PlanRequest<'_>) -> Result<BuildPlan, PlanError> {
        self.around(Step::Plan, self.world.plan(request)).await
    }
}

#[async_trait]
impl BaseImages for Watched {
    async fn ensure(&self, images: &[String], observer: &dyn SourceObserver) -> Result<(), String> {
        self.around(Step::EnsureBaseImages, self.world.ensure(images, observer))
            .await
    }
}

#[async_trait]
impl Sources for Watched {
    async fn checkout(
        &self,
        request: &GitRequest,
        directory: &Path,
        observer: &dyn SourceObserver,
    ) -> Result<CommitFacts, SourceError> {
        self.around(Step::Checkout, self.world.checkout(request, directory, observer))
            .await
    }
    async fn unpack(&self, archive: &Path, directory: &Path, limits: SourceLimits) -> Result<(), SourceError> {
        self.around(Step::Unpack, self.world.unpack(archive, directory, limits))
            .await
    }
    fn confine(&self, directory: &Path, inside: &InsidePath) -> Result<PathBuf, SourceError> {
        self.world.confine(directory, inside)
    }
    async fn generate_deploy_key(&self, comment: &str) -> Result<(SecretText, String), SourceError> {
        self.around(Step::GenerateDeployKey, self.world.generate_deploy_key(comment))
            .await
    }
}
