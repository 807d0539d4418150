//! `plan`: what would be built of a directory, and why. It needs no server.

use std::{
    fs,
    path::{Path, PathBuf},
};

use api::wire::DeploymentPlan;
use clap::Args;
use domain::{
    environment::parse_dotenv,
    names::{InsidePath, ShellCommand, VariableKey},
};
use planner::{Application, Plan, Refusal, Settings};
use serde::Serialize;

use super::{
    error::ClientError,
    explanation,
    output::{Cell, Output, Tint, clean, clean_lines},
    settings::key_value,
};

/// Shown under `--help`.
pub(crate) const EXAMPLES: &str = "Examples:
  click-deploy plan
  click-deploy plan ./shop --root apps/web
  click-deploy plan --applications                  what else this repository holds
  click-deploy plan --dockerfile > Dockerfile       take it home
  click-deploy plan --json | jq .facts";

/// Says what would be built.
#[derive(Debug, Args)]
pub(crate) struct PlanCommand {
    /// The directory
    #[arg(value_name = "DIR", default_value = ".")]
    directory: PathBuf,
    /// Print the Dockerfile that would be used, and nothing else on standard output
    #[arg(long)]
    dockerfile: bool,
    /// List the applications below the directory, each of which can be the root directory of a service
    #[arg(long, conflicts_with = "dockerfile")]
    applications: bool,
    /// Plan with base images that can be made where no image registry can be reached
    #[arg(long)]
    closed_network: bool,
    /// The application's directory within it
    #[arg(long, value_name = "DIR")]
    root: Option<InsidePath>,
    /// A variable of the service; repeatable. Some of them change the plan
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    env: Vec<(VariableKey, String)>,
    /// A .env file with variables of the service; repeatable
    #[arg(long, value_name = "FILE")]
    env_file: Vec<PathBuf>,
    /// Replaces the install command that was detected
    #[arg(long, value_name = "COMMAND")]
    install_command: Option<ShellCommand>,
    /// Replaces the build command that was detected
    #[arg(long, value_name = "COMMAND")]
    build_command: Option<ShellCommand>,
    /// Replaces the start command
    #[arg(long, value_name = "COMMAND")]
    start_command: Option<ShellCommand>,
    /// Runs once in the new image before the application is started from it, as for migrations
    #[arg(long, value_name = "COMMAND")]
    release_command: Option<ShellCommand>,
    /// Where a static build leaves its files
    #[arg(long, value_name = "PATH")]
    output_directory: Option<InsidePath>,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report<'a> {
    /// `dockerfile` when the directory has one, else `planner`.
    method: &'a str,
    /// The directory's own Dockerfile.
    own_dockerfile: Option<&'a str>,
    #[serde(flatten)]
    plan: Option<&'a Plan>,
    /// Why there is no plan, in words.
    refusal: Option<String>,
    /// The same in its parts: `kind`, what was looked for and found, `advice`.
    reason: Option<&'a Refusal>,
}

/// Runs the command.
pub(crate) fn run(command: &PlanCommand, output: Output) -> Result<(), ClientError> {
    let directory = match &command.root {
        Some(root) => command.directory.join(root.as_str()),
        None => command.directory.clone(),
    };
    if !directory.is_dir() {
        return Err(ClientError::usage(
            format!("{} is not a directory", directory.display()),
            "",
        ));
    }
    if command.applications {
        return list(&directory, output);
    }
    let own = directory.join("Dockerfile").is_file().then_some("Dockerfile");
    let planned = planner::plan(&directory, &command.settings()?);
    if output.json {
        let report = Report {
            method: if own.is_some() { "dockerfile" } else { "planner" },
            own_dockerfile: own,
            plan: planned.as_ref().ok(),
            refusal: planned.as_ref().err().map(ToString::to_string),
            reason: planned.as_ref().err(),
        };
        output.json_line(&report)?;
        return match planned {
            Err(refusal) if own.is_none() => Err(refused(&refusal)),
            _ => Ok(()),
        };
    }
    if own.is_some() {
        output.note(&format!(
            "{} has a Dockerfile, and that is what is built; `--method planner` builds what follows instead.",
            directory.display()
        ));
    }
    let plan = match planned {
        Ok(plan) => plan,
        Err(refusal) if own.is_some() && !command.dockerfile => {
            output.note(&format!(
                "Without it there would be no plan: {}",
                clean_lines(&refusal.to_string())
            ));
            return output.line("built by its Dockerfile");
        }
        Err(refusal) => return Err(refused(&refusal)),
    };
    if command.dockerfile {
        take_home(&directory, &plan, output)
    } else {
        explain(&plan, output)
    }
}

fn refused(refusal: &Refusal) -> ClientError {
    ClientError::failed(refusal.problem(), refusal.advice().unwrap_or_default())
}

impl PlanCommand {
    fn settings(&self) -> Result<Settings, ClientError> {
        let mut settings = Settings {
            install_command: self.install_command.as_ref().map(ToString::to_string),
            build_command: self.build_command.as_ref().map(ToString::to_string),
            start_command: self.start_command.as_ref().map(ToString::to_string),
            release_command: self.release_command.as_ref().map(ToString::to_string),
            output_directory: self.output_directory.as_ref().map(ToString::to_string),
            closed_network: self.closed_network,
            ..Settings::default()
        };
        for path in &self.env_file {
            let text = fs::read_to_string(path).map_err(|cause| ClientError::file(path, "read", &cause))?;
            let found = parse_dotenv(&text).map_err(|bad| {
                ClientError::usage(format!("{}, {bad}", path.display()), "Mend the line and try again.")
            })?;
            settings
                .variables
                .extend(found.into_iter().map(|(key, value)| (key.to_string(), value)));
        }
        settings
            .variables
            .extend(self.env.iter().map(|(key, value)| (key.to_string(), value.clone())));
        Ok(settings)
    }
}

/// What `--applications --json` prints.
#[derive(Serialize)]
struct Applications {
    applications: Vec<Application>,
}

/// Lists the applications of a repository.
fn list(directory: &Path, output: Output) -> Result<(), ClientError> {
    let applications = planner::applications(directory).map_err(|refusal| refused(&refusal))?;
    if output.json {
        return output.json_line(&Applications { applications });
    }
    if applications.is_empty() {
        output.note("No application was found here or below. `click-deploy plan` says what was looked for.");
        return Ok(());
    }
    let rows = applications.iter().map(|one| {
        let variables: Vec<String> = one
            .variables
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let root = if one.root_directory.is_empty() {
            "."
        } else {
            &one.root_directory
        };
        vec![
            Cell::tinted(Tint::Strong, root),
            Cell::from(one.framework.as_deref().unwrap_or(&one.provider)),
            Cell::from(one.start_command.as_deref().unwrap_or_default()),
            Cell::from(variables.join(" ")),
        ]
    });
    output.table(
        &["ROOT DIRECTORY", "APPLICATION", "START COMMAND", "VARIABLES"],
        &rows.collect::<Vec<_>>(),
    )
}

/// Prints the Dockerfile as it is for a file, and made harmless for a terminal.
fn take_home(directory: &Path, plan: &Plan, output: Output) -> Result<(), ClientError> {
    for warning in &plan.warnings {
        output.note(&format!("note: {}", clean_lines(warning)));
    }
    if let Some(release) = &plan.release_command {
        output.note(&format!(
            "Before a container of it serves, run this in the image: {}",
            clean_lines(release)
        ));
    }
    if let Some(ignored) = plan
        .dockerignore
        .as_deref()
        .filter(|_| !directory.join(".dockerignore").exists())
    {
        output.note("Put these lines into .dockerignore beside it:");
        for line in ignored.lines() {
            output.note(&format!("  {}", clean(line)));
        }
    }
    for line in plan.dockerfile.lines() {
        output.line(&clean(line))?;
    }
    Ok(())
}

fn explain(plan: &Plan, output: Output) -> Result<(), ClientError> {
    // The plan travels as it does in a deployment.
    let plan: DeploymentPlan = serde_json::to_value(plan)
        .and_then(serde_json::from_value)
        .map_err(|cause| ClientError::failed(format!("the plan cannot be shown: {cause}"), ""))?;
    explanation::print(&plan, output)
}
