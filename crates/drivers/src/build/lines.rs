//! Whole lines out of pieces of output that are cut anywhere.

use domain::logs::LINE_LIMIT_BYTES;

/// Puts lines together. What a program overwrites by a carriage return, as progress bars do, is forgotten.
#[derive(Debug, Default)]
pub(super) struct Lines {
    line: Vec<u8>,
    returned: bool,
    /// Kept beyond the limit of a line, so that what is hidden there is hidden before the line is cut.
    spare: usize,
}

impl Lines {
    /// Keeps `spare` bytes more than a line may have.
    pub(super) fn with_spare(spare: usize) -> Self {
        Self {
            spare,
            ..Self::default()
        }
    }

    /// Takes a piece; hands on each line that it ends.
    pub(super) fn take(&mut self, piece: &[u8], mut each: impl FnMut(String)) {
        for &byte in piece {
            match byte {
                b'\n' => {
                    self.returned = false;
                    each(self.text());
                }
                b'\r' => self.returned = true,
                other => {
                    if std::mem::take(&mut self.returned) {
                        self.line.clear();
                    }
                    if self.line.len() <= LINE_LIMIT_BYTES + self.spare {
                        self.line.push(other);
                    }
                }
            }
        }
    }

    /// Hands on what is left at the end.
    pub(super) fn end(&mut self, mut each: impl FnMut(String)) {
        if !self.line.is_empty() {
            each(self.text());
        }
    }

    fn text(&mut self) -> String {
        let text = String::from_utf8_lossy(&self.line).into_owned();
        self.line.clear();
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(pieces: &[&[u8]]) -> Vec<String> {
        let mut lines = Lines::default();
        let mut whole = Vec::new();
        for piece in pieces {
            lines.take(piece, |line| whole.push(line));
        }
        lines.end(|line| whole.push(line));
        whole
    }

    #[test]
    fn a_line_and_a_character_may_be_cut_anywhere() {
        let text = "first ✓\nsecönd\n\nlast".as_bytes();
        for cut in 0..text.len() {
            let (head, tail) = text.split_at(cut);
            assert_eq!(lines(&[head, tail]), ["first ✓", "secönd", "", "last"]);
        }
    }

    #[test]
    fn only_the_last_state_of_a_progress_bar_is_kept() {
        assert_eq!(lines(&[b"1%\r", b"50%\r", b"100%\r\n", b"done\r\n"]), ["100%", "done"]);
        assert_eq!(lines(&[b"1%\r100%"]), ["100%"]);
        assert_eq!(lines(&[b"kept\r"]), ["kept"]);
    }

    #[test]
    fn broken_text_and_endless_lines_do_no_harm() {
        assert_eq!(lines(&[b"a\xffb\n"]), ["a\u{fffd}b"]);
        let endless = vec![b'x'; 1 << 20];
        assert!(lines(&[&endless])[0].len() <= LINE_LIMIT_BYTES + 1);
    }
}
