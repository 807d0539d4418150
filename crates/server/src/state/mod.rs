//! `backup`, `restore` and `migrate`: an operator on the platform's own machine takes its state out, puts it in, or moves
//! it to another database.

mod backup;
mod migrate;
mod restore;

use std::{fs, os::unix::fs::DirBuilderExt as _, path::Path, process::ExitCode};

use indicatif::{ProgressBar, ProgressStyle};
use store::{
    Location, Presence,
    dump::{DumpError, Report},
    seal::Sealer,
};

pub(crate) use self::{
    backup::{Backup, EXAMPLES as BACKUP_EXAMPLES},
    migrate::{EXAMPLES as MIGRATE_EXAMPLES, Migrate},
    restore::{EXAMPLES as RESTORE_EXAMPLES, Restore},
};
use crate::{
    client::{
        Global,
        error::ClientError,
        output::{Cell, Output},
    },
    configuration,
    serve::{self, report},
};

/// What all three work with, from the environment that `serve` has too.
struct Place {
    data: std::path::PathBuf,
    uploads: std::path::PathBuf,
    sealer: Sealer,
    database: Location,
}

impl Place {
    fn read() -> Result<Self, ClientError> {
        let unconfigured = |wrong: configuration::Wrong| ClientError::Unconfigured {
            message: wrong.to_string(),
            advice: "Give this command the environment that `click-deploy serve` has.".to_owned(),
        };
        let data = configuration::data_directory().map_err(unconfigured)?;
        let (sealer, _) = configuration::sealer().map_err(unconfigured)?;
        let database = configuration::database(&data).map_err(unconfigured)?;
        Ok(Self {
            uploads: configuration::upload_directory(&data).map_err(unconfigured)?,
            data,
            sealer,
            database,
        })
    }
}

/// Runs one of the three, and says how it ended.
pub(crate) async fn run(command: &Command<'_>, global: &Global) -> ExitCode {
    let output = Output::detect(global.json, global.quiet);
    let end = match command {
        Command::Backup(ask) => backup::run(ask, output).await,
        Command::Restore(ask) => restore::run(ask, output).await,
        Command::Migrate(ask) => migrate::run(ask, output).await,
    };
    match end {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output.error(&error);
            ExitCode::from(error.exit_code())
        }
    }
}

/// Which of the three.
pub(crate) enum Command<'a> {
    Backup(&'a Backup),
    Restore(&'a Restore),
    Migrate(&'a Migrate),
}

/// What keeps platforms away until it is dropped.
struct Locks {
    _files: Vec<fs::File>,
    _servers: Vec<Presence>,
}

/// Takes the data directory and every database for this command alone.
async fn lock(data: &Path, databases: &[&Location]) -> Result<Locks, ClientError> {
    let running = |what: String| {
        ClientError::conflict(
            format!("a platform runs on {what}"),
            "Stop `click-deploy serve` first; what it deployed goes on meanwhile.",
        )
    };
    let mut folders = vec![data];
    for folder in databases.iter().filter_map(|database| database.as_file()?.parent()) {
        if !folders.contains(&folder) {
            folders.push(folder);
        }
    }
    let (mut files, mut servers) = (Vec::new(), Vec::new());
    for folder in folders {
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(|cause| ClientError::file(folder, "made", &cause))?;
        let path = folder.join("serve.lock");
        match serve::try_lock(&path) {
            Ok(Some(file)) => files.push(file),
            Ok(None) => return Err(running(folder.display().to_string())),
            Err(cause) => return Err(ClientError::file(&path, "locked", &cause)),
        }
    }
    for database in databases {
        let presence = Presence::alone(database).await;
        match presence.map_err(|error| failed(&DumpError::Store(error)))? {
            Some(presence) => servers.push(presence),
            None => return Err(running(database.to_string())),
        }
    }
    Ok(Locks {
        _files: files,
        _servers: servers,
    })
}

/// The failure with what to do.
fn failed(error: &DumpError) -> ClientError {
    let text = report(error);
    match error {
        DumpError::NotEmpty(_) | DumpError::OtherKey => ClientError::conflict(text, ""),
        DumpError::NoState(_) => ClientError::missing(text, "See that DATABASE_URL names the platform's database."),
        DumpError::Damaged(_) => ClientError::failed(text, "Take another backup file."),
        DumpError::Differs { .. } => ClientError::failed(text, "Run it again; if it stays so, keep the old database."),
        DumpError::Value { .. } | DumpError::File { .. } | DumpError::Store(_) => ClientError::failed(text, ""),
    }
}

/// Shows how far it is, where a terminal is.
struct Progress(Option<ProgressBar>);

impl Progress {
    fn new(output: Output) -> Self {
        Self(output.live.then(|| {
            let bar = ProgressBar::new_spinner();
            bar.set_style(
                ProgressStyle::with_template("{spinner} {wide_msg}").expect("the template is a constant that parses"),
            );
            bar
        }))
    }

    /// What the store tells, under what is being done.
    fn of(&self, doing: &'static str) -> impl FnMut(&str, u64) + Send + use<> {
        let bar = self.0.clone();
        move |table: &str, rows: u64| {
            if let Some(bar) = &bar {
                bar.set_message(format!("{doing}: {rows} rows, {table}"));
                bar.tick();
            }
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

/// Prints each table with its rows and its digest, on standard output.
fn tables(output: Output, report: &Report) -> Result<(), ClientError> {
    let row = |one: &store::dump::CarriedTable| -> Vec<Cell> {
        let digest = one.sha256.get(..16).unwrap_or(&one.sha256);
        vec![
            one.name.as_str().into(),
            one.rows.to_string().into(),
            digest.into(),
            "the same".into(),
        ]
    };
    let rows: Vec<Vec<Cell>> = report.tables.iter().map(row).collect();
    output.table(&["TABLE", "ROWS", "SHA-256", "READ AGAIN"], &rows)
}

fn all_rows(report: &Report) -> u64 {
    report.tables.iter().map(|table| table.rows).sum()
}
