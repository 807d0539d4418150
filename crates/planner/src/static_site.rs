//! Files that need no build.

use crate::{
    Refusal,
    caddy::{self, Missing},
    command::relative_path,
    dockerfile::Dockerfile,
    settings::Choice,
    survey::{Outcome, Survey},
    tree::Tree,
};

/// Folders that may hold a finished site, in this order.
const FOLDERS: &[&str] = &["public", "dist", "build", "site", "_site", "www", "htdocs"];

/// What a site's image need not hold. Values in `.env` are not for visitors.
const LEAVE_OUT: &[&str] = &["**/.env", "**/.env.*", "Dockerfile", ".dockerignore", "README.md"];

/// The folder with the site, and what says so.
fn find(tree: &Tree) -> Result<Option<(String, String)>, Refusal> {
    if let Some(text) = tree.text("Staticfile")? {
        let root = text.lines().find_map(|line| line.trim().strip_prefix("root:"));
        let root = root.map(|value| {
            value
                .split(" #")
                .next()
                .unwrap_or_default()
                .trim()
                .trim_matches(['"', '\''])
        });
        let root = root.map_or(Ok(String::new()), |root| relative_path(root, "root in the Staticfile"))?;
        return Ok(Some((root, "Staticfile".to_owned())));
    }
    if tree.has_file("index.html") {
        return Ok(Some((String::new(), "index.html".to_owned())));
    }
    let folder = FOLDERS
        .iter()
        .find(|folder| tree.has_file(&format!("{folder}/index.html")));
    Ok(folder.map(|folder| ((*folder).to_owned(), format!("{folder}/index.html"))))
}

/// What the Staticfile says of unknown addresses: whether the site's first page answers them.
pub(crate) fn fallback(tree: &Tree) -> Option<bool> {
    let text = tree.head("Staticfile");
    let line = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("index_fallback:"))?;
    match line.split('#').next()?.trim().trim_matches(['"', '\'']) {
        "true" | "enabled" => Some(true),
        "false" | "disabled" => Some(false),
        _ => None,
    }
}

pub(crate) fn is_there(tree: &Tree) -> bool {
    tree.has("Staticfile")
        || tree.has_file("index.html")
        || FOLDERS
            .iter()
            .any(|folder| tree.has_file(&format!("{folder}/index.html")))
}

pub(crate) fn plan(survey: &mut Survey<'_>) -> Result<Outcome, Refusal> {
    let folder = match survey.output_override()? {
        Some(folder) => folder,
        None => {
            let found = find(survey.tree)?;
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
    let file_name = survey.tree.first_file(&["Caddyfile"]);
    if file_name.is_some() {
        survey.warn(
            "The application's Caddyfile is not used. Add a Dockerfile to serve with a configuration of its own.",
        );
    }

    let mut file = Dockerfile::default();
    file.comment("A static site, served by Caddy.");
    let missing = if fallback(survey.tree) == Some(true) {
        survey.fact(
            "unknown addresses",
            "answered with index.html",
            "index_fallback in the Staticfile",
        );
        Missing::Page("index.html")
    } else {
        Missing::NotFound
    };
    caddy::stage(&mut file, missing);
    if folder.is_empty() {
        file.copy_everything_owned();
    } else {
        file.copy_folder_here_owned(&folder);
    }
    caddy::start(&mut file);
    Ok(Outcome {
        provider: "static",
        framework: None,
        dockerfile: file,
        leave_out: LEAVE_OUT,
        port: None,
        start_command: Some(caddy::START.to_owned()),
    })
}
