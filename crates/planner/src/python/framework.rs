//! What serves a Python application.

use crate::{
    Refusal,
    command::{Command, words},
    python::{
        dependencies::Names,
        django::{self, Django},
        source,
    },
    survey::Survey,
    tree::is_plain_path,
};

/// How the application runs.
#[derive(Clone, Debug)]
pub(crate) struct Serving {
    pub(crate) framework: Option<&'static str>,
    pub(crate) start: Command,
    /// Servers that the application does not bring along.
    pub(crate) added: Vec<&'static str>,
    pub(crate) port: Option<u16>,
    /// Files for pages are to be collected in the build.
    pub(crate) collects_static_files: bool,
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
    let is_django = django::is_there(tree);
    let framework = label(names, is_django);
    if let Some(framework) = framework {
        survey.fact(
            "framework",
            framework,
            if is_django { "manage.py" } else { "the dependencies" },
        );
    }
    let django = is_django.then(|| django::read(tree));
    let collects_static_files = django.as_ref().is_some_and(|django| tell_django(survey, django, names));
    let serving = |start, added, port| Serving {
        framework,
        start,
        added,
        port,
        collects_static_files,
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
        advice: "Set the start command, such as `gunicorn --bind 0.0.0.0:$PORT module:app`, or add a Procfile."
            .to_owned(),
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
    survey.tell_migrations("python manage.py migrate --noinput");
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
    survey.fact("start command", &text, because);
    let added = added(survey, names, server);
    Ok((Command::parse(&text, because)?, added))
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
