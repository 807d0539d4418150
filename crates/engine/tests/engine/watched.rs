//! The world in memory, watched: every call of a port can be paused before or after it is done, or broken, and after each
//! call that changes something it is checked that the hosts that have to be served are.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use contract::world::{Failure, FakeWorld, Step};
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
        router::{Route, RouteState, Router, RouterError},
        source::{CommitFacts, GitRequest, SourceError, SourceLimits, SourceObserver, Sources},
    },
    service::HealthCheck,
};
use tokio::sync::Notify;

/// How long anything is waited for, however busy the machine is.
pub(crate) const LONGEST: Duration = Duration::from_secs(120);

/// Before or after the call is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    Before,
    After,
}

/// Which call is paused or broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    /// The n-th call from now on of those that only jobs make, counted from 1.
    Nth(usize),
    /// The n-th call of this step from now on, whoever makes it, counted from 1.
    NthOf(Step, usize),
    /// The next call of this step.
    Step(Step),
}

/// A call that stands still until it is let go or its caller is killed.
#[derive(Clone)]
pub(crate) struct Pause {
    reached: Arc<Notify>,
    go: Arc<Notify>,
}

impl Pause {
    /// Waits until the call stands still.
    pub(crate) async fn reached(&self) {
        let reached = tokio::time::timeout(LONGEST, self.reached.notified()).await;
        assert!(reached.is_ok(), "the call that was to stand still was never made");
    }

    /// Lets the call go on.
    pub(crate) fn resume(&self) {
        self.go.notify_one();
    }
}

struct Planned {
    which: Which,
    moment: Moment,
    pause: Pause,
}

/// How a call is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Breakage {
    pub(crate) which: Which,
    pub(crate) failure: Failure,
    /// Every call of its step is broken from then on.
    pub(crate) lasting: bool,
}

#[derive(Default)]
struct State {
    counted: usize,
    of_step: HashMap<Step, usize>,
    breakages: Vec<Breakage>,
    broken: Vec<Step>,
    /// The number of the proxy's table.
    changes: u64,
    planned: Vec<Planned>,
    served: BTreeSet<HostName>,
    violations: Vec<String>,
}

/// The ports of the world, watched. Clones share everything.
#[derive(Clone)]
pub(crate) struct Watched {
    pub(crate) world: FakeWorld,
    state: Arc<Mutex<State>>,
}

/// Whether only jobs make this call: what is left out is also called by the loops in the background, at any time.
fn is_of_jobs(step: Step) -> bool {
    use Step as S;
    !matches!(
        step,
        S::Instance | S::Instances | S::Networks | S::Table | S::GetRoute | S::FollowOutput | S::Wait
    )
}

fn changes(step: Step) -> bool {
    use Step as S;
    matches!(
        step,
        S::Start | S::StartAgain | S::Stop | S::RemoveInstance | S::SetRoute | S::RemoveRoute
    )
}

impl Watched {
    pub(crate) fn new(world: FakeWorld) -> Self {
        Self {
            world,
            state: Arc::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes one call stand still.
    pub(crate) fn pause(&self, which: Which, moment: Moment) -> Pause {
        let pause = Pause {
            reached: Arc::default(),
            go: Arc::default(),
        };
        let mut state = self.state();
        let which = state.counted_from_now(which);
        state.planned.push(Planned {
            which,
            moment,
            pause: pause.clone(),
        });
        pause
    }

    /// Breaks a call.
    pub(crate) fn break_call(&self, breakage: Breakage) {
        let mut state = self.state();
        let which = state.counted_from_now(breakage.which);
        state.breakages.push(Breakage { which, ..breakage });
    }

    /// Ends every breakage; which steps were broken.
    pub(crate) fn mend(&self) -> Vec<Step> {
        let broken = {
            let mut state = self.state();
            state.breakages.clear();
            std::mem::take(&mut state.broken)
        };
        broken.iter().for_each(|step| self.world.mend(*step));
        broken
    }

    /// How many calls only jobs have made.
    pub(crate) fn counted(&self) -> usize {
        self.state().counted
    }

    /// How many calls of a step were made.
    pub(crate) fn counted_of(&self, step: Step) -> usize {
        self.state().of_step.get(&step).copied().unwrap_or(0)
    }

    /// From now on the host has to be served by running instances.
    pub(crate) fn must_serve(&self, host: &HostName) {
        self.state().served.insert(host.clone());
    }

    /// From now on it need not.
    pub(crate) fn need_not_serve(&self, host: &HostName) {
        self.state().served.remove(host);
    }

    /// When a host that had to be served was not.
    pub(crate) fn violations(&self) -> Vec<String> {
        self.state().violations.clone()
    }

    async fn gate(&self, call: Call, moment: Moment) {
        let found = {
            let mut state = self.state();
            let fits = |planned: &Planned| call.is(planned.which) && planned.moment == moment;
            let position = state.planned.iter().position(fits);
            position.map(|position| state.planned.remove(position).pause)
        };
        if let Some(pause) = found {
            pause.reached.notify_one();
            pause.go.notified().await;
        }
    }

    async fn look(&self, step: Step) {
        let served: Vec<HostName> = self.state().served.iter().cloned().collect();
        for host in served {
            // The engine never asks for one route, so this call is never told to fail.
            let route = self.world.get(&host).await.ok().flatten();
            let running = self.world.alive().running;
            let is_served = route.as_ref().is_some_and(|route| {
                route.state == RouteState::Live
                    && !route.instances.is_empty()
                    && route.instances.iter().all(|instance| running.contains(&instance.id))
            });
            let mut state = self.state();
            if !is_served && state.served.contains(&host) {
                state.violations.push(format!(
                    "after {step:?} `{host}` was not served: {route:?}, running {running:?}"
                ));
            }
        }
    }

    async fn around<T>(&self, step: Step, call: impl Future<Output = T> + Send) -> T {
        let call_is = {
            let mut state = self.state();
            state.counted += usize::from(is_of_jobs(step));
            state.changes += u64::from(matches!(step, Step::SetRoute | Step::RemoveRoute));
            let of_step = state.of_step.entry(step).or_default();
            *of_step += 1;
            Call {
                step,
                of_step: *of_step,
                number: state.counted,
            }
        };
        self.gate(call_is, Moment::Before).await;
        self.break_now(call_is);
        let answer = call.await;
        if changes(step) {
            self.look(step).await;
        }
        self.gate(call_is, Moment::After).await;
        answer
    }

    fn break_now(&self, call: Call) {
        let mut state = self.state();
        let Some(position) = state.breakages.iter().position(|breakage| call.is(breakage.which)) else {
            return;
        };
        let breakage = state.breakages.remove(position);
        state.broken.push(call.step);
        if breakage.lasting {
            self.world.fail_always(call.step, breakage.failure);
        } else {
            self.world.fail_next(call.step, breakage.failure);
        }
    }
}

/// A call that is made, and its place among the others.
#[derive(Clone, Copy)]
struct Call {
    step: Step,
    of_step: usize,
    number: usize,
}

impl Call {
    fn is(self, which: Which) -> bool {
        match which {
            Which::Nth(wanted) => is_of_jobs(self.step) && wanted == self.number,
            Which::NthOf(step, wanted) => step == self.step && wanted == self.of_step,
            Which::Step(wanted) => wanted == self.step,
        }
    }
}

impl State {
    fn counted_from_now(&self, which: Which) -> Which {
        match which {
            Which::Nth(number) => Which::Nth(self.counted + number),
            Which::NthOf(step, number) => Which::NthOf(step, self.of_step.get(&step).copied().unwrap_or(0) + number),
            step => step,
        }
    }
}

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
