//! Work on the file system in a thread of its own, which ends when the future is dropped.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use domain::ports::source::SourceError;
use tokio::task::JoinHandle;

use super::local;

/// Tells work when to stop: nobody waits for it any more, or its time is over.
#[derive(Debug, Clone)]
pub(super) struct Gate {
    dropped: Arc<AtomicBool>,
    deadline: Instant,
    seconds: u64,
}

impl Gate {
    /// Whether to go on.
    pub(super) fn check(&self) -> Result<(), SourceError> {
        if self.dropped.load(Ordering::Relaxed) {
            return Err(local("nobody waits for this any more"));
        }
        if Instant::now() >= self.deadline {
            return Err(SourceError::TooSlow(self.seconds));
        }
        Ok(())
    }

    /// The same for readers, whose errors are of another kind.
    pub(super) fn check_io(&self) -> io::Result<()> {
        self.check().map_err(io::Error::other)
    }
}

/// A reader or seeker that stops at a gate.
pub(super) struct Gated<R> {
    pub(super) inner: R,
    pub(super) gate: Gate,
}

impl<R: io::Read> io::Read for Gated<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.gate.check_io()?;
        self.inner.read(buffer)
    }
}

impl<R: io::Seek> io::Seek for Gated<R> {
    fn seek(&mut self, position: io::SeekFrom) -> io::Result<u64> {
        self.gate.check_io()?;
        self.inner.seek(position)
    }
}

/// When dropped early, tells the work to stop and waits a moment until it has: the caller removes the directory next.
struct Leave<T> {
    handle: JoinHandle<T>,
    dropped: Arc<AtomicBool>,
    left: mpsc::Receiver<()>,
}

impl<T> Drop for Leave<T> {
    fn drop(&mut self) {
        if self.handle.is_finished() {
            return;
        }
        self.dropped.store(true, Ordering::Relaxed);
        // Work that has not begun never will, and its sender goes with it.
        self.handle.abort();
        let _ = self.left.recv_timeout(Duration::from_secs(1));
    }
}

/// Runs `work` in a thread that may block.
pub(super) async fn run<T: Send + 'static>(
    deadline: Instant,
    seconds: u64,
    work: impl FnOnce(&Gate) -> Result<T, SourceError> + Send + 'static,
) -> Result<T, SourceError> {
    let dropped = Arc::new(AtomicBool::new(false));
    let gate = Gate {
        dropped: Arc::clone(&dropped),
        deadline,
        seconds,
    };
    let (leaving, left) = mpsc::channel::<()>();
    let handle = tokio::task::spawn_blocking(move || {
        let _leaving = leaving;
        work(&gate)
    });
    let mut leave = Leave { handle, dropped, left };
    (&mut leave.handle).await.map_err(local)?
}
