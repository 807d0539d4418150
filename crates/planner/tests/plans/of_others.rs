//! What was learnt from applications that nobody here wrote.

use crate::common::{fact, plan, refusal, start};

const LOCK: (&str, &str) = ("package-lock.json", "{}");

#[test]
fn svelte_kit_as_its_template_makes_it_becomes_a_node_server() {
    let plan = plan(&[
        (
            "package.json",
            r#"{"scripts":{"build":"vite build"},"devDependencies":{"@sveltejs/kit":"2","@sveltejs/adapter-auto":"7"}}"#,
        ),
        LOCK,
        ("vite.config.ts", "import adapter from '@sveltejs/adapter-auto';"),
    ]);
    assert_eq!(start(&plan), "exec node build");
    let text = &plan.dockerfile;
    let (before, build) = (text.find("ENV GCP_BUILDPACKS=1"), text.find("npm run build"));
    assert!(before.is_some() && before < build, "{text}");
    assert!(plan.warnings.iter().any(|warning| warning.contains("adapter-node")));
}

#[test]
fn bun_is_put_beside_another_package_manager_when_a_command_calls_it() {
    let with_pnpm = plan(&[
        (
            "package.json",
            r#"{"scripts":{"start":"bun index.ts"},"dependencies":{"chalk":"5"}}"#,
        ),
        ("pnpm-lock.yaml", "lockfileVersion: '9.0'\n"),
        ("index.ts", ""),
    ]);
    assert_eq!(fact(&with_pnpm, "package manager").0, "pnpm 10");
    assert!(with_pnpm.dockerfile.contains("bun@1"), "{}", with_pnpm.dockerfile);
    let alone = plan(&[
        ("package.json", r#"{"scripts":{"start":"bun app.js"}}"#),
        ("app.js", ""),
    ]);
    assert_eq!(fact(&alone, "package manager").0, "bun 1");
    assert!(alone.dockerfile.contains("bun@1"), "{}", alone.dockerfile);
    let brought_along = plan(&[
        (
            "package.json",
            r#"{"scripts":{"start":"bun app.js"},"dependencies":{"bun":"1"}}"#,
        ),
        LOCK,
        ("app.js", ""),
    ]);
    assert!(
        !brought_along.dockerfile.contains("bun@1"),
        "{}",
        brought_along.dockerfile
    );
}

#[test]
fn the_only_application_of_a_workspace_of_nx_is_built_by_nx() {
    let package = r#"{"scripts":{},"dependencies":{"next":"16"},"devDependencies":{"nx":"23"}}"#;
    let files = [
        ("package.json", package),
        ("pnpm-lock.yaml", "lockfileVersion: '9.0'\n"),
        ("pnpm-workspace.yaml", "packages: ['apps/*']\n"),
        ("nx.json", "{}"),
        ("apps/web/package.json", "{}"),
        ("apps/web/next.config.js", "module.exports = {}\n"),
        ("apps/web/src/app/page.tsx", ""),
    ];
    let one = plan(&files);
    assert!(
        one.dockerfile.contains("nx run-many --target=build"),
        "{}",
        one.dockerfile
    );
    assert!(start(&one).starts_with("cd apps/web && "), "{}", start(&one));
    let mut several = files.to_vec();
    several.extend([
        ("apps/shop/next.config.js", "module.exports = {}\n"),
        ("apps/shop/pages/index.tsx", ""),
    ]);
    assert!(refusal(&several).contains("root directory"));
}

#[test]
fn what_a_member_of_a_workspace_of_uv_depends_on_is_compiled() {
    let of = |members: &str, folder: &str| {
        let project = format!(
            "[project]\nname = \"a\"\ndependencies = [\"db\"]\n[tool.uv.workspace]\nmembers = [\"{members}\"]\n\
             [tool.uv.sources]\ndb = {{ workspace = true }}\n"
        );
        let member = format!("{folder}/pyproject.toml");
        plan(&[
            ("pyproject.toml", &project),
            ("uv.lock", ""),
            ("main.py", ""),
            (
                &member,
                "[project]\nname = \"db\"\ndependencies = [\"psycopg2>=2.9\"]\n",
            ),
        ])
    };
    for plan in [of("db", "db"), of("packages/*", "packages/db")] {
        assert_eq!(fact(&plan, "compilers").1, "psycopg2 is compiled");
        assert!(plan.dockerfile.contains("libpq5"), "{}", plan.dockerfile);
    }
}

#[test]
fn programs_that_packages_of_python_call_are_in_the_image() {
    let ready_made = plan(&[("requirements.txt", "pdf2image==1\npydub\n"), ("main.py", "")]);
    assert!(
        ready_made.dockerfile.contains(" poppler-utils ffmpeg "),
        "{}",
        ready_made.dockerfile
    );
    assert_eq!(ready_made.dockerfile.matches("FROM ").count(), 1, "nothing is compiled");
    assert_eq!(fact(&ready_made, "system packages").1, "pdf2image needs them");
    let compiled = plan(&[("requirements.txt", "pycairo\nopencv-python\n"), ("main.py", "")]);
    assert!(
        compiled.dockerfile.contains("libcairo2 libgl1 libglib2.0-0"),
        "{}",
        compiled.dockerfile
    );
}

#[test]
fn libraries_that_compiled_packages_of_node_load_are_in_the_image_that_runs() {
    let package = r#"{"scripts":{"start":"node a.js"},"dependencies":{"pg":"8","pg-native":"3"}}"#;
    let plan = plan(&[("package.json", package), LOCK]);
    let stages: Vec<&str> = plan.dockerfile.split("FROM ").collect();
    assert!(stages.last().unwrap().contains(" libpq5 "), "{}", plan.dockerfile);
    assert_eq!(plan.dockerfile.matches("libpq5").count(), 1);
}

#[test]
fn a_floor_yields_to_what_the_application_is_developed_with() {
    let node = |engines: &str, file: &str, text: &str| {
        let package = format!(r#"{{"scripts":{{"start":"node a.js"}},"engines":{{"node":"{engines}"}}}}"#);
        fact(&plan(&[("package.json", &package), LOCK, (file, text)]), "node version")
            .1
            .to_owned()
    };
    let of_mise = "[tools]\nnode = \"20\"\n";
    assert_eq!(
        node(">=20.0.0", "mise.toml", of_mise),
        "tools.node in mise.toml:2 asks for 20"
    );
    assert_eq!(node(">=18", ".nvmrc", "22"), ".nvmrc asks for 22");
    // A choice stays one, and a floor that the other place is below of holds.
    let engines = "engines.node in package.json:1 asks for ";
    assert_eq!(node("22.x", ".nvmrc", "20"), format!("{engines}22.x"));
    assert_eq!(node(">=22", ".nvmrc", "20"), format!("{engines}>=22"));
    assert_eq!(node(">=18 <23", ".nvmrc", "20"), format!("{engines}>=18 <23"));

    let python = |requires: &str, version: &str| {
        let project = format!("[project]\nname = \"a\"\nrequires-python = \"{requires}\"\ndependencies = []\n");
        let mise = format!("[tools]\npython = \"{version}\"\n");
        let plan = plan(&[("pyproject.toml", &project), ("main.py", ""), ("mise.toml", &mise)]);
        assert!(plan.warnings.is_empty(), "{:?}", plan.warnings);
        let (version, because) = fact(&plan, "python version");
        (version.to_owned(), because.to_owned())
    };
    let asked = |version: &str, place: &str| (version.to_owned(), place.to_owned());
    assert_eq!(
        python(">=3.10", "3.11"),
        asked("3.11", "tools.python in mise.toml:2 asks for 3.11")
    );
    assert_eq!(
        python(">=3.10", "latest"),
        asked("3.13", "tools.python in mise.toml:2 asks for latest")
    );
    assert_eq!(
        python(">=3.12", "3.11"),
        asked("3.13", "requires-python in pyproject.toml:3 asks for >=3.12")
    );
}

#[test]
fn a_package_managers_version_is_read_where_tool_managers_write_it() {
    let manager = |lock: &str, file: &str, text: &str| {
        let plan = plan(&[
            ("package.json", r#"{"scripts":{"start":"node a.js"}}"#),
            (lock, ""),
            (file, text),
        ]);
        fact(&plan, "package manager").0.to_owned()
    };
    assert_eq!(manager("bun.lock", ".bun-version", "1.3.14\n"), "bun 1.3.14");
    assert_eq!(manager("bun.lock", "mise.toml", "[tools]\nbun = \"1.2\"\n"), "bun 1.2");
    assert_eq!(
        manager("pnpm-lock.yaml", ".tool-versions", "pnpm 9.1.0\n"),
        "pnpm 9.1.0"
    );
    assert_eq!(manager("bun.lock", ".bun-version", "latest; rm -rf /\n"), "bun 1");
}

#[test]
fn engines_name_the_package_manager_and_its_version() {
    let version = |engines: &str, lock: &str| {
        let package =
            format!(r#"{{"engines":{engines},"scripts":{{"start":"node x.js"}},"dependencies":{{"a":"1"}}}}"#);
        let plan = plan(&[
            ("package.json", &package),
            (lock, "lockfileVersion: '9.0'\n"),
            ("x.js", ""),
        ]);
        fact(&plan, "package manager").0.to_owned()
    };
    assert_eq!(version(r#"{"pnpm":"11.5.x"}"#, "pnpm-lock.yaml"), "pnpm 11.5.x");
    assert_eq!(version(r#"{"pnpm":"^9.1.0"}"#, "pnpm-lock.yaml"), "pnpm 9");
    assert_eq!(version(r#"{"pnpm":">=8"}"#, "pnpm-lock.yaml"), "pnpm 10");
    assert_eq!(version(r#"{"pnpm":"8.15.9"}"#, "README.md"), "pnpm 8.15.9");
    assert_eq!(version(r#"{"pnpm":"please use npm"}"#, "README.md"), "npm");
    assert_eq!(version(r#"{"npm":">=9","pnpm":">=8"}"#, "README.md"), "npm");
}

#[test]
fn an_old_yarn_in_the_repository_gets_the_commands_that_it_knows() {
    let yarn = |lock: &str, settings: &str| {
        plan(&[
            (
                "package.json",
                r#"{"scripts":{"start":"node x.js"},"dependencies":{"a":"1"},"devDependencies":{"b":"1"}}"#,
            ),
            ("yarn.lock", lock),
            (".yarnrc.yml", settings),
            ("x.js", ""),
        ])
    };
    let own = yarn(
        "__metadata:\n  version: 8\n",
        "yarnPath: .yarn/releases/yarn-2.4.3.cjs\n",
    );
    assert!(
        own.dockerfile.contains("yarn install --immutable"),
        "{}",
        own.dockerfile
    );
    assert_eq!(
        fact(&yarn("__metadata:\n  version: 6\n", ""), "package manager").0,
        "yarn 3"
    );
    assert_eq!(
        fact(&yarn("__metadata:\n  version: 8\n", ""), "package manager").0,
        "yarn 4"
    );
}

#[test]
fn tanstack_start_is_served_by_nitro_or_by_a_server_that_is_added() {
    let package = r#"{"scripts":{"dev":"vite dev","build":"vite build"},
        "dependencies":{"@tanstack/react-start":"1","react":"19"},"devDependencies":{"vite":"8"}}"#;
    let bare = plan(&[
        ("package.json", package),
        LOCK,
        ("vite.config.ts", "plugins: [tanstackStart()]"),
    ]);
    assert_eq!(bare.framework.as_deref(), Some("TanStack Start"));
    assert!(start(&bare).contains("srvx --prod"), "{}", start(&bare));
    let (stages, last) = bare.dockerfile.rsplit_once("\nFROM ").unwrap();
    assert!(
        last.contains("srvx@") && !stages.contains("srvx@"),
        "{}",
        bare.dockerfile
    );
    let nitro = plan(&[
        ("package.json", package),
        LOCK,
        ("vite.config.ts", "plugins: [tanstackStart(), nitro()]"),
    ]);
    assert_eq!(start(&nitro), "exec node .output/server/index.mjs");
    assert!(!nitro.dockerfile.contains("srvx"));
}

#[test]
fn expo_is_exported_for_the_web_and_not_started_for_development() {
    let plan = plan(&[
        (
            "package.json",
            r#"{"scripts":{"start":"expo start"},"dependencies":{"expo":"56","react-native-web":"0.21"}}"#,
        ),
        LOCK,
    ]);
    assert_eq!(plan.framework.as_deref(), Some("Expo"));
    assert_eq!(fact(&plan, "build command").0, "expo export --platform web");
    assert_eq!(fact(&plan, "served folder").0, "dist");
}

#[test]
fn next_of_a_monorepo_is_refused_with_where_to_look() {
    let words = refusal(&[
        (
            "package.json",
            r#"{"scripts":{},"dependencies":{"next":"16"},"devDependencies":{"nx":"23"}}"#,
        ),
        LOCK,
        ("apps/shop/app/page.tsx", ""),
    ]);
    assert!(
        words.contains("no folder app or pages") && words.contains("root directory"),
        "{words}"
    );
}

#[test]
fn the_staticfile_says_whether_unknown_addresses_get_the_first_page() {
    let on = plan(&[("Staticfile", "index_fallback: true\n"), ("index.html", "")]);
    assert!(on.dockerfile.contains("{path}/ /index.html"), "{}", on.dockerfile);
    let unsaid = plan(&[("Staticfile", "root: public\n"), ("public/index.html", "")]);
    assert!(!unsaid.dockerfile.contains("/index.html"), "{}", unsaid.dockerfile);
    let off = plan(&[
        (
            "package.json",
            r#"{"scripts":{"build":"vite build"},"devDependencies":{"vite":"8"}}"#,
        ),
        LOCK,
        ("Staticfile", "index_fallback: false\n"),
        ("index.html", ""),
    ]);
    assert!(!off.dockerfile.contains("{path}/ /index.html"), "{}", off.dockerfile);
}

#[test]
fn a_webpack_site_with_a_page_for_what_is_missing_shows_it() {
    let site = |page: &'static str| {
        plan(&[
            (
                "package.json",
                r#"{"scripts":{"start":"webpack serve --open","build":"webpack"},"devDependencies":{"webpack":"5"}}"#,
            ),
            LOCK,
            (page, ""),
        ])
    };
    assert!(!site("404.html").dockerfile.contains("{path}/ /index.html"));
    assert!(site("index.html").dockerfile.contains("{path}/ /index.html"));
}

#[test]
fn python_is_the_newest_for_which_the_locked_packages_are_ready_made() {
    let project = "[tool.poetry]\nname = \"x\"\n[tool.poetry.dependencies]\npython = \"^3.10\"\nfastapi = \"*\"\n";
    let main = ("main.py", "from fastapi import FastAPI\napp = FastAPI()\n");
    let lock = "[[package]]\nname = \"pydantic-core\"\nfiles = [\n    {file = \"p-2-cp311-cp311-manylinux_2_17_x86_64.whl\"},\n]\n";
    let old = plan(&[("pyproject.toml", project), ("poetry.lock", lock), main]);
    assert_eq!(old.base_images, ["python:3.11-slim"]);
    assert!(fact(&old, "python version").1.contains("poetry.lock"), "{old:#?}");
    let asked = plan(&[
        ("pyproject.toml", project),
        ("poetry.lock", lock),
        (".python-version", "3.13"),
        main,
    ]);
    assert_eq!(asked.base_images, ["python:3.13-slim"]);
}

#[test]
fn poetry_packages_only_what_is_a_package() {
    let project =
        "[tool.poetry]\nname = \"my-shop\"\n[tool.poetry.dependencies]\nflask = \"*\"\n[build-system]\nrequires = []\n";
    let scripts = [
        ("pyproject.toml", project),
        ("poetry.lock", ""),
        ("main.py", "from flask import Flask\napp = Flask(__name__)\n"),
    ];
    let loose = plan(&scripts);
    assert!(!loose.dockerfile.contains("--no-deps ."), "{}", loose.dockerfile);
    // What the export leaves out is installed after what it lists.
    let text = &loose.dockerfile;
    let (checked, rest) = (
        text.find("--no-deps -r /tmp/requirements.txt"),
        text.find("--without-hashes"),
    );
    assert!(checked.is_some() && checked < rest, "{text}");
    let mut package = scripts.to_vec();
    package.push(("my_shop/__init__.py", ""));
    assert!(plan(&package).dockerfile.contains("--no-deps ."));
}

#[test]
fn fast_html_is_served_by_uvicorn_and_a_function_of_its_own_runs_as_it_is() {
    let page = plan(&[
        ("requirements.txt", "python-fasthtml\n"),
        ("main.py", "from fasthtml.common import *\napp = FastHTML(hdrs=())\n"),
    ]);
    assert_eq!(page.framework.as_deref(), Some("FastHTML"));
    assert!(start(&page).contains("uvicorn main:app"), "{}", start(&page));
    assert!(!page.facts.iter().any(|fact| fact.name == "added dependency"));
    let short = plan(&[
        ("requirements.txt", "python-fasthtml\n"),
        (
            "main.py",
            "from fasthtml.common import *\napp, rt = fast_app()\nserve()\n",
        ),
    ]);
    assert_eq!(start(&short), "exec python main.py");
}

#[test]
fn a_python_package_is_started_by_the_program_that_it_installs() {
    let project = "[project]\nname = \"shop\"\nversion = \"1\"\n[project.scripts]\nshop = \"shop:main\"\nadmin = \"shop:admin\"\n\
                   [build-system]\nrequires = [\"uv_build\"]\nbuild-backend = \"uv_build\"\n";
    let files = [
        ("pyproject.toml", project),
        ("uv.lock", ""),
        ("src/shop/__init__.py", "def main(): pass\n"),
    ];
    let plan = plan(&files);
    assert_eq!(start(&plan), "exec shop");
    let hostile = project
        .replace("shop = ", "\"a; b\" = ")
        .replace("admin = \"shop:admin\"\n", "");
    let words = refusal(&[
        ("pyproject.toml", &hostile),
        ("uv.lock", ""),
        ("src/shop/__init__.py", ""),
    ]);
    assert!(words.contains("nothing says how to start"), "{words}");
}

#[test]
fn a_bot_alone_is_an_application() {
    assert_eq!(start(&plan(&[("bot.py", "print('hello')\n")])), "exec python bot.py");
}

#[test]
fn dependencies_out_of_git_are_installed_where_git_is() {
    let node = |version: &str| {
        let package = format!(r#"{{"scripts":{{"start":"node x.js"}},"dependencies":{{"a":"{version}"}}}}"#);
        plan(&[("package.json", &package), LOCK, ("x.js", "")]).base_images
    };
    for version in [
        "github:a/b",
        "git+https://git.example/a/b.git#v1",
        "a/b",
        "https://git.example/a/b.git",
    ] {
        assert_eq!(node(version), ["node:24", "node:24-slim"], "{version}");
    }
    for version in ["^1.2.3", "npm:b@1", "https://example.org/b.tgz", "latest"] {
        assert_eq!(node(version), ["node:24-slim"], "{version}");
    }
    let python = |line: &str| plan(&[("requirements.txt", line), ("main.py", "")]).base_images;
    assert_eq!(
        python("billing @ git+https://git.example/a.git\n"),
        ["python:3.13", "python:3.13-slim"]
    );
    assert_eq!(
        python("-e git+https://git.example/a.git#egg=a\n"),
        ["python:3.13", "python:3.13-slim"]
    );
    assert_eq!(python("flask\n"), ["python:3.13-slim"]);
}

#[test]
fn next_keeps_typescript_for_a_configuration_that_is_written_in_it() {
    let package = r#"{"scripts":{"build":"next build","start":"next start"},"dependencies":{"next":"16"},
        "devDependencies":{"typescript":"5"}}"#;
    let with = |file: &'static str| {
        plan(&[
            ("package.json", package),
            LOCK,
            ("app/page.tsx", ""),
            (file, "export default {}"),
        ])
    };
    let typed = with("next.config.ts");
    assert_eq!(fact(&typed, "development dependencies").0, "kept");
    assert!(!typed.dockerfile.contains("npm prune"), "{}", typed.dockerfile);
    assert!(with("next.config.mjs").dockerfile.contains("npm prune"));
}
