//! Python applications.

use crate::common::{fact, plan, refusal, settings, start, try_plan, with_variables};
use planner::Settings;

const FLASK: (&str, &str) = ("app.py", "from flask import Flask\napp = Flask(__name__)\n");

#[test]
fn flask_is_served_by_gunicorn_which_is_added_if_missing() {
    let without = plan(&[("requirements.txt", "Flask==3.0\n"), FLASK]);
    assert_eq!(
        (without.provider.as_str(), without.framework.as_deref(), without.port),
        ("python", Some("Flask"), None)
    );
    assert_eq!(without.base_images, ["python:3.13-slim"]);
    assert_eq!(start(&without), "exec gunicorn --bind 0.0.0.0:${PORT:-8000} app:app");
    assert!(
        without.dockerfile.contains("pip install -r requirements.txt gunicorn"),
        "{}",
        without.dockerfile
    );
    assert_eq!(fact(&without, "added dependency").0, "gunicorn");
    let with = plan(&[
        (
            "requirements.txt",
            "flask\ngunicorn[gevent]>=21 ; python_version > '3'\n",
        ),
        FLASK,
    ]);
    assert!(!with.dockerfile.contains("requirements.txt gunicorn"));
    let text = with.dockerfile;
    assert!(text.find("pip install").unwrap() < text.find("COPY --chown=10001:10001 . .").unwrap());
    assert!(text.contains("--mount=type=cache,id=k1-pip,target=/root/.cache/pip"));
}

#[test]
fn fastapi_is_served_by_uvicorn_wherever_its_object_is() {
    let started = |path: &str, text: &str| start(&plan(&[("requirements.txt", "fastapi[standard]"), (path, text)]));
    assert_eq!(
        started("main.py", "app = FastAPI()"),
        "exec uvicorn main:app --host 0.0.0.0 --port ${PORT:-8000}"
    );
    assert_eq!(
        started("app/main.py", "api = fastapi.FastAPI(title='x')"),
        "exec uvicorn app.main:api --host 0.0.0.0 --port ${PORT:-8000}"
    );
    assert_eq!(
        started("src/main.py", "app = FastAPI()"),
        "exec uvicorn main:app --app-dir src --host 0.0.0.0 --port ${PORT:-8000}"
    );
    assert_eq!(
        started("src/shop/app.py", "app = FastAPI()"),
        "exec uvicorn shop.app:app --app-dir src --host 0.0.0.0 --port ${PORT:-8000}"
    );
    assert_eq!(
        started("main.py", "def create_app():\n    return FastAPI()"),
        "exec uvicorn main:create_app --factory --host 0.0.0.0 --port ${PORT:-8000}"
    );
}

#[test]
fn a_flask_factory_and_a_wsgi_file_are_found() {
    let factory = plan(&[
        ("requirements.txt", "flask\ngunicorn"),
        ("shop/__init__.py", "def create_app():\n    app = Flask(__name__)\n"),
    ]);
    assert_eq!(
        start(&factory),
        "exec gunicorn --bind 0.0.0.0:${PORT:-8000} 'shop:create_app()'"
    );
    let wsgi = plan(&[
        ("requirements.txt", "flask\ngunicorn"),
        ("shop/__init__.py", "app = Flask(__name__)\n"),
        ("wsgi.py", "from shop import app as application\n"),
    ]);
    assert_eq!(
        start(&wsgi),
        "exec gunicorn --bind 0.0.0.0:${PORT:-8000} wsgi:application"
    );
}

const MANAGE: (&str, &str) = (
    "manage.py",
    "import os\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.settings')\n",
);

#[test]
fn django_collects_its_files_and_runs_no_migration() {
    let settings = with_variables(&[("DJANGO_SECRET_KEY", "hunter2")]);
    let files = [
        ("requirements.txt", "Django>=5\nwhitenoise\n"),
        MANAGE,
        (
            "shop/settings.py",
            "STATIC_ROOT = BASE_DIR / 'static'\nWSGI_APPLICATION = \"shop.wsgi.application\"\n",
        ),
        ("shop/wsgi.py", ""),
        ("package.json", "{}"),
    ];
    let plan = try_plan(&files, &settings).unwrap();
    assert_eq!(plan.framework.as_deref(), Some("Django"));
    assert_eq!(
        start(&plan),
        "exec gunicorn --bind 0.0.0.0:${PORT:-8000} shop.wsgi:application"
    );
    assert!(plan.dockerfile.contains("--mount=type=secret,id=DJANGO_SECRET_KEY"));
    assert!(
        plan.dockerfile.contains("python manage.py collectstatic --noinput"),
        "{}",
        plan.dockerfile
    );
    assert!(!plan.dockerfile.contains("migrate") && !plan.dockerfile.contains("hunter2"));
    assert_eq!(fact(&plan, "migrations").0, "not run");
    assert_eq!(fact(&plan, "package.json").0, "seen and not used");
    assert!(plan.warnings.is_empty(), "{:?}", plan.warnings);

    let off = with_variables(&[("DISABLE_COLLECTSTATIC", "1")]);
    assert!(!try_plan(&files, &off).unwrap().dockerfile.contains("collectstatic"));
}

#[test]
fn django_without_a_setting_is_served_by_the_file_beside_its_settings() {
    let manage = (
        "manage.py",
        "os.environ.setdefault(\n    \"DJANGO_SETTINGS_MODULE\",\n    \"config.settings.local\",\n)",
    );
    let plan = plan(&[
        ("requirements.txt", "django"),
        manage,
        ("config/settings/base.py", "STATIC_ROOT = 'x'\n"),
        ("config/settings/local.py", ""),
        ("config/wsgi.py", ""),
    ]);
    assert_eq!(
        start(&plan),
        "exec gunicorn --bind 0.0.0.0:${PORT:-8000} config.wsgi:application"
    );
    assert!(plan.dockerfile.contains("collectstatic"));
    assert!(plan.warnings.iter().any(|warning| warning.contains("whitenoise")));
    assert!(refusal(&[("requirements.txt", "django"), MANAGE]).contains("WSGI_APPLICATION"));
}

#[test]
fn requirements_that_include_others_bring_them_along() {
    let nested = plan(&[
        ("requirements.txt", "-r requirements/base.txt\n-c constraints.txt\n"),
        ("requirements/base.txt", "-r more.txt\nflask\n"),
        ("requirements/more.txt", "gunicorn\n"),
        ("constraints.txt", ""),
        FLASK,
    ]);
    let text = &nested.dockerfile;
    assert!(text.contains("COPY requirements.txt constraints.txt ./"), "{text}");
    assert!(text.contains("COPY requirements/base.txt ./requirements/base.txt"));
    assert!(text.contains("COPY requirements/more.txt ./requirements/more.txt"));
    assert!(!text.contains("requirements.txt gunicorn"));
    let local = plan(&[("requirements.txt", "-e .\nflask\n"), ("setup.py", ""), FLASK]);
    assert!(
        local.dockerfile.find("COPY --chown=10001:10001 . .").unwrap() < local.dockerfile.find("pip install").unwrap()
    );
    let outside = plan(&[
        ("requirements.txt", "-r ../../etc/passwd\n-r /etc/passwd\nflask\n"),
        FLASK,
    ]);
    assert!(!outside.dockerfile.contains("etc/passwd ./"));
    let cycle = plan(&[("requirements.txt", "-r requirements.txt\nflask"), FLASK]);
    assert!(cycle.dockerfile.contains("COPY requirements.txt ./"));
}

#[test]
fn uv_installs_the_locked_dependencies_before_the_source() {
    let project = "[project]\nname='shop'\nversion='1'\nrequires-python='>=3.11'\ndependencies=['fastapi','uvicorn']\n";
    let plain = plan(&[
        ("pyproject.toml", project),
        ("uv.lock", ""),
        ("main.py", "app = FastAPI()"),
    ]);
    let text = &plain.dockerfile;
    assert!(text.contains("COPY pyproject.toml uv.lock ./"), "{text}");
    assert!(text.contains("uv sync --frozen --no-dev --no-install-project"));
    assert!(text.contains("UV_PYTHON=3.13") && text.contains("UV_PYTHON_DOWNLOADS=never"));
    assert!(!text.contains("--locked"), "a folder of scripts is not installed");
    let package = format!("{project}[build-system]\nrequires=['hatchling']\n");
    let package = plan(&[
        ("pyproject.toml", &package),
        ("uv.lock", ""),
        ("main.py", "app = FastAPI()"),
    ]);
    assert!(
        package.dockerfile.contains("uv sync --locked --no-dev --inexact"),
        "{}",
        package.dockerfile
    );
}

#[test]
fn a_list_in_pyproject_is_installed_without_a_shell() {
    let project = "[project]\nname='shop'\nversion='1'\ndependencies=['flask>=3; python_version > \"3\"', '$(touch /evil)', '--index-url=x']\n";
    let plan = plan(&[("pyproject.toml", project), FLASK]);
    let line = plan.dockerfile.lines().find(|line| line.contains("\"pip\"")).unwrap();
    let words: Vec<String> = serde_json::from_str(line.trim()).unwrap();
    assert_eq!(words[..3], ["pip", "install", "--"]);
    assert_eq!(
        words[3..],
        [
            "flask>=3; python_version > \"3\"",
            "$(touch /evil)",
            "--index-url=x",
            "gunicorn"
        ]
    );
}

#[test]
fn poetry_and_pipenv_come_from_the_package_index_and_stay_out_of_the_image() {
    let poetry = "[tool.poetry]\nname='x'\n[tool.poetry.dependencies]\npython='^3.11'\nflask='*'\ngunicorn='*'\n[build-system]\nrequires=['poetry-core']\n";
    let poetry = plan(&[("pyproject.toml", poetry), ("poetry.lock", ""), FLASK]);
    assert!(
        poetry.dockerfile.contains("poetry export --only main"),
        "{}",
        poetry.dockerfile
    );
    assert!(poetry.dockerfile.contains("--mount=type=bind,from=tool"));
    let pipenv = plan(&[
        ("Pipfile", "[packages]\nflask='*'\n[requires]\npython_version='3.11'\n"),
        ("Pipfile.lock", "{}"),
        FLASK,
    ]);
    assert_eq!(pipenv.base_images, ["python:3.11-slim"]);
    assert!(pipenv.dockerfile.contains("pipenv requirements"));
}

#[test]
fn the_version_comes_from_the_first_place_that_names_one() {
    let version = |files: &[(&str, &str)]| {
        let mut all = vec![("requirements.txt", "flask"), FLASK];
        all.extend(files);
        let plan = plan(&all);
        (plan.base_images[0].clone(), plan.warnings.len())
    };
    assert_eq!(
        version(&[(".python-version", "3.11.4\n")]),
        ("python:3.11-slim".into(), 0)
    );
    assert_eq!(
        version(&[("runtime.txt", "python-3.11.9")]),
        ("python:3.11-slim".into(), 0)
    );
    assert_eq!(
        version(&[("pyproject.toml", "[project]\nrequires-python='<3.13'")]),
        ("python:3.12-slim".into(), 0)
    );
    assert_eq!(version(&[(".python-version", "3.12")]), ("python:3.12-slim".into(), 0));
    assert_eq!(version(&[(".python-version", "3.8")]), ("python:3.9-slim".into(), 2));
    assert_eq!(
        version(&[(".python-version", "pypy3.9")]),
        ("python:3.13-slim".into(), 1)
    );
    let chosen = with_variables(&[("CLICK_DEPLOY_PYTHON_VERSION", "3.11")]);
    assert_eq!(
        try_plan(&[("requirements.txt", ""), FLASK], &chosen)
            .unwrap()
            .base_images,
        ["python:3.11-slim"]
    );
}

#[test]
fn what_has_to_be_compiled_is_compiled_elsewhere_and_finds_its_libraries() {
    let plan = plan(&[("requirements.txt", "flask\ngunicorn\npsycopg2==2.9\n"), FLASK]);
    assert_eq!(plan.base_images, ["python:3.13", "python:3.13-slim"]);
    assert!(
        plan.dockerfile.contains("--no-install-recommends libpq5"),
        "{}",
        plan.dockerfile
    );
    assert!(plan.dockerfile.contains("COPY --from=install /opt/venv /opt/venv"));
    assert_eq!(
        crate::common::plan(&[("requirements.txt", "psycopg2-binary"), FLASK]).base_images,
        ["python:3.13-slim"]
    );
}

#[test]
fn streamlit_and_scripts_are_started_as_they_are() {
    let streamlit = plan(&[("requirements.txt", "streamlit"), ("app.py", "import streamlit as st")]);
    assert!(start(&streamlit).starts_with("exec streamlit run app.py --server.port ${PORT:-8501}"));
    let script = plan(&[("main.py", "from http.server import *\nserve(port=9000)\n")]);
    assert_eq!(
        (start(&script), script.port),
        ("exec python main.py".into(), Some(9000))
    );
}

#[test]
fn the_procfile_and_the_settings_win_and_runners_are_taken_off() {
    let files = [
        ("requirements.txt", "flask"),
        FLASK,
        (
            "Procfile",
            "release: pipenv run python migrate.py\nweb: poetry run gunicorn app:app -b :$PORT\n",
        ),
    ];
    let from_procfile = plan(&files);
    assert_eq!(start(&from_procfile), "exec gunicorn app:app -b :$PORT");
    assert_eq!(from_procfile.release_command.as_deref(), Some("python migrate.py"));
    let settings = Settings {
        start_command: Some("python x.py".into()),
        ..settings()
    };
    assert_eq!(start(&try_plan(&files, &settings).unwrap()), "exec python x.py");
}

#[test]
fn a_pyproject_for_a_linter_leaves_a_node_application_alone() {
    let files = [
        ("pyproject.toml", "[tool.ruff]\nline-length=1\n"),
        ("package.json", r#"{"main":"a.js"}"#),
        ("a.js", ""),
    ];
    assert_eq!(plan(&files).provider, "node");
}

#[test]
fn requirements_in_utf_16_are_read() {
    let folder = crate::common::app(&[FLASK]);
    let text: Vec<u8> = [0xFF, 0xFE]
        .into_iter()
        .chain("flask\r\ngunicorn\r\n".encode_utf16().flat_map(u16::to_le_bytes))
        .collect();
    std::fs::write(folder.path().join("requirements.txt"), text).unwrap();
    let plan = crate::common::plan_at(folder.path()).unwrap();
    assert!(!plan.dockerfile.contains("requirements.txt gunicorn"));
}

#[test]
fn nothing_to_start_is_refused_with_what_was_looked_for() {
    let words = refusal(&[("requirements.txt", "flask"), ("helpers.py", "")]);
    assert!(
        words.contains("Procfile") && words.contains("helpers.py") && words.contains("start command"),
        "{words}"
    );
}

#[test]
fn what_an_environment_of_conda_lists_is_installed_from_pythons_index() {
    let environment = "name: shop\nchannels:\n  - conda-forge\ndependencies:\n  - python=3.12\n  - conda-forge::flask=3.0=py_0 # web\n  - numpy>=1.2\n  - pip\n  - pip:\n      - gunicorn==23.0\n  - pytorch\nprefix: /x\n";
    let planned = plan(&[
        ("environment.yml", environment),
        ("app.py", "from flask import Flask\napp = Flask(__name__)\n"),
    ]);
    assert_eq!(planned.provider, "python");
    assert_eq!(planned.base_images, ["python:3.12-slim"]);
    assert!(
        planned
            .dockerfile
            .contains(r#""--","flask==3.0.*","numpy>=1.2","gunicorn==23.0","torch"]"#),
        "{}",
        planned.dockerfile
    );
    assert_eq!(fact(&planned, "python version").1, "environment.yml asks for ==3.12.*");
    assert!(planned.warnings[0].contains("Conda is not used"));
    let option = "dependencies:\n- pip:\n  - -r x.txt\n";
    assert!(refusal(&[("environment.yml", option), ("app.py", "")]).contains("requirements.txt"));
    // Beside another language it is for something else.
    let other = plan(&[
        ("environment.yml", environment),
        ("package.json", r#"{"scripts": {"start": "node ."}}"#),
    ]);
    assert_eq!(other.provider, "node");
}

#[test]
fn packages_in_the_repository_are_taken_from_there() {
    let planned = plan(&[
        ("requirements.txt", "flask\n"),
        ("vendor/flask-3.0-py3-none-any.whl", ""),
        ("vendor/markupsafe-2-cp311-cp311-manylinux_2_17_x86_64.whl", ""),
        FLASK,
    ]);
    let text = &planned.dockerfile;
    assert!(text.contains("COPY vendor ./vendor\n"), "{text}");
    assert!(
        text.contains(
            "{ pip install --no-index --find-links vendor -r requirements.txt gunicorn || pip install --find-links vendor -r \
             requirements.txt gunicorn; }"
        ),
        "{text}"
    );
    assert_eq!(
        fact(&planned, "python version"),
        (
            "3.11",
            "vendor holds packages that are ready-made for 3.11, not for 3.13"
        )
    );
}

#[test]
fn pdm_installs_what_its_lock_file_says() {
    let project = "[project]\nname = \"shop\"\ndependencies = [\"flask\"]\n";
    let planned = plan(&[
        ("pyproject.toml", project),
        ("pdm.lock", "[[package]]\nname = \"flask\"\n"),
        FLASK,
    ]);
    assert_eq!(fact(&planned, "package manager"), ("PDM", "pdm.lock"));
    let text = &planned.dockerfile;
    assert!(
        text.contains("COPY pyproject.toml pdm.lock ./") && text.contains("pdm export --prod"),
        "{text}"
    );
    assert!(planned.warnings.is_empty(), "{:?}", planned.warnings);
}

#[test]
fn django_in_a_folder_is_served_from_there() {
    let planned = plan(&[
        ("requirements.txt", "django\nwhitenoise\n"),
        (
            "site/manage.py",
            "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.settings')\n",
        ),
        (
            "site/shop/settings.py",
            "WSGI_APPLICATION = 'shop.wsgi.application'\nSTATIC_ROOT = 'x'\n",
        ),
        ("site/shop/wsgi.py", ""),
    ]);
    assert_eq!(
        start(&planned),
        "exec gunicorn --chdir site --bind 0.0.0.0:${PORT:-8000} shop.wsgi:application"
    );
    assert_eq!(fact(&planned, "framework"), ("Django", "site/manage.py"));
    assert_eq!(
        fact(&planned, "start command").1,
        "WSGI_APPLICATION in site/shop/settings.py"
    );
    assert!(
        planned.dockerfile.contains("python site/manage.py collectstatic"),
        "{}",
        planned.dockerfile
    );
}

#[test]
fn a_folder_that_python_can_run_is_started() {
    let project =
        "[build-system]\nrequires = [\"setuptools\"]\n[project]\nname = \"shop\"\ndependencies = [\"flask\"]\n";
    let started = |folder: &str| {
        start(&plan(&[
            ("pyproject.toml", project),
            (&format!("{folder}/__main__.py"), ""),
        ]))
    };
    assert_eq!(started("shop"), "exec python -m shop");
    assert_eq!(started("my-shop"), "exec python my-shop");
}

#[test]
fn what_heroku_and_cloud_foundry_read_counts_or_is_told() {
    let planned = plan(&[
        (
            "requirements.txt",
            "nltk\nflask\ngunicorn\ncelery\n-e hg+https://example.com/x#egg=x\n",
        ),
        ("nltk.txt", "brown\nbad;name\n"),
        ("bin/post_compile", ""),
        (
            "app.py",
            "import tkinter\nfrom flask import Flask\napp = Flask(__name__)\n",
        ),
    ]);
    let text = &planned.dockerfile;
    assert!(
        text.contains("python -m nltk.downloader -d /usr/local/share/nltk_data brown\n"),
        "{text}"
    );
    assert_eq!(
        fact(&planned, "system packages"),
        ("libtk8.6", "app.py imports tkinter")
    );
    assert!(text.contains("FROM python:3.13 AS install"), "{text}");
    assert_eq!(fact(&planned, "workers").0, "not started");
    assert!(planned.warnings[0].contains("bash bin/post_compile"));
    let lambda = refusal(&[
        ("requirements.txt", "requests"),
        ("function.py", "def handler(event, context):\n  pass\n"),
    ]);
    assert!(lambda.contains("AWS Lambda"), "{lambda}");
}

#[test]
fn python_is_one_for_which_pinned_releases_are_ready_made() {
    let version = |list: &str| {
        let planned = plan(&[("requirements.txt", list), ("main.py", "")]);
        let (value, because) = fact(&planned, "python version");
        (value.to_owned(), because.to_owned())
    };
    let pandas = "pandas 2.0.3 is ready-made up to there, not for 3.13";
    assert_eq!(
        version("numpy==1.26.0\npandas==2.0.3\n"),
        ("3.11".into(), pandas.into())
    );
    assert_eq!(version("pandas[excel] == 1.4.3 ; python_version > '3'\n").0, "3.10");
    assert_eq!(version("numpy==2.1.0\npandas>=1\n").0, "3.13");
    // Who asks for a version gets it.
    let planned = plan(&[
        ("requirements.txt", "pandas==1.4.3"),
        ("runtime.txt", "python-3.12.1"),
        ("main.py", ""),
    ]);
    assert_eq!(fact(&planned, "python version").0, "3.12");
}
