//! Extensions of PHP: which are asked for, and what they need to be compiled.

use std::collections::BTreeSet;

/// How an extension gets into the official image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// Its source is in the image.
    Core,
    /// It is fetched from PECL.
    Pecl,
}

/// One extension that there is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extension {
    pub(super) name: &'static str,
    pub(super) source: Source,
    /// Packages with the headers that it is compiled against.
    pub(super) headers: &'static [&'static str],
    pub(super) configure: Option<&'static str>,
}

const fn core(name: &'static str, headers: &'static [&'static str]) -> Extension {
    Extension {
        name,
        source: Source::Core,
        headers,
        configure: None,
    }
}

const fn pecl(name: &'static str, headers: &'static [&'static str]) -> Extension {
    Extension {
        name,
        source: Source::Pecl,
        headers,
        configure: None,
    }
}

const THERE: &[&str] = &[
    "core",
    "ctype",
    "curl",
    "date",
    "dom",
    "fileinfo",
    "filter",
    "ftp",
    "hash",
    "iconv",
    "json",
    "libxml",
    "mbstring",
    "mysqlnd",
    "openssl",
    "pcre",
    "pdo",
    "pdo_sqlite",
    "phar",
    "posix",
    "random",
    "readline",
    "reflection",
    "session",
    "simplexml",
    "sodium",
    "spl",
    "sqlite3",
    "standard",
    "tokenizer",
    "xml",
    "xmlreader",
    "xmlwriter",
    "zlib",
];

const KNOWN: &[Extension] = &[
    core("bcmath", &[]),
    core("bz2", &["libbz2-dev"]),
    core("calendar", &[]),
    core("dba", &[]),
    core("enchant", &["libenchant-2-dev"]),
    core("exif", &[]),
    core("ffi", &["libffi-dev"]),
    Extension {
        configure: Some("--with-freetype --with-jpeg --with-webp"),
        ..core("gd", &["libfreetype-dev", "libjpeg-dev", "libpng-dev", "libwebp-dev"])
    },
    core("gettext", &[]),
    core("gmp", &["libgmp-dev"]),
    core("intl", &["libicu-dev"]),
    core("ldap", &["libldap-dev"]),
    core("mysqli", &[]),
    core("opcache", &[]),
    core("pcntl", &[]),
    core("pdo_mysql", &[]),
    core("pdo_pgsql", &["libpq-dev"]),
    core("pgsql", &["libpq-dev"]),
    core("shmop", &[]),
    core("soap", &["libxml2-dev"]),
    core("sockets", &[]),
    core("sysvmsg", &[]),
    core("sysvsem", &[]),
    core("sysvshm", &[]),
    core("tidy", &["libtidy-dev"]),
    core("xsl", &["libxslt1-dev"]),
    core("zip", &["libzip-dev"]),
    pecl("amqp", &["librabbitmq-dev"]),
    pecl("apcu", &[]),
    pecl("ds", &[]),
    pecl("igbinary", &[]),
    pecl("imagick", &["libmagickwand-dev"]),
    pecl("memcached", &["libmemcached-dev", "libssl-dev", "zlib1g-dev"]),
    pecl("mongodb", &["libssl-dev"]),
    pecl("msgpack", &[]),
    pecl("protobuf", &[]),
    pecl("redis", &[]),
    pecl("uuid", &["uuid-dev"]),
    pecl("yaml", &["libyaml-dev"]),
];

/// The extensions to add, in one order whatever the order of asking, and the names that nobody here knows.
pub(super) fn choose(asked: &BTreeSet<String>, line: u64) -> (Vec<Extension>, Vec<String>) {
    let mut found = Vec::new();
    let mut unknown = Vec::new();
    for name in asked {
        let name = match name.as_str() {
            "zend-opcache" | "zend opcache" => "opcache",
            other => other,
        };
        // Part of PHP itself since 8.5.
        let is_there = THERE.contains(&name) || (name == "opcache" && line >= 805);
        if is_there {
            continue;
        }
        match KNOWN.iter().find(|extension| extension.name == name) {
            Some(extension) => found.push(*extension),
            None => unknown.push(name.to_owned()),
        }
    }
    (found, unknown)
}

/// The command that adds them to the image and leaves only the libraries that they are linked with: the same on every
/// release of the distribution, whose names of libraries change.
pub(super) fn install(extensions: &[Extension]) -> Option<String> {
    if extensions.is_empty() {
        return None;
    }
    let headers: BTreeSet<&str> = extensions
        .iter()
        .flat_map(|extension| extension.headers)
        .copied()
        .collect();
    let names = |source: Source| -> Vec<&str> {
        let of_source = extensions.iter().filter(|extension| extension.source == source);
        of_source.map(|extension| extension.name).collect()
    };
    let (core, pecl) = (names(Source::Core), names(Source::Pecl));
    let mut steps = Vec::new();
    if !headers.is_empty() {
        steps.push("before=\"$(apt-mark showmanual)\"".to_owned());
        steps.push("apt-get update -q".to_owned());
        let headers: Vec<&str> = headers.iter().copied().collect();
        steps.push(format!(
            "DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends {}",
            headers.join(" ")
        ));
    }
    for extension in extensions {
        if let Some(flags) = extension.configure {
            steps.push(format!("docker-php-ext-configure {} {flags}", extension.name));
        }
    }
    if !core.is_empty() {
        steps.push(format!("docker-php-ext-install -j\"$(nproc)\" {}", core.join(" ")));
    }
    if !pecl.is_empty() {
        let pecl = pecl.join(" ");
        // Questions of the installers are answered with what they propose.
        steps.push(format!("yes '' | pecl install {pecl}"));
        steps.push(format!("docker-php-ext-enable {pecl}"));
        steps.push("rm -rf /tmp/pear".to_owned());
    }
    if !headers.is_empty() {
        steps.push("apt-mark auto '.*' >/dev/null".to_owned());
        steps.push("apt-mark manual $before >/dev/null".to_owned());
        steps.push(
            "ldd \"$(php -r 'echo ini_get(\"extension_dir\");')\"/*.so \\\n      \
             | awk '/=> \\// { sub(\"^/(usr/)?\", \"\", $3); print \"*/\" $3 }' | sort -u \\\n      \
             | xargs -r dpkg-query --search 2>/dev/null | cut -d: -f1 | sort -u | xargs -r apt-mark manual >/dev/null"
                .to_owned(),
        );
        steps.push("apt-get purge -qy --auto-remove -o APT::AutoRemove::RecommendsImportant=false".to_owned());
        steps.push("rm -rf /var/lib/apt/lists/*".to_owned());
        // Loads all of them, so that a library that went too far is noticed here.
        steps.push("! php -m 2>&1 | grep -i 'unable to load'".to_owned());
    }
    Some(steps.join(" \\\n && "))
}
