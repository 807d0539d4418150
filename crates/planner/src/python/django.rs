//! Django: where its settings are, and what serves it.

use crate::{
    python::source,
    tree::{Tree, is_plain_path, join},
};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Django {
    /// Where its `manage.py` is; empty: in the application's own folder.
    pub(crate) folder: String,
    /// `package.wsgi:application`, and the file that says so.
    pub(crate) wsgi: Option<(String, String)>,
    pub(crate) asgi: Option<(String, String)>,
    pub(crate) collects_static_files: bool,
}

/// Whether a `manage.py` is Django's.
pub(crate) fn is_there(tree: &Tree) -> bool {
    is_in(tree, "")
}

/// The folder with a `manage.py` that is Django's: the application's own, or the only one in it that has it.
pub(crate) fn folder(tree: &Tree) -> Option<String> {
    if is_there(tree) {
        return Some(String::new());
    }
    let folders = tree.code_folders("").into_iter();
    let mut found = folders.filter(|folder| is_plain_path(folder) && is_in(tree, folder));
    found.next().filter(|_| found.next().is_none())
}

fn is_in(tree: &Tree, folder: &str) -> bool {
    let path = join(folder, "manage.py");
    tree.has(&path) && {
        let text = tree.head(&path);
        text.contains("DJANGO_SETTINGS_MODULE") || text.contains("django")
    }
}

pub(crate) fn read(tree: &Tree, folder: &str) -> Django {
    let manage = tree.head(&join(folder, "manage.py"));
    let module = quoted_after(&manage, "DJANGO_SETTINGS_MODULE").filter(|module| is_module(module));
    let settings = settings_files(tree, folder, module.as_deref());
    let mut django = Django {
        folder: folder.to_owned(),
        ..Django::default()
    };
    for path in &settings {
        let text = tree.head(path);
        django.collects_static_files |= text
            .lines()
            .any(|line| line.starts_with("STATIC_ROOT") || line.trim_start().starts_with("STATIC_ROOT ="));
        for (name, found) in [
            ("WSGI_APPLICATION", &mut django.wsgi),
            ("ASGI_APPLICATION", &mut django.asgi),
        ] {
            let line = text.lines().find(|line| line.starts_with(name));
            let dotted = line
                .and_then(|line| quoted_after(line, "="))
                .filter(|dotted| is_module(dotted));
            if let Some((module, object)) = dotted.as_deref().and_then(|dotted| dotted.rsplit_once('.')) {
                *found = Some((format!("{module}:{object}"), format!("{name} in {path}")));
            }
        }
    }
    django.wsgi = django.wsgi.or_else(|| beside(tree, folder, module.as_deref(), "wsgi"));
    django.asgi = django.asgi.or_else(|| beside(tree, folder, module.as_deref(), "asgi"));
    django
}

fn is_module(text: &str) -> bool {
    text.len() <= 200 && text.split('.').all(crate::command::is_variable_name)
}

/// The first quoted text after a sign, on the same or the next line: `setdefault("NAME", "value")`.
fn quoted_after(text: &str, sign: &str) -> Option<String> {
    let rest = &text[text.find(sign)? + sign.len()..];
    let rest = rest.strip_prefix(['\'', '"']).unwrap_or(rest);
    let at = rest.find(['\'', '"'])?;
    let quote = rest[at..].chars().next()?;
    rest[at + 1..].split(quote).next().map(str::to_owned)
}

/// The files that may set what we look for: the settings module, or all of a package of settings.
fn settings_files(tree: &Tree, above: &str, module: Option<&str>) -> Vec<String> {
    let Some(module) = module else {
        let folders = tree.code_folders(above);
        return folders
            .iter()
            .map(|folder| join(above, &format!("{folder}/settings.py")))
            .filter(|path| tree.has_file(path))
            .collect();
    };
    let path = join(above, &module.replace('.', "/"));
    let mut files = vec![format!("{path}.py"), format!("{path}/__init__.py")];
    // `config.settings.production` shares what is in `config/settings/base.py`.
    let folder = if tree.has_folder(&path) {
        path.as_str()
    } else {
        path.rsplit_once('/').map_or("", |(folder, _)| folder)
    };
    if folder.ends_with("settings") {
        let names = tree
            .entries(folder)
            .into_iter()
            .filter(|entry| entry.name.ends_with(".py"))
            .take(20);
        files.extend(names.map(|entry| join(folder, &entry.name)));
    }
    files.retain(|file| tree.has_file(file));
    files.dedup();
    files
}

/// `wsgi.py` beside the settings, or in any package of the root.
fn beside(tree: &Tree, above: &str, settings: Option<&str>, name: &str) -> Option<(String, String)> {
    let mut folders: Vec<String> = Vec::new();
    let mut package = settings.unwrap_or_default();
    while let Some((outer, _)) = package.rsplit_once('.') {
        folders.push(outer.replace('.', "/"));
        package = outer;
    }
    folders.extend(tree.code_folders(above));
    folders.push(String::new());
    let path = folders
        .iter()
        .map(|folder| join(folder, &format!("{name}.py")))
        .find(|path| tree.has_file(&join(above, path)))?;
    let module = path.strip_suffix(".py")?.replace('/', ".");
    is_module(&module).then(|| (format!("{module}:application"), join(above, &path)))
}

/// Whether pages' files are served by the application itself.
pub(crate) fn serves_files(names: &crate::python::dependencies::Names) -> bool {
    names.has_any(&["whitenoise", "dj-static", "django-storages"]).is_some()
}

/// Whether the file is one of Django's own entry points, so that other frameworks do not claim it.
pub(crate) fn is_entry(found: &source::Found) -> bool {
    found.target.ends_with("wsgi:application") || found.target.ends_with("asgi:application")
}
