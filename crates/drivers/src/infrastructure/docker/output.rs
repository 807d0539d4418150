//! From what the engine keeps of an instance's output to lines that are read exactly once.
//!
//! The engine's log is a file: the order of its records never changes, but their times may go backwards, because
//! standard output and standard error are stamped before they are written, and because clocks are set. A line's time
//! here is therefore the highest time up to it, which never decreases, and a cursor counts the lines of one such time.
//!
//! The engine leaves out records that are older than the time from which we ask. A record that is left out is older
//! than each one that is not, so it never decides what the highest time is: whatever of the file is read, the same line
//! gets the same time. What could be missed is a record that is [`MARGIN_SECONDS`] older than one before it; so far do
//! we reach back, which costs nothing that matters, as the engine reads the whole file in any case.

use domain::{
    logs::LogLevel,
    ports::infrastructure::{OutputCursor, OutputLine},
};

use super::time;

/// By how much a clock may be set back without a line being missed.
pub(super) const MARGIN_SECONDS: i64 = 3600;

/// How much of a line is kept: more than what is stored of it, so that the cut is seen there.
const KEPT_BYTES: usize = 4 * domain::logs::LINE_LIMIT_BYTES;

/// A line, and where reading goes on after it.
pub(super) type Numbered = (OutputLine, OutputCursor);

/// Reads records from the beginning of what the engine sends.
pub(super) struct OutputReader {
    from: OutputCursor,
    highest_ns: i64,
    lines_at_highest: u32,
    /// The time of the newest record; where it has none, that of the one before.
    latest_ns: i64,
    is_suspicious: bool,
    output: Stream,
    errors: Stream,
}

/// One of the two streams.
#[derive(Default)]
struct Stream {
    /// The time of its newest record.
    latest_ns: i64,
    unfinished: Vec<u8>,
    /// The line before.
    previous: Vec<u8>,
}

impl OutputReader {
    /// A reader that passes over what was read up to the cursor.
    pub(super) fn new(from: OutputCursor) -> Self {
        Self {
            from,
            highest_ns: 0,
            lines_at_highest: 0,
            latest_ns: 0,
            is_suspicious: false,
            output: Stream::default(),
            errors: Stream::default(),
        }
    }

    /// From which second on the engine is to be asked.
    pub(super) fn since_seconds(from: OutputCursor) -> i32 {
        let seconds = from.at_ns / 1_000_000_000 - MARGIN_SECONDS;
        i32::try_from(seconds.max(0)).unwrap_or(i32::MAX)
    }

    /// Takes one record: a time, a space, and a line with its newline, or a part of a long line without one.
    pub(super) fn record(&mut self, level: LogLevel, record: &[u8]) -> Option<Numbered> {
        let (at_ns, part) = split_time(record);
        self.latest_ns = at_ns.unwrap_or(self.latest_ns);
        let latest_ns = self.latest_ns;
        let stream = self.stream(level);
        let (went_back, stood_still) = (latest_ns < stream.latest_ns, latest_ns == stream.latest_ns);
        stream.latest_ns = latest_ns;
        let Some(end) = part.strip_suffix(b"\n") else {
            keep(&mut stream.unfinished, part);
            return None;
        };
        let mut line = std::mem::take(&mut stream.unfinished);
        keep(&mut line, end);
        // The engine stamps no two lines of a stream alike, unless its clock is a coarse one.
        let comes_again = went_back || stood_still && line == stream.previous;
        let numbered = self.number(level, &line);
        self.is_suspicious |= comes_again && numbered.is_some();
        self.stream(level).previous = line;
        numbered
    }

    /// Whether a line that was not read before is older than the one before it in the same stream, or the very same.
    /// Either a clock was set back, or the engine, which opens its files anew after it changed them, sends the beginning
    /// of a file twice to its followers: it is the very same when only one line of the file had been sent.
    pub(super) fn is_suspicious(&self) -> bool {
        self.is_suspicious
    }

    /// The parts of lines whose end never came: for when the instance has ended.
    pub(super) fn finish(&mut self) -> Vec<Numbered> {
        let mut lines = Vec::new();
        for level in [LogLevel::Info, LogLevel::Error] {
            let line = std::mem::take(&mut self.stream(level).unfinished);
            if !line.is_empty() {
                lines.extend(self.number(level, &line));
            }
        }
        lines
    }

    fn stream(&mut self, level: LogLevel) -> &mut Stream {
        match level {
            LogLevel::Error => &mut self.errors,
            _ => &mut self.output,
        }
    }

    fn number(&mut self, level: LogLevel, line: &[u8]) -> Option<Numbered> {
        if self.latest_ns > self.highest_ns {
            self.highest_ns = self.latest_ns;
            self.lines_at_highest = 0;
        }
        self.lines_at_highest = self.lines_at_highest.saturating_add(1);
        let cursor = OutputCursor {
            at_ns: self.highest_ns,
            lines_at_that_time: self.lines_at_highest,
        };
        let was_read = (cursor.at_ns, cursor.lines_at_that_time) <= (self.from.at_ns, self.from.lines_at_that_time);
        (!was_read).then(|| {
            let line = OutputLine {
                at_ns: cursor.at_ns,
                level,
                text: String::from_utf8_lossy(line).into_owned(),
            };
            (line, cursor)
        })
    }
}

fn split_time(record: &[u8]) -> (Option<i64>, &[u8]) {
    let Some(space) = record.iter().take(64).position(|byte| *byte == b' ') else {
        return (None, record);
    };
    let at_ns = std::str::from_utf8(&record[..space]).ok().and_then(time::nanoseconds);
    match at_ns {
        Some(at_ns) => (Some(at_ns), &record[space + 1..]),
        None => (None, record),
    }
}

fn keep(line: &mut Vec<u8>, part: &[u8]) {
    let room = KEPT_BYTES.saturating_sub(line.len());
    line.extend_from_slice(&part[..part.len().min(room)]);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers that look random and are the same in every run.
    struct Dice(u64);

    impl Dice {
        fn below(&mut self, limit: u64) -> u64 {
            self.0 = self
                .0
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 33) % limit
        }
    }

    #[derive(Clone)]
    struct Record {
        at_ns: i64,
        level: LogLevel,
        bytes: Vec<u8>,
    }

    /// 2023-11-14T00:00:00Z; the test stays within that day.
    const START_SECONDS: i64 = 1_699_920_000;

    fn stamped(at_ns: i64, text: &str) -> Vec<u8> {
        let second = at_ns / 1_000_000_000 - START_SECONDS;
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        let fraction = at_ns % 1_000_000_000;
        format!("2023-11-14T{hour:02}:{minute:02}:{second:02}.{fraction:09}Z {text}").into_bytes()
    }

    /// A log file: two streams, times that go backwards at times and repeat at others, long lines in parts.
    fn log_file(dice: &mut Dice) -> Vec<Record> {
        let mut records = Vec::new();
        let start = START_SECONDS * 1_000_000_000;
        let (mut clock, mut highest) = (start, start);
        for number in 0..dice.below(60) {
            match dice.below(8) {
                0 | 1 => {}
                2 => clock -= i64::try_from(dice.below(3_000_000_000_000)).unwrap(),
                3 => clock -= i64::try_from(dice.below(1000)).unwrap(),
                _ => clock += i64::try_from(dice.below(1_200_000_000_000)).unwrap(),
            }
            highest = highest.max(clock);
            clock = clock.max(start).max(highest - MARGIN_SECONDS * 1_000_000_000);
            let level = if dice.below(2) == 0 {
                LogLevel::Info
            } else {
                LogLevel::Error
            };
            for part in 0..dice.below(3) {
                let bytes = stamped(clock, &format!("part {part} of {number}, "));
                records.push(Record {
                    at_ns: clock,
                    level,
                    bytes,
                });
            }
            let bytes = stamped(clock, &format!("line {number}\n"));
            records.push(Record {
                at_ns: clock,
                level,
                bytes,
            });
        }
        records
    }

    /// What the engine sends: it leaves out what is older than asked.
    fn sent(file: &[Record], from: OutputCursor) -> impl Iterator<Item = &Record> {
        let since = i64::from(OutputReader::since_seconds(from)) * 1_000_000_000;
        file.iter().filter(move |record| record.at_ns >= since)
    }

    #[test]
    fn whatever_breaks_nothing_is_lost_and_nothing_comes_twice() {
        let mut dice = Dice(42);
        for _ in 0..300 {
            let file = log_file(&mut dice);
            let mut reader = OutputReader::new(OutputCursor::default());
            let expected: Vec<OutputLine> = file
                .iter()
                .filter_map(|r| reader.record(r.level, &r.bytes))
                .map(|(line, _)| line)
                .collect();
            assert!(expected.is_sorted_by_key(|line| line.at_ns));
            for line in &expected {
                assert!(line.text.contains("line "), "{}", line.text);
            }

            let mut cursor = OutputCursor::default();
            let mut read = Vec::new();
            for _ in 0..4 {
                // The file grows while nobody reads, and the connection breaks anywhere.
                let there = usize::try_from(dice.below(file.len() as u64 + 1)).unwrap();
                let breaks_after = usize::try_from(dice.below(file.len() as u64 + 1)).unwrap();
                let mut reader = OutputReader::new(cursor);
                for record in sent(&file[..there], cursor).take(breaks_after) {
                    if let Some((line, next)) = reader.record(record.level, &record.bytes) {
                        read.push(line);
                        cursor = next;
                    }
                }
            }
            let mut reader = OutputReader::new(cursor);
            let rest = sent(&file, cursor).filter_map(|record| reader.record(record.level, &record.bytes));
            read.extend(rest.map(|(line, _)| line));
            assert_eq!(read, expected);
        }
    }

    #[test]
    fn a_long_line_is_put_together_although_the_other_stream_speaks_in_between() {
        let mut reader = OutputReader::new(OutputCursor::default());
        let at = START_SECONDS * 1_000_000_000;
        assert_eq!(reader.record(LogLevel::Info, &stamped(at, "first ")), None);
        let (line, _) = reader.record(LogLevel::Error, &stamped(at, "aside\n")).unwrap();
        assert_eq!((line.text.as_str(), line.level), ("aside", LogLevel::Error));
        let (line, cursor) = reader.record(LogLevel::Info, &stamped(at, "second\n")).unwrap();
        assert_eq!((line.text.as_str(), line.level), ("first second", LogLevel::Info));
        assert_eq!((cursor.at_ns, cursor.lines_at_that_time), (at, 2));
    }

    #[test]
    fn a_stream_that_goes_back_is_suspicious_until_it_was_read() {
        let start = START_SECONDS * 1_000_000_000;
        let read = |from: OutputCursor| {
            let mut reader = OutputReader::new(from);
            let mut cursor = from;
            for (level, at_ns) in [
                (LogLevel::Info, 5),
                (LogLevel::Error, 4),
                (LogLevel::Error, 6),
                (LogLevel::Info, 3),
            ] {
                let was_suspicious = reader.is_suspicious();
                let numbered = reader.record(level, &stamped(start + at_ns, "x\n"));
                cursor = numbered.map_or(cursor, |(_, cursor)| cursor);
                assert!(!was_suspicious);
            }
            (reader.is_suspicious(), cursor)
        };
        let (is_suspicious, cursor) = read(OutputCursor::default());
        assert!(is_suspicious);
        assert_eq!(read(cursor), (false, cursor));
    }

    #[test]
    fn a_file_that_is_begun_again_after_its_first_line_is_suspicious() {
        let start = START_SECONDS * 1_000_000_000;
        let read = |records: &[(LogLevel, i64, &str)]| {
            let mut reader = OutputReader::new(OutputCursor::default());
            for (level, at_ns, text) in records {
                reader.record(*level, &stamped(start + at_ns, text));
            }
            reader.is_suspicious()
        };
        let (info, error) = (LogLevel::Info, LogLevel::Error);
        assert!(read(&[(info, 1, "a\n"), (info, 2, "b\n"), (info, 2, "b\n")]));
        assert!(read(&[(info, 2, "b\n"), (error, 3, "c\n"), (info, 2, "b\n")]));
        // Lines that only look alike, and a long line in parts, which all have the time of the first.
        assert!(!read(&[(info, 1, "a\n"), (info, 2, "a\n"), (error, 2, "a\n")]));
        assert!(!read(&[
            (info, 1, "a\n"),
            (info, 2, "long "),
            (info, 2, "line\n"),
            (info, 2, "b\n")
        ]));
    }

    #[test]
    fn a_line_without_an_end_is_kept_when_the_instance_ends() {
        let mut reader = OutputReader::new(OutputCursor::default());
        let at = START_SECONDS * 1_000_000_000;
        assert_eq!(reader.record(LogLevel::Info, &stamped(at, "last words")), None);
        let lines: Vec<String> = reader.finish().into_iter().map(|(line, _)| line.text).collect();
        assert_eq!(lines, ["last words"]);
    }

    #[test]
    fn a_line_that_never_ends_takes_no_more_than_its_share() {
        let mut reader = OutputReader::new(OutputCursor::default());
        let at = START_SECONDS * 1_000_000_000;
        for _ in 0..100 {
            assert_eq!(
                reader.record(LogLevel::Info, &stamped(at, &"x".repeat(16 * 1024))),
                None
            );
        }
        assert!(reader.output.unfinished.len() <= KEPT_BYTES);
        let (line, _) = reader.record(LogLevel::Info, &stamped(at, "\n")).unwrap();
        assert_eq!(line.text.len(), KEPT_BYTES);
    }

    #[test]
    fn what_is_no_record_is_a_line_all_the_same() {
        let mut reader = OutputReader::new(OutputCursor::default());
        let (line, _) = reader.record(LogLevel::Info, b"\xff no time\n").unwrap();
        assert_eq!(line.text, "\u{fffd} no time");
        assert!(reader.record(LogLevel::Info, b"").is_none());
        assert!(reader.record(LogLevel::Info, b"\n").is_some());
    }
}
