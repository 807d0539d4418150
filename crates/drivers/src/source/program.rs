//! Running an outside program: arguments only and never a shell, an environment that holds nothing but what is given, a
//! deadline, limits, and an own process group that ends as a whole, also when the future is dropped.

use std::{
    ffi::OsString,
    future::Future,
    io,
    ops::ControlFlow,
    path::{Path, PathBuf},
    pin::Pin,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Resource, Rlimit, Signal, WaitId, WaitIdOptions};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    process::{Child, Command},
    time::Instant,
};

/// Where programs are looked for, and what they get as `PATH`.
pub const SEARCH_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The longest line that an observer gets; the rest of a longer one is left out.
const LINE_BYTES: usize = 16 * 1024;
/// How long output is still read after the program has ended and its group was killed.
const LINGER: Duration = Duration::from_secs(1);

/// Which of its two outputs a program wrote to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// The standard output.
    Stdout,
    /// The standard error.
    Stderr,
}

/// What a program may use.
#[derive(Debug, Clone, Copy)]
pub struct ProgramLimits {
    /// Bytes that it may write to each of its outputs before it is ended.
    pub output_bytes: u64,
    /// Bytes of each output that [`Finished`] keeps: the last ones.
    pub kept_bytes: usize,
    /// Bytes of data memory of each of its processes (`RLIMIT_DATA`).
    pub memory_bytes: Option<u64>,
    /// Bytes of each file that it writes (`RLIMIT_FSIZE`).
    pub file_bytes: Option<u64>,
}

impl Default for ProgramLimits {
    fn default() -> Self {
        Self {
            output_bytes: 64 * 1024 * 1024,
            kept_bytes: 1024 * 1024,
            memory_bytes: None,
            file_bytes: None,
        }
    }
}

/// How a program ended.
#[derive(Debug)]
pub struct Finished {
    /// Its exit code or signal.
    pub status: ExitStatus,
    /// The end of its standard output.
    pub stdout: Vec<u8>,
    /// The end of its standard error.
    pub stderr: Vec<u8>,
}

/// Why a program did not come to its own end.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// It is not installed.
    #[error("the program `{0}` is not installed")]
    Missing(String),
    /// It could not be started.
    #[error("the program `{program}` could not be started")]
    Start {
        /// Its name.
        program: String,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// Its deadline passed.
    #[error("the program `{program}` took longer than {seconds} s")]
    TooSlow {
        /// Its name.
        program: String,
        /// Its deadline.
        seconds: u64,
    },
    /// It wrote more than it may.
    #[error("the program `{program}` wrote more than {bytes} bytes")]
    TooMuchOutput {
        /// Its name.
        program: String,
        /// The limit.
        bytes: u64,
    },
    /// The observer of its lines had enough.
    #[error("the program `{0}` was stopped")]
    Stopped(String),
    /// Its output could not be read.
    #[error("the output of the program `{program}` could not be read")]
    Output {
        /// Its name.
        program: String,
        /// Why.
        #[source]
        cause: io::Error,
    },
}

/// An outside program that has not been started.
#[derive(Debug)]
pub struct Program {
    path: PathBuf,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    directory: Option<PathBuf>,
    deadline: Duration,
    limits: ProgramLimits,
    stdin: Option<Vec<u8>>,
    separator: u8,
}

/// For whom the lines do not matter.
pub fn ignore(_: Stream, _: &str) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

impl Program {
    /// A program by its path, or by a name that is looked for in [`SEARCH_PATH`]. Unless told otherwise it has a minute.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            arguments: Vec::new(),
            environment: vec![("PATH".into(), SEARCH_PATH.into())],
            directory: None,
            deadline: Duration::from_secs(60),
            limits: ProgramLimits::default(),
            stdin: None,
            separator: b'\n',
        }
    }

    /// One more argument.
    #[must_use]
    pub fn arg(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// More arguments.
    #[must_use]
    pub fn args<A: Into<OsString>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// A variable of its environment, which otherwise holds `PATH` only.
    #[must_use]
    pub fn env(mut self, key: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment.push((key.into(), value.into()));
        self
    }

    /// The directory that it runs in; ours when not set.
    #[must_use]
    pub fn current_dir(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = Some(directory.into());
        self
    }

    /// How long it may take.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// What it may use.
    #[must_use]
    pub fn limits(mut self, limits: ProgramLimits) -> Self {
        self.limits = limits;
        self
    }

    /// What it reads; nothing when not set.
    #[must_use]
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = Some(bytes.into());
        self
    }

    /// The byte that ends a line, when it is not a line feed (or, as terminals have it, a carriage return).
    #[must_use]
    pub fn separator(mut self, separator: u8) -> Self {
        self.separator = separator;
        self
    }

    /// Runs it to its end. Each line reaches `on_line` as it comes, undecodable bytes replaced; a `Break` ends the program.
    ///
    /// # Errors
    /// When it cannot be started, or does not keep to its deadline or limits. A bad exit code is no error here.
    pub async fn run(
        self,
        on_line: impl FnMut(Stream, &str) -> ControlFlow<()> + Send,
    ) -> Result<Finished, ProgramError> {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let path = find(&self.path).ok_or_else(|| ProgramError::Missing(name.clone()))?;
        let mut command = Command::new(path);
        command
            .args(&self.arguments)
            .env_clear()
            .envs(self.environment)
            .stdin(if self.stdin.is_some() {
                Stdio::piped()
            } else {
                Stdio::null()
            })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        let child = command.spawn().map_err(|cause| match cause.kind() {
            io::ErrorKind::NotFound if self.directory.as_ref().is_none_or(|d| d.is_dir()) => {
                ProgramError::Missing(name.clone())
            }
            _ => ProgramError::Start {
                program: name.clone(),
                cause,
            },
        })?;
        let mut group = Group::of(child);
        group.restrict(&self.limits);
        let deadline = Instant::now() + self.deadline;
        let talk = talk(&mut group, self.stdin, self.limits, self.separator, on_line);
        let ended = tokio::time::timeout_at(deadline, talk).await;
        let stopped = match ended {
            Ok(Ok(finished)) => return Ok(finished),
            Ok(Err(Stop::Observer)) => ProgramError::Stopped(name),
            Ok(Err(Stop::Output)) => ProgramError::TooMuchOutput {
                program: name,
                bytes: self.limits.output_bytes,
            },
            Ok(Err(Stop::Broken(cause))) => ProgramError::Output { program: name, cause },
            Err(_) => ProgramError::TooSlow {
                program: name,
                seconds: self.deadline.as_secs(),
            },
        };
        group.end().await;
        Err(stopped)
    }
}

/// The file of a program. Looking it up here, and not in the standard library, lets it use the quick way to start one.
fn find(path: &Path) -> Option<PathBuf> {
    if path.components().count() > 1 {
        return Some(path.to_owned());
    }
    SEARCH_PATH
        .split(':')
        .map(|directory| Path::new(directory).join(path))
        .find(|candidate| candidate.is_file())
}

/// Why the talk with a program ended before it did.
enum Stop {
    Observer,
    Output,
    Broken(io::Error),
}

type Feeding = Pin<Box<dyn Future<Output = ()> + Send>>;

async fn talk(
    group: &mut Group,
    stdin: Option<Vec<u8>>,
    limits: ProgramLimits,
    separator: u8,
    mut on_line: impl FnMut(Stream, &str) -> ControlFlow<()> + Send,
) -> Result<Finished, Stop> {
    let mut stdout = Output::new(Stream::Stdout, group.child.stdout.take(), separator);
    let mut stderr = Output::new(Stream::Stderr, group.child.stderr.take(), separator);
    let mut feeding: Option<Feeding> = group.child.stdin.take().zip(stdin).map(|(mut pipe, bytes)| -> Feeding {
        Box::pin(async move {
            // A program that does not read to the end of its input says so by its exit code, if it minds.
            let _ = pipe.write_all(&bytes).await;
            let _ = pipe.shutdown().await;
        })
    });
    let mut status = None;
    let mut linger = Instant::now();
    while status.is_none() || !stdout.is_closed() || !stderr.is_closed() {
        tokio::select! {
            read = stdout.read(), if !stdout.is_closed() => stdout.take(read, &limits, &mut on_line)?,
            read = stderr.read(), if !stderr.is_closed() => stderr.take(read, &limits, &mut on_line)?,
            () = async { if let Some(feeding) = feeding.as_mut() { feeding.await } }, if feeding.is_some() => feeding = None,
            ended = group.child.wait(), if status.is_none() => {
                status = Some(ended.map_err(Stop::Broken)?);
                // What it left behind would hold its outputs open.
                group.kill();
                group.ended = true;
                linger = Instant::now() + LINGER;
            }
            () = tokio::time::sleep_until(linger), if status.is_some() => break,
        }
    }
    stdout.finish(&mut on_line)?;
    stderr.finish(&mut on_line)?;
    Ok(Finished {
        status: status.expect("the loop ends only after the program"),
        stdout: stdout.kept,
        stderr: stderr.kept,
    })
}

/// One output of a program, cut into lines.
struct Output<P> {
    stream: Stream,
    pipe: Option<P>,
    buffer: Box<[u8]>,
    separator: u8,
    line: Vec<u8>,
    kept: Vec<u8>,
    total: u64,
}

impl<P: AsyncRead + Unpin> Output<P> {
    fn new(stream: Stream, pipe: Option<P>, separator: u8) -> Self {
        Self {
            stream,
            pipe,
            buffer: vec![0; 16 * 1024].into_boxed_slice(),
            separator,
            line: Vec::new(),
            kept: Vec::new(),
            total: 0,
        }
    }

    fn is_closed(&self) -> bool {
        self.pipe.is_none()
    }

    async fn read(&mut self) -> io::Result<usize> {
        match &mut self.pipe {
            Some(pipe) => pipe.read(&mut self.buffer).await,
            None => Ok(0),
        }
    }

    fn take(
        &mut self,
        read: io::Result<usize>,
        limits: &ProgramLimits,
        on_line: &mut impl FnMut(Stream, &str) -> ControlFlow<()>,
    ) -> Result<(), Stop> {
        let length = read.map_err(Stop::Broken)?;
        if length == 0 {
            self.pipe = None;
            return Ok(());
        }
        self.total += length as u64;
        if self.total > limits.output_bytes {
            return Err(Stop::Output);
        }
        self.keep(length, limits.kept_bytes);
        let separator = self.separator;
        let ends = |byte: &u8| *byte == separator || (separator == b'\n' && *byte == b'\r');
        let mut rest = 0;
        while let Some(end) = self.buffer[rest..length].iter().position(ends) {
            self.append(rest, rest + end);
            self.emit(on_line)?;
            rest += end + 1;
        }
        self.append(rest, length);
        Ok(())
    }

    fn append(&mut self, from: usize, to: usize) {
        let room = LINE_BYTES.saturating_sub(self.line.len());
        self.line.extend_from_slice(&self.buffer[from..to.min(from + room)]);
    }

    fn keep(&mut self, length: usize, limit: usize) {
        if limit == 0 {
            return;
        }
        self.kept.extend_from_slice(&self.buffer[..length]);
        // Cut only at twice the limit, so that a long output is not moved again and again.
        if self.kept.len() > limit.saturating_mul(2) {
            self.kept.drain(..self.kept.len() - limit);
        }
    }

    fn emit(&mut self, on_line: &mut impl FnMut(Stream, &str) -> ControlFlow<()>) -> Result<(), Stop> {
        if self.line.is_empty() {
            return Ok(());
        }
        let flow = on_line(self.stream, &String::from_utf8_lossy(&self.line));
        self.line.clear();
        if flow.is_break() { Err(Stop::Observer) } else { Ok(()) }
    }

    fn finish(&mut self, on_line: &mut impl FnMut(Stream, &str) -> ControlFlow<()>) -> Result<(), Stop> {
        self.emit(on_line)
    }
}

/// A running program with all that it started. Dropped, it ends.
struct Group {
    child: Child,
    leader: Option<Pid>,
    ended: bool,
}

impl Group {
    fn of(child: Child) -> Self {
        let leader = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        Self {
            child,
            leader,
            ended: false,
        }
    }

    /// Sets the limits of the kernel. They are set from outside, right after the start: a child that it starts in its first
    /// microseconds could be without them, which matters little to a limit of gigabytes.
    fn restrict(&self, limits: &ProgramLimits) {
        let both = |bytes: u64| Rlimit {
            current: Some(bytes),
            maximum: Some(bytes),
        };
        for (resource, bytes) in [
            (Resource::Data, limits.memory_bytes),
            (Resource::Fsize, limits.file_bytes),
            (Resource::Core, Some(0)),
        ] {
            if let (Some(bytes), Some(leader)) = (bytes, self.leader) {
                // It may have ended already.
                let _ = rustix::process::prlimit(Some(leader), resource, both(bytes));
            }
        }
    }

    fn kill(&self) {
        if let Some(leader) = self.leader {
            let _ = rustix::process::kill_process_group(leader, Signal::KILL);
        }
    }

    async fn end(&mut self) {
        self.kill();
        if tokio::time::timeout(LINGER, self.child.wait()).await.is_ok() {
            self.ended = true;
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let (false, Some(leader)) = (self.ended, self.leader) else {
            return;
        };
        self.kill();
        // Whoever dropped us removes the directory next: a moment's patience spares it a writer. The process stays a
        // child to be reaped by tokio, so that its id cannot have become another's.
        let dead = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        for _ in 0..100 {
            match rustix::process::waitid(WaitId::Pid(leader), dead) {
                Ok(None) => std::thread::sleep(Duration::from_millis(1)),
                _ => break,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Program {
        Program::new("sh").args(["-c", script])
    }

    async fn lines_of(program: Program) -> (Vec<(Stream, String)>, Result<Finished, ProgramError>) {
        let mut lines = Vec::new();
        let finished = program
            .run(|stream, line| {
                lines.push((stream, line.to_owned()));
                ControlFlow::Continue(())
            })
            .await;
        (lines, finished)
    }

    #[tokio::test]
    async fn both_outputs_come_in_lines_and_the_exit_code_is_told() {
        let (mut lines, finished) = lines_of(shell("printf 'a\\rb\\n\\nc'; echo d >&2; exit 3")).await;
        lines.sort_by_key(|(_, line)| line.clone());
        let expected = [
            (Stream::Stdout, "a"),
            (Stream::Stdout, "b"),
            (Stream::Stdout, "c"),
            (Stream::Stderr, "d"),
        ];
        assert_eq!(lines, expected.map(|(stream, line)| (stream, line.to_owned())));
        let finished = finished.unwrap();
        assert_eq!((finished.status.code(), finished.stderr), (Some(3), b"d\n".to_vec()));
    }

    #[tokio::test]
    async fn the_environment_holds_only_what_is_given() {
        let finished = Program::new("env").env("GIVEN", "x y").run(ignore).await.unwrap();
        let text = String::from_utf8(finished.stdout).unwrap();
        let mut lines: Vec<&str> = text.lines().collect();
        lines.sort_unstable();
        assert_eq!(lines, ["GIVEN=x y", &format!("PATH={SEARCH_PATH}")]);
    }

    #[tokio::test]
    async fn input_is_given_also_when_it_is_larger_than_a_pipe() {
        let finished = Program::new("wc")
            .arg("-c")
            .stdin(vec![b'x'; 1_000_000])
            .run(ignore)
            .await
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&finished.stdout).trim(), "1000000");
        let finished = Program::new("true")
            .stdin(vec![b'x'; 1_000_000])
            .run(ignore)
            .await
            .unwrap();
        assert!(finished.status.success());
    }

    #[tokio::test]
    async fn too_much_output_too_long_a_time_and_an_observer_end_it() {
        let limits = ProgramLimits {
            output_bytes: 10_000,
            ..ProgramLimits::default()
        };
        let result = Program::new("yes").limits(limits).run(ignore).await;
        assert!(matches!(result, Err(ProgramError::TooMuchOutput { .. })), "{result:?}");
        let before = std::time::Instant::now();
        let result = shell("sleep 50 & sleep 50")
            .deadline(Duration::from_millis(200))
            .run(ignore)
            .await;
        assert!(matches!(result, Err(ProgramError::TooSlow { .. })), "{result:?}");
        let result = Program::new("yes").run(|_, _| ControlFlow::Break(())).await;
        assert!(matches!(result, Err(ProgramError::Stopped(_))), "{result:?}");
        assert!(before.elapsed() < Duration::from_secs(5));
        let result = Program::new("no-such-program").run(ignore).await;
        assert!(matches!(result, Err(ProgramError::Missing(_))), "{result:?}");
        let result = Program::new("true").current_dir("/no/such/place").run(ignore).await;
        assert!(matches!(result, Err(ProgramError::Start { .. })), "{result:?}");
    }

    #[tokio::test]
    async fn a_long_line_is_cut_and_the_end_of_an_output_is_kept() {
        let script = "head -c 100000 /dev/zero | tr '\\0' x; echo; echo end";
        let limits = ProgramLimits {
            kept_bytes: 100,
            ..ProgramLimits::default()
        };
        let (lines, finished) = lines_of(shell(script).limits(limits)).await;
        assert_eq!(
            lines.iter().map(|(_, line)| line.len()).collect::<Vec<_>>(),
            [LINE_BYTES, 3]
        );
        let kept = finished.unwrap().stdout;
        assert!(kept.len() <= 200 && kept.ends_with(b"end\n"));
    }

    #[tokio::test]
    async fn the_whole_group_ends_when_the_leader_ends_or_the_future_is_dropped() {
        let directory = tempfile::TempDir::new().unwrap();
        let mark = directory.path().join("mark");
        let script = format!("(sleep 0.4; touch {0}) & exit 0", mark.display());
        let before = std::time::Instant::now();
        shell(&script).run(ignore).await.unwrap();
        assert!(
            before.elapsed() < Duration::from_millis(350),
            "it waited for what was left behind"
        );
        let script = format!("(sleep 0.4; touch {0}) & sleep 0.4; touch {0}", mark.display());
        let running = shell(&script).run(ignore);
        assert!(tokio::time::timeout(Duration::from_millis(100), running).await.is_err());
        tokio::time::sleep(Duration::from_millis(700)).await;
        assert!(!mark.exists());
    }

    #[tokio::test]
    async fn a_file_larger_than_allowed_ends_its_writer() {
        let directory = tempfile::TempDir::new().unwrap();
        let limits = ProgramLimits {
            file_bytes: Some(4096),
            ..ProgramLimits::default()
        };
        // The limit is set after the start.
        let finished = shell("sleep 0.1; head -c 100000 /dev/zero > file")
            .current_dir(directory.path())
            .limits(limits)
            .run(ignore)
            .await
            .unwrap();
        assert!(!finished.status.success());
        assert!(std::fs::metadata(directory.path().join("file")).unwrap().len() <= 4096);
    }
}
