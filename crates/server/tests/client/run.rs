//! Runs the executable in a bare environment.

use std::{path::Path, process::Stdio};

use serde_json::Value;
use tokio::process::{Child, Command};

/// What a run left behind.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    /// The last line of standard output as JSON.
    pub(crate) fn json(&self) -> Value {
        let last = self.out.lines().last().unwrap_or_else(|| panic!("no output: {self:?}"));
        serde_json::from_str(last).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }
}

/// The token that the fake server accepts.
pub(crate) const TOKEN: &str = "cdt_test_0123456789";

/// The executable with arguments, not yet started.
pub(crate) fn command(url: &str, home: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_click-deploy"));
    command
        .args(arguments)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", home)
        .env("CLICK_DEPLOY_URL", url)
        .env("CLICK_DEPLOY_TOKEN", TOKEN)
        .current_dir(home)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// Runs it to its end.
pub(crate) async fn run(url: &str, home: &Path, arguments: &[&str]) -> Ran {
    ended(command(url, home, arguments).spawn().unwrap()).await
}

/// Waits for its end.
pub(crate) async fn ended(child: Child) -> Ran {
    let output = tokio::time::timeout(std::time::Duration::from_secs(60), child.wait_with_output())
        .await
        .expect("the command ends within a minute")
        .unwrap();
    Ran {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}
