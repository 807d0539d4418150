//! Images in a registry of the OCI distribution specification 1.1, spoken to by its HTTP API.
//!
//! Our own registry is whatever the operator configured, and may be anywhere. Any other host comes from a user, so it
//! is asked over HTTPS only, without credentials, and only at public addresses: see [`super::outside`].

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use domain::{
    SecretText,
    ports::image::{ImageError, ImageStore, LabelledImage, StoredImage},
};
use reqwest::{Method, Response, StatusCode};
use serde::Deserialize;

use super::{
    authorization::{self, Scope, Tokens},
    manifest::{self, Document},
    outside,
    reference::{self, DEFAULT_HOST, Reference},
};

/// The registry that really answers for `docker.io`.
const DEFAULT_HOST_API: &str = "registry-1.docker.io";

/// How we get at a registry.
#[derive(Debug, Clone)]
pub struct RegistryAccess {
    /// `host` or `host:port`, as in the images' names.
    pub host: String,
    /// Who we are there; nobody in particular when absent.
    pub username: Option<String>,
    /// The password or robot token that goes with it.
    pub password: Option<SecretText>,
    /// It speaks plain HTTP. A registry on a loopback address always may.
    pub plain_http: bool,
    /// What our images' names begin with, as in Harbor's projects.
    pub namespace: Option<String>,
}

impl RegistryAccess {
    /// A registry that asks for no credentials; plain HTTP when it is on a loopback address.
    #[must_use]
    pub fn anonymous(host: &str) -> Self {
        Self {
            host: host.to_owned(),
            username: None,
            password: None,
            plain_http: false,
            namespace: None,
        }
    }
}

/// A registry.
#[derive(Clone)]
pub struct Registry {
    access: RegistryAccess,
    own: reqwest::Client,
    outside: reqwest::Client,
    tokens: Arc<Tokens>,
}

impl Registry {
    /// The registry that our images go to. Nothing is asked yet.
    ///
    /// # Errors
    /// [`ImageError::Other`] when there is no such host name, or this machine has no certificates to trust.
    pub fn new(access: RegistryAccess) -> Result<Self, ImageError> {
        if Reference::parse(&format!("{}/x", access.host)).is_none_or(|parsed| parsed.host != access.host) {
            return Err(ImageError::Other(format!(
                "a registry is `host` or `host:port`, not `{}`",
                access.host
            )));
        }
        Ok(Self {
            own: outside::unguarded_client()?,
            outside: outside::guarded_client()?,
            tokens: Arc::default(),
            access,
        })
    }

    fn is_own(&self, host: &str) -> bool {
        host == self.access.host
    }

    /// Asks a registry, with a token when it wants one.
    async fn ask(&self, method: Method, at: &Reference, path: &str) -> Result<Response, ImageError> {
        let is_own = self.is_own(&at.host);
        let plain = is_own && (self.access.plain_http || outside::is_loopback(&at.host));
        let host = if at.host == DEFAULT_HOST {
            DEFAULT_HOST_API
        } else {
            &at.host
        };
        if !is_own {
            outside::check_host(host)?;
        }
        let url = format!(
            "{}://{host}/v2/{}{path}",
            if plain { "http" } else { "https" },
            at.repository
        );
        let scope = Scope {
            host: at.host.clone(),
            repository: at.repository.clone(),
            actions: if method == Method::DELETE {
                "delete,pull"
            } else {
                "pull"
            },
        };
        let client = if is_own { &self.own } else { &self.outside };
        let access = is_own.then_some(&self.access);
        let name = at.with_version();
        let send = |authorization: Option<String>| {
            let request = client
                .request(method.clone(), &url)
                .header(http::header::ACCEPT, manifest::ACCEPTED);
            match authorization {
                Some(value) => request.header(http::header::AUTHORIZATION, value),
                None => request,
            }
            .send()
        };
        let answer = send(self.tokens.known(&scope)).await.map_err(unreachable)?;
        if answer.status() != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        let challenge = authorization::challenge(answer.headers()).ok_or_else(|| ImageError::Denied(name.clone()))?;
        let value = self
            .tokens
            .obtain(client, &challenge, &scope, access)
            .await?
            .ok_or_else(|| ImageError::Denied(name.clone()))?;
        send(Some(value)).await.map_err(unreachable)
    }

    async fn manifest(&self, at: &Reference, version: &str) -> Result<Document, ImageError> {
        let answer = self.ask(Method::GET, at, &format!("/manifests/{version}")).await?;
        let answer = check(answer, &at.with_version()).await?;
        let named = digest_header(&answer);
        let body = manifest::read_limited(answer, manifest::MANIFEST_LIMIT).await?;
        Document::read(&body, named).ok_or_else(|| ImageError::Other("it answered with what is no manifest".to_owned()))
    }

    /// The manifest of this machine's kind, when the one at hand lists several.
    async fn of_this_machine(&self, at: &Reference, document: Document) -> Result<Document, ImageError> {
        match document.for_this_machine() {
            Some(child) => self.manifest(at, &child).await,
            None => Ok(document),
        }
    }

    fn was_built_here(&self, at: &Reference) -> bool {
        let path = match &self.access.namespace {
            Some(namespace) => at.repository.strip_prefix(&format!("{namespace}/")),
            None => Some(at.repository.as_str()),
        };
        path.is_some_and(reference::is_own_path)
    }

    /// An image of our own registry, with its size.
    async fn look_up(&self, at: &Reference) -> Result<StoredImage, ImageError> {
        let document = self.manifest(at, at.version()).await?;
        let digest = document.digest.clone();
        let size_bytes = self.of_this_machine(at, document).await?.size_bytes();
        Ok(StoredImage {
            reference: format!("{}@{digest}", at.name()),
            digest,
            size_bytes,
        })
    }

    fn parse(reference: &str) -> Result<Reference, ImageError> {
        Reference::parse(reference).ok_or_else(|| ImageError::Missing(reference.to_owned()))
    }
}

pub(super) fn unreachable(error: reqwest::Error) -> ImageError {
    // The address may hold what a registry's redirect put into it.
    ImageError::Unreachable(Box::new(error.without_url()))
}

fn digest_header(answer: &Response) -> Option<String> {
    let value = answer.headers().get("docker-content-digest")?.to_str().ok()?;
    manifest::is_digest(value).then(|| value.to_owned())
}

/// Passes a good answer on; what a bad one means.
async fn check(answer: Response, name: &str) -> Result<Response, ImageError> {
    let status = answer.status();
    match status {
        status if status.is_success() => Ok(answer),
        StatusCode::NOT_FOUND => Err(ImageError::Missing(name.to_owned())),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(ImageError::Denied(name.to_owned())),
        StatusCode::TOO_MANY_REQUESTS => Err(ImageError::Unreachable("the registry asks for fewer requests".into())),
        status if status.is_server_error() => Err(ImageError::Unreachable(
            format!("the registry answered {status}").into(),
        )),
        status => {
            let said = manifest::read_limited(answer, manifest::ERROR_LIMIT)
                .await
                .unwrap_or_default();
            Err(ImageError::Other(words_of(&said).unwrap_or_else(|| status.to_string())))
        }
    }
}

/// The first message of an error answer.
fn words_of(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Errors {
        errors: Vec<Said>,
    }
    #[derive(Deserialize)]
    struct Said {
        message: String,
    }
    let errors: Errors = serde_json::from_slice(body).ok()?;
    Some(errors.errors.into_iter().next()?.message)
}

#[async_trait]
impl ImageStore for Registry {
    fn name_for(&self, organization: &str, project: &str, service: &str, tag: &str) -> String {
        let path = reference::own_path(organization, project, service, tag);
        match &self.access.namespace {
            Some(namespace) => format!("{}/{namespace}/{path}", self.access.host),
            None => format!("{}/{path}", self.access.host),
        }
    }

    async fn resolve(&self, reference: &str) -> Result<StoredImage, ImageError> {
        let at = Self::parse(reference)?;
        if self.is_own(&at.host) {
            if self.was_built_here(&at) {
                return Err(ImageError::Missing(reference.to_owned()));
            }
            return self.look_up(&at).await;
        }
        // A HEAD does not count against a public registry's limits.
        let answer = self
            .ask(Method::HEAD, &at, &format!("/manifests/{}", at.version()))
            .await?;
        let answer = check(answer, reference).await?;
        let digest = match digest_header(&answer) {
            Some(digest) => digest,
            None => self.manifest(&at, at.version()).await?.digest,
        };
        Ok(StoredImage {
            reference: format!("{}@{digest}", at.name()),
            digest,
            size_bytes: 0,
        })
    }

    async fn resolve_own(&self, name: &str) -> Result<Option<StoredImage>, ImageError> {
        let at = Self::parse(name)?;
        if !self.is_own(&at.host) {
            return Ok(None);
        }
        match self.look_up(&at).await {
            Ok(found) => Ok(Some(found)),
            Err(ImageError::Missing(_)) => Ok(None),
            Err(other) => Err(other),
        }
    }

    async fn built(&self, _labels: &BTreeMap<String, String>) -> Result<Vec<LabelledImage>, ImageError> {
        Ok(Vec::new())
    }

    async fn exists(&self, image: &StoredImage) -> Result<bool, ImageError> {
        let at = Self::parse(&image.reference)?;
        let answer = self
            .ask(Method::HEAD, &at, &format!("/manifests/{}", image.digest))
            .await?;
        match check(answer, &image.reference).await {
            Ok(_) => Ok(true),
            Err(ImageError::Missing(_)) => Ok(false),
            Err(other) => Err(other),
        }
    }

    async fn remove(&self, image: &StoredImage) -> Result<(), ImageError> {
        let at = Self::parse(&image.reference)?;
        if !self.is_own(&at.host) || !self.was_built_here(&at) {
            // Somebody else's image stays, in somebody else's registry and in ours.
            return Ok(());
        }
        let answer = self
            .ask(Method::DELETE, &at, &format!("/manifests/{}", image.digest))
            .await?;
        if answer.status() == StatusCode::METHOD_NOT_ALLOWED {
            return Err(ImageError::Other(
                "the registry does not allow deletion; allow it there (`storage.delete.enabled`), or images pile up"
                    .to_owned(),
            ));
        }
        match check(answer, &image.reference).await {
            Ok(_) | Err(ImageError::Missing(_)) => Ok(()),
            Err(other) => Err(other),
        }
    }

    async fn exposed_port(&self, image: &StoredImage) -> Result<Option<u16>, ImageError> {
        let at = Self::parse(&image.reference)?;
        let document = self.manifest(&at, &image.digest).await?;
        let document = self.of_this_machine(&at, document).await?;
        let Some(configuration) = document.configuration() else {
            return Ok(None);
        };
        let answer = self.ask(Method::GET, &at, &format!("/blobs/{configuration}")).await?;
        let answer = check(answer, &image.reference).await?;
        let body = manifest::read_limited(answer, manifest::CONFIGURATION_LIMIT).await?;
        Ok(manifest::exposed_port(&body))
    }

    async fn version(&self) -> Result<String, ImageError> {
        // The repository of no name is the registry itself.
        let root = Reference {
            host: self.access.host.clone(),
            repository: String::new(),
            tag: None,
            digest: None,
        };
        check(self.ask(Method::GET, &root, "").await?, &self.access.host).await?;
        Ok(format!("the registry at {}", self.access.host))
    }
}
