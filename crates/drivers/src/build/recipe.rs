//! From a request to what BuildKit is told: the frontend, its options, and the mounts that it may read.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
};

use domain::{
    SecretText,
    ports::builder::{BuildError, BuildRequest, Recipe},
};
use ring::digest::{SHA256, digest};
use serde_json::json;

use super::{
    dockerfile::{self, Neutral},
    files::{Mount, pattern::ignore_lines},
};

/// The mount with the application's files.
const CONTEXT: &str = "context";

/// The mount with the Dockerfile or the plan.
const DOCKERFILE: &str = "dockerfile";

/// Build arguments that mean something to BuildKit itself, which is not the application's to say.
const RESERVED: [&str; 3] = [
    "BUILDKIT_SYNTAX",
    "BUILDKIT_CACHE_MOUNT_NS",
    "BUILDKIT_SANDBOX_HOSTNAME",
];

/// What begins the name of the secret by which a build of Railpack's is told from all before it.
const ANEW_PREFIX: &str = "CLICK_DEPLOY_ANEW_";

/// What BuildKit is told.
pub(super) struct Plan {
    /// `dockerfile.v0` or `gateway.v0`.
    pub(super) frontend: &'static str,
    /// Its options.
    pub(super) options: HashMap<String, String>,
    /// Secrets of ours, beside those of the request.
    pub(super) secrets: BTreeMap<String, SecretText>,
    /// What it may read.
    pub(super) mounts: HashMap<&'static str, Mount>,
    /// What a person should know.
    pub(super) notices: Vec<String>,
    /// What a `# syntax` line named that was not followed.
    pub(super) syntax: Option<String>,
}

impl Plan {
    fn add_arguments(&mut self, arguments: &BTreeMap<String, String>) {
        for (name, value) in arguments {
            if RESERVED.contains(&name.as_str()) {
                self.notices.push(format!(
                    "the build argument `{name}` is the builder's own and is left out"
                ));
            } else {
                self.options.insert(format!("build-arg:{name}"), value.clone());
            }
        }
    }
}

/// Reads a request. `merges_layers` says whether the builder can do what Railpack's plans need.
pub(super) async fn plan(request: &BuildRequest, merges_layers: bool) -> Result<Plan, BuildError> {
    match &request.recipe {
        Recipe::Dockerfile {
            path,
            target,
            arguments,
        } => {
            let text = dockerfile::read(&request.context, path)
                .await?
                .ok_or_else(|| BuildError::Invalid(format!("there is no Dockerfile at `{path}`")))?;
            let neutral = dockerfile::neutral(&text)?;
            let ignored = dockerfile::read(&request.context, &format!("{path}.dockerignore")).await?;
            let mut plan = from_dockerfile(request, neutral, ignored, Vec::new());
            if let Some(target) = target {
                plan.options.insert("target".to_owned(), target.clone());
            }
            plan.add_arguments(arguments);
            Ok(plan)
        }
        Recipe::Planned {
            dockerfile,
            dockerignore,
            arguments,
        } => {
            let neutral = dockerfile::neutral(dockerfile)?;
            let own = tokio::fs::symlink_metadata(request.context.join(".dockerignore"))
                .await
                .is_ok();
            let exclude = match dockerignore {
                Some(text) if !own => ignore_lines(text),
                _ => Vec::new(),
            };
            let mut plan = from_dockerfile(request, neutral, None, exclude);
            plan.add_arguments(arguments);
            Ok(plan)
        }
        Recipe::Railpack { plan, frontend_image } if merges_layers => {
            from_railpack(request, plan, frontend_image).await
        }
        Recipe::Railpack { .. } => Err(BuildError::Invalid(
            "Railpack's plans need a BuildKit of their own (BUILDKIT_HOST): Docker Engine's cannot merge layers"
                .to_owned(),
        )),
    }
}

fn from_dockerfile(request: &BuildRequest, file: Neutral, ignored: Option<String>, exclude: Vec<String>) -> Plan {
    let mut options = HashMap::from([
        ("filename".to_owned(), "Dockerfile".to_owned()),
        // Without it, `RUN --mount=type=cache` would share its folders with every other service.
        (
            "build-arg:BUILDKIT_CACHE_MOUNT_NS".to_owned(),
            cache_name(&request.cache_key),
        ),
    ]);
    for (name, value) in &request.labels {
        options.insert(format!("label:{name}"), value.clone());
    }
    if request.no_cache {
        options.insert("no-cache".to_owned(), String::new());
    }
    let mut notices = Vec::new();
    if let Some(syntax) = &file.syntax {
        notices.push(format!(
            "`# syntax={syntax}` is left to the Dockerfile frontend that is built into the builder"
        ));
    }
    let mut texts = vec![("Dockerfile".to_owned(), file.text.into_bytes().into())];
    if let Some(text) = ignored {
        texts.push(("Dockerfile.dockerignore".to_owned(), text.into_bytes().into()));
    }
    Plan {
        frontend: "dockerfile.v0",
        options,
        secrets: BTreeMap::new(),
        mounts: HashMap::from([(CONTEXT, context(request, exclude)), (DOCKERFILE, Mount::Texts(texts))]),
        notices,
        syntax: file.syntax,
    }
}

async fn from_railpack(request: &BuildRequest, plan: &str, frontend_image: &str) -> Result<Plan, BuildError> {
    let mut plan = Cow::Borrowed(plan);
    let mut secrets = BTreeMap::new();
    let mut salt = String::new();
    if request.no_cache {
        // The frontend knows no way to build anew. But every command gets every secret, and the names of those are a part
        // of what its result is known by: with a name that never was, all of them run again.
        salt = super::random_name();
        let name = format!("{ANEW_PREFIX}{salt}");
        plan = with_secret(&plan, &name)?.into();
        secrets.insert(name, SecretText::new("1"));
    }
    let own = tokio::fs::symlink_metadata(request.context.join(".dockerignore"))
        .await
        .is_ok();
    let exclude = if own { Vec::new() } else { vec![".git".to_owned()] };
    Ok(Plan {
        frontend: "gateway.v0",
        options: HashMap::from([
            ("source".to_owned(), frontend_image.to_owned()),
            (
                "build-arg:cache-key".to_owned(),
                cache_name(&format!("{}{salt}", request.cache_key)),
            ),
            (
                "build-arg:secrets-hash".to_owned(),
                secrets_hash(&request.secrets, &salt),
            ),
        ]),
        secrets,
        mounts: HashMap::from([
            (CONTEXT, context(request, exclude)),
            (
                DOCKERFILE,
                Mount::Texts(vec![("railpack-plan.json".to_owned(), plan.as_bytes().into())]),
            ),
        ]),
        notices: Vec::new(),
        syntax: None,
    })
}

/// A plan of Railpack's whose commands get one secret more.
fn with_secret(plan: &str, name: &str) -> Result<String, BuildError> {
    let invalid = || BuildError::Invalid("Railpack's plan is not what its frontend reads".to_owned());
    let mut plan: serde_json::Value = serde_json::from_str(plan).map_err(|_| invalid())?;
    let names = plan
        .as_object_mut()
        .and_then(|plan| plan.entry("secrets").or_insert_with(|| json!([])).as_array_mut());
    names.ok_or_else(invalid)?.push(json!(name));
    Ok(plan.to_string())
}

fn context(request: &BuildRequest, exclude: Vec<String>) -> Mount {
    Mount::Directory {
        root: request.context.clone(),
        exclude,
    }
}

/// The cache's name as BuildKit gets it: of one length and plain characters, whatever the key is.
pub(super) fn cache_name(key: &str) -> String {
    let hash = digest(&SHA256, key.as_bytes());
    hex::encode(&hash.as_ref()[..16])
}

/// What changes when a secret does, in the order of their names.
fn secrets_hash(secrets: &BTreeMap<String, SecretText>, salt: &str) -> String {
    let mut text = salt.to_owned();
    for (name, value) in secrets {
        text.push_str(&format!(
            "{}:{name}={}:{}\n",
            name.len(),
            value.expose().len(),
            value.expose()
        ));
    }
    hex::encode(digest(&SHA256, text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(recipe: Recipe) -> (tempfile::TempDir, BuildRequest) {
        let root = tempfile::tempdir().unwrap();
        let request = BuildRequest {
            context: root.path().to_owned(),
            recipe,
            secrets: BTreeMap::new(),
            cache_key: "service\n1".to_owned(),
            image_name: "click-deploy/a:b".to_owned(),
            labels: BTreeMap::from([("a".to_owned(), "b".to_owned())]),
            no_cache: true,
        };
        (root, request)
    }

    fn texts(plan: &Plan) -> Vec<&str> {
        match &plan.mounts[DOCKERFILE] {
            Mount::Texts(texts) => texts.iter().map(|(name, _)| name.as_str()).collect(),
            Mount::Directory { .. } => Vec::new(),
        }
    }

    fn excluded(plan: &Plan) -> &[String] {
        match &plan.mounts[CONTEXT] {
            Mount::Directory { exclude, .. } => exclude,
            Mount::Texts(_) => &[],
        }
    }

    #[tokio::test]
    async fn an_application_s_dockerfile_is_served_under_one_name_whatever_it_is_called() {
        let (root, request) = request(Recipe::Dockerfile {
            path: "--odd name;$(x).Dockerfile".to_owned(),
            target: Some("stage".to_owned()),
            arguments: BTreeMap::from([
                ("A".to_owned(), "1".to_owned()),
                ("BUILDKIT_SYNTAX".to_owned(), "evil".to_owned()),
            ]),
        });
        assert!(matches!(plan(&request, false).await, Err(BuildError::Invalid(_))));
        std::fs::write(root.path().join("--odd name;$(x).Dockerfile"), "FROM scratch").unwrap();
        std::fs::write(root.path().join("--odd name;$(x).Dockerfile.dockerignore"), "x").unwrap();
        let plan = plan(&request, false).await.unwrap();
        assert_eq!(texts(&plan), ["Dockerfile", "Dockerfile.dockerignore"]);
        assert_eq!(plan.options["target"], "stage");
        assert_eq!(plan.options["build-arg:A"], "1");
        assert_eq!(plan.options["label:a"], "b");
        assert_eq!(plan.options["no-cache"], "");
        assert!(!plan.options.contains_key("build-arg:BUILDKIT_SYNTAX"));
        assert_eq!(plan.notices.len(), 1);
    }

    #[tokio::test]
    async fn a_planned_ignore_list_gives_way_to_the_application_s_own() {
        let (root, request) = request(Recipe::Planned {
            dockerfile: "FROM scratch".to_owned(),
            dockerignore: Some("# all\nnode_modules\n".to_owned()),
            arguments: BTreeMap::from([("B".to_owned(), "2".to_owned())]),
        });
        let planned = plan(&request, false).await.unwrap();
        assert_eq!(excluded(&planned), ["node_modules"]);
        assert_eq!(planned.options["build-arg:B"], "2");
        std::fs::write(root.path().join(".dockerignore"), "other").unwrap();
        assert!(excluded(&plan(&request, false).await.unwrap()).is_empty());
    }

    #[tokio::test]
    async fn railpack_needs_a_builder_that_merges_layers_and_a_hash_of_its_secrets() {
        let (_root, mut request) = request(Recipe::Railpack {
            plan: "{}".to_owned(),
            frontend_image: "registry/frontend:1".to_owned(),
        });
        assert!(matches!(plan(&request, false).await, Err(BuildError::Invalid(_))));
        request.no_cache = false;
        request.secrets.insert("A".to_owned(), SecretText::new("1"));
        let first = plan(&request, true).await.unwrap();
        assert_eq!(texts(&first), ["railpack-plan.json"]);
        assert_eq!(railpack_plan(&first), "{}");
        assert!(first.secrets.is_empty());
        assert_eq!(first.options["source"], "registry/frontend:1");
        request.secrets.insert("A".to_owned(), SecretText::new("2"));
        let second = plan(&request, true).await.unwrap();
        assert_ne!(
            first.options["build-arg:secrets-hash"],
            second.options["build-arg:secrets-hash"]
        );
        assert_eq!(
            first.options["build-arg:cache-key"],
            second.options["build-arg:cache-key"]
        );
    }

    fn railpack_plan(plan: &Plan) -> String {
        match &plan.mounts[DOCKERFILE] {
            Mount::Texts(texts) => String::from_utf8(texts[0].1.to_vec()).unwrap(),
            Mount::Directory { .. } => String::new(),
        }
    }

    #[tokio::test]
    async fn railpack_builds_anew_by_a_secret_that_never_was() {
        let recipe = |plan: &str| Recipe::Railpack {
            plan: plan.to_owned(),
            frontend_image: "registry/frontend:1".to_owned(),
        };
        for (text, others) in [(r#"{"steps":[]}"#, vec![]), (r#"{"secrets":["A"]}"#, vec!["A"])] {
            let (_root, request) = request(recipe(text));
            let [first, second] = [plan(&request, true).await.unwrap(), plan(&request, true).await.unwrap()];
            let name = first.secrets.keys().next().unwrap();
            assert_eq!((first.secrets.len(), second.secrets.contains_key(name)), (1, false));
            let told: serde_json::Value = serde_json::from_str(&railpack_plan(&first)).unwrap();
            assert_eq!(told["secrets"], json!([others, vec![name.as_str()]].concat()));
            // Package managers' downloads are not taken either.
            assert_ne!(
                first.options["build-arg:cache-key"],
                second.options["build-arg:cache-key"]
            );
        }
        for broken in ["", "[]", r#"{"secrets":1}"#] {
            let (_root, request) = request(recipe(broken));
            assert!(
                matches!(plan(&request, true).await, Err(BuildError::Invalid(_))),
                "{broken}"
            );
        }
    }
}
