//! The commands that are about services and projects.

use std::{
    io::IsTerminal,
    process::{Command, Stdio},
};

use api::wire::Service;
use clap::Args;
use domain::{ports::infrastructure::InstanceStatus, service::ServiceStatus, source::Source};
use jiff::Timestamp;

use super::{
    Session,
    deployments::{deployment_tint, version},
    error::ClientError,
    output::{Cell, Tint, clean},
    which::{ProjectOption, Which, project},
};

/// One service.
#[derive(Debug, Args)]
pub(crate) struct One {
    #[command(flatten)]
    which: Which,
}

/// Shows or makes a deploy key.
#[derive(Debug, Args)]
pub(crate) struct DeployKey {
    #[command(flatten)]
    which: Which,
    /// Make a new one in place of the one before
    #[arg(long)]
    new: bool,
}

/// `deploy-key`
pub(crate) async fn deploy_key(session: &Session, command: &DeployKey) -> Result<(), ClientError> {
    let mut service = command.which.service(session).await?;
    if command.new || service.deploy_key.is_none() {
        service = session.api.make_deploy_key(service.id).await?;
    }
    let key = service.deploy_key.unwrap_or_default();
    if session.output.json {
        return session.output.json_line(&serde_json::json!({ "deploy_key": key }));
    }
    session.output.line(&clean(&key))
}

/// Shows services.
#[derive(Debug, Args)]
pub(crate) struct Status {
    /// The service to show closely: its name in the project, or its id
    #[arg(value_name = "SERVICE", conflicts_with = "service")]
    name: Option<String>,
    /// The same as an option
    #[arg(long, value_name = "SERVICE")]
    service: Option<String>,
    #[command(flatten)]
    project: ProjectOption,
}

/// The colour of a status.
pub(crate) fn status_tint(status: ServiceStatus) -> Tint {
    match status {
        ServiceStatus::Live => Tint::Good,
        ServiceStatus::Failed | ServiceStatus::Unhealthy => Tint::Bad,
        ServiceStatus::Deploying => Tint::Warm,
        ServiceStatus::Stopped | ServiceStatus::Ready | ServiceStatus::NotConfigured => Tint::Faint,
    }
}

/// How long ago a time was, in its largest unit.
pub(crate) fn age(time: &str) -> String {
    let Ok(then) = time.parse::<Timestamp>() else {
        return String::new();
    };
    let seconds = Timestamp::now().duration_since(then).as_secs().max(0);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86400 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86400),
    }
}

/// `status`
pub(crate) async fn status(session: &Session, command: &Status) -> Result<(), ClientError> {
    let output = session.output;
    if command.name.is_some() || command.service.is_some() {
        let which = Which {
            name: command.name.clone(),
            option: super::which::ServiceOption {
                service: command.service.clone(),
                project: command.project.clone(),
            },
        };
        let service = which.service(session).await?;
        return if output.json {
            output.json_line(&service)
        } else {
            closely(session, &service)
        };
    }
    let project = project(session, &command.project.project).await?;
    let services = session.api.services(project.id).await?;
    if output.json {
        return output.json_line(&services);
    }
    if services.is_empty() {
        output.note(&format!(
            "project {} has no services yet; `click-deploy up` makes one",
            project.name
        ));
        return Ok(());
    }
    let rows: Vec<Vec<Cell>> = services
        .iter()
        .map(|service| {
            let latest = service.latest_deployment.as_ref();
            vec![
                service.name.as_str().into(),
                Cell::tinted(status_tint(service.status), service.status.name()),
                latest.map(version).unwrap_or_default().into(),
                latest.map(|latest| age(&latest.created_at)).unwrap_or_default().into(),
                service.url.as_str().into(),
            ]
        })
        .collect();
    output.table(&["SERVICE", "STATUS", "VERSION", "AGE", "URL"], &rows)?;
    for service in &services {
        if let Some(reason) = &service.reason {
            output.note(&format!("{}: {}", service.name, clean(&reason.to_string())));
        }
    }
    Ok(())
}

fn closely(session: &Session, service: &Service) -> Result<(), ClientError> {
    let output = session.output;
    let mut rows: Vec<Vec<Cell>> = Vec::new();
    let mut row = |name: &str, value: Cell| rows.push(vec![Cell::tinted(Tint::Faint, name), value]);
    row("service", format!("{} ({})", service.name, service.id).into());
    row(
        "status",
        Cell::tinted(status_tint(service.status), service.status.name()),
    );
    if let Some(reason) = &service.reason {
        row("reason", reason.to_string().into());
    }
    row("url", service.url.as_str().into());
    row("source", source_words(&service.source).into());
    if let Some(key) = &service.deploy_key {
        row("deploy key", key.as_str().into());
    }
    let settings = &service.settings;
    let size = serde_json::to_value(settings.instance_size).ok();
    let size = size.as_ref().and_then(|size| size.as_str()).unwrap_or_default();
    row("runs", format!("{} × {size}", settings.replicas.get()).into());
    if let Some(latest) = &service.latest_deployment {
        let words = format!("{} {} {}", latest.number, latest.status.name(), version(latest));
        row("newest", Cell::tinted(deployment_tint(latest.status), words));
        if let Some(message) = &latest.commit_message {
            row("", message.as_str().into());
        }
    }
    // Cells without heads: the first line would be an empty one.
    let text: Vec<String> = rows
        .into_iter()
        .map(|cells| {
            let [name, value] = <[Cell; 2]>::try_from(cells).expect("each row was made of two cells");
            format!("{}{}", name.padded(output, 12), value.shown(output))
        })
        .collect();
    output.line(&text.join("\n"))
}

fn source_words(source: &Source) -> String {
    let below = |root: &str| {
        if root.is_empty() {
            String::new()
        } else {
            format!(", {root}")
        }
    };
    match source {
        Source::Git {
            url,
            branch,
            root_directory,
        } => {
            let branch = branch
                .as_ref()
                .map_or_else(|| "its default branch".to_owned(), ToString::to_string);
            format!("{url}, {branch}{}", below(root_directory.as_str()))
        }
        Source::Upload { root_directory } => format!("uploads{}", below(root_directory.as_str())),
        Source::Image { reference } => format!("image {reference}"),
    }
}

/// `ps`
pub(crate) async fn instances(session: &Session, command: &One) -> Result<(), ClientError> {
    let service = command.which.service(session).await?;
    let instances = session.api.instances(service.id).await?;
    let output = session.output;
    if output.json {
        return output.json_line(&instances);
    }
    let rows: Vec<Vec<Cell>> = instances
        .iter()
        .map(|one| {
            let (tint, status) = match one.status {
                InstanceStatus::Created => (Tint::Warm, "created"),
                InstanceStatus::Running => (Tint::Good, "running"),
                InstanceStatus::Exited => (Tint::Bad, "exited"),
            };
            vec![
                one.name.as_str().into(),
                one.replica.to_string().into(),
                Cell::tinted(tint, status),
                one.started_at.as_deref().map(age).unwrap_or_default().into(),
                one.restarts.to_string().into(),
                one.address.as_deref().unwrap_or_default().into(),
                one.deployment_id.map(|id| id.to_string()).unwrap_or_default().into(),
            ]
        })
        .collect();
    output.table(
        &[
            "INSTANCE",
            "REPLICA",
            "STATUS",
            "UP",
            "RESTARTS",
            "ADDRESS",
            "DEPLOYMENT",
        ],
        &rows,
    )
}

/// `open`
pub(crate) async fn open(session: &Session, command: &One) -> Result<(), ClientError> {
    let service = command.which.service(session).await?;
    let output = session.output;
    if output.json {
        return output.json_line(&serde_json::json!({ "url": service.url }));
    }
    let is_web = service.url.starts_with("http://") || service.url.starts_with("https://");
    let has_screen = ["DISPLAY", "WAYLAND_DISPLAY"]
        .iter()
        .any(|name| std::env::var_os(name).is_some());
    if is_web && has_screen && std::io::stdout().is_terminal() {
        let browser = Command::new("xdg-open")
            .arg(&service.url)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        if !browser.is_ok_and(|status| status.success()) {
            output.note("no browser could be started");
        }
    }
    output.line(&clean(&service.url))
}

/// `projects`
pub(crate) async fn projects(session: &Session) -> Result<(), ClientError> {
    let projects = session.api.projects().await?;
    let output = session.output;
    if output.json {
        return output.json_line(&projects);
    }
    let rows: Vec<Vec<Cell>> = projects
        .iter()
        .map(|one| {
            vec![
                one.name.as_str().into(),
                age(&one.created_at).into(),
                one.id.to_string().into(),
            ]
        })
        .collect();
    output.table(&["PROJECT", "AGE", "ID"], &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_has_one_unit_and_is_never_negative() {
        let before = |seconds: i64| {
            let then = Timestamp::from_second(Timestamp::now().as_second() - seconds).unwrap();
            age(&then.to_string())
        };
        assert_eq!(before(-100), "0 s");
        assert_eq!(before(125), "2 min");
        assert_eq!(before(7300), "2 h");
        assert_eq!(before(200_000), "2 d");
        assert_eq!(age("nonsense"), "");
    }
}
