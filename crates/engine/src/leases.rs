//! What one process does for all: leading by a lease of a name, and doing something while nobody else does.
//!
//! Nobody believes another machine's clock. Whoever holds a lease counts its beat up; the others watch the beat by their own
//! clock. Work under a lease goes on only as long as the lease was renewed lately: a process that was frozen for longer
//! asks first, and drops the work when somebody else leads by now.

use std::{
    pin::{Pin, pin},
    sync::{Mutex, PoisonError},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use store::{Store, leases::Lease};

/// How often a holder says that it lives.
const BEAT: Duration = Duration::from_secs(4);
/// How often the others look.
const LOOK: Duration = Duration::from_secs(2);
/// A holder that nobody saw living for so long is dead. Its own work ends before (see [`Pulse`]).
const DEAD: Duration = Duration::from_secs(20);
/// How long work may go on without a beat that arrived.
const TRUSTED: Duration = Duration::from_secs(15);

/// Does work for as long as this process leads, again and again, for good. Of a database that has one process, that leads.
pub(crate) async fn lead<F>(store: &Store, owner: &str, name: &'static str, work: impl Fn() -> F)
where
    F: Future<Output = ()>,
{
    if store.is_alone() {
        return work().await;
    }
    let mut watch = Watch::default();
    loop {
        match watch.take(store, name, owner).await {
            Ok(true) => {
                tracing::info!("this process does `{name}` from now on");
                under(store, owner, name, work()).await;
                tracing::info!("this process does `{name}` no more");
                watch = Watch::default();
            }
            Ok(false) => {}
            Err(error) => tracing::debug!("the lease `{name}` could not be looked at: {error}"),
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Does something while no other process does: whoever comes second waits.
pub(crate) async fn alone<T>(
    store: &Store,
    owner: &str,
    name: &str,
    work: impl Future<Output = T>,
) -> Result<T, store::Error> {
    if store.is_alone() {
        return Ok(work.await);
    }
    let mut watch = Watch::default();
    let mut pause = Duration::from_millis(20);
    while !watch.take(store, name, owner).await? {
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(500));
    }
    let Some(end) = under(store, owner, name, work).await else {
        return Err(store::Error::LeaseLost(name.to_owned()));
    };
    if let Err(error) = store.let_lease_go(name, owner).await {
        tracing::debug!("the lease `{name}` ends by its time: {error}");
    }
    Ok(end)
}

/// Works under a lease that this process holds; none when it was lost meanwhile.
async fn under<T>(store: &Store, owner: &str, name: &str, work: impl Future<Output = T>) -> Option<T> {
    let pulse = Pulse::new(TRUSTED);
    let beating = async {
        loop {
            tokio::time::sleep(BEAT).await;
            match store.beat_lease(name, owner).await {
                Ok(true) => pulse.beat(),
                Ok(false) => return,
                Err(error) => tracing::debug!("the lease `{name}` could not be renewed: {error}"),
            }
        }
    };
    tokio::select! {
        // First, so that a beat that comes in time is seen before the work is held up.
        biased;
        () = beating => None,
        end = pulse.guard(work) => Some(end),
    }
}

/// A lease that is watched.
#[derive(Default)]
struct Watch {
    seen: Option<(Lease, Instant)>,
}

impl Watch {
    /// Takes the lease, if nobody holds it or its holder is dead.
    async fn take(&mut self, store: &Store, name: &str, owner: &str) -> Result<bool, store::Error> {
        let Some(lease) = store.lease(name).await? else {
            self.seen = None;
            return store.take_lease(name, owner, None).await;
        };
        if !self.is_dead(&lease, Instant::now()) {
            return Ok(false);
        }
        let taken = store.take_lease(name, owner, Some(&lease)).await?;
        if taken {
            tracing::warn!("whoever did `{name}` is gone: {}", lease.owner);
        }
        Ok(taken)
    }

    /// Whether a lease is exactly as it was so long ago.
    fn is_dead(&mut self, lease: &Lease, now: Instant) -> bool {
        match &self.seen {
            Some((seen, since)) if seen == lease => now.duration_since(*since) > DEAD,
            _ => {
                self.seen = Some((lease.clone(), now));
                false
            }
        }
    }
}

/// When a lease was renewed last. Work that it guards stands still when that is too long ago.
#[derive(Debug)]
pub(crate) struct Pulse {
    last: Mutex<Instant>,
    trusted: Duration,
}

impl Clone for Pulse {
    /// Another one, that was renewed when this one was.
    fn clone(&self) -> Self {
        Self {
            last: Mutex::new(self.last()),
            trusted: self.trusted,
        }
    }
}

impl Pulse {
    pub(crate) fn new(trusted: Duration) -> Self {
        Self {
            last: Mutex::new(Instant::now()),
            trusted,
        }
    }

    /// It was renewed.
    pub(crate) fn beat(&self) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn last(&self) -> Instant {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_trusted(&self) -> bool {
        self.last().elapsed() < self.trusted
    }

    /// Does the work, and not a step of it while the lease is not trusted: a process that was frozen finds its future
    /// ready to go on, and would act on what was true before.
    pub(crate) async fn guard<T>(&self, work: impl Future<Output = T>) -> T {
        Guarded {
            pulse: self,
            work: pin!(work),
            held_up: None,
        }
        .await
    }
}

struct Guarded<'p, F> {
    pulse: &'p Pulse,
    work: Pin<&'p mut F>,
    /// When it is looked again whether the lease is trusted.
    held_up: Option<Pin<Box<tokio::time::Sleep>>>,
}

impl<F: Future> Future for Guarded<'_, F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        loop {
            if self.pulse.is_trusted() {
                self.held_up = None;
                return self.work.as_mut().poll(context);
            }
            let again = || Box::pin(tokio::time::sleep(Duration::from_millis(50)));
            let held_up = self.held_up.get_or_insert_with(again);
            std::task::ready!(held_up.as_mut().poll(context));
            self.held_up = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_holder_is_dead_when_its_beat_stands_still_by_our_clock() {
        let mut watch = Watch::default();
        let lease = |beat| Lease {
            owner: "other".to_owned(),
            beat,
        };
        let began = Instant::now();
        let at = |seconds| began + Duration::from_secs(seconds);
        assert!(!watch.is_dead(&lease(1), at(0)));
        assert!(!watch.is_dead(&lease(1), at(20)));
        assert!(!watch.is_dead(&lease(2), at(21)), "it lives");
        assert!(!watch.is_dead(&lease(2), at(40)));
        assert!(watch.is_dead(&lease(2), at(42)));
    }

    #[test]
    fn whoever_holds_a_lease_stops_before_another_one_takes_it() {
        assert!(TRUSTED + LOOK < DEAD && BEAT * 3 < TRUSTED);
    }

    #[tokio::test]
    async fn work_stands_still_while_its_lease_is_not_renewed() {
        let pulse = Pulse::new(Duration::from_millis(100));
        let steps = std::sync::atomic::AtomicUsize::new(0);
        let work = async {
            // As a frozen process: nothing ran meanwhile, not even the beat.
            std::thread::sleep(Duration::from_millis(200));
            tokio::task::yield_now().await;
            steps.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        };
        let guarded = pulse.guard(work);
        let mut guarded = pin!(guarded);
        let early = tokio::time::timeout(Duration::from_millis(300), guarded.as_mut()).await;
        assert!(early.is_err());
        assert_eq!(steps.load(std::sync::atomic::Ordering::Relaxed), 0);
        pulse.beat();
        guarded.await;
        assert_eq!(steps.load(std::sync::atomic::Ordering::Relaxed), 1);
    }
}
