//! What the source says: which class has `main`, and where the application listens.

use crate::tree::{Tree, join};

/// More files than this are not looked at, in all modules together.
pub(super) const MOST_FILES: usize = 2_000;

/// What was found in the source of a module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Source {
    /// Classes with a `main`, in the order of their files.
    pub(super) mains: Vec<String>,
    /// The port that is named, if nothing looks at `PORT`.
    pub(super) port: Option<u16>,
}

/// Reads the source of a module that is no test, as long as `left` more files may be read.
pub(super) fn read(tree: &Tree, module: &str, left: &mut usize) -> Source {
    let mut source = Source::default();
    let mut looks_at_port = false;
    for folder in tree.walk(&join(module, "src")) {
        if folder.contains("src/test") {
            continue;
        }
        for entry in tree.entries(&folder) {
            let kind = entry.name.rsplit_once('.').map(|(_, kind)| kind);
            let is_code = matches!(kind, Some("java" | "kt" | "scala" | "groovy"));
            let is_settings = matches!(kind, Some("conf" | "yaml" | "yml" | "properties"));
            if entry.is_folder || *left == 0 || !(is_code || is_settings) {
                continue;
            }
            *left -= 1;
            let text = tree.head(&join(&folder, &entry.name));
            looks_at_port |= text.contains("\"PORT\"") || text.contains("${PORT") || text.contains("${?PORT");
            if is_code {
                let class = main_class(&entry.name, &text).filter(|class| is_class(class));
                if let Some(class) = class.filter(|class| !source.mains.contains(class)) {
                    source.mains.push(class);
                }
                source.port = source.port.or_else(|| port(&text));
            }
        }
    }
    source.port = source.port.filter(|_| !looks_at_port);
    source
}

/// Whether a text is a class's name, and nothing that a shell would read.
pub(super) fn is_class(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 255
        && name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name
            .chars()
            .all(|character| character.is_ascii_alphanumeric() || "._".contains(character))
}

fn main_class(file: &str, text: &str) -> Option<String> {
    let (name, kind) = file.rsplit_once('.')?;
    let has_main = match kind {
        "kt" => text
            .lines()
            .any(|line| line.starts_with("fun main(") || line.starts_with("suspend fun main(")),
        "java" => text.contains("static void main("),
        _ => false,
    };
    let package = text.lines().find_map(|line| line.trim().strip_prefix("package "));
    let package = package.map(|package| package.trim().trim_end_matches(';').trim());
    // Functions outside of any class are in one that Kotlin names after the file.
    let class = if kind == "kt" {
        let mut letters = name.chars();
        let first: String = letters.next().into_iter().flat_map(char::to_uppercase).collect();
        format!("{first}{}Kt", letters.as_str())
    } else {
        name.to_owned()
    };
    has_main.then(|| package.map_or(class.clone(), |package| format!("{package}.{class}")))
}

fn port(text: &str) -> Option<u16> {
    const SIGNS: &[&str] = &[
        "InetSocketAddress(",
        ".start(",
        "port = ",
        "port(",
        ".listen(",
        "setPort(",
    ];
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    code.into_iter().find_map(|line| {
        SIGNS.iter().find_map(|sign| {
            let (_, rest) = line.split_once(sign)?;
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            let plausible = (2..=5).contains(&digits.len());
            digits.parse().ok().filter(|port| plausible && *port > 0)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_with_main_is_named_as_java_knows_it() {
        let java = "package a.b;\npublic class X { public static void main(String[] a) {} }";
        assert_eq!(main_class("X.java", java).as_deref(), Some("a.b.X"));
        assert_eq!(
            main_class("app.kt", "package a\n\nfun main() {}\n").as_deref(),
            Some("a.AppKt")
        );
        assert_eq!(main_class("X.java", "class X {}"), None);
        assert_eq!(port("Javalin.create().start(7070);"), Some(7070));
        assert_eq!(port("embeddedServer(Netty, port = 8080)"), Some(8080));
    }
}
