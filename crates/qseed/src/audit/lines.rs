//! Reads lines of bounded length from files that may be compressed, and may be hostile.

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::MultiGzDecoder;
use qseed_ledger::record::MAX_ENTRY;

/// How a gzip file begins.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// What `source` delivers, unpacked if it is a gzip file.
pub(crate) fn unpacked(source: impl Read + 'static) -> io::Result<Box<dyn BufRead>> {
    let mut source = BufReader::with_capacity(1 << 16, source);
    // A pipe that delivers one byte first is none that gzip writes to.
    if source.fill_buf()?.starts_with(&GZIP) {
        let source = MultiGzDecoder::new(source);
        return Ok(Box::new(BufReader::with_capacity(1 << 16, source)));
    }
    Ok(Box::new(source))
}

/// A line, without its line end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line<'a> {
    /// One that has its line end.
    Whole(&'a [u8]),
    /// The last one, without a line end: it is being written, or its writer was cut off.
    Torn(&'a [u8]),
    /// One of more than [`MAX_ENTRY`] bytes, which are dropped.
    TooLong,
}

/// The lines of a file. It holds one of them at a time.
pub(crate) struct Lines {
    source: Box<dyn BufRead>,
    line: Vec<u8>,
}

impl Lines {
    /// The lines of `source`.
    pub(crate) fn new(source: Box<dyn BufRead>) -> Self {
        let line = Vec::new();
        Self { source, line }
    }

    /// The next line; none: the file has ended.
    pub(crate) fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        self.line.clear();
        let mut dropped = false;
        let ended = loop {
            let part = self.source.fill_buf()?;
            if part.is_empty() {
                break false;
            }
            let end = part.iter().position(|byte| *byte == b'\n');
            let taken = end.unwrap_or(part.len());
            if self.line.len() + taken > MAX_ENTRY {
                dropped = true;
                self.line.clear();
            } else if !dropped {
                self.line.extend_from_slice(&part[..taken]);
            }
            self.source.consume(taken + usize::from(end.is_some()));
            if end.is_some() {
                break true;
            }
        };
        if !ended && self.line.is_empty() && !dropped {
            return Ok(None);
        }
        Ok(Some(match (dropped, ended) {
            (true, _) => Line::TooLong,
            (false, true) => Line::Whole(&self.line),
            (false, false) => Line::Torn(&self.line),
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Read, Write};

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::{Line, Lines, MAX_ENTRY, unpacked};

    fn lines_of(source: impl Read + 'static) -> Lines {
        Lines::new(unpacked(source).expect("readable"))
    }

    fn read(source: impl Read + 'static) -> Vec<String> {
        let mut lines = lines_of(source);
        let mut all = Vec::new();
        while let Some(line) = lines.next().expect("readable") {
            all.push(match line {
                Line::Whole(line) => String::from_utf8_lossy(line).into_owned(),
                Line::Torn(line) => format!("torn {}", String::from_utf8_lossy(line)),
                Line::TooLong => "too long".to_owned(),
            });
        }
        all
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut packed = GzEncoder::new(Vec::new(), Compression::default());
        packed.write_all(bytes).expect("packed");
        packed.finish().expect("packed")
    }

    #[test]
    fn lines_come_one_by_one() {
        let lines = |text: &'static str| read(Cursor::new(text));
        assert!(lines("").is_empty());
        assert_eq!(lines("a\n\nb\n"), ["a", "", "b"]);
        assert_eq!(lines("a\nb"), ["a", "torn b"]);
    }

    #[test]
    fn a_gzip_file_of_several_members_is_unpacked() {
        let mut packed = gzip(b"a\nb");
        packed.extend(gzip(b"c\n"));
        assert_eq!(read(Cursor::new(packed)), ["a", "bc"]);
        let cut = gzip(&[b'x'; 1000])[..20].to_vec();
        assert!(lines_of(Cursor::new(cut)).next().is_err());
    }

    #[test]
    fn a_line_of_any_length_takes_no_more_room_than_the_longest() {
        let longest = vec![b'x'; MAX_ENTRY];
        let mut text = longest.clone();
        text.push(b'\n');
        assert_eq!(read(Cursor::new(text))[0].len(), MAX_ENTRY);
        let long = std::io::repeat(b'x').take(1 << 28);
        let lines = read(long.chain(Cursor::new("\nb\n")));
        assert_eq!(lines, ["too long", "b"]);
        let mut lines = lines_of(std::io::repeat(b'x').take(1 << 28));
        assert_eq!(lines.next().expect("readable"), Some(Line::TooLong));
        assert!(lines.line.capacity() <= 2 * MAX_ENTRY);
    }
}
