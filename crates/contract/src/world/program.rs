//! The little language of what a fake container does.
//!
//! | command | what happens |
//! | --- | --- |
//! | `echo words` | writes a line; with `>&2` to standard error |
//! | `sleep 1.5` | waits so many seconds |
//! | `listen 8080`, `listen $PORT` | accepts connections from then on |
//! | `listen 8080 loopback` | accepts them on the loopback address only |
//! | `answer 500` | answers every HTTP request with this status from then on; 200 before |
//! | `hang` | accepts connections and never answers from then on |
//! | `exit 3` | ends with this code; at the end of the program, 0 |
//! | `oom` | is killed for its memory |
//! | `wait` | runs until it is stopped |
//! | `refuse words` | the engine cannot even start it, and says the words |
//!
//! `$PORT` and other variables are looked up in the container's environment. Anything else is `not found`: a line on
//! standard error and the exit code 127.

use std::{collections::BTreeMap, time::Duration};

use domain::{SecretText, logs::LogLevel};

/// What happens, and how long after the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) after: Duration,
    pub(super) what: Happening,
}

/// What can happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Happening {
    Line(LogLevel, String),
    Listen { port: u16, loopback: bool },
    Answer(u16),
    Hang,
    End { code: i64, out_of_memory: bool },
}

/// A program, laid out in time.
pub(super) struct Timeline {
    pub(super) events: Vec<Event>,
    pub(super) refused: Option<String>,
}

/// Lays a program out in time.
pub(super) fn read(program: &str, environment: &BTreeMap<String, SecretText>) -> Timeline {
    let mut timeline = Timeline {
        events: Vec::new(),
        refused: None,
    };
    let mut after = Duration::ZERO;
    for command in program.split(';').map(str::trim).filter(|command| !command.is_empty()) {
        let words: Vec<String> = command
            .split_whitespace()
            .map(|word| expand(word, environment))
            .collect();
        let mut happens = |what| timeline.events.push(Event { after, what });
        let arguments: Vec<&str> = words[1..].iter().map(String::as_str).collect();
        match (words[0].as_str(), arguments.as_slice()) {
            ("echo", [words @ .., ">&2"]) => happens(Happening::Line(LogLevel::Error, words.join(" "))),
            ("echo", words) => happens(Happening::Line(LogLevel::Info, words.join(" "))),
            ("sleep", [seconds]) => {
                after += Duration::try_from_secs_f64(seconds.parse().unwrap_or(0.0)).unwrap_or_default();
            }
            ("listen", [port, rest @ ..]) => happens(Happening::Listen {
                port: port.parse().unwrap_or(0),
                loopback: rest == ["loopback"],
            }),
            ("answer", [status]) => happens(Happening::Answer(status.parse().unwrap_or(500))),
            ("hang", []) => happens(Happening::Hang),
            ("wait", []) => return timeline,
            ("oom", []) => {
                happens(Happening::End {
                    code: 137,
                    out_of_memory: true,
                });
                return timeline;
            }
            ("exit", code) => {
                let code = code.first().and_then(|code| code.parse().ok()).unwrap_or(0);
                happens(Happening::End {
                    code,
                    out_of_memory: false,
                });
                return timeline;
            }
            ("refuse", words) => {
                timeline.refused = Some(words.join(" "));
                return timeline;
            }
            (unknown, _) => {
                happens(Happening::Line(LogLevel::Error, format!("sh: {unknown}: not found")));
                happens(Happening::End {
                    code: 127,
                    out_of_memory: false,
                });
                return timeline;
            }
        }
    }
    let end = Happening::End {
        code: 0,
        out_of_memory: false,
    };
    timeline.events.push(Event { after, what: end });
    timeline
}

fn expand(word: &str, environment: &BTreeMap<String, SecretText>) -> String {
    match word.strip_prefix('$') {
        Some(key) => environment
            .get(key)
            .map_or_else(String::new, |value| value.expose().to_owned()),
        None => word.to_owned(),
    }
}
