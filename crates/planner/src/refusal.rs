//! Why there is no plan, in words for the person who has to change something.

use serde::Serialize;

/// Why an application cannot be planned. Every variant says what was looked for, what was found and what to do.
///
/// As JSON it is an object of its fields, with the variant's name as `kind` (`no-start`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Refusal {
    /// No language was recognized.
    #[error(
        "no application was recognized. Looked for composer.json or index.php (PHP), go.mod or main.go (Go), pom.xml or build.gradle \
         (Java), Cargo.toml (Rust), Gemfile (Ruby), mix.exs (Elixir), requirements.txt, pyproject.toml, Pipfile, manage.py \
         or main.py (Python), deno.json (Deno), a project file (.NET), package.json (Node.js), CMakeLists.txt or meson.build \
         (C and C++), Staticfile or index.html (static site), start.sh (shell), and a start command or Procfile that calls \
         one of them. Found {seen}. {advice}"
    )]
    Unknown {
        /// What lies in the directory.
        seen: String,
        /// What to do.
        advice: String,
    },
    /// A file or folder that matters cannot be read.
    #[error("{path} cannot be read: {why}")]
    Unreadable {
        /// Relative to the application's directory.
        path: String,
        /// What is wrong with it and what to do.
        why: String,
    },
    /// A file that matters does not say what it should.
    #[error("{path} cannot be understood: {why}")]
    Malformed {
        /// Relative to the application's directory.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// Nothing says how the application is started.
    #[error("nothing says how to start this {provider} application. Looked for {looked_for}. Found {found}. {advice}")]
    NoStart {
        /// The language.
        provider: &'static str,
        /// The places that could have said it.
        looked_for: String,
        /// What was there instead.
        found: String,
        /// What to do.
        advice: String,
    },
    /// Several programs could be meant.
    #[error("{found} could be started: {candidates}. {advice}")]
    Ambiguous {
        /// What kind of thing, counted.
        found: String,
        /// Their names.
        candidates: String,
        /// How to choose.
        advice: String,
    },
    /// The application asks for a version that no base image has.
    #[error("{wanted} is asked for ({because}), but the newest base image is {offered}. {advice}")]
    Version {
        /// The language and version.
        wanted: String,
        /// Where it is asked for.
        because: String,
        /// What there is.
        offered: String,
        /// What to do.
        advice: String,
    },
    /// A setting, or a command out of a file, cannot be used.
    #[error("{name} cannot be used: {why}")]
    Setting {
        /// Which one.
        name: String,
        /// What is wrong and what to do.
        why: String,
    },
    /// The framework is known, and is set up so that it cannot run here.
    #[error("{framework}: {why}. {advice}")]
    Framework {
        /// Its name.
        framework: &'static str,
        /// What is wrong.
        why: String,
        /// What to do.
        advice: String,
    },
}

impl Refusal {
    /// What to do, where it is said apart from what is wrong.
    #[must_use]
    pub fn advice(&self) -> Option<&str> {
        match self {
            Self::Unknown { advice, .. }
            | Self::NoStart { advice, .. }
            | Self::Ambiguous { advice, .. }
            | Self::Version { advice, .. }
            | Self::Framework { advice, .. } => Some(advice),
            Self::Unreadable { .. } | Self::Malformed { .. } | Self::Setting { .. } => None,
        }
    }

    /// The whole text without its advice: what is wrong, what was looked for and what was found.
    #[must_use]
    pub fn problem(&self) -> String {
        let text = self.to_string();
        let problem = self.advice().and_then(|advice| text.strip_suffix(advice));
        problem.unwrap_or(&text).trim_end().trim_end_matches('.').to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_its_problem_and_its_advice() {
        let refusal = Refusal::NoStart {
            provider: "Node.js",
            looked_for: "a start script".to_owned(),
            found: "no scripts".to_owned(),
            advice: "Add one.".to_owned(),
        };
        assert_eq!(
            refusal.problem(),
            "nothing says how to start this Node.js application. Looked for a start script. Found no scripts"
        );
        assert_eq!(refusal.advice(), Some("Add one."));
        let setting = Refusal::Setting {
            name: "X".to_owned(),
            why: "it is empty".to_owned(),
        };
        assert_eq!(
            (setting.problem().as_str(), setting.advice()),
            ("X cannot be used: it is empty", None)
        );
        assert_eq!(
            serde_json::to_value(&setting).expect("it is JSON"),
            serde_json::json!({"kind": "setting", "name": "X", "why": "it is empty"})
        );
    }
}
