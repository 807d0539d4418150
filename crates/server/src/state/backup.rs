//! `click-deploy backup`

use std::{
    fs,
    io::{IsTerminal as _, Write as _},
    path::{Path, PathBuf},
};

use clap::Args;
use store::dump::{self, Report};

use super::{Place, Progress, all_rows, failed};
use crate::client::{error::ClientError, output::Output};

/// Shown under `--help`.
pub(crate) const EXAMPLES: &str =
    "The platform may run meanwhile. The command needs the environment that `click-deploy serve` has.
Secrets stay sealed: keep ENCRYPTION_KEY apart from the file. Images are not in it.

Examples:
  click-deploy backup /var/backups/click-deploy.backup
  click-deploy backup - | ssh backups.example.org 'cat > click-deploy.backup'
  click-deploy backup state.backup --json";

/// Takes the state out.
#[derive(Debug, Args)]
pub(crate) struct Backup {
    /// The file, replaced when it is there and the backup is whole; - is standard output
    file: PathBuf,
}

pub(super) async fn run(ask: &Backup, output: Output) -> Result<(), ClientError> {
    let place = Place::read()?;
    let to_stdout = ask.file == Path::new("-");
    if to_stdout && std::io::stdout().is_terminal() {
        return Err(ClientError::usage(
            "a backup is no text for a terminal",
            "Name a file, or send standard output to one.",
        ));
    }
    let progress = Progress::new(output);
    let made = if to_stdout {
        let (stdout, mut progress) = (std::io::stdout(), progress.of("reading"));
        let end = dump::backup(&place.database, &place.sealer, &place.uploads, stdout, &mut progress);
        let (mut stdout, made) = end.await.map_err(|error| failed(&error))?;
        stdout
            .flush()
            .map_err(|cause| ClientError::failed(format!("standard output cannot be written: {cause}"), ""))?;
        made
    } else {
        into(&place, &ask.file, &progress).await?
    };
    drop(progress);
    said(&place, ask, &made, to_stdout, output)
}

/// Writes it beside the file, makes it durable, and puts it in its place.
async fn into(place: &Place, path: &Path, progress: &Progress) -> Result<Report, ClientError> {
    if fs::metadata(path).is_ok_and(|there| !there.is_file()) {
        return Err(ClientError::usage(
            format!("{} is there and is no file", path.display()),
            "Name a file, or - for standard output.",
        ));
    }
    let unwritable = |cause: &std::io::Error| ClientError::file(path, "written", cause);
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    // Readable by its owner alone from the first byte on.
    let part = tempfile::Builder::new()
        .prefix(".click-deploy-backup-")
        .tempfile_in(folder)
        .map_err(|cause| unwritable(&cause))?;
    let (file, part) = part.into_parts();
    let mut progress = progress.of("reading");
    let end = dump::backup(&place.database, &place.sealer, &place.uploads, file, &mut progress);
    let (file, made) = end.await.map_err(|error| failed(&error))?;
    file.sync_all().map_err(|cause| unwritable(&cause))?;
    part.persist(path).map_err(|error| unwritable(&error.error))?;
    let synced = fs::File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|cause| unwritable(&cause))?;
    Ok(made)
}

fn said(place: &Place, ask: &Backup, made: &Report, to_stdout: bool, output: Output) -> Result<(), ClientError> {
    for upload in &made.absent_uploads {
        output.note(&format!(
            "note: the file of the upload {upload} was gone already: a deployment that still waits for it will fail"
        ));
    }
    if to_stdout {
        output.note(&format!("backed up {} rows of {}", all_rows(made), place.database));
        return Ok(());
    }
    if output.json {
        return output.json_line(&serde_json::json!({ "file": ask.file, "report": made }));
    }
    output.line(&format!(
        "backed up {} rows and {} upload(s) of {} into {}",
        all_rows(made),
        made.uploads,
        place.database,
        ask.file.display()
    ))
}
