//! What Cloud Foundry's users of PHP write: `.bp-config/options.json`, and files of settings for PHP itself.

use serde_json::{Map, Value};

use crate::{
    Refusal,
    command::{Command, relative_path},
    survey::Survey,
    tree::{Tree, is_plain_path, join, shown},
    wish::Wish,
};

const FILE: &str = ".bp-config/options.json";
/// What is started where there is no web server and nothing names a program.
const SCRIPTS: &[&str] = &["app.php", "main.php", "run.php", "start.php"];
/// Folders with files of settings for PHP, all of which count: Paketo's, and Cloud Foundry's.
const INI_FOLDERS: &[&str] = &[".php.ini.d", ".bp-config/php/php.ini.d"];
/// More files of settings than this nobody has.
const MOST_FILES: usize = 20;

/// The options that mean something here.
#[derive(Debug, Default)]
pub(super) struct Options {
    values: Map<String, Value>,
}

impl Options {
    pub(super) fn read(tree: &Tree) -> Result<Self, Refusal> {
        let Some(text) = tree.text(FILE)? else {
            return Ok(Self::default());
        };
        let values = serde_json::from_str(&text).map_err(|error| Refusal::Malformed {
            path: FILE.to_owned(),
            why: error.to_string(),
        })?;
        Ok(Self { values })
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.values
            .get(key)?
            .as_str()
            .map(str::trim)
            .filter(|text| !text.is_empty())
    }

    /// The version: `8.2.x`, or a name of the buildpack's own such as `{PHP_82_LATEST}`.
    pub(super) fn version(&self) -> Option<Wish> {
        let text = self.text("PHP_VERSION")?;
        let digits = text
            .strip_prefix("{PHP_")
            .and_then(|rest| rest.strip_suffix("_LATEST}"));
        let version = match digits.filter(|digits| digits.len() == 2 && digits.is_ascii()) {
            Some(digits) => format!("{}.{}", &digits[..1], &digits[1..]),
            None if text.starts_with('{') => return None,
            None => text.strip_suffix(".x").unwrap_or(text).to_owned(),
        };
        Wish::new(&version, &format!("PHP_VERSION in {FILE}"))
    }

    pub(super) fn extensions(&self) -> Vec<String> {
        let lists = ["PHP_EXTENSIONS", "ZEND_EXTENSIONS"]
            .into_iter()
            .filter_map(|key| self.values.get(key)?.as_array());
        let names = lists.flatten().filter_map(Value::as_str);
        names
            .map(|name| name.trim().to_lowercase())
            .filter(|name| !name.is_empty())
            .take(100)
            .collect()
    }

    /// The folder to serve; one that is not there is the application's own.
    pub(super) fn root(&self, survey: &mut Survey<'_>) -> Result<Option<String>, Refusal> {
        let Some(folder) = self.text("WEBDIR") else {
            return Ok(None);
        };
        let folder = relative_path(folder, &format!("WEBDIR in {FILE}"))?;
        let is_there = folder.is_empty() || survey.tree.has_folder(&folder);
        Ok(Some(if is_there { folder } else { String::new() }))
    }

    /// The program that is started where no web server is wanted.
    pub(super) fn standalone(&self, survey: &mut Survey<'_>) -> Result<Option<Command>, Refusal> {
        if self.text("WEB_SERVER") != Some("none") {
            return Ok(None);
        }
        let (script, because) = match self.text("APP_START_CMD") {
            Some(script) => (
                relative_path(script, &format!("APP_START_CMD in {FILE}"))?,
                format!("APP_START_CMD in {FILE}"),
            ),
            None => match survey.tree.first_file(SCRIPTS) {
                Some(script) => (
                    script.to_owned(),
                    format!("WEB_SERVER in {FILE} is none, and {script} is there"),
                ),
                None => return Ok(None),
            },
        };
        let start = format!("php {script}");
        survey.fact("start command", &start, &because);
        Command::parse(&start, &because).map(Some)
    }

    /// Tells what is asked for and not done.
    pub(super) fn tell_unused(&self, survey: &mut Survey<'_>) {
        let done = [
            "PHP_VERSION",
            "PHP_EXTENSIONS",
            "ZEND_EXTENSIONS",
            "WEBDIR",
            "WEB_SERVER",
            "APP_START_CMD",
            "ADMIN_EMAIL",
        ];
        let unused: Vec<String> = self
            .values
            .keys()
            .filter(|key| !done.contains(&key.as_str()))
            .map(|key| shown(key))
            .take(20)
            .collect();
        if !unused.is_empty() {
            survey.warn(&format!("Of {FILE} this is not used here: {}.", unused.join(", ")));
        }
        for other in [
            ".bp-config/httpd",
            ".bp-config/nginx",
            ".bp-config/php/fpm.d",
            ".extensions",
        ] {
            if survey.tree.has(other) {
                survey.warn(&format!(
                    "{other} is not used: Apache with PHP inside serves, and .htaccess files and .user.ini count."
                ));
            }
        }
    }
}

/// Files of settings for PHP, in the order in which they count.
pub(super) fn ini_files(tree: &Tree, root: Option<&str>) -> Vec<String> {
    let in_folders = INI_FOLDERS.iter().flat_map(|folder| {
        let entries = tree.entries(folder).into_iter();
        entries
            .filter(|entry| entry.name.ends_with(".ini"))
            .map(move |entry| join(folder, &entry.name))
    });
    let of_users = [root.map(|root| join(root, ".user.ini"))].into_iter().flatten();
    let mut files: Vec<String> = in_folders.chain(of_users).collect();
    files.retain(|file| is_plain_path(file) && tree.has_file(file));
    files.truncate(MOST_FILES);
    files
}

/// The extensions that files of settings load: `extension=bz2.so`.
pub(super) fn loaded(tree: &Tree, files: &[String]) -> Vec<String> {
    let of_line = |line: &str| {
        let (key, value) = line.split_once('=')?;
        let is_extension = matches!(key.trim(), "extension" | "zend_extension");
        let name = value.trim().trim_matches('"').trim_end_matches(".so").to_lowercase();
        (is_extension && !name.is_empty()).then_some(name)
    };
    let texts = files.iter().map(|file| tree.head(file));
    texts
        .flat_map(|text| text.lines().filter_map(of_line).collect::<Vec<_>>())
        .take(100)
        .collect()
}

/// The command that has PHP read them. What they load is loaded already.
pub(super) fn use_ini_files(files: &[String]) -> String {
    format!(
        "sed -e '/^ *\\(zend_\\)\\{{0,1\\}}extension *=/d' -e 's|@{{HOME}}|/app|g' {} >\"$PHP_INI_DIR/conf.d/zz-app.ini\"",
        files.join(" ")
    )
}
