//! The package manager: which one, which version, and how it is spoken to.

use crate::{
    command::words,
    dockerfile::Caches,
    node::package::Package,
    tool_versions,
    tree::{Tree, shown},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Npm,
    Pnpm,
    YarnClassic,
    YarnBerry,
    Bun,
}

/// A program out of the npm registry that is put into the image beside the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tool {
    /// The runtime, where another manager installs.
    Bun,
    /// A server for handlers of the Fetch standard.
    Srvx,
}

impl Tool {
    /// The command that installs it.
    pub(crate) fn obtain(self) -> String {
        match self {
            Self::Bun => obtain_bun("1"),
            Self::Srvx => format!("npm install -g {QUIET} srvx@1"),
        }
    }
}

const QUIET: &str = "--no-audit --no-fund --no-update-notifier";

/// Newer versions of npm do not run the script that puts the program in its place. It comes in a package for each kind of
/// processor and C library, of which one is used.
fn obtain_bun(version: &str) -> String {
    format!(
        "npm install -g {QUIET} --ignore-scripts bun@{version} && node \"$(npm root -g)/bun/install.js\" && \
         rm -rf \"$(npm root -g)/bun/node_modules\""
    )
}

#[derive(Clone, Debug)]
pub(crate) struct Manager {
    pub(crate) kind: Kind,
    /// The version to install, exact where `packageManager` names one.
    version: String,
    pub(crate) lock: Option<&'static str>,
    pub(crate) because: String,
    /// Lock files of other managers, which are not used.
    pub(crate) other_locks: Vec<&'static str>,
    /// What `packageManager` says, if it was not understood.
    pub(crate) not_understood: Option<String>,
    /// The application brings Yarn's cache along.
    has_yarn_cache: bool,
    pub(super) can_focus: bool,
}

/// Where pnpm keeps packages unless told otherwise; not every command of every version can be told.
const PNPM_STORE: &str = "/root/.local/share/pnpm/store";

impl Kind {
    fn locks(self) -> &'static [&'static str] {
        match self {
            Self::Npm => &["package-lock.json", "npm-shrinkwrap.json"],
            Self::Pnpm => &["pnpm-lock.yaml"],
            Self::YarnClassic | Self::YarnBerry => &["yarn.lock"],
            Self::Bun => &["bun.lock", "bun.lockb"],
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Npm => "npm",
            Self::Pnpm => "pnpm",
            Self::YarnClassic | Self::YarnBerry => "yarn",
            Self::Bun => "bun",
        }
    }
}

/// A version that can stand in a command: digits, dots, and a plain suffix.
fn is_version(text: &str) -> bool {
    text.len() <= 64
        && text.starts_with(|first: char| first.is_ascii_digit())
        && text
            .chars()
            .all(|character| character.is_ascii_alphanumeric() || ".-".contains(character))
}

/// The version that a file of the manager's own, or of a tool manager, names. What is wrong with such a file is told where
/// the version of Node.js is looked for.
fn pinned(tree: &Tree, kind: Kind) -> Option<String> {
    let of_its_own = || {
        let text = tree.text(".bun-version").ok()??;
        text.lines().next().map(|line| line.trim().to_owned())
    };
    let of_tools = || Some(tool_versions::wish(tree, &[kind.name()]).ok()??.0);
    let version = match kind {
        Kind::Bun => of_its_own().or_else(of_tools),
        Kind::Pnpm => of_tools(),
        Kind::Npm | Kind::YarnClassic | Kind::YarnBerry => None,
    };
    version.filter(|version| is_version(version))
}

impl Manager {
    pub(crate) fn detect(tree: &Tree, package: &Package) -> Self {
        let mut not_understood = None;
        let mut asked = None;
        if let Some(text) = package.text(&["packageManager"]) {
            let (name, version) = text.split_once('@').unwrap_or((text, ""));
            let version = version.split('+').next().unwrap_or_default();
            let version = Some(version).filter(|version| is_version(version));
            match name {
                "npm" => asked = Some((Kind::Npm, version)),
                "pnpm" => asked = Some((Kind::Pnpm, version)),
                "bun" => asked = Some((Kind::Bun, version)),
                "yarn" => {
                    let classic = version.map_or_else(|| yarn_kind(tree) == Kind::YarnClassic, |v| v.starts_with("1."));
                    asked = Some((if classic { Kind::YarnClassic } else { Kind::YarnBerry }, version));
                }
                _ => not_understood = Some(shown(text)),
            }
            if asked.is_some_and(|(_, version)| version.is_none()) && text.contains('@') {
                not_understood = Some(shown(text));
            }
        }
        let by_lock = [Kind::Pnpm, Kind::Bun, Kind::YarnClassic, Kind::Npm]
            .into_iter()
            .find_map(|kind| Some((kind, *kind.locks().iter().find(|lock| tree.has_file(lock))?)));
        let (kind, version, because) = match (asked, by_lock) {
            (Some((kind, version)), _) => (kind, version, "packageManager in package.json".to_owned()),
            (None, Some((Kind::YarnClassic, lock))) => (yarn_kind(tree), None, lock.to_owned()),
            (None, Some((kind, lock))) => (kind, engine(package, kind), lock.to_owned()),
            (None, None) if tree.has_file("pnpm-workspace.yaml") => {
                (Kind::Pnpm, None, "pnpm-workspace.yaml".to_owned())
            }
            (None, None) if tree.has_file(".yarnrc.yml") => (Kind::YarnBerry, None, ".yarnrc.yml".to_owned()),
            (None, None) => match [Kind::Pnpm, Kind::Bun]
                .into_iter()
                .find(|kind| only_engine(package, *kind))
            {
                Some(kind) => (
                    kind,
                    engine(package, kind),
                    format!("engines.{} in package.json", kind.name()),
                ),
                None if starts_with_bun(package) => (Kind::Bun, None, "scripts.start in package.json".to_owned()),
                None => (Kind::Npm, None, "there is no lock file".to_owned()),
            },
        };
        let lock = kind.locks().iter().copied().find(|lock| tree.has_file(lock));
        let all = [Kind::Pnpm, Kind::Bun, Kind::YarnClassic, Kind::Npm]
            .into_iter()
            .flat_map(|kind| kind.locks());
        let other_locks = all
            .copied()
            .filter(|other| !kind.locks().contains(other) && tree.has_file(other))
            .collect();
        let version = version
            .map(str::to_owned)
            .or_else(|| pinned(tree, kind))
            .unwrap_or_else(|| default_version(tree, kind).to_owned());
        let plugins = tree.head(".yarnrc.yml").contains("workspace-tools");
        // A Yarn that lies in the repository runs instead of the installed one.
        let own = yarn_of_its_own(tree);
        let running = own.as_deref().unwrap_or(&version);
        let can_focus = plugins || !["2", "3"].contains(&running.split('.').next().unwrap_or_default());
        let has_yarn_cache = tree.has_folder(".yarn/cache");
        Self {
            kind,
            version,
            lock,
            because,
            other_locks,
            not_understood,
            has_yarn_cache,
            can_focus,
        }
    }

    /// As shown to people.
    pub(crate) fn described(&self) -> String {
        match self.kind {
            Kind::Npm => "npm".to_owned(),
            kind => format!("{} {}", kind.name(), self.version),
        }
    }

    /// The command that puts the manager into the image; npm is there already. Everything comes from the npm registry.
    pub(crate) fn obtain(&self) -> Option<String> {
        let version = &self.version;
        let flags = QUIET;
        Some(match self.kind {
            Kind::Npm => return None,
            Kind::Pnpm => format!("npm install -g {flags} pnpm@{version}"),
            // The official image has a Yarn of its own in the same place.
            Kind::YarnClassic => format!("npm install -g {flags} --force yarn@{version}"),
            Kind::YarnBerry => format!("npm install -g {flags} --force @yarnpkg/cli-dist@{version}"),
            Kind::Bun => obtain_bun(version),
        })
    }

    /// The manager's own settings, for every stage.
    pub(crate) fn environment(&self) -> Vec<(&'static str, &'static str)> {
        match self.kind {
            // Plug'n'Play would leave the packages in the cache, which is not in the image.
            Kind::YarnBerry if self.has_yarn_cache => {
                vec![("YARN_NODE_LINKER", "node-modules"), ("YARN_ENABLE_TELEMETRY", "0")]
            }
            Kind::YarnBerry => vec![
                ("YARN_NODE_LINKER", "node-modules"),
                ("YARN_ENABLE_GLOBAL_CACHE", "true"),
                ("YARN_ENABLE_TELEMETRY", "0"),
            ],
            _ => Vec::new(),
        }
    }

    pub(crate) fn caches(&self, caches: &Caches) -> Vec<String> {
        match self.kind {
            Kind::Npm => caches.mount("npm", "/root/.npm", false),
            Kind::Pnpm => caches.mount("pnpm", PNPM_STORE, false),
            // Yarn 1 corrupts a cache that two of it write.
            Kind::YarnClassic => caches.mount("yarn", "/root/.cache/yarn", true),
            Kind::YarnBerry => caches.mount("yarn-berry", "/root/.yarn/berry/cache", true),
            Kind::Bun => caches.mount("bun", "/root/.bun/install/cache", false),
        }
    }

    /// Installs what the lock file says; `only_for_running` leaves the development dependencies out.
    pub(crate) fn install(&self, only_for_running: bool) -> String {
        let locked = self.lock.is_some();
        match self.kind {
            Kind::Npm => {
                let verb = if locked { "ci" } else { "install" };
                let which = if only_for_running {
                    "--omit=dev"
                } else {
                    "--include=dev"
                };
                format!("npm {verb} {which} --no-audit --no-fund --no-update-notifier")
            }
            Kind::Pnpm => {
                let frozen = if locked {
                    "--frozen-lockfile"
                } else {
                    "--no-frozen-lockfile"
                };
                let which = if only_for_running { "--prod" } else { "--prod=false" };
                format!("pnpm install {frozen} {which}")
            }
            Kind::YarnClassic => {
                let frozen = if locked { " --frozen-lockfile" } else { "" };
                format!(
                    "yarn install{frozen} --production={only_for_running} --non-interactive --cache-folder /root/.cache/yarn"
                )
            }
            Kind::YarnBerry if only_for_running && self.can_focus => {
                "yarn workspaces focus --all --production".to_owned()
            }
            Kind::YarnBerry => format!("yarn install {}", if locked { "--immutable" } else { "--no-immutable" }),
            Kind::Bun => {
                let frozen = if locked { " --frozen-lockfile" } else { "" };
                let which = if only_for_running { " --production" } else { "" };
                format!("bun install{frozen}{which}")
            }
        }
    }

    /// Takes the development dependencies away again, without running scripts that want them.
    pub(crate) fn prune(&self) -> Option<String> {
        Some(match self.kind {
            Kind::Npm => "npm prune --omit=dev --ignore-scripts --no-audit --no-fund --no-update-notifier".to_owned(),
            Kind::Pnpm => "CI=true pnpm prune --prod --ignore-scripts".to_owned(),
            Kind::YarnClassic => format!("{} --ignore-scripts --prefer-offline", self.install(true)),
            Kind::YarnBerry if self.can_focus => self.install(true),
            // It only adds, so what is there goes; and so do scripts that want what is not there any more.
            Kind::Bun => format!(
                "npm pkg delete scripts && rm -rf node_modules && {}",
                self.install(true)
            ),
            Kind::YarnBerry => return None,
        })
    }

    pub(crate) fn run_script(&self, name: &str) -> String {
        format!("{} run {name}", self.kind.name())
    }

    /// Files beside `package.json` that an installation reads.
    pub(crate) fn files(&self, tree: &Tree) -> Vec<String> {
        let extra: &[&str] = match self.kind {
            Kind::Npm => &[".npmrc"],
            Kind::Pnpm => &[".npmrc", "pnpm-workspace.yaml", ".pnpmfile.cjs"],
            Kind::YarnClassic => &[".npmrc", ".yarnrc"],
            Kind::YarnBerry => &[".yarnrc.yml"],
            Kind::Bun => &[".npmrc", "bunfig.toml"],
        };
        let lock = self.lock.into_iter();
        let extra = extra.iter().copied().filter(|file| tree.has_file(file));
        lock.chain(extra).map(str::to_owned).collect()
    }

    /// Folders that an installation reads.
    pub(crate) fn folders(&self, tree: &Tree) -> Vec<&'static str> {
        let folders: &[&str] = if self.kind == Kind::YarnBerry {
            &["patches", ".yarn"]
        } else {
            &["patches"]
        };
        folders
            .iter()
            .copied()
            .filter(|folder| tree.has_folder(folder))
            .collect()
    }

    /// The files in which registries and their credentials are configured, possibly by variables.
    pub(crate) const CONFIGURATION: [&'static str; 4] = [".npmrc", ".yarnrc", ".yarnrc.yml", "bunfig.toml"];
}

/// Whether `engines` asks for this manager and not for npm.
fn only_engine(package: &Package, kind: Kind) -> bool {
    let is_version = |text: &str| text.starts_with(|first: char| first.is_ascii_digit() || "^~>=v*x".contains(first));
    package.text(&["engines", kind.name()]).is_some_and(is_version) && package.text(&["engines", "npm"]).is_none()
}

/// The version that `engines` asks for, if npm understands it as part of a package's name: not an open range, for which
/// the lock file decides.
fn engine(package: &Package, kind: Kind) -> Option<&str> {
    let text = package.text(&["engines", kind.name()])?;
    if let Some(base) = text.strip_prefix('^') {
        return base
            .split('.')
            .next()
            .filter(|major| is_version(major) && *major != "0");
    }
    let plain = text.trim_start_matches(['=', 'v']);
    (is_version(plain) && !plain.contains('-')).then_some(plain)
}

fn starts_with_bun(package: &Package) -> bool {
    package
        .script("start")
        .is_some_and(|start| words(start).next().is_some_and(|word| matches!(word, "bun" | "bunx")))
}

fn yarn_kind(tree: &Tree) -> Kind {
    let lock = tree.head("yarn.lock");
    if lock.contains("__metadata:") || (tree.has_file(".yarnrc.yml") && !lock.contains("# yarn lockfile v1")) {
        Kind::YarnBerry
    } else {
        Kind::YarnClassic
    }
}

/// The version in `yarnPath: .yarn/releases/yarn-2.4.3.cjs`.
fn yarn_of_its_own(tree: &Tree) -> Option<String> {
    let settings = tree.head(".yarnrc.yml");
    let path = settings.lines().find_map(|line| line.strip_prefix("yarnPath:"))?;
    let file = path.trim().trim_matches(['"', '\'']).rsplit('/').next()?;
    let version = file.strip_prefix("yarn-")?.split(".cjs").next()?;
    is_version(version).then(|| version.to_owned())
}

/// The version of a manager that reads the lock file, when nothing names one.
fn default_version(tree: &Tree, kind: Kind) -> &'static str {
    match kind {
        Kind::Npm => "",
        Kind::Pnpm => {
            let lock = tree.head("pnpm-lock.yaml");
            let format = lock
                .lines()
                .take(5)
                .find_map(|line| line.strip_prefix("lockfileVersion:"));
            match format.unwrap_or_default().trim().trim_matches(['\'', '"']) {
                old if old.starts_with("5.") => "7",
                old if old.starts_with("6.") => "8",
                _ => "10",
            }
        }
        Kind::YarnClassic => "1.22.22",
        Kind::YarnBerry => {
            let lock = tree.head("yarn.lock");
            let mut lines = lock.lines().skip_while(|line| *line != "__metadata:").skip(1);
            match lines
                .next()
                .and_then(|line| line.trim().strip_prefix("version:"))
                .map(str::trim)
            {
                Some("4" | "5") => "2",
                Some("6" | "7") => "3",
                _ => "4",
            }
        }
        Kind::Bun => "1",
    }
}
