//! The last stage of everything that is served as files.

use std::collections::BTreeMap;

use crate::{bases, dockerfile::Dockerfile};

/// What is answered where no file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// A page of the application, whose script reads the address.
    Page(&'static str),
    /// The site's `404.html`, if it has one.
    NotFound,
}

/// How a site is served. All text in it is of letters, digits and what paths and hashes have.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    pub(crate) missing: Missing,
    pub(crate) lists_folders: bool,
    pub(crate) serves_dot_files: bool,
    pub(crate) forces_https: bool,
    pub(crate) transport_security: Option<String>,
    pub(crate) error_pages: BTreeMap<u16, String>,
}

impl From<Missing> for Site {
    fn from(missing: Missing) -> Self {
        Self {
            missing,
            lists_folders: false,
            serves_dot_files: false,
            forces_https: false,
            transport_security: None,
            error_pages: BTreeMap::new(),
        }
    }
}

/// The command that the container runs, as shown to people.
pub(crate) const START: &str = "caddy run --config /etc/caddy/Caddyfile --adapter caddyfile";

/// What describes a site is nobody's business.
pub(crate) const HIDDEN: &str = ".git .env .env.* .htpasswd Staticfile Staticfile.auth static.json Procfile click-deploy.toml \
                      railpack.json Dockerfile .dockerignore";

/// The last stage of what the stage `build` has left in a folder of the application, and nothing else of that stage.
pub(crate) fn serve_built(file: &mut Dockerfile, folder: &str, missing: Missing) {
    file.comment("The files, served by Caddy.");
    stage(file, &missing.into());
    let from = match folder {
        "" => "/app/".to_owned(),
        folder => format!("/app/{folder}/"),
    };
    file.copy_from_owned("build", &from, "./");
    start(file);
}

/// Writes the stage up to the point where the files are to be copied to `/srv`. The configuration comes first, so that
/// a change of the files leaves its layer alone.
pub(crate) fn stage(file: &mut Dockerfile, site: &Site) {
    file.from(bases::CADDY, None);
    file.run(&[], &write_configuration(site));
    file.workdir("/srv");
}

/// After the files.
pub(crate) fn start(file: &mut Dockerfile) {
    // What it keeps for itself is nothing that has to last.
    file.env(&[("XDG_CONFIG_HOME", "/tmp"), ("XDG_DATA_HOME", "/tmp")]);
    file.run_as_its_owner();
    file.start_words(&[
        "caddy",
        "run",
        "--config",
        "/etc/caddy/Caddyfile",
        "--adapter",
        "caddyfile",
    ]);
}

fn write_configuration(site: &Site) -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut add = |text: &str| lines.extend(text.lines().map(str::to_owned));
    add("{\n  admin off\n  auto_https off\n  persist_config off\n}");
    add(":{$PORT:80} {\n  root * /srv\n  encode zstd gzip");
    if site.forces_https {
        // The proxy in front says what the visitor's scheme and address are.
        add("  @insecure not header X-Forwarded-Proto https");
        add("  @named {\n    not header X-Forwarded-Proto https\n    header X-Forwarded-Host *\n  }");
        add("  redir @named https://{header.X-Forwarded-Host}{uri} 301\n  redir @insecure https://{host}{uri} 301");
    }
    if let Some(value) = &site.transport_security {
        add(&format!("  header Strict-Transport-Security \"{value}\""));
    }
    if !site.serves_dot_files {
        // Files that begin with a dot are nobody's business, except the folder that the web's standards use.
        add("  @hidden {\n    path */.*\n    not path /.well-known/*\n  }\n  error @hidden 404");
    }
    add(&match site.missing {
        Missing::Page(page) => format!("  try_files {{path}} {{path}}.html {{path}}/ /{page}"),
        Missing::NotFound => "  try_files {path} {path}.html {path}/".to_owned(),
    });
    // In a list of files those with a dot are not shown either; again except that folder.
    let (browse, dots) = match (site.lists_folders, site.serves_dot_files) {
        (true, false) => (" browse", " .[^w]*"),
        (true, true) => (" browse", ""),
        (false, _) => ("", ""),
    };
    add(&format!("  file_server{browse} {{\n    hide {HIDDEN}{dots}\n  }}"));
    add("  handle_errors {");
    for (status, page) in &site.error_pages {
        add(&error_page(*status, page));
    }
    if !site.error_pages.contains_key(&404) {
        add(&error_page(404, "404.html"));
    }
    add("    handle {\n      respond \"{err.status_code} {err.status_text}\"\n    }\n  }\n}");
    let mut command = String::from("printf '%s\\n' \\\n");
    for line in lines {
        command.push_str(&format!("      '{line}' \\\n"));
    }
    command.push_str("      >/etc/caddy/Caddyfile");
    command
}

/// A page for a status, if it is there.
fn error_page(status: u16, page: &str) -> String {
    format!(
        "    @page{status} {{\n      expression {{err.status_code}} == {status}\n      file /{page}\n    }}\n    \
         handle @page{status} {{\n      rewrite * /{page}\n      file_server\n    }}"
    )
}
