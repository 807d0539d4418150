//! How a deployment is shown while it is made: a line that moves at the bottom of a terminal, plain lines elsewhere.
//! All of it is on standard error; standard output is for the result.

use std::time::{Duration, Instant};

use api::wire::{Deployment, LogLine};
use domain::{deployment::DeploymentStatus, logs::LogLevel};
use indicatif::{ProgressBar, ProgressStyle};

use super::{
    explanation,
    output::{Output, Tint, clean},
};

/// Shows one deployment.
pub(crate) struct Screen {
    output: Output,
    bar: Option<ProgressBar>,
    phase: &'static str,
    since: Instant,
    step: String,
}

impl Screen {
    /// Begins to show.
    pub(crate) fn new(output: Output) -> Self {
        let bar = output.live.then(|| {
            let bar = ProgressBar::new_spinner();
            bar.set_style(
                ProgressStyle::with_template("{spinner} {wide_msg}").expect("the template is a constant that parses"),
            );
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        let mut screen = Self {
            output,
            bar,
            phase: "queued",
            since: Instant::now(),
            step: String::new(),
        };
        screen.tick();
        screen
    }

    /// Shows a line of the log.
    pub(crate) fn line(&mut self, line: &LogLine) {
        if self.output.quiet {
            return;
        }
        if !line.origin.is_empty() {
            line.origin.clone_into(&mut self.step);
        }
        let tint = match line.level {
            LogLevel::Error => Tint::Bad,
            LogLevel::Warn => Tint::Warm,
            LogLevel::Debug => Tint::Faint,
            LogLevel::Info => Tint::Plain,
        };
        let phase = self.output.tint_error(Tint::Faint, &format!("{:<9} │", line.phase));
        self.print(&format!("{phase} {}", self.output.tint_error(tint, &line.message)));
    }

    /// Takes note of how far the deployment is.
    pub(crate) fn seen(&mut self, deployment: &Deployment) {
        let status = deployment.summary.status.name();
        if status != self.phase {
            self.phase = status;
            self.since = Instant::now();
            self.step.clear();
        }
        if let Some(step) = deployment
            .steps
            .iter()
            .rev()
            .find(|step| step.seconds.is_none() && !step.cached)
        {
            step.name.clone_into(&mut self.step);
        }
        self.tick();
    }

    /// Moves the seconds on.
    pub(crate) fn tick(&mut self) {
        if let Some(bar) = &self.bar {
            let step = if self.step.is_empty() {
                String::new()
            } else {
                format!(" · {}", clean(&self.step))
            };
            bar.set_message(format!("{} {} s{step}", self.phase, self.since.elapsed().as_secs()));
        }
    }

    /// Says something between the lines.
    pub(crate) fn note(&self, text: &str) {
        if !self.output.quiet {
            self.print(text);
        }
    }

    fn print(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| self.output.complain(text)),
            None => self.output.complain(text),
        }
    }

    /// Takes the moving line away.
    pub(crate) fn close(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    /// Says what was detected and how long everything took.
    pub(crate) fn summary(&self, deployment: &Deployment) {
        for text in detected(deployment) {
            self.note(&format!(
                "{} {}",
                self.output.tint_error(Tint::Faint, "detected"),
                clean(&text)
            ));
        }
        let durations = durations(deployment);
        if !durations.is_empty() {
            self.note(&format!(
                "{} {}",
                self.output.tint_error(Tint::Faint, "took    "),
                clean(&durations)
            ));
        }
        let summary = &deployment.summary;
        let tint = if summary.status == DeploymentStatus::Live {
            Tint::Good
        } else {
            Tint::Bad
        };
        let status = self.output.tint_error(tint, &format!("{:<8}", summary.status.name()));
        self.note(&format!("{status} deployment {} ({})", summary.number, summary.id));
    }
}

/// What the plan says was found, and why, one sentence each.
fn detected(deployment: &Deployment) -> Vec<String> {
    let Some(plan) = &deployment.plan else {
        return Vec::new();
    };
    let mut found = vec![explanation::application(plan)];
    found.extend(plan.facts.iter().map(|fact| match fact.because.as_str() {
        "" => format!("{}: {}", fact.name, fact.value),
        because => format!("{}: {} ({because})", fact.name, fact.value),
    }));
    found.extend(plan.warnings.iter().map(|warning| format!("note: {warning}")));
    found.retain(|text| !text.is_empty());
    found
}

/// The seconds of each phase, and how much of the build came from the cache.
pub(super) fn durations(deployment: &Deployment) -> String {
    let phases = deployment.phases.iter().filter_map(|record| {
        let name = record.phase.name();
        let seconds = record.seconds?;
        let cached = deployment.steps.iter().filter(|step| step.cached).count();
        let steps = match (name, deployment.steps.len()) {
            ("build", all @ 1..) => format!(" ({cached} of {all} steps from the cache)"),
            _ => String::new(),
        };
        Some(format!("{name} {seconds:.1} s{steps}"))
    });
    phases.collect::<Vec<_>>().join(" · ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_says_what_was_detected_why_and_how_long_it_took() {
        let deployment: Deployment = serde_json::from_value(serde_json::json!({
            "id": format!("dep_{}", "0".repeat(32)), "service_id": format!("svc_{}", "0".repeat(32)), "number": 1,
            "status": "live", "current": true, "trigger": "upload", "commit": null, "commit_message": null,
            "commit_author": null, "cancel_requested": false, "created_at": "", "finished_at": null,
            "url": "http://x", "settings": {}, "environment": [],
            "plan": {"provider": "node", "framework": "Next.js", "facts": [
                {"name": "node version", "value": "24", "because": "engines.node in package.json"}], "warnings": ["slow"]},
            "phases": [
                {"phase": "provision", "status": "done", "started_at": "", "seconds": 0.04, "deadline_seconds": 60},
                {"phase": "build", "status": "done", "started_at": "", "seconds": 12.34, "deadline_seconds": 60},
                {"phase": "release", "status": "running", "started_at": "", "seconds": null, "deadline_seconds": 60}],
            "steps": [
                {"id": "1", "name": "FROM", "cached": true, "seconds": 0.0, "error": null},
                {"id": "2", "name": "RUN", "cached": false, "seconds": 3.0, "error": null}],
        }))
        .unwrap();
        assert_eq!(
            detected(&deployment),
            [
                "node, Next.js",
                "node version: 24 (engines.node in package.json)",
                "note: slow"
            ]
        );
        assert_eq!(
            durations(&deployment),
            "provision 0.0 s · build 12.3 s (1 of 2 steps from the cache)"
        );
    }
}
