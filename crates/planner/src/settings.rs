//! What the user decided, and which decision wins.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What the user set for a service. Everything here wins over what the files say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Replaces the command that installs dependencies.
    pub install_command: Option<String>,
    /// Replaces the command that builds.
    pub build_command: Option<String>,
    /// Replaces the command that starts the application.
    pub start_command: Option<String>,
    /// Runs once in each new image before the application is started from it.
    pub release_command: Option<String>,
    /// The folder that the build writes and that is to be served as files.
    pub output_directory: Option<String>,
    /// The user's variables. Their names become BuildKit secrets of the build command; their values never enter the
    /// plan, except those of the overrides (`CLICK_DEPLOY_START_COMMAND` and its kin).
    pub variables: BTreeMap<String, String>,
    /// No image registry can be reached: of each language only those versions are used for which a stand-in of the base
    /// image can be made from package registries, the nearest to what is asked for, with a warning.
    pub closed_network: bool,
    /// An opaque id of the service, put before every cache mount's id so that services do not share caches.
    /// Without it the plan has no cache mounts.
    pub cache_key: String,
}

/// Railpack's variable with versions of languages, `node@22 python@3.13`.
pub(crate) const RAILPACK_PACKAGES: &str = "RAILPACK_PACKAGES";
/// Railpack's variable with the place of its file.
pub(crate) const RAILPACK_CONFIG_FILE: &str = "RAILPACK_CONFIG_FILE";
/// Railpack's variable with the caches that are not used; `*` for all.
const RAILPACK_DISABLE_CACHES: &str = "RAILPACK_DISABLE_CACHES";
/// What all variables that speak to a planner begin with.
const PREFIXES: [&str; 2] = ["CLICK_DEPLOY_", "RAILPACK_"];

/// A decision that a user can take by a setting or by a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    Install,
    Build,
    Start,
    Release,
    Output,
    BuildPackages,
    RunPackages,
    Provider,
    NodeVersion,
    NodePackage,
    PythonVersion,
    GoPackage,
    CppTarget,
    RustVersion,
    RustBinary,
    RustPackage,
    JavaVersion,
    JavaModule,
    DenoVersion,
    ShellScript,
    PhpVersion,
    PhpRoot,
    PhpExtensions,
    RubyVersion,
    ElixirVersion,
    ErlangVersion,
    DotnetVersion,
    DotnetProject,
}

impl Choice {
    const ALL: &[Self] = &[
        Self::Install,
        Self::Build,
        Self::Start,
        Self::Release,
        Self::Output,
        Self::BuildPackages,
        Self::RunPackages,
        Self::Provider,
        Self::NodeVersion,
        Self::NodePackage,
        Self::PythonVersion,
        Self::GoPackage,
        Self::CppTarget,
        Self::RustVersion,
        Self::RustBinary,
        Self::RustPackage,
        Self::JavaVersion,
        Self::JavaModule,
        Self::DenoVersion,
        Self::ShellScript,
        Self::PhpVersion,
        Self::PhpRoot,
        Self::PhpExtensions,
        Self::RubyVersion,
        Self::ElixirVersion,
        Self::ErlangVersion,
        Self::DotnetVersion,
        Self::DotnetProject,
    ];

    /// Choices by language in our own file: the table, the language's name there, the choice.
    const BY_LANGUAGE: &'static [(&'static str, &'static str, Self)] = &[
        ("versions", "deno", Self::DenoVersion),
        ("versions", "dotnet", Self::DotnetVersion),
        ("versions", "elixir", Self::ElixirVersion),
        ("versions", "erlang", Self::ErlangVersion),
        ("versions", "java", Self::JavaVersion),
        ("versions", "node", Self::NodeVersion),
        ("versions", "php", Self::PhpVersion),
        ("versions", "python", Self::PythonVersion),
        ("versions", "ruby", Self::RubyVersion),
        ("versions", "rust", Self::RustVersion),
        ("packages", "cpp", Self::CppTarget),
        ("packages", "dotnet", Self::DotnetProject),
        ("packages", "go", Self::GoPackage),
        ("packages", "java", Self::JavaModule),
        ("packages", "node", Self::NodePackage),
        ("packages", "rust", Self::RustBinary),
    ];

    /// The choice behind a name in a table of our own file.
    pub(crate) fn of_table(table: &str, name: &str) -> Option<Self> {
        let mut all = Self::BY_LANGUAGE.iter();
        all.find(|(of, language, _)| *of == table && *language == name)
            .map(|(_, _, choice)| *choice)
    }

    /// The names in a table of our own file.
    pub(crate) fn names_of(table: &str) -> Vec<&'static str> {
        let of_it = Self::BY_LANGUAGE.iter().filter(|(of, _, _)| *of == table);
        of_it.map(|(_, language, _)| *language).collect()
    }

    /// The variables that carry the choice, ours first, then those that users bring along from Railpack.
    fn variables(self) -> &'static [&'static str] {
        match self {
            Self::Install => &["CLICK_DEPLOY_INSTALL_COMMAND", "RAILPACK_INSTALL_CMD"],
            Self::Build => &["CLICK_DEPLOY_BUILD_COMMAND", "RAILPACK_BUILD_CMD"],
            Self::Start => &["CLICK_DEPLOY_START_COMMAND", "RAILPACK_START_CMD"],
            Self::Release => &["CLICK_DEPLOY_RELEASE_COMMAND"],
            Self::Output => &[
                "CLICK_DEPLOY_OUTPUT_DIRECTORY",
                "RAILPACK_SPA_OUTPUT_DIR",
                "RAILPACK_STATIC_FILE_ROOT",
            ],
            Self::BuildPackages => &["CLICK_DEPLOY_BUILD_APT_PACKAGES", "RAILPACK_BUILD_APT_PACKAGES"],
            Self::RunPackages => &["CLICK_DEPLOY_APT_PACKAGES", "RAILPACK_DEPLOY_APT_PACKAGES"],
            Self::Provider => &["CLICK_DEPLOY_PROVIDER"],
            Self::NodeVersion => &["CLICK_DEPLOY_NODE_VERSION", "RAILPACK_NODE_VERSION"],
            Self::NodePackage => &[
                "CLICK_DEPLOY_NODE_PACKAGE",
                "RAILPACK_NX_APP",
                "RAILPACK_ANGULAR_PROJECT",
            ],
            Self::PythonVersion => &["CLICK_DEPLOY_PYTHON_VERSION", "RAILPACK_PYTHON_VERSION"],
            Self::GoPackage => &[
                "CLICK_DEPLOY_GO_PACKAGE",
                "GO_BIN",
                "RAILPACK_GO_BIN",
                "RAILPACK_GO_WORKSPACE_MODULE",
            ],
            Self::CppTarget => &["CLICK_DEPLOY_CPP_TARGET"],
            Self::RustVersion => &["CLICK_DEPLOY_RUST_VERSION", "RAILPACK_RUST_VERSION"],
            Self::RustBinary => &["CLICK_DEPLOY_RUST_BIN", "RAILPACK_RUST_BIN"],
            Self::RustPackage => &[
                "CLICK_DEPLOY_CARGO_PACKAGE",
                "CARGO_WORKSPACE",
                "RAILPACK_CARGO_WORKSPACE",
            ],
            Self::JavaVersion => &["CLICK_DEPLOY_JAVA_VERSION", "RAILPACK_JDK_VERSION"],
            Self::JavaModule => &["CLICK_DEPLOY_JAVA_MODULE"],
            Self::DenoVersion => &["CLICK_DEPLOY_DENO_VERSION", "RAILPACK_DENO_VERSION"],
            Self::ShellScript => &["CLICK_DEPLOY_SHELL_SCRIPT", "RAILPACK_SHELL_SCRIPT"],
            Self::PhpVersion => &["CLICK_DEPLOY_PHP_VERSION", "RAILPACK_PHP_VERSION"],
            Self::PhpRoot => &["CLICK_DEPLOY_PHP_ROOT", "RAILPACK_PHP_ROOT_DIR"],
            Self::PhpExtensions => &["CLICK_DEPLOY_PHP_EXTENSIONS", "RAILPACK_PHP_EXTENSIONS"],
            Self::RubyVersion => &["CLICK_DEPLOY_RUBY_VERSION", "RAILPACK_RUBY_VERSION"],
            Self::ElixirVersion => &["CLICK_DEPLOY_ELIXIR_VERSION", "RAILPACK_ELIXIR_VERSION"],
            Self::ErlangVersion => &["CLICK_DEPLOY_ERLANG_VERSION", "RAILPACK_ERLANG_VERSION"],
            Self::DotnetVersion => &["CLICK_DEPLOY_DOTNET_VERSION", "RAILPACK_DOTNET_VERSION"],
            Self::DotnetProject => &["CLICK_DEPLOY_DOTNET_PROJECT", "RAILPACK_DOTNET_PROJECT"],
        }
    }
}

/// A decision that was taken, and where.
#[derive(Clone, Debug)]
pub(crate) struct Chosen {
    pub(crate) value: String,
    pub(crate) because: String,
}

impl Settings {
    /// What the user chose: a setting before a variable. Blank is not a choice.
    pub(crate) fn chosen(&self, choice: Choice) -> Option<Chosen> {
        let (setting, name) = match choice {
            Choice::Install => (self.install_command.as_deref(), "the install command"),
            Choice::Build => (self.build_command.as_deref(), "the build command"),
            Choice::Start => (self.start_command.as_deref(), "the start command"),
            Choice::Release => (self.release_command.as_deref(), "the release command"),
            Choice::Output => (self.output_directory.as_deref(), "the output directory"),
            _ => (None, ""),
        };
        let from_setting = setting.map(|value| (value, format!("{name} in the service's settings")));
        let from_variable = || {
            choice.variables().iter().find_map(|name| {
                self.variables
                    .get(*name)
                    .map(|value| (value.as_str(), format!("the variable {name}")))
            })
        };
        from_setting
            .filter(|(value, _)| !value.trim().is_empty())
            .or_else(from_variable)
            .map(|(value, because)| (value.trim(), because))
            .filter(|(value, _)| !value.is_empty())
            .map(|(value, because)| Chosen {
                value: value.to_owned(),
                because,
            })
    }

    /// Whether a variable speaks to the planner and not to the application.
    pub(crate) fn is_choice(name: &str) -> bool {
        let others = [
            RAILPACK_PACKAGES,
            RAILPACK_CONFIG_FILE,
            RAILPACK_DISABLE_CACHES,
            // What it asks for is always done.
            "RAILPACK_PRUNE_DEPS",
        ];
        others.contains(&name) || Choice::ALL.iter().any(|choice| choice.variables().contains(&name))
    }

    /// The variables that are named like decisions of a planner and are none of this one's.
    pub(crate) fn unknown_choices(&self) -> Vec<&str> {
        let names = self.variables.keys().map(String::as_str);
        let like_a_choice = names.filter(|name| PREFIXES.iter().any(|prefix| name.starts_with(prefix)));
        like_a_choice.filter(|name| !Self::is_choice(name)).collect()
    }

    /// Whether the user wants a build without cache mounts.
    pub(crate) fn caches_are_off(&self) -> bool {
        let off = self.variables.get(RAILPACK_DISABLE_CACHES);
        off.is_some_and(|names| names.split(',').any(|name| name.trim() == "*"))
    }

    /// Whether a variable is set to something that means yes.
    pub(crate) fn is_on(&self, name: &str) -> bool {
        self.variables
            .get(name)
            .is_some_and(|value| !matches!(value.trim(), "" | "0" | "false" | "no" | "off"))
    }
}
