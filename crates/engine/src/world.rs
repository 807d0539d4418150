//! Everything that the engine works with, passed down: there are no globals.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use domain::{
    labels,
    names::{HostName, Slug},
    ports::{
        builder::Builder, image::ImageStore, infrastructure::Infrastructure, planning::BaseImages, planning::Planner,
        prober::Prober, router::Router, source::SourceLimits, source::Sources,
    },
    source::{GitTransport, Source},
};
use store::Store;

use crate::{BuildTurns, Counters, Error, Notices, Retention, Starts};

/// How the engine is set.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The name of this installation, on every label.
    pub installation: String,
    /// Where this process works: checkouts are in it.
    pub data_directory: PathBuf,
    /// Where uploads are kept until they are built: one folder for all processes.
    pub upload_directory: PathBuf,
    /// Services get host names below it.
    pub base_domain: HostName,
    /// `http` or `https`.
    pub public_scheme: String,
    /// The port in a service's address, where it is not the scheme's own.
    pub public_port: Option<u16>,
    /// `file://` sources are allowed.
    pub allow_file_urls: bool,
    /// What a source may take.
    pub source_limits: SourceLimits,
    /// Builds at once.
    pub parallel_builds: usize,
    /// Seconds that a build may take, waiting for its turn included.
    pub build_deadline_seconds: u32,
    /// The most bytes of an upload.
    pub upload_limit_bytes: u64,
    /// How long what nobody owns is left alone.
    pub orphan_grace: Duration,
    /// What is kept of what is over.
    pub retention: Retention,
    /// How what the builder caches is bounded.
    pub build_cache: BuildCache,
}

/// How what the builder caches is bounded.
#[derive(Debug, Clone, Copy)]
pub struct BuildCache {
    /// The most bytes; 0 is no bound.
    pub limit_bytes: u64,
    /// When it is looked at first after the start.
    pub first_after: Duration,
    /// And how often then.
    pub every: Duration,
}

impl BuildCache {
    /// Bounded to so many bytes, ten minutes after the start and then every hour.
    #[must_use]
    pub const fn of(limit_bytes: u64) -> Self {
        Self {
            limit_bytes,
            first_after: Duration::from_secs(600),
            every: Duration::from_secs(3600),
        }
    }
}

/// The ports and the memory.
pub struct World {
    /// The memory.
    pub store: Store,
    /// How it is set.
    pub settings: Settings,
    /// Files.
    pub sources: Arc<dyn Sources>,
    /// Plans.
    pub planner: Arc<dyn Planner>,
    /// Base images.
    pub base_images: Arc<dyn BaseImages>,
    /// Builds.
    pub builder: Arc<dyn Builder>,
    /// Images.
    pub images: Arc<dyn ImageStore>,
    /// Instances.
    pub infrastructure: Arc<dyn Infrastructure>,
    /// The proxy.
    pub router: Arc<dyn Router>,
    /// Health.
    pub prober: Arc<dyn Prober>,
    /// Who is waiting for what.
    pub notices: Notices,
    /// Turns for builds.
    pub build_turns: BuildTurns,
    /// What became of jobs.
    pub counters: Counters,
    /// Starts of instances that were broken off.
    pub starts: Starts,
}

/// The use cases. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    pub(crate) world: Arc<World>,
}

impl Engine {
    /// Over this world.
    #[must_use]
    pub fn new(world: Arc<World>) -> Self {
        Self { world }
    }

    /// The world, for the doctor.
    #[must_use]
    pub fn world(&self) -> &World {
        &self.world
    }
}

impl World {
    /// Where a service answers.
    #[must_use]
    pub fn url_of(&self, host: &HostName) -> String {
        let scheme = &self.settings.public_scheme;
        match self.settings.public_port {
            Some(port) if !matches!((scheme.as_str(), port), ("http", 80) | ("https", 443)) => {
                format!("{scheme}://{host}:{port}")
            }
            _ => format!("{scheme}://{host}"),
        }
    }

    /// The label by which everything of this installation is found.
    #[must_use]
    pub fn installation_labels(&self) -> BTreeMap<String, String> {
        BTreeMap::from([(labels::INSTALLATION.to_owned(), self.settings.installation.clone())])
    }

    /// The network of a project.
    #[must_use]
    pub fn network_name(&self, project: domain::ProjectId) -> String {
        format!("cd-{}-{}", self.settings.installation, project.short())
    }

    pub(crate) fn grace_ms(&self) -> i64 {
        i64::try_from(self.settings.orphan_grace.as_millis()).unwrap_or(i64::MAX / 2)
    }

    pub(crate) fn work_directory(&self) -> PathBuf {
        self.settings.data_directory.join("work")
    }

    pub(crate) fn upload_file(&self, id: domain::UploadId) -> PathBuf {
        self.settings.upload_directory.join(id.to_string())
    }

    /// A host name that nobody has: the service's name and a few random characters, as in `back-4f5a2c`.
    pub(crate) fn new_host(&self, name: &Slug) -> HostName {
        let random = domain::ServiceId::mint().short();
        let text = format!("{name}-{}.{}", &random[random.len() - 6..], self.settings.base_domain);
        HostName::parse(&text).expect("a slug of at most 40 characters and a host name make a host name")
    }

    pub(crate) fn check_source(&self, source: &Source) -> Result<(), Error> {
        if let Source::Git { url, .. } = source
            && url.transport() == GitTransport::File
            && !self.settings.allow_file_urls
        {
            return Err(Error::field(
                "source.url",
                "file:// addresses are not allowed here; the operator allows them with GIT_ALLOW_FILE_URLS=true",
            ));
        }
        Ok(())
    }
}
