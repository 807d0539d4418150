//! The command behind a start script, and what it needs when it runs.

use crate::{
    Refusal,
    command::{Command, words},
    node::package::Package,
    tree::{Tree, join},
};

/// The command that a script stands for, as it can be run without a package manager in between: one that stays as
/// process 1 would keep the signal to stop from the application.
pub(crate) fn of_script(package: &Package, name: &str) -> Result<Option<Command>, Refusal> {
    let mut name = name.to_owned();
    for _ in 0..5 {
        let Some(text) = package.script(&name) else {
            return Ok(None);
        };
        let source = format!("the script {name:?} in package.json");
        let has_companions = ["pre", "post"]
            .iter()
            .any(|when| package.script(&format!("{when}{name}")).is_some());
        if has_companions || text.contains("npm_") {
            return Command::parse(&through_npm(&name), &source).map(Some);
        }
        match other_script(package, text) {
            Some(other) if other != name => name = other,
            _ => return Command::parse(text, &source).map(Some),
        }
    }
    Command::parse(&through_npm(&name), "the script in package.json").map(Some)
}

fn through_npm(name: &str) -> String {
    let plain = name
        .chars()
        .all(|character| character.is_ascii_alphanumeric() || "._:-".contains(character));
    if plain {
        format!("npm run {name}")
    } else {
        "npm run start".to_owned()
    }
}

/// The script that a script does nothing but call.
fn other_script(package: &Package, text: &str) -> Option<String> {
    let parts: Vec<&str> = text.split_whitespace().collect();
    let name = match parts.as_slice() {
        ["npm" | "yarn" | "pnpm" | "bun", "run", name] => name,
        ["yarn" | "pnpm", name] => name,
        ["npm", "start"] => &"start",
        _ => return None,
    };
    package.script(name).map(|_| (*name).to_owned())
}

/// Programs whose package has another name.
const PROGRAMS: &[(&str, &str)] = &[
    ("tsc", "typescript"),
    ("nest", "@nestjs/cli"),
    ("ng", "@angular/cli"),
    ("sequelize", "sequelize-cli"),
    ("remix-serve", "@remix-run/serve"),
    ("react-router-serve", "@react-router/serve"),
    ("medusa", "@medusajs/cli"),
    ("babel-node", "@babel/node"),
    ("vue-cli-service", "@vue/cli-service"),
    ("strapi", "@strapi/strapi"),
    ("run-s", "npm-run-all"),
    ("run-p", "npm-run-all"),
];

/// The development dependency that a start command calls or loads, if there is one.
pub(crate) fn development_dependency(package: &Package, start: &Command) -> Option<String> {
    let development = package.names("devDependencies");
    let is_one = |name: &str| development.contains(&name) && !package.runs_with(name);
    words(start.text()).find_map(|word| {
        let word = word.rsplit('=').next().unwrap_or(word);
        let program = word.rsplit('/').next().unwrap_or(word);
        let alias = PROGRAMS
            .iter()
            .find(|(name, _)| *name == program)
            .map(|(_, package)| *package);
        let first = word.split('/').next().unwrap_or(word);
        [Some(word), Some(program), Some(first), alias]
            .into_iter()
            .flatten()
            .find(|name| is_one(name))
            .map(str::to_owned)
    })
}

/// What a server is probably called, in the order in which it is looked for.
const ENTRIES: &[&str] = &[
    "index.js",
    "server.js",
    "app.js",
    "main.js",
    "index.mjs",
    "server.mjs",
    "app.mjs",
    "index.cjs",
    "server.cjs",
    "src/index.js",
    "src/server.js",
    "src/app.js",
    "src/main.js",
    "src/index.mjs",
    "server/index.js",
    "bin/www",
];
/// What Bun can run without a build.
const BUN_ENTRIES: &[&str] = &[
    "index.ts",
    "server.ts",
    "app.ts",
    "main.ts",
    "src/index.ts",
    "src/server.ts",
    "index.tsx",
];

/// The file that is the application's program, when nothing names a command.
pub(crate) fn entry(tree: &Tree, package: &Package, is_built: bool, has_bun: bool) -> Option<(String, String)> {
    if let Some(main) = package.text(&["main"]) {
        let main = main.trim_start_matches("./");
        let there = [main.to_owned(), format!("{main}.js"), join(main, "index.js")];
        let found = there
            .iter()
            .find(|path| crate::tree::is_plain_path(path) && tree.has_file(path));
        let promised = (is_built && crate::tree::is_plain_path(main)).then(|| main.to_owned());
        if let Some(path) = found.cloned().or(promised) {
            return Some((format!("node {path}"), "main in package.json".to_owned()));
        }
    }
    if let Some(path) = tree.first_file(ENTRIES) {
        return Some((format!("node {path}"), path.to_owned()));
    }
    let path = tree.first_file(BUN_ENTRIES).filter(|_| has_bun)?;
    Some((format!("bun {path}"), path.to_owned()))
}

/// Where the source of a compiled entry may lie.
const SOURCES: &[&str] = &[
    "src/main.ts",
    "src/index.ts",
    "src/server.ts",
    "src/app.ts",
    "index.ts",
    "server.ts",
    "app.ts",
];

/// The port that the program's first file names, if nothing in it looks at `PORT`.
pub(crate) fn port_in_source(tree: &Tree, start: &Command) -> Option<(u16, String)> {
    let mut after_runtime = words(start.text()).skip_while(|word| !matches!(*word, "node" | "bun" | "tsx" | "ts-node"));
    after_runtime.next()?;
    let file = after_runtime
        .find(|word| !word.starts_with('-') && *word != "run")?
        .trim_start_matches("./");
    let paths = [file.to_owned(), format!("{file}.js"), join(file, "index.js")];
    let named = paths
        .iter()
        .find(|path| crate::tree::is_plain_path(path) && tree.has_file(path))
        .cloned();
    let is_compiled = ["dist/", "build/", "lib/", "out/"]
        .iter()
        .any(|folder| file.starts_with(folder));
    let source = || tree.first_file(SOURCES).filter(|_| is_compiled).map(str::to_owned);
    let path = named.or_else(source)?;
    let text = tree.head(&path);
    let reads_port = [
        "env.PORT",
        "env['PORT']",
        "env[\"PORT\"]",
        "PORT }",
        "PORT,",
        "'PORT'",
        "\"PORT\"",
    ];
    if reads_port.iter().any(|sign| text.contains(sign)) {
        return None;
    }
    let after = |sign: &str| {
        text.match_indices(sign)
            .find_map(|(at, _)| number(text[at + sign.len()..].trim_start_matches([' ', '=', ':', '('])))
    };
    // `port:` alone could be a database's.
    let served = || after("port:").filter(|_| text.contains("serve("));
    let port = after(".listen(")
        .or_else(|| after("const port "))
        .or_else(|| after("const PORT "))
        .or_else(served)?;
    Some((port, path))
}

fn number(text: &str) -> Option<u16> {
    let digits: String = text.chars().take_while(char::is_ascii_digit).take(6).collect();
    digits.parse().ok().filter(|port| *port > 0)
}
