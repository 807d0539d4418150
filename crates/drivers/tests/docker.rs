//! The adapter of Docker Engine, against a real one.
#![cfg(feature = "docker")]

mod docker_common;

use std::{
    collections::BTreeMap,
    panic::AssertUnwindSafe,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use contract::{
    bed::{eventually, unique},
    infrastructure::{self, keeps_the_infrastructure_contract},
};
use docker_common::Bed;
use domain::{
    logs::LogLevel,
    ports::{
        Cause,
        infrastructure::{Infrastructure, InfrastructureError, InstanceStatus, OutputCursor, OutputLine, OutputSink},
    },
};
use drivers::infrastructure::docker::DockerEngine;
use futures_util::FutureExt;

#[tokio::test]
async fn docker_keeps_the_infrastructure_contract() {
    let Some(bed) = Bed::new().await else { return };
    let tried = infrastructure::Bed {
        infrastructure: &bed.engine,
        image: bed.shell.clone(),
        listen: |port| format!("exec httpd -f -p {port}"),
        listen_on_loopback: |port| format!("exec httpd -f -p 127.0.0.1:{port}"),
        sees_ports: bed.host.starts_with("unix:"),
    };
    // Whatever comes of it, nothing is left on the engine.
    let kept = AssertUnwindSafe(keeps_the_infrastructure_contract(&tried))
        .catch_unwind()
        .await;
    bed.clear().await;
    if let Err(broken) = kept {
        std::panic::resume_unwind(broken);
    }
}

#[tokio::test]
async fn an_instance_has_its_limits_and_nothing_more() {
    let Some(bed) = Bed::new().await else { return };
    let network = bed.network().await;
    let spec = bed.spec(&network, "printf %s \"$QUOTES\"; exec sleep 600");
    let instance = bed.engine.start(&spec).await.expect("an instance");
    let found = bed
        .docker
        .inspect_container(&instance.id, None)
        .await
        .expect("the container");
    let limits = found.host_config.expect("limits");
    assert_eq!(limits.memory, Some(64 * 1024 * 1024));
    assert_eq!(limits.memory_swap, limits.memory, "no swap");
    assert_eq!(limits.nano_cpus, Some(500_000_000));
    assert_eq!(limits.pids_limit, Some(64));
    assert_eq!(limits.cap_drop, Some(vec!["ALL".to_owned()]));
    assert_eq!(limits.security_opt, Some(vec!["no-new-privileges".to_owned()]));
    assert_ne!(limits.privileged, Some(true));
    assert!(
        limits.port_bindings.is_none_or(|ports| ports.is_empty()),
        "nothing is published"
    );
    assert_ne!(limits.publish_all_ports, Some(true));
    let environment = found.config.and_then(|config| config.env).expect("an environment");
    assert!(
        environment.contains(&"QUOTES=a 'b' \"c\" $d \\ #\ne=".to_owned()),
        "{environment:?}"
    );
    let ours: Vec<&String> = environment
        .iter()
        .filter(|line| line.starts_with("CLICK_DEPLOY"))
        .collect();
    assert!(ours.is_empty(), "{ours:?}");

    let network = bed.docker.inspect_network(&network, None).await.expect("the network");
    let mtu = network
        .options
        .expect("options")
        .remove("com.docker.network.driver.mtu");
    assert!(mtu.is_some_and(|mtu| mtu.parse::<u32>().is_ok()));
    bed.clear().await;
}

#[tokio::test]
async fn instances_of_a_project_find_each_other_by_name() {
    let Some(bed) = Bed::new().await else { return };
    let network = bed.network().await;
    bed.engine
        .start(&bed.spec(&network, "exec httpd -f -p 8080"))
        .await
        .expect("an instance");
    let asks = "for i in 1 2 3 4 5 6 7 8 9; do wget -q -O /dev/null http://app:8080/ 2>&1 | grep -q 404 && exit 7; sleep 0.2; done";
    let mut spec = bed.spec(&network, asks);
    spec.aliases = vec!["other".to_owned()];
    bed.engine.start(&spec).await.expect("an instance");
    let exit = bed.engine.wait(&spec.name).await.expect("an end").expect("its story");
    assert_eq!(exit.code, 7);
    bed.clear().await;
}

#[tokio::test]
async fn what_belongs_to_another_installation_is_not_there() {
    let Some(bed) = Bed::new().await else { return };
    let network = bed.network().await;
    let spec = bed.spec(&network, "exec sleep 600");
    let instance = bed.engine.start(&spec).await.expect("an instance");
    let stranger = DockerEngine::new(&bed.host, &unique("other")).expect("an engine");
    assert_eq!(stranger.instance(&spec.name).await.expect("an answer"), None);
    assert_eq!(stranger.instance(&instance.id).await.expect("an answer"), None);
    stranger.stop(&spec.name, 0).await.expect("absence is success");
    stranger.remove(&spec.name).await.expect("absence is success");
    stranger.remove_network(&network).await.expect("absence is success");
    assert_eq!(stranger.instances(&BTreeMap::new()).await.expect("a list"), []);
    let started = stranger.start(&spec).await;
    assert!(matches!(started, Err(InfrastructureError::Missing(_))), "{started:?}");
    let found = bed
        .engine
        .instance(&spec.name)
        .await
        .expect("an answer")
        .expect("the instance");
    assert_eq!(found.status, InstanceStatus::Running);
    bed.clear().await;
}

#[tokio::test]
async fn an_image_that_cannot_run_ends_with_its_reason() {
    let Some(bed) = Bed::new().await else { return };
    let network = bed.network().await;
    let names = [(); 3].map(|()| format!("{}:1", unique("test")));

    let nothing = bed.make_image(&names[0], &[]).await;
    let mut spec = bed.spec(&network, "");
    (spec.image, spec.command) = (nothing, None);
    let instance = bed.engine.start(&spec).await.expect("an instance that ended");
    let exit = instance.exit.expect("an end");
    assert!(
        exit.error
            .is_some_and(|words| words.to_lowercase().contains("no command"))
    );

    let absent = bed.make_image(&names[1], &["ENTRYPOINT [\"/no/such/program\"]"]).await;
    let mut spec = bed.spec(&network, "");
    (spec.image, spec.command) = (absent, None);
    bed.engine.start(&spec).await.expect("an instance");
    let exit = bed.engine.wait(&spec.name).await.expect("an end").expect("its story");
    assert_eq!(exit.code, 127);
    let taken = Taken::default();
    bed.engine
        .follow_output(&spec.name, OutputCursor::default(), &taken)
        .await
        .expect("the output");
    let told = taken.texts().concat() + &exit.error.unwrap_or_default();
    assert!(told.contains("/no/such/program"), "{told}");

    let stranger = bed.make_image(&names[2], &["USER nobody-here", "CMD [\"/x\"]"]).await;
    let mut spec = bed.spec(&network, "");
    (spec.image, spec.command) = (stranger, None);
    let instance = bed.engine.start(&spec).await.expect("an instance that ended");
    let exit = instance.exit.expect("an end");
    assert!(exit.error.is_some_and(|words| words.contains("nobody-here")));
    bed.clear().await;
    for name in names {
        bed.untag(&name).await;
    }
}

#[tokio::test]
async fn memory_that_is_used_up_is_told() {
    let Some(bed) = Bed::new().await else { return };
    let network = bed.network().await;
    let mut spec = bed.spec(&network, "exec tail /dev/zero");
    spec.resources.memory_mb = 16;
    // Of one end in a hundred, when several come at once, Engine 20.10 never hears the reason: no mark, and no event. So a
    // few are tried.
    let mut told = Vec::new();
    for _ in 0..3 {
        bed.engine.start(&spec).await.expect("an instance");
        let exit = bed.engine.wait(&spec.name).await.expect("an end").expect("its story");
        assert_eq!(exit.code, 137);
        told.push(exit.out_of_memory);
        if exit.out_of_memory {
            break;
        }
        bed.engine.remove(&spec.name).await.expect("room for the next one");
    }
    assert!(told.contains(&true), "{told:?}");
    bed.clear().await;
}

/// Keeps what it is given.
#[derive(Default)]
struct Taken {
    lines: Mutex<(Vec<OutputLine>, OutputCursor)>,
}

impl Taken {
    fn lines(&self) -> Vec<OutputLine> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).0.clone()
    }
    fn texts(&self) -> Vec<String> {
        self.lines().into_iter().map(|line| line.text).collect()
    }
    fn cursor(&self) -> OutputCursor {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).1
    }
}

#[async_trait]
impl OutputSink for Taken {
    async fn take(&self, lines: Vec<OutputLine>, cursor: OutputCursor) -> Result<(), Cause> {
        let mut taken = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        taken.0.extend(lines);
        taken.1 = cursor;
        Ok(())
    }
}

#[tokio::test]
async fn long_lines_and_many_lines_arrive_whole() {
    let Some(bed) = Bed::new().await else { return };
    let network = bed.network().await;
    let command = "head -c 40000 /dev/zero | tr '\\0' x; echo; head -c 16384 /dev/zero | tr '\\0' y >&2; echo >&2; \
                   i=0; while [ $i -lt 3000 ]; do echo $i; i=$((i+1)); done; printf unfinished";
    let spec = bed.spec(&network, command);
    bed.engine.start(&spec).await.expect("an instance");
    let taken = Taken::default();
    bed.engine
        .follow_output(&spec.name, OutputCursor::default(), &taken)
        .await
        .expect("the output");
    let lines = taken.lines();
    let (errors, output): (Vec<_>, Vec<_>) = lines.into_iter().partition(|line| line.level == LogLevel::Error);
    assert_eq!(errors.iter().map(|line| line.text.len()).collect::<Vec<_>>(), [16384]);
    assert_eq!(output[0].text.len(), 40000);
    let numbers: Vec<String> = output[1..3001].iter().map(|line| line.text.clone()).collect();
    assert!(
        numbers
            .iter()
            .enumerate()
            .all(|(index, text)| *text == index.to_string())
    );
    assert_eq!(output.len(), 3002);
    assert_eq!(output[3001].text, "unfinished");
    bed.clear().await;
}

#[tokio::test]
async fn an_instance_that_writes_ten_thousand_lines_a_second_is_read_whole() {
    let Some(bed) = Bed::new().await else { return };
    let network = bed.network().await;
    // The engine changes its files twice meanwhile.
    let (lines, filling) = (130_000, "x".repeat(86));
    let command = format!(
        "i=0; while [ $i -lt {lines} ]; do i=$((i+1)); echo $i {filling}; [ $((i%150)) = 0 ] && sleep 0.01; done; exit 0"
    );
    let mut spec = bed.spec(&network, &command);
    spec.resources.cpu_millis = 1000;
    bed.engine.start(&spec).await.expect("an instance");
    let taken = Taken::default();
    bed.engine
        .follow_output(&spec.name, OutputCursor::default(), &taken)
        .await
        .expect("the output");
    let numbers: Vec<u32> = taken
        .lines()
        .iter()
        .filter_map(|line| line.text.split(' ').next()?.parse().ok())
        .collect();
    whole(&numbers, lines);
    bed.clear().await;
}

/// Whether these are the numbers from 1 on; where they are not.
fn whole(numbers: &[u32], lines: u32) {
    let wrong: Vec<&[u32]> = numbers.windows(2).filter(|pair| pair[1] != pair[0] + 1).collect();
    let ends = (numbers.first(), numbers.last());
    assert!(
        wrong.is_empty() && ends == (Some(&1), Some(&lines)),
        "{} of {lines} lines, {ends:?}, {wrong:?}",
        numbers.len()
    );
}

/// Takes nothing for a while after a certain line.
struct HeldUp {
    taken: Taken,
    after: &'static str,
    time: Duration,
}

#[async_trait]
impl OutputSink for HeldUp {
    async fn take(&self, lines: Vec<OutputLine>, cursor: OutputCursor) -> Result<(), Cause> {
        let is_held_up = lines.iter().any(|line| line.text == self.after);
        self.taken.take(lines, cursor).await?;
        if is_held_up {
            tokio::time::sleep(self.time).await;
        }
        Ok(())
    }
}

#[tokio::test]
async fn a_reader_that_is_held_up_while_the_engine_changes_its_files_misses_nothing() {
    let Some(bed) = Bed::new().await else { return };
    let network = bed.network().await;
    // Some is there; then little comes, so that it is followed; then the engine changes its files twice at once.
    let (lines, filling) = (25_000, "x".repeat(900));
    let command = format!(
        "i=0; while [ $i -lt 5500 ]; do i=$((i+1)); echo $i {filling}; done; \
         while [ $i -lt 5600 ]; do i=$((i+1)); echo $i; sleep 0.05; done; \
         while [ $i -lt {lines} ]; do i=$((i+1)); echo $i {filling}; done; exit 0"
    );
    let mut spec = bed.spec(&network, &command);
    spec.resources.cpu_millis = 1000;
    bed.engine.start(&spec).await.expect("an instance");
    let sink = HeldUp {
        taken: Taken::default(),
        after: "5580",
        time: Duration::from_secs(8),
    };
    bed.engine
        .follow_output(&spec.name, OutputCursor::default(), &sink)
        .await
        .expect("the output");
    let numbers: Vec<u32> = sink
        .taken
        .lines()
        .iter()
        .filter_map(|line| line.text.split(' ').next()?.parse().ok())
        .collect();
    whole(&numbers, lines);
    bed.clear().await;
}

/// Forwards to the engine's socket, and cuts every connection when it is told to, or lets it hang.
struct Cuttable {
    _directory: tempfile::TempDir,
    host: String,
    cut: tokio::sync::watch::Sender<u32>,
    freeze: tokio::sync::watch::Sender<u32>,
    task: tokio::task::JoinHandle<()>,
}

impl Cuttable {
    fn new(engine_host: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("engine.sock");
        let host = format!("unix://{}", path.display());
        let (cut, cuts) = tokio::sync::watch::channel(0);
        let (freeze, freezes) = tokio::sync::watch::channel(0);
        let listener = tokio::net::UnixListener::bind(path).expect("a socket");
        let engine = engine_host.trim_start_matches("unix://").to_owned();
        let task = tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let (engine, mut cuts, mut freezes) = (engine.clone(), cuts.clone(), freezes.clone());
                cuts.borrow_and_update();
                freezes.borrow_and_update();
                tokio::spawn(async move {
                    let mut server = tokio::net::UnixStream::connect(engine).await.expect("the engine");
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
                        _ = cuts.changed() => {}
                        frozen = freezes.changed() => if frozen.is_ok() {
                            let _ = cuts.changed().await;
                        },
                    }
                });
            }
        });
        Self {
            _directory: directory,
            host,
            cut,
            freeze,
            task,
        }
    }
}

impl Drop for Cuttable {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[tokio::test]
async fn output_goes_on_where_the_connection_broke() {
    let Some(bed) = Bed::new().await else { return };
    if !bed.host.starts_with("unix://") {
        eprintln!("skipped: the engine has no socket here");
        return;
    }
    let network = bed.network().await;
    let lines = 400;
    let command = format!(
        "i=0; while [ $i -lt {lines} ]; do echo out $i; echo err $i >&2; i=$((i+1)); [ $((i%10)) = 0 ] && sleep 0.05; done; exit 0"
    );
    let spec = bed.spec(&network, &command);
    let way = Cuttable::new(&bed.host);
    let engine = DockerEngine::new(&way.host, &bed.installation).expect("an engine");
    engine.start(&spec).await.expect("an instance");
    let taken = Taken::default();
    let follow = async {
        // The reader itself goes away in between, too, and begins again from its cursor.
        for _ in 0..3 {
            let followed = engine.follow_output(&spec.name, taken.cursor(), &taken);
            if let Ok(ended) = tokio::time::timeout(Duration::from_millis(700), followed).await {
                return ended.expect("the output");
            }
        }
        engine
            .follow_output(&spec.name, taken.cursor(), &taken)
            .await
            .expect("the output");
    };
    let cutting = async {
        loop {
            tokio::time::sleep(Duration::from_millis(150)).await;
            way.cut.send_modify(|cuts| *cuts += 1);
        }
    };
    tokio::select! {
        () = follow => {}
        () = cutting => {}
        () = tokio::time::sleep(Duration::from_secs(60)) => panic!("the output does not end"),
    }
    let texts = taken.texts();
    for stream in ["out", "err"] {
        let seen: Vec<&String> = texts.iter().filter(|text| text.starts_with(stream)).collect();
        let expected: Vec<String> = (0..lines).map(|number| format!("{stream} {number}")).collect();
        assert_eq!(seen, expected.iter().collect::<Vec<_>>());
    }
    bed.clear().await;
}

#[tokio::test]
async fn a_connection_that_is_dead_without_a_word_is_not_believed_for_ever() {
    let Some(bed) = Bed::new().await else { return };
    if !bed.host.starts_with("unix://") {
        eprintln!("skipped: the engine has no socket here");
        return;
    }
    let network = bed.network().await;
    let spec = bed.spec(&network, "for i in 1 2 3 4 5 6 7 8; do echo $i; sleep 1; done");
    let way = Cuttable::new(&bed.host);
    let engine = DockerEngine::new(&way.host, &bed.installation)
        .expect("an engine")
        .with_longest_silence(Duration::from_secs(3));
    engine.start(&spec).await.expect("an instance");
    let taken = Taken::default();
    let freezing = async {
        eventually("it is followed", || async { taken.texts().len() >= 2 }).await;
        way.freeze.send_modify(|freezes| *freezes += 1);
        std::future::pending::<()>().await;
    };
    tokio::select! {
        followed = engine.follow_output(&spec.name, OutputCursor::default(), &taken) => followed.expect("the output"),
        () = freezing => {}
        () = tokio::time::sleep(Duration::from_secs(90)) => panic!("the output stays away: {:?}", taken.texts()),
    }
    assert_eq!(taken.texts(), ["1", "2", "3", "4", "5", "6", "7", "8"]);
    bed.clear().await;
}

#[tokio::test]
async fn an_engine_that_comes_later_is_reached() {
    let Some(bed) = Bed::new().await else { return };
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("later.sock");
    let engine = DockerEngine::new(&format!("unix://{}", path.display()), &bed.installation).expect("an engine");
    let version = engine.version().await;
    assert!(
        matches!(version, Err(InfrastructureError::Unreachable(_))),
        "{version:?}"
    );
    if let Some(socket) = bed.host.strip_prefix("unix://") {
        std::os::unix::fs::symlink(socket, &path).expect("a link");
        eventually("it is reached", || async { engine.version().await.is_ok() }).await;
    }
}

#[tokio::test]
async fn names_that_mean_another_path_are_refused() {
    let Some(bed) = Bed::new().await else { return };
    for name in ["../images/json", "a/json", "", "-a", "a?b", "a b", "é"] {
        let found = bed.engine.instance(name).await;
        assert!(
            matches!(found, Err(InfrastructureError::Refused(_))),
            "{name}: {found:?}"
        );
        let removed = bed.engine.remove_network(name).await;
        assert!(
            matches!(removed, Err(InfrastructureError::Refused(_))),
            "{name}: {removed:?}"
        );
    }
}
