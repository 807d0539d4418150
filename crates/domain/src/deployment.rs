//! A deployment's statuses, and the one function through which they change.

use serde::{Deserialize, Serialize};

/// How far a deployment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum DeploymentStatus {
    /// Waiting for its turn.
    Queued,
    /// Its network and its route are made.
    Provisioning,
    /// Its files are fetched and its image is built.
    Building,
    /// Its image goes to the registry.
    Pushing,
    /// Its instances start beside the old ones.
    Releasing,
    /// The public address is asked for the new version.
    Checking,
    /// The public address served the new version.
    Live,
    /// It did not work; the reason says why.
    Failed,
    /// Someone cancelled it.
    Cancelled,
    /// A newer deployment took its place before it began.
    Superseded,
}

/// What moves a deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeploymentEvent {
    /// A worker took it.
    Begin,
    /// The build began.
    BuildStarted,
    /// The image goes to the registry.
    PushStarted,
    /// The instances start.
    ReleaseStarted,
    /// The route was switched; the public address is asked.
    CheckStarted,
    /// The public address served the new version.
    WentLive,
    /// Something failed for good.
    Fail,
    /// Someone cancelled.
    Cancel,
    /// A newer one replaced it.
    Supersede,
    /// A worker took it again after a crash: it begins anew from its journal.
    Resume,
}

/// An event that the status does not allow.
#[derive(Debug, thiserror::Error, PartialEq, Eq, Clone, Copy)]
#[error("a deployment that is {} takes no {event:?}", from.name())]
pub struct IllegalTransition {
    /// Where it was.
    pub from: DeploymentStatus,
    /// What came.
    pub event: DeploymentEvent,
}

impl DeploymentStatus {
    /// Every status, in order.
    pub const ALL: [Self; 10] = [
        Self::Queued,
        Self::Provisioning,
        Self::Building,
        Self::Pushing,
        Self::Releasing,
        Self::Checking,
        Self::Live,
        Self::Failed,
        Self::Cancelled,
        Self::Superseded,
    ];

    /// The name in the database, in JSON and on the screen.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Provisioning => "provisioning",
            Self::Building => "building",
            Self::Pushing => "pushing",
            Self::Releasing => "releasing",
            Self::Checking => "checking",
            Self::Live => "live",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Superseded => "superseded",
        }
    }

    /// The status of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.name() == name)
    }

    /// Whether nothing moves it any more.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Self::Live | Self::Failed | Self::Cancelled | Self::Superseded)
    }

    /// Where an event leads.
    ///
    /// # Errors
    /// When the status does not allow the event.
    pub fn after(self, event: DeploymentEvent) -> Result<Self, IllegalTransition> {
        use DeploymentEvent as E;
        use DeploymentStatus as S;
        Ok(match (self, event) {
            (S::Queued, E::Begin) => S::Provisioning,
            (S::Queued, E::Supersede) => S::Superseded,
            (S::Provisioning, E::BuildStarted) => S::Building,
            (S::Building, E::PushStarted) => S::Pushing,
            (S::Provisioning | S::Building | S::Pushing, E::ReleaseStarted) => S::Releasing,
            (S::Releasing, E::CheckStarted) => S::Checking,
            (S::Checking, E::WentLive) => S::Live,
            (from, E::Fail) if !from.is_final() => S::Failed,
            (from, E::Cancel) if !from.is_final() => S::Cancelled,
            (from, E::Resume) if !from.is_final() && from != S::Queued => S::Provisioning,
            (from, event) => return Err(IllegalTransition { from, event }),
        })
    }
}

/// Why a deployment was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum Trigger {
    /// Someone asked for it.
    Manual,
    /// An archive was uploaded.
    Upload,
    /// The image of an earlier deployment with the settings and variables of now.
    Redeploy,
    /// The image, variables and settings of an earlier deployment.
    Rollback,
}

/// One of the phases that are shown, each with a deadline and a duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum Phase {
    /// Network and address.
    Provision,
    /// Files and image.
    Build,
    /// New instances beside the old ones.
    Release,
    /// The switch, and the public address asked.
    Check,
    /// The old instances finish their requests and go.
    Drain,
}

impl Phase {
    /// The name in logs, the database and JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Provision => "provision",
            Self::Build => "build",
            Self::Release => "release",
            Self::Check => "check",
            Self::Drain => "drain",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENTS: [DeploymentEvent; 10] = [
        DeploymentEvent::Begin,
        DeploymentEvent::BuildStarted,
        DeploymentEvent::PushStarted,
        DeploymentEvent::ReleaseStarted,
        DeploymentEvent::CheckStarted,
        DeploymentEvent::WentLive,
        DeploymentEvent::Fail,
        DeploymentEvent::Cancel,
        DeploymentEvent::Supersede,
        DeploymentEvent::Resume,
    ];

    #[test]
    fn a_final_status_takes_no_event() {
        for status in DeploymentStatus::ALL.into_iter().filter(|s| s.is_final()) {
            for event in EVENTS {
                assert_eq!(status.after(event), Err(IllegalTransition { from: status, event }));
            }
        }
    }

    #[test]
    fn only_a_queued_deployment_is_superseded() {
        for status in DeploymentStatus::ALL {
            assert_eq!(
                status.after(DeploymentEvent::Supersede).is_ok(),
                status == DeploymentStatus::Queued
            );
        }
    }

    #[test]
    fn every_unfinished_deployment_can_be_cancelled_and_can_fail() {
        for status in DeploymentStatus::ALL.into_iter().filter(|s| !s.is_final()) {
            assert_eq!(status.after(DeploymentEvent::Cancel), Ok(DeploymentStatus::Cancelled));
            assert_eq!(status.after(DeploymentEvent::Fail), Ok(DeploymentStatus::Failed));
        }
    }

    #[test]
    fn live_is_reached_through_the_check_alone() {
        for status in DeploymentStatus::ALL {
            assert_eq!(
                status.after(DeploymentEvent::WentLive).is_ok(),
                status == DeploymentStatus::Checking
            );
        }
    }

    #[test]
    fn every_status_reads_back_from_its_name() {
        for status in DeploymentStatus::ALL {
            assert_eq!(DeploymentStatus::parse(status.name()), Some(status));
        }
    }
}
