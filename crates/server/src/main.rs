//! Click-to-Deploy: the server, and the command line that talks to it.

mod assemble;
mod client;
mod configuration;
mod serve;
mod state;
mod token;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use serve::Role;

/// From a commit to a URL, on your own ground
#[derive(Parser)]
#[command(
    name = "click-deploy",
    version,
    max_term_width = 120,
    subcommand_required = true,
    arg_required_else_help = true
)]
struct Cli {
    #[command(flatten)]
    global: client::Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the platform: the API, the workers and the reconcilers
    #[command(
        after_help = "It is configured by environment variables: see .env.example. With the state on PostgreSQL or MariaDB any \
        number of processes share the work: see docs/operations/scaling.md.\n\nExamples:\n  click-deploy serve\n  \
        click-deploy serve --api-only"
    )]
    Serve {
        /// Answer requests only, and leave the work to `click-deploy worker`
        #[arg(long)]
        api_only: bool,
    },
    /// Run a worker: it deploys and mends, and answers no requests
    #[command(
        after_help = "It has the environment of `click-deploy serve`, and a CLICK_DEPLOY_DATA_DIR of its own. The state is on \
        PostgreSQL or MariaDB.\n\nExamples:\n  click-deploy worker"
    )]
    Worker,
    /// Make an API token, on the platform's own machine
    #[command(
        after_help = "It needs the platform's CLICK_DEPLOY_DATA_DIR and ENCRYPTION_KEY.\n\nExamples:\n  click-deploy token --name ci"
    )]
    Token(token::Token),
    /// Take the platform's state out into one file, while it runs
    #[command(after_help = state::BACKUP_EXAMPLES)]
    Backup(state::Backup),
    /// Put a backup of the platform's state into its database
    #[command(after_help = state::RESTORE_EXAMPLES)]
    Restore(state::Restore),
    /// Move the platform's state to another database
    #[command(after_help = state::MIGRATE_EXAMPLES)]
    Migrate(state::Migrate),
    #[command(flatten)]
    Client(client::Command),
}

fn main() -> ExitCode {
    let Cli { global, command } = Cli::parse();
    // A client waits for one server; the platform has work for every core.
    let runtime = match command {
        Command::Serve { .. } | Command::Worker => tokio::runtime::Builder::new_multi_thread().enable_all().build(),
        _ => tokio::runtime::Builder::new_current_thread().enable_all().build(),
    };
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(cause) => {
            eprintln!("error: the program cannot start: {cause}");
            return ExitCode::FAILURE;
        }
    };
    match command {
        Command::Client(command) => runtime.block_on(client::run(command, &global, Cli::command())),
        Command::Serve { api_only: false } => ended(runtime.block_on(serve::run(Role::All))),
        Command::Serve { api_only: true } => ended(runtime.block_on(serve::run(Role::Api))),
        Command::Worker => ended(runtime.block_on(serve::run(Role::Worker))),
        Command::Backup(ask) => runtime.block_on(state::run(&state::Command::Backup(&ask), &global)),
        Command::Restore(ask) => runtime.block_on(state::run(&state::Command::Restore(&ask), &global)),
        Command::Migrate(ask) => runtime.block_on(state::run(&state::Command::Migrate(&ask), &global)),
        Command::Token(ask) => ended(runtime.block_on(token::run(&ask))),
    }
}

fn ended(end: Result<(), serve::Failed>) -> ExitCode {
    match end {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
