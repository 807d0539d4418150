//! The flags that change how a service is built and run, and what they change.

use clap::{
    Args,
    builder::{PossibleValuesParser, TypedValueParser},
};
use domain::{
    names::{BuildTarget, HealthPath, InsidePath, Replicas, ShellCommand, VariableKey},
    service::{BuildMethod, HealthCheck, InstanceSize, ServiceSettings},
};

/// How a service is built and run. What is not given stays as it is.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Settings (kept for later deployments)")]
pub(crate) struct SettingsOptions {
    /// Who plans the build
    #[arg(long, value_name = "METHOD", value_parser = method())]
    pub(crate) method: Option<BuildMethod>,
    /// The Dockerfile, within the root directory
    #[arg(long, value_name = "PATH")]
    pub(crate) dockerfile: Option<InsidePath>,
    /// The stage of the Dockerfile to build
    #[arg(long, value_name = "STAGE")]
    pub(crate) target: Option<BuildTarget>,
    /// A build argument; repeatable. Visible in the image's history: not for secrets
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    pub(crate) build_arg: Vec<(VariableKey, String)>,
    /// Replaces the install command that was detected
    #[arg(long, value_name = "COMMAND")]
    pub(crate) install_command: Option<ShellCommand>,
    /// Replaces the build command that was detected
    #[arg(long, value_name = "COMMAND")]
    pub(crate) build_command: Option<ShellCommand>,
    /// Replaces the start command
    #[arg(long, value_name = "COMMAND")]
    pub(crate) start_command: Option<ShellCommand>,
    /// Runs once in each new version's image before it serves, as for migrations; a failure ends the deployment
    #[arg(long, value_name = "COMMAND")]
    pub(crate) release_command: Option<ShellCommand>,
    /// Where a static build leaves its files
    #[arg(long, value_name = "PATH")]
    pub(crate) output_directory: Option<InsidePath>,
    /// The port that the application listens on, given to it as PORT
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) port: Option<u16>,
    /// How big an instance is
    #[arg(long, value_name = "SIZE", value_parser = size())]
    pub(crate) size: Option<InstanceSize>,
    /// How many instances run, 1 to 20
    #[arg(long, value_name = "NUMBER", value_parser = replicas)]
    pub(crate) replicas: Option<Replicas>,
    /// The path that must answer before a version is live; without it the port must accept a connection
    #[arg(long, value_name = "PATH")]
    pub(crate) health_path: Option<HealthPath>,
}

fn method() -> impl TypedValueParser<Value = BuildMethod> {
    PossibleValuesParser::new(["automatic", "dockerfile", "planner", "railpack"]).map(|name| match name.as_str() {
        "dockerfile" => BuildMethod::Dockerfile,
        "planner" => BuildMethod::Planner,
        "railpack" => BuildMethod::Railpack,
        _ => BuildMethod::Automatic,
    })
}

fn size() -> impl TypedValueParser<Value = InstanceSize> {
    PossibleValuesParser::new(["small", "medium", "large", "xlarge"]).map(|name| match name.as_str() {
        "medium" => InstanceSize::Medium,
        "large" => InstanceSize::Large,
        "xlarge" => InstanceSize::Xlarge,
        _ => InstanceSize::Small,
    })
}

fn replicas(text: &str) -> Result<Replicas, String> {
    let number: u16 = text.parse().map_err(|_| "replicas are 1 to 20".to_owned())?;
    Replicas::parse(number).map_err(|bad| bad.rule)
}

/// Reads `KEY=VALUE`; the value is every byte after the first `=`.
pub(crate) fn key_value(text: &str) -> Result<(VariableKey, String), String> {
    // The value may be a secret: our words do not repeat it.
    let (key, value) = text.split_once('=').ok_or("it is KEY=VALUE")?;
    if value.contains('\0') {
        return Err("a value has no NUL".to_owned());
    }
    Ok((VariableKey::parse(key).map_err(|bad| bad.rule)?, value.to_owned()))
}

impl SettingsOptions {
    /// The settings with what was asked.
    pub(crate) fn apply(&self, mut settings: ServiceSettings) -> ServiceSettings {
        fn put<T: Clone>(place: &mut Option<T>, asked: &Option<T>) {
            if asked.is_some() {
                place.clone_from(asked);
            }
        }
        let build = &mut settings.build;
        if let Some(method) = self.method {
            build.method = method;
        }
        put(&mut build.dockerfile_path, &self.dockerfile);
        put(&mut build.target, &self.target);
        put(&mut build.install_command, &self.install_command);
        put(&mut build.build_command, &self.build_command);
        put(&mut build.output_directory, &self.output_directory);
        build.arguments.extend(self.build_arg.iter().cloned());
        put(&mut settings.start_command, &self.start_command);
        put(&mut settings.release_command, &self.release_command);
        put(&mut settings.port, &self.port);
        if let Some(size) = self.size {
            settings.instance_size = size;
        }
        if let Some(replicas) = self.replicas {
            settings.replicas = replicas;
        }
        if let Some(path) = &self.health_path {
            settings.health_check = HealthCheck::Http { path: path.clone() };
        }
        settings
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: SettingsOptions,
    }

    fn parse(arguments: &[&str]) -> Result<SettingsOptions, clap::Error> {
        Line::try_parse_from(std::iter::once(&"x").chain(arguments)).map(|line| line.options)
    }

    #[test]
    fn no_flag_changes_nothing_and_each_flag_changes_its_own() {
        let before = parse(&["--port", "8080", "--build-arg", "A=1"])
            .unwrap()
            .apply(ServiceSettings::default());
        assert_eq!(parse(&[]).unwrap().apply(before.clone()), before);
        let after = parse(&[
            "--size",
            "large",
            "--build-arg",
            "B==2",
            "--health-path",
            "/up",
            "--method",
            "planner",
        ])
        .unwrap()
        .apply(before.clone());
        assert_eq!(after.port, Some(8080));
        assert_eq!(after.instance_size, InstanceSize::Large);
        assert_eq!(after.build.method, BuildMethod::Planner);
        let arguments: Vec<_> = after
            .build
            .arguments
            .iter()
            .map(|(k, v)| (k.as_str(), v.as_str()))
            .collect();
        assert_eq!(arguments, [("A", "1"), ("B", "=2")]);
        assert!(matches!(after.health_check, HealthCheck::Http { path } if path.as_str() == "/up"));
    }

    #[test]
    fn hostile_flags_are_refused_at_the_door() {
        for arguments in [
            ["--port", "0"],
            ["--replicas", "21"],
            ["--size", "huge"],
            ["--dockerfile", "../x"],
            ["--target", "a;id"],
            ["--build-arg", "A"],
            ["--build-arg", "A B=1"],
            ["--health-path", "up"],
            ["--start-command", "a\nb"],
        ] {
            assert!(parse(&arguments).is_err(), "{arguments:?}");
        }
    }

    #[test]
    fn a_value_is_every_byte_after_the_first_equals_sign() {
        let (key, value) = key_value("A= \"x\"=$y#z\n✓ ").unwrap();
        assert_eq!((key.as_str(), value.as_str()), ("A", " \"x\"=$y#z\n✓ "));
        assert_eq!(key_value("A=").unwrap().1, "");
        assert!(!key_value("1A=hunter2").unwrap_err().contains("hunter2"));
    }
}
