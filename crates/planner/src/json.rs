//! JSON as people write it where the reader allows: with remarks, and commas after the last of a list.

use serde_json::Value;

pub(crate) fn parse(text: &str) -> Result<Value, serde_json::Error> {
    serde_json::from_str(&plain(text))
}

/// The same text without remarks and surplus commas, on the same lines.
fn plain(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    let mut in_text = false;
    while let Some(character) = characters.next() {
        match character {
            '"' => in_text = !in_text,
            '\\' if in_text => {
                kept.push(character);
                kept.extend(characters.next());
                continue;
            }
            '/' if !in_text && characters.peek() == Some(&'/') => {
                for next in characters.by_ref() {
                    if next == '\n' {
                        break;
                    }
                }
                kept.push('\n');
                continue;
            }
            '/' if !in_text && characters.peek() == Some(&'*') => {
                characters.next();
                let mut before = ' ';
                for next in characters.by_ref() {
                    if before == '*' && next == '/' {
                        break;
                    }
                    if next == '\n' {
                        kept.push(next);
                    }
                    before = next;
                }
                kept.push(' ');
                continue;
            }
            '}' | ']' if !in_text => {
                let end = kept.trim_end().len();
                if kept[..end].ends_with(',') {
                    kept.remove(end - 1);
                }
            }
            _ => {}
        }
        kept.push(character);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn remarks_and_surplus_commas_are_read_over() {
        let value = parse("{ // a\n \"a\": \"x // y, }\", /* b */ \"b\": [1, 2,],\n}").unwrap();
        assert_eq!(value["a"], "x // y, }");
        assert_eq!(value["b"][1], 2);
        assert!(parse("{ /* ").is_err() && parse("{\"a\\").is_err());
    }

    #[test]
    fn what_is_wrong_stays_on_its_line() {
        let error = parse("{\n/* a\nb */ // c\n\"a\": [1,\n],\n b }").unwrap_err();
        assert_eq!(error.line(), 6);
    }
}
