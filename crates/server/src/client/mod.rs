//! The command line: a client of the HTTP API, in the same executable as the server.

mod actions;
mod address;
mod answer;
mod api;
mod config;
mod deployments;
mod doctor;
mod environment;
pub(crate) mod error;
mod explanation;
mod feed;
mod follow;
mod jobs;
pub(crate) mod login;
mod logs;
pub(crate) mod output;
mod pack;
mod plan;
mod processes;
mod remote;
mod screen;
mod services;
mod settings;
mod socket;
mod up;
mod upload;
mod which;

use std::{cell::RefCell, path::PathBuf, process::ExitCode};

use clap::{Args, Subcommand};
use clap_complete::Shell;

use self::{
    api::Api,
    config::{Surroundings, connection},
    error::ClientError,
    follow::Outcome,
    output::Output,
};

/// Options of every command of the client.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Server and output")]
pub(crate) struct Global {
    /// The server's address, such as http://127.0.0.1:7400
    #[arg(long, global = true, env = "CLICK_DEPLOY_URL", value_name = "URL")]
    url: Option<String>,
    /// A file with the API token; without it CLICK_DEPLOY_TOKEN, then what `login` stored
    #[arg(long, global = true, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Print JSON on standard output, everything else on standard error
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Print nothing on standard error but errors
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
}

/// The client's commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Deploy a directory, a Git repository or an image; create what is missing; print the URL
    #[command(after_help = up::EXAMPLES)]
    Up(Box<up::Up>),
    /// Deploy a service again: the newest commit of its branch, or the one given
    #[command(after_help = deployments::DEPLOY_EXAMPLES)]
    Deploy(deployments::DeployCommand),
    /// Start the image that is live with the settings and variables of now, without a build
    #[command(after_help = "Example:\n  click-deploy env set GREETING=hello && click-deploy redeploy api")]
    Redeploy(deployments::Redeploy),
    /// End a deployment that is under way
    #[command(after_help = "Examples:\n  click-deploy cancel\n  click-deploy cancel 12 --service api")]
    Cancel(deployments::Named),
    /// Try a failed deployment again
    #[command(
        after_help = "Examples:\n  click-deploy retry --service api\n  click-deploy retry 12 --service api --detach"
    )]
    Retry(deployments::Retry),
    /// Put a past deployment back: its image, variables and settings
    #[command(
        after_help = "Examples:\n  click-deploy rollback --service api\n  click-deploy rollback 9 --service api --yes"
    )]
    Rollback(deployments::Rollback),
    /// List the deployments of a service
    #[command(
        visible_alias = "history",
        after_help = "Example:\n  click-deploy deployments api --limit 5 --json"
    )]
    Deployments(deployments::History),
    /// Show a deployment closely: what was detected and why, how long each phase took, why it failed
    #[command(after_help = deployments::SHOW_EXAMPLES)]
    Deployment(deployments::Show),
    /// Show the services of a project, or one of them closely
    #[command(after_help = "Examples:\n  click-deploy status\n  click-deploy status api --project shop")]
    Status(services::Status),
    /// Print the log of a running service, or of a deployment
    #[command(after_help = logs::EXAMPLES)]
    Logs(logs::Logs),
    /// Read and change environment variables
    #[command(subcommand, after_help = environment::EXAMPLES)]
    Env(environment::EnvCommand),
    /// Open a service in the browser, or print its URL
    #[command(after_help = "Example:\n  click-deploy open api")]
    Open(services::One),
    /// List the instances of a service
    #[command(after_help = "Example:\n  click-deploy ps api")]
    Ps(services::One),
    /// Stop a service; its URL answers that it is stopped
    #[command(after_help = "Example:\n  click-deploy stop api")]
    Stop(actions::Act),
    /// Start a stopped service, without a build
    #[command(after_help = "Example:\n  click-deploy start api")]
    Start(actions::Act),
    /// Restart a service, without a build
    #[command(after_help = "Example:\n  click-deploy restart api")]
    Restart(actions::Act),
    /// Print the public key with which a service reads a private repository by SSH; make it when there is none
    #[command(
        after_help = "Add the key to the repository as a read-only deploy key, then deploy.\n\nExamples:\n  \
        click-deploy deploy-key api\n  click-deploy deploy-key api --new"
    )]
    DeployKey(services::DeployKey),
    /// Remove a service, or a whole project
    #[command(after_help = "Examples:\n  click-deploy rm api --yes\n  click-deploy rm --project shop --all --yes")]
    Rm(actions::Remove),
    /// List the projects
    #[command(after_help = "Example:\n  click-deploy projects --json")]
    Projects,
    /// List background work, show a job closely, or ask for one again that is dead or stuck
    #[command(after_help = jobs::EXAMPLES)]
    Jobs(jobs::Jobs),
    /// List the processes of the platform, and what each does for all of them
    #[command(after_help = "Example:\n  click-deploy processes --json")]
    Processes,
    /// Say what would be built of a directory, and why; needs no server
    #[command(after_help = plan::EXAMPLES)]
    Plan(plan::PlanCommand),
    /// Look whether everything that is needed is there, and say how to mend what is not
    #[command(after_help = "Examples:\n  click-deploy doctor\n  click-deploy doctor --orphans --json")]
    Doctor(doctor::Doctor),
    /// Store the server's address and the API token for this user
    #[command(after_help = login::EXAMPLES)]
    Login,
    /// Print the completion script of a shell
    #[command(after_help = "Example:\n  click-deploy completion bash > /etc/bash_completion.d/click-deploy")]
    Completion {
        /// Which shell
        shell: Shell,
    },
}

impl Command {
    /// Whether the command ends with one line of JSON about a deployment, whatever happens.
    fn deploys(&self) -> bool {
        matches!(
            self,
            Self::Up(_) | Self::Deploy(_) | Self::Redeploy(_) | Self::Retry(_) | Self::Rollback(_)
        )
    }
}

/// What a command works with.
struct Session {
    api: Api,
    output: Output,
    /// What is known of the deployment so far, for the last line of `--json`.
    outcome: RefCell<Outcome>,
}

/// Runs a command; `whole` is the whole program's grammar, for `completion`.
pub(crate) async fn run(command: Command, global: &Global, whole: clap::Command) -> ExitCode {
    let output = Output::detect(global.json, global.quiet);
    let last_line = command.deploys() && global.json;
    let mut outcome = Outcome::default();
    let mut result = dispatch(command, global, output, whole, &mut outcome).await;
    if last_line {
        let line = match &result {
            Ok(()) => outcome,
            Err(error) => outcome.failed(error),
        };
        if let Err(unprintable) = output.json_line(&line) {
            result = result.and(Err(unprintable));
        }
    }
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output.error(&error);
            ExitCode::from(error.exit_code())
        }
    }
}

async fn dispatch(
    command: Command,
    global: &Global,
    output: Output,
    whole: clap::Command,
    outcome: &mut Outcome,
) -> Result<(), ClientError> {
    let around = Surroundings::read();
    match command {
        Command::Plan(plan) => return plan::run(&plan, output),
        Command::Doctor(ask) => return doctor::run(&ask, global, &around, output).await,
        Command::Login => return login::run(global, &around, output).await,
        Command::Completion { shell } => return completion(shell, whole, output),
        _ => {}
    }
    let session = Session {
        api: Api::new(&connection(global, &around)?)?,
        output,
        outcome: RefCell::default(),
    };
    let result = act(command, &session).await;
    *outcome = session.outcome.into_inner();
    result
}

async fn act(command: Command, session: &Session) -> Result<(), ClientError> {
    match command {
        Command::Up(up) => up::run(session, &up).await,
        Command::Deploy(deploy) => deployments::deploy(session, &deploy).await,
        Command::Redeploy(redeploy) => deployments::redeploy(session, &redeploy).await,
        Command::Cancel(cancel) => deployments::cancel(session, &cancel).await,
        Command::Retry(retry) => deployments::retry(session, &retry).await,
        Command::Rollback(rollback) => deployments::rollback(session, &rollback).await,
        Command::Deployments(history) => deployments::history(session, &history).await,
        Command::Deployment(show) => deployments::show(session, &show).await,
        Command::Status(status) => services::status(session, &status).await,
        Command::Logs(logs) => logs::run(session, &logs).await,
        Command::Env(env) => environment::run(session, &env).await,
        Command::Open(open) => services::open(session, &open).await,
        Command::Ps(ps) => services::instances(session, &ps).await,
        Command::Stop(act) => actions::act(session, &act, "stop").await,
        Command::Start(act) => actions::act(session, &act, "start").await,
        Command::Restart(act) => actions::act(session, &act, "restart").await,
        Command::DeployKey(key) => services::deploy_key(session, &key).await,
        Command::Rm(remove) => actions::remove(session, &remove).await,
        Command::Projects => services::projects(session).await,
        Command::Jobs(jobs) => jobs::run(session, &jobs).await,
        Command::Processes => processes::run(session).await,
        Command::Plan(_) | Command::Doctor(_) | Command::Login | Command::Completion { .. } => {
            unreachable!("these need no session and were run before")
        }
    }
}

fn completion(shell: Shell, mut whole: clap::Command, output: Output) -> Result<(), ClientError> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut whole, "click-deploy", &mut script);
    output.text(&String::from_utf8_lossy(&script))
}
