//! The last stage of a site that asks for what nginx alone does: passwords in every way that `htpasswd` hashes them, includes
//! on the server's side, and pieces of nginx's own configuration.

use crate::{
    bases,
    caddy::{HIDDEN, Missing, Site},
    dockerfile::Dockerfile,
    staticfile,
};

/// The command that the container runs, as shown to people.
pub(crate) const START: &str = "nginx -c /tmp/nginx.conf";

/// The port is known when it starts; a configuration cannot read variables.
const COMMAND: &str = "sed \"s/listen PORT/listen ${PORT:-80}/\" /etc/nginx/site.conf >/tmp/nginx.conf && exec nginx -c /tmp/nginx.conf -g 'daemon off;'";

/// What only nginx does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Needs {
    pub(crate) password: bool,
    pub(crate) server_side_includes: bool,
    /// Files with directives, below `nginx/conf` of the application.
    pub(crate) include: Option<String>,
}

impl Needs {
    pub(crate) fn any(&self) -> bool {
        *self != Self::default()
    }
}

/// Writes the stage up to the point where the files are to be copied.
pub(crate) fn stage(file: &mut Dockerfile, site: &Site, needs: &Needs) {
    file.from(bases::NGINX, None);
    file.run(&[], &write_configuration(site, needs));
    file.workdir("/etc/nginx/site");
    if needs.password {
        file.copy(&[staticfile::AUTHENTICATION.to_owned()]);
    }
    if needs.include.is_some() {
        file.copy_folder(CONFIGURATION);
    }
    file.workdir("/srv");
}

/// Where an application of Cloud Foundry has pieces of nginx's configuration.
pub(crate) const CONFIGURATION: &str = "nginx/conf";

/// After the files.
pub(crate) fn start(file: &mut Dockerfile) {
    file.run_as_its_owner();
    file.start(COMMAND);
}

fn write_configuration(site: &Site, needs: &Needs) -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut add = |text: &str| lines.push(text.to_owned());
    for line in [
        "worker_processes 1;",
        "pid /tmp/nginx.pid;",
        "error_log /dev/stderr;",
        "events {}",
        "http {",
    ] {
        add(line);
    }
    for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
        add(&format!("  {kind}_temp_path /tmp/{kind};"));
    }
    for line in [
        "include /etc/nginx/mime.types;",
        "default_type application/octet-stream;",
        "charset utf-8;",
        "access_log /dev/stdout;",
        "sendfile on;",
        "server_tokens off;",
        "port_in_redirect off;",
        "gzip on;",
        "gzip_vary on;",
        "gzip_proxied any;",
        "gzip_types text/plain text/css text/xml application/javascript application/json application/xml image/svg+xml;",
        "server {",
        "  listen PORT;",
        "  root /srv;",
    ] {
        add(&format!("  {line}"));
    }
    if site.forces_https {
        add("    set $to $host;");
        add("    if ($http_x_forwarded_host) { set $to $http_x_forwarded_host; }");
        add("    if ($http_x_forwarded_proto != https) { return 301 https://$to$request_uri; }");
    }
    if let Some(value) = &site.transport_security {
        add(&format!("    add_header Strict-Transport-Security \"{value}\" always;"));
    }
    if needs.password {
        add("    auth_basic \"This site asks for a password\";");
        add(&format!(
            "    auth_basic_user_file /etc/nginx/site/{};",
            staticfile::AUTHENTICATION
        ));
    }
    if needs.server_side_includes {
        add("    ssi on;");
    }
    if !site.serves_dot_files {
        add("    location ~ \"/\\.(?!well-known/)\" { return 404; }");
    }
    let names = HIDDEN
        .split_whitespace()
        .map(|name| name.replace('.', "\\.").replace('*', ".*"));
    add(&format!(
        "    location ~ \"/({})$\" {{ return 404; }}",
        names.collect::<Vec<_>>().join("|")
    ));
    if !site.error_pages.contains_key(&404) {
        add("    error_page 404 /404.html;");
    }
    for (status, page) in &site.error_pages {
        add(&format!("    error_page {status} /{page};"));
    }
    add("    location / {");
    if site.lists_folders {
        add("      autoindex on;");
    }
    match site.missing {
        Missing::Page(page) => add(&format!("      try_files $uri $uri.html $uri/ /{page};")),
        Missing::NotFound => add("      try_files $uri $uri.html $uri/ =404;"),
    }
    if let Some(include) = &needs.include {
        add(&format!("      include /etc/nginx/site/{CONFIGURATION}/{include};"));
    }
    for line in ["    }", "  }", "}"] {
        add(line);
    }
    let mut command = String::from("printf '%s\\n' \\\n");
    for line in lines {
        command.push_str(&format!("      '{line}' \\\n"));
    }
    command.push_str("      >/etc/nginx/site.conf");
    command
}
