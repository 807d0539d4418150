//! Wake-ups within the process, and between processes. They carry no truth: whoever is woken looks into the store, and
//! looks now and then without being woken.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use domain::DeploymentId;
use store::{Store, logs::Log};
use tokio::sync::{Notify, broadcast};

/// Words that come within this time go to other processes together.
const TOGETHER: Duration = Duration::from_millis(50);
/// More at once, and others are told that anything may have changed.
const MANY: usize = 16;

/// What may have changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// A log has more lines.
    Log(Log),
    /// A deployment moved.
    Deployment(DeploymentId),
    /// Anything, in another process.
    Anything,
}

/// Who waits for what.
#[derive(Clone)]
pub struct Notices {
    changes: broadcast::Sender<Notice>,
    jobs: Arc<Notify>,
    cancels: Arc<Notify>,
    reconcile: Arc<Notify>,
    /// What other processes are told next; none where this process is the only one.
    outbox: Option<Arc<Outbox>>,
}

#[derive(Default)]
struct Outbox {
    words: Mutex<BTreeSet<String>>,
    more: Notify,
}

impl Default for Notices {
    fn default() -> Self {
        Self {
            changes: broadcast::channel(1024).0,
            jobs: Arc::default(),
            cancels: Arc::default(),
            reconcile: Arc::default(),
            outbox: None,
        }
    }
}

/// What may have changed, as other processes are told.
fn word(notice: Notice) -> String {
    match notice {
        Notice::Log(Log::Build(id)) => format!("change build {id}"),
        Notice::Log(Log::Run(id)) => format!("change run {id}"),
        Notice::Deployment(id) => format!("change deployment {id}"),
        Notice::Anything => "change".to_owned(),
    }
}

fn notice(word: &str) -> Notice {
    let mut parts = word.split(' ').skip(1);
    let known = match (parts.next(), parts.next()) {
        (Some("build"), Some(id)) => id.parse().ok().map(|id| Notice::Log(Log::Build(id))),
        (Some("run"), Some(id)) => id.parse().ok().map(|id| Notice::Log(Log::Run(id))),
        (Some("deployment"), Some(id)) => id.parse().ok().map(Notice::Deployment),
        _ => None,
    };
    known.unwrap_or(Notice::Anything)
}

impl Notices {
    /// For one of several processes: [`relay`](Self::relay) tells the others.
    #[must_use]
    pub fn of_several() -> Self {
        Self {
            outbox: Some(Arc::default()),
            ..Self::default()
        }
    }

    fn tell_others(&self, word: impl FnOnce() -> String) {
        if let Some(outbox) = &self.outbox {
            let mut words = outbox.words.lock().unwrap_or_else(PoisonError::into_inner);
            words.insert(word());
            outbox.more.notify_one();
        }
    }

    /// Something may have changed.
    pub fn tell(&self, notice: Notice) {
        self.tell_others(|| word(notice));
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
        self.tell_others(|| "jobs".to_owned());
        self.jobs.notify_one();
    }

    pub(crate) async fn next_job(&self) {
        self.jobs.notified().await;
    }

    /// A deployment is to be cancelled: everyone at work looks whether it is theirs.
    pub fn cancel(&self) {
        self.tell_others(|| "cancel".to_owned());
        self.cancels.notify_waiters();
    }

    pub(crate) fn cancelled(&self) -> tokio::sync::futures::Notified<'_> {
        self.cancels.notified()
    }

    /// The world may not be as it should.
    pub fn reconcile(&self) {
        self.tell_others(|| "reconcile".to_owned());
        self.reconcile.notify_one();
    }

    pub(crate) async fn next_reconcile(&self) {
        self.reconcile.notified().await;
    }

    /// Tells other processes what this one is told, for good.
    pub(crate) async fn relay(&self, store: &Store) {
        let Some(outbox) = &self.outbox else {
            return std::future::pending().await;
        };
        loop {
            outbox.more.notified().await;
            tokio::time::sleep(TOGETHER).await;
            let words = std::mem::take(&mut *outbox.words.lock().unwrap_or_else(PoisonError::into_inner));
            if let Err(error) = store.send(at_most_many(&words)).await {
                tracing::debug!("other processes are not told what changed: {error}");
            }
        }
    }

    /// Hears what processes of the same database say, for good.
    pub(crate) async fn hear(&self, store: &Store) {
        let mut wakes = store.wakes();
        loop {
            self.hear_one(&wakes.next().await);
        }
    }

    fn hear_one(&self, word: &str) {
        match word.split(' ').next() {
            Some("jobs") => self.jobs.notify_one(),
            Some("cancel") => self.cancels.notify_waiters(),
            Some("reconcile") => self.reconcile.notify_one(),
            Some("change") => drop(self.changes.send(notice(word))),
            // Something may have been missed.
            _ => {
                self.jobs.notify_one();
                self.cancels.notify_waiters();
                self.reconcile.notify_one();
                let _ = self.changes.send(Notice::Anything);
            }
        }
    }
}

/// The words that are sent: of many changes, that there are some.
fn at_most_many(words: &BTreeSet<String>) -> BTreeSet<&str> {
    let many = words.len() > MANY;
    let short = |word| match word {
        word if many => str::split(word, ' ').next().unwrap_or_default(),
        word => word,
    };
    words.iter().map(|word| short(word.as_str())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_heard_as_it_was_said() {
        for said in [
            Notice::Log(Log::Build(DeploymentId::mint())),
            Notice::Log(Log::Run(domain::ServiceId::mint())),
            Notice::Deployment(DeploymentId::mint()),
            Notice::Anything,
        ] {
            assert_eq!(notice(&word(said)), said);
        }
        // Another version's words, and MariaDB's, which are short.
        for other in ["change", "change planet x", "change build x"] {
            assert_eq!(notice(other), Notice::Anything);
        }
    }

    #[test]
    fn of_many_changes_one_is_told() {
        let words = |number: usize| -> BTreeSet<String> {
            (0..number)
                .map(|_| word(Notice::Deployment(DeploymentId::mint())))
                .chain(["jobs".to_owned()])
                .collect()
        };
        assert_eq!(at_most_many(&words(5)).len(), 6);
        assert_eq!(at_most_many(&words(500)), BTreeSet::from(["change", "jobs"]));
    }

    #[tokio::test]
    async fn what_another_process_says_is_not_said_again() {
        let notices = Notices::of_several();
        let mut changes = notices.listen();
        for word in ["jobs", "cancel", "reconcile", "change", ""] {
            notices.hear_one(word);
        }
        assert_eq!(changes.recv().await.unwrap(), Notice::Anything);
        tokio::join!(notices.next_job(), notices.next_reconcile());
        let outbox = notices.outbox.unwrap();
        assert!(outbox.words.lock().unwrap().is_empty());
    }
}
