//! The HTTP API as the command line calls it: one function for each thing that can be asked.

use std::time::Duration;

use api::wire::{
    BulkVariables, CreateProject, CreateService, Deploy, Deployment, DeploymentSummary, ImportVariables, Instance, Job,
    JobDetail, LogPage, Me, Orphans, Page, Pending, Processes, Project, Readiness, Service, UpdateService, Variables,
};
use domain::{DeploymentId, JobId, ProjectId, ServiceId, names::Slug};
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url, header};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    address::LogAddress,
    answer::{accepted, innermost},
    config::{BASE_PATH, Connection, is_loopback},
    error::ClientError,
    socket::{self, Socket, SocketError},
};

/// How long one question may take, uploads and streams apart.
const DEADLINE: Duration = Duration::from_secs(60);
/// How often a request is repeated when the server says that it is asked too much.
const PATIENCE: u32 = 4;

/// A client of one server.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    http: reqwest::Client,
    base: Url,
    authorization: Option<header::HeaderValue>,
}

type Answer<T> = Result<T, ClientError>;

impl Api {
    /// Makes a client. Nothing is asked yet.
    pub(crate) fn new(connection: &Connection) -> Answer<Self> {
        // A second command in the same process finds the provider installed; both are the same one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("click-deploy/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(Duration::from_secs(10))
            .tcp_keepalive(Duration::from_secs(30))
            .redirect(reqwest::redirect::Policy::none())
            // WebSockets begin as HTTP/1.1.
            .http1_only();
        if connection.url.scheme() == "http" {
            // Reading the machine's certificates takes time, and fails where there are none.
            builder = builder.tls_certs_only([]);
        }
        if is_loopback(&connection.url) {
            builder = builder.no_proxy();
        }
        let http = builder.build().map_err(|cause| ClientError::Unreachable {
            url: connection.url.to_string(),
            why: innermost(&cause),
        })?;
        let authorization = match &connection.token {
            None => None,
            Some(token) => {
                let mut value = header::HeaderValue::from_str(&format!("Bearer {}", token.expose()))
                    .map_err(|_| ClientError::usage("the token cannot be sent", "Copy it again."))?;
                value.set_sensitive(true);
                Some(value)
            }
        };
        Ok(Self {
            http,
            base: connection.url.clone(),
            authorization,
        })
    }

    /// The server's address, for messages.
    pub(crate) fn server(&self) -> String {
        self.base.as_str().trim_end_matches('/').to_owned()
    }

    fn address(&self, below: &[&str], query: &[(&str, &str)]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(below);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    /// The address of something below the API's base path.
    fn api_address(&self, path: &[&str], query: &[(&str, &str)]) -> Url {
        let below: Vec<&str> = BASE_PATH
            .split('/')
            .filter(|part| !part.is_empty())
            .chain(path.iter().copied())
            .collect();
        self.address(&below, query)
    }

    fn request(&self, method: Method, url: Url) -> Answer<RequestBuilder> {
        let token = self.authorization.clone().ok_or_else(|| ClientError::Unconfigured {
            message: format!("there is no API token for {}", self.server()),
            advice: "Set CLICK_DEPLOY_TOKEN, give --token-file, or run `click-deploy login`.".to_owned(),
        })?;
        Ok(self.http.request(method, url).header(header::AUTHORIZATION, token))
    }

    fn unreachable(&self, cause: &reqwest::Error) -> ClientError {
        ClientError::Unreachable {
            url: self.server(),
            why: innermost(cause),
        }
    }

    /// Sends, and waits its turn when the server limits how often it is asked.
    async fn send(&self, request: RequestBuilder) -> Answer<Response> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let again = request.try_clone();
            let Some(now) = again else {
                return request.send().await.map_err(|cause| self.unreachable(&cause));
            };
            let response = now.send().await.map_err(|cause| self.unreachable(&cause))?;
            if response.status() != StatusCode::TOO_MANY_REQUESTS || attempt >= PATIENCE {
                return Ok(response);
            }
            let seconds = response
                .headers()
                .get(header::RETRY_AFTER)
                .and_then(|value| value.to_str().ok()?.parse().ok());
            tokio::time::sleep(Duration::from_secs(seconds.unwrap_or(1_u64).clamp(1, 30))).await;
        }
    }

    async fn ask<T: DeserializeOwned>(&self, request: RequestBuilder) -> Answer<T> {
        let response = accepted(self.send(request).await?, &self.server()).await?;
        let text = response.bytes().await.map_err(|cause| self.unreachable(&cause))?;
        serde_json::from_slice(&text).map_err(|cause| ClientError::Foreign {
            url: self.server(),
            why: format!(
                "its answer is not what was expected ({cause}); are this program and the server of one version?"
            ),
        })
    }

    async fn get<T: DeserializeOwned>(&self, path: &[&str], query: &[(&str, &str)]) -> Answer<T> {
        self.ask(
            self.request(Method::GET, self.api_address(path, query))?
                .timeout(DEADLINE),
        )
        .await
    }

    async fn post<T: DeserializeOwned>(&self, path: &[&str], body: &impl Serialize) -> Answer<T> {
        self.ask(
            self.request(Method::POST, self.api_address(path, &[]))?
                .timeout(DEADLINE)
                .json(body),
        )
        .await
    }

    /// Reads a list to its end.
    async fn all<T: DeserializeOwned>(&self, path: &[&str], query: &[(&str, &str)]) -> Answer<Vec<T>> {
        let mut found = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let mut query = query.to_vec();
            query.push(("limit", "100"));
            if let Some(cursor) = &cursor {
                query.push(("cursor", cursor));
            }
            let mut page: Page<T> = self.get(path, &query).await?;
            let empty = page.items.is_empty();
            found.append(&mut page.items);
            match page.next_cursor {
                // A server that goes in circles is not followed.
                Some(next) if !empty && cursor.as_ref() != Some(&next) => cursor = Some(next),
                _ => return Ok(found),
            }
        }
    }

    /// Whose token this is.
    pub(crate) async fn me(&self) -> Answer<Me> {
        self.get(&["auth", "me"], &[]).await
    }

    /// Whether the platform can work; it answers this to anyone.
    pub(crate) async fn readiness(&self) -> Answer<Readiness> {
        let request = self
            .http
            .get(self.address(&["health", "ready"], &[]))
            .timeout(Duration::from_secs(20));
        let response = request.send().await.map_err(|cause| self.unreachable(&cause))?;
        let status = response.status();
        let text = response.bytes().await.map_err(|cause| self.unreachable(&cause))?;
        serde_json::from_slice(&text).map_err(|_| ClientError::Foreign {
            url: self.server(),
            why: format!("/health/ready was answered with {status} and no report"),
        })
    }

    /// All projects.
    pub(crate) async fn projects(&self) -> Answer<Vec<Project>> {
        self.all(&["projects"], &[]).await
    }

    /// The project of that name.
    pub(crate) async fn project_named(&self, name: &Slug) -> Answer<Option<Project>> {
        let found: Vec<Project> = self.all(&["projects"], &[("name", name.as_str())]).await?;
        Ok(found.into_iter().find(|project| project.name == *name))
    }

    /// Makes a project.
    pub(crate) async fn create_project(&self, name: &Slug) -> Answer<Project> {
        self.post(&["projects"], &CreateProject { name: name.clone() }).await
    }

    /// Removes a project and all that is in it.
    pub(crate) async fn delete_project(&self, id: ProjectId) -> Answer<Job> {
        self.ask(
            self.request(Method::DELETE, self.api_address(&["projects", &id.to_string()], &[]))?
                .timeout(DEADLINE),
        )
        .await
    }

    /// All services of a project.
    pub(crate) async fn services(&self, project: ProjectId) -> Answer<Vec<Service>> {
        self.all(&["projects", &project.to_string(), "services"], &[]).await
    }

    /// The service of that name in a project.
    pub(crate) async fn service_named(&self, project: ProjectId, name: &Slug) -> Answer<Option<Service>> {
        let found: Vec<Service> = self
            .all(
                &["projects", &project.to_string(), "services"],
                &[("name", name.as_str())],
            )
            .await?;
        Ok(found.into_iter().find(|service| service.name == *name))
    }

    /// A service.
    pub(crate) async fn service(&self, id: ServiceId) -> Answer<Service> {
        self.get(&["services", &id.to_string()], &[]).await
    }

    /// Makes a service.
    pub(crate) async fn create_service(&self, project: ProjectId, ask: &CreateService) -> Answer<Service> {
        self.post(&["projects", &project.to_string(), "services"], ask).await
    }

    /// Changes a service that is as we saw it.
    pub(crate) async fn update_service(&self, id: ServiceId, version: i64, ask: &UpdateService) -> Answer<Service> {
        let request = self
            .request(Method::PATCH, self.api_address(&["services", &id.to_string()], &[]))?
            .timeout(DEADLINE)
            .header(header::IF_MATCH, version.to_string())
            .json(ask);
        self.ask(request).await
    }

    /// Removes a service.
    pub(crate) async fn delete_service(&self, id: ServiceId) -> Answer<Job> {
        self.ask(
            self.request(Method::DELETE, self.api_address(&["services", &id.to_string()], &[]))?
                .timeout(DEADLINE),
        )
        .await
    }

    /// Asks for a deployment.
    pub(crate) async fn deploy(&self, id: ServiceId, ask: &Deploy) -> Answer<Deployment> {
        self.post(&["services", &id.to_string(), "deploy"], ask).await
    }

    /// Uploads an archive and deploys it.
    pub(crate) async fn upload(&self, id: ServiceId, no_cache: bool, body: reqwest::Body) -> Answer<Deployment> {
        let query: &[(&str, &str)] = if no_cache { &[("no_cache", "true")] } else { &[] };
        let request = self
            .request(
                Method::POST,
                self.api_address(&["services", &id.to_string(), "source"], query),
            )?
            .header(header::CONTENT_TYPE, "application/gzip")
            .body(body);
        self.ask(request).await
    }

    /// Puts a past deployment back.
    pub(crate) async fn rollback(&self, id: ServiceId, to: DeploymentId) -> Answer<Deployment> {
        self.post(
            &["services", &id.to_string(), "rollback", &to.to_string()],
            &serde_json::json!({}),
        )
        .await
    }

    /// Stops, starts or restarts: `verb` is the last part of the path.
    pub(crate) async fn act(&self, id: ServiceId, verb: &str) -> Answer<Job> {
        self.post(&["services", &id.to_string(), verb], &serde_json::json!({}))
            .await
    }

    /// Makes a new deploy key, in place of the one before.
    pub(crate) async fn make_deploy_key(&self, id: ServiceId) -> Answer<Service> {
        self.post(&["services", &id.to_string(), "deploy-key"], &serde_json::json!({}))
            .await
    }

    /// A page of a service's deployments, newest first.
    pub(crate) async fn deployments(
        &self,
        id: ServiceId,
        limit: u32,
        cursor: Option<&str>,
    ) -> Answer<Page<DeploymentSummary>> {
        let limit = limit.to_string();
        let mut query = vec![("limit", limit.as_str())];
        query.extend(cursor.map(|cursor| ("cursor", cursor)));
        self.get(&["services", &id.to_string(), "deployments"], &query).await
    }

    /// A service's instances.
    pub(crate) async fn instances(&self, id: ServiceId) -> Answer<Vec<Instance>> {
        self.all(&["services", &id.to_string(), "instances"], &[]).await
    }

    /// A deployment.
    pub(crate) async fn deployment(&self, id: DeploymentId) -> Answer<Deployment> {
        self.get(&["deployments", &id.to_string()], &[]).await
    }

    /// Asks that a deployment ends.
    pub(crate) async fn cancel(&self, id: DeploymentId) -> Answer<Deployment> {
        self.post(&["deployments", &id.to_string(), "cancel"], &serde_json::json!({}))
            .await
    }

    /// Makes a new deployment like one that failed.
    pub(crate) async fn retry(&self, id: DeploymentId) -> Answer<Deployment> {
        self.post(&["deployments", &id.to_string(), "retry"], &serde_json::json!({}))
            .await
    }

    /// A page of a log.
    pub(crate) async fn log_page(&self, log: &LogAddress, query: &[(&str, &str)]) -> Answer<LogPage> {
        self.get(&log.path(), query).await
    }

    /// Opens the live form of a log.
    pub(crate) async fn log_socket(&self, log: &LogAddress, after: i64) -> Result<Socket, SocketError> {
        let mut path = log.path().to_vec();
        path.push("stream");
        let url = self.api_address(&path, &[("after", &after.to_string())]);
        let request = self.request(Method::GET, url).map_err(SocketError::Refused)?;
        socket::open(request, &self.server()).await
    }

    /// The variables of a service.
    pub(crate) async fn variables(&self, id: ServiceId) -> Answer<Variables> {
        self.get(&["services", &id.to_string(), "env"], &[]).await
    }

    /// Sets and removes variables, all or none.
    pub(crate) async fn change_variables(&self, id: ServiceId, ask: &BulkVariables) -> Answer<Variables> {
        self.post(&["services", &id.to_string(), "env", "bulk"], ask).await
    }

    /// Reads variables from `.env` text, all or none.
    pub(crate) async fn import_variables(&self, id: ServiceId, ask: &ImportVariables) -> Answer<Variables> {
        self.post(&["services", &id.to_string(), "env", "import"], ask).await
    }

    /// What the next deployment would change.
    pub(crate) async fn pending(&self, id: ServiceId) -> Answer<Pending> {
        self.get(&["services", &id.to_string(), "env", "pending"], &[]).await
    }

    /// What nobody owns.
    pub(crate) async fn orphans(&self) -> Answer<Orphans> {
        self.get(&["orphans"], &[]).await
    }

    /// The processes of the platform.
    pub(crate) async fn processes(&self) -> Answer<Processes> {
        self.get(&["processes"], &[]).await
    }

    /// Background work, newest first; of one status and kind, unless they are empty.
    pub(crate) async fn jobs(&self, status: &str, kind: &str, limit: u32) -> Answer<Vec<Job>> {
        let limit = limit.to_string();
        let page: Page<Job> = self
            .get(
                &["jobs"],
                &[("limit", limit.as_str()), ("status", status), ("kind", kind)],
            )
            .await?;
        Ok(page.items)
    }

    /// A unit of background work, with how far each step of it is.
    pub(crate) async fn job_detail(&self, id: JobId) -> Answer<JobDetail> {
        self.get(&["jobs", &id.to_string()], &[]).await
    }

    /// Asks for a dead or stuck job again.
    pub(crate) async fn retry_job(&self, id: JobId) -> Answer<Job> {
        self.post(&["jobs", &id.to_string(), "retry"], &serde_json::json!({}))
            .await
    }

    /// A unit of background work.
    pub(crate) async fn job(&self, id: JobId) -> Answer<Job> {
        self.get(&["jobs", &id.to_string()], &[]).await
    }
}
