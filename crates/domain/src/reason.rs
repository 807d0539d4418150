//! Why something did not work, in words for the person who has to act.

use serde::{Deserialize, Serialize};

/// A reason that is kept on a deployment and shown wherever the deployment is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Reason {
    /// Stable, for programs: `out-of-memory`, `port-never-opened`.
    pub code: String,
    /// What happened.
    pub message: String,
    /// What to do about it; empty when there is nothing to add.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub advice: String,
}

impl Reason {
    /// A reason with advice.
    #[must_use]
    pub fn new(code: &str, message: impl Into<String>, advice: impl Into<String>) -> Self {
        Self {
            code: code.to_owned(),
            message: message.into(),
            advice: advice.into(),
        }
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)?;
        if !self.advice.is_empty() {
            write!(f, " ({})", self.advice)?;
        }
        Ok(())
    }
}
