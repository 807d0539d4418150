//! What a caller of a use case can do about it.

use domain::ports::{image::ImageError, infrastructure::InfrastructureError, router::RouterError, source::SourceError};

/// What is wrong with one field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// The field, with dots.
    pub field: String,
    /// The rule that it breaks.
    pub message: String,
}

/// Why a use case did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Fields break rules.
    #[error("the request has {} invalid field(s)", .0.len())]
    Invalid(Vec<FieldError>),
    /// It does not fit how things are.
    #[error("{message}")]
    Conflict {
        /// Stable, for programs.
        code: &'static str,
        /// What is in the way, and what to do.
        message: String,
    },
    /// It was there, and was removed on purpose.
    #[error("{message}")]
    Gone {
        /// Stable, for programs.
        code: &'static str,
        /// What was removed, and why.
        message: String,
    },
    /// A counterpart is needed at once and does not answer.
    #[error("{message}")]
    Unavailable {
        /// What does not answer.
        message: String,
        /// Why.
        #[source]
        cause: Option<domain::ports::Cause>,
    },
    /// The state.
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl Error {
    /// One field breaks a rule.
    #[must_use]
    pub fn field(field: &str, message: impl Into<String>) -> Self {
        Self::Invalid(vec![FieldError {
            field: field.to_owned(),
            message: message.into(),
        }])
    }

    pub(crate) fn conflict(code: &'static str, message: impl Into<String>) -> Self {
        Self::Conflict {
            code,
            message: message.into(),
        }
    }
}

/// What lies at the bottom of an error: `Connection refused` instead of the names of the layers above it.
pub(crate) fn bottom(cause: &domain::ports::Cause) -> String {
    let mut deepest: &(dyn std::error::Error + 'static) = cause.as_ref();
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}

impl From<SourceError> for Error {
    fn from(error: SourceError) -> Self {
        Self::Unavailable {
            message: error.to_string(),
            cause: Some(Box::new(error)),
        }
    }
}
impl From<ImageError> for Error {
    fn from(error: ImageError) -> Self {
        Self::Unavailable {
            message: error.to_string(),
            cause: Some(Box::new(error)),
        }
    }
}
impl From<InfrastructureError> for Error {
    fn from(error: InfrastructureError) -> Self {
        Self::Unavailable {
            message: error.to_string(),
            cause: Some(Box::new(error)),
        }
    }
}
impl From<RouterError> for Error {
    fn from(error: RouterError) -> Self {
        Self::Unavailable {
            message: error.to_string(),
            cause: Some(Box::new(error)),
        }
    }
}
