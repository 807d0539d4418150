//! A world in memory: networks, containers, images, routes, repositories and builds that behave as the real ones do,
//! and that fail when they are told to.
//!
//! What a container does is a small text, the same for an image's own program and for a start command: commands with
//! `;` between them, see [`program`]. Time is Tokio's, so a test with a paused clock waits for nothing.

mod builder;
mod failure;
mod image;
mod infrastructure;
mod planning;
mod prober;
pub mod program;
mod router;
mod sources;

use std::{
    collections::{BTreeMap, HashMap},
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, Mutex, MutexGuard},
};

use domain::{
    names::HostName,
    ports::{
        builder::Builder,
        image::{ImageStore, StoredImage},
        infrastructure::Infrastructure,
        planning::{BaseImages, Planner},
        prober::Prober,
        router::{Route, Router},
        source::Sources,
    },
};
use tokio::{sync::Notify, time::Instant};

pub use failure::{Failure, Step};
pub use planning::REFUSED_FILE;
pub use sources::archive;

use failure::Plan;
use infrastructure::{Container, MadeNetwork};
use sources::Repository;

/// The program of an image that nobody said anything about: it listens where `PORT` says.
pub const ORDINARY_PROGRAM: &str = "echo started; listen $PORT; wait";

/// The world. Clones share it; each port is implemented by it.
#[derive(Clone)]
pub struct FakeWorld {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    /// Told after every change, so that whoever waits looks again.
    changed: Notify,
}

struct State {
    networks: BTreeMap<String, MadeNetwork>,
    containers: BTreeMap<String, Container>,
    images: BTreeMap<String, FakeImage>,
    routes: BTreeMap<HostName, Route>,
    under_way: HashMap<String, u64>,
    repositories: HashMap<String, Repository>,
    programs: Vec<(String, String)>,
    builds: Vec<String>,
    runs: Vec<String>,
    plan: Plan,
    counter: u64,
    epoch_ns: i64,
    epoch: Instant,
}

/// An image in the world's store.
#[derive(Debug, Clone)]
pub struct FakeImage {
    /// How it is referred to.
    pub stored: StoredImage,
    /// What its containers do.
    pub program: String,
    /// The port that it exposes.
    pub exposed_port: Option<u16>,
    /// What it says of itself.
    pub labels: BTreeMap<String, String>,
}

/// What there is, by name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Alive {
    /// Networks.
    pub networks: Vec<String>,
    /// Containers, running or not.
    pub containers: Vec<String>,
    /// Those that run.
    pub running: Vec<String>,
    /// Images.
    pub images: Vec<String>,
    /// Hosts in the proxy's table.
    pub routes: Vec<String>,
}

impl Default for FakeWorld {
    fn default() -> Self {
        Self::new()
    }
}

impl FakeWorld {
    /// An empty world. Its clock begins now; make it inside the runtime whose clock it should follow.
    #[must_use]
    pub fn new() -> Self {
        let since_1970 = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default();
        Self {
            shared: Arc::new(Shared {
                state: Mutex::new(State {
                    networks: BTreeMap::new(),
                    containers: BTreeMap::new(),
                    images: BTreeMap::new(),
                    routes: BTreeMap::new(),
                    under_way: HashMap::new(),
                    repositories: HashMap::new(),
                    programs: Vec::new(),
                    builds: Vec::new(),
                    runs: Vec::new(),
                    plan: Plan::default(),
                    counter: 0,
                    epoch_ns: i64::try_from(since_1970.as_nanos()).unwrap_or(0),
                    epoch: Instant::now(),
                }),
                changed: Notify::new(),
            }),
        }
    }

    /// As the port.
    #[must_use]
    pub fn infrastructure(&self) -> Arc<dyn Infrastructure> {
        Arc::new(self.clone())
    }
    /// As the port.
    #[must_use]
    pub fn image_store(&self) -> Arc<dyn ImageStore> {
        Arc::new(self.clone())
    }
    /// As the port.
    #[must_use]
    pub fn router(&self) -> Arc<dyn Router> {
        Arc::new(self.clone())
    }
    /// As the port.
    #[must_use]
    pub fn prober(&self) -> Arc<dyn Prober> {
        Arc::new(self.clone())
    }
    /// As the port.
    #[must_use]
    pub fn builder(&self) -> Arc<dyn Builder> {
        Arc::new(self.clone())
    }
    /// As the port.
    #[must_use]
    pub fn sources(&self) -> Arc<dyn Sources> {
        Arc::new(self.clone())
    }
    /// As the port.
    #[must_use]
    pub fn planner(&self) -> Arc<dyn Planner> {
        Arc::new(self.clone())
    }
    /// As the port.
    #[must_use]
    pub fn base_images(&self) -> Arc<dyn BaseImages> {
        Arc::new(self.clone())
    }

    /// What there is now.
    #[must_use]
    pub fn alive(&self) -> Alive {
        let state = self.state();
        Alive {
            networks: state.networks.keys().cloned().collect(),
            containers: state.containers.keys().cloned().collect(),
            running: state
                .containers
                .values()
                .filter(|container| container.is_running())
                .map(|container| container.name.clone())
                .collect(),
            images: state.images.keys().cloned().collect(),
            routes: state.routes.keys().map(ToString::to_string).collect(),
        }
    }

    /// Puts an image into the store, as if it had always been there or could be pulled.
    pub fn add_image(&self, reference: &str, program: &str, exposed_port: Option<u16>) -> StoredImage {
        let mut state = self.state();
        let stored = StoredImage {
            reference: reference.to_owned(),
            digest: state.next_digest(),
            size_bytes: 1024,
        };
        let image = FakeImage {
            stored: stored.clone(),
            program: program.to_owned(),
            exposed_port,
            labels: BTreeMap::new(),
        };
        state.images.insert(reference.to_owned(), image);
        stored
    }

    /// Puts an image with labels into the store, as if it had been built here.
    pub fn add_built_image(&self, reference: &str, labels: BTreeMap<String, String>) {
        self.add_image(reference, "", None);
        if let Some(image) = self.state().images.get_mut(reference) {
            image.labels = labels;
        }
    }

    /// From now on, images whose name contains `part` are built with this program; the newest rule that fits counts.
    pub fn build_with(&self, part: &str, program: &str) {
        self.state().programs.push((part.to_owned(), program.to_owned()));
    }

    /// The names of all images that were built, in order.
    #[must_use]
    pub fn builds(&self) -> Vec<String> {
        self.state().builds.clone()
    }

    /// The names of the containers whose programs began, in order: one that is started again is there twice.
    #[must_use]
    pub fn runs(&self) -> Vec<String> {
        self.state().runs.clone()
    }

    /// Ends a container's process, as if it had crashed.
    pub fn crash(&self, name: &str, code: i64) {
        if let Some(container) = self.state().containers.get_mut(name) {
            container.end(code, false, None, Instant::now());
        }
        self.tell();
    }

    /// Kills the engine under a container: what comes back refuses to start this one, and another one can be made under its
    /// name once it is removed.
    pub fn half_remember(&self, name: &str) {
        if let Some(container) = self.state().containers.get_mut(name) {
            container.half_remember(Instant::now());
        }
        self.tell();
    }

    /// Makes a container vanish, as if someone had removed it by hand.
    pub fn vanish(&self, name: &str) {
        self.state().containers.remove(name);
        self.tell();
    }

    /// Empties the proxy's table, as if it had been started without its journal.
    pub fn forget_routes(&self) {
        self.state().routes.clear();
        self.tell();
    }

    /// Sets how many requests are under way at an instance.
    pub fn set_under_way(&self, instance: &str, requests: u64) {
        self.state().under_way.insert(instance.to_owned(), requests);
        self.tell();
    }

    /// The environment that a container was given.
    #[must_use]
    pub fn environment_of(&self, name: &str) -> Option<BTreeMap<String, String>> {
        let state = self.state();
        let container = state.containers.get(name)?;
        Some(
            container
                .environment
                .iter()
                .map(|(key, value)| (key.clone(), value.expose().to_owned()))
                .collect(),
        )
    }

    /// The state, with every process brought up to now.
    fn state(&self) -> MutexGuard<'_, State> {
        let mut state = self
            .shared
            .state
            .lock()
            .expect("no code panics while it holds the world");
        let now = Instant::now();
        let clock = state.clock();
        for container in state.containers.values_mut() {
            container.settle(now, clock);
        }
        state
    }

    fn tell(&self) {
        self.shared.changed.notify_waiters();
    }
}

/// From Tokio's clock to nanoseconds since 1970.
#[derive(Clone, Copy)]
struct Clock {
    epoch: Instant,
    epoch_ns: i64,
}

impl Clock {
    fn nanoseconds(self, at: Instant) -> i64 {
        let since = at.saturating_duration_since(self.epoch);
        self.epoch_ns + i64::try_from(since.as_nanos()).unwrap_or(i64::MAX / 2)
    }
}

impl State {
    fn clock(&self) -> Clock {
        Clock {
            epoch: self.epoch,
            epoch_ns: self.epoch_ns,
        }
    }

    fn next(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }

    fn next_digest(&mut self) -> String {
        format!("sha256:{:064x}", self.next())
    }

    fn next_address(&mut self) -> IpAddr {
        let [.., high, low] = self.next().to_be_bytes();
        IpAddr::V4(Ipv4Addr::new(10, 99, high, low))
    }
}
