//! `env`: the variables of a service.

use std::{
    fs,
    io::{self, Read},
    path::PathBuf,
};

use api::wire::{BulkVariables, ImportVariables, SetVariable, Variables};
use clap::{Args, Subcommand};
use domain::{
    ServiceId,
    environment::{VariableKind, parse_dotenv, write_dotenv},
    names::VariableKey,
};

use super::{
    Session,
    error::ClientError,
    login::read_secret,
    output::{Cell, Tint},
    settings::key_value,
    which::ServiceOption,
};

/// Shown under `--help`.
pub(crate) const EXAMPLES: &str = "Examples:
  click-deploy env list --service api
  click-deploy env set GREETING='hello world' DEBUG=1 --service api
  click-deploy env set --secret API_KEY --service api < key.txt
  click-deploy env import .env --service api
  click-deploy env export --service api > .env
  click-deploy env pending --service api

A change takes effect with the next deployment: `click-deploy redeploy` is enough.";

/// What is done with the variables.
#[derive(Debug, Subcommand)]
pub(crate) enum EnvCommand {
    /// Show the variables; secrets without their values
    #[command(after_help = "Example:\n  click-deploy env list --service api --json")]
    List(List),
    /// Set variables, all or none
    #[command(
        after_help = "Examples:\n  click-deploy env set A=1 B='two words'\n  click-deploy env set --secret API_KEY < key.txt"
    )]
    Set(Set),
    /// Remove variables, all or none
    #[command(after_help = "Example:\n  click-deploy env unset A B --service api")]
    Unset(Unset),
    /// Set the variables of a .env file, all or none
    #[command(
        after_help = "Examples:\n  click-deploy env import .env\n  click-deploy env import --secret - < secrets.env"
    )]
    Import(Import),
    /// Print the variables as a .env file that gives back every byte
    #[command(after_help = "Example:\n  click-deploy env export > .env")]
    Export(List),
    /// Show what the next deployment would change
    #[command(after_help = "Example:\n  click-deploy env pending --service api")]
    Pending(List),
}

/// Only the service is said.
#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    service: ServiceOption,
}

/// Sets variables.
#[derive(Debug, Args)]
pub(crate) struct Set {
    /// The variables. With --secret also the bare name of one, whose value is then read from standard input
    #[arg(value_name = "KEY=VALUE", required = true, value_parser = assignment)]
    variables: Vec<(VariableKey, Option<String>)>,
    /// Nobody can read the values again
    #[arg(long)]
    secret: bool,
    #[command(flatten)]
    service: ServiceOption,
}

/// Removes variables.
#[derive(Debug, Args)]
pub(crate) struct Unset {
    /// Their names
    #[arg(value_name = "KEY", required = true)]
    keys: Vec<VariableKey>,
    #[command(flatten)]
    service: ServiceOption,
}

/// Reads a file of variables.
#[derive(Debug, Args)]
pub(crate) struct Import {
    /// The .env file, `-` for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Nobody can read the values again
    #[arg(long)]
    secret: bool,
    #[command(flatten)]
    service: ServiceOption,
}

fn assignment(text: &str) -> Result<(VariableKey, Option<String>), String> {
    if text.contains('=') {
        return key_value(text).map(|(key, value)| (key, Some(value)));
    }
    VariableKey::parse(text).map(|key| (key, None)).map_err(|bad| bad.rule)
}

fn kind(secret: bool) -> VariableKind {
    if secret {
        VariableKind::Secret
    } else {
        VariableKind::Static
    }
}

/// Runs the command.
pub(crate) async fn run(session: &Session, command: &EnvCommand) -> Result<(), ClientError> {
    match command {
        EnvCommand::List(list) => {
            let service = list.service.service(session).await?;
            show(session, &session.api.variables(service.id).await?)
        }
        EnvCommand::Set(set) => {
            let variables = set.read(session)?;
            let service = set.service.service(session).await?;
            let ask = BulkVariables {
                set: variables,
                remove: Vec::new(),
            };
            changed(
                session,
                service.id,
                &session.api.change_variables(service.id, &ask).await?,
            )
            .await
        }
        EnvCommand::Unset(unset) => {
            let service = unset.service.service(session).await?;
            let ask = BulkVariables {
                set: Vec::new(),
                remove: unset.keys.clone(),
            };
            changed(
                session,
                service.id,
                &session.api.change_variables(service.id, &ask).await?,
            )
            .await
        }
        EnvCommand::Import(import) => {
            let text = import.read()?;
            let service = import.service.service(session).await?;
            let ask = ImportVariables {
                text,
                kind: kind(import.secret),
            };
            changed(
                session,
                service.id,
                &session.api.import_variables(service.id, &ask).await?,
            )
            .await
        }
        EnvCommand::Export(list) => {
            let service = list.service.service(session).await?;
            export(session, &session.api.variables(service.id).await?)
        }
        EnvCommand::Pending(list) => {
            let service = list.service.service(session).await?;
            pending(session, service.id).await
        }
    }
}

impl Set {
    fn read(&self, session: &Session) -> Result<Vec<SetVariable>, ClientError> {
        let bare: Vec<&VariableKey> = self
            .variables
            .iter()
            .filter(|(_, value)| value.is_none())
            .map(|(key, _)| key)
            .collect();
        let piped = match bare.as_slice() {
            [] => None,
            [key] if self.secret => Some(read_secret(
                session.output,
                &format!("Value of {key} (it is not shown): "),
            )?),
            [key, ..] if !self.secret => {
                return Err(ClientError::usage(
                    format!("`{key}` has no value"),
                    "It is KEY=VALUE; KEY= sets it to nothing.",
                ));
            }
            _ => {
                return Err(ClientError::usage(
                    "standard input can give the value of one variable alone",
                    "Set them one by one, or import a file with `env import --secret`.",
                ));
            }
        };
        let value = |value: &Option<String>| {
            value.clone().unwrap_or_else(|| {
                piped
                    .as_ref()
                    .map(|secret| secret.expose().to_owned())
                    .unwrap_or_default()
            })
        };
        Ok(self
            .variables
            .iter()
            .map(|(key, given)| SetVariable {
                key: key.clone(),
                value: value(given),
                kind: kind(self.secret),
            })
            .collect())
    }
}

impl Import {
    fn read(&self) -> Result<String, ClientError> {
        let text = if self.file.as_os_str() == "-" {
            let mut text = String::new();
            io::stdin().lock().read_to_string(&mut text).map(|_| text)
        } else {
            fs::read_to_string(&self.file)
        };
        let text = text.map_err(|cause| match cause.kind() {
            io::ErrorKind::NotFound => ClientError::usage(format!("there is no file {}", self.file.display()), ""),
            _ => ClientError::file(&self.file, "read", &cause),
        })?;
        parse_dotenv(&text).map_err(|bad| {
            ClientError::usage(
                format!("{}, {bad}", self.file.display()),
                "Nothing was changed; mend the line and try again.",
            )
        })?;
        Ok(text)
    }
}

fn show(session: &Session, variables: &Variables) -> Result<(), ClientError> {
    let output = session.output;
    if output.json {
        return output.json_line(&variables.items);
    }
    let rows: Vec<Vec<Cell>> = variables
        .items
        .iter()
        .map(|one| {
            let value = match &one.value {
                // As in the file: a line break in a value stays visible, and stays in its row.
                Some(value) => Cell::from(value.replace('\\', "\\\\").replace('\n', "\\n").replace('\r', "\\r")),
                None => Cell::tinted(Tint::Faint, "(secret)"),
            };
            vec![one.key.as_str().into(), value]
        })
        .collect();
    output.table(&["KEY", "VALUE"], &rows)
}

async fn changed(session: &Session, service: ServiceId, variables: &Variables) -> Result<(), ClientError> {
    if session.output.json {
        return session.output.json_line(&variables.items);
    }
    // What is pending is only said when it can be known.
    if session.api.pending(service).await.is_ok_and(|pending| pending.pending) {
        session
            .output
            .note("This takes effect with the next deployment: `click-deploy redeploy` is enough.");
    }
    Ok(())
}

fn export(session: &Session, variables: &Variables) -> Result<(), ClientError> {
    if session.output.json {
        return session.output.json_line(&variables.items);
    }
    let readable = variables
        .items
        .iter()
        .filter_map(|one| Some((&one.key, one.value.as_deref()?)));
    session.output.text(&write_dotenv(readable))?;
    let secrets: Vec<&str> = variables
        .items
        .iter()
        .filter(|one| one.value.is_none())
        .map(|one| one.key.as_str())
        .collect();
    if !secrets.is_empty() {
        session.output.note(&format!(
            "not exported, because nobody can read them: {}",
            secrets.join(", ")
        ));
    }
    Ok(())
}

async fn pending(session: &Session, service: ServiceId) -> Result<(), ClientError> {
    let pending = session.api.pending(service).await?;
    let output = session.output;
    if output.json {
        return output.json_line(&pending);
    }
    if !pending.pending {
        return output.line("nothing: the running deployment has all of it");
    }
    let mut rows: Vec<Vec<Cell>> = Vec::new();
    for one in &pending.variables {
        let tint = match one.change.as_str() {
            "added" => Tint::Good,
            "removed" => Tint::Bad,
            _ => Tint::Warm,
        };
        rows.push(vec![
            "variable".into(),
            one.key.as_str().into(),
            Cell::tinted(tint, &one.change),
        ]);
    }
    for setting in &pending.settings {
        rows.push(vec![
            "setting".into(),
            setting.as_str().into(),
            Cell::tinted(Tint::Warm, "changed"),
        ]);
    }
    output.table(&["KIND", "NAME", "CHANGE"], &rows)
}
