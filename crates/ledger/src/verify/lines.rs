//! Cuts a stream of bytes into lines.

/// A line that began in one piece of the stream and goes on in the next.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// Its bytes so far, up to one more than the limit.
    begun: Vec<u8>,
}

/// A line without its newline.
pub(super) enum Line<'a> {
    Whole(&'a [u8]),
    TooLong,
}

impl<'a> Line<'a> {
    /// The line, if it is whole.
    pub(super) fn start(&self) -> &'a [u8] {
        match self {
            Self::Whole(line) => line,
            Self::TooLong => b"",
        }
    }
}

impl Lines {
    /// Calls `each` for each line that ends in `bytes`. Keeps `longest + 1` bytes at most, however
    /// long a line is.
    pub(super) fn feed(&mut self, mut bytes: &[u8], longest: usize, mut each: impl FnMut(Line)) {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            let (line, rest) = (&bytes[..end], &bytes[end + 1..]);
            bytes = rest;
            if self.begun.is_empty() {
                each(limited(line, longest));
            } else {
                self.keep(line, longest);
                each(limited(&self.begun, longest));
                self.begun.clear();
            }
        }
        self.keep(bytes, longest);
    }

    /// What comes after the last newline, up to one byte more than the limit; forgets it.
    pub(super) fn rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.begun)
    }

    fn keep(&mut self, bytes: &[u8], longest: usize) {
        let room = (longest + 1).saturating_sub(self.begun.len());
        self.begun
            .extend_from_slice(&bytes[..bytes.len().min(room)]);
    }
}

fn limited(line: &[u8], longest: usize) -> Line<'_> {
    if line.len() > longest {
        Line::TooLong
    } else {
        Line::Whole(line)
    }
}

#[cfg(test)]
mod tests {
    use super::{Line, Lines};

    #[test]
    fn lines_are_the_same_however_the_stream_is_cut() {
        let text = b"one\n\nthree and more\nfour\nrest";
        for piece in 1..text.len() {
            let (mut lines, mut found) = (Lines::default(), Vec::new());
            for bytes in text.chunks(piece) {
                lines.feed(bytes, 10, |line| {
                    found.push(match line {
                        Line::Whole(line) => String::from_utf8(line.to_vec()).expect("text"),
                        Line::TooLong => "too long".to_owned(),
                    });
                });
            }
            assert_eq!(found, ["one", "", "too long", "four"]);
            assert_eq!(lines.rest(), b"rest");
        }
    }
}
