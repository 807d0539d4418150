//! Several texts in one: a line `=== NAME` before each.

/// The texts with their names. The line end before the next name belongs to no text.
pub(crate) fn sections(input: &[u8]) -> Vec<(&str, &[u8])> {
    const MARK: &[u8] = b"=== ";
    let mut found: Vec<(&str, &[u8])> = Vec::new();
    let mut begin = None;
    let mut at = 0;
    for line in input.split_inclusive(|byte| *byte == b'\n') {
        if let Some(name) = line.strip_prefix(MARK) {
            end(&mut found, begin.map(|begin| &input[begin..at]));
            begin = std::str::from_utf8(name.trim_ascii_end()).ok().map(|name| {
                found.push((name, b""));
                at + line.len()
            });
        }
        at += line.len();
    }
    end(&mut found, begin.map(|begin| &input[begin..at]));
    found
}

fn end<'a>(found: &mut [(&str, &'a [u8])], text: Option<&'a [u8]>) {
    if let (Some((_, last)), Some(text)) = (found.last_mut(), text) {
        *last = text.strip_suffix(b"\n").unwrap_or(text);
    }
}
