//! The last stage of everything that is served as files.

use crate::{bases, dockerfile::Dockerfile};

/// What is answered where no file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// A page of the application, whose script reads the address.
    Page(&'static str),
    /// The site's `404.html`, if it has one.
    NotFound,
}

/// The command that the container runs, as shown to people.
pub(crate) const START: &str = "caddy run --config /etc/caddy/Caddyfile --adapter caddyfile";

/// Writes the stage up to the point where the files are to be copied to `/srv`. The configuration comes first, so that
/// a change of the files leaves its layer alone.
pub(crate) fn stage(file: &mut Dockerfile, missing: Missing) {
    file.from(bases::CADDY, None);
    file.run(&[], &write_configuration(missing));
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

fn write_configuration(missing: Missing) -> String {
    let candidates = match missing {
        Missing::Page(page) => format!("{{path}} {{path}}.html {{path}}/ /{page}"),
        Missing::NotFound => "{path} {path}.html {path}/".to_owned(),
    };
    let try_files = format!("\ttry_files {candidates}");
    let lines = [
        "{",
        "\tadmin off",
        "\tauto_https off",
        "\tpersist_config off",
        "}",
        ":{$PORT:80} {",
        "\troot * /srv",
        "\tencode zstd gzip",
        // Files that begin with a dot are nobody's business, except the folder that the web's standards use.
        "\t@hidden {",
        "\t\tpath */.*",
        "\t\tnot path /.well-known/*",
        "\t}",
        "\terror @hidden 404",
        try_files.as_str(),
        "\tfile_server {",
        "\t\thide .git .env .env.* .htpasswd Staticfile Dockerfile .dockerignore",
        "\t}",
        "\thandle_errors {",
        "\t\t@page {",
        "\t\t\texpression {err.status_code} == 404",
        "\t\t\tfile /404.html",
        "\t\t}",
        "\t\thandle @page {",
        "\t\t\trewrite * /404.html",
        "\t\t\tfile_server",
        "\t\t}",
        "\t\thandle {",
        "\t\t\trespond \"{err.status_code} {err.status_text}\"",
        "\t\t}",
        "\t}",
        "}",
    ];
    let mut command = String::from("printf '%s\\n' \\\n");
    for line in lines {
        // A tab inside single quotes would be hard to see; printf's %s does not need one.
        let line = line.replace('\t', "  ");
        command.push_str(&format!("      '{line}' \\\n"));
    }
    command.push_str("      >/etc/caddy/Caddyfile");
    command
}
