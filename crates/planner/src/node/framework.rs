//! What kind of Node.js application it is, what builds it, and what is left to run or to serve.

use crate::{
    Refusal,
    caddy::Missing,
    command::{Command, words},
    node::{manager::Tool, package::Package, site, start},
    tree::{Tree, is_plain_path, join},
};

/// What is left when the build is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Files for a web server.
    Files { folder: String, missing: Missing },
    /// A program.
    Process {
        start: Command,
        because: String,
        kept: Kept,
    },
    /// Nothing says what.
    Unknown,
}

/// How much of the build a program needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    Everything,
    /// A folder that holds its own dependencies.
    Folder(&'static str),
    /// What Next.js traced, which is spread over three places.
    NextStandalone,
}

/// An application's kind.
#[derive(Clone, Debug)]
pub(crate) struct Kind {
    pub(crate) framework: Option<&'static str>,
    /// What builds it if there is no `build` script.
    pub(crate) build: Option<&'static str>,
    pub(crate) shape: Shape,
    pub(crate) warning: Option<String>,
    /// What the framework's own tools look for while they build.
    pub(crate) build_environment: &'static [(&'static str, &'static str)],
    /// A program that serves what was built, which the application does not bring along.
    pub(crate) tool: Option<Tool>,
}

impl Kind {
    /// Of which nothing is known.
    pub(super) fn unknown() -> Self {
        Self {
            framework: None,
            build: None,
            shape: Shape::Unknown,
            warning: None,
            build_environment: &[],
            tool: None,
        }
    }

    pub(super) fn new(framework: &'static str, build: &'static str, shape: Shape) -> Self {
        Self {
            framework: Some(framework),
            build: Some(build),
            shape,
            warning: None,
            build_environment: &[],
            tool: None,
        }
    }
}

pub(super) fn files(folder: &str, missing: Missing) -> Shape {
    Shape::Files {
        folder: folder.to_owned(),
        missing,
    }
}

pub(super) const SPA: Missing = Missing::Page("index.html");

pub(super) fn process(text: &str, because: &str, kept: Kept) -> Result<Shape, Refusal> {
    Ok(Shape::Process {
        start: Command::parse(text, because)?,
        because: because.to_owned(),
        kept,
    })
}

/// The start script, unless it only starts a server for development (its words begin with one of these).
pub(super) fn own_start(package: &Package, but_not: &[&str]) -> Result<Option<Shape>, Refusal> {
    let Some(start) = start::of_script(package, "start")? else {
        return Ok(None);
    };
    if begins_with_any(&start, but_not) {
        return Ok(None);
    }
    // What Nitro writes holds the packages that it needs.
    let is_of_nitro = matches!(
        start.text(),
        "node .output/server/index.mjs" | "node ./.output/server/index.mjs"
    );
    Ok(Some(Shape::Process {
        start,
        because: "scripts.start in package.json".to_owned(),
        kept: if is_of_nitro {
            Kept::Folder(".output")
        } else {
            Kept::Everything
        },
    }))
}

/// Whether the command's program and its arguments begin with one of these, behind `npx` and settings of variables.
fn begins_with_any(command: &Command, beginnings: &[&str]) -> bool {
    let program: Vec<&str> = words(command.text())
        .skip_while(|word| {
            word.contains('=') || matches!(*word, "npx" | "cross-env" | "bunx" | "exec" | "dotenv" | "--")
        })
        .collect();
    let program = program.join(" ");
    let program = program.strip_prefix("./node_modules/.bin/").unwrap_or(&program);
    beginnings.iter().any(|beginning| {
        program
            .strip_prefix(beginning)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
    })
}

/// The text of the first of these files, without lines that are comments.
pub(super) fn configuration(tree: &Tree, name: &str) -> String {
    let endings = ["js", "mjs", "ts", "cjs", "mts"];
    let path = endings
        .iter()
        .map(|ending| format!("{name}.{ending}"))
        .find(|path| tree.has_file(path));
    let text = path.map(|path| tree.head(&path)).unwrap_or_default();
    text.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// The literal that a configuration gives a key: `key: 'value'`.
pub(super) fn literal<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.match_indices(key).find_map(|(at, _)| {
        let starts_a_word = !text[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_');
        let rest = text[at + key.len()..].trim_start_matches(['\'', '"']).trim_start();
        let rest = rest
            .strip_prefix(':')
            .or_else(|| rest.strip_prefix('='))
            .filter(|_| starts_a_word)?
            .trim_start();
        let quote = rest.chars().next().filter(|first| matches!(first, '\'' | '"' | '`'))?;
        rest[1..].split(quote).next()
    })
}

fn is_off(text: &str, key: &str) -> bool {
    text.match_indices(key).any(|(at, _)| {
        text[at + key.len()..]
            .trim_start()
            .strip_prefix(':')
            .is_some_and(|value| value.trim_start().starts_with("false"))
    })
}

/// Recognizes the framework. Those that are built on others come before them.
pub(crate) fn detect(tree: &Tree, package: &Package, has_workspaces: bool) -> Result<Kind, Refusal> {
    if package.uses("next") {
        return next(tree, package, has_workspaces);
    }
    if package.uses("nuxt") || package.uses("nuxt3") {
        return nuxt(package);
    }
    if package.uses("@sveltejs/kit") {
        return svelte_kit(tree, package);
    }
    if package.uses("astro") {
        return astro(tree, package);
    }
    if package.uses("@react-router/dev") || package.uses("@remix-run/dev") {
        return react_router(tree, package);
    }
    if package.uses("@nestjs/core") {
        let start = match start::of_script(package, "start:prod")? {
            Some(start) => {
                let because = "scripts.start:prod in package.json".to_owned();
                Shape::Process {
                    start,
                    because,
                    kept: Kept::Everything,
                }
            }
            None => match own_start(package, &["nest"])? {
                Some(shape) => shape,
                None => process("node dist/main.js", "NestJS", Kept::Everything)?,
            },
        };
        return Ok(Kind::new("NestJS", "nest build", start));
    }
    if ["@tanstack/react-start", "@tanstack/solid-start"]
        .iter()
        .any(|name| package.uses(name))
    {
        return tanstack_start(tree, package);
    }
    if package.uses("expo") {
        let shape = own_start(package, &["expo"])?.unwrap_or_else(|| files("dist", SPA));
        return Ok(Kind::new("Expo", "expo export --platform web", shape));
    }
    if let Some(kind) = site::detect(tree, package)? {
        return Ok(kind);
    }
    generic(package)
}

fn next(tree: &Tree, package: &Package, has_workspaces: bool) -> Result<Kind, Refusal> {
    if !has_next_pages(tree) && package.script("build").is_none() {
        if let Some(kind) = next_of_nx(tree, package)? {
            return Ok(kind);
        }
        return Err(Refusal::Framework {
            framework: "Next.js",
            why: "it is a dependency, but there is no folder app or pages, and no build script".to_owned(),
            advice:
                "If the application is in a folder of its own, set the root directory to it, or set the build and the \
                     start command."
                    .to_owned(),
        });
    }
    let configuration = configuration(tree, "next.config");
    let kind = |shape| Ok(Kind::new("Next.js", "next build", shape));
    if literal(&configuration, "output") == Some("export") {
        return kind(files("out", Missing::NotFound));
    }
    if let Some(own) = own_start(package, &["next"])? {
        return kind(own);
    }
    if literal(&configuration, "output") == Some("standalone") && !has_workspaces {
        return kind(process(
            "node server.js",
            "output: standalone in the Next.js configuration",
            Kept::NextStandalone,
        )?);
    }
    kind(process(
        "next start -p ${PORT:-3000} -H 0.0.0.0",
        "Next.js",
        Kept::Everything,
    )?)
}

/// Whether there is what Next.js makes pages of.
pub(super) fn has_next_pages(tree: &Tree) -> bool {
    let folders = ["app", "pages", "src/app", "src/pages"];
    folders.iter().any(|folder| tree.has_folder(folder))
}

/// The only application of Next.js in a workspace of Nx, whose own commands have no scripts.
fn next_of_nx(tree: &Tree, package: &Package) -> Result<Option<Kind>, Refusal> {
    if !tree.has_file("nx.json") || !package.uses("nx") {
        return Ok(None);
    }
    let mut folders = tree.code_folders("apps").into_iter().map(|name| join("apps", &name));
    let is_application = |folder: &String| {
        is_plain_path(folder)
            && !configuration(tree, &join(folder, "next.config")).is_empty()
            && has_next_pages(&tree.below(folder))
    };
    let (Some(folder), None) = (folders.find(is_application), folders.find(is_application)) else {
        return Ok(None);
    };
    let start = format!("cd {folder} && next start -p ${{PORT:-3000}} -H 0.0.0.0");
    let because = format!("nx.json, and Next.js in {folder}");
    let shape = process(&start, &because, Kept::Everything)?;
    Ok(Some(Kind {
        // Its process in the background would outlive the step.
        build_environment: &[("NX_DAEMON", "false")],
        ..Kind::new("Next.js", "nx run-many --target=build", shape)
    }))
}

fn nuxt(package: &Package) -> Result<Kind, Refusal> {
    let kind = |shape| Ok(Kind::new("Nuxt", "nuxt build", shape));
    if package
        .script("build")
        .is_some_and(|build| build.contains("nuxt generate") || build.contains("nuxi generate"))
    {
        return kind(files(".output/public", Missing::Page("200.html")));
    }
    let is_second = package
        .text(&["dependencies", "nuxt"])
        .is_some_and(|version| version.trim_matches(['^', '~', '=']).starts_with("2."));
    if is_second {
        let own = own_start(package, &["nuxt dev", "nuxt"])?;
        return kind(match own {
            Some(own) => own,
            None => process(
                "nuxt start --hostname 0.0.0.0 --port ${PORT:-3000}",
                "Nuxt 2",
                Kept::Everything,
            )?,
        });
    }
    if let Some(own) = own_start(package, &["nuxt", "nuxi"])? {
        return kind(own);
    }
    kind(process(
        "node .output/server/index.mjs",
        "Nuxt",
        Kept::Folder(".output"),
    )?)
}

fn svelte_kit(tree: &Tree, package: &Package) -> Result<Kind, Refusal> {
    let text = format!(
        "{}\n{}",
        configuration(tree, "svelte.config"),
        configuration(tree, "vite.config")
    );
    let uses = |adapter: &str| text.contains(adapter) || (!text.contains("adapter-") && package.uses(adapter));
    if uses("@sveltejs/adapter-static") {
        let fallback = literal(&text, "fallback");
        let missing = match fallback {
            Some("index.html") => SPA,
            Some("200.html") => Missing::Page("200.html"),
            _ => Missing::NotFound,
        };
        let folder = literal(&text, "pages")
            .filter(|folder| is_plain_path(folder))
            .unwrap_or("build");
        return Ok(Kind::new("SvelteKit", "vite build", files(folder, missing)));
    }
    if uses("@sveltejs/adapter-node") {
        let folder = literal(&text, "out")
            .filter(|folder| is_plain_path(folder))
            .unwrap_or("build");
        let shape = match own_start(package, &["vite"])? {
            Some(own) => own,
            None => process(&format!("node {folder}"), "SvelteKit's adapter-node", Kept::Everything)?,
        };
        let mut kind = Kind::new("SvelteKit", "vite build", shape);
        kind.warning = Some("SvelteKit accepts forms only if the variable ORIGIN holds the service's URL.".to_owned());
        return Ok(kind);
    }
    if let Some(own) = own_start(package, &["vite"])? {
        return Ok(Kind::new("SvelteKit", "vite build", own));
    }
    if uses("@sveltejs/adapter-auto") {
        let shape = process("node build", "SvelteKit's adapter-node", Kept::Everything)?;
        let mut kind = Kind::new("SvelteKit", "vite build", shape);
        // With this adapter-auto takes adapter-node, and installs it.
        kind.build_environment = &[("GCP_BUILDPACKS", "1")];
        kind.warning = Some(
            "adapter-auto knows no platform of one's own, so it is made to take @sveltejs/adapter-node, which it installs \
             in each build. Name that adapter yourself to have its version in the lock file. SvelteKit accepts forms \
             only if the variable ORIGIN holds the service's URL."
                .to_owned(),
        );
        return Ok(kind);
    }
    Err(Refusal::Framework {
        framework: "SvelteKit",
        why: "svelte.config.js names an adapter that makes no server for a container (looked for \
              @sveltejs/adapter-node and @sveltejs/adapter-static)"
            .to_owned(),
        advice: "Install @sveltejs/adapter-node and use it in svelte.config.js.".to_owned(),
    })
}

fn astro(tree: &Tree, package: &Package) -> Result<Kind, Refusal> {
    let text = configuration(tree, "astro.config");
    let kind = |shape| Ok(Kind::new("Astro", "astro build", shape));
    if text.contains("@astrojs/node") {
        return kind(match own_start(package, &["astro"])? {
            Some(own) => own,
            None => process("node ./dist/server/entry.mjs", "Astro's Node adapter", Kept::Everything)?,
        });
    }
    if literal(&text, "output") == Some("server") {
        return Err(Refusal::Framework {
            framework: "Astro",
            why: "output is \"server\", and astro.config names no adapter that makes a server for a container"
                .to_owned(),
            advice: "Run `npx astro add node`.".to_owned(),
        });
    }
    let folder = literal(&text, "outDir").map(|folder| folder.trim_start_matches("./").trim_end_matches('/'));
    kind(files(
        folder.filter(|folder| is_plain_path(folder)).unwrap_or("dist"),
        Missing::NotFound,
    ))
}

fn react_router(tree: &Tree, package: &Package) -> Result<Kind, Refusal> {
    let (name, build, server, settings) = if package.uses("@react-router/dev") {
        (
            "React Router",
            "react-router build",
            "react-router-serve",
            configuration(tree, "react-router.config"),
        )
    } else {
        (
            "Remix",
            "remix vite:build",
            "remix-serve",
            configuration(tree, "vite.config"),
        )
    };
    if is_off(&settings, "ssr") {
        return Ok(Kind::new(name, build, files("build/client", SPA)));
    }
    let shape = match own_start(package, &["react-router dev", "remix dev", "remix vite:dev", "vite"])? {
        Some(own) => own,
        None => process(&format!("{server} ./build/server/index.js"), name, Kept::Everything)?,
    };
    Ok(Kind::new(name, build, shape))
}

/// TanStack Start builds a server with Nitro; without it, a handler that some server has to call.
fn tanstack_start(tree: &Tree, package: &Package) -> Result<Kind, Refusal> {
    const NAME: &str = "TanStack Start";
    if let Some(own) = own_start(package, &["vite", "vinxi dev"])? {
        return Ok(Kind::new(NAME, "vite build", own));
    }
    let text = configuration(tree, "vite.config");
    if package.uses("vinxi") || text.contains("nitro") {
        let shape = process("node .output/server/index.mjs", "Nitro", Kept::Folder(".output"))?;
        let build = if package.uses("vinxi") {
            "vinxi build"
        } else {
            "vite build"
        };
        return Ok(Kind::new(NAME, build, shape));
    }
    let shape = process(
        "srvx --prod --host 0.0.0.0 -s ../client dist/server/server.js",
        "vite.config names no server such as Nitro",
        Kept::Everything,
    )?;
    let mut kind = Kind::new(NAME, "vite build", shape);
    kind.tool = Some(Tool::Srvx);
    Ok(kind)
}

/// Frameworks that change nothing about building and starting, for the screen.
const SERVERS: &[(&str, &str)] = &[
    ("@tanstack/react-start", "TanStack Start"),
    ("@solidjs/start", "SolidStart"),
    ("@strapi/strapi", "Strapi"),
    ("@adonisjs/core", "AdonisJS"),
    ("@medusajs/medusa", "Medusa"),
    ("@keystone-6/core", "Keystone"),
    ("fastify", "Fastify"),
    ("hono", "Hono"),
    ("elysia", "Elysia"),
    ("koa", "Koa"),
    ("@hapi/hapi", "hapi"),
    ("express", "Express"),
    ("socket.io", "Socket.IO"),
];

fn generic(package: &Package) -> Result<Kind, Refusal> {
    let framework = SERVERS
        .iter()
        .find(|(name, _)| package.uses(name))
        .map(|(_, shown)| *shown);
    let shape = own_start(package, &[])?.unwrap_or(Shape::Unknown);
    let shape = match shape {
        Shape::Unknown
            if ["TanStack Start", "SolidStart"]
                .iter()
                .any(|name| framework == Some(*name)) =>
        {
            process(
                "node .output/server/index.mjs",
                "the framework",
                Kept::Folder(".output"),
            )?
        }
        shape => shape,
    };
    Ok(Kind {
        framework,
        build: None,
        shape,
        warning: None,
        build_environment: &[],
        tool: None,
    })
}
