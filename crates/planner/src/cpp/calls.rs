//! Calls such as `add_executable(shop main.cc)` and `executable('shop', 'main.c')`: all that is read of the files of CMake and Meson,
//! which are programs that are not run here.

/// More calls of a file, or arguments of one, than this are not looked at.
const MOST_CALLS: usize = 2_000;
const MOST_ARGUMENTS: usize = 500;

/// A function's name in lower case, and its arguments without quotes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) name: String,
    pub(super) arguments: Vec<String>,
}

impl Call {
    pub(super) fn first(&self) -> &str {
        self.arguments.first().map_or("", String::as_str)
    }
}

/// The calls of a file in their order. Those inside of another's arguments are read as words of it.
pub(super) fn calls(text: &str) -> Vec<Call> {
    let mut found: Vec<Call> = Vec::new();
    let mut open: Option<Call> = None;
    let (mut word, mut depth) = (String::new(), 0_usize);
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '#' => {
                // CMake's longer remarks are `#[[ … ]]`.
                let is_long = letters.peek() == Some(&'[');
                let mut before = ' ';
                for skipped in letters.by_ref() {
                    if (is_long && before == ']' && skipped == ']') || (!is_long && skipped == '\n') {
                        break;
                    }
                    before = skipped;
                }
                end(&mut word, open.as_mut());
            }
            '"' | '\'' => {
                while let Some(inside) = letters.next().filter(|inside| *inside != letter) {
                    match inside {
                        '\\' => word.extend(letters.next()),
                        other => word.push(other),
                    }
                }
                // An empty text is an argument too.
                if let Some(call) = open.as_mut().filter(|call| call.arguments.len() < MOST_ARGUMENTS) {
                    call.arguments.push(std::mem::take(&mut word));
                }
                word.clear();
            }
            '(' if open.is_none() => {
                open = Some(Call {
                    name: std::mem::take(&mut word).to_lowercase(),
                    arguments: Vec::new(),
                });
                depth = 0;
            }
            '(' => {
                end(&mut word, open.as_mut());
                depth += 1;
            }
            ')' if depth > 0 => depth -= 1,
            ')' => {
                end(&mut word, open.as_mut());
                found.extend(open.take().filter(|_| found.len() < MOST_CALLS));
            }
            letter if letter.is_whitespace() || ",;[]".contains(letter) => {
                // `add_executable (shop …)` is a call as well.
                let is_name = open.is_none() && letters.peek().is_some_and(|next| *next == ' ' || *next == '(');
                if !is_name {
                    end(&mut word, open.as_mut());
                }
            }
            letter => word.push(letter),
        }
    }
    found
}

/// A word ends, and belongs to the call that is open.
fn end(word: &mut String, open: Option<&mut Call>) {
    let word = std::mem::take(word);
    if let Some(call) = open.filter(|call| !word.is_empty() && call.arguments.len() < MOST_ARGUMENTS) {
        call.arguments.push(word);
    }
}

#[cfg(test)]
mod tests {
    use super::calls;

    #[test]
    fn calls_are_read_in_every_notation() {
        let text = "# a(b)\n#[[ c(d)\n e(f) ]]\nProject(shop LANGUAGES CXX)\nif(X AND (Y))\nadd_executable (\n  shop # why\n  \
                    \"main file.cc\" ${SOURCES};b.cc)\nx = executable('a\\'b', ['m.c'], dependencies: dependency('zlib'))\n";
        let read: Vec<String> = calls(text)
            .iter()
            .map(|call| format!("{}:{}", call.name, call.arguments.join("|")))
            .collect();
        assert_eq!(
            read,
            [
                "project:shop|LANGUAGES|CXX",
                "if:X|AND|Y",
                "add_executable:shop|main file.cc|${SOURCES}|b.cc",
                "executable:a'b|m.c|dependencies:|dependency|zlib",
            ]
        );
        for text in ["(", ")", "a(", "a('", "#[[", "a((", "\\", "a(\"\\"] {
            assert!(calls(text).is_empty(), "{text}");
        }
    }
}
