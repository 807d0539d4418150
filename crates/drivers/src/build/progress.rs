//! BuildKit's stream of events, told as steps and lines.

use std::collections::{HashMap, VecDeque};

use bollard_buildkit_proto::{
    google::protobuf::Timestamp,
    moby::buildkit::v1::{StatusResponse, Vertex, VertexLog, VertexStatus, VertexWarning},
};
use domain::{
    logs::{LogLevel, clean_line},
    ports::builder::{BuildObserver, BuildStep},
};

use super::{lines::Lines, mask::Mask};

/// How many lines of one build are told.
const LINES_TOLD: usize = 20_000;

/// How many bytes of them.
const BYTES_TOLD: usize = 10 * 1024 * 1024;

/// How many of a step's last lines an error carries.
const TAIL_LINES: usize = 40;

/// How much of such a line.
const TAIL_LINE_BYTES: usize = 2 * 1024;

/// How much of a step's name is told: a whole script can be one.
const NAME_BYTES: usize = 1024;

/// More steps than this are of no use to a person.
const STEPS_TOLD: usize = 10_000;

/// The name under which a build itself speaks.
const BUILD: &str = "build";

/// Follows one build.
pub(super) struct Progress<'a> {
    observer: &'a dyn BuildObserver,
    mask: &'a Mask,
    steps: HashMap<String, Step>,
    lines: usize,
    bytes: usize,
    pushing: bool,
}

/// A step that failed.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct FailedStep {
    /// What a person reads.
    pub(super) name: String,
    /// What BuildKit said.
    pub(super) error: String,
    /// Its last lines.
    pub(super) tail: Vec<String>,
}

#[derive(Default)]
struct Step {
    name: String,
    started: Option<i128>,
    ended: Option<i128>,
    cached: bool,
    error: Option<String>,
    told: Option<BuildStep>,
    streams: [Lines; 2],
    tail: VecDeque<String>,
}

impl<'a> Progress<'a> {
    /// Tells `observer`, without what `mask` hides.
    pub(super) fn new(observer: &'a dyn BuildObserver, mask: &'a Mask) -> Self {
        Self {
            observer,
            mask,
            steps: HashMap::new(),
            lines: 0,
            bytes: 0,
            pushing: false,
        }
    }

    /// Takes a report of BuildKit.
    pub(super) fn take(&mut self, report: StatusResponse) {
        for vertex in report.vertexes {
            self.vertex(vertex);
        }
        for status in &report.statuses {
            self.status(status);
        }
        for log in report.logs {
            self.log(log);
        }
        for warning in report.warnings {
            self.warning(&warning);
        }
    }

    /// Tells what was left of unfinished lines.
    pub(super) fn end(&mut self) {
        let mut rest = Vec::new();
        for (id, step) in &mut self.steps {
            for stream in &mut step.streams {
                stream.end(|line| rest.push((id.clone(), line)));
            }
        }
        for (id, line) in rest {
            self.line(&id, &line);
        }
    }

    /// Says something about the build itself.
    pub(super) fn notice(&self, level: LogLevel, text: &str) {
        self.observer.line(BUILD, level, &clean_line(&self.mask.hide(text)));
    }

    /// Whether the image was on its way to its registry.
    pub(super) fn is_pushing(&self) -> bool {
        self.pushing
    }

    /// The step that failed first by itself, and not because another did.
    pub(super) fn failed(&self) -> Option<FailedStep> {
        let step = self
            .steps
            .values()
            .filter(|step| step.error.as_deref().is_some_and(|error| !is_cancelled(error)))
            .min_by_key(|step| (step.ended.is_none(), step.ended))?;
        Some(FailedStep {
            name: step.name.clone(),
            error: step.error.clone().unwrap_or_default(),
            tail: step.tail.iter().cloned().collect(),
        })
    }

    fn vertex(&mut self, vertex: Vertex) {
        if vertex.digest.is_empty() || (self.steps.len() >= STEPS_TOLD && !self.steps.contains_key(&vertex.digest)) {
            return;
        }
        let mut name = clean_line(&self.mask.hide(&vertex.name));
        shorten(&mut name, NAME_BYTES);
        let error = Some(vertex.error)
            .filter(|error| !error.is_empty())
            .map(|error| self.mask.hide(&error).into_owned());
        let spare = self.mask.longest();
        let step = self.steps.entry(vertex.digest.clone()).or_insert_with(|| Step {
            streams: [Lines::with_spare(spare), Lines::with_spare(spare)],
            ..Step::default()
        });
        step.name = name;
        let (started, ended) = (
            vertex.started.as_ref().map(nanoseconds),
            vertex.completed.as_ref().map(nanoseconds),
        );
        if let Some(started) = started {
            // Exporting starts once for the layers and once for pushing: it is one step, from its first start.
            step.started = Some(step.started.map_or(started, |first| first.min(started)));
            step.ended = ended;
        }
        step.cached |= vertex.cached;
        step.error = error.or(step.error.take());
        if step.started.is_none() && !step.cached && step.error.is_none() {
            return;
        }
        let told = BuildStep {
            id: vertex.digest,
            name: step.name.clone(),
            cached: step.cached,
            seconds: step
                .ended
                .zip(step.started)
                .map(|(ended, started)| (ended - started).max(0) as f64 / 1e9),
            error: step.error.as_deref().map(|error| {
                if is_cancelled(error) {
                    "cancelled".to_owned()
                } else {
                    clean_line(error)
                }
            }),
        };
        if step.told.as_ref() != Some(&told) {
            step.told = Some(told.clone());
            self.observer.step(told);
        }
    }

    fn status(&mut self, status: &VertexStatus) {
        if status.id.starts_with("pushing layers") && !self.pushing {
            self.pushing = true;
            self.observer.pushing();
        }
    }

    fn log(&mut self, log: VertexLog) {
        let Some(step) = self.steps.get_mut(&log.vertex) else {
            return;
        };
        let mut whole = Vec::new();
        step.streams[usize::from(log.stream == 2)].take(&log.msg, |line| whole.push(line));
        for line in whole {
            self.line(&log.vertex, &line);
        }
    }

    fn line(&mut self, id: &str, line: &str) {
        let Some(step) = self.steps.get_mut(id) else { return };
        let mut text = clean_line(&self.mask.hide(line));
        if self.lines < LINES_TOLD && self.bytes < BYTES_TOLD {
            self.lines += 1;
            self.bytes += text.len();
            self.observer.line(&step.name, LogLevel::Info, &text);
            if self.lines >= LINES_TOLD || self.bytes >= BYTES_TOLD {
                self.observer.line(
                    BUILD,
                    LogLevel::Warn,
                    "this build writes more than is kept; further output is left out",
                );
            }
        }
        if is_usage(&text) {
            return;
        }
        if step.tail.len() == TAIL_LINES {
            step.tail.pop_front();
        }
        shorten(&mut text, TAIL_LINE_BYTES);
        step.tail.push_back(text);
    }

    fn warning(&mut self, warning: &VertexWarning) {
        let text = String::from_utf8_lossy(&warning.short).into_owned();
        let text = clean_line(&self.mask.hide(&text));
        let name = self.steps.get(&warning.vertex).map_or(BUILD, |step| step.name.as_str());
        if !text.is_empty() {
            self.observer.line(name, LogLevel::Warn, &text);
        }
    }
}

/// Whether a step ended only because the build did.
fn is_cancelled(error: &str) -> bool {
    error.ends_with("context canceled")
}

fn nanoseconds(time: &Timestamp) -> i128 {
    i128::from(time.seconds) * 1_000_000_000 + i128::from(time.nanos)
}

/// Cuts a text at a character.
pub(super) fn shorten(text: &mut String, limit: usize) {
    if text.len() > limit {
        let mut end = limit;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push('…');
    }
}

/// npm tells everything that a command can be told after each mistake, a hundred lines that push the mistake itself out.
fn is_usage(line: &str) -> bool {
    let rest = line.strip_prefix("npm error").or_else(|| line.strip_prefix("npm ERR!"));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("   "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[derive(Default)]
    struct Heard {
        steps: Mutex<Vec<BuildStep>>,
        lines: Mutex<Vec<String>>,
        pushes: Mutex<usize>,
    }

    impl BuildObserver for Heard {
        fn step(&self, step: BuildStep) {
            self.steps.lock().unwrap().push(step);
        }
        fn line(&self, step_name: &str, _level: LogLevel, text: &str) {
            self.lines.lock().unwrap().push(format!("{step_name}: {text}"));
        }
        fn pushing(&self) {
            *self.pushes.lock().unwrap() += 1;
        }
    }

    fn vertex(name: &str, started: Option<i64>, completed: Option<i64>, error: &str) -> StatusResponse {
        let at = |seconds| Timestamp { seconds, nanos: 0 };
        StatusResponse {
            vertexes: vec![Vertex {
                digest: format!("sha256:{name}"),
                name: name.to_owned(),
                started: started.map(at),
                completed: completed.map(at),
                error: error.to_owned(),
                ..Vertex::default()
            }],
            ..StatusResponse::default()
        }
    }

    fn log(name: &str, text: &str) -> StatusResponse {
        StatusResponse {
            logs: vec![VertexLog {
                vertex: format!("sha256:{name}"),
                stream: 1,
                msg: text.as_bytes().to_vec(),
                ..VertexLog::default()
            }],
            ..StatusResponse::default()
        }
    }

    #[test]
    fn a_step_that_starts_twice_is_one_from_its_first_start() {
        let (heard, mask) = (Heard::default(), Mask::default());
        let mut progress = Progress::new(&heard, &mask);
        progress.take(vertex("export", None, None, ""));
        progress.take(vertex("export", Some(10), None, ""));
        progress.take(vertex("export", Some(10), Some(12), ""));
        progress.take(vertex("export", Some(12), None, ""));
        progress.take(vertex("export", Some(12), Some(15), ""));
        let seconds: Vec<_> = heard.steps.lock().unwrap().iter().map(|step| step.seconds).collect();
        assert_eq!(seconds, [None, Some(2.0), None, Some(5.0)]);
    }

    #[test]
    fn lines_are_whole_and_hide_secrets_and_the_failed_step_carries_its_last_ones() {
        let heard = Heard::default();
        let mask = Mask::new(&[domain::SecretText::new("s3cret-value")]);
        let mut progress = Progress::new(&heard, &mask);
        progress.take(vertex("run", Some(1), None, ""));
        for number in 0..50 {
            progress.take(log("run", &format!("line {number}\n")));
        }
        progress.take(log("run", "the s3cret"));
        progress.take(log("run", "-value\nunfinished"));
        progress.take(vertex("other", Some(1), Some(2), "failed to solve: context canceled"));
        progress.take(vertex("run", Some(1), Some(3), "exit code: 1 s3cret-value"));
        progress.end();
        let lines = heard.lines.lock().unwrap();
        assert_eq!(lines.len(), 52);
        assert_eq!(lines[50..], ["run: the ***", "run: unfinished"]);
        let failed = progress.failed().unwrap();
        assert_eq!(failed.name, "run");
        assert_eq!(failed.error, "exit code: 1 ***");
        assert_eq!(failed.tail.len(), TAIL_LINES);
        assert_eq!(failed.tail.last().unwrap(), "unfinished");
    }

    #[test]
    fn how_npm_is_called_does_not_push_out_what_went_wrong() {
        let (heard, mask) = (Heard::default(), Mask::default());
        let mut progress = Progress::new(&heard, &mask);
        progress.take(vertex("run", Some(1), None, ""));
        progress.take(log("run", "npm error the lock file does not fit\n"));
        for number in 0..50 {
            progress.take(log("run", &format!("npm error   --option{number}\nnpm error\n")));
        }
        progress.take(vertex("run", Some(1), Some(3), "exit code: 1"));
        progress.end();
        assert_eq!(
            progress.failed().unwrap().tail,
            ["npm error the lock file does not fit"]
        );
    }

    #[test]
    fn a_flood_is_cut_and_said_once() {
        let (heard, mask) = (Heard::default(), Mask::default());
        let mut progress = Progress::new(&heard, &mask);
        progress.take(vertex("run", Some(1), None, ""));
        progress.take(log("run", &"y\n".repeat(LINES_TOLD + 500)));
        let lines = heard.lines.lock().unwrap();
        assert_eq!(lines.len(), LINES_TOLD + 1);
        assert!(lines[LINES_TOLD].starts_with("build: this build writes more"));
    }

    #[test]
    fn pushing_is_told_once() {
        let (heard, mask) = (Heard::default(), Mask::default());
        let mut progress = Progress::new(&heard, &mask);
        for _ in 0..2 {
            progress.take(StatusResponse {
                statuses: vec![VertexStatus {
                    id: "pushing layers".to_owned(),
                    ..VertexStatus::default()
                }],
                ..StatusResponse::default()
            });
        }
        assert_eq!(*heard.pushes.lock().unwrap(), 1);
    }
}
