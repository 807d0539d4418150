//! What serves a Python application.

use crate::{
    Refusal,
    command::{Command, is_variable_name, words},
    python::{
        dependencies::Names,
        django::{self, Django},
        source,
    },
    survey::Survey,
    tree::{Tree, is_plain_path, join},
};

/// How the application runs.
#[derive(Clone, Debug)]
pub(crate) struct Serving {
    pub(crate) framework: Option<&'static str>,
    pub(crate) start: Command,
    /// Servers that the application does not bring along.
    pub(crate) added: Vec<&'static str>,
    pub(crate) port: Option<u16>,
    /// The `manage.py` that is to collect files for pages in the build.
    pub(crate) collects_static_files: Option<String>,
}

/// The framework by what is depended on, for the screen.
fn label(names: &Names, is_django: bool) -> Option<&'static str> {
    let known = [
        ("fastapi", "FastAPI"),
        ("flask", "Flask"),
        ("python-fasthtml", "FastHTML"),
        ("starlette", "Starlette"),
        ("litestar", "Litestar"),
        ("quart", "Quart"),
        ("streamlit", "Streamlit"),
        ("gradio", "Gradio"),
        ("aiohttp", "aiohttp"),
        ("sanic", "Sanic"),
        ("tornado", "Tornado"),
        ("bottle", "Bottle"),
    ];
    if is_django {
        return Some("Django");
    }
    known.iter().find(|(name, _)| names.has(name)).map(|(_, shown)| *shown)
}

/// Programs that are run as they are, in the order in which they are looked for.
const SCRIPTS: &[&str] = &[
    "main.py",
    "app.py",
    "server.py",
    "run.py",
    "wsgi.py",
    "index.py",
    "bot.py",
    "api.py",
    "src/main.py",
    "src/app.py",
    "app/main.py",
    "__main__.py",
];

/// Servers that a start command may call, and the packages that have them.
const SERVERS: &[(&str, &str)] = &[
    ("gunicorn", "gunicorn"),
    ("uvicorn", "uvicorn"),
    ("hypercorn", "hypercorn"),
    ("daphne", "daphne"),
    ("waitress-serve", "waitress"),
];

const WSGI: &[&str] = &["Flask"];
const ASGI: &[&str] = &["FastAPI", "FastHTML", "Starlette", "Litestar", "Quart"];

/// `program` is the one program that the application installs when it is a package.
pub(crate) fn choose(survey: &mut Survey<'_>, names: &Names, program: Option<&str>) -> Result<Serving, Refusal> {
    let tree = survey.tree;
    // A folder below is Django's only where the application depends on it.
    let folder = django::folder(tree).filter(|folder| folder.is_empty() || names.has("django"));
    let is_django = folder.is_some();
    let framework = label(names, is_django);
    if let Some(framework) = framework {
        survey.fact(
            "framework",
            framework,
            &match &folder {
                Some(folder) => join(folder, "manage.py"),
                None => "the dependencies".to_owned(),
            },
        );
    }
    let django = folder.map(|folder| django::read(tree, &folder));
    let collects = django.as_ref().filter(|django| tell_django(survey, django, names));
    let collects_static_files = collects.map(|django| join(&django.folder, "manage.py"));
    let serving = |start, added, port| Serving {
        framework,
        start,
        added,
        port,
        collects_static_files: collects_static_files.clone(),
    };

    if let Some(start) = survey.start_override()? {
        let start = start.without_runner();
        let port = start.literal_port().or_else(|| port_of_script(survey, &start));
        let server = SERVERS.iter().find(|(program, _)| start.names(program));
        let added = server.map_or_else(Vec::new, |(_, package)| added(survey, names, package));
        return Ok(serving(start, added, port));
    }
    if let Some(django) = &django {
        let (start, added) = start_django(survey, django, names)?;
        return Ok(serving(start, added, None));
    }
    if names.has("streamlit")
        && let Some(path) = streamlit(survey)
    {
        let start = format!(
            "streamlit run {path} --server.port ${{PORT:-8501}} --server.address 0.0.0.0 --server.headless true"
        );
        survey.fact("start command", &start, &path);
        return Ok(serving(Command::parse(&start, "streamlit")?, Vec::new(), None));
    }
    if let Some(found) = source::find(tree, ASGI).filter(|found| !django::is_entry(found)) {
        let added = added(survey, names, "uvicorn");
        let folder = found
            .folder
            .map(|folder| format!(" --app-dir {folder}"))
            .unwrap_or_default();
        let (target, factory) = found
            .target
            .strip_suffix("()")
            .map_or((found.target.as_str(), ""), |t| (t, " --factory"));
        let start = format!("uvicorn {target}{factory}{folder} --host 0.0.0.0 --port ${{PORT:-8000}}");
        survey.fact(
            "start command",
            &start,
            &format!("the application object in {}", found.path),
        );
        return Ok(serving(Command::parse(&start, "uvicorn")?, added, None));
    }
    if let Some(found) = source::find(tree, WSGI) {
        let added = added(survey, names, "gunicorn");
        let folder = found
            .folder
            .map(|folder| format!(" --chdir {folder}"))
            .unwrap_or_default();
        let target = if found.target.ends_with(')') {
            format!("'{}'", found.target)
        } else {
            found.target.clone()
        };
        let start = format!("gunicorn{folder} --bind 0.0.0.0:${{PORT:-8000}} {target}");
        survey.fact(
            "start command",
            &start,
            &format!("the application object in {}", found.path),
        );
        return Ok(serving(Command::parse(&start, "gunicorn")?, added, None));
    }
    if let Some(path) = tree.first_file(SCRIPTS) {
        let start = format!("python {path}");
        survey.fact("start command", &start, path);
        let start = Command::parse(&start, path)?;
        let port = port_of_script(survey, &start);
        return Ok(serving(start, Vec::new(), port));
    }
    if let Some(program) = program {
        survey.fact("start command", program, "the scripts in pyproject.toml");
        return Ok(serving(
            Command::parse(program, "the scripts in pyproject.toml")?,
            Vec::new(),
            None,
        ));
    }
    if let Some(folder) = folder_with_main(tree) {
        let start = match is_variable_name(&folder) {
            true => format!("python -m {folder}"),
            false => format!("python {folder}"),
        };
        survey.fact("start command", &start, &format!("{folder}/__main__.py"));
        return Ok(serving(Command::parse(&start, &folder)?, Vec::new(), None));
    }
    let found: Vec<String> = tree
        .entries("")
        .into_iter()
        .filter(|entry| entry.name.ends_with(".py"))
        .take(10)
        .map(|entry| entry.name)
        .collect();
    Err(Refusal::NoStart {
        provider: "Python",
        looked_for:
            "web in the Procfile, manage.py (Django), an object made by Flask(), FastAPI(), Starlette(), Litestar() \
                     or Quart() in the usual files, main.py, app.py, server.py and run.py"
                .to_owned(),
        found: if found.is_empty() {
            "no Python file at the root".to_owned()
        } else {
            crate::tree::shown(&found.join(", "))
        },
        advice: match is_function(tree) {
            Some(path) => format!(
                "{path} has a function for AWS Lambda, which nothing calls here: add a server that does, or deploy it there."
            ),
            None => "Set the start command, such as `gunicorn --bind 0.0.0.0:$PORT module:app`, or add a Procfile."
                .to_owned(),
        },
    })
}

/// The server, if the application does not bring it along.
fn added(survey: &mut Survey<'_>, names: &Names, server: &'static str) -> Vec<&'static str> {
    if names.has(server) {
        return Vec::new();
    }
    survey.fact(
        "added dependency",
        server,
        "it serves the application and is not among the dependencies",
    );
    vec![server]
}

/// What users of Django should know; whether files are collected.
fn tell_django(survey: &mut Survey<'_>, django: &Django, names: &Names) -> bool {
    let manage = join(&django.folder, "manage.py");
    survey.tell_migrations(&format!("python {manage} migrate --noinput"));
    let is_off = survey.settings.is_on("DISABLE_COLLECTSTATIC");
    if !django.collects_static_files {
        return false;
    }
    if is_off {
        survey.fact("collectstatic", "not run", "the variable DISABLE_COLLECTSTATIC");
        return false;
    }
    survey.fact("collectstatic", "run in the build", "STATIC_ROOT in the settings");
    if !django::serves_files(names) {
        survey.warn(
            "STATIC_ROOT is set, but nothing serves the collected files when DEBUG is off. Add whitenoise to the \
             dependencies and its middleware to the settings.",
        );
    }
    true
}

fn start_django(
    survey: &mut Survey<'_>,
    django: &Django,
    names: &Names,
) -> Result<(Command, Vec<&'static str>), Refusal> {
    let asynchronous = names
        .has_any(&["daphne", "uvicorn", "hypercorn"])
        .filter(|_| !names.has("gunicorn"));
    let (text, because, server) = match (&django.wsgi, &django.asgi, asynchronous) {
        (_, Some((target, because)), Some("daphne")) => (
            format!("daphne -b 0.0.0.0 -p ${{PORT:-8000}} {target}"),
            because,
            "daphne",
        ),
        (_, Some((target, because)), Some("hypercorn")) => (
            format!("hypercorn --bind 0.0.0.0:${{PORT:-8000}} {target}"),
            because,
            "hypercorn",
        ),
        (_, Some((target, because)), Some(_)) | (None, Some((target, because)), None) => (
            format!("uvicorn {target} --host 0.0.0.0 --port ${{PORT:-8000}}"),
            because,
            "uvicorn",
        ),
        (Some((target, because)), _, _) => (
            format!("gunicorn --bind 0.0.0.0:${{PORT:-8000}} {target}"),
            because,
            "gunicorn",
        ),
        (None, None, _) => {
            return Err(Refusal::NoStart {
                provider: "Python",
                looked_for: "WSGI_APPLICATION in Django's settings, and a wsgi.py or asgi.py beside them".to_owned(),
                found: "manage.py only".to_owned(),
                advice: "Set the start command, such as `gunicorn --bind 0.0.0.0:$PORT project.wsgi`.".to_owned(),
            });
        }
    };
    let text = match (django.folder.as_str(), server) {
        ("", _) => text,
        (folder, "gunicorn") => text.replacen("gunicorn", &format!("gunicorn --chdir {folder}"), 1),
        (folder, "uvicorn") => text.replacen("uvicorn", &format!("uvicorn --app-dir {folder}"), 1),
        (folder, _) => format!("cd {folder} && {text}"),
    };
    survey.fact("start command", &text, because);
    let added = added(survey, names, server);
    Ok((Command::parse(&text, because)?, added))
}

/// The file with a function for AWS Lambda.
fn is_function(tree: &Tree) -> Option<&'static str> {
    let files = ["function.py", "lambda_function.py", "handler.py"];
    let has_handler = |path: &&str| tree.head(path).contains("(event, context)");
    files.into_iter().find(has_handler)
}

/// The only folder that Python can run as a program.
fn folder_with_main(tree: &Tree) -> Option<String> {
    let folders = tree.code_folders("").into_iter();
    let mut found = folders.filter(|folder| is_plain_path(folder) && tree.has_file(&join(folder, "__main__.py")));
    found.next().filter(|_| found.next().is_none())
}

/// The port that the script of a start command listens on, whatever `PORT` is.
fn port_of_script(survey: &mut Survey<'_>, start: &Command) -> Option<u16> {
    let mut words = words(start.text()).skip_while(|word| !word.starts_with("python"));
    words.next()?;
    let script = words.find(|word| !word.starts_with('-'))?;
    let path = script.strip_prefix("./").unwrap_or(script);
    if !path.ends_with(".py") || !is_plain_path(path) {
        return None;
    }
    let port = source::port(&survey.tree.head(path))?;
    let because = format!("{path} names it and does not look at PORT");
    survey.fact("port", &port.to_string(), &because);
    Some(port)
}

/// The script of a Streamlit application.
fn streamlit(survey: &Survey<'_>) -> Option<String> {
    let usual = [
        "streamlit_app.py",
        "app.py",
        "main.py",
        "Home.py",
        "src/streamlit_app.py",
        "src/app.py",
        "src/main.py",
    ];
    let found = usual.iter().find(|path| survey.tree.head(path).contains("streamlit"));
    found.map(|path| (*path).to_owned())
}
