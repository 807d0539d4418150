//! A `Staticfile`, as users of Cloud Foundry write it: how a site is to be served.

use std::collections::BTreeMap;

use crate::{Refusal, command::relative_path, tree::Tree, tree::shown};

pub(crate) const NAME: &str = "Staticfile";
/// Who may see the site, as `htpasswd` writes it.
pub(crate) const AUTHENTICATION: &str = "Staticfile.auth";

/// More pages for errors, and more users, than this nobody has.
const MOST: usize = 50;

/// What it says; a key that is not there is `None` or off.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Staticfile {
    pub(crate) is_there: bool,
    /// The folder to serve.
    pub(crate) root: Option<String>,
    /// Addresses of no file get the first page, which reads the address itself.
    pub(crate) falls_back: Option<bool>,
    pub(crate) lists_folders: bool,
    pub(crate) serves_dot_files: bool,
    pub(crate) forces_https: bool,
    /// The value of the header that keeps browsers on HTTPS.
    pub(crate) transport_security: Option<String>,
    /// Pages for statuses of errors.
    pub(crate) error_pages: BTreeMap<u16, String>,
    /// Names of those who may see the site; `None`: everybody.
    pub(crate) users: Option<Vec<String>>,
    /// Pages may include others: `<!--#include file="…" -->`.
    pub(crate) includes_on_server: bool,
    /// Pieces of nginx's own configuration, below `nginx/conf`.
    pub(crate) location_include: Option<String>,
    /// Keys that mean something that is not done here.
    pub(crate) unused: Vec<String>,
}

impl Staticfile {
    pub(crate) fn read(tree: &Tree) -> Result<Self, Refusal> {
        let mut found = Self {
            users: users(tree)?,
            ..Self::default()
        };
        let Some(text) = tree.text(NAME)? else {
            return Ok(found);
        };
        found.is_there = true;
        let mut above = "";
        let (mut security, mut preload, mut subdomains) = (false, false, false);
        for line in text.lines() {
            let Some((key, value)) = line.split(" #").next().unwrap_or_default().split_once(':') else {
                continue;
            };
            let is_below = key.starts_with([' ', '\t']);
            let (key, value) = (
                key.trim().trim_matches(['"', '\'']),
                value.trim().trim_matches(['"', '\'']),
            );
            if key.is_empty() || key.starts_with('#') {
                continue;
            }
            if is_below {
                if above == "status_codes" {
                    found.add_page(key, value)?;
                }
                continue;
            }
            above = key;
            let is_on = matches!(value, "true" | "enabled" | "visible" | "on" | "yes");
            match key {
                "root" if matches!(value, "/" | "/app") => found.root = Some(String::new()),
                "root" => found.root = Some(relative_path(value, "root in the Staticfile")?),
                "pushstate" | "index_fallback" => found.falls_back = Some(is_on),
                "directory" => found.lists_folders = is_on,
                "host_dot_files" => found.serves_dot_files = is_on,
                "force_https" => found.forces_https = is_on,
                "http_strict_transport_security" => security = is_on,
                "http_strict_transport_security_include_subdomains" => subdomains = is_on,
                "http_strict_transport_security_preload" => preload = is_on,
                // Whatever stands in front speaks it.
                "status_codes" | "enable_http2" => {}
                "ssi" => found.includes_on_server = is_on,
                "location_include" => {
                    // A path of which the last part may be a pattern.
                    relative_path(&value.replace('*', "x"), "location_include in the Staticfile")?;
                    found.location_include = Some(value.trim_start_matches("./").to_owned());
                }
                other => found.unused.push(shown(other)),
            }
        }
        let options = [(subdomains, "; includeSubDomains"), (preload, "; preload")];
        let options = options.iter().filter(|(is_on, _)| *is_on).map(|(_, option)| *option);
        found.transport_security = security.then(|| format!("max-age=31536000{}", options.collect::<String>()));
        Ok(found)
    }

    fn add_page(&mut self, status: &str, page: &str) -> Result<(), Refusal> {
        let status: u16 = match status.parse() {
            Ok(status @ 400..=599) => status,
            _ => {
                self.unused.push(shown(status));
                return Ok(());
            }
        };
        let page = relative_path(page.trim_start_matches('/'), "status_codes in the Staticfile")?;
        if self.error_pages.len() < MOST {
            self.error_pages.insert(status, page);
        }
        Ok(())
    }
}

/// The names of those who may see a site that not everybody may see; `None`: everybody.
fn users(tree: &Tree) -> Result<Option<Vec<String>>, Refusal> {
    let Some(text) = tree.text(AUTHENTICATION)? else {
        return Ok(None);
    };
    let lines = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    let names: Option<Vec<String>> = lines
        .take(MOST)
        .map(|line| {
            let (name, hash) = line.split_once(':')?;
            (!name.is_empty() && !hash.is_empty()).then(|| shown(name))
        })
        .collect();
    match names {
        Some(names) if !names.is_empty() => Ok(Some(names)),
        _ => Err(Refusal::Malformed {
            path: AUTHENTICATION.to_owned(),
            why: "each line is a name, a colon and a hash, as `htpasswd -n NAME` prints them, and there is one at least. \
                  Remove the file if everybody may see the site"
                .to_owned(),
        }),
    }
}
