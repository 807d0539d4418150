//! Starting the instances of a deployment and waiting until they work.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    time::{Duration, Instant},
};

use domain::{
    JobId, Reason, SecretText,
    labels::{self, Ownership},
    names::{HealthPath, VariableKey},
    ports::{
        image::StoredImage,
        infrastructure::{Infrastructure, InfrastructureError, Instance, InstanceExit, InstanceSpec, InstanceStatus},
        prober::Probe,
        router::RouteInstance,
    },
    service::HealthCheck,
};
use futures_util::future::try_join_all;
use store::{deployments::Deployment, services::Service};

use crate::{saga::StepError, world::World};

/// The port that an application is told when nothing says another one.
pub(crate) const DEFAULT_PORT: u16 = 8080;

/// How long an application has to open its port before another one that it opened instead is taken.
const OTHER_PORT_AFTER: Duration = Duration::from_millis(1500);

/// How long an application may listen on its port of the loopback address alone before that is taken for a mistake.
const ON_LOOPBACK_FOR: Duration = Duration::from_secs(10);

/// How long an application may listen on other ports, and not on the one that the user chose, before that is taken for
/// a mistake: some open a port for their metrics long before they are ready.
const ON_OTHERS_FOR: Duration = Duration::from_secs(45);

/// How long one probe may take.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// Seconds between asking a process to end and killing it.
pub(crate) const STOP_GRACE_SECONDS: u32 = 10;

/// Which port an application is told, and whether someone chose it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Port {
    /// The number.
    pub number: u16,
    /// The user said so: nothing else is taken.
    pub chosen: bool,
}

/// The name of a replica.
pub(crate) fn name(service: &Service, job: JobId, replica: u16) -> String {
    one_off_name(service, job, &replica.to_string())
}

/// The name of an instance of a job that does one thing and ends.
pub(crate) fn one_off_name(service: &Service, job: JobId, purpose: &str) -> String {
    format!("cd-{}-{}-{}-{purpose}", service.name, service.id.short(), job.short())
}

/// The variables of a deployment, in the clear.
pub(crate) async fn variables(
    world: &World,
    deployment: &Deployment,
) -> Result<BTreeMap<VariableKey, SecretText>, store::Error> {
    let stored = world.store.deployment_environment(deployment.id).await?;
    Ok(stored
        .into_iter()
        .map(|(key, (_, value))| (key, SecretText::new(value)))
        .collect())
}

/// The complete environment of an instance: the user's variables, `PORT`, and `CLICK_DEPLOY_*`, which nobody overrides.
pub(crate) fn environment(
    world: &World,
    service: &Service,
    deployment: &Deployment,
    variables: &BTreeMap<VariableKey, SecretText>,
    port: u16,
    replica: u16,
) -> BTreeMap<String, SecretText> {
    let mut environment: BTreeMap<String, SecretText> = variables
        .iter()
        .map(|(key, value)| (key.to_string(), value.clone()))
        .collect();
    environment.insert("PORT".to_owned(), SecretText::new(port.to_string()));
    let commit = deployment
        .commit
        .as_ref()
        .map_or_else(String::new, |facts| facts.commit.to_string());
    let given = [
        ("URL", world.url_of(&service.host)),
        ("HOST", service.host.to_string()),
        ("SERVICE_ID", service.id.to_string()),
        ("SERVICE_NAME", service.name.to_string()),
        ("PROJECT_ID", service.project.to_string()),
        ("DEPLOYMENT_ID", deployment.id.to_string()),
        ("COMMIT", commit),
        ("REPLICA", replica.to_string()),
    ];
    for (name, value) in given {
        environment.insert(format!("CLICK_DEPLOY_{name}"), SecretText::new(value));
    }
    environment
}

/// Starts all replicas of a deployment, and waits until each works. What was started stays when one does not.
pub(crate) async fn bring_up(
    world: &World,
    service: &Service,
    deployment: &Deployment,
    job: JobId,
    image: &StoredImage,
    port: Port,
    say: &(dyn Fn(&str) + Send + Sync),
) -> Result<(Vec<RouteInstance>, u16), StepError> {
    let variables = variables(world, deployment).await?;
    let replicas = 1..=deployment.made.settings.replicas.get();
    let found = try_join_all(replicas.map(|replica| {
        let environment = environment(world, service, deployment, &variables, port.number, replica);
        start_one(world, service, deployment, job, image, port, replica, environment, say)
    }))
    .await?;
    let number = found.first().map_or(port.number, |(_, number)| *number);
    let mut instances: Vec<RouteInstance> = found.into_iter().map(|(instance, _)| instance).collect();
    instances.sort();
    Ok((instances, number))
}

/// What an instance of a deployment is made of.
pub(crate) fn spec(
    world: &World,
    service: &Service,
    deployment: &Deployment,
    job: JobId,
    image: &StoredImage,
    replica: u16,
    environment: BTreeMap<String, SecretText>,
) -> InstanceSpec {
    let mut instance_labels = Ownership {
        installation: world.settings.installation.clone(),
        organization: service.organization,
        project: service.project,
        service: Some(service.id),
        deployment: Some(deployment.id),
    }
    .labels();
    instance_labels.insert(labels::JOB.to_owned(), job.to_string());
    instance_labels.insert(labels::REPLICA.to_owned(), replica.to_string());
    InstanceSpec {
        name: name(service, job, replica),
        labels: instance_labels,
        image: image.clone(),
        command: deployment.made.settings.start_command.as_ref().map(ToString::to_string),
        environment,
        network: world.network_name(service.project),
        aliases: vec![service.name.to_string()],
        resources: deployment.made.settings.instance_size.resources(),
    }
}

/// What an instance is made of that runs one command of a deployment and ends: nobody finds it under the service's name.
#[expect(
    clippy::too_many_arguments,
    reason = "it is `spec` with a command of its own; a struct would only rename what both take"
)]
pub(crate) fn one_off(
    world: &World,
    service: &Service,
    deployment: &Deployment,
    job: JobId,
    image: &StoredImage,
    purpose: &str,
    command: &str,
    environment: BTreeMap<String, SecretText>,
) -> InstanceSpec {
    InstanceSpec {
        name: one_off_name(service, job, purpose),
        command: Some(command.to_owned()),
        aliases: Vec::new(),
        ..spec(world, service, deployment, job, image, 0, environment)
    }
}

#[expect(
    clippy::too_many_arguments,
    reason = "one replica needs all that its deployment knows; a struct would only rename them"
)]
async fn start_one(
    world: &World,
    service: &Service,
    deployment: &Deployment,
    job: JobId,
    image: &StoredImage,
    port: Port,
    replica: u16,
    environment: BTreeMap<String, SecretText>,
    say: &(dyn Fn(&str) + Send + Sync),
) -> Result<(RouteInstance, u16), StepError> {
    let spec = spec(world, service, deployment, job, image, replica, environment);
    let instance = start_for(world, job, &spec).await?;
    world.notices.reconcile();
    if let Some(exit) = &instance.exit
        && instance.status == InstanceStatus::Exited
    {
        return Err(StepError::Fail(ended(exit)));
    }
    let settings = &deployment.made.settings;
    let limit = Duration::from_secs(settings.health_timeout_seconds.into());
    let healthy = wait_until_healthy(
        &*world.infrastructure,
        world,
        &instance,
        port,
        &settings.health_check,
        limit,
        say,
    );
    let number = tokio::select! {
        number = healthy => number?,
        exit = world.infrastructure.wait(&spec.name) => {
            let exit = exit.map_err(refused)?;
            return Err(StepError::Fail(exit.as_ref().map_or_else(
                || Reason::new("instance-gone", "the new instance was removed while it started", "Deploy again."),
                ended,
            )));
        }
    };
    let address = instance.address.ok_or_else(|| {
        StepError::Again(Reason::new(
            "no-address",
            "the container engine gave the instance no address",
            "Deploy again.",
        ))
    })?;
    Ok((
        RouteInstance {
            id: spec.name,
            address: SocketAddr::new(address, number),
        },
        number,
    ))
}

/// Starts an instance for a job, which takes it back if it is given up, even if the engine's answer never came.
pub(crate) async fn start_for(world: &World, job: JobId, spec: &InstanceSpec) -> Result<Instance, StepError> {
    let beginning = world.starts.begin(&job.to_string(), &spec.name);
    let started = start(world, spec).await;
    // A connection that broke says nothing of what the engine still does.
    if !matches!(started, Err(InfrastructureError::Unreachable(_))) {
        beginning.answered();
    }
    started.map_err(refused)
}

/// Starts an instance. An engine that was killed may refuse one that was made before for good, because it half remembers it:
/// then another one is made under the name, once.
async fn start(world: &World, spec: &InstanceSpec) -> Result<Instance, InfrastructureError> {
    let started = world.infrastructure.start(spec).await;
    let Err(InfrastructureError::Refused(words)) = &started else {
        return started;
    };
    match world.infrastructure.instance(&spec.name).await? {
        Some(made) if made.status != InstanceStatus::Running => {
            tracing::warn!("`{}` cannot be started and is made anew: {words}", spec.name);
            world.infrastructure.remove(&spec.name).await?;
            world.infrastructure.start(spec).await
        }
        _ => started,
    }
}

async fn wait_until_healthy(
    infrastructure: &dyn Infrastructure,
    world: &World,
    instance: &Instance,
    port: Port,
    check: &HealthCheck,
    limit: Duration,
    say: &(dyn Fn(&str) + Send + Sync),
) -> Result<u16, StepError> {
    let Some(address) = instance.address else {
        return Err(StepError::Again(Reason::new(
            "no-address",
            "the container engine gave the instance no address",
            "",
        )));
    };
    let began = Instant::now();
    let mut number = port.number;
    let mut pause = Duration::from_millis(10);
    let mut last = Probe::Refused;
    let mut opened: Option<Instant> = None;
    while began.elapsed() < limit {
        last = world
            .prober
            .probe(SocketAddr::new(address, number), check, PROBE_TIMEOUT)
            .await;
        match &last {
            // Some open their port long before they can answer: without a health check of the user's choice, an answer is
            // waited for as well, as long as it is worth it.
            Probe::Healthy
                if *check == HealthCheck::Tcp && !answers(world, address, number, &mut opened, say).await =>
            {
                pause = pause.max(Duration::from_millis(100));
            }
            Probe::Healthy => {
                if number != port.number {
                    say(&format!(
                        "it listens on port {number} instead of {}: requests go there",
                        port.number
                    ));
                }
                return Ok(number);
            }
            Probe::Refused if began.elapsed() > OTHER_PORT_AFTER => {
                let listening = infrastructure.listening_ports(&instance.name).await.unwrap_or_default();
                match listening.open[..] {
                    [only] if !port.chosen => number = only,
                    [] if listening.loopback.contains(&number) && began.elapsed() > ON_LOOPBACK_FOR => break,
                    [_, ..] if port.chosen && began.elapsed() > ON_OTHERS_FOR => break,
                    _ => {}
                }
                // Looking costs more than asking.
                pause = pause.max(Duration::from_millis(100));
            }
            _ => {}
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 5 / 4).min(Duration::from_millis(250));
    }
    if last == Probe::Healthy {
        return Ok(number);
    }
    let listening = infrastructure.listening_ports(&instance.name).await.unwrap_or_default();
    Err(StepError::Fail(unhealthy(
        number,
        &last,
        check,
        limit,
        &listening.open,
        &listening.loopback,
    )))
}

/// Whether an instance whose port is open answers a request, or has had the time to. What speaks no HTTP/1.1 (gRPC, a
/// protocol of its own), answers with an error of its own or not at all passes in the end: its port is open, and nobody
/// has said that more is needed.
async fn answers(
    world: &World,
    address: std::net::IpAddr,
    port: u16,
    opened: &mut Option<Instant>,
    say: &(dyn Fn(&str) + Send + Sync),
) -> bool {
    let waited = opened.get_or_insert_with(Instant::now).elapsed();
    let Ok(path) = HealthPath::parse("/") else { return true };
    let answer = world
        .prober
        .probe(
            SocketAddr::new(address, port),
            &HealthCheck::Http { path },
            PROBE_TIMEOUT,
        )
        .await;
    let (patience, what) = match answer {
        Probe::Healthy => return true,
        Probe::Status(status) if status < 500 => return true,
        Probe::Status(status) => (Duration::from_secs(3), format!("it answers `/` with {status}")),
        Probe::Gibberish(_) => (Duration::from_secs(2), "it does not speak HTTP/1.1".to_owned()),
        Probe::Refused => (Duration::from_secs(10), "it closed its port again".to_owned()),
        Probe::Silent => (
            Duration::from_secs(15),
            "it accepts connections and does not answer `/`".to_owned(),
        ),
    };
    let enough = waited > patience;
    if enough {
        say(&format!("{what}; that its port is open is taken for enough"));
    }
    enough
}

/// Why a health check was never passed, in words.
fn unhealthy(port: u16, last: &Probe, check: &HealthCheck, limit: Duration, open: &[u16], loopback: &[u16]) -> Reason {
    let seconds = limit.as_secs();
    let list = |ports: &[u16]| ports.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let path = match check {
        HealthCheck::Http { path } => path.as_str(),
        HealthCheck::Tcp => "/",
    };
    match last {
        Probe::Refused if loopback.contains(&port) => Reason::new(
            "listens-on-loopback",
            format!("the app listens on port {port} of 127.0.0.1 only, where nobody outside its container reaches it"),
            "Let it listen on 0.0.0.0.",
        ),
        Probe::Refused if !open.is_empty() => Reason::new(
            "port-never-opened",
            format!("port {port} never opened; the app listens on {}", list(open)),
            format!("Set the service's port to {}, or let the app listen on $PORT.", open[0]),
        ),
        Probe::Refused if !loopback.is_empty() => Reason::new(
            "listens-on-loopback",
            format!(
                "port {port} never opened; the app listens on {} of 127.0.0.1 only",
                list(loopback)
            ),
            "Let it listen on 0.0.0.0 and on $PORT.",
        ),
        Probe::Refused => Reason::new(
            "port-never-opened",
            format!("port {port} never opened within {seconds} s; the app listens on no port"),
            "Let it listen on 0.0.0.0 and on $PORT; its own log may say why it does not.",
        ),
        Probe::Silent => Reason::new(
            "health-check-silent",
            format!("the app accepted connections on port {port} and did not answer `{path}` within {seconds} s"),
            "Look into its log; a longer health timeout helps when it only starts slowly.",
        ),
        Probe::Status(status) => Reason::new(
            "health-check-status",
            format!("the health check `{path}` on port {port} answered {status}"),
            "It has to answer below 400. Change the path in the settings, or mend what it reports.",
        ),
        Probe::Gibberish(what) => Reason::new(
            "health-check-no-http",
            format!("what listens on port {port} does not speak HTTP: {what}"),
            "Choose the TCP health check, or the right port.",
        ),
        Probe::Healthy => Reason::new(
            "health-check",
            "the app became healthy too late",
            "Raise the health timeout.",
        ),
    }
}

/// How a process ended, in words.
pub(crate) fn ended(exit: &InstanceExit) -> Reason {
    let ran = format!("{:.1} s", exit.ran_ms as f64 / 1000.0);
    if let Some(error) = exit.error.as_ref().filter(|error| !error.is_empty()) {
        return Reason::new(
            "cannot-start",
            format!("the app could not be started: {error}"),
            "Check the start command and that the image holds it.",
        );
    }
    if exit.out_of_memory {
        return Reason::new(
            "out-of-memory",
            format!("out of memory after {ran}"),
            "Choose a larger instance size.",
        );
    }
    match exit.code {
        0 => Reason::new(
            "exited",
            format!("the app ended by itself after {ran} (exit code 0)"),
            "A service has to go on running: check its start command.",
        ),
        126 | 127 => Reason::new(
            "command-not-found",
            format!(
                "exited {} after {ran}: the start command was not found or cannot be run",
                exit.code
            ),
            "Check the start command.",
        ),
        code if code > 128 => Reason::new(
            "killed",
            format!("ended by signal {} after {ran}", code - 128),
            if code == 137 {
                "Signal 9 often means that the memory was not enough."
            } else {
                "Its log may say why."
            },
        ),
        code => Reason::new("exited", format!("exited {code} after {ran}"), "Its log says why."),
    }
}

/// What an infrastructure error means for a step.
pub(crate) fn refused(error: InfrastructureError) -> StepError {
    match error {
        InfrastructureError::Unreachable(cause) => StepError::Again(Reason::new(
            "engine-unreachable",
            format!("the container engine does not answer: {}", crate::error::bottom(&cause)),
            "Start it (for Docker: `systemctl start docker`), then deploy again.",
        )),
        InfrastructureError::ImageMissing(image) => StepError::Fail(Reason::new(
            "image-missing",
            format!("the image `{image}` is not there any more"),
            "Deploy again with a build.",
        )),
        other => StepError::Fail(Reason::new("engine-refused", other.to_string(), "")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exit(code: i64) -> InstanceExit {
        InstanceExit {
            code,
            out_of_memory: false,
            ran_ms: 2000,
            error: None,
        }
    }

    #[test]
    fn an_end_is_told_in_words() {
        assert_eq!(ended(&exit(1)).message, "exited 1 after 2.0 s");
        assert_eq!(
            ended(&InstanceExit {
                out_of_memory: true,
                ..exit(137)
            })
            .code,
            "out-of-memory"
        );
        assert_eq!(ended(&exit(143)).message, "ended by signal 15 after 2.0 s");
        assert_eq!(ended(&exit(127)).code, "command-not-found");
    }

    #[test]
    fn a_port_that_never_opened_names_the_one_that_did() {
        let reason = unhealthy(
            3000,
            &Probe::Refused,
            &HealthCheck::Tcp,
            Duration::from_secs(5),
            &[8080],
            &[],
        );
        assert_eq!(reason.message, "port 3000 never opened; the app listens on 8080");
        let reason = unhealthy(
            3000,
            &Probe::Refused,
            &HealthCheck::Tcp,
            Duration::from_secs(5),
            &[],
            &[3000],
        );
        assert_eq!(reason.code, "listens-on-loopback");
    }
}
