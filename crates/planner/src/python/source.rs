//! Looking into Python source for the object that a server is to serve.

use crate::tree::Tree;

/// The application object of a module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) path: String,
    /// As servers take it: `package.module:name` or `module:create_app()`.
    pub(crate) target: String,
    /// The folder that has to be on the path, if it is not the application's own.
    pub(crate) folder: Option<&'static str>,
}

/// Files that usually hold the application, in the order in which they are looked at.
const USUAL: &[&str] = &[
    "wsgi.py",
    "asgi.py",
    "main.py",
    "app.py",
    "application.py",
    "server.py",
    "run.py",
    "api.py",
    "index.py",
    "app/main.py",
    "app/app.py",
    "app/server.py",
    "app/api.py",
    "app/__init__.py",
    "api/main.py",
    "api/index.py",
    "api/app.py",
    "server/main.py",
    "backend/main.py",
    "src/main.py",
    "src/app.py",
    "src/server.py",
    "src/api.py",
];
/// What a package's own file with the application is called.
const IN_PACKAGES: &[&str] = &[
    "main.py",
    "app.py",
    "wsgi.py",
    "asgi.py",
    "server.py",
    "api.py",
    "__init__.py",
];
/// More folders than this are not looked at.
const MOST_FOLDERS: usize = 40;

/// Finds an object made by one of these classes, or a function `create_app` in a file that mentions one.
pub(crate) fn find(tree: &Tree, classes: &[&str]) -> Option<Found> {
    let mut paths: Vec<String> = USUAL.iter().map(|path| (*path).to_owned()).collect();
    for above in ["", "src"] {
        for folder in tree.code_folders(above).into_iter().take(MOST_FOLDERS) {
            let folder = crate::tree::join(above, &folder);
            paths.extend(IN_PACKAGES.iter().map(|file| format!("{folder}/{file}")));
        }
    }
    let texts: Vec<(String, String)> = paths
        .into_iter()
        .filter(|path| tree.has_file(path))
        .map(|path| {
            let text = tree.head(&path);
            (path, text)
        })
        .collect();
    let at = |path: &str, name: String| {
        let (module, folder) = module_of(tree, path)?;
        Some(Found {
            path: path.to_owned(),
            target: format!("{module}:{name}"),
            folder,
        })
    };
    // wsgi.py and asgi.py are there for servers: what they import is meant to be served.
    let imported = texts
        .iter()
        .filter(|(path, _)| path.ends_with("wsgi.py") || path.ends_with("asgi.py"));
    let for_servers = imported.filter_map(|(path, text)| at(path, imported_object(text)?));
    let made = texts.iter().filter_map(|(path, text)| at(path, object(text, classes)?));
    let factory = texts
        .iter()
        .filter_map(|(path, text)| at(path, factory(text, classes)?));
    made.clone()
        .find(|found| is_for_servers(&found.path))
        .or_else(|| for_servers.clone().next())
        .or_else(|| made.clone().next())
        .or_else(|| factory.clone().next())
}

fn is_for_servers(path: &str) -> bool {
    path.ends_with("wsgi.py") || path.ends_with("asgi.py")
}

fn is_identifier(text: &str) -> bool {
    crate::command::is_variable_name(text)
}

/// `NAME = Class(` or `NAME: Type = module.Class(` at the beginning of a line.
fn object(text: &str, classes: &[&str]) -> Option<String> {
    text.lines().find_map(|line| {
        let (left, right) = line.split_once('=')?;
        let name = left.split(':').next()?.trim_end();
        let call = right
            .trim_start()
            .split('(')
            .next()
            .filter(|_| right.contains('('))?
            .trim_end();
        let class = call.rsplit('.').next()?;
        (is_identifier(name) && classes.contains(&class)).then(|| name.to_owned())
    })
}

/// `app = create_app()`, or `from x import app`, in a file made for servers.
fn imported_object(text: &str) -> Option<String> {
    let assigned = text.lines().find_map(|line| {
        let (left, right) = line.split_once('=')?;
        let name = left.trim_end();
        let call = right.trim().split('(').next()?;
        let makes = [
            "create_app",
            "make_app",
            "get_wsgi_application",
            "get_asgi_application",
            "create_application",
        ];
        (is_identifier(name) && makes.contains(&call.rsplit('.').next()?)).then(|| name.to_owned())
    });
    assigned.or_else(|| {
        text.lines().find_map(|line| {
            let (_, imported) = line.strip_prefix("from ")?.split_once(" import ")?;
            imported.split(',').find_map(|part| {
                let name = part.split(" as ").last()?.split('#').next()?.trim();
                matches!(name, "app" | "application" | "server").then(|| name.to_owned())
            })
        })
    })
}

/// `def create_app(` in a file that makes the object.
fn factory(text: &str, classes: &[&str]) -> Option<String> {
    let makes = classes.iter().any(|class| text.contains(&format!("{class}(")));
    let name = ["create_app", "make_app"]
        .into_iter()
        .find(|name| text.contains(&format!("\ndef {name}(")) || text.starts_with(&format!("def {name}(")));
    name.filter(|_| makes).map(|name| format!("{name}()"))
}

/// The module of a file, and the folder that it is to be imported from.
fn module_of(tree: &Tree, path: &str) -> Option<(String, Option<&'static str>)> {
    let stem = path.strip_suffix(".py")?;
    let stem = stem.strip_suffix("/__init__").unwrap_or(stem);
    let mut parts: Vec<&str> = stem.split('/').collect();
    let mut folder = None;
    // `src` is a package only if it says so or is imported as one.
    let imports_src = || tree.head(path).contains("from src") || tree.head(path).contains("import src");
    if parts.len() > 1 && parts[0] == "src" && !tree.has_file("src/__init__.py") && !imports_src() {
        parts.remove(0);
        folder = Some("src");
    }
    parts
        .iter()
        .all(|part| is_identifier(part))
        .then(|| (parts.join("."), folder))
}

/// The port that a script names, if it does not look at `PORT`.
pub(crate) fn port(text: &str) -> Option<u16> {
    if text.contains("PORT") {
        return None;
    }
    let named = text.match_indices("port").find_map(|(at, _)| {
        let rest = text[at + 4..].trim_start().strip_prefix('=')?;
        number(rest.trim_start())
    });
    // An address as sockets take it.
    let address = || {
        ["('',", "(\"\",", "('0.0.0.0',", "(\"0.0.0.0\","]
            .iter()
            .find_map(|address| number(text.split_once(address)?.1.trim_start()))
    };
    named.or_else(address)
}

fn number(text: &str) -> Option<u16> {
    let digits: String = text.chars().take_while(char::is_ascii_digit).take(6).collect();
    digits.parse().ok().filter(|port| *port > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_object_is_found_however_it_is_written() {
        let classes = ["Flask", "FastAPI"];
        assert_eq!(
            object("import x\napp = Flask(__name__)\n", &classes).as_deref(),
            Some("app")
        );
        assert_eq!(
            object("api: FastAPI = fastapi.FastAPI(title=\"x\")", &classes).as_deref(),
            Some("api")
        );
        assert_eq!(object("    app = Flask(__name__)", &classes), None);
        assert_eq!(object("app = Flask", &classes), None);
        assert_eq!(object("a;b = Flask(", &classes), None);
        assert_eq!(
            imported_object("from site import app as application\n").as_deref(),
            Some("application")
        );
        assert_eq!(
            factory("def create_app():\n  return Flask(__name__)", &classes).as_deref(),
            Some("create_app()")
        );
    }

    #[test]
    fn a_port_is_read_from_a_script_that_ignores_the_variable() {
        assert_eq!(port("web.run_app(app, port=9090)"), Some(9090));
        assert_eq!(port("run(port=int(os.environ['PORT']))"), None);
        assert_eq!(port("server_address = ('', 8080)\nport = sys.argv"), Some(8080));
        assert_eq!(port("import x"), None);
    }
}
