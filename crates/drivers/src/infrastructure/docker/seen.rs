//! What was seen of containers that go on running. The engine's list says less than is wanted, and asking about each
//! container again and again would keep both sides busy with hundreds of them that do nothing.
//!
//! The list tells for how long a container has been running, roughly: seconds, then minutes. One that was seen less than
//! a minute ago and is said to run for a minute or more was not started again in between: it is as it was.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use bollard::models::{ContainerSummary, ContainerSummaryStateEnum};
use domain::ports::infrastructure::{Instance, InstanceStatus};

/// Shorter than the minute from which on the list counts in minutes.
const GAP: Duration = Duration::from_secs(45);
/// After so long a container is asked about anyway: the engine's clock may have been put forward.
const LONGEST: Duration = Duration::from_secs(300);

struct Entry {
    instance: Instance,
    asked: Instant,
    listed: Instant,
}

/// The instances that ran when they were seen, by id. Clones share it.
#[derive(Clone, Default)]
pub(super) struct Seen(Arc<Mutex<HashMap<String, Entry>>>);

impl Seen {
    /// The instance that is listed, when it is certain to be as it was. The list was asked for at `asked`, and has come.
    pub(super) fn recall(&self, listed: &ContainerSummary, asked: Instant, now: Instant) -> Option<Instance> {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = entries.get_mut(listed.id.as_deref()?)?;
        let is_certain = now.duration_since(entry.listed) < GAP
            && now.duration_since(entry.asked) < LONGEST
            && listed.state == Some(ContainerSummaryStateEnum::RUNNING)
            && listed.status.as_deref().is_some_and(has_run_for_a_minute)
            && has_address(listed, entry.instance.address);
        if !is_certain {
            return None;
        }
        entry.listed = asked;
        Some(entry.instance.clone())
    }

    /// Remembers an instance that the engine was asked about, not before `now`.
    pub(super) fn keep(&self, instance: &Instance, now: Instant) {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries.retain(|_, entry| now.duration_since(entry.listed) < GAP);
        if instance.status != InstanceStatus::Running {
            entries.remove(&instance.id);
            return;
        }
        let entry = Entry {
            instance: instance.clone(),
            asked: now,
            listed: now,
        };
        entries.insert(instance.id.clone(), entry);
    }
}

/// `Up 5 minutes`, `Up About an hour`; not `Up 59 seconds`, and nothing that is worded otherwise.
fn has_run_for_a_minute(status: &str) -> bool {
    const UNITS: [&str; 6] = ["minute", "hour", "day", "week", "month", "year"];
    status.starts_with("Up ") && !status.contains("second") && UNITS.iter().any(|unit| status.contains(unit))
}

fn has_address(listed: &ContainerSummary, address: Option<IpAddr>) -> bool {
    let networks = listed
        .network_settings
        .as_ref()
        .and_then(|found| found.networks.as_ref());
    let mut addresses = networks
        .into_iter()
        .flat_map(HashMap::values)
        .filter_map(|endpoint| endpoint.ip_address.as_ref()?.parse().ok());
    match address {
        Some(address) => addresses.any(|listed: IpAddr| listed == address),
        None => addresses.next().is_none(),
    }
}

#[cfg(test)]
mod tests {
    use bollard::models::{ContainerSummaryNetworkSettings, EndpointSettings};

    use super::*;

    fn instance() -> Instance {
        Instance {
            id: "c1".to_owned(),
            name: "web".to_owned(),
            labels: [].into(),
            status: InstanceStatus::Running,
            address: "10.0.0.2".parse().ok(),
            exit: None,
            started_at_ms: Some(1),
            restarts: 0,
        }
    }

    fn listed(status: &str, address: &str) -> ContainerSummary {
        let endpoint = EndpointSettings {
            ip_address: Some(address.to_owned()),
            ..EndpointSettings::default()
        };
        ContainerSummary {
            id: Some("c1".to_owned()),
            state: Some(ContainerSummaryStateEnum::RUNNING),
            status: Some(status.to_owned()),
            network_settings: Some(ContainerSummaryNetworkSettings {
                networks: Some([("n".to_owned(), endpoint)].into()),
            }),
            ..ContainerSummary::default()
        }
    }

    #[test]
    fn one_that_goes_on_running_is_recalled() {
        let (seen, now) = (Seen::default(), Instant::now());
        assert_eq!(seen.recall(&listed("Up 5 minutes", "10.0.0.2"), now, now), None);
        seen.keep(&instance(), now);
        for status in ["Up About a minute", "Up 5 minutes", "Up About an hour", "Up 3 weeks"] {
            assert_eq!(
                seen.recall(&listed(status, "10.0.0.2"), now, now),
                Some(instance()),
                "{status}"
            );
        }
    }

    #[test]
    fn one_that_may_have_been_started_again_is_not_recalled() {
        let (seen, now) = (Seen::default(), Instant::now());
        seen.keep(&instance(), now);
        for status in [
            "Up 59 seconds",
            "Up Less than a second",
            "Up 2 minutes and 3 seconds",
            "Exited (0) 2 minutes ago",
            "Up",
        ] {
            assert_eq!(seen.recall(&listed(status, "10.0.0.2"), now, now), None, "{status}");
        }
        assert_eq!(seen.recall(&listed("Up 5 minutes", "10.0.0.3"), now, now), None);
        assert_eq!(seen.recall(&listed("Up 5 minutes", "10.0.0.2"), now, now + GAP), None);
    }

    #[test]
    fn even_one_that_is_always_listed_is_asked_about_now_and_then() {
        let (seen, mut now) = (Seen::default(), Instant::now());
        let began = now;
        seen.keep(&instance(), now);
        while seen.recall(&listed("Up 5 minutes", "10.0.0.2"), now, now).is_some() {
            now += Duration::from_secs(30);
        }
        assert_eq!(now.duration_since(began), LONGEST);
    }

    #[test]
    fn one_that_ended_is_forgotten() {
        let (seen, now) = (Seen::default(), Instant::now());
        seen.keep(&instance(), now);
        let ended = Instance {
            status: InstanceStatus::Exited,
            ..instance()
        };
        seen.keep(&ended, now);
        assert_eq!(seen.recall(&listed("Up 5 minutes", "10.0.0.2"), now, now), None);
    }
}
