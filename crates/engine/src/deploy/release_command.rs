//! What runs once in the new image before an instance of it serves: above all, migrations of a database.
//!
//! It runs in an instance of its own, found again by its name after a crash: one that ended is not run again. It goes when
//! the journal knows that this step is done, and so with the next step.

use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use domain::{
    Reason,
    deployment::{DeploymentEvent, Phase, Trigger},
    logs::LogLevel,
    ports::{
        Cause,
        infrastructure::{InfrastructureError, InstanceExit, OutputCursor, OutputLine, OutputSink},
    },
};
use serde_json::{Value, json};

use super::{
    Deploying, build_failure,
    progress::Progress,
    release::{choose_port, image_of, keep_last, remove_instances_of_job},
};
use crate::{
    instances::{self, refused},
    saga::{Step, StepError},
    world::World,
};

pub(super) struct ReleaseCommand;

/// How long the rest of the output may take once the command has ended.
const REST_OF_OUTPUT: Duration = Duration::from_secs(5);
/// How long a broken connection is left alone before the output is followed again.
const FOLLOW_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// The command of this deployment: the user's setting, else what the plan found.
async fn wanted(deploying: &Deploying) -> Result<Option<String>, StepError> {
    let Deploying { world, deployment, .. } = deploying;
    // An older version's command would run over what newer ones have made of the data.
    if deployment.trigger == Trigger::Rollback {
        return Ok(None);
    }
    if let Some(command) = &deployment.made.settings.release_command {
        return Ok(Some(command.to_string()));
    }
    // Planned by a step of this saga, or before it for an image that is there.
    let fresh = world.store.any_deployment(deployment.id).await?;
    let plan = fresh.and_then(|fresh| fresh.plan).unwrap_or_default();
    Ok(plan["release_command"].as_str().map(ToOwned::to_owned))
}

#[async_trait]
impl Step<Deploying> for ReleaseCommand {
    fn name(&self) -> &'static str {
        "release-command"
    }

    async fn is_needed(&self, deploying: &Deploying) -> Result<bool, StepError> {
        Ok(wanted(deploying).await?.is_some())
    }

    async fn run(&self, deploying: &Deploying) -> Result<Value, StepError> {
        let Some(command) = wanted(deploying).await? else {
            return Ok(Value::Null);
        };
        // It may take as long as a build: nobody but its author knows how much there is to do.
        let deadline = deploying.world.settings.build_deadline_seconds;
        let ran = deploying
            .phase_within(Phase::Release, deadline, async {
                deploying.advance(DeploymentEvent::ReleaseStarted).await?;
                run_once(deploying, &command).await
            })
            .await?;
        let text = format!("the release command has done its work after {:.1} s", ran.as_secs_f64());
        deploying.progress.say(Phase::Release, &text);
        Ok(json!({}))
    }

    async fn undo(&self, deploying: &Deploying, _made: Option<&Value>) -> Result<(), StepError> {
        let Deploying { world, claim, .. } = deploying;
        remove_instances_of_job(world, &claim.job.id.to_string()).await
    }
}

/// Removes the instance in which it ran, once the journal knows how it ended. Absence is success.
pub(super) async fn clean_up(deploying: &Deploying) -> Result<(), StepError> {
    let Deploying {
        world, service, claim, ..
    } = deploying;
    if wanted(deploying).await?.is_some() {
        let name = instances::one_off_name(service, claim.job.id, ORIGIN);
        world.infrastructure.remove(&name).await.map_err(refused)?;
    }
    Ok(())
}

/// How its instance's name ends.
const ORIGIN: &str = "release";

async fn run_once(deploying: &Deploying, command: &str) -> Result<Duration, StepError> {
    let Deploying {
        world,
        service,
        deployment,
        claim,
        progress,
        ..
    } = deploying;
    let image = image_of(deploying).await?;
    let port = choose_port(world, deployment, &image).await?;
    let variables = instances::variables(world, deployment).await?;
    let environment = instances::environment(world, service, deployment, &variables, port.number, 0);
    let spec = instances::one_off(
        world,
        service,
        deployment,
        claim.job.id,
        &image,
        ORIGIN,
        command,
        environment,
    );
    progress.say(Phase::Release, &format!("running the release command: {command}"));
    let began = Instant::now();
    instances::start_for(world, claim.job.id, &spec).await?;
    let lines = Lines::new(progress, &spec.name);
    let exit = {
        let follow = follow(world, &spec.name, &lines);
        tokio::pin!(follow);
        let wait = world.infrastructure.wait(&spec.name);
        tokio::pin!(wait);
        tokio::select! {
            exit = &mut wait => {
                let _ = tokio::time::timeout(REST_OF_OUTPUT, &mut follow).await;
                exit
            }
            () = &mut follow => wait.await,
        }
    };
    match exit.map_err(refused)? {
        Some(InstanceExit {
            code: 0, error: None, ..
        }) => Ok(began.elapsed()),
        exit => Err(StepError::Fail(failed(exit.as_ref(), &lines.last()))),
    }
}

/// Follows the output to its end, however often the connection breaks.
async fn follow(world: &World, name: &str, lines: &Lines<'_>) {
    loop {
        match world.infrastructure.follow_output(name, lines.cursor(), lines).await {
            Err(InfrastructureError::Unreachable(_)) => tokio::time::sleep(FOLLOW_AGAIN_AFTER).await,
            _ => return,
        }
    }
}

/// Why it failed, in words.
fn failed(exit: Option<&InstanceExit>, last: &[String]) -> Reason {
    let advice = "The version before it goes on serving. Mend the command or what it reports, then deploy again.";
    let Some(exit) = exit else {
        return Reason::new(
            "release-command",
            "the instance in which the release command ran was removed while it ran",
            "Deploy again.",
        );
    };
    let ran = format!("{:.1} s", exit.ran_ms as f64 / 1000.0);
    let said = build_failure::said(last);
    let (how, advice) = match exit {
        InstanceExit { error: Some(error), .. } if !error.is_empty() => (
            format!("could not be started: {error}"),
            "It is run by the image's own `sh -c`: check that the image has a shell.",
        ),
        exit if exit.out_of_memory => (
            format!("ran out of memory after {ran}"),
            "Choose a larger instance size, or let it do less at once.",
        ),
        // By its convention, the shell itself may be what is not there.
        exit if matches!(exit.code, 126 | 127) => (
            format!("was not found or cannot be run{said}"),
            "Check the command, and that the image has a shell and what the command calls.",
        ),
        exit if exit.code > 128 => (
            format!("was ended by signal {} after {ran}{said}", exit.code - 128),
            advice,
        ),
        exit => (format!("ended with exit code {} after {ran}{said}", exit.code), advice),
    };
    Reason::new("release-command", format!("the release command {how}"), advice)
}

/// Puts the command's output into the deployment's log, and remembers its end.
struct Lines<'a> {
    progress: &'a Progress,
    origin: &'a str,
    seen: Mutex<(Vec<OutputLine>, OutputCursor)>,
}

impl<'a> Lines<'a> {
    fn new(progress: &'a Progress, origin: &'a str) -> Self {
        Self {
            progress,
            origin,
            seen: Mutex::default(),
        }
    }

    fn cursor(&self) -> OutputCursor {
        self.seen.lock().map(|seen| seen.1).unwrap_or_default()
    }

    fn last(&self) -> Vec<String> {
        self.seen.lock().map(|seen| telling(&seen.0)).unwrap_or_default()
    }
}

/// The lines that may say why: of standard error, where there are any, because the order of lines of two streams is chance.
fn telling(lines: &[OutputLine]) -> Vec<String> {
    let of_errors = lines.iter().any(|line| line.level == LogLevel::Error);
    let wanted = lines.iter().filter(|line| !of_errors || line.level == LogLevel::Error);
    wanted.map(|line| line.text.clone()).collect()
}

#[async_trait]
impl OutputSink for Lines<'_> {
    async fn take(&self, lines: Vec<OutputLine>, cursor: OutputCursor) -> Result<(), Cause> {
        for line in &lines {
            // Standard error is where many programs tell how far they are.
            let level = if line.level == LogLevel::Error {
                LogLevel::Info
            } else {
                line.level
            };
            self.progress.push(Phase::Release, level, self.origin, &line.text);
        }
        if let Ok(mut seen) = self.seen.lock() {
            keep_last(&mut seen.0, lines);
            seen.1 = cursor;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standard_error_says_why_wherever_its_lines_stand() {
        let line = |level, text: &str| OutputLine {
            at_ns: 0,
            level,
            text: text.to_owned(),
        };
        let (said, why) = (line(LogLevel::Info, "migrating"), line(LogLevel::Error, "no table"));
        assert_eq!(telling(&[why.clone(), said.clone()]), ["no table"]);
        assert_eq!(telling(&[said.clone(), why]), ["no table"]);
        assert_eq!(telling(&[said]), ["migrating"]);
    }

    #[test]
    fn a_failure_says_how_it_ended_and_what_it_said_last() {
        let exit = |code, error: Option<&str>| InstanceExit {
            code,
            out_of_memory: false,
            ran_ms: 1500,
            error: error.map(ToOwned::to_owned),
        };
        let last = ["relation \"users\" does not exist".to_owned()];
        let words = |exit: InstanceExit| failed(Some(&exit), &last).message;
        assert!(words(exit(1, None)).starts_with("the release command ended with exit code 1 after 1.5 s"));
        assert!(words(exit(1, None)).contains("relation \"users\" does not exist"));
        assert!(words(exit(143, None)).starts_with("the release command was ended by signal 15"));
        let no_shell = failed(Some(&exit(127, Some("exec: \"sh\": not found"))), &[]);
        assert!(no_shell.message.contains("could not be started: exec") && no_shell.advice.contains("shell"));
        let memory = InstanceExit {
            out_of_memory: true,
            ..exit(137, None)
        };
        assert!(failed(Some(&memory), &[]).message.contains("ran out of memory"));
        assert!(failed(None, &[]).message.contains("was removed"));
    }
}
