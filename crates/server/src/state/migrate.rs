//! `click-deploy migrate`

use clap::Args;
use store::{Location, dump};

use super::{Place, Progress, all_rows, failed, lock, tables};
use crate::client::{error::ClientError, output::Output};

/// Shown under `--help`.
pub(crate) const EXAMPLES: &str = "Stop `click-deploy serve` first. The command needs the environment that `serve` has. The other database has to be empty;
the old one stays as it is. A password in --to can be seen by other users of the machine: set CLICK_DEPLOY_MIGRATE_TO instead.

Examples:
  CLICK_DEPLOY_MIGRATE_TO=postgres://click-deploy:secret@db.example.org/click_deploy click-deploy migrate
  click-deploy migrate --to mariadb://db.example.org/click_deploy
  click-deploy migrate --to sqlite:///var/lib/click-deploy/click-deploy.db --json";

/// Moves the state to another database.
#[derive(Debug, Args)]
pub(crate) struct Migrate {
    /// The database to move to, written as DATABASE_URL is
    #[arg(long, value_name = "URL", env = "CLICK_DEPLOY_MIGRATE_TO", hide_env_values = true)]
    to: Hidden,
}

/// An address that may hold a password, and is shown without it.
#[derive(Debug, Clone)]
struct Hidden(Result<Location, String>);

impl From<&str> for Hidden {
    fn from(text: &str) -> Self {
        // Not refused by clap, whose message would repeat it.
        Self(
            text.trim()
                .parse()
                .map_err(|error: store::BadLocation| error.to_string()),
        )
    }
}

pub(super) async fn run(ask: &Migrate, output: Output) -> Result<(), ClientError> {
    let to = ask
        .to
        .0
        .as_ref()
        .map_err(|problem| ClientError::usage(format!("--to: {problem}"), ""))?;
    let place = Place::read()?;
    if place.database.to_string() == to.to_string() {
        return Err(ClientError::usage(
            format!("the state is in {to} already"),
            "Name another database with --to.",
        ));
    }
    let _locks = lock(&place.data, &[&place.database, to]).await?;
    let progress = Progress::new(output);
    let moved = dump::copy(&place.database, to, &mut progress.of("moving")).await;
    let moved = moved.map_err(|error| match error {
        dump::DumpError::NotEmpty(_) => ClientError::conflict(error.to_string(), "Name an empty database with --to."),
        error => failed(&error),
    })?;
    drop(progress);
    if output.json {
        let (from, to) = (place.database.to_string(), to.to_string());
        return output.json_line(&serde_json::json!({ "from": from, "to": to, "report": moved }));
    }
    tables(output, &moved)?;
    output.note(&format!(
        "moved {} rows from {} to {to}. Set DATABASE_URL to the address that you gave here, and start `click-deploy serve`. \
         The old database is as it was: remove it when the new one has proved itself",
        all_rows(&moved),
        place.database
    ));
    Ok(())
}
