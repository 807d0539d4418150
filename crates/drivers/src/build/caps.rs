//! Caps on what the steps of a build may use.
//!
//! Builders have no such setting, but each runs its steps in control groups under one parent. So the parent gets the
//! limits: they hold for all builds of one builder together, which is what keeps running applications and ourselves
//! alive. It needs the daemon on this machine, in our view of the control groups, and the right to write there; where
//! that is not so, nothing is capped and [`Caps`] says why. An engine that leaves its control groups to systemd puts
//! each step at the top of the hierarchy, under no parent: there, too, nothing is capped.

use std::{
    io,
    path::{Path, PathBuf},
};

use tokio::sync::Mutex;

use super::{BuildLimits, address::Address, engine};

/// What is capped, for `doctor` and the log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Caps {
    /// All builds together get no more processor time than this, in thousandths of a processor.
    pub cpu_millis: Option<u32>,
    /// All builds together get no more memory than this.
    pub memory_mb: Option<u64>,
    /// Why something that was asked for is not capped.
    pub missing: Option<String>,
}

const ROOT: &str = "/sys/fs/cgroup";

/// The period in which processor time is counted.
const PERIOD_MICROSECONDS: u64 = 100_000;

/// What runs the steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Daemon {
    /// `dockerd`.
    Engine,
    /// `buildkitd`.
    Buildkit,
}

/// Where the steps of one builder run, remembered for as long as its process lives.
#[derive(Debug, Default)]
pub(super) struct Keeper {
    known: Mutex<Option<(u32, Result<String, String>)>>,
}

impl Keeper {
    /// Sets the limits for the builder at `address`.
    pub(super) async fn enforce(&self, address: &Address, daemon: Daemon, limits: BuildLimits) -> Caps {
        if limits == BuildLimits::none() {
            return Caps::default();
        }
        let Some(process) = address.process().await else {
            return missing("the builder is not a process of this machine that can be seen from here");
        };
        let known = self.known.lock().await.clone().filter(|(known, _)| *known == process);
        let parent = match known {
            Some((_, parent)) => parent,
            None => {
                let parent = find_parent(address, process, daemon).await;
                *self.known.lock().await = Some((process, parent.clone()));
                parent
            }
        };
        let parent = match parent {
            Ok(parent) => parent,
            Err(why) => return missing(&why),
        };
        let root = PathBuf::from(ROOT);
        let outcome = tokio::task::spawn_blocking(move || match root.join("cgroup.controllers").exists() {
            true => unified(&root, &parent, limits),
            false => split(&root, &parent, limits),
        });
        outcome.await.unwrap_or_else(|_| missing("the limits could not be set"))
    }
}

/// The control group under which a daemon runs its steps, relative to the top; else why it cannot be used.
async fn find_parent(address: &Address, process: u32, daemon: Daemon) -> Result<String, String> {
    let ours = std::fs::read_link("/proc/self/ns/cgroup").ok();
    let theirs = std::fs::read_link(format!("/proc/{process}/ns/cgroup")).ok();
    if ours.is_none() || ours != theirs {
        return Err("the builder has its own view of the control groups".to_owned());
    }
    let command = std::fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
    let command = String::from_utf8_lossy(&command).into_owned();
    let arguments: Vec<&str> = command.split('\0').collect();
    let file = |path: &str| std::fs::read_to_string(format!("/proc/{process}/root{path}")).unwrap_or_default();
    let top = match daemon {
        Daemon::Engine => {
            match engine::get::<engine::Information>(address, "/info").await {
                Ok(Some(information)) if information.cgroup_driver == "cgroupfs" => {}
                Ok(_) => return Err("the engine leaves its control groups to systemd".to_owned()),
                Err(error) => return Err(format!("the engine cannot be asked: {error}")),
            }
            let settings = file(flag(&arguments, "--config-file").unwrap_or("/etc/docker/daemon.json"));
            let settings: serde_json::Value = serde_json::from_str(&settings).unwrap_or_default();
            flag(&arguments, "--cgroup-parent")
                .or_else(|| settings.get("cgroup-parent")?.as_str())
                .filter(|parent| !parent.is_empty())
                .unwrap_or("docker")
                .to_owned()
        }
        Daemon::Buildkit => default_parent(&file(
            flag(&arguments, "--config").unwrap_or("/etc/buildkit/buildkitd.toml"),
        )),
    };
    let parent = format!("{top}/buildkit");
    let parent = parent.trim_matches('/');
    if parent.contains(".slice") || parent.split('/').any(|part| part == "..") {
        return Err(format!(
            "the builder's control groups are under `{parent}`, which is not ours to limit"
        ));
    }
    Ok(parent.to_owned())
}

/// The value of a command-line flag, in either way of writing it.
fn flag<'a>(arguments: &[&'a str], name: &str) -> Option<&'a str> {
    arguments.iter().enumerate().find_map(|(index, argument)| {
        let rest = argument.strip_prefix(name)?;
        match rest.strip_prefix('=') {
            Some(value) => Some(value),
            None if rest.is_empty() => arguments.get(index + 1).copied(),
            None => None,
        }
    })
}

/// `defaultCgroupParent` in the settings of a `buildkitd`; empty when there is none.
fn default_parent(settings: &str) -> String {
    settings
        .lines()
        .filter_map(|line| {
            line.trim()
                .strip_prefix("defaultCgroupParent")?
                .trim_start()
                .strip_prefix('=')
        })
        .find_map(|value| value.trim().strip_prefix(['"', '\''])?.split(['"', '\'']).next())
        .unwrap_or_default()
        .to_owned()
}

/// Nothing is capped, for this reason.
fn missing(why: &str) -> Caps {
    Caps {
        missing: Some(why.to_owned()),
        ..Caps::default()
    }
}

/// Control groups of version 2: one hierarchy.
fn unified(root: &Path, parent: &str, limits: BuildLimits) -> Caps {
    let mut place = root.to_owned();
    for part in parent.split('/') {
        // Each level hands its controllers down, or the next has none.
        if let Err(error) = write(&place.join("cgroup.subtree_control"), "+cpu +memory") {
            return missing(&format!("{}: {error}", place.display()));
        }
        place.push(part);
        if let Err(error) = make(&place) {
            return missing(&format!("{}: {error}", place.display()));
        }
    }
    let quota = format!("{} {PERIOD_MICROSECONDS}", quota(limits));
    let memory = bytes(limits).to_string();
    let mut caps = Caps::default();
    if limits.cpu_millis > 0 {
        note(&mut caps, write(&place.join("cpu.max"), &quota), "cpu", |caps| {
            caps.cpu_millis = Some(limits.cpu_millis);
        });
    }
    if limits.memory_mb > 0 {
        note(&mut caps, write(&place.join("memory.max"), &memory), "memory", |caps| {
            caps.memory_mb = Some(limits.memory_mb);
        });
        // Without it a build would go on in the swap. A machine without swap has no such file.
        let _ = write(&place.join("memory.swap.max"), "0");
    }
    caps
}

/// Control groups of version 1: a hierarchy for each kind.
fn split(root: &Path, parent: &str, limits: BuildLimits) -> Caps {
    let mut caps = Caps::default();
    if limits.cpu_millis > 0 {
        let place = root.join("cpu").join(parent);
        let outcome = make(&place)
            .and_then(|()| write(&place.join("cpu.cfs_period_us"), &PERIOD_MICROSECONDS.to_string()))
            .and_then(|()| write(&place.join("cpu.cfs_quota_us"), &quota(limits).to_string()));
        note(&mut caps, outcome, "cpu", |caps| {
            caps.cpu_millis = Some(limits.cpu_millis)
        });
    }
    if limits.memory_mb > 0 {
        let place = root.join("memory").join(parent);
        let outcome = make(&place).and_then(|()| limit_memory(&place, &bytes(limits).to_string()));
        note(&mut caps, outcome, "memory", |caps| {
            caps.memory_mb = Some(limits.memory_mb)
        });
    }
    caps
}

/// Memory and memory with swap: the second may never be below the first, so the order depends on the direction.
fn limit_memory(place: &Path, bytes: &str) -> io::Result<()> {
    let memory = place.join("memory.limit_in_bytes");
    let both = place.join("memory.memsw.limit_in_bytes");
    if !both.exists() {
        return write(&memory, bytes);
    }
    match write(&memory, bytes) {
        Ok(()) => write(&both, bytes),
        Err(_) => write(&both, bytes).and_then(|()| write(&memory, bytes)),
    }
}

fn note(caps: &mut Caps, outcome: io::Result<()>, what: &str, set: impl FnOnce(&mut Caps)) {
    match outcome {
        Ok(()) => set(caps),
        Err(error) => caps.missing = Some(format!("{what}: {error}")),
    }
}

fn make(place: &Path) -> io::Result<()> {
    if place.is_dir() {
        Ok(())
    } else {
        std::fs::create_dir_all(place)
    }
}

/// Writes a setting unless it is so already.
fn write(place: &Path, value: &str) -> io::Result<()> {
    let is = std::fs::read_to_string(place)?;
    if is.trim() == value {
        return Ok(());
    }
    std::fs::write(place, value)
}

fn quota(limits: BuildLimits) -> u64 {
    (u64::from(limits.cpu_millis) * PERIOD_MICROSECONDS / 1000).max(1_000)
}

fn bytes(limits: BuildLimits) -> u64 {
    limits.memory_mb.saturating_mul(1024 * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fake(files: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for file in files {
            let place = root.path().join(file);
            std::fs::create_dir_all(place.parent().unwrap()).unwrap();
            std::fs::write(place, "-1\n").unwrap();
        }
        root
    }

    const LIMITS: BuildLimits = BuildLimits {
        cpu_millis: 1_500,
        memory_mb: 512,
    };

    #[test]
    fn limits_are_written_where_steps_run() {
        let root = fake(&[
            "cpu/docker/buildkit/cpu.cfs_period_us",
            "cpu/docker/buildkit/cpu.cfs_quota_us",
            "memory/docker/buildkit/memory.limit_in_bytes",
        ]);
        let caps = split(root.path(), "docker/buildkit", LIMITS);
        assert_eq!(
            (caps.cpu_millis, caps.memory_mb, caps.missing),
            (Some(1_500), Some(512), None)
        );
        let read = |path: &str| std::fs::read_to_string(root.path().join(path)).unwrap();
        assert_eq!(read("cpu/docker/buildkit/cpu.cfs_quota_us"), "150000");
        assert_eq!(read("memory/docker/buildkit/memory.limit_in_bytes"), "536870912");

        let root = fake(&[
            "cgroup.subtree_control",
            "docker/cgroup.subtree_control",
            "docker/buildkit/cpu.max",
            "docker/buildkit/memory.max",
        ]);
        let caps = unified(root.path(), "docker/buildkit", LIMITS);
        assert_eq!(
            (caps.cpu_millis, caps.memory_mb, caps.missing),
            (Some(1_500), Some(512), None)
        );
    }

    #[test]
    fn where_steps_run_is_read_from_flags_and_settings() {
        assert_eq!(flag(&["d", "--a", "b"], "--a"), Some("b"));
        assert_eq!(flag(&["d", "--ab=c", "--a=b"], "--a"), Some("b"));
        assert_eq!(flag(&["d", "--ab"], "--a"), None);
        assert_eq!(
            default_parent("[worker.oci]\n  # x\n  defaultCgroupParent = \"top\" # y\n"),
            "top"
        );
        assert_eq!(default_parent("# defaultCgroupParent = \"top\"\n"), "");
    }

    #[test]
    fn what_cannot_be_capped_is_said() {
        let root = fake(&["cpu/x", "memory/docker/buildkit/memory.limit_in_bytes"]);
        let caps = split(root.path(), "docker/buildkit", LIMITS);
        assert_eq!((caps.cpu_millis, caps.memory_mb), (None, Some(512)));
        assert!(caps.missing.unwrap().starts_with("cpu: "));
    }
}
