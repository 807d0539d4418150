//! What travels: the bodies of requests and answers. The command line reads and writes the same types.

use domain::{
    DeploymentId, JobId, OrganizationId, ProjectId, Reason, ServiceId,
    deployment::{DeploymentStatus, Phase, Trigger},
    environment::VariableKind,
    logs::LogLevel,
    names::{Commit, Slug, VariableKey},
    ports::{builder::BuildStep, image::StoredImage, infrastructure::InstanceStatus},
    service::{ServiceSettings, ServiceStatus},
    source::Source,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A page of a list.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Page<T> {
    /// In order.
    pub items: Vec<T>,
    /// Give it as `cursor` to read on; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub next_cursor: Option<String>,
}

/// A problem (RFC 9457), as `application/problem+json`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// Where the code is explained.
    #[serde(rename = "type")]
    pub kind: String,
    /// The HTTP status.
    pub status: u16,
    /// A short name.
    pub title: String,
    /// Stable, for programs.
    pub code: String,
    /// What happened and what to do.
    pub detail: String,
    /// What is wrong with which field.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// The request, as the log knows it.
    #[serde(default)]
    pub request_id: String,
}

/// What is wrong with one field.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema, PartialEq, Eq)]
pub struct FieldError {
    /// The field, with dots.
    pub field: String,
    /// The rule that it breaks.
    pub message: String,
}

/// A project.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Project {
    /// Its id.
    pub id: ProjectId,
    /// Its name; unique in the organization.
    pub name: Slug,
    /// Grows with each change.
    pub version: i64,
    /// RFC 3339, UTC.
    pub created_at: String,
}

/// A project and what is in it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ProjectDetail {
    /// The project.
    #[serde(flatten)]
    pub project: Project,
    /// Its services.
    pub services: Vec<Service>,
}

/// Asks for a project.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateProject {
    /// Its name.
    pub name: Slug,
}

/// Renames a project.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateProject {
    /// Its new name.
    pub name: Slug,
}

/// A service.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Service {
    /// Its id.
    pub id: ServiceId,
    /// Its project.
    pub project_id: ProjectId,
    /// Its name; unique in the project.
    pub name: Slug,
    /// Its generated host name.
    pub host: String,
    /// Where it answers.
    pub url: String,
    /// What it is doing.
    pub status: ServiceStatus,
    /// Why it is not live, when it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// Where it comes from.
    pub source: Source,
    /// How it is built and run.
    pub settings: ServiceSettings,
    /// The deployment that serves, or would if it were not stopped.
    pub current_deployment_id: Option<DeploymentId>,
    /// The newest deployment, whatever became of it.
    pub latest_deployment: Option<DeploymentSummary>,
    /// The public half of the key with which it reads a repository by SSH.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deploy_key: Option<String>,
    /// Grows with each change; send it as `If-Match`.
    pub version: i64,
    /// RFC 3339, UTC.
    pub created_at: String,
}

/// Asks for a service.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateService {
    /// Its name.
    pub name: Slug,
    /// Where it comes from.
    pub source: Source,
    /// How it is built and run; what is left out is the default.
    #[serde(default)]
    pub settings: ServiceSettings,
}

/// Changes a service; what is left out stays.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateService {
    /// Its new name. The host name stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Slug>,
    /// Its new source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// Its new settings, whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<ServiceSettings>,
}

/// Asks for a deployment.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Deploy {
    /// The exact commit; the newest of the source's branch when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<Commit>,
    /// Take the image of this deployment with the settings and variables of now: no build.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_of: Option<DeploymentId>,
    /// Build everything anew.
    pub no_cache: bool,
    /// Cancel the deployment that is under way instead of waiting for it.
    pub replace_running: bool,
}

/// A deployment in a list.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct DeploymentSummary {
    /// Its id.
    pub id: DeploymentId,
    /// Its service.
    pub service_id: ServiceId,
    /// The service's first deployment is 1.
    pub number: i64,
    /// How far it is.
    pub status: DeploymentStatus,
    /// It is the one that serves.
    pub current: bool,
    /// Why it was made.
    pub trigger: Trigger,
    /// The commit that was deployed.
    pub commit: Option<String>,
    /// The first line of its message.
    pub commit_message: Option<String>,
    /// Its author.
    pub commit_author: Option<String>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// Someone asked to cancel it.
    pub cancel_requested: bool,
    /// RFC 3339, UTC.
    pub created_at: String,
    /// RFC 3339, UTC; absent while it is under way.
    pub finished_at: Option<String>,
}

/// A deployment.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Deployment {
    /// What lists show.
    #[serde(flatten)]
    pub summary: DeploymentSummary,
    /// Where the service answers.
    pub url: String,
    /// The phases, in order.
    pub phases: Vec<PhaseRecord>,
    /// The steps of its build.
    pub steps: Vec<BuildStep>,
    /// Its log is not kept any more.
    #[serde(default)]
    pub log_removed: bool,
    /// What was detected, and why; absent before it is planned, and where nothing is built.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<DeploymentPlan>,
    /// What runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<StoredImage>,
    /// The settings that it was made with.
    pub settings: ServiceSettings,
    /// The variables that it was made with; secrets without their value.
    pub environment: Vec<Variable>,
}

/// How a deployment is built and started, and why so.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct DeploymentPlan {
    /// Who planned: `planner`, `railpack`, or `dockerfile` for the application's own.
    pub builder: String,
    /// The language, such as `node`; `dockerfile` for the application's own.
    pub provider: String,
    /// The framework, as its makers write it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub framework: Option<String>,
    /// What was detected, in the order of the decisions.
    pub facts: Vec<PlanFact>,
    /// What works otherwise than one may expect.
    pub warnings: Vec<String>,
    /// The images that the build starts from.
    pub base_images: Vec<String>,
    /// The port on which the application listens whatever `PORT` says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// What the container runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_command: Option<String>,
    /// What runs once in the new image before it serves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release_command: Option<String>,
    /// The whole Dockerfile, where the planner wrote it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dockerfile: Option<String>,
    /// Where the application's own Dockerfile is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dockerfile_path: Option<String>,
    /// What the build leaves out, where the application has no `.dockerignore`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dockerignore: Option<String>,
}

/// One thing that was detected.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct PlanFact {
    /// What it is about, such as `node version`.
    pub name: String,
    /// What was found or chosen.
    pub value: String,
    /// Why, in words: `engines.node in package.json:5 asks for 22`.
    pub because: String,
    /// The place in the application's files that says so, where one does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence: Option<PlanEvidence>,
}

/// A place in the application's files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PlanEvidence {
    /// The file, relative to the application's directory.
    pub file: String,
    /// Counted from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
}

/// A phase of a deployment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PhaseRecord {
    /// Which.
    pub phase: Phase,
    /// `running`, `done`, `failed`, `cancelled`.
    pub status: String,
    /// RFC 3339, UTC.
    pub started_at: String,
    /// How long it took; absent while it runs.
    pub seconds: Option<f64>,
    /// How long it may take.
    pub deadline_seconds: u32,
}

/// A variable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Variable {
    /// Its name.
    pub key: VariableKey,
    /// Who may read its value again.
    pub kind: VariableKind,
    /// Its value; absent for a secret.
    pub value: Option<String>,
}

/// Sets a variable.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetVariable {
    /// Its name.
    pub key: VariableKey,
    /// Its value, every byte of it.
    pub value: String,
    /// Who may read it again.
    #[serde(default)]
    pub kind: VariableKind,
}

/// Changes the value of a variable.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateVariable {
    /// Its new value.
    pub value: String,
    /// Who may read it again; as before when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<VariableKind>,
}

/// Changes many variables, all or none.
#[derive(Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BulkVariables {
    /// Set or replaced.
    pub set: Vec<SetVariable>,
    /// Removed.
    pub remove: Vec<VariableKey>,
}

/// Reads variables from `.env` text, all or none.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportVariables {
    /// The text.
    pub text: String,
    /// What they become.
    #[serde(default)]
    pub kind: VariableKind,
}

/// The variables of a service.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Variables {
    /// By name.
    pub items: Vec<Variable>,
}

/// What would change with the next deployment.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Pending {
    /// Whether anything would.
    pub pending: bool,
    /// Variables that would change.
    pub variables: Vec<PendingVariable>,
    /// Settings that would change, by name.
    pub settings: Vec<String>,
}

/// A variable that would change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PendingVariable {
    /// Its name.
    pub key: VariableKey,
    /// `added`, `changed` or `removed`.
    pub change: String,
}

/// A line of a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogLine {
    /// Its place, from 1, without gaps.
    pub sequence: i64,
    /// RFC 3339, UTC.
    pub at: String,
    /// The phase, for the lines of a deployment; `run` for a running service.
    pub phase: String,
    /// How serious.
    pub level: LogLevel,
    /// The build step or instance that wrote it; may be empty.
    pub origin: String,
    /// The line.
    pub message: String,
}

/// A page of a log.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct LogPage {
    /// In order.
    pub items: Vec<LogLine>,
    /// Give it as `after` to read on, now or when more is written.
    pub next_after: i64,
    /// Whether more is there already.
    pub more: bool,
}

/// A message of a live log (WebSocket, JSON text).
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum LogMessage {
    /// More lines.
    Lines {
        /// In order; the first follows the last one sent.
        items: Vec<LogLine>,
    },
    /// Nothing more will come: the deployment is over.
    End {
        /// How it ended.
        status: DeploymentStatus,
    },
}

/// A running or ended instance.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Instance {
    /// Its name.
    pub name: String,
    /// The deployment that it belongs to.
    pub deployment_id: Option<DeploymentId>,
    /// From 1.
    pub replica: u16,
    /// How it is.
    pub status: InstanceStatus,
    /// Where it is reached from the platform's machine.
    pub address: Option<String>,
    /// RFC 3339, UTC.
    pub started_at: Option<String>,
    /// How often it was started again by itself.
    pub restarts: u32,
}

/// A unit of background work.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// `deploy`, `stop-service`, `start-service`, `restart-service`, `retire-instances`, `prune-images`, `remove-image`,
    /// `remove-service`, `remove-project`; `cleanup` of the installation itself.
    pub name: String,
    /// `waiting`, `running`, `stuck` (it has failed often, and is tried again), `done`, `failed` (it came to an orderly
    /// end), `dead` (it was given up, and its work is left).
    pub status: String,
    /// What it works on.
    pub subject: String,
    /// How often it was taken.
    pub attempt: i64,
    /// How often it was tried in vain since it was made or asked for again.
    #[serde(default)]
    pub failures: i64,
    /// RFC 3339, UTC: since when it is tried in vain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing_since: Option<String>,
    /// The step where it does not go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// Why it failed, or waits again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// RFC 3339, UTC.
    pub created_at: String,
    /// RFC 3339, UTC.
    pub finished_at: Option<String>,
}

/// Everything that nobody owns.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Orphans {
    /// By kind and name.
    pub items: Vec<Orphan>,
}

/// Something that carries the installation's label and that nobody owns any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Orphan {
    /// `instance`, `network`, `image`, `file`.
    pub kind: String,
    /// Its name; of a file, `work/…` or `uploads/…`.
    pub name: String,
    /// Why nobody owns it.
    pub why: String,
    /// Since when this is known: RFC 3339, UTC.
    pub since: String,
    /// When it is removed, unless somebody owns it by then: RFC 3339, UTC.
    pub remove_at: String,
}

/// The processes of an installation.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Processes {
    /// The oldest first.
    pub items: Vec<Process>,
}

/// A process of the platform. One that was killed is listed for an hour, with the time when it was seen last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Process {
    /// Its name in leases and logs.
    pub id: String,
    /// `all`, `api`, `worker`.
    pub role: String,
    /// The name of its machine.
    pub host: String,
    /// The version of the program.
    pub version: String,
    /// RFC 3339, UTC.
    pub started_at: String,
    /// When it said last that it lives, every 5 s by its own clock: RFC 3339, UTC.
    pub seen_at: String,
    /// What it does for all, now: `reconciler`, `output`, `build-cache`.
    pub leads: Vec<String>,
}

/// A job, and how far each step of it is.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct JobDetail {
    /// What lists show.
    #[serde(flatten)]
    pub job: Job,
    /// Steps that have begun, in order; empty for a job that has none.
    pub journal: Vec<JournalEntry>,
}

/// How far a step of a job is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JournalEntry {
    /// The step: `provision`, `build`, `release`, `check`; `giving-up` is the decision to undo.
    pub step: String,
    /// `started`, `done`, `undone`.
    pub state: String,
    /// RFC 3339, UTC: when it came so far.
    pub at: String,
}

/// Who asks.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Me {
    /// The organization.
    pub organization_id: OrganizationId,
    /// Its name.
    pub organization: String,
    /// The token's name.
    pub token: String,
}

/// How one dependency is.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Dependency {
    /// `database`, `engine`, `builder`, `images`, `proxy`, `queue`.
    pub name: String,
    /// Whether it answers.
    pub ready: bool,
    /// Its version, or what is wrong and how to mend it.
    pub detail: String,
}

/// Whether the platform can work.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Readiness {
    /// All counterparts answer.
    pub ready: bool,
    /// It can work and is late: a job that is due has waited for more than 5 minutes.
    #[serde(default)]
    pub degraded: bool,
    /// Each by name.
    pub dependencies: Vec<Dependency>,
}
