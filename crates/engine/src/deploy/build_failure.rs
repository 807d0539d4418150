//! What a person is told of a build's failed step: the line that says why, and what can be done about it.

use domain::Reason;

/// Longer than this nobody reads in a heading.
const LONGEST_STEP: usize = 200;

/// Longer than this no line is told.
const LONGEST_LINE: usize = 400;

/// What follows the error and says nothing by itself.
const NOISE: &[&str] = &[
    "hint: see above",
    "note: this ",
    "note: this error originates",
    "[notice]",
    "[end of output]",
    "info visit ",
    "npm notice",
    "npm error a complete log",
    "npm err! a complete log",
    "npm error for a full report",
    "node.js v",
    "error command failed with exit code",
    "gyp err! not ok",
    "gyp info",
    "error: subprocess-exited-with-error",
    "×",
    "╰─>",
    "npm error run \"npm help",
    "npm error aliases:",
];

/// The beginnings of npm's lines that are only details of the one that matters.
const DETAILS: &[&str] = &[
    "code ", "errno ", "syscall ", "path ", "command ", "dest ", "cwd ", "at ", "{", "}", "-", "[-", "Usage:",
    "Options:",
];

/// Signs in the last lines, and what to do.
const ADVICE: &[(&[&str], &str)] = &[
    (
        &[
            "can only install packages when your package.json and",
            "ERR_PNPM_OUTDATED_LOCKFILE",
            "lockfile needs to be updated",
            "lockfile would have been modified",
            "lockfile had changes, but lockfile is frozen",
            "needs to be updated, but `--locked`",
            "needs to be updated, but `--frozen`",
            "poetry.lock was last generated",
            "changed significantly since poetry.lock",
        ],
        "The lock file does not fit the list of dependencies: run the package manager's install on your machine, and commit the \
         lock file.",
    ),
    (
        &[
            "No matching distribution found",
            "npm error code E404",
            "404 Not Found - GET",
            "ERR_PNPM_FETCH_404",
            "No solution found",
        ],
        "A dependency, or that version of it, is not in the registry. Check its name; a private one needs its registry's token \
         as a variable.",
    ),
    (
        &[
            "npm error code E401",
            "npm error code E403",
            "ERR_PNPM_FETCH_401",
            "terminal prompts disabled",
            "Permission denied (publickey)",
        ],
        "A private dependency was refused: set the registry's token as a variable.",
    ),
    (
        &["heap out of memory", "Killed"],
        "The build needs more memory than it may use.",
    ),
    (
        &[
            "EBADENGINE",
            "Unsupported engine",
            "requires a different Python",
            "ERR_PNPM_UNSUPPORTED_ENGINE",
        ],
        "A dependency wants another version of the language: name it in the application's files.",
    ),
];

/// The reason for a step that ended with an error.
pub(super) fn reason(step: &str, message: &str, exit_code: Option<i32>, tail: &[String]) -> Reason {
    let code = match exit_code {
        // The builder says what that means here.
        None | Some(137) => message.to_owned(),
        Some(code) => format!("exit code {code}"),
    };
    let said = said(tail);
    let advice = ADVICE
        .iter()
        .find(|(signs, _)| tail.iter().any(|line| signs.iter().any(|sign| line.contains(sign))))
        .map_or("The build's log has the whole story.", |(_, advice)| advice);
    Reason::new(
        "build-failed",
        format!("the build failed in `{}`: {code}{said}", without_mounts(step)),
        advice,
    )
}

/// What to add to a sentence about something that failed; nothing if it said nothing.
pub(super) fn said(lines: &[String]) -> String {
    telling(lines).map_or_else(String::new, |line| {
        format!(". It said: {}", shortened(&line, LONGEST_LINE))
    })
}

fn shortened(text: &str, longest: usize) -> String {
    if text.chars().count() <= longest {
        return text.to_owned();
    }
    format!("{}…", text.chars().take(longest).collect::<String>())
}

/// The line that most probably says why. One that ends with a colon only begins to: what follows it belongs to it.
fn telling(tail: &[String]) -> Option<String> {
    let lines: Vec<&str> = tail
        .iter()
        .map(|line| line.trim())
        .filter(|line| !line.is_empty() && !is_noise(line))
        .collect();
    let place = place_of_telling(&lines)?;
    let line = lines.get(place)?;
    Some(match lines.get(place + 1) {
        Some(next) if line.ends_with(':') => format!("{line} {next}"),
        _ => (*line).to_owned(),
    })
}

/// Where that line is: npm says it first, nearly everything else last.
fn place_of_telling(lines: &[&str]) -> Option<usize> {
    let npm = lines.iter().position(|line| {
        let rest = line.strip_prefix("npm error").or_else(|| line.strip_prefix("npm ERR!"));
        rest.is_some_and(|rest| {
            let rest = rest.trim();
            // How a command is called is told of every mistake.
            !rest.is_empty() && !DETAILS.iter().any(|detail| rest.starts_with(detail))
        })
    });
    npm.or_else(|| lines.iter().rposition(|line| is_exception(line)))
        .or_else(|| lines.iter().rposition(|line| is_error(line)))
        .or_else(|| lines.len().checked_sub(1))
}

/// `package.SomeError: why`, as Python and Node.js end their stacks or begin them.
fn is_exception(line: &str) -> bool {
    line.split_once(": ").is_some_and(|(name, _)| {
        ["Error", "Exception"].iter().any(|end| name.ends_with(end))
            && name
                .chars()
                .all(|character| character.is_ascii_alphanumeric() || "._".contains(character))
    })
}

fn is_noise(line: &str) -> bool {
    let line = line.to_lowercase();
    NOISE.iter().any(|beginning| line.starts_with(beginning))
        // A frame of a stack, or of Node.js's own source.
        || (line.starts_with("at ") && line.ends_with(')'))
}

fn is_error(line: &str) -> bool {
    let lower = line.to_lowercase();
    [
        "error",
        "err!",
        "err_",
        "fatal",
        "failed",
        "cannot ",
        "not found",
        "no such file",
        "panic:",
    ]
    .iter()
    .any(|sign| lower.contains(sign))
}

/// The step as it was written by a person: mounts are the platform's business.
fn without_mounts(step: &str) -> String {
    let words: Vec<&str> = step
        .split_whitespace()
        .filter(|word| !word.starts_with("--mount="))
        .collect();
    let text = words.join(" ");
    // The planner's form for commands that are somebody else's.
    let command = text.split_once(r#" ["sh","-c","#).and_then(|(before, _)| {
        let list: Vec<String> = serde_json::from_str(&text[before.len() + 1..]).ok()?;
        Some(format!("{before} {}", list.get(2)?))
    });
    shortened(command.as_deref().unwrap_or(&text), LONGEST_STEP)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn the_line_that_says_why_is_told_and_not_the_last_one() {
        let pip = lines(
            "  error: subprocess-exited-with-error\nModuleNotFoundError: No module named 'distutils'\nhint: See above for details.\n",
        );
        assert_eq!(
            telling(&pip).as_deref(),
            Some("ModuleNotFoundError: No module named 'distutils'")
        );
        let yarn = lines(
            "error Your lockfile needs to be updated, but yarn was run with `--frozen-lockfile`.\ninfo Visit https://yarnpkg.com/x for documentation",
        );
        assert!(telling(&yarn).is_some_and(|line| line.starts_with("error Your lockfile")));
        let npm = lines(
            "npm error code EUSAGE\nnpm error\nnpm error `npm ci` can only install packages when your package.json and package-lock.json are in sync\n\
             npm error Missing: left-pad@1.3.0 from lock file\nnpm error A complete log of this run can be found in: /root/x",
        );
        let reason = reason(
            "[build 3/5] RUN --mount=type=cache,id=1,target=/root/.npm     npm ci",
            "",
            Some(1),
            &npm,
        );
        assert_eq!(
            reason.message,
            "the build failed in `[build 3/5] RUN npm ci`: exit code 1. It said: npm error `npm ci` can only install packages \
             when your package.json and package-lock.json are in sync"
        );
        assert!(
            reason.advice.starts_with("The lock file does not fit"),
            "{}",
            reason.advice
        );
    }

    #[test]
    fn a_line_that_ends_with_a_colon_is_told_with_the_one_that_follows() {
        let font = lines("./app/layout.tsx\nnext/font: error:\n\n  Unknown font `Intre`\n\n> Build");
        assert_eq!(
            telling(&font).as_deref(),
            Some("next/font: error: Unknown font `Intre`")
        );
        assert_eq!(telling(&lines("error:\n")).as_deref(), Some("error:"));
    }

    #[test]
    fn without_any_sign_the_last_line_is_told() {
        assert_eq!(telling(&lines("one\ntwo\n\n")).as_deref(), Some("two"));
        assert_eq!(telling(&[]), None);
        let traceback = lines("  File x\nValueError: no PORT\n[ERROR] Worker (pid:9) exited with code 3\n");
        assert_eq!(telling(&traceback).as_deref(), Some("ValueError: no PORT"));
        let planned = r#"[build 2/3] RUN --mount=type=cache,id=1,target=/app     ["sh","-c","npm run build"]"#;
        assert_eq!(without_mounts(planned), "[build 2/3] RUN npm run build");
        assert_eq!(
            reason("RUN x", "it was stopped", None, &[]).message,
            "the build failed in `RUN x`: it was stopped"
        );
    }
}
