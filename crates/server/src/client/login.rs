//! What is asked of the person at the keyboard: yes or no, and `login`'s token.

use std::{
    io::{BufRead, IsTerminal, Read, Write},
    process::{Command, Stdio},
};

use domain::SecretText;

use super::{
    Global,
    api::Api,
    config::{self, Connection, Surroundings},
    error::ClientError,
    output::{Output, clean},
};

/// Shown under `--help`.
pub(crate) const EXAMPLES: &str = "Examples:
  click-deploy login --url https://deploy.example.org
  click-deploy login --url https://deploy.example.org < token.txt

The token is read from the terminal or from standard input, never from an argument. It is kept in
~/.config/click-deploy/config.toml, readable by you alone, and shown to this server alone.";

/// Asks a question that is answered by yes or no; no unless it is clearly yes.
pub(crate) fn confirm(output: Output, question: &str) -> Result<bool, ClientError> {
    let answer = ask(output, &format!("{question} [y/N] "))?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}

/// Asks for a line.
fn ask(_: Output, question: &str) -> Result<String, ClientError> {
    let mut error = std::io::stderr().lock();
    let _ = write!(error, "{}", clean(question)).and_then(|()| error.flush());
    let mut line = String::new();
    std::io::stdin()
        .lock()
        .read_line(&mut line)
        .map_err(|cause| ClientError::failed(format!("the answer cannot be read: {cause}"), ""))?;
    Ok(line)
}

/// Reads a secret: without showing it where a terminal is, else all of standard input. At its end no line break is
/// kept, at most one.
pub(crate) fn read_secret(output: Output, question: &str) -> Result<SecretText, ClientError> {
    let text = if std::io::stdin().is_terminal() {
        let hidden = echo(false);
        let line = ask(output, question);
        if hidden {
            echo(true);
            output.complain("");
        }
        line?
    } else {
        let mut text = String::new();
        std::io::stdin()
            .lock()
            .read_to_string(&mut text)
            .map_err(|cause| ClientError::usage(format!("standard input cannot be read: {cause}"), ""))?;
        text
    };
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(SecretText::new(text.strip_suffix('\r').unwrap_or(text)))
}

/// Whether the terminal shows what is typed; whether that could be changed.
fn echo(shown: bool) -> bool {
    let argument = if shown { "echo" } else { "-echo" };
    let status = Command::new("stty")
        .arg(argument)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}

/// `login`
pub(crate) async fn run(global: &Global, around: &Surroundings, output: Output) -> Result<(), ClientError> {
    let file = around.file.as_deref().ok_or_else(|| {
        ClientError::failed(
            "there is no home directory to store anything in",
            "Set CLICK_DEPLOY_URL and CLICK_DEPLOY_TOKEN instead.",
        )
    })?;
    let text = match global.url.as_deref().map(str::trim).filter(|url| !url.is_empty()) {
        Some(url) => url.to_owned(),
        None if std::io::stdin().is_terminal() => ask(output, "Address of the server: ")?,
        None => {
            return Err(ClientError::usage(
                "no server is given",
                "Give --url or set CLICK_DEPLOY_URL.",
            ));
        }
    };
    let url = config::parse_url(&text)?;
    let token = match &global.token_file {
        Some(path) => config::read_token(path)?,
        None => read_secret(output, "API token (it is not shown): ")?,
    };
    let connection = Connection {
        url,
        token: Some(token.clone()),
        url_from: String::new(),
        token_from: String::new(),
    };
    let me = Api::new(&connection)?.me().await?;
    config::store(file, &connection.url, &token)?;
    if output.json {
        return output.json_line(&me);
    }
    output.line(&format!(
        "signed in to {} as {} of {}; stored in {}",
        connection.url,
        clean(&me.token),
        clean(&me.organization),
        file.display()
    ))
}
