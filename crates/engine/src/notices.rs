//! Wake-ups within the process. They carry no truth: whoever is woken looks into the store, and looks now and then
//! without being woken.

use std::sync::Arc;

use domain::DeploymentId;
use store::logs::Log;
use tokio::sync::{Notify, broadcast};

/// What may have changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// A log has more lines.
    Log(Log),
    /// A deployment moved.
    Deployment(DeploymentId),
}

/// Who waits for what.
#[derive(Clone)]
pub struct Notices {
    changes: broadcast::Sender<Notice>,
    jobs: Arc<Notify>,
    cancels: Arc<Notify>,
    reconcile: Arc<Notify>,
}

impl Default for Notices {
    fn default() -> Self {
        Self {
            changes: broadcast::channel(1024).0,
            jobs: Arc::default(),
            cancels: Arc::default(),
            reconcile: Arc::default(),
        }
    }
}

impl Notices {
    /// Something may have changed.
    pub fn tell(&self, notice: Notice) {
        // Nobody listening is no error.
        let _ = self.changes.send(notice);
    }

    /// Hears of changes from now on; one that lags hears less, and looks anyway.
    #[must_use]
    pub fn listen(&self) -> broadcast::Receiver<Notice> {
        self.changes.subscribe()
    }

    /// There is a new job.
    pub fn job(&self) {
        self.jobs.notify_one();
    }

    pub(crate) async fn next_job(&self) {
        self.jobs.notified().await;
    }

    /// A deployment is to be cancelled: everyone at work looks whether it is theirs.
    pub fn cancel(&self) {
        self.cancels.notify_waiters();
    }

    pub(crate) fn cancelled(&self) -> tokio::sync::futures::Notified<'_> {
        self.cancels.notified()
    }

    /// The world may not be as it should.
    pub fn reconcile(&self) {
        self.reconcile.notify_one();
    }

    pub(crate) async fn next_reconcile(&self) {
        self.reconcile.notified().await;
    }
}
