//! Writing a Dockerfile that the builder inside Docker Engine 20.10 understands: no heredocs, no `# syntax` line, no
//! `COPY --link` or `--exclude`.
//!
//! **Invariant.** Text of users and files enters only as a JSON string ([`json`]) or inside a comment ([`comment`]);
//! everything else that is written is a constant of this crate or passed [`crate::tree::is_plain_path`].

use crate::{bases, debian, tree::shown};

/// The build argument that the caller sets to a digest of the variables' values, keyed so that it reveals nothing: a
/// changed variable must run the build command again, and BuildKit does not look at secrets for that.
pub const VARIABLES_DIGEST_ARGUMENT: &str = "CLICK_DEPLOY_VARIABLES_DIGEST";

/// Where a build step finds a variable.
const SECRETS: &str = "/run/secrets";

/// Who runs an application that needs no rights: no user of any base image, and always the same number, so that what
/// it wrote into a volume is its own after the next deployment too.
const USER: &str = "10001:10001";

/// The lines of `/etc/passwd` and `/etc/group` about that user.
pub(crate) const PASSWORD_ENTRIES: (&str, &str) = ("app:x:10001:10001::/app:/bin/sh", "app:x:10001:");

/// What a command that is run as root in the last stage leaves behind becomes the application's, in the same layer: a later
/// one would hold each file once more. What is its own already stays untouched, for the same reason.
const OWN_WHAT_IS_NEW: &str = "find . -xdev ! -user 10001 -exec chown -h 10001:10001 {} +";

/// The name of the shell variable that the preamble uses and forgets.
const PREAMBLE_VARIABLE: &str = "_click_deploy_name";

/// A Dockerfile while it is written.
#[derive(Debug, Default)]
pub(crate) struct Dockerfile {
    text: String,
}

/// Words as the JSON array that `RUN`, `CMD` and `COPY` take.
fn json(words: &[&str]) -> String {
    let array = serde_json::to_string(words).expect("strings are always JSON");
    // Newer builders look for heredocs before they look for JSON.
    array.replace("<<", "\\u003c\\u003c")
}

impl Dockerfile {
    pub(crate) fn finish(self) -> String {
        self.text
    }

    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    /// A remark. It cannot end the line, continue it, or be taken for a directive.
    pub(crate) fn comment(&mut self, text: &str) {
        let text = shown(text).replace('\\', " ");
        self.line(&format!("# {text}"));
    }

    /// A new stage.
    pub(crate) fn from(&mut self, image: &str, stage: Option<&str>) {
        // A blank line between stages, before the remark on the new one.
        let remark = self
            .text
            .rfind("\n# ")
            .filter(|at| !self.text[at + 1..].trim_end().contains('\n'));
        match remark {
            Some(at) => self.text.insert(at, '\n'),
            None if self.text.contains("FROM ") => self.text.push('\n'),
            None => {}
        }
        match stage {
            Some(stage) => self.line(&format!("FROM {image} AS {stage}")),
            None => self.line(&format!("FROM {image}")),
        }
    }

    pub(crate) fn workdir(&mut self, path: &str) {
        self.line(&format!("WORKDIR {path}"));
    }

    /// Constants of ours only.
    pub(crate) fn env(&mut self, pairs: &[(&str, &str)]) {
        if !pairs.is_empty() {
            let pairs: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
            self.line(&format!("ENV {}", pairs.join(" ")));
        }
    }

    /// The whole build context.
    pub(crate) fn copy_everything(&mut self) {
        self.line("COPY . .");
    }

    /// Plain paths of the context: files of the root together, those in folders to the same folder.
    pub(crate) fn copy(&mut self, paths: &[String]) {
        let (deep, flat): (Vec<&String>, Vec<&String>) = paths.iter().partition(|path| path.contains('/'));
        if !flat.is_empty() {
            let names: Vec<&str> = flat.iter().map(|path| path.as_str()).collect();
            self.line(&format!("COPY {} ./", names.join(" ")));
        }
        for path in deep {
            self.line(&format!("COPY {path} ./{path}"));
        }
    }

    /// A folder of the context, with the same name in the image.
    pub(crate) fn copy_folder(&mut self, path: &str) {
        self.line(&format!("COPY {path} ./{path}"));
    }

    /// What a folder of the context holds, into the current folder, which then belongs to the user that runs the application.
    pub(crate) fn copy_folder_here_owned(&mut self, path: &str) {
        self.line(&format!("COPY --chown={USER} {path}/ ./"));
    }

    pub(crate) fn copy_from(&mut self, stage: &str, from: &str, to: &str) {
        self.line(&format!("COPY --from={stage} {from} {to}"));
    }

    /// A folder of another stage, which then belongs to the user that runs the application.
    pub(crate) fn copy_from_owned(&mut self, stage: &str, from: &str, to: &str) {
        self.line(&format!("COPY --from={stage} --chown={USER} {from} {to}"));
    }

    /// The whole build context, which then belongs to the user that runs the application.
    pub(crate) fn copy_everything_owned(&mut self) {
        self.line(&format!("COPY --chown={USER} . ."));
    }

    /// An entry for the user that runs the application, whose home is the current folder: programs ask who they are.
    pub(crate) fn account(&mut self) {
        let (user, group) = PASSWORD_ENTRIES;
        self.run(
            &[],
            &format!("echo '{user}' >>/etc/passwd && echo '{group}' >>/etc/group && chown {USER} ."),
        );
    }

    /// Gives the current folder, or everything in it, to the user that runs the application.
    pub(crate) fn own(&mut self, everything: bool) {
        let option = if everything { " -R" } else { "" };
        self.line(&format!("RUN chown{option} {USER} ."));
    }

    /// From here on, and in the container, the user to whom the application's folder was given runs everything.
    pub(crate) fn run_as_its_owner(&mut self) {
        self.line(&format!("USER {USER}"));
    }

    /// One of our own commands, in a readable form if it sees no variables.
    pub(crate) fn run_seeing(&mut self, mounts: &[String], variables: &Variables, command: &str) {
        if variables.is_empty() {
            self.run(mounts, command);
        } else {
            self.run_script(mounts, variables, command);
        }
    }

    /// Packages of the distribution, without what they only recommend.
    pub(crate) fn install_packages(&mut self, packages: &[&str]) {
        if !packages.is_empty() {
            self.run(&[], &debian::install(packages));
        }
    }

    /// Installs Debian's packages at the beginning of stages. The stage that runs, and those that it stands on, have the packages
    /// of the image only; those of the build are in the others, or in all of it where there are no others. A stage that stands on
    /// another has that one's. Whether the image that runs took its packages: of what is not Debian's none are asked for.
    pub(crate) fn with_packages(&mut self, build: &[String], run: &[String]) -> bool {
        let text = std::mem::take(&mut self.text);
        let stages: Vec<(&str, &str)> = text
            .lines()
            .filter_map(|line| line.strip_prefix("FROM "))
            .map(|from| from.split_once(" AS ").unwrap_or((from, "")))
            .collect();
        let stands_on = |stage: usize| stages[..stage].iter().position(|(_, name)| *name == stages[stage].0);
        let mut running = vec![stages.len().saturating_sub(1)];
        while let Some(below) = running.last().and_then(|stage| stands_on(*stage)) {
            running.push(below);
        }
        let has_others = stages.len() > running.len();
        let (mut took, mut number) = (true, 0);
        for line in text.lines() {
            self.line(line);
            if !line.starts_with("FROM ") {
                continue;
            }
            let (image, below) = (stages[number].0, stands_on(number));
            let packages: Vec<&str> = match (running.contains(&number), below) {
                (true, None) if has_others => run.iter().map(String::as_str).collect(),
                (true, None) => build.iter().chain(run).map(String::as_str).collect(),
                (false, None) => build.iter().map(String::as_str).collect(),
                (false, Some(below)) if running.contains(&below) => build.iter().map(String::as_str).collect(),
                (_, Some(_)) => Vec::new(),
            };
            let is_debian = ![bases::CADDY, bases::NGINX, "scratch"].contains(&image);
            took &= is_debian || packages.is_empty() || !running.contains(&number);
            if is_debian && !packages.is_empty() {
                self.line(&format!("RUN {}", debian::install(&packages)));
            }
            number += 1;
        }
        took
    }

    /// Declares the digest of the variables before a command that sees them.
    pub(crate) fn variables_digest(&mut self, variables: &Variables) {
        if !variables.is_empty() {
            self.line(&format!("ARG {VARIABLES_DIGEST_ARGUMENT}"));
        }
    }

    /// A command of ours, readable.
    pub(crate) fn run(&mut self, mounts: &[String], command: &str) {
        let mut line = String::from("RUN ");
        for mount in mounts {
            line.push_str(mount);
            line.push_str(" \\\n    ");
        }
        line.push_str(command);
        self.line(&line);
    }

    /// A command with somebody else's text in it, seeing these variables.
    pub(crate) fn run_script(&mut self, mounts: &[String], variables: &Variables, script: &str) {
        let mounts: Vec<String> = mounts.iter().cloned().chain(variables.mounts()).collect();
        let script = format!("{}{script}", variables.preamble());
        self.run(&mounts, &json(&["sh", "-c", &script]));
    }

    /// A program with its arguments and no shell.
    pub(crate) fn run_words(&mut self, mounts: &[String], words: &[&str]) {
        self.run(mounts, &json(words));
    }

    /// A program with its arguments, seeing these variables: a shell sets them and becomes the program.
    pub(crate) fn run_script_with_words(&mut self, mounts: &[String], variables: &Variables, words: &[&str]) {
        let mounts: Vec<String> = mounts.iter().cloned().chain(variables.mounts()).collect();
        let script = format!("{}exec \"$@\"", variables.preamble());
        let mut all = vec!["sh", "-c", &script, "sh"];
        all.extend(words);
        self.run(&mounts, &json(&all));
    }

    /// Who runs the commands from here on, and the container: a user and a group of that number, which need no entry anywhere.
    pub(crate) fn user(&mut self, uid: u32) {
        self.line(&format!("USER {uid}:{uid}"));
    }

    /// What the container runs, by a shell.
    pub(crate) fn start(&mut self, script: &str) {
        self.start_words(&["sh", "-c", script]);
    }

    /// What the container runs, without a shell.
    pub(crate) fn start_words(&mut self, words: &[&str]) {
        self.line(&format!("CMD {}", json(words)));
    }
}

/// Cache mounts, each under the service's own id.
#[derive(Clone, Debug)]
pub(crate) struct Caches {
    key: String,
}

impl Caches {
    pub(crate) fn new(key: &str) -> Self {
        Self { key: key.to_owned() }
    }

    /// Without a key there are no caches: an id without one would be shared by all.
    pub(crate) fn mount(&self, name: &str, target: &str, exclusive: bool) -> Vec<String> {
        if self.key.is_empty() {
            return Vec::new();
        }
        let sharing = if exclusive { ",sharing=locked" } else { "" };
        vec![format!(
            "--mount=type=cache,id={}-{name},target={target}{sharing}",
            self.key
        )]
    }

    pub(crate) fn are_on(&self) -> bool {
        !self.key.is_empty()
    }
}

/// The user's variables that a command sees, by name. Values arrive as BuildKit secrets and leave nothing in a layer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Variables {
    names: Vec<String>,
}

impl Variables {
    /// The names must be those of shell variables.
    pub(crate) fn new(names: Vec<String>) -> Self {
        Self { names }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    fn mounts(&self) -> Vec<String> {
        self.names
            .iter()
            .map(|name| format!("--mount=type=secret,id={name}"))
            .collect()
    }

    /// Exports each secret that was given. Builders of the age that we support cannot put secrets into the
    /// environment themselves.
    fn preamble(&self) -> String {
        if self.names.is_empty() {
            return String::new();
        }
        let name = PREAMBLE_VARIABLE;
        format!(
            "for {name} in {names}; do if [ -f {SECRETS}/${name} ]; then export \"${name}=$(cat {SECRETS}/${name})\"; \
             fi; done; unset {name}; ",
            names = self.names.join(" ")
        )
    }
}

/// A command of ours, and what comes after it if it succeeded.
pub(crate) fn and_then(command: &str, then: &str) -> String {
    format!("{command} && {then}")
}

/// Somebody else's command, and what comes after it in the same folder if it succeeded, whatever the command's lines are.
pub(crate) fn script_and_then(script: &str, then: &str) -> String {
    format!("(\n{script}\n) && {then}")
}

/// A command of ours whose files become the application's.
pub(crate) fn owning(command: &str) -> String {
    and_then(command, OWN_WHAT_IS_NEW)
}

/// Somebody else's command whose files become the application's.
pub(crate) fn script_owning(script: &str) -> String {
    script_and_then(script, OWN_WHAT_IS_NEW)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_stays_on_its_line() {
        let mut file = Dockerfile::default();
        file.comment("a\nRUN evil \\");
        file.start("x\nRUN evil <<EOF <<<x <<<<y\n\"]\n");
        let text = file.finish();
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(!text.contains("<<"));
        assert!(!text.lines().any(|line| line.starts_with("RUN") || line.ends_with('\\')));
    }

    #[test]
    fn variables_are_mounted_and_exported_by_name() {
        let mut file = Dockerfile::default();
        file.run_script(&[], &Variables::new(vec!["A".to_owned(), "B".to_owned()]), "make");
        let text = file.finish();
        assert!(
            text.starts_with("RUN --mount=type=secret,id=A \\\n    --mount=type=secret,id=B \\\n    [\"sh\",\"-c\",")
        );
        assert!(text.contains("for _click_deploy_name in A B; do"));
    }
}
