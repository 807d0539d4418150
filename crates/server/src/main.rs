//! Click-to-Deploy: the server, and the command line that talks to it.

mod client;
mod configuration;
mod serve;
mod state;
mod token;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

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
        after_help = "It is configured by environment variables: see .env.example.\n\nExamples:\n  click-deploy serve"
    )]
    Serve,
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
        Command::Serve => tokio::runtime::Builder::new_multi_thread().enable_all().build(),
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
        Command::Serve => ended(runtime.block_on(serve::run())),
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
