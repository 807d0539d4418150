//! Which server, and with which token: options, environment, configuration file. A token never comes by argument:
//! every user of the machine can read those.

use std::{
    fs,
    io::{ErrorKind, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use domain::SecretText;
use reqwest::Url;
use serde::Deserialize;

use super::{Global, error::ClientError};

/// The path under which the API answers.
pub(crate) const BASE_PATH: &str = "/v1/click-deploy";

/// Which server is meant.
#[derive(Debug, Clone)]
pub(crate) struct Connection {
    /// Its address, without the API's base path.
    pub(crate) url: Url,
    /// The token, when there is one.
    pub(crate) token: Option<SecretText>,
    /// Where the address came from, for `doctor`.
    pub(crate) url_from: String,
    /// Where the token came from, for `doctor`.
    pub(crate) token_from: String,
}

/// What the environment says; a value, so that tests need not change the process's.
#[derive(Debug, Clone, Default)]
pub(crate) struct Surroundings {
    /// `CLICK_DEPLOY_TOKEN`.
    pub(crate) token: Option<String>,
    /// The configuration file, when there is a home for one.
    pub(crate) file: Option<PathBuf>,
}

impl Surroundings {
    /// Reads the process's environment.
    pub(crate) fn read() -> Self {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
        let home = variable("XDG_CONFIG_HOME")
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
            .or_else(|| variable("HOME").map(|home| PathBuf::from(home).join(".config")));
        Self {
            token: variable("CLICK_DEPLOY_TOKEN"),
            file: home.map(|home| home.join("click-deploy/config.toml")),
        }
    }
}

/// What `login` leaves behind.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    url: Option<String>,
    token: Option<String>,
}

/// Puts options, environment and file together; the first of them that says something wins.
pub(crate) fn connection(global: &Global, around: &Surroundings) -> Result<Connection, ClientError> {
    let stored = match &around.file {
        Some(path) => read_stored(path)?,
        None => Stored::default(),
    };
    let file = around
        .file
        .as_deref()
        .map(|path| path.display().to_string())
        .unwrap_or_default();
    let asked = global.url.as_deref().map(str::trim).filter(|url| !url.is_empty());
    let stored_url = stored.url.as_deref().map(parse_url).transpose()?;
    let (url, url_from) = match (asked, &stored_url) {
        (Some(text), _) => (parse_url(text)?, "CLICK_DEPLOY_URL or --url".to_owned()),
        (None, Some(url)) => (url.clone(), file.clone()),
        (None, None) => {
            return Err(ClientError::Unconfigured {
                message: "no server is given".to_owned(),
                advice:
                    "Set CLICK_DEPLOY_URL (for example http://127.0.0.1:3000), give --url, or run `click-deploy login`."
                        .to_owned(),
            });
        }
    };
    let (token, token_from) = if let Some(path) = &global.token_file {
        (Some(read_token(path)?), path.display().to_string())
    } else if let Some(token) = &around.token {
        (
            Some(checked_token(token, "CLICK_DEPLOY_TOKEN")?),
            "CLICK_DEPLOY_TOKEN".to_owned(),
        )
    } else if let Some(token) = stored.token.filter(|_| stored_url.as_ref() == Some(&url)) {
        // The stored token belongs to the stored server: no other one is shown it.
        (Some(checked_token(&token, &file)?), file)
    } else {
        (None, "nowhere".to_owned())
    };
    Ok(Connection {
        url,
        token,
        url_from,
        token_from,
    })
}

/// Parses a server's address.
pub(crate) fn parse_url(text: &str) -> Result<Url, ClientError> {
    let refuse = |why: &str| {
        ClientError::usage(
            format!("the server's address cannot be used: {why}"),
            "It looks like http://127.0.0.1:3000 or https://deploy.example.org.",
        )
    };
    let mut url = Url::parse(text.trim()).map_err(|cause| refuse(&cause.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(refuse("it begins with http:// or https:// and names a host"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refuse(
            "it carries no user or password: the token comes from CLICK_DEPLOY_TOKEN",
        ));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(refuse("it has neither `?` nor `#`"));
    }
    let path = url.path().trim_end_matches('/');
    let path = path.strip_suffix(BASE_PATH).unwrap_or(path).to_owned();
    url.set_path(&path);
    Ok(url)
}

/// Whether only this machine is reached by the address.
pub(crate) fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost"
        || host.ends_with(".localhost")
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

fn checked_token(text: &str, from: &str) -> Result<SecretText, ClientError> {
    let token = text.trim();
    if token.is_empty() || token.len() > 4096 || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(ClientError::Unconfigured {
            message: format!("the token from {from} is none: a token is one line of visible ASCII characters"),
            advice: "Copy it again, or ask the operator for a new one.".to_owned(),
        });
    }
    Ok(SecretText::new(token))
}

/// Reads a token from a file.
pub(crate) fn read_token(path: &Path) -> Result<SecretText, ClientError> {
    let text = fs::read_to_string(path).map_err(|cause| ClientError::file(path, "read", &cause))?;
    checked_token(&text, &path.display().to_string())
}

fn read_stored(path: &Path) -> Result<Stored, ClientError> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(cause) if matches!(cause.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(Stored::default());
        }
        Err(cause) => return Err(ClientError::file(path, "read", &cause)),
    };
    // The parser's own message would quote the line, and the line may hold the token.
    toml::from_str(&text).map_err(|_| {
        ClientError::failed(
            format!(
                "{} is not understood: it has `url = \"…\"` and `token = \"…\"`",
                path.display()
            ),
            "Mend it, or write it anew with `click-deploy login`.",
        )
    })
}

/// Whether others on this machine can read the file.
pub(crate) fn others_can_read(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0)
}

/// Writes the configuration file, readable by its owner alone from the first byte, whole or not at all.
pub(crate) fn store(path: &Path, url: &Url, token: &SecretText) -> Result<(), ClientError> {
    let token = checked_token(token.expose(), "your input")?;
    let quoted = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
    let text = format!("url = {}\ntoken = {}\n", quoted(url.as_str()), quoted(token.expose()));
    let folder = path.parent().unwrap_or(Path::new("."));
    let wrote = |cause: std::io::Error| ClientError::file(path, "written", &cause);
    fs::create_dir_all(folder).map_err(wrote)?;
    let draft = path.with_extension("toml.new");
    let _ = fs::remove_file(&draft);
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)
        .map_err(wrote)?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(wrote)?;
    fs::rename(&draft, path).map_err(wrote)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn global(url: Option<&str>) -> Global {
        Global {
            url: url.map(str::to_owned),
            token_file: None,
            json: false,
            quiet: false,
        }
    }

    #[test]
    fn an_address_is_read_with_or_without_the_base_path() {
        for text in [
            "http://h:1",
            "http://h:1/",
            "http://h:1/v1/click-deploy",
            " http://h:1/v1/click-deploy/ ",
        ] {
            assert_eq!(parse_url(text).unwrap().as_str(), "http://h:1/", "{text}");
        }
        assert_eq!(parse_url("https://h/deploy/").unwrap().as_str(), "https://h/deploy");
    }

    #[test]
    fn what_is_no_address_is_refused_as_usage() {
        for text in [
            "",
            "h:1",
            "ftp://h",
            "http://user:secret@h",
            "http://h/?x",
            "http://h/#x",
            "http://",
            "//h",
        ] {
            let error = parse_url(text).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{text}");
            assert!(!error.to_string().contains("secret"));
        }
    }

    #[test]
    fn the_stored_token_goes_to_the_stored_server_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("click-deploy/config.toml");
        store(&path, &parse_url("http://a:1").unwrap(), &SecretText::new("to\"k\\en")).unwrap();
        assert!(!others_can_read(&path));
        let around = Surroundings {
            token: None,
            file: Some(path),
        };
        let own = connection(&global(None), &around).unwrap();
        assert_eq!(
            (own.url.as_str(), own.token.unwrap().expose()),
            ("http://a:1/", "to\"k\\en")
        );
        assert!(
            connection(&global(Some("http://b:1")), &around)
                .unwrap()
                .token
                .is_none()
        );
        assert!(
            connection(&global(Some("http://a:1/v1/click-deploy")), &around)
                .unwrap()
                .token
                .is_some()
        );
        let named = Surroundings {
            token: Some("other".to_owned()),
            ..around
        };
        assert_eq!(
            connection(&global(None), &named).unwrap().token.unwrap().expose(),
            "other"
        );
    }

    #[test]
    fn a_broken_configuration_file_is_named_without_its_content() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        fs::write(&path, "token = \"very-secret\nurl = 3").unwrap();
        let around = Surroundings {
            token: None,
            file: Some(path),
        };
        let error = connection(&global(None), &around).unwrap_err().to_string();
        assert!(
            error.contains("config.toml") && !error.contains("very-secret"),
            "{error}"
        );
    }

    #[test]
    fn without_any_server_the_exit_code_says_so() {
        assert_eq!(
            connection(&global(Some(" ")), &Surroundings::default())
                .unwrap_err()
                .exit_code(),
            3
        );
    }

    #[test]
    fn loopback_addresses_are_known() {
        for (text, expected) in [
            ("http://127.0.0.1:1", true),
            ("http://localhost", true),
            ("http://[::1]:1", true),
            ("http://10.0.0.1", false),
            ("https://localhost.example.org", false),
        ] {
            assert_eq!(is_loopback(&parse_url(text).unwrap()), expected, "{text}");
        }
    }
}
