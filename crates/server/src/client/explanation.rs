//! What was detected and why, as a person reads it: of a plan on this machine, and of a deployment.

use api::wire::DeploymentPlan;

use super::{
    error::ClientError,
    output::{Output, Tint, clean, clean_lines},
};

/// The language and the framework, in a few words; empty when neither is known.
pub(super) fn application(plan: &DeploymentPlan) -> String {
    let words = [Some(plan.provider.as_str()), plan.framework.as_deref()];
    let known = words.into_iter().flatten().filter(|word| !word.is_empty());
    known.collect::<Vec<_>>().join(", ")
}

/// Prints each decision on a line, with its reason behind it, and then the notes.
pub(super) fn print(plan: &DeploymentPlan, output: Output) -> Result<(), ClientError> {
    let mut lines = vec![("application", application(plan), "")];
    lines.extend(
        plan.facts
            .iter()
            .map(|fact| (fact.name.as_str(), fact.value.clone(), fact.because.as_str())),
    );
    let tells = |word: &str| plan.facts.iter().any(|fact| fact.name.contains(word));
    if let Some(start) = plan.start_command.as_ref().filter(|_| !tells("start")) {
        lines.push(("start command", start.clone(), ""));
    }
    // A Dockerfile of the application's own may listen anywhere; the deployment finds out.
    if plan.builder != "dockerfile" && !plan.facts.iter().any(|fact| fact.name == "port") {
        let port = plan
            .port
            .map_or_else(|| "the one that PORT names".to_owned(), |port| port.to_string());
        lines.push(("port", port, ""));
    }
    if !plan.base_images.is_empty() {
        lines.push(("base images", plan.base_images.join(", "), ""));
    }
    let names = lines.iter().map(|(name, ..)| clean(name).chars().count());
    let wide = names.max().unwrap_or(0) + 2;
    for (name, value, because) in lines {
        let name = clean(name);
        let gap = " ".repeat(wide.saturating_sub(name.chars().count()));
        let because = match because {
            "" => String::new(),
            because => format!("  {}", output.paint(Tint::Faint, &format!("({because})"))),
        };
        let value = output.paint(Tint::Strong, &value.replace('\n', " "));
        output.line(&format!("{}{gap}{value}{because}", output.paint(Tint::Faint, &name)))?;
    }
    for warning in &plan.warnings {
        output.line(&format!(
            "{} {}",
            output.paint(Tint::Warm, "note:"),
            clean_lines(warning)
        ))?;
    }
    Ok(())
}
