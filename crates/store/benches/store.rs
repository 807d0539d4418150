//! Fills a database as an installation of some size would, and measures what no HTTP call shows alone: lines that are
//! appended, and jobs that are claimed. `tests/load/bench-store` runs it; it prints one line of JSON.
//!
//!     store create|drop|fill URL [SERVICES LINES]

#![expect(clippy::unwrap_used, reason = "a benchmark may panic as tests do")]

use std::time::Instant;

use domain::{
    DeploymentId, JobId, ProjectId, Reason, ServiceId,
    deployment::{DeploymentEvent, Trigger},
    environment::VariableKind,
    logs::LogLevel,
    names::{HostName, Slug, VariableKey},
    service::ServiceSettings,
    source::{Revision, Source},
};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, MySqlConnection, PgConnection};
use store::{
    Store,
    deployments::{Made, NewDeployment},
    logs::{Line, Log},
    seal::Sealer,
    services::{Service, Wanted},
};

/// Jobs that wait while claims are measured.
const CLAIMS: usize = 500;
/// Lines that a busy application's output brings at once.
const AT_ONCE: usize = 500;

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|one| one != "--bench").collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["create", url] => on_server(url, "CREATE DATABASE").await,
        ["drop", url] => on_server(url, "DROP DATABASE").await,
        ["fill", url, services, lines] => fill(url, services.parse().unwrap(), lines.parse().unwrap()).await,
        _ => println!("store create|drop|fill URL [SERVICES LINES]"),
    }
}

/// Makes or removes the database that the address names; it is reached by way of the one named `click_deploy`, or
/// whichever `BENCH_DATABASE` names.
async fn on_server(url: &str, what: &str) {
    let (address, options) = url.split_once('?').unwrap_or((url, ""));
    let (server, name) = address.rsplit_once('/').unwrap();
    let by = std::env::var("BENCH_DATABASE").unwrap_or_else(|_| "click_deploy".to_owned());
    let statement = AssertSqlSafe(format!("{what} {name}"));
    let url = format!("{server}/{by}?{options}");
    if url.starts_with("postgres") {
        PgConnection::connect(&url)
            .await
            .unwrap()
            .execute(statement)
            .await
            .unwrap();
    } else {
        MySqlConnection::connect(&url)
            .await
            .unwrap()
            .execute(statement)
            .await
            .unwrap();
    }
}

async fn fill(url: &str, services: usize, lines: usize) {
    let sealer = Sealer::new(&std::env::var("ENCRYPTION_KEY").unwrap()).unwrap();
    let store = Store::open(&url.parse().unwrap(), sealer).await.unwrap();
    let organization = store.ensure_organization("default").await.unwrap();
    let slug = |name: &str| Slug::parse(name).unwrap();
    let project = match store.all_projects().await.unwrap().first() {
        Some(project) => project.id,
        None => store.create_project(organization, &slug("load")).await.unwrap().id,
    };
    let there = store.all_services().await.unwrap();
    let mut first = there.iter().min_by_key(|service| service.id).cloned();
    for number in there.len()..services {
        let host = HostName::parse(&format!("app-{number}.load.example.com")).unwrap();
        let source = Source::Image {
            reference: "example.com/team/app:1".parse().unwrap(),
        };
        let settings = ServiceSettings::default();
        let service = store
            .create_service(
                organization,
                project,
                &slug(&format!("app-{number}")),
                &host,
                &source,
                &settings,
            )
            .await
            .unwrap();
        deploy(&store, &service, true).await;
        first.get_or_insert(service);
    }
    let first = first.unwrap();
    // One service has as many deployments as there are services.
    for _ in there.len()..services {
        deploy(&store, &first, false).await;
    }
    let lines_per_second = append(&store, first.id, lines).await;
    let claims = claim(&store, project, &first).await;
    store.close().await;
    println!(
        "{{\"project\": \"{project}\", \"service\": \"{}\", \"lines_per_second\": {}, \"claim_ms\": {claims:?}}}",
        first.id,
        lines_per_second.map_or_else(|| "null".to_owned(), |rate| format!("{rate:.0}"))
    );
}

/// A deployment that failed; with `current`, the service is stopped with it.
async fn deploy(store: &Store, service: &Service, current: bool) {
    let new = NewDeployment {
        id: DeploymentId::mint(),
        organization: service.organization,
        service: service.id,
        trigger: Trigger::Manual,
        revision: Revision::Image,
        no_cache: false,
        made: Made {
            source: service.source.clone(),
            settings: service.settings.clone(),
        },
        environment: [(
            VariableKey::parse("COLOUR").unwrap(),
            (VariableKind::Static, "red".to_owned()),
        )]
        .into(),
        commit: None,
        plan: None,
        port: None,
    };
    let reason = Reason::new("exited", "the process exited 3", "See the log.");
    store::transaction!(store, |write| {
        write.insert_deployment(store, &new).await?;
        write
            .end_deployment(new.id, DeploymentEvent::Fail, Some(&reason))
            .await?;
        if current {
            write.set_current(service.id, new.id, JobId::mint()).await?;
            write.set_wanted(service.id, Wanted::Stopped).await?;
        }
    })
    .unwrap();
}

/// Appends until the service has so many lines; lines in a second.
async fn append(store: &Store, service: ServiceId, wanted: usize) -> Option<f64> {
    let log = Log::Run(service);
    let mut number = usize::try_from(store.newest_line(log).await.unwrap()).unwrap();
    let (began, first) = (Instant::now(), number);
    while number < wanted {
        let mut lines: Vec<Line> = (number..wanted.min(number + AT_ONCE)).map(line).collect();
        number += lines.len();
        store.append_lines(log, &mut lines, None).await.unwrap();
    }
    (number > first).then(|| (number - first) as f64 / began.elapsed().as_secs_f64())
}

fn line(number: usize) -> Line {
    Line {
        sequence: 0,
        at_ns: store::now_ms() * 1_000_000,
        phase: "run",
        level: if number.is_multiple_of(50) {
            LogLevel::Error
        } else {
            LogLevel::Info
        },
        origin: "cd-app-0-0123456789ab-0123456789ab-1".to_owned(),
        message: format!(
            "GET /orders/{number} answered 200 in {} ms to 192.0.2.{}",
            number % 97,
            number % 251
        ),
    }
}

/// Claims jobs one at a time while others wait; milliseconds of each claim.
async fn claim(store: &Store, project: ProjectId, service: &Service) -> Vec<f64> {
    for _ in 0..CLAIMS {
        store::transaction!(store, |write| {
            let key = JobId::mint().to_string();
            write
                .enqueue(service.organization, "remove-image", &project.to_string(), &key)
                .await?;
        })
        .unwrap();
    }
    let mut all = Vec::new();
    loop {
        let began = Instant::now();
        let claims = store.claim_jobs("bench", 60_000, 1).await.unwrap();
        let took = began.elapsed().as_secs_f64() * 1000.0;
        if claims.is_empty() {
            return all;
        }
        all.push((took * 1000.0).round() / 1000.0);
        for claim in &claims {
            store.finish_job(claim, None).await.unwrap();
        }
    }
}
