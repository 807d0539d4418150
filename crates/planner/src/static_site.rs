//! Files that need no build.

use serde_json::Value;

use crate::{
    Refusal,
    caddy::{self, Missing, Site},
    command::relative_path,
    dockerfile::Dockerfile,
    nginx::{self, Needs},
    settings::Choice,
    staticfile::{self, Staticfile},
    survey::{Outcome, Survey},
    tree::{Tree, shown},
};

/// Folders that may hold a finished site, in this order.
const FOLDERS: &[&str] = &[
    "public",
    "dist",
    "build",
    "site",
    "_site",
    "www",
    "htdocs",
    "html",
    "docs",
    "app/public",
];

/// The file of Heroku's buildpack for sites.
const OF_HEROKU: &str = "static.json";

/// What a site's image need not hold. Values in `.env` are not for visitors.
const LEAVE_OUT: &[&str] = &["**/.env", "**/.env.*", "Dockerfile", ".dockerignore", "README.md"];

/// The folder with the site, and what says so.
fn find(tree: &Tree, staticfile: &Staticfile) -> Option<(String, String)> {
    if let Some(root) = &staticfile.root {
        return Some((root.clone(), of(staticfile, "root")));
    }
    if tree.has_file("index.html") {
        return Some((String::new(), "index.html".to_owned()));
    }
    if staticfile.lists_folders {
        return Some((String::new(), "directory in the Staticfile".to_owned()));
    }
    let folder = FOLDERS
        .iter()
        .find(|folder| tree.has_file(&format!("{folder}/index.html")));
    folder.map(|folder| ((*folder).to_owned(), format!("{folder}/index.html")))
}

/// Where a key stands.
fn of(staticfile: &Staticfile, key: &str) -> String {
    match staticfile.is_there {
        true => format!("{key} in the {}", staticfile::NAME),
        false => format!("{key} in {OF_HEROKU}"),
    }
}

/// What the Staticfile says of unknown addresses: whether the site's first page answers them.
pub(crate) fn fallback(tree: &Tree) -> Option<bool> {
    Staticfile::read(tree).ok()?.falls_back
}

pub(crate) fn is_there(tree: &Tree) -> bool {
    tree.has(staticfile::NAME)
        || tree.has_file(OF_HEROKU)
        || tree.has_file("index.html")
        || FOLDERS
            .iter()
            .any(|folder| tree.has_file(&format!("{folder}/index.html")))
}

pub(crate) fn plan(survey: &mut Survey<'_>) -> Result<Outcome, Refusal> {
    let mut staticfile = Staticfile::read(survey.tree)?;
    if !staticfile.is_there {
        read_static_json(survey, &mut staticfile)?;
    }
    let folder = match survey.output_override()? {
        Some(folder) => folder,
        None => {
            let found = find(survey.tree, &staticfile);
            let (folder, because) = found.unwrap_or_else(|| (String::new(), "the directory itself".to_owned()));
            survey.fact(
                "output directory",
                if folder.is_empty() { "." } else { &folder },
                &because,
            );
            folder
        }
    };
    if !folder.is_empty() && !survey.tree.has_folder(&folder) {
        return Err(Refusal::Unreadable {
            path: folder,
            why: "the folder to serve is not there. Name one that is, in the output directory or in the Staticfile"
                .to_owned(),
        });
    }
    tell_unused(survey, &staticfile);
    let needs = needs(survey, &staticfile);
    let site = site(survey, staticfile);

    let mut file = Dockerfile::default();
    let by_nginx = needs.any();
    if by_nginx {
        file.comment("A static site, served by nginx.");
        nginx::stage(&mut file, &site, &needs);
    } else {
        file.comment("A static site, served by Caddy.");
        caddy::stage(&mut file, &site);
    }
    if folder.is_empty() {
        file.copy_everything_owned();
    } else {
        file.copy_folder_here_owned(&folder);
    }
    if by_nginx {
        nginx::start(&mut file);
    } else {
        caddy::start(&mut file);
    }
    let start = if by_nginx { nginx::START } else { caddy::START };
    Ok(Outcome {
        provider: "static",
        framework: None,
        dockerfile: file,
        leave_out: LEAVE_OUT,
        port: None,
        start_command: Some(start.to_owned()),
    })
}

/// What only nginx does.
fn needs(survey: &mut Survey<'_>, staticfile: &Staticfile) -> Needs {
    if let Some(names) = &staticfile.users {
        survey.fact(
            "password",
            &format!("asked for; known: {}", names.join(", ")),
            staticfile::AUTHENTICATION,
        );
    }
    if staticfile.includes_on_server {
        survey.fact("includes in pages", "done by nginx", &of(staticfile, "ssi"));
    }
    let include = staticfile
        .location_include
        .clone()
        .filter(|_| survey.tree.has_folder(nginx::CONFIGURATION));
    if let Some(include) = &include {
        let files = format!("{}/{include}", nginx::CONFIGURATION);
        survey.fact("configuration of nginx", &files, &of(staticfile, "location_include"));
    }
    Needs {
        password: staticfile.users.is_some(),
        server_side_includes: staticfile.includes_on_server,
        include,
    }
}

/// How it is served, each decision told.
fn site(survey: &mut Survey<'_>, staticfile: Staticfile) -> Site {
    let mut missing = Missing::NotFound;
    if staticfile.falls_back == Some(true) {
        let key = ["pushstate", "index_fallback"];
        let text = survey.tree.head(staticfile::NAME);
        let key = key.into_iter().find(|key| text.contains(key)).unwrap_or("routes");
        survey.fact("unknown addresses", "answered with index.html", &of(&staticfile, key));
        missing = Missing::Page("index.html");
    }
    if staticfile.lists_folders {
        survey.fact(
            "folders without a page",
            "their files are listed",
            &of(&staticfile, "directory"),
        );
    }
    if staticfile.serves_dot_files {
        survey.fact(
            "files that begin with a dot",
            "served",
            &of(&staticfile, "host_dot_files"),
        );
    }
    let by_variable = survey.settings.is_on("FORCE_HTTPS");
    if staticfile.forces_https || by_variable {
        let key = if staticfile.is_there {
            "force_https"
        } else {
            "https_only"
        };
        let because = if staticfile.forces_https {
            of(&staticfile, key)
        } else {
            "the variable FORCE_HTTPS".to_owned()
        };
        survey.fact("http", "sent to https", &because);
    }
    if let Some(value) = &staticfile.transport_security {
        survey.fact(
            "Strict-Transport-Security",
            value,
            &of(&staticfile, "http_strict_transport_security"),
        );
    }
    for (status, page) in &staticfile.error_pages {
        survey.fact(
            "page for an error",
            page,
            &format!("{status} in the {}", staticfile::NAME),
        );
    }
    Site {
        missing,
        lists_folders: staticfile.lists_folders,
        serves_dot_files: staticfile.serves_dot_files,
        forces_https: staticfile.forces_https || by_variable,
        transport_security: staticfile.transport_security,
        error_pages: staticfile.error_pages,
    }
}

/// What the application says and a plain site does not do.
fn tell_unused(survey: &mut Survey<'_>, staticfile: &Staticfile) {
    for (choice, name) in [
        (Choice::Install, "install"),
        (Choice::Build, "build"),
        (Choice::Start, "start"),
    ] {
        if survey.chosen(choice).is_some() {
            survey.warn(&format!(
                "The {name} command is not used: a static site is copied and served as it is."
            ));
        }
    }
    let of_servers = ["Caddyfile", "nginx.conf", "nginx/conf/nginx.conf", "httpd.conf"];
    if let Some(name) = of_servers.into_iter().find(|name| survey.tree.has(name)) {
        survey.warn(&format!(
            "The application's {name} is not used. Add a Dockerfile to serve with a configuration of its own."
        ));
    }
    if !staticfile.unused.is_empty() {
        survey.warn(&format!(
            "Of the {} this is not done here: {}. A Dockerfile with nginx does it.",
            if staticfile.is_there {
                staticfile::NAME
            } else {
                OF_HEROKU
            },
            staticfile.unused.join(", ")
        ));
    }
}

/// The same from Heroku's file, as far as it means the same.
fn read_static_json(survey: &Survey<'_>, found: &mut Staticfile) -> Result<(), Refusal> {
    let Some(text) = survey.tree.text(OF_HEROKU)? else {
        return Ok(());
    };
    let value: Value = serde_json::from_str(&text).map_err(|error| Refusal::Malformed {
        path: OF_HEROKU.to_owned(),
        why: error.to_string(),
    })?;
    for (key, value) in value.as_object().into_iter().flatten() {
        let is_on = value.as_bool() == Some(true);
        match (key.as_str(), value) {
            ("root", Value::String(root)) => found.root = Some(relative_path(root, "root in static.json")?),
            ("error_page", Value::String(page)) => {
                let page = relative_path(page.trim_start_matches('/'), "error_page in static.json")?;
                found.error_pages = [(404, page.clone()), (500, page)].into();
            }
            ("https_only", _) => found.forces_https = is_on,
            // A page is found without its `.html` anyway.
            ("clean_urls" | "logging", _) => {}
            ("basic_auth" | "basic_auth_list", value) if *value != Value::Bool(false) => {
                return Err(Refusal::Setting {
                    name: format!("{key} in static.json"),
                    why: "the password would not be asked for. Remove it and put names and hashes, as `htpasswd -nB NAME` \
                          prints them, into a Staticfile.auth"
                        .to_owned(),
                });
            }
            ("routes", Value::Object(routes))
                if routes.len() == 1 && routes.get("/**").and_then(Value::as_str) == Some("index.html") =>
            {
                found.falls_back = Some(true);
            }
            _ => found.unused.push(shown(key)),
        }
    }
    Ok(())
}
