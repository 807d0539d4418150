//! Frameworks of PHP, and what each needs to run.

use crate::{
    Refusal,
    command::{Command, words},
    php::{composer::Composer, web},
    procfile::Procfile,
    survey::Survey,
    tree::Tree,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framework {
    Laravel,
    Symfony,
    /// One that needs nothing special, by its name.
    Other(&'static str),
    None,
}

const OTHERS: &[(&str, &str)] = &[
    ("slim/slim", "Slim"),
    ("cakephp/cakephp", "CakePHP"),
    ("codeigniter4/framework", "CodeIgniter"),
    ("yiisoft/yii2", "Yii"),
    ("laminas/laminas-mvc", "Laminas"),
    ("drupal/core", "Drupal"),
    ("drupal/core-recommended", "Drupal"),
    ("roots/wordpress", "WordPress"),
    ("johnpbloch/wordpress", "WordPress"),
    ("laravel/lumen-framework", "Lumen"),
    ("mezzio/mezzio", "Mezzio"),
];

/// Folders that applications without a framework that we know write to, where they are there.
const USUAL_FOLDERS: &[&str] = &[
    "cache",
    "data",
    "logs",
    "storage",
    "tmp",
    "uploads",
    "var",
    "writable",
    "wp-content",
    "public/uploads",
    "runtime",
    "web/assets",
    "web/sites/default/files",
    "web/app/uploads",
];

/// Sources are searched for database drivers in this many files.
const MOST_FILES: usize = 200;

/// The folder that Heroku's own programs in a Procfile serve: `web: vendor/bin/heroku-php-apache2 public/`.
pub(super) fn heroku(procfile: &Procfile) -> Option<String> {
    let (_, web) = procfile.start.as_ref()?;
    if !web.names("heroku-php-apache2") && !web.names("heroku-php-nginx") {
        return None;
    }
    let folder = words(web.text()).last().filter(|word| !word.contains("heroku-php-"));
    Some(folder.unwrap_or_default().to_owned())
}

impl Framework {
    pub(super) fn detect(tree: &Tree, composer: &Composer) -> Self {
        if tree.has_file("artisan") && composer.has("laravel/framework") {
            return Self::Laravel;
        }
        if composer.has("symfony/framework-bundle") && tree.has_file("bin/console") {
            return Self::Symfony;
        }
        let other = OTHERS.iter().find(|(package, _)| composer.has(package));
        if let Some((_, name)) = other {
            return Self::Other(name);
        }
        if tree.has_file("wp-load.php") || tree.has_file("wp-config.php") {
            return Self::Other("WordPress");
        }
        Self::None
    }

    pub(super) fn name(self) -> Option<&'static str> {
        match self {
            Self::Laravel => Some("Laravel"),
            Self::Symfony => Some("Symfony"),
            Self::Other(name) => Some(name),
            Self::None => None,
        }
    }

    pub(super) fn because(self) -> &'static str {
        match self {
            Self::Laravel => "artisan, and laravel/framework in composer.json",
            Self::Symfony => "bin/console, and symfony/framework-bundle in composer.json",
            _ => "composer.json, or the files' names",
        }
    }

    /// Extensions that are used without being asked for.
    pub(super) fn extensions(self, tree: &Tree, composer: &Composer) -> (Vec<&'static str>, &'static str) {
        match self {
            Self::Laravel => {
                let mut names = vec!["bcmath", "intl", "pcntl", "pdo_mysql", "pdo_pgsql", "zip"];
                if !composer.has("predis/predis") {
                    names.push("redis");
                }
                (names, "Laravel's databases, queues and number formats use them")
            }
            Self::Symfony if composer.has("doctrine/dbal") || composer.has("doctrine/doctrine-bundle") => {
                (vec!["intl", "pdo_mysql", "pdo_pgsql"], "Symfony and Doctrine use them")
            }
            Self::Symfony => (vec!["intl"], "Symfony uses it"),
            Self::Other("WordPress") => (vec!["exif", "gd", "intl", "mysqli", "zip"], "WordPress uses them"),
            Self::Other("Drupal") => (vec!["gd", "pdo_mysql", "pdo_pgsql", "zip"], "Drupal uses them"),
            Self::Other("CodeIgniter") => (vec!["intl", "mysqli"], "CodeIgniter uses them"),
            Self::Other("CakePHP") => (vec!["intl", "pdo_mysql", "pdo_pgsql"], "CakePHP uses them"),
            _ => (drivers(tree), "the source names them"),
        }
    }

    /// The command that serves the application.
    pub(super) fn start(self, survey: &mut Survey<'_>) -> Result<Command, Refusal> {
        let (text, because) = match self {
            Self::Laravel => (
                format!("php artisan optimize && {}", web::START),
                "configuration, routes and views are cached with the variables of then; Apache serves",
            ),
            _ => (web::START.to_owned(), "Apache serves"),
        };
        survey.fact("start command", &text, because);
        Command::parse(&text, because)
    }

    pub(super) fn writable(self, tree: &Tree) -> Vec<String> {
        let folders: Vec<&str> = match self {
            Self::Laravel => {
                let mut folders = vec!["bootstrap/cache", "storage"];
                if tree
                    .entries("database")
                    .iter()
                    .any(|entry| entry.name.ends_with(".sqlite"))
                {
                    folders.push("database");
                }
                folders
            }
            Self::Symfony => vec!["var"],
            _ => USUAL_FOLDERS
                .iter()
                .copied()
                .filter(|folder| tree.has_folder(folder))
                .collect(),
        };
        folders.into_iter().map(str::to_owned).collect()
    }

    /// What users of the framework should know.
    pub(super) fn tell(self, survey: &mut Survey<'_>, composer: &Composer) {
        let migrations = match self {
            Self::Laravel => "php artisan migrate --force",
            Self::Symfony if composer.has("doctrine/doctrine-migrations-bundle") => {
                "php bin/console doctrine:migrations:migrate --no-interaction"
            }
            _ => return,
        };
        survey.tell_migrations(migrations);
        if self == Self::Laravel && !survey.settings.variables.contains_key("APP_KEY") && !survey.tree.has_file(".env")
        {
            survey.warn(
                "Laravel needs the variable APP_KEY to answer. Make one with `php artisan key:generate --show` and set it.",
            );
        }
    }
}

/// Drivers of databases that a source without Composer names.
fn drivers(tree: &Tree) -> Vec<&'static str> {
    let marks = [
        ("mysqli", "mysqli"),
        ("mysql:", "pdo_mysql"),
        ("pgsql:", "pdo_pgsql"),
        ("pg_connect", "pgsql"),
    ];
    let mut found = Vec::new();
    let mut seen = 0;
    for folder in tree.walk("") {
        for entry in tree.entries(&folder) {
            if entry.is_folder || !entry.name.ends_with(".php") {
                continue;
            }
            seen += 1;
            if seen > MOST_FILES {
                return found;
            }
            let text = tree.head(&crate::tree::join(&folder, &entry.name));
            for (mark, driver) in marks {
                if !found.contains(&driver) && text.contains(mark) {
                    found.push(driver);
                }
            }
        }
    }
    found.sort_unstable();
    found
}
