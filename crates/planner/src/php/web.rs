//! What serves PHP: Apache with PHP inside, of the official image.
//!
//! One image and one process do it, `.htaccess` files count as the applications of two decades expect, and unlike
//! php-fpm with a web server beside it nothing has to look after two processes. Apache of that image runs as any user.

/// The command that the container runs.
pub(super) const START: &str = "apache2-foreground";

/// The user `www-data` of Debian.
pub(super) const USER: u32 = 33;

/// The commands that set Apache and PHP up for a document root, which is a plain path below `/app`. `falls_back`:
/// addresses of no file are answered by `index.php`.
pub(super) fn configure(root: &str, falls_back: bool) -> String {
    let root = if root.is_empty() {
        "/app".to_owned()
    } else {
        format!("/app/{root}")
    };
    let mut lines = vec![
        "ServerName localhost".to_owned(),
        "ServerTokens Prod".to_owned(),
        "ServerSignature Off".to_owned(),
        "TraceEnable Off".to_owned(),
        "<VirtualHost *:*>".to_owned(),
        format!("  DocumentRoot {root}"),
        "  ErrorLog ${APACHE_LOG_DIR}/error.log".to_owned(),
        "  CustomLog ${APACHE_LOG_DIR}/access.log combined".to_owned(),
        // The proxy in front says what the visitor's scheme is.
        "  SetEnvIf X-Forwarded-Proto ^https$ HTTPS=on".to_owned(),
        "</VirtualHost>".to_owned(),
        format!("<Directory {root}>"),
        "  Options FollowSymLinks".to_owned(),
        "  AllowOverride All".to_owned(),
        "  Require all granted".to_owned(),
    ];
    if falls_back {
        lines.push("  FallbackResource /index.php".to_owned());
    }
    lines.push("</Directory>".to_owned());
    // Files that begin with a dot, and those that describe the application, are nobody's business.
    for line in [
        "<LocationMatch \"/\\.(?!well-known/)\">",
        "  Require all denied",
        "</LocationMatch>",
        "<FilesMatch \"^(composer\\.(json|lock)|package(-lock)?\\.json|click-deploy\\.toml|Procfile|Dockerfile|artisan)$\">",
        "  Require all denied",
        "</FilesMatch>",
        "<Directory /app/vendor>",
        "  Require all denied",
        "</Directory>",
    ] {
        lines.push(line.to_owned());
    }
    // Inside Apache the container's variables are not in $_SERVER, where frameworks look; elsewhere they are.
    let environment = ["<?php $_SERVER += getenv();"];
    let settings = [
        "expose_php=Off",
        "variables_order=EGPCS",
        "auto_prepend_file=/usr/local/etc/php/environment.php",
        "memory_limit=256M",
        "upload_max_filesize=64M",
        "post_max_size=64M",
        "opcache.validate_timestamps=0",
        "opcache.memory_consumption=192",
        "opcache.max_accelerated_files=20000",
    ];
    format!(
        "cp \"$PHP_INI_DIR/php.ini-production\" \"$PHP_INI_DIR/php.ini\" \\\n && {} \\\n && {} \\\n && {} \\\n && {} \\\n && a2enmod -q rewrite headers",
        write("$PHP_INI_DIR/environment.php", environment.into_iter()),
        write("$PHP_INI_DIR/conf.d/app.ini", settings.iter().copied()),
        write("/etc/apache2/ports.conf", ["Listen ${PORT}"].into_iter()),
        write(
            "/etc/apache2/sites-available/000-default.conf",
            lines.iter().map(String::as_str)
        ),
    )
}

/// The command that writes lines without single quotes into a file.
fn write<'a>(file: &str, lines: impl Iterator<Item = &'a str>) -> String {
    let mut command = String::from("printf '%s\\n'");
    for line in lines {
        command.push_str(&format!(" \\\n      '{line}'"));
    }
    command.push_str(&format!(" \\\n      >\"{file}\""));
    command
}
