//! `up`: from a directory, a repository or an image to a URL, with everything made that is missing.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use api::wire::{BulkVariables, CreateService, Deploy, Project, Service, SetVariable, UpdateService};
use clap::Args;
use domain::{
    ServiceId,
    environment::{VariableKind, parse_dotenv},
    names::{Branch, Commit, ImageReference, InsidePath, Slug, VariableKey},
    source::{GitUrl, Source},
};

use super::{
    Session,
    error::ClientError,
    follow::{self, FollowOptions},
    output::clean,
    pack::{self, Listing},
    remote,
    settings::{SettingsOptions, key_value},
    upload::{cannot_pack, upload},
    which::ProjectOption,
};

/// Shown under `--help`.
pub(crate) const EXAMPLES: &str = "Examples:
  click-deploy up                                   upload this directory and deploy it
  click-deploy up ./shop --service shop --env-file shop.env
  click-deploy up --git https://example.org/team/app.git --branch main --root apps/web
  click-deploy up --from-remote                     deploy the pushed commit of this directory
  click-deploy up --image nginx:1.27 --port 80 --service web
  url=$(click-deploy up --quiet)                    the URL is all that standard output gets
  click-deploy up --json | jq -r .url               one line, also when it fails";

/// Deploys, and creates what is missing.
#[derive(Debug, Args)]
pub(crate) struct Up {
    /// The directory to upload; this one when absent
    #[arg(value_name = "DIR", conflicts_with_all = ["git", "image"])]
    directory: Option<PathBuf>,
    #[command(flatten)]
    project: ProjectOption,
    /// The service: its name in the project, or its id; named like the directory when absent
    #[arg(long, value_name = "SERVICE")]
    service: Option<String>,
    /// Deploy this Git repository instead
    #[arg(long, value_name = "URL", conflicts_with_all = ["image", "from_remote"], value_parser = GitUrl::parse)]
    git: Option<GitUrl>,
    /// Deploy the directory's Git remote `origin` instead, at the commit that is checked out and pushed
    #[arg(long, conflicts_with = "image")]
    from_remote: bool,
    /// The branch or tag; the repository's default when absent
    #[arg(long, requires = "git")]
    branch: Option<Branch>,
    /// The exact commit
    #[arg(long, requires = "git")]
    commit: Option<Commit>,
    /// Deploy this image instead; nothing is built
    #[arg(long, value_name = "REF")]
    image: Option<ImageReference>,
    /// The application's directory within the repository or upload
    #[arg(long, value_name = "DIR", conflicts_with_all = ["image", "from_remote"])]
    root: Option<InsidePath>,
    /// A .env file whose variables are set before deploying; repeatable
    #[arg(long, value_name = "FILE")]
    env_file: Vec<PathBuf>,
    /// The same for secrets, which nobody can read again
    #[arg(long, value_name = "FILE")]
    secret_env_file: Vec<PathBuf>,
    /// A variable to set before deploying; repeatable
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    env: Vec<(VariableKey, String)>,
    /// Build everything anew
    #[arg(long)]
    no_cache: bool,
    #[command(flatten)]
    follow: FollowOptions,
    #[command(flatten)]
    settings: SettingsOptions,
}

/// What is deployed.
enum Intent {
    Directory(Listing),
    Git {
        url: GitUrl,
        branch: Option<Branch>,
        commit: Option<Commit>,
        root: Option<InsidePath>,
    },
    Image(ImageReference),
}

/// Runs the command. Everything that can be wrong on this side is found before the server is asked.
pub(crate) async fn run(session: &Session, up: &Up) -> Result<(), ClientError> {
    let named = up.named()?;
    let variables = up.variables()?;
    let intent = up.intent()?;
    if let Intent::Directory(listing) = &intent {
        for left_out in &listing.left_out {
            session.output.note(&format!("left out: {}", clean(left_out)));
        }
        for secrets in &listing.secrets {
            session.output.note(&format!(
                "note: {} is uploaded with the other files; variables belong in `--env-file`, and such files in .gitignore",
                clean(secrets)
            ));
        }
    }
    let service = match named {
        Named::Id(id) => session.api.service(id).await?,
        Named::Name(name) => up.service_called(session, &name, &intent).await?,
    };
    let service = up.adjust(session, service, &intent).await?;
    if !variables.is_empty() {
        session
            .api
            .change_variables(
                service.id,
                &BulkVariables {
                    set: variables,
                    remove: Vec::new(),
                },
            )
            .await?;
    }
    session.output.note(&format!(
        "{} is going to answer at {}",
        service.name,
        clean(&service.url)
    ));
    let started = match intent {
        Intent::Directory(listing) => upload(session, service.id, listing, up.no_cache).await?,
        Intent::Git { commit, .. } => {
            session
                .api
                .deploy(
                    service.id,
                    &Deploy {
                        commit,
                        no_cache: up.no_cache,
                        ..Deploy::default()
                    },
                )
                .await?
        }
        Intent::Image(_) => {
            session
                .api
                .deploy(
                    service.id,
                    &Deploy {
                        no_cache: up.no_cache,
                        ..Deploy::default()
                    },
                )
                .await?
        }
    };
    follow::finish(session, &started, &up.follow).await
}

enum Named {
    Id(ServiceId),
    Name(Slug),
}

impl Up {
    fn named(&self) -> Result<Named, ClientError> {
        if let Some(text) = &self.service {
            if let Ok(id) = text.parse() {
                return Ok(Named::Id(id));
            }
            let name = Slug::parse(text).map_err(|bad| {
                ClientError::usage(format!("`{text}` is no service: {bad}"), "Give another --service.")
            })?;
            return Ok(Named::Name(name));
        }
        let last = |text: &str| {
            text.trim_end_matches('/')
                .rsplit(['/', ':'])
                .next()
                .unwrap_or_default()
                .to_owned()
        };
        let text = match (&self.git, &self.image) {
            (Some(url), _) => last(url.as_str()).trim_end_matches(".git").to_owned(),
            (None, Some(image)) => {
                let name = image.as_str().split('@').next().unwrap_or_default();
                let name = name.rsplit('/').next().unwrap_or_default();
                name.split(':').next().unwrap_or_default().to_owned()
            }
            (None, None) => {
                let directory = self.directory();
                let full = fs::canonicalize(directory).map_err(|cause| {
                    ClientError::usage(format!("{} is not there: {cause}", directory.display()), "")
                })?;
                full.file_name()
                    .map(|name| name.to_string_lossy().into_owned())
                    .unwrap_or_default()
            }
        };
        Ok(Named::Name(Slug::near(&text)))
    }

    fn directory(&self) -> &Path {
        self.directory.as_deref().unwrap_or(Path::new("."))
    }

    fn intent(&self) -> Result<Intent, ClientError> {
        if let Some(image) = &self.image {
            return Ok(Intent::Image(image.clone()));
        }
        if let Some(url) = &self.git {
            return Ok(Intent::Git {
                url: url.clone(),
                branch: self.branch.clone(),
                commit: self.commit.clone(),
                root: self.root.clone(),
            });
        }
        if self.from_remote {
            let found = remote::look(self.directory())?;
            return Ok(Intent::Git {
                url: found.url,
                branch: Some(found.branch),
                commit: Some(found.commit),
                root: Some(found.root_directory),
            });
        }
        pack::list(self.directory()).map(Intent::Directory).map_err(cannot_pack)
    }

    /// The variables of all flags; where one is given twice, the last counts, and flags count more than files.
    fn variables(&self) -> Result<Vec<SetVariable>, ClientError> {
        let mut all = BTreeMap::new();
        let files = self.env_file.iter().map(|path| (path, VariableKind::Static));
        for (path, kind) in files.chain(self.secret_env_file.iter().map(|path| (path, VariableKind::Secret))) {
            let text = fs::read_to_string(path).map_err(|cause| match cause.kind() {
                io::ErrorKind::NotFound => ClientError::usage(format!("there is no file {}", path.display()), ""),
                _ => ClientError::file(path, "read", &cause),
            })?;
            let found = parse_dotenv(&text).map_err(|bad| {
                ClientError::usage(format!("{}, {bad}", path.display()), "Mend the line and try again.")
            })?;
            all.extend(found.into_iter().map(|(key, value)| (key, (value, kind))));
        }
        all.extend(
            self.env
                .iter()
                .map(|(key, value)| (key.clone(), (value.clone(), VariableKind::Static))),
        );
        Ok(all
            .into_iter()
            .map(|(key, (value, kind))| SetVariable { key, value, kind })
            .collect())
    }

    async fn service_called(&self, session: &Session, name: &Slug, intent: &Intent) -> Result<Service, ClientError> {
        let project = project_called(session, &self.project.project).await?;
        if let Some(service) = session.api.service_named(project.id, name).await? {
            return Ok(service);
        }
        let ask = CreateService {
            name: name.clone(),
            source: self.source(intent, None),
            settings: self.settings.apply(Default::default()),
        };
        match session.api.create_service(project.id, &ask).await {
            Ok(service) => {
                session
                    .output
                    .note(&format!("created service {name} in project {}", project.name));
                Ok(service)
            }
            Err(error) => after_race(error, session.api.service_named(project.id, name).await?),
        }
    }

    /// Where the service is going to come from; what no flag says stays as it was.
    fn source(&self, intent: &Intent, before: Option<&Source>) -> Source {
        let top = || InsidePath::parse("").expect("the empty path is inside");
        match intent {
            Intent::Image(reference) => Source::Image {
                reference: reference.clone(),
            },
            Intent::Directory(_) => {
                let kept = match before {
                    Some(Source::Upload { root_directory }) => Some(root_directory.clone()),
                    _ => None,
                };
                Source::Upload {
                    root_directory: self.root.clone().or(kept).unwrap_or_else(top),
                }
            }
            Intent::Git { url, branch, root, .. } => {
                let kept = match before {
                    Some(Source::Git {
                        url: same,
                        branch,
                        root_directory,
                    }) if same == url => Some((branch.clone(), root_directory.clone())),
                    _ => None,
                };
                let (kept_branch, kept_root) = kept.unzip();
                Source::Git {
                    url: url.clone(),
                    branch: branch.clone().or(kept_branch.flatten()),
                    root_directory: root.clone().or(kept_root).unwrap_or_else(top),
                }
            }
        }
    }

    /// Changes what the flags say, if they say anything; once more when someone else was quicker.
    async fn adjust(&self, session: &Session, mut service: Service, intent: &Intent) -> Result<Service, ClientError> {
        for last in [false, true] {
            let source = self.source(intent, Some(&service.source));
            let settings = self.settings.apply(service.settings.clone());
            let mut ask = UpdateService::default();
            if source != service.source {
                session
                    .output
                    .note(&format!("the service now comes from {}", clean(&words(&source))));
                ask.source = Some(source);
            }
            if settings != service.settings {
                ask.settings = Some(settings);
            }
            if ask.source.is_none() && ask.settings.is_none() {
                return Ok(service);
            }
            match session.api.update_service(service.id, service.version, &ask).await {
                Err(ClientError::Refused(problem)) if problem.status == 412 && !last => {
                    service = session.api.service(service.id).await?;
                }
                other => return other,
            }
        }
        Ok(service)
    }
}

/// A source in words.
fn words(source: &Source) -> String {
    match source {
        Source::Git {
            url,
            branch: Some(branch),
            ..
        } => format!("{url}, {branch}"),
        Source::Git { url, branch: None, .. } => url.to_string(),
        Source::Upload { .. } => "uploads".to_owned(),
        Source::Image { reference } => format!("the image {reference}"),
    }
}

async fn project_called(session: &Session, name: &Slug) -> Result<Project, ClientError> {
    if let Some(project) = session.api.project_named(name).await? {
        return Ok(project);
    }
    match session.api.create_project(name).await {
        Ok(project) => {
            session.output.note(&format!("created project {name}"));
            Ok(project)
        }
        Err(error) => after_race(error, session.api.project_named(name).await?),
    }
}

/// Someone else made the same at the same time: theirs is as good.
fn after_race<T>(error: ClientError, found: Option<T>) -> Result<T, ClientError> {
    match (&error, found) {
        (ClientError::Refused(problem), Some(theirs)) if problem.status == 409 => Ok(theirs),
        _ => Err(error),
    }
}
