//! What a fuzz target does with its input: the input becomes a file of an application, or several, or what the user
//! set; the application is planned, and what holds for every plan is checked.
//!
//! This file is compiled twice: into the fuzz targets, and into an ordinary test of the planner.

mod sections;
mod targets;

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    time::Duration,
};

use planner::{Plan, Refusal, Settings, base_images_of_dockerfile, plan};
use tempfile::TempDir;

use crate::{
    LARGEST, WATCHES_TIME,
    promises::{check, on_processor},
};
use sections::sections;
pub(crate) use targets::TARGETS;
use targets::{Place, Subject};

/// Files of an application beyond these, and longer paths, make the fuzzer slow and find nothing.
const MOST_FILES: usize = 40;
const LONGEST_PATH: usize = 200;
/// What lies outside of the application's folder, and the value of a variable: neither may be seen in an answer.
const OUTSIDE: &str = "b1f4-of-somebody-else";
const VALUE: &str = "c7d2-of-a-variable";
/// What a hostile input runs, if it can. The fuzzer's dictionary has it behind everything that a shell understands.
const EVIL: &str = "evil";
/// A refusal is read by a person, and kept.
const LONGEST_REFUSAL: usize = 8 * 1024;
/// A plan takes milliseconds. In a fuzz target, which is slowed by its counters, a second and a half is too long.
const LONGEST_PLAN: Duration = Duration::from_millis(1_500);

/// Does with an input what the target of this name does.
pub(crate) fn run(target: &str, input: &[u8]) {
    let target = TARGETS
        .iter()
        .find(|known| known.name == target)
        .expect("a target of the table");
    match &target.subject {
        Subject::File(places) => places.iter().for_each(|place| file(place, input)),
        Subject::Dockerfile => dockerfile(input),
        Subject::Settings => with_settings(input),
        Subject::Application => application(input),
        Subject::Repeated => repeated(input),
    }
}

/// A folder with the application, and beside it what is none of the application's business.
struct World {
    folder: TempDir,
}

impl World {
    fn new() -> Self {
        // Memory, where there is some: the fuzzer makes thousands of folders in a second.
        let memory = Path::new("/dev/shm");
        let folder = match std::env::var_os("TMPDIR") {
            None if memory.is_dir() => TempDir::new_in(memory),
            _ => TempDir::new(),
        };
        let world = Self {
            folder: folder.expect("a temporary folder"),
        };
        fs::create_dir(world.root()).expect("a folder");
        world
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("app")
    }

    /// Writes a file of the application, unless something is in its way.
    fn write(&self, path: &str, text: &[u8]) {
        let path = self.root().join(path);
        if path.parent().is_some_and(|above| fs::create_dir_all(above).is_ok()) {
            let _ = fs::write(path, text);
        }
    }

    fn link(&self, path: &str, destination: &str) {
        let path = self.root().join(path);
        if path.parent().is_some_and(|above| fs::create_dir_all(above).is_ok()) {
            let _ = symlink(destination, path);
        }
    }

    /// What a link could lead to.
    fn fill_outside(&self) {
        let outside = self.folder.path().join("outside");
        fs::create_dir_all(&outside).expect("a folder");
        let json = format!(r#"{{"name":"{OUTSIDE}","main":"{OUTSIDE}","scripts":{{"start":"{OUTSIDE}"}}}}"#);
        for (name, text) in [
            ("package.json", json),
            ("Procfile", format!("web: {OUTSIDE}\n")),
            ("main.py", format!("{OUTSIDE} = Flask()\n")),
            ("go.mod", format!("module {OUTSIDE}\n")),
            ("click-deploy.toml", format!("start_command = \"{OUTSIDE}\"\n")),
        ] {
            fs::write(outside.join(name), text).expect("a file");
        }
    }

    /// Plans the application, and checks what holds for each answer.
    fn check(&self, settings: &Settings, input: &[u8]) {
        let root = self.root();
        let answer = in_time(|| plan(&root, settings));
        assert_eq!(answer, plan(&root, settings), "the same files have another plan");
        match &answer {
            Ok(plan) => {
                check(plan);
                check_words(plan);
                check_instructions(plan);
            }
            Err(refusal) => {
                let text = refusal.to_string();
                check_line(&text);
                assert!(
                    text.len() <= LONGEST_REFUSAL,
                    "a refusal of {} bytes: {text}",
                    text.len()
                );
            }
        }
        self.check_secrets(&answer, input);
    }

    /// No answer tells where the application lies, what lies beside it, or a variable's value.
    fn check_secrets(&self, answer: &Result<Plan, Refusal>, input: &[u8]) {
        let told = format!("{answer:?}");
        let folder = self.folder.path().file_name().and_then(|name| name.to_str());
        for secret in [OUTSIDE, VALUE, folder.unwrap_or(OUTSIDE)] {
            let was_said = input.windows(secret.len()).any(|part| part == secret.as_bytes());
            assert!(was_said || !told.contains(secret), "{secret} is told in {told}");
        }
    }
}

/// Panics in a fuzz target if the work is long. Time on a processor counts: the machine may be busy with other things.
fn in_time<T>(work: impl FnOnce() -> T) -> T {
    if !WATCHES_TIME {
        return work();
    }
    let before = on_processor();
    let done = work();
    let took = on_processor().saturating_sub(before);
    assert!(took < LONGEST_PLAN, "it took {took:?}");
    done
}

/// What is shown on one line is one line.
fn check_line(text: &str) {
    assert!(!text.chars().any(char::is_control), "a control character in {text:?}");
}

/// What a person reads of a plan.
fn check_words(plan: &Plan) {
    check_line(&plan.provider);
    plan.framework.iter().for_each(|name| check_line(name));
    plan.warnings.iter().for_each(|warning| check_line(warning));
    plan.base_images.iter().for_each(|image| check_line(image));
    for fact in &plan.facts {
        [&fact.name, &fact.value, &fact.because]
            .into_iter()
            .for_each(|text| check_line(text));
    }
    let command = plan.start_command.as_deref().unwrap_or_default();
    let is_unexpected = |character: char| character.is_control() && !matches!(character, '\n' | '\t');
    assert!(
        !command.chars().any(is_unexpected),
        "a control character in {command:?}"
    );
}

/// What the instructions may name: of the build context only what lies in it, of mounts only ours, and nothing that a
/// shell would run for a hostile file.
fn check_instructions(plan: &Plan) {
    let text = &plan.dockerfile;
    assert!(
        text.lines().last().is_some_and(|line| line.starts_with("CMD [")),
        "CMD is last in\n{text}"
    );
    for line in text.lines() {
        let begin = line.trim_start();
        if begin.starts_with('#') || ["[", "CMD [", "RUN ["].iter().any(|start| begin.starts_with(start)) {
            continue;
        }
        check_neighbours(line);
        for mount in line.split(' ').filter_map(|word| word.strip_prefix("--mount=")) {
            let is_plain = |character: char| character.is_ascii_alphanumeric() || "_=,./:-".contains(character);
            let is_ours = ["type=cache,id=", "type=secret,id=", "type=bind,from="]
                .iter()
                .any(|start| mount.starts_with(start));
            assert!(
                is_ours && mount.chars().all(is_plain) && !mount.contains(".."),
                "{line}"
            );
        }
        if let Some(words) = line.strip_prefix("COPY ").filter(|words| !words.contains("--from=")) {
            let paths = words.split(' ').filter(|word| !word.starts_with("--"));
            for path in paths {
                let leaves = path.starts_with('/') || path.split('/').any(|part| part == "..");
                assert!(!leaves, "{line} is not of the build context");
            }
        }
    }
}

/// A hostile word is an argument at most: nothing beside it makes a shell run it.
fn check_neighbours(line: &str) {
    for (at, _) in line.match_indices(EVIL) {
        let before = line[..at].chars().next_back();
        let after = line[at + EVIL.len()..].chars().next();
        for beside in [before, after].into_iter().flatten() {
            assert!(!"$()`;&|<>\"\\*?[]{}!#".contains(beside), "{EVIL} is run by {line}");
        }
    }
}

fn usual_settings() -> Settings {
    Settings {
        cache_key: "k1".to_owned(),
        variables: [("DATABASE_URL".to_owned(), VALUE.to_owned())].into(),
        ..Settings::default()
    }
}

/// The input as one file of an application.
fn file(place: &Place, input: &[u8]) {
    let world = World::new();
    for (path, text) in place.beside {
        world.write(path, text.as_bytes());
    }
    world.write(place.path, input);
    world.check(&usual_settings(), input);
}

/// The images of a Dockerfile, which a user wrote.
fn dockerfile(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let arguments = BTreeMap::from([("VERSION".to_owned(), "24".to_owned())]);
    for target in [None, Some("build"), Some("0")] {
        let images = in_time(|| base_images_of_dockerfile(&text, &arguments, target));
        assert_eq!(images, base_images_of_dockerfile(&text, &arguments, target));
        for image in images {
            assert!(!image.is_empty() && image.len() <= text.len().max(1024), "{image:?}");
        }
    }
}

/// What the user set, for an application of the language that a section `in` names.
fn with_settings(input: &[u8]) {
    let mut settings = Settings::default();
    let mut application = targets::applications()[0].1;
    for (name, value) in sections(input) {
        let value = String::from_utf8_lossy(value).into_owned();
        match name.split_once(' ').unwrap_or((name, "")) {
            ("in", language) => {
                let found = targets::applications().iter().find(|(of, _)| *of == language);
                application = found.map_or(application, |(_, files)| files);
            }
            ("install", _) => settings.install_command = Some(value),
            ("build", _) => settings.build_command = Some(value),
            ("start", _) => settings.start_command = Some(value),
            ("output", _) => settings.output_directory = Some(value),
            ("key", _) => settings.cache_key = value,
            ("variable", name) => {
                settings.variables.insert(name.to_owned(), value);
            }
            _ => {}
        }
    }
    let world = World::new();
    for (path, text) in application {
        world.write(path, text.as_bytes());
    }
    world.check(&settings, input);
}

/// Several files: `=== PATH` before each, or `=== PATH -> DESTINATION` for a link.
fn application(input: &[u8]) {
    let world = World::new();
    world.fill_outside();
    for (name, text) in sections(input).into_iter().take(MOST_FILES) {
        if let Some((path, destination)) = name.split_once(" -> ") {
            if let Some(path) = path_of(path) {
                world.link(&path, destination);
            }
        } else if let Some(path) = path_of(name) {
            world.write(&path, text);
        }
    }
    let settings = usual_settings();
    world.check(&settings, input);
    let before = plan(&world.root(), &settings);
    fs::remove_dir_all(world.folder.path().join("outside")).expect("it is there");
    assert_eq!(
        before,
        plan(&world.root(), &settings),
        "what lies outside was looked at"
    );
}

/// A path in the application's folder. `\n` in a name is a line end, which names may have.
fn path_of(name: &str) -> Option<String> {
    let path = name.replace("\\n", "\n");
    let is_inside = !path.contains('\0') && path.split('/').all(|part| !matches!(part, "" | "." | ".."));
    (is_inside && path.len() <= LONGEST_PATH).then_some(path)
}

/// A text that is repeated until the file is as large as the planner reads: `of` names the target, `before` and `after`
/// stand around what `repeat` holds. `%d` in it becomes a number that differs each time.
fn repeated(input: &[u8]) {
    let mut of = None;
    let (mut before, mut unit, mut after) = (&b""[..], &b""[..], &b""[..]);
    for (name, text) in sections(input) {
        match name.split_once(' ').unwrap_or((name, "")) {
            ("of", name) => of = TARGETS.iter().find(|target| target.name == name),
            ("before", _) => before = text,
            ("repeat", _) => unit = text,
            ("after", _) => after = text,
            _ => {}
        }
    }
    let (Some(target), false) = (of, unit.is_empty()) else {
        return;
    };
    match &target.subject {
        Subject::File(places) => {
            for place in *places {
                // Lock files may be larger.
                let size = if place.path.contains("lock") {
                    8 * LARGEST
                } else {
                    LARGEST
                };
                file(place, &grown(before, unit, after, size));
            }
        }
        Subject::Dockerfile => dockerfile(&grown(before, unit, after, LARGEST)),
        Subject::Settings | Subject::Application | Subject::Repeated => {}
    }
}

fn grown(before: &[u8], unit: &[u8], after: &[u8], largest: usize) -> Vec<u8> {
    let mut text = before.to_vec();
    let number = unit.windows(2).position(|two| two == b"%d");
    for index in 0.. {
        if text.len() + unit.len() + 8 + after.len() > largest {
            break;
        }
        match number {
            Some(at) => {
                text.extend_from_slice(&unit[..at]);
                text.extend_from_slice(index.to_string().as_bytes());
                text.extend_from_slice(&unit[at + 2..]);
            }
            None => text.extend_from_slice(unit),
        }
    }
    text.extend_from_slice(after);
    text
}
