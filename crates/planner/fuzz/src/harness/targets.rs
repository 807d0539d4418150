//! The table of targets: one per kind of file that the planner reads.

type Files = &'static [(&'static str, &'static str)];

/// A fuzz target.
pub(crate) struct Target {
    pub(crate) name: &'static str,
    pub(crate) subject: Subject,
}

/// What a target's input becomes.
pub(crate) enum Subject {
    /// A file of an application, at each of these places.
    File(&'static [Place]),
    /// A Dockerfile whose images are wanted.
    Dockerfile,
    /// What the user set.
    Settings,
    /// All files of an application.
    Application,
    /// A file of another target, as large as the planner reads.
    Repeated,
}

/// Where the input is written, and what lies beside it.
pub(crate) struct Place {
    pub(crate) path: &'static str,
    pub(crate) beside: Files,
}

const fn at(path: &'static str, beside: Files) -> Place {
    Place { path, beside }
}

const fn target(name: &'static str, subject: Subject) -> Target {
    Target { name, subject }
}

const fn file(name: &'static str, places: &'static [Place]) -> Target {
    target(name, Subject::File(places))
}

const GO: (&str, &str) = ("main.go", "package main\n\nfunc main() {}\n");
const RUST: (&str, &str) = ("src/main.rs", "fn main() {}\n");
const CARGO: (&str, &str) = ("Cargo.toml", "[package]\nname = \"shop\"\n");
const RAILS: (&str, &str) = (
    "Gemfile",
    "source \"https://gems.example.org\"\ngem \"rails\"\ngem \"puma\"\n",
);
const RACK: (&str, &str) = ("config.ru", "run App\n");
const NODE: (&str, &str) = (
    "package.json",
    r#"{"scripts":{"build":"node build.js","start":"node server.js"},"dependencies":{"express":"5"}}"#,
);
const TURBO: (&str, &str) = (
    "package.json",
    r#"{"packageManager":"pnpm@10.4.1","devDependencies":{"turbo":"2","nx":"23"}}"#,
);
const PACKAGES: (&str, &str) = ("pnpm-workspace.yaml", "packages: [\"apps/*\", \"packages/*\"]\n");
const SITE: (&str, &str) = (
    "apps/site/package.json",
    r#"{"name":"site","scripts":{"build":"x","start":"node x.js"},"dependencies":{"orders":"workspace:*"}}"#,
);
const ORDERS: (&str, &str) = (
    "packages/orders/package.json",
    r#"{"name":"orders","scripts":{"build":"x"}}"#,
);
const SERVER: (&str, &str) = ("server.js", "require('express')().listen(process.env.PORT);\n");
const FLASK: (&str, &str) = ("app.py", "app = Flask(__name__)\n");
const LIST: (&str, &str) = ("requirements.txt", "flask\ngunicorn\n");
const POM: (&str, &str) = (
    "pom.xml",
    "<project><groupId>a</groupId><artifactId>shop</artifactId><build><plugins><plugin>\
     <artifactId>spring-boot-maven-plugin</artifactId></plugin></plugins></build></project>",
);
const GRADLE: (&str, &str) = (
    "build.gradle",
    "plugins { id 'application' }\napplication { mainClass = 'a.Main' }\n",
);
const MIX: (&str, &str) = (
    "mix.exs",
    "[app: :shop, mod: {Shop, []}, deps: [{:phoenix, \"1.8\"}]]\n",
);
const PROJECT: (&str, &str) = (
    "Shop.csproj",
    "<Project Sdk=\"Microsoft.NET.Sdk.Web\"><PropertyGroup><TargetFramework>net9.0</TargetFramework></PropertyGroup></Project>",
);
const DENO: (&str, &str) = ("deno.json", r#"{"tasks":{"start":"deno run -A main.ts"}}"#);
const DENO_MAIN: (&str, &str) = ("main.ts", "Deno.serve(() => new Response());\n");
const PAGE: (&str, &str) = ("index.html", "<h1>here</h1>\n");
const SCRIPT: (&str, &str) = ("start.sh", "exec ./serve\n");

/// A small application of each language, by the language's name.
pub(crate) fn applications() -> &'static [(&'static str, Files)] {
    &[
        ("node", &[NODE, SERVER, ("package-lock.json", "{}")]),
        ("python", &[LIST, FLASK]),
        ("go", &[("go.mod", "module example.com/shop\n"), GO]),
        ("rust", &[CARGO, RUST]),
        (
            "cpp",
            &[("CMakeLists.txt", "project(shop)\nadd_executable(shop main.cc)\n")],
        ),
        ("java", &[POM]),
        ("gradle", &[GRADLE]),
        ("ruby", &[RAILS, RACK]),
        ("php", &[("composer.json", "{}"), ("index.php", "<?php\n"), NODE]),
        ("elixir", &[MIX]),
        ("dotnet", &[PROJECT]),
        ("deno", &[DENO, DENO_MAIN]),
        ("static", &[PAGE, ("public/page.html", "")]),
        ("shell", &[SCRIPT]),
    ]
}

/// A package with nothing but a framework.
const fn package(text: &'static str) -> (&'static str, &'static str) {
    ("package.json", text)
}

/// Each target has a file in `fuzz_targets`, a line in `Cargo.toml`, and inputs in `corpus`.
pub(crate) const TARGETS: &[Target] = &[
    // What every language reads.
    file(
        "click_deploy_toml",
        &[
            at("click-deploy.toml", &[NODE, SERVER]),
            at("click-deploy.toml", &[LIST, FLASK, PAGE]),
        ],
    ),
    file("railpack_json", &[at("railpack.json", &[NODE, SERVER])]),
    file(
        "procfile",
        &[at("Procfile", &[NODE, SERVER]), at("Procfile", &[LIST, FLASK])],
    ),
    file(
        "tool_versions",
        &[
            at(".tool-versions", &[NODE, SERVER]),
            at(".tool-versions", &[LIST, FLASK]),
            at(".tool-versions", &[MIX]),
            at(".tool-versions", &[POM]),
        ],
    ),
    file(
        "mise_toml",
        &[
            at("mise.toml", &[NODE, SERVER]),
            at(".mise.toml", &[RAILS, RACK]),
            at("mise.toml", &[CARGO, RUST]),
        ],
    ),
    file(
        "dockerignore",
        &[at(
            ".dockerignore",
            &[NODE, SERVER, ("src/page.js", ""), ("package-lock.json", "{}")],
        )],
    ),
    target("dockerfile", Subject::Dockerfile),
    // Node.js
    file(
        "node_package",
        &[
            at(
                "package.json",
                &[SERVER, ("package-lock.json", "{}"), ("public/index.html", "")],
            ),
            at(
                "package.json",
                &[("pnpm-lock.yaml", "lockfileVersion: '9.0'\n"), ("app/page.js", "")],
            ),
        ],
    ),
    file(
        "node_workspace",
        &[
            at(
                "packages/web/package.json",
                &[
                    (
                        "package.json",
                        r#"{"workspaces":["packages/*"],"scripts":{"build":"x","start":"npm -w web start"}}"#,
                    ),
                    ("yarn.lock", "# yarn lockfile v1\n"),
                ],
            ),
            at("pnpm-workspace.yaml", &[TURBO, SITE, ORDERS]),
            at("turbo.json", &[TURBO, SITE, ORDERS, PACKAGES]),
            at("nx.json", &[TURBO, SITE, ORDERS, PACKAGES]),
            at("apps/site/project.json", &[TURBO, SITE, PACKAGES, ("nx.json", "{}")]),
        ],
    ),
    file(
        "node_locks",
        &[
            at("pnpm-lock.yaml", &[NODE, SERVER]),
            at(
                "yarn.lock",
                &[NODE, SERVER, (".yarnrc.yml", "nodeLinker: node-modules\n")],
            ),
            at(
                ".yarnrc.yml",
                &[NODE, SERVER, ("yarn.lock", "__metadata:\n  version: 8\n")],
            ),
        ],
    ),
    file(
        "node_version",
        &[at(".nvmrc", &[NODE, SERVER]), at(".node-version", &[NODE, SERVER])],
    ),
    file(
        "node_framework",
        &[
            at(
                "next.config.mjs",
                &[
                    package(r#"{"dependencies":{"next":"16"},"scripts":{"build":"next build"}}"#),
                    ("app/page.js", ""),
                ],
            ),
            at(
                "svelte.config.js",
                &[package(
                    r#"{"devDependencies":{"@sveltejs/kit":"2"},"scripts":{"build":"vite build"}}"#,
                )],
            ),
            at(
                "astro.config.mjs",
                &[package(
                    r#"{"dependencies":{"astro":"5"},"scripts":{"build":"astro build"}}"#,
                )],
            ),
            at(
                "react-router.config.ts",
                &[package(
                    r#"{"dependencies":{"@react-router/dev":"7"},"scripts":{"build":"x"}}"#,
                )],
            ),
            at(
                "vite.config.ts",
                &[
                    package(r#"{"devDependencies":{"vite":"7"},"scripts":{"build":"vite build"}}"#),
                    PAGE,
                ],
            ),
        ],
    ),
    file(
        "node_angular",
        &[at(
            "angular.json",
            &[package(
                r#"{"dependencies":{"@angular/core":"20"},"scripts":{"build":"ng build"}}"#,
            )],
        )],
    ),
    file("node_source", &[at("server.js", &[NODE])]),
    // Python
    file(
        "python_project",
        &[
            at("pyproject.toml", &[FLASK]),
            at("pyproject.toml", &[FLASK, ("uv.lock", "")]),
            at("pyproject.toml", &[("src/shop/__init__.py", ""), ("poetry.lock", "")]),
        ],
    ),
    file(
        "python_requirements",
        &[at("requirements.txt", &[FLASK, ("requirements/base.txt", "flask\n")])],
    ),
    file(
        "python_conda",
        &[
            at("environment.yml", &[FLASK]),
            at("environment.yaml", &[FLASK, ("vendor/a.whl", "")]),
        ],
    ),
    file("python_pipfile", &[at("Pipfile", &[FLASK])]),
    file("python_setup", &[at("setup.py", &[FLASK])]),
    file(
        "python_version",
        &[at("runtime.txt", &[LIST, FLASK]), at(".python-version", &[LIST, FLASK])],
    ),
    file(
        "python_locks",
        &[
            at("uv.lock", &[FLASK, ("pyproject.toml", "[project]\nname = \"shop\"\n")]),
            at(
                "poetry.lock",
                &[FLASK, ("pyproject.toml", "[tool.poetry]\nname = \"shop\"\n")],
            ),
        ],
    ),
    file(
        "python_source",
        &[
            at(
                "main.py",
                &[("requirements.txt", "fastapi\nuvicorn\nflask\nstreamlit\n")],
            ),
            at(
                "manage.py",
                &[("requirements.txt", "django\ngunicorn\n"), ("shop/wsgi.py", "")],
            ),
            at(
                "shop/settings.py",
                &[
                    ("requirements.txt", "django\ngunicorn\n"),
                    (
                        "manage.py",
                        "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.settings')\n",
                    ),
                ],
            ),
        ],
    ),
    // Go
    file(
        "go_module",
        &[
            at("go.mod", &[GO]),
            at("go.mod", &[("cmd/api/main.go", GO.1), ("cmd/job/main.go", GO.1)]),
        ],
    ),
    file(
        "go_work",
        &[at(
            "go.work",
            &[("api/go.mod", "module example.com/api\n"), ("api/main.go", GO.1)],
        )],
    ),
    file(
        "go_source",
        &[
            at("main.go", &[("go.mod", "module example.com/shop\n")]),
            at(
                "main.go",
                &[("text/text.go", "package text\n"), ("vendor/a.b/c/c.go", "package c\n")],
            ),
        ],
    ),
    file(
        "go_before_modules",
        &[
            at(".godir", &[GO]),
            at("Godeps/Godeps.json", &[GO]),
            at("Gopkg.toml", &[GO]),
            at("glide.yaml", &[GO]),
            at("vendor/vendor.json", &[GO]),
        ],
    ),
    // C and C++
    file(
        "cpp_files",
        &[
            at(
                "CMakeLists.txt",
                &[("src/CMakeLists.txt", "add_executable(shop main.cc)\n")],
            ),
            at("meson.build", &[("src/meson.build", "executable('shop', 'main.c')\n")]),
        ],
    ),
    // Rust
    file(
        "rust_manifest",
        &[
            at("Cargo.toml", &[RUST]),
            at(
                "Cargo.toml",
                &[("crates/web/Cargo.toml", CARGO.1), ("crates/web/src/main.rs", RUST.1)],
            ),
        ],
    ),
    file(
        "rust_toolchain",
        &[
            at("rust-toolchain", &[CARGO, RUST]),
            at("rust-toolchain.toml", &[CARGO, RUST]),
        ],
    ),
    file("rust_lock", &[at("Cargo.lock", &[CARGO, RUST])]),
    // Java
    file(
        "java_maven",
        &[at(
            "pom.xml",
            &[(
                "src/main/java/a/Main.java",
                "class Main { public static void main(String[] a) {} }",
            )],
        )],
    ),
    file(
        "java_gradle",
        &[
            at("build.gradle", &[]),
            at(
                "build.gradle.kts",
                &[
                    ("settings.gradle.kts", "include(\":web\")\n"),
                    ("web/build.gradle.kts", GRADLE.1),
                ],
            ),
        ],
    ),
    file(
        "java_settings",
        &[
            at("settings.gradle", &[GRADLE, ("web/build.gradle", GRADLE.1)]),
            at("gradle/libs.versions.toml", &[GRADLE]),
        ],
    ),
    file(
        "java_versions",
        &[
            at("system.properties", &[POM]),
            at(".sdkmanrc", &[POM]),
            at("gradle/wrapper/gradle-wrapper.properties", &[GRADLE]),
        ],
    ),
    file(
        "java_ready",
        &[
            at("META-INF/MANIFEST.MF", &[]),
            at("WEB-INF/web.xml", &[]),
            at(
                "src/main/webapp/WEB-INF/web.xml",
                &[("build.gradle", "plugins {\n  id 'war'\n}\n")],
            ),
        ],
    ),
    // Ruby
    file("ruby_gemfile", &[at("Gemfile", &[RACK])]),
    file(
        "ruby_lock",
        &[at("Gemfile.lock", &[RAILS, RACK]), at(".ruby-version", &[RAILS, RACK])],
    ),
    // PHP
    file(
        "php_composer",
        &[at("composer.json", &[("public/index.php", "<?php\n")])],
    ),
    file(
        "php_lock",
        &[at(
            "composer.lock",
            &[("composer.json", "{}"), ("public/index.php", "<?php\n")],
        )],
    ),
    file(
        "php_options",
        &[at(
            ".bp-config/options.json",
            &[("a.php", ""), ("www/index.php", ""), ("index.php", "")],
        )],
    ),
    // Elixir, .NET, Deno, sites and scripts
    file(
        "elixir_mix",
        &[
            at("mix.exs", &[]),
            at("mix.exs", &[("mix.lock", "%{\"phoenix\": {:hex}}\n")]),
        ],
    ),
    file("dotnet_project", &[at("Shop.csproj", &[("Program.cs", "")])]),
    file("dotnet_global", &[at("global.json", &[PROJECT])]),
    file(
        "deno_json",
        &[at("deno.json", &[DENO_MAIN]), at("deno.jsonc", &[DENO_MAIN])],
    ),
    file("staticfile", &[at("Staticfile", &[PAGE, ("public/index.html", "")])]),
    file("staticfile_auth", &[at("Staticfile.auth", &[PAGE])]),
    file("static_json", &[at("static.json", &[PAGE, ("dist/index.html", "")])]),
    file("shell_script", &[at("start.sh", &[])]),
    // Several at once
    target("settings", Subject::Settings),
    target("application", Subject::Application),
    target("repeated", Subject::Repeated),
];
