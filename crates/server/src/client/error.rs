//! Why a command did not do what it should, and the exit code that tells a script.

use std::path::Path;

use api::wire::Problem;
use domain::{DeploymentId, Reason, deployment::DeploymentStatus};

/// Why a command ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// What was asked makes no sense, whatever the server says.
    #[error("{message}")]
    Usage {
        /// What is wrong.
        message: String,
        /// What to do.
        advice: String,
    },
    /// Nobody told which server, or with which token.
    #[error("{message}")]
    Unconfigured {
        /// What is missing.
        message: String,
        /// What to do.
        advice: String,
    },
    /// The server does not answer.
    #[error("{url} cannot be reached: {why}")]
    Unreachable {
        /// The server.
        url: String,
        /// The innermost cause.
        why: String,
    },
    /// What answered does not speak our language.
    #[error("{url} does not answer as Click-to-Deploy does: {why}")]
    Foreign {
        /// The address.
        url: String,
        /// What it said instead.
        why: String,
    },
    /// The server refused, in its own words.
    #[error("{}", said(.0))]
    Refused(Box<Problem>),
    /// There is no such thing.
    #[error("{message}")]
    Missing {
        /// What was looked for.
        message: String,
        /// What to do.
        advice: String,
    },
    /// What is asked does not fit the state of things.
    #[error("{message}")]
    Conflict {
        /// What stands in the way.
        message: String,
        /// What to do.
        advice: String,
    },
    /// A deployment ended otherwise than live.
    #[error("deployment {id} {}{}", outcome(*.status), .reason.as_ref().map(|r| format!(": {}", r.message)).unwrap_or_default())]
    Ended {
        /// Which.
        id: DeploymentId,
        /// How.
        status: DeploymentStatus,
        /// Why.
        reason: Option<Reason>,
    },
    /// Background work or a local step failed.
    #[error("{message}")]
    Failed {
        /// What happened.
        message: String,
        /// What to do; may be empty.
        advice: String,
    },
    /// It took longer than the user wanted to wait.
    #[error("{message}")]
    TimedOut {
        /// What took too long.
        message: String,
        /// What goes on meanwhile, and what to do.
        advice: String,
    },
    /// The user pressed Ctrl-C.
    #[error("{message}")]
    Interrupted {
        /// What was interrupted.
        message: String,
        /// What goes on meanwhile, and what to do.
        advice: String,
    },
    /// Nobody reads what we print: the end of a pipe was closed. This is no failure.
    #[error("the output was closed")]
    ClosedOutput,
}

fn said(problem: &Problem) -> &str {
    if problem.detail.is_empty() {
        &problem.title
    } else {
        &problem.detail
    }
}

fn outcome(status: DeploymentStatus) -> &'static str {
    match status {
        DeploymentStatus::Failed => "failed",
        DeploymentStatus::Cancelled => "was cancelled",
        DeploymentStatus::Superseded => "was superseded by a newer one",
        _ => "is not finished",
    }
}

impl ClientError {
    /// What is wrong with the command line.
    pub(crate) fn usage(message: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::Usage {
            message: message.into(),
            advice: advice.into(),
        }
    }

    /// A step that failed.
    pub(crate) fn failed(message: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::Failed {
            message: message.into(),
            advice: advice.into(),
        }
    }

    /// A thing that is not there.
    pub(crate) fn missing(message: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::Missing {
            message: message.into(),
            advice: advice.into(),
        }
    }

    /// A thing that is in the way.
    pub(crate) fn conflict(message: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::Conflict {
            message: message.into(),
            advice: advice.into(),
        }
    }

    /// A file that could not be read or written.
    pub(crate) fn file(path: &Path, what: &str, cause: &std::io::Error) -> Self {
        Self::failed(format!("{} cannot be {what}: {cause}", path.display()), "")
    }

    /// What the process ends with; documented in docs/user/command-line.md.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::ClosedOutput => 0,
            Self::Ended { .. } | Self::Failed { .. } => 1,
            Self::Usage { .. } => 2,
            Self::Unconfigured { .. } | Self::Unreachable { .. } | Self::Foreign { .. } => 3,
            Self::Missing { .. } => 4,
            Self::Conflict { .. } => 5,
            Self::TimedOut { .. } => 6,
            Self::Interrupted { .. } => 130,
            Self::Refused(problem) => match problem.status {
                400 | 413 | 415 | 422 => 2,
                401 | 403 | 429 | 502..=504 => 3,
                404 | 410 => 4,
                409 | 412 => 5,
                _ => 1,
            },
        }
    }

    /// Stable, for programs.
    pub(crate) fn code(&self) -> &str {
        match self {
            Self::Usage { .. } => "usage",
            Self::Unconfigured { .. } => "not-configured",
            Self::Unreachable { .. } => "unreachable",
            Self::Foreign { .. } => "not-click-deploy",
            Self::Refused(problem) => &problem.code,
            Self::Missing { .. } => "missing",
            Self::Conflict { .. } => "conflict",
            Self::Ended {
                reason: Some(reason), ..
            } => &reason.code,
            Self::Ended { status, .. } => status.name(),
            Self::Failed { .. } => "failed",
            Self::TimedOut { .. } => "timed-out",
            Self::Interrupted { .. } => "interrupted",
            Self::ClosedOutput => "closed-output",
        }
    }

    /// What to do about it; may be empty.
    pub(crate) fn advice(&self) -> String {
        match self {
            Self::Usage { advice, .. }
            | Self::Unconfigured { advice, .. }
            | Self::Missing { advice, .. }
            | Self::Conflict { advice, .. }
            | Self::Failed { advice, .. }
            | Self::TimedOut { advice, .. }
            | Self::Interrupted { advice, .. } => advice.clone(),
            Self::Unreachable { .. } => {
                "See that the server runs there and that CLICK_DEPLOY_URL is its address; `click-deploy doctor` looks closer."
                    .to_owned()
            }
            Self::Foreign { .. } => "See that CLICK_DEPLOY_URL is the address of Click-to-Deploy's API.".to_owned(),
            Self::Refused(problem) if matches!(problem.status, 401 | 403) => {
                "Set CLICK_DEPLOY_TOKEN to a valid API token, or run `click-deploy login`.".to_owned()
            }
            Self::Ended { reason, .. } => reason.as_ref().map(|reason| reason.advice.clone()).unwrap_or_default(),
            Self::Refused(_) | Self::ClosedOutput => String::new(),
        }
    }

    /// The same as a reason, for JSON.
    pub(crate) fn reason(&self) -> Reason {
        match self {
            Self::Ended {
                reason: Some(reason), ..
            } => reason.clone(),
            other => Reason::new(other.code(), other.to_string(), other.advice()),
        }
    }
}
