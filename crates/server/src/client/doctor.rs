//! `doctor`, the client's part: the way to the server, what the server says of itself, and the programs of this machine.

use std::path::PathBuf;

use api::wire::Orphan;
use clap::Args;
use serde::Serialize;

use super::{
    Global,
    api::Api,
    config::{self, Connection, Surroundings, is_loopback},
    error::ClientError,
    output::{Output, Tint, clean_lines},
};

/// Programs that some commands or the server use, and what for.
const PROGRAMS: [(&str, &str); 6] = [
    ("git", "`up --from-remote` here, and every Git source on the server"),
    (
        "docker",
        "looking at what the server runs; the server itself needs only the engine",
    ),
    ("caddy", "the server's proxy, with our module in it"),
    (
        "buildkitd",
        "a separate builder; without it Docker Engine's own is used",
    ),
    ("railpack", "builds by Railpack; without it our planner plans"),
    ("xdg-open", "`open` in a browser"),
];

#[derive(Serialize)]
struct Finding {
    area: &'static str,
    name: String,
    /// `good`, `bad`, or `absent` for what can be done without.
    state: &'static str,
    detail: String,
}

#[derive(Default)]
struct Findings {
    all: Vec<Finding>,
    worst: Option<ClientError>,
}

impl Findings {
    fn good(&mut self, area: &'static str, name: &str, detail: impl Into<String>) {
        self.all.push(Finding {
            area,
            name: name.to_owned(),
            state: "good",
            detail: detail.into(),
        });
    }

    fn absent(&mut self, area: &'static str, name: &str, detail: impl Into<String>) {
        self.all.push(Finding {
            area,
            name: name.to_owned(),
            state: "absent",
            detail: detail.into(),
        });
    }

    fn bad(&mut self, area: &'static str, name: &str, error: ClientError) {
        let detail = format!("{error}\n{}", error.advice());
        self.all.push(Finding {
            area,
            name: name.to_owned(),
            state: "bad",
            detail: detail.trim().to_owned(),
        });
        self.worst.get_or_insert(error);
    }
}

/// Looks whether everything is there.
#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// List what the server runs or keeps and nobody owns any more, and when it is removed
    #[arg(long)]
    orphans: bool,
}

/// Runs the command.
pub(crate) async fn run(
    ask: &Doctor,
    global: &Global,
    around: &Surroundings,
    output: Output,
) -> Result<(), ClientError> {
    if ask.orphans {
        let api = Api::new(&config::connection(global, around)?)?;
        return print_orphans(&api.orphans().await?.items, output);
    }
    let mut findings = Findings::default();
    match config::connection(global, around) {
        Ok(connection) => {
            findings.good(
                "client",
                "address",
                format!("{} (from {})", connection.url, connection.url_from),
            );
            ask_server(&connection, &mut findings).await;
        }
        Err(error) => findings.bad("client", "address", error),
    }
    for path in around.file.iter().chain(&global.token_file) {
        if config::others_can_read(path) {
            let message = format!(
                "others on this machine can read {}, which holds a token",
                path.display()
            );
            findings.bad(
                "client",
                "token file",
                ClientError::failed(message, format!("chmod 600 {}", path.display())),
            );
        }
    }
    for (name, purpose) in PROGRAMS {
        match on_path(name) {
            Some(path) => findings.good("programs", name, path.display().to_string()),
            None => findings.absent("programs", name, format!("not on PATH; for {purpose}")),
        }
    }
    print(&findings.all, output)?;
    match findings.worst {
        None => Ok(()),
        Some(worst) => Err(worst),
    }
}

async fn ask_server(connection: &Connection, findings: &mut Findings) {
    if connection.url.scheme() == "http" && !is_loopback(&connection.url) {
        findings.absent(
            "client",
            "encryption",
            "the token travels in the clear; use https:// outside of trusted networks",
        );
    }
    let api = match Api::new(connection) {
        Ok(api) => api,
        Err(error) => return findings.bad("client", "server", error),
    };
    let readiness = match api.readiness().await {
        Ok(readiness) => readiness,
        Err(error) => return findings.bad("client", "server", error),
    };
    findings.good("client", "server", "it answers");
    match api.me().await {
        Ok(me) => {
            let detail = format!("{} of {} (from {})", me.token, me.organization, connection.token_from);
            findings.good("client", "token", detail);
        }
        Err(error) => findings.bad("client", "token", error),
    }
    for dependency in readiness.dependencies {
        if dependency.ready {
            findings.good("server", &dependency.name, dependency.detail);
        } else {
            let message = format!("the server's {} is not ready: {}", dependency.name, dependency.detail);
            findings.bad("server", &dependency.name, ClientError::failed(message, ""));
        }
    }
}

fn print(findings: &[Finding], output: Output) -> Result<(), ClientError> {
    if output.json {
        return output.json_line(&findings);
    }
    let mut area = "";
    for one in findings {
        if area != one.area {
            area = one.area;
            output.line(&output.paint(Tint::Strong, area))?;
        }
        let tint = match one.state {
            "good" => Tint::Good,
            "bad" => Tint::Bad,
            _ => Tint::Faint,
        };
        let head = format!("{}  {:<12}", output.paint(tint, &format!("{:<6}", one.state)), one.name);
        output.line(&format!(
            "  {} {}",
            head,
            clean_lines(&one.detail).replace('\n', "\n                      ")
        ))?;
    }
    Ok(())
}

fn print_orphans(orphans: &[Orphan], output: Output) -> Result<(), ClientError> {
    if output.json {
        return output.json_line(&orphans);
    }
    if orphans.is_empty() {
        output.note("nothing is nobody's");
    }
    for one in orphans {
        let kind = output.paint(Tint::Faint, &format!("{:<8}", one.kind));
        let (since, remove_at) = (short(&one.since), short(&one.remove_at));
        let (name, why) = (clean_lines(&one.name), clean_lines(&one.why));
        output.line(&format!(
            "{kind} {name}  {why}; since {since}, removed from {remove_at} on"
        ))?;
    }
    Ok(())
}

/// A time to the second.
fn short(time: &str) -> String {
    time.chars().take(19).collect()
}

/// Where a program is.
fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}
