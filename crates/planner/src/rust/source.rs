//! What a program's source says about the port that it listens on.

use crate::tree::{Tree, join};

/// More files than this are not looked at.
const MOST_FILES: usize = 200;

/// Where a program listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Listening {
    pub(super) port: u16,
    /// Reached from inside the container only.
    pub(super) is_loopback: bool,
}

/// The address that a package's source names, if nothing in it looks at `PORT`.
pub(super) fn listening(tree: &Tree, package: &str, main: &str) -> Option<Listening> {
    let mut texts = vec![tree.head(main)];
    for folder in tree.walk(&join(package, "src")) {
        for entry in tree.entries(&folder) {
            if !entry.is_folder && entry.name.ends_with(".rs") && texts.len() < MOST_FILES {
                texts.push(tree.head(&join(&folder, &entry.name)));
            }
        }
    }
    if texts.iter().any(|text| text.contains("\"PORT\"")) {
        return None;
    }
    texts.iter().find_map(|text| address(text))
}

fn address(text: &str) -> Option<Listening> {
    const SIGNS: &[(&str, bool)] = &[
        ("0.0.0.0:", false),
        ("[::]:", false),
        ("127.0.0.1:", true),
        ("localhost:", true),
        ("0.0.0.0\", ", false),
        ("127.0.0.1\", ", true),
        ("[0, 0, 0, 0], ", false),
        ("[127, 0, 0, 1], ", true),
    ];
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    code.into_iter().find_map(|line| {
        SIGNS.iter().find_map(|(sign, is_loopback)| {
            let (_, rest) = line.split_once(sign)?;
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            let port = digits.parse().ok().filter(|port| *port > 0 && digits.len() >= 2)?;
            // A connection to somewhere else is no place to listen at.
            let is_url = line.contains("://") && !line.contains("listen");
            (!is_url).then_some(Listening {
                port,
                is_loopback: *is_loopback,
            })
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_found_in_the_usual_forms() {
        for (line, port, is_loopback) in [
            ("TcpListener::bind(\"0.0.0.0:3000\")", 3000, false),
            (".bind((\"127.0.0.1\", 8080))?", 8080, true),
            ("SocketAddr::from(([0, 0, 0, 0], 8000))", 8000, false),
            ("warp::serve(routes).run(([127, 0, 0, 1], 3030))", 3030, true),
        ] {
            assert_eq!(address(line), Some(Listening { port, is_loopback }), "{line}");
        }
        assert_eq!(address("let url = \"http://localhost:9200\";"), None);
        assert_eq!(address("// TcpListener::bind(\"0.0.0.0:3000\")"), None);
    }
}
