//! What the platform reads from its environment, refused at start when it is wrong: with the name, the reason and an
//! example.

use std::{collections::BTreeMap, env, net::SocketAddr, path::PathBuf, time::Duration};

use domain::{SecretText, environment::parse_dotenv, names::HostName};
use engine::Retention;
use store::{Location, seal::Sealer};

/// A setting that is missing or wrong.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{name}: {problem}. For example: {name}={example}")]
pub(crate) struct Wrong {
    name: &'static str,
    problem: String,
    example: &'static str,
}

/// A registry that images are pushed to.
#[derive(Debug, Clone)]
pub(crate) struct RegistrySettings {
    /// `host` or `host:port`.
    pub(crate) host: String,
    /// It speaks plain HTTP.
    pub(crate) plain_http: bool,
    /// What our images' names begin with.
    pub(crate) namespace: Option<String>,
    pub(crate) username: Option<String>,
    pub(crate) password: Option<SecretText>,
}

/// Everything that `serve` is told.
pub(crate) struct Configuration {
    /// Where the database, uploads and checkouts are kept.
    pub(crate) data_directory: PathBuf,
    /// Where uploads are: one folder for all processes.
    pub(crate) upload_directory: PathBuf,
    /// How long a process that is told to stop still answers, so that whoever leads requests to it turns away first.
    pub(crate) shutdown_drain: Duration,
    /// Where the API listens.
    pub(crate) listen: SocketAddr,
    /// Where the state is kept.
    pub(crate) database: Location,
    /// Seals every stored secret.
    pub(crate) sealer: Sealer,
    /// A digest of the key, for whatever has to be keyed and is no secret of a user's.
    pub(crate) digest_secret: Vec<u8>,
    /// Services get host names below it.
    pub(crate) base_domain: HostName,
    pub(crate) public_scheme: String,
    pub(crate) public_port: Option<u16>,
    pub(crate) proxy_admin_url: String,
    pub(crate) proxy_url: String,
    pub(crate) docker_host: String,
    pub(crate) buildkit_host: Option<String>,
    pub(crate) registry: Option<RegistrySettings>,
    pub(crate) base_image_program: Option<PathBuf>,
    /// Variables of every build by Railpack.
    pub(crate) railpack_variables: BTreeMap<String, SecretText>,
    pub(crate) token_file: Option<PathBuf>,
    pub(crate) allow_file_urls: bool,
    pub(crate) allow_private_addresses: bool,
    pub(crate) parallel_builds: usize,
    pub(crate) build_cpu_millis: u32,
    pub(crate) build_memory_mb: u64,
    pub(crate) build_deadline_seconds: u32,
    /// The most bytes of the build cache; 0 is no bound.
    pub(crate) build_cache_limit: u64,
    pub(crate) upload_limit_mb: u64,
    pub(crate) orphan_grace_seconds: u64,
    pub(crate) retention: Retention,
}

fn text(name: &'static str) -> Option<String> {
    env::var(name)
        .ok()
        .map(|value| value.trim().to_owned())
        .filter(|value| !value.is_empty())
}

fn parsed<T: std::str::FromStr>(
    name: &'static str,
    default: T,
    problem: &str,
    example: &'static str,
) -> Result<T, Wrong> {
    match text(name) {
        None => Ok(default),
        Some(value) => value.parse().map_err(|_| Wrong {
            name,
            problem: problem.to_owned(),
            example,
        }),
    }
}

fn flag(name: &'static str) -> Result<bool, Wrong> {
    match text(name).as_deref() {
        None | Some("false" | "0" | "no" | "off") => Ok(false),
        Some("true" | "1" | "yes" | "on") => Ok(true),
        Some(_) => Err(Wrong {
            name,
            problem: "it is true or false".to_owned(),
            example: "true",
        }),
    }
}

fn url(name: &'static str, default: &str, schemes: &[&str], example: &'static str) -> Result<String, Wrong> {
    let value = text(name).unwrap_or_else(|| default.to_owned());
    if schemes
        .iter()
        .any(|scheme| value.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty()))
    {
        return Ok(value);
    }
    Err(Wrong {
        name,
        problem: format!("it begins with {}", schemes.join(" or ")),
        example,
    })
}

/// The variables in a file of `NAME=value` lines; none where no file is named.
fn variables_of_file(name: &'static str, example: &'static str) -> Result<BTreeMap<String, SecretText>, Wrong> {
    let Some(path) = text(name) else {
        return Ok(BTreeMap::new());
    };
    let wrong = |problem: String| Wrong { name, problem, example };
    let lines = std::fs::read_to_string(&path).map_err(|error| wrong(format!("`{path}` cannot be read: {error}")))?;
    let variables = parse_dotenv(&lines).map_err(|error| wrong(format!("`{path}`: {error}")))?;
    Ok(variables
        .into_iter()
        .map(|(key, value)| (key.to_string(), SecretText::new(value)))
        .collect())
}

/// The data directory, which client-side operator commands need too.
pub(crate) fn data_directory() -> Result<PathBuf, Wrong> {
    let name = "CLICK_DEPLOY_DATA_DIR";
    let example = "/var/lib/click-deploy";
    let wrong = |problem: &str| Wrong {
        name,
        problem: problem.to_owned(),
        example,
    };
    let path =
        PathBuf::from(text(name).ok_or_else(|| wrong("it is missing: where the database and sources are kept"))?);
    if path.is_absolute() {
        Ok(path)
    } else {
        Err(wrong("it is an absolute path"))
    }
}

/// Where uploads are kept.
pub(crate) fn upload_directory(data_directory: &std::path::Path) -> Result<PathBuf, Wrong> {
    match text("CLICK_DEPLOY_UPLOAD_DIR").map(PathBuf::from) {
        None => Ok(data_directory.join("uploads")),
        Some(path) if path.is_absolute() => Ok(path),
        Some(_) => Err(Wrong {
            name: "CLICK_DEPLOY_UPLOAD_DIR",
            problem: "it is an absolute path".to_owned(),
            example: "/srv/click-deploy/uploads",
        }),
    }
}

/// The key that seals, and a digest of it.
pub(crate) fn sealer() -> Result<(Sealer, Vec<u8>), Wrong> {
    let name = "ENCRYPTION_KEY";
    let example = "$(head -c 32 /dev/urandom | base64)";
    let Some(key) = text(name) else {
        return Err(Wrong {
            name,
            problem: "it is missing: 32 bytes in base64 that seal every stored secret".to_owned(),
            example,
        });
    };
    let sealer = Sealer::new(&key).map_err(|error| Wrong {
        name,
        problem: error.to_string(),
        example,
    })?;
    let digest_key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, key.as_bytes());
    Ok((sealer, ring::hmac::sign(&digest_key, b"digests").as_ref().to_vec()))
}

/// Where the state is kept.
pub(crate) fn database(data_directory: &std::path::Path) -> Result<Location, Wrong> {
    let name = "DATABASE_URL";
    match text(name) {
        None => Ok(Location::file(&data_directory.join("click-deploy.db"))),
        Some(value) => value.parse().map_err(|error: store::BadLocation| Wrong {
            name,
            problem: error.to_string(),
            example: "postgres://click-deploy:secret@db.example.org:5432/click_deploy",
        }),
    }
}

fn registry() -> Result<Option<RegistrySettings>, Wrong> {
    let name = "REGISTRY_URL";
    let Some(value) = text(name) else { return Ok(None) };
    let wrong = |problem: &str| Wrong {
        name,
        problem: problem.to_owned(),
        example: "https://registry.example.org/team",
    };
    let (plain_http, rest) = match (value.strip_prefix("https://"), value.strip_prefix("http://")) {
        (Some(rest), _) => (false, rest),
        (_, Some(rest)) => (true, rest),
        _ => return Err(wrong("it begins with https:// or http://")),
    };
    if rest.contains('@') {
        return Err(wrong(
            "it carries no user or password: those are REGISTRY_USERNAME and REGISTRY_PASSWORD",
        ));
    }
    let (host, namespace) = rest.split_once('/').unwrap_or((rest, ""));
    let namespace = namespace.trim_matches('/');
    if host.is_empty() {
        return Err(wrong("it names a host"));
    }
    Ok(Some(RegistrySettings {
        host: host.to_owned(),
        plain_http,
        namespace: (!namespace.is_empty()).then(|| namespace.to_owned()),
        username: text("REGISTRY_USERNAME"),
        password: text("REGISTRY_PASSWORD").map(SecretText::new),
    }))
}

/// What is kept of what is over.
fn retention() -> Result<Retention, Wrong> {
    let default = Retention::default();
    let at_least_1 = |name: &'static str, default: i64| {
        let problem = "it is a number from 1 to 1000000000";
        let kept = parsed(name, default, problem, "50")?;
        if (1..=1_000_000_000).contains(&kept) {
            return Ok(kept);
        }
        Err(Wrong {
            name,
            problem: problem.to_owned(),
            example: "50",
        })
    };
    Ok(Retention {
        build_logs: at_least_1("KEEP_BUILD_LOGS", default.build_logs)?,
        build_log_days: at_least_1("KEEP_BUILD_LOG_DAYS", default.build_log_days)?,
        log_lines: at_least_1("KEEP_LOG_LINES", default.log_lines)?,
        log_days: at_least_1("KEEP_LOG_DAYS", default.log_days)?,
        deployments: at_least_1("KEEP_DEPLOYMENTS", default.deployments)?,
        job_days: at_least_1("KEEP_JOB_DAYS", default.job_days)?,
        images: at_least_1("KEEP_IMAGES", default.images as i64)? as usize,
        live_images: at_least_1("KEEP_LIVE_IMAGES", default.live_images as i64)? as usize,
    })
}

impl Configuration {
    /// Reads the environment.
    pub(crate) fn read() -> Result<Self, Wrong> {
        let data_directory = data_directory()?;
        let (sealer, digest_secret) = sealer()?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let scheme = text("PUBLIC_SCHEME").unwrap_or_else(|| "http".to_owned());
        if !matches!(scheme.as_str(), "http" | "https") {
            return Err(Wrong {
                name: "PUBLIC_SCHEME",
                problem: "it is http or https".to_owned(),
                example: "https",
            });
        }
        let base_domain = text("BASE_DOMAIN").unwrap_or_else(|| "localhost".to_owned());
        let base_domain = HostName::parse(&base_domain).map_err(|error| Wrong {
            name: "BASE_DOMAIN",
            problem: error.to_string(),
            example: "apps.example.org",
        })?;
        if base_domain.as_str().len() > 200 {
            return Err(Wrong {
                name: "BASE_DOMAIN",
                problem: "it has at most 200 characters, so that services' names fit before it".to_owned(),
                example: "apps.example.org",
            });
        }
        let buildkit_host = match text("BUILDKIT_HOST") {
            None => None,
            Some(_) => Some(url(
                "BUILDKIT_HOST",
                "",
                &["unix://", "tcp://"],
                "unix:///run/buildkit/buildkitd.sock",
            )?),
        };
        let registry = registry()?;
        if buildkit_host.is_some() && registry.is_none() {
            return Err(Wrong {
                name: "REGISTRY_URL",
                problem: "it is missing: a buildkitd of its own (BUILDKIT_HOST) pushes images to a registry".to_owned(),
                example: "https://registry.example.org",
            });
        }
        let database = database(&data_directory)?;
        let drain_seconds = if database.as_file().is_some() { 0 } else { 5 };
        let drain_problem = "seconds from 0 to 600";
        let drain_seconds = match parsed("SHUTDOWN_DRAIN_SECONDS", drain_seconds, drain_problem, "5")? {
            seconds @ 0..=600 => seconds,
            _ => {
                return Err(Wrong {
                    name: "SHUTDOWN_DRAIN_SECONDS",
                    problem: drain_problem.to_owned(),
                    example: "5",
                });
            }
        };
        Ok(Self {
            database,
            shutdown_drain: Duration::from_secs(drain_seconds),
            upload_directory: upload_directory(&data_directory)?,
            listen: parsed(
                "CLICK_DEPLOY_LISTEN",
                SocketAddr::from(([127, 0, 0, 1], 7400)),
                "it is an address and a port",
                "127.0.0.1:7400",
            )?,
            sealer,
            digest_secret,
            base_domain,
            public_scheme: scheme,
            public_port: match text("PUBLIC_PORT") {
                None => None,
                Some(_) => Some(parsed("PUBLIC_PORT", 80, "it is a port", "8080")?),
            },
            proxy_admin_url: url(
                "PROXY_ADMIN_URL",
                "http://127.0.0.1:7481",
                &["http://", "unix://"],
                "http://127.0.0.1:7481",
            )?,
            proxy_url: url(
                "PROXY_URL",
                "http://127.0.0.1:7480",
                &["http://"],
                "http://127.0.0.1:7480",
            )?,
            docker_host: url(
                "DOCKER_HOST",
                "unix:///var/run/docker.sock",
                &["unix://", "tcp://"],
                "unix:///var/run/docker.sock",
            )?,
            buildkit_host,
            registry,
            base_image_program: text("BASE_IMAGE_PROGRAM").map(PathBuf::from),
            railpack_variables: variables_of_file("RAILPACK_VARIABLES_FILE", "/etc/click-deploy/railpack.env")?,
            token_file: text("CLICK_DEPLOY_TOKEN_FILE").map(PathBuf::from),
            allow_file_urls: flag("GIT_ALLOW_FILE_URLS")?,
            allow_private_addresses: flag("GIT_ALLOW_PRIVATE_ADDRESSES")?,
            parallel_builds: parsed("PARALLEL_BUILDS", cores.div_ceil(2).max(2), "it is a number", "2")?.max(1),
            // Builds leave a quarter of the machine to what serves.
            build_cpu_millis: parsed(
                "BUILD_CPU_MILLIS",
                u32::try_from(cores * 750).unwrap_or(u32::MAX),
                "thousandths of a CPU",
                "1500",
            )?,
            build_memory_mb: parsed("BUILD_MEMORY_MB", 4096, "megabytes", "4096")?,
            build_deadline_seconds: parsed("BUILD_DEADLINE_SECONDS", 1800, "seconds", "1800")?,
            build_cache_limit: parsed("BUILD_CACHE_LIMIT", 20 << 30, "bytes, or 0 for no limit", "21474836480")?,
            upload_limit_mb: parsed("UPLOAD_LIMIT_MB", 2048, "megabytes", "2048")?,
            orphan_grace_seconds: match parsed("ORPHAN_GRACE_SECONDS", 60, "seconds from 1 to 86400", "60")? {
                seconds @ 1..=86_400 => seconds,
                _ => {
                    return Err(Wrong {
                        name: "ORPHAN_GRACE_SECONDS",
                        problem: "seconds from 1 to 86400".to_owned(),
                        example: "60",
                    });
                }
            },
            retention: retention()?,
            data_directory,
        })
    }
}
