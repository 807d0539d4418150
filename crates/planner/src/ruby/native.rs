//! Gems with C in them: what they need to be compiled, and what they need when they run.

use crate::ruby::gemfile::Gems;

/// One gem and Debian's packages for it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Native {
    pub(super) gem: &'static str,
    /// Beyond what the image with compilers has.
    pub(super) to_build: &'static [&'static str],
    pub(super) to_run: &'static [&'static str],
}

const fn native(gem: &'static str, to_build: &'static [&'static str], to_run: &'static [&'static str]) -> Native {
    Native { gem, to_build, to_run }
}

const KNOWN: &[Native] = &[
    native("pg", &["libpq-dev"], &["libpq5"]),
    native("mysql2", &["default-libmysqlclient-dev"], &["libmariadb3"]),
    native("trilogy", &[], &[]),
    native("sqlite3", &["libsqlite3-dev"], &["libsqlite3-0"]),
    native("nokogiri", &["libxml2-dev", "libxslt1-dev"], &["libxml2", "libxslt1.1"]),
    native("rmagick", &["libmagickwand-dev"], &["imagemagick"]),
    native("mini_magick", &[], &["imagemagick"]),
    native("ruby-vips", &[], &["libvips42"]),
    native("image_processing", &[], &["libvips42"]),
    native("charlock_holmes", &["libicu-dev", "zlib1g-dev"], &["libicu-dev"]),
    native("psych", &["libyaml-dev"], &["libyaml-0-2"]),
    native("ffi", &["libffi-dev"], &["libffi8"]),
    native("curb", &["libcurl4-openssl-dev"], &["libcurl4"]),
    native("rugged", &["cmake", "pkg-config"], &[]),
    native("tiny_tds", &["freetds-dev"], &["libsybdb5"]),
    native("idn-ruby", &["libidn-dev"], &["libidn12"]),
    native("rdkafka", &["zlib1g-dev"], &[]),
    native("bcrypt", &[], &[]),
    native("puma", &[], &[]),
    native("nio4r", &[], &[]),
    native("bigdecimal", &[], &[]),
    native("bootsnap", &[], &[]),
    native("msgpack", &[], &[]),
    native("racc", &[], &[]),
    native("json", &[], &[]),
    native("sassc", &[], &[]),
];

/// The gems that are there, in one order.
pub(super) fn of(gems: &Gems) -> Vec<Native> {
    KNOWN.iter().copied().filter(|native| gems.has(native.gem)).collect()
}

/// Packages of all of them, each once.
pub(super) fn packages(found: &[Native], which: impl Fn(&Native) -> &'static [&'static str]) -> Vec<&'static str> {
    let mut all: Vec<&'static str> = found.iter().flat_map(which).copied().collect();
    all.sort_unstable();
    all.dedup();
    all
}
