//! From what the engine answers to what travels.

use engine::manage::{DeploymentDetail, ServiceView};

use crate::wire;

/// Milliseconds since 1970 as RFC 3339, UTC.
pub(crate) fn time(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).map_or_else(|_| String::new(), |time| format!("{time:.3}"))
}

fn time_ns(ns: i64) -> String {
    jiff::Timestamp::from_nanosecond(ns.into()).map_or_else(|_| String::new(), |time| format!("{time:.6}"))
}

/// A page, cut from one more than was asked for.
pub(crate) fn page<T>(mut items: Vec<T>, limit: i64, cursor: impl Fn(&T) -> String) -> wire::Page<T> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = items.len() > limit;
    items.truncate(limit);
    let next_cursor = more.then(|| items.last().map(cursor)).flatten();
    wire::Page { items, next_cursor }
}

pub(crate) fn project(project: engine::state::projects::Project) -> wire::Project {
    wire::Project {
        id: project.id,
        name: project.name,
        version: project.version,
        created_at: time(project.created_at_ms),
    }
}

pub(crate) fn service(view: ServiceView) -> wire::Service {
    let current = view.service.current;
    wire::Service {
        id: view.service.id,
        project_id: view.service.project,
        name: view.service.name,
        host: view.service.host.to_string(),
        url: view.url,
        status: view.status,
        reason: view.reason,
        source: view.service.source,
        settings: view.service.settings,
        current_deployment_id: current,
        latest_deployment: view.latest.map(|latest| summary(&latest, current == Some(latest.id))),
        deploy_key: view.service.deploy_key,
        version: view.service.version,
        created_at: time(view.service.created_at_ms),
    }
}

pub(crate) fn summary(deployment: &engine::state::deployments::Deployment, current: bool) -> wire::DeploymentSummary {
    let commit = deployment.commit.as_ref();
    wire::DeploymentSummary {
        id: deployment.id,
        service_id: deployment.service,
        number: deployment.number,
        status: deployment.status,
        current,
        trigger: deployment.trigger,
        commit: commit.map(|facts| facts.commit.to_string()),
        commit_message: commit.map(|facts| facts.message.clone()),
        commit_author: commit.map(|facts| facts.author.clone()),
        reason: deployment.reason.clone(),
        cancel_requested: deployment.cancel_requested,
        created_at: time(deployment.created_at_ms),
        finished_at: deployment.finished_at_ms.map(time),
    }
}

pub(crate) fn deployment(detail: DeploymentDetail) -> wire::Deployment {
    let phases = detail.phases.into_iter().filter_map(|row| {
        Some(wire::PhaseRecord {
            phase: serde_json::from_value(serde_json::Value::String(row.phase)).ok()?,
            status: row.status,
            started_at: time(row.started_at_ms),
            seconds: row.finished_at_ms.map(|end| (end - row.started_at_ms) as f64 / 1000.0),
            deadline_seconds: u32::try_from(row.deadline_seconds).unwrap_or(0),
        })
    });
    wire::Deployment {
        summary: summary(&detail.deployment, detail.current),
        url: detail.url,
        phases: phases.collect(),
        steps: detail.steps,
        log_removed: detail.deployment.log_removed,
        plan: detail
            .deployment
            .plan
            .and_then(|plan| serde_json::from_value(plan).ok()),
        image: detail.deployment.image,
        settings: detail.deployment.made.settings,
        environment: detail
            .environment
            .into_iter()
            .map(|(key, kind, value)| wire::Variable { key, kind, value })
            .collect(),
    }
}

pub(crate) fn variables(variables: Vec<engine::state::variables::Variable>) -> wire::Variables {
    let shown = |variable: engine::state::variables::Variable| {
        let value = variable.value.expose().to_owned();
        let readable = variable.kind == domain::environment::VariableKind::Static;
        wire::Variable {
            key: variable.key,
            kind: variable.kind,
            value: readable.then_some(value),
        }
    };
    wire::Variables {
        items: variables.into_iter().map(shown).collect(),
    }
}

pub(crate) fn line(line: engine::state::logs::Line) -> wire::LogLine {
    wire::LogLine {
        sequence: line.sequence,
        at: time_ns(line.at_ns),
        phase: line.phase.to_owned(),
        level: line.level,
        origin: line.origin,
        message: line.message,
    }
}

pub(crate) fn job(job: engine::state::jobs::Job) -> wire::Job {
    wire::Job {
        id: job.id,
        name: job.name,
        status: job.status,
        subject: job.subject,
        attempt: job.attempt,
        failures: job.failures,
        failing_since: job.failing_since_ms.map(time),
        step: job.step,
        reason: job.reason,
        created_at: time(job.created_at_ms),
        finished_at: job.finished_at_ms.map(time),
    }
}

pub(crate) fn orphan(orphan: engine::Orphan) -> wire::Orphan {
    wire::Orphan {
        kind: orphan.kind.name().to_owned(),
        name: orphan.name,
        why: orphan.why.to_owned(),
        since: time(orphan.since_ms),
        remove_at: time(orphan.remove_at_ms),
    }
}

pub(crate) fn process((process, leads): (engine::state::processes::Process, Vec<String>)) -> wire::Process {
    wire::Process {
        id: process.id,
        role: process.role,
        host: process.host,
        version: process.version,
        started_at: time(process.started_at_ms),
        seen_at: time(process.seen_at_ms),
        leads,
    }
}

pub(crate) fn journal_entry(entry: engine::state::jobs::JournalEntry) -> wire::JournalEntry {
    wire::JournalEntry {
        state: entry.state.name().to_owned(),
        step: entry.step,
        at: time(entry.at_ms),
    }
}

pub(crate) fn instance(instance: domain::ports::infrastructure::Instance) -> wire::Instance {
    use domain::labels;
    let label = |name: &str| instance.labels.get(name);
    wire::Instance {
        deployment_id: label(labels::DEPLOYMENT).and_then(|id| id.parse().ok()),
        replica: label(labels::REPLICA)
            .and_then(|replica| replica.parse().ok())
            .unwrap_or(0),
        name: instance.name,
        status: instance.status,
        address: instance.address.map(|address| address.to_string()),
        started_at: instance.started_at_ms.map(time),
        restarts: instance.restarts,
    }
}
