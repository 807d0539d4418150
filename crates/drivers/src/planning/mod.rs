//! Who plans a build: the application's own Dockerfile, Railpack, or our planner.

mod base_images;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use async_trait::async_trait;
use domain::{
    SecretText,
    ports::{
        builder::Recipe,
        planning::{BuildPlan, PlanError, PlanRequest, Planner},
    },
    service::{BuildMethod, BuildSettings},
};
use ring::hmac;
use serde_json::json;

use crate::build::railpack::{Railpack, RailpackError};

pub use base_images::BaseImageProgram;

/// The largest Dockerfile that is read.
const DOCKERFILE_LIMIT_BYTES: u64 = 1024 * 1024;

/// Chooses the planner, and plans.
pub struct Planners {
    railpack: Option<RailpackPlanner>,
    digest_key: hmac::Key,
}

/// Railpack, and what it works with.
pub struct RailpackPlanner {
    /// Its program.
    pub program: Railpack,
    /// Where it may write; every plan gets a directory of its own there.
    pub scratch: PathBuf,
    /// Variables of every build, for reaching mirrors and proxies. Those of a service count before them.
    pub variables: BTreeMap<String, SecretText>,
}

/// The image that turns Railpack's plans into builds: of the very version of the program, or they do not fit.
fn frontend_image(version: &str) -> String {
    format!(
        "ghcr.io/railwayapp/railpack-frontend:v{}",
        version.trim_start_matches('v')
    )
}

impl Planners {
    /// `railpack` is given only together with a builder that merges layers. `secret` keys the digests by which a changed
    /// variable runs a build again: it must stay the same, or every build runs again.
    #[must_use]
    pub fn new(railpack: Option<RailpackPlanner>, secret: &[u8]) -> Self {
        Self {
            railpack,
            digest_key: hmac::Key::new(hmac::HMAC_SHA256, secret),
        }
    }

    fn digest(&self, variables: &BTreeMap<String, SecretText>) -> String {
        let mut context = hmac::Context::with_key(&self.digest_key);
        for (name, value) in variables {
            context.update(format!("{}:{name}={}:", name.len(), value.expose().len()).as_bytes());
            context.update(value.expose().as_bytes());
        }
        hex::encode(&context.sign().as_ref()[..16])
    }

    fn by_planner(&self, request: &PlanRequest<'_>) -> Result<BuildPlan, PlanError> {
        let build = request.settings;
        let text = |value: Option<&str>| value.map(ToOwned::to_owned);
        let settings = planner::Settings {
            install_command: text(build.install_command.as_ref().map(|command| command.as_str())),
            build_command: text(build.build_command.as_ref().map(|command| command.as_str())),
            start_command: text(request.start_command),
            release_command: text(request.release_command),
            output_directory: text(build.output_directory.as_ref().map(|path| path.as_str())),
            variables: request
                .variables
                .iter()
                .map(|(name, value)| (name.clone(), value.expose().to_owned()))
                .collect(),
            closed_network: request.closed_network,
            cache_key: request.cache_key.to_owned(),
        };
        let plan = planner::plan(request.directory, &settings).map_err(|refusal| PlanError::Refused {
            message: refusal.problem(),
            advice: refusal.advice().unwrap_or_default().to_owned(),
        })?;
        let framework = plan
            .framework
            .as_ref()
            .map_or_else(String::new, |framework| format!(", {framework}"));
        let mut summary = vec![format!("planned as {}{framework}", plan.provider)];
        summary.extend(
            plan.facts
                .iter()
                .map(|fact| format!("{}: {} ({})", fact.name, fact.value, fact.because)),
        );
        summary.extend(plan.warnings.iter().map(|warning| format!("note: {warning}")));
        let mut facts = serde_json::to_value(&plan).unwrap_or_default();
        facts["builder"] = json!("planner");
        let digest = self.digest(request.variables);
        Ok(BuildPlan {
            recipe: Recipe::Planned {
                dockerfile: plan.dockerfile,
                dockerignore: plan.dockerignore,
                arguments: BTreeMap::from([(planner::VARIABLES_DIGEST_ARGUMENT.to_owned(), digest)]),
            },
            secrets: request.variables.clone(),
            facts,
            summary,
            base_images: plan.base_images,
            port: plan.port,
        })
    }

    async fn by_railpack(&self, request: &PlanRequest<'_>) -> Result<BuildPlan, PlanError> {
        let Some(railpack) = &self.railpack else {
            return Err(PlanError::Unavailable(
                "Railpack is not to be had here: its program has to be on PATH, and BUILDKIT_HOST has to name a buildkitd. \
                 Choose the automatic method, or add a Dockerfile"
                    .to_owned(),
            ));
        };
        let local =
            |error: std::io::Error| PlanError::Unavailable(format!("Railpack's directory cannot be made: {error}"));
        std::fs::create_dir_all(&railpack.scratch).map_err(local)?;
        let scratch = tempfile::Builder::new()
            .prefix("railpack-")
            .tempdir_in(&railpack.scratch)
            .map_err(local)?;
        let mut variables = railpack.variables.clone();
        variables.extend(request.variables.clone());
        let settings = request.settings;
        let output_directory = settings.output_directory.as_ref().map(|path| path.as_str());
        let choices = [
            (
                "RAILPACK_INSTALL_CMD",
                settings.install_command.as_ref().map(|command| command.as_str()),
            ),
            (
                "RAILPACK_BUILD_CMD",
                settings.build_command.as_ref().map(|command| command.as_str()),
            ),
            ("RAILPACK_START_CMD", request.start_command),
            ("RAILPACK_SPA_OUTPUT_DIR", output_directory),
            ("RAILPACK_STATIC_FILE_ROOT", output_directory),
        ];
        let choices = choices
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), SecretText::new(value?))))
            .collect();
        let planned = railpack
            .program
            .prepare(request.directory, &variables, &choices, scratch.path())
            .await
            .map_err(|error| match error {
                RailpackError::Unplannable(_) => PlanError::Refused {
                    message: error.to_string().trim_end_matches('.').to_owned(),
                    advice: "A Dockerfile in the root directory works as well, and `--method planner` plans without \
                             Railpack."
                        .to_owned(),
                },
                other => PlanError::Unavailable(other.to_string()),
            })?;
        let found = &planned.facts;
        let versions = found.resolved_packages.iter().map(|(name, package)| {
            let because = package.source.as_str();
            (format!("{name} version"), package.resolved_version.as_str(), because)
        });
        let others = found
            .metadata
            .iter()
            .map(|(name, value)| (name.clone(), value.as_str(), "Railpack"));
        let start = planned.start_command.as_deref();
        let start = start.map(|command| ("start command".to_owned(), command, "Railpack"));
        let facts: Vec<_> = versions.chain(others).chain(start).collect();
        let provider = found.detected_providers.first().cloned().unwrap_or_default();
        let mut summary = vec![format!("planned by Railpack {} as {provider}", found.railpack_version)];
        summary.extend(
            facts
                .iter()
                .map(|(name, value, because)| format!("{name}: {value} ({because})")),
        );
        summary.extend(found.warnings.iter().map(|warning| format!("note: {warning}")));
        let facts: Vec<_> = facts
            .into_iter()
            .map(|(name, value, because)| json!({"name": name, "value": value, "because": because}))
            .collect();
        Ok(BuildPlan {
            facts: json!({"builder": "railpack", "provider": provider, "facts": facts,
                "start_command": planned.start_command, "warnings": found.warnings}),
            recipe: Recipe::Railpack {
                frontend_image: frontend_image(&found.railpack_version),
                plan: planned.plan,
            },
            // Every variable that the plan names has to come as a secret, or the build fails.
            secrets: variables,
            summary,
            base_images: Vec::new(),
            port: None,
        })
    }
}

/// The application's Dockerfile, if it is a file inside the directory.
fn dockerfile(directory: &Path, build: &BuildSettings) -> Result<Option<(String, String)>, PlanError> {
    let path = build
        .dockerfile_path
        .as_ref()
        .map_or("Dockerfile", |path| path.as_str());
    let path = if path.is_empty() { "Dockerfile" } else { path };
    let refused = |why: String| PlanError::refused(format!("the Dockerfile `{path}` {why}"));
    let Ok(file) = directory.join(path).canonicalize() else {
        return Ok(None);
    };
    let inside = directory.canonicalize().is_ok_and(|root| file.starts_with(root));
    if !inside {
        return Err(refused("leads outside of the source".to_owned()));
    }
    let metadata = std::fs::metadata(&file).map_err(|error| refused(format!("cannot be read: {error}")))?;
    if !metadata.is_file() {
        return Ok(None);
    }
    if metadata.len() > DOCKERFILE_LIMIT_BYTES {
        return Err(refused("is larger than 1 MiB".to_owned()));
    }
    let text = std::fs::read_to_string(&file).map_err(|_| refused("is not UTF-8 text".to_owned()))?;
    Ok(Some((path.to_owned(), text)))
}

fn by_dockerfile(request: &PlanRequest<'_>, path: String, text: &str) -> BuildPlan {
    let build = request.settings;
    let arguments: BTreeMap<String, String> = build
        .arguments
        .iter()
        .map(|(key, value)| (key.to_string(), value.clone()))
        .collect();
    let target = build.target.as_ref().map(ToString::to_string);
    let base_images = planner::base_images_of_dockerfile(text, &arguments, target.as_deref());
    BuildPlan {
        facts: json!({"builder": "dockerfile", "provider": "dockerfile", "dockerfile_path": path, "base_images": base_images,
            "facts": [{"name": "Dockerfile", "value": path, "because": "it is in the root directory",
                "evidence": {"file": path}}]}),
        summary: vec![format!("building `{path}`")],
        recipe: Recipe::Dockerfile {
            path,
            target,
            arguments,
        },
        // A Dockerfile of the user's can mount any of the variables as a secret, by its name.
        secrets: request.variables.clone(),
        base_images,
        port: None,
    }
}

#[async_trait]
impl Planner for Planners {
    async fn plan(&self, request: &PlanRequest<'_>) -> Result<BuildPlan, PlanError> {
        let build = request.settings;
        match build.method {
            BuildMethod::Planner => return self.by_planner(request),
            BuildMethod::Railpack => return self.by_railpack(request).await,
            BuildMethod::Automatic | BuildMethod::Dockerfile => {}
        }
        if let Some((path, text)) = dockerfile(request.directory, build)? {
            return Ok(by_dockerfile(request, path, &text));
        }
        if build.method == BuildMethod::Dockerfile || build.dockerfile_path.is_some() {
            let path = build
                .dockerfile_path
                .as_ref()
                .map_or("Dockerfile", |path| path.as_str());
            return Err(PlanError::Refused {
                message: format!("there is no Dockerfile at `{path}` in the root directory"),
                advice: "Add it, or change its path in the settings.".to_owned(),
            });
        }
        if self.railpack.is_some() {
            return self.by_railpack(request).await;
        }
        self.by_planner(request)
    }
}
