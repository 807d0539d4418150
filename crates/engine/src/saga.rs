//! Sagas: steps in pairs, journalled before and after. A restart goes on where the journal ends; a failure undoes what
//! was begun, last first. `undo` may be told nothing, because a crash hid what was made, and then finds it by our labels.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use domain::Reason;
use futures_util::future::try_join_all;
use serde_json::Value;
use store::{
    Store,
    jobs::{Claim, JournalEntry, StepState},
};

/// The journal's entry for the decision to undo, with the reason.
const GIVING_UP: &str = "giving-up";

/// How often a step that met an unreachable counterpart is tried again, and after how long (doubling).
const RETRIES: u32 = 4;
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// Why a step did not do its work.
#[derive(Debug)]
pub(crate) enum StepError {
    /// It never will.
    Fail(Reason),
    /// A counterpart does not answer; another try can help.
    Again(Reason),
    /// The state failed, or the lease is lost: nothing more may be done by this worker.
    Store(store::Error),
}

impl From<store::Error> for StepError {
    fn from(error: store::Error) -> Self {
        Self::Store(error)
    }
}

/// A step of a saga over a world `W`.
#[async_trait]
pub(crate) trait Step<W: Sync>: Send + Sync {
    /// Its name in the journal; never renamed.
    fn name(&self) -> &'static str;
    /// Whether there is anything for it to do; what has nothing to do is not journalled.
    async fn is_needed(&self, _world: &W) -> Result<bool, StepError> {
        Ok(true)
    }
    /// Does the work. It may be called again after a crash, and then finds what it made.
    async fn run(&self, world: &W) -> Result<Value, StepError>;
    /// Takes back what `run` made; `None` when a crash hid it. Absence is success.
    async fn undo(&self, world: &W, made: Option<&Value>) -> Result<(), StepError>;
}

/// How a saga ended.
#[derive(Debug)]
pub(crate) enum End {
    /// Every step is done.
    Done,
    /// It was undone, for this reason.
    Undone(Reason),
    /// It is given up, and something could not be undone yet: try again later.
    Stuck {
        /// Why it is given up.
        reason: Reason,
        /// Why it could not be undone.
        why: Reason,
        /// The step that could not.
        step: &'static str,
    },
    /// The state failed, or the lease is lost.
    Store(store::Error),
}

/// Steps that run together; stages run one after the other.
pub(crate) type Stage<W> = Vec<Arc<dyn Step<W>>>;

/// Runs a saga from wherever its journal ends. `stop` yields a reason when the work is to be given up.
pub(crate) async fn run<W: Sync>(
    store: &Store,
    claim: &Claim,
    stages: &[Stage<W>],
    world: &W,
    stop: impl Future<Output = Reason>,
) -> End {
    let journal = match store.journal(claim.job.id).await {
        Ok(journal) => journal,
        Err(error) => return End::Store(error),
    };
    let reason = if let Some(reason) = reason_in(&journal) {
        reason
    } else {
        let forward = async {
            for stage in stages {
                let done = |name: &str| {
                    journal
                        .iter()
                        .any(|entry| entry.step == name && entry.state == StepState::Done)
                };
                try_join_all(
                    stage
                        .iter()
                        .filter(|step| !done(step.name()))
                        .map(|step| forward(store, claim, &**step, world)),
                )
                .await?;
            }
            Ok(())
        };
        let stopped = tokio::select! {
            biased;
            reason = stop => StepError::Fail(reason),
            end = forward => match end {
                Ok(()) => return End::Done,
                Err(error) => error,
            },
        };
        match stopped {
            StepError::Fail(reason) | StepError::Again(reason) => reason,
            StepError::Store(error) => return End::Store(error),
        }
    };
    let kept = serde_json::to_value(&reason).ok();
    if let Err(error) = store
        .write_journal(claim, GIVING_UP, StepState::Started, kept.as_ref())
        .await
    {
        return End::Store(error);
    }
    backward(store, claim, stages, world, reason).await
}

/// Gives a saga up from outside: whenever its job is taken again, it undoes.
pub(crate) async fn give_up(write: &mut store::Write, claim: &Claim, reason: &Reason) -> Result<(), store::Error> {
    let kept = serde_json::to_value(reason).ok();
    write
        .write_journal(claim, GIVING_UP, StepState::Started, kept.as_ref())
        .await
}

/// Why a saga was given up, when it was and only undoing is left of it.
pub(crate) async fn given_up(store: &Store, claim: &Claim) -> Result<Option<Reason>, store::Error> {
    Ok(reason_in(&store.journal(claim.job.id).await?))
}

fn reason_in(journal: &[JournalEntry]) -> Option<Reason> {
    let entry = journal.iter().find(|entry| entry.step == GIVING_UP)?;
    let kept = entry.made.clone().and_then(|made| serde_json::from_value(made).ok());
    Some(kept.unwrap_or_else(|| Reason::new("unknown", "the reason was not kept", "")))
}

async fn forward<W: Sync>(store: &Store, claim: &Claim, step: &dyn Step<W>, world: &W) -> Result<(), StepError> {
    if !step.is_needed(world).await? {
        return Ok(());
    }
    store
        .write_journal(claim, step.name(), StepState::Started, None)
        .await?;
    let mut pause = FIRST_PAUSE;
    for attempt in 0.. {
        match step.run(world).await {
            Ok(made) => {
                store
                    .write_journal(claim, step.name(), StepState::Done, Some(&made))
                    .await?;
                return Ok(());
            }
            Err(StepError::Again(reason)) if attempt < RETRIES => {
                tracing::info!(job.id = %claim.job.id, step = step.name(), "`{}` is tried again: {reason}", step.name());
                tokio::time::sleep(pause).await;
                pause *= 2;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

async fn backward<W: Sync>(store: &Store, claim: &Claim, stages: &[Stage<W>], world: &W, reason: Reason) -> End {
    let journal = match store.journal(claim.job.id).await {
        Ok(journal) => journal,
        Err(error) => return End::Store(error),
    };
    for step in stages.iter().rev().flat_map(|stage| stage.iter().rev()) {
        let Some(entry) = journal.iter().find(|entry| entry.step == step.name()) else {
            continue;
        };
        if entry.state == StepState::Undone {
            continue;
        }
        match step.undo(world, entry.made.as_ref()).await {
            Ok(()) => {}
            Err(StepError::Store(error)) => return End::Store(error),
            Err(StepError::Fail(why) | StepError::Again(why)) => {
                tracing::warn!(job.id = %claim.job.id, step = step.name(), "`{}` could not be undone yet: {why}", step.name());
                let step = step.name();
                return End::Stuck { reason, why, step };
            }
        }
        if let Err(error) = store.write_journal(claim, step.name(), StepState::Undone, None).await {
            return End::Store(error);
        }
    }
    End::Undone(reason)
}
