//! `click-deploy restore`

use std::{
    fs,
    io::IsTerminal as _,
    path::{Path, PathBuf},
};

use clap::Args;
use store::dump;

use super::{Place, Progress, all_rows, failed, lock, tables};
use crate::client::{error::ClientError, login::confirm, output::Output};

/// Shown under `--help`.
pub(crate) const EXAMPLES: &str = "Stop `click-deploy serve` first. The command needs the environment that `serve` has, with the ENCRYPTION_KEY of the backup.
The file is read and checked as a whole before anything is written.

Examples:
  click-deploy restore /var/backups/click-deploy.backup
  click-deploy restore state.backup --replace --yes      instead of what the database holds
  ssh backups.example.org 'cat click-deploy.backup' | click-deploy restore -";

/// Puts the state in.
#[derive(Debug, Args)]
pub(crate) struct Restore {
    /// The file that `click-deploy backup` made; - is standard input
    file: PathBuf,
    /// Drop what the database holds now
    #[arg(long)]
    replace: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

pub(super) async fn run(ask: &Restore, output: Output) -> Result<(), ClientError> {
    let place = Place::read()?;
    let from_stdin = ask.file == Path::new("-");
    let mut file = opened(&ask.file, from_stdin)?;
    let _locks = lock(&place.data, &[&place.database]).await?;
    let progress = Progress::new(output);
    let mut told = progress.of("checking");
    let examined = dump::examine(&mut file, &place.database, &place.sealer, &mut told);
    let header = examined.await.map_err(|error| failed(&error))?;
    if ask.replace && !ask.yes {
        if from_stdin || !std::io::stdin().is_terminal() {
            return Err(ClientError::usage(
                format!("--replace drops everything in {}", place.database),
                "Add --yes if that is wanted.",
            ));
        }
        let question = format!(
            "Drop everything in {} and put the state of {} ({}) there?",
            place.database,
            made_at(header.made_at_ms),
            header.installation
        );
        if !confirm(output, &question)? {
            return Err(ClientError::conflict("nothing was restored", ""));
        }
    }
    let mut told = progress.of("writing");
    let restored = dump::restore(
        &mut file,
        &place.database,
        &place.sealer,
        &place.uploads,
        ask.replace,
        &mut told,
    );
    let restored = restored.await.map_err(|error| match error {
        dump::DumpError::NotEmpty(_) => ClientError::conflict(
            error.to_string(),
            "Name an empty one in DATABASE_URL, or add --replace to drop what is there.",
        ),
        error => failed(&error),
    })?;
    drop(progress);
    if output.json {
        return output.json_line(&serde_json::json!({ "backup": header, "report": restored }));
    }
    tables(output, &restored)?;
    output.note(&format!(
        "restored {} rows and {} upload(s) of {} into {}; start `click-deploy serve`",
        all_rows(&restored),
        restored.uploads,
        made_at(header.made_at_ms),
        place.database
    ));
    Ok(())
}

fn made_at(milliseconds: i64) -> String {
    jiff::Timestamp::from_millisecond(milliseconds)
        .map_or_else(|_| "an unknown time".to_owned(), |time| time.to_string())
}

/// The file; what comes from standard input is kept aside first, because it is read twice.
fn opened(path: &Path, from_stdin: bool) -> Result<fs::File, ClientError> {
    if !from_stdin {
        return fs::File::open(path).map_err(|cause| ClientError::file(path, "read", &cause));
    }
    let aside = tempfile::tempfile().and_then(|mut file| {
        std::io::copy(&mut std::io::stdin().lock(), &mut file)?;
        Ok(file)
    });
    aside.map_err(|cause| ClientError::failed(format!("standard input cannot be kept aside: {cause}"), ""))
}
