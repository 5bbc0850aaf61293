//! From YAML's text to a tree of marked nodes, with everything that a configuration has no use for
//! refused: anchors, aliases, merge keys, tags, second documents, keys that are not words,
//! duplicate keys, deep nesting.
//!
//! Scalars stay as written: the setting decides whether `0012` is a number.
//! Texts are wiped when the tree is dropped. The parser's own look-ahead buffers are not; it
//! borrows most scalars from the source text, which is wiped as well.

use std::borrow::Cow;
use std::collections::HashMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Span, StrInput};
use zeroize::Zeroizing;

use crate::report::{Findings, Noted, Place, Reading, shown};

/// The deepest nesting that is read; the configuration's own is five.
const MAX_DEPTH: usize = 16;

/// One node of the tree.
pub(crate) struct Node {
    pub(crate) place: Place,
    pub(crate) kind: Kind,
}

impl Node {
    /// Whether it is a mapping with this key.
    pub(crate) fn holds(&self, key: &str) -> bool {
        match &self.kind {
            Kind::Map(entries) => entries.iter().any(|entry| entry.key.as_str() == key),
            Kind::Scalar { .. } | Kind::List(_) | Kind::Refused(_) => false,
        }
    }

    /// Whether nothing is written here.
    fn is_empty(&self) -> bool {
        matches!(&self.kind, Kind::Scalar { text, style: Style::Plain } if text.is_empty())
    }
}

/// What a node is.
pub(crate) enum Kind {
    Scalar {
        text: Zeroizing<String>,
        style: Style,
    },
    List(Vec<Node>),
    Map(Vec<Entry>),
    /// A fault has been noted here already.
    Refused(Noted),
}

/// How a scalar was written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    Plain,
    Quoted,
    /// After `|` or `>`.
    Block,
}

/// A key and its value.
pub(crate) struct Entry {
    pub(crate) key: Zeroizing<String>,
    pub(crate) place: Place,
    pub(crate) value: Node,
}

/// Reads the one document of `text`. What is wrong with its syntax ends the reading.
pub(crate) fn read(text: &str, findings: &Findings) -> Reading<Node> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut builder = Builder {
        parser: Parser::new_from_str(text),
        findings,
    };
    builder.document()
}

struct Builder<'text, 'findings> {
    parser: Parser<'text, StrInput<'text>>,
    findings: &'findings Findings,
}

impl<'text> Builder<'text, '_> {
    fn document(&mut self) -> Reading<Node> {
        let mut root = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => break,
                Event::DocumentStart(_) if root.is_some() => {
                    return Err(self.findings.fault_with_help(
                        place(span.start),
                        "a second document begins here",
                        "a configuration is one document: take this one and its `---` out",
                    ));
                }
                Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd => {}
                node => root = Some(self.node(node, span, 0)?),
            }
        }
        match root {
            Some(root) if !root.is_empty() => Ok(root),
            _ => Err(self.empty_file()),
        }
    }

    fn node(&mut self, event: Event<'text>, span: Span, depth: usize) -> Reading<Node> {
        let place = place(span.start);
        if depth == MAX_DEPTH {
            return Err(self.findings.fault_with_help(
                place,
                "too deeply nested",
                "no setting lies this deep",
            ));
        }
        let refused = self.refuse_extras(&event, place);
        let kind = match event {
            Event::Scalar(text, style, ..) => Kind::Scalar {
                text: owned(text),
                style: Style::from(style),
            },
            Event::SequenceStart(..) => Kind::List(self.list(depth)?),
            Event::MappingStart(..) => Kind::Map(self.map(depth)?),
            Event::Alias(_) => {
                Kind::Refused(self.findings.fault_with_help(place, ALIAS.0, ALIAS.1))
            }
            // The other events stand for no node.
            _ => Kind::Refused(self.findings.fault(place, "a value is missing")),
        };
        Ok(Node {
            place,
            kind: refused.map_or(kind, Kind::Refused),
        })
    }

    fn list(&mut self, depth: usize) -> Reading<Vec<Node>> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(items),
                (event, span) => items.push(self.node(event, span, depth + 1)?),
            }
        }
    }

    fn map(&mut self, depth: usize) -> Reading<Vec<Entry>> {
        let mut entries = Vec::new();
        loop {
            let key = match self.next()? {
                (Event::MappingEnd, _) => break,
                (event, span) => self.node(event, span, depth + 1)?,
            };
            let (event, span) = self.next()?;
            let value = self.node(event, span, depth + 1)?;
            let place = key.place;
            if let Some(key) = self.key_text(key) {
                entries.push(Entry { key, place, value });
            }
        }
        self.refuse_duplicates(&entries);
        Ok(entries)
    }

    fn refuse_duplicates(&mut self, entries: &[Entry]) {
        let mut lines = HashMap::with_capacity(entries.len());
        for entry in entries {
            let first = *lines.entry(entry.key.as_str()).or_insert(entry.place);
            if first != entry.place {
                let message = format!("the {} is already in line {}", entry.named(), first.line);
                self.findings
                    .fault_with_help(entry.place, message, "keep one of the two");
            }
        }
    }

    /// The word that a key is, or `None` after a fault.
    fn key_text(&mut self, key: Node) -> Option<Zeroizing<String>> {
        match key.kind {
            Kind::Scalar {
                text,
                style: Style::Plain,
            } if text.as_str() == "<<" => {
                self.findings.fault_with_help(
                    key.place,
                    "a merge key (`<<`) is not supported",
                    "write the keys out; what all partitions share belongs in `defaults`",
                );
                None
            }
            Kind::Scalar { text, .. } if !text.is_empty() => Some(text),
            Kind::Scalar { .. } => {
                self.findings
                    .fault(key.place, "a key is missing before the colon");
                None
            }
            Kind::List(_) | Kind::Map(_) => {
                self.findings.fault_with_help(
                    key.place,
                    "a key must be a word, not a list or a mapping",
                    "a value that begins with `{` or `[` needs quotes",
                );
                None
            }
            Kind::Refused(_) => None,
        }
    }

    /// Notes a tag or an anchor.
    fn refuse_extras(&mut self, event: &Event<'_>, place: Place) -> Option<Noted> {
        let fault = match event {
            Event::Scalar(_, _, _, Some(_))
            | Event::SequenceStart(_, Some(_))
            | Event::MappingStart(_, Some(_)) => TAG,
            Event::Scalar(_, _, anchor, _)
            | Event::SequenceStart(anchor, _)
            | Event::MappingStart(anchor, _)
                if *anchor != 0 =>
            {
                ANCHOR
            }
            _ => return None,
        };
        Some(self.findings.fault_with_help(place, fault.0, fault.1))
    }

    fn next(&mut self) -> Reading<(Event<'text>, Span)> {
        match self.parser.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => {
                let (message, help) = explained(&error);
                Err(self
                    .findings
                    .fault_with_help(place(*error.marker()), message, help))
            }
            None => Err(self.empty_file()),
        }
    }

    fn empty_file(&mut self) -> Noted {
        self.findings.fault_with_help(
            Place::START,
            "the file is empty",
            "its least is qrypt_token, cryptoki_lib, cryptoki_slot_id and cryptoki_user_pin",
        )
    }
}

impl From<ScalarStyle> for Style {
    fn from(style: ScalarStyle) -> Self {
        match style {
            ScalarStyle::Plain => Self::Plain,
            ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => Self::Quoted,
            ScalarStyle::Literal | ScalarStyle::Folded => Self::Block,
        }
    }
}

impl Entry {
    /// How a fault names the key. One that is no plain word may be a key and a secret run together
    /// (`{pin:1234}`), so no more of it is shown than its first word; one that nothing follows may
    /// be the rest of a secret with a comma in it (`{pin: 12,34}`).
    pub(crate) fn named(&self) -> String {
        let key = self.key.as_str();
        let word_end = key.find(|c: char| !(c.is_alphanumeric() || "_-".contains(c)));
        match word_end {
            _ if self.value.is_empty() => "key".to_owned(),
            None => format!("key `{}`", shown(key)),
            Some(0) => "key".to_owned(),
            Some(end) => format!("key that begins with `{}`", shown(&key[..end])),
        }
    }
}

const ALIAS: (&str, &str) = (
    "an alias (`*`) is not supported",
    "put a value that begins with `*` into single quotes",
);
const ANCHOR: (&str, &str) = (
    "an anchor (`&`) is not supported",
    "put a value that begins with `&` into single quotes",
);
const TAG: (&str, &str) = (
    "a tag (`!`) is not supported",
    "put a value that begins with `!` into single quotes",
);

/// The parser's complaint in an operator's words. Its own texts are fixed sentences but for one,
/// which would show a character of what may be a secret.
fn explained(error: &ScanError) -> (String, &'static str) {
    let fixed = |(message, help): (&str, &'static str)| (message.to_owned(), help);
    match error.info() {
        "while parsing node, found unknown anchor" => fixed(ALIAS),
        "the handle wasn't declared" => fixed(TAG),
        info if info.starts_with("while parsing a tag")
            || info.starts_with("while scanning a tag") =>
        {
            fixed(TAG)
        }
        info if info.starts_with("unexpected character") => fixed((
            "a value cannot begin with this character",
            "put the value into single quotes",
        )),
        info if info.starts_with("tab") || info.contains("a tab") => {
            fixed(("a tab cannot be used here", "YAML is indented with blanks"))
        }
        info if info.contains("quoted scalar") && info.contains("unexpected end") => fixed((
            "the quote that opens here is not closed",
            "a single quote within single quotes is doubled",
        )),
        info if info.starts_with("while parsing a flow") => fixed((
            "a `[` or `{` before this place is not closed",
            "close it; a value that begins with `[` or `{` needs quotes",
        )),
        info if info.contains("invalid Unicode character escape") => fixed((
            "this `\\u` escape is no character, or half of one (a surrogate)",
            "write the character itself, or `\\U` and its eight hexadecimal digits",
        )),
        info if info.contains("unprintable") => fixed((
            "a control character is not allowed",
            "take it out, or write it as an escape in double quotes",
        )),
        "did not find expected <document start>"
        | "while parsing a block mapping, did not find expected key" => fixed((
            "this line does not belong to the ones before it",
            "keys of one mapping are indented alike",
        )),
        "simple key expected" | "simple key expect ':'" => fixed((
            "a line without `key: value`, near here",
            "a colon and a blank stand between a key and its value",
        )),
        "mapping values are not allowed in this context" => fixed((
            "a colon with a blank behind it cannot be here",
            "check the indentation, and the line before for its own colon and blank; \
             a value with `: ` in it needs single quotes",
        )),
        info => (
            format!("not valid YAML: {info}"),
            "check indentation and quotes around here",
        ),
    }
}

fn place(marker: Marker) -> Place {
    Place {
        line: marker.line().max(1),
        column: marker.col() + 1,
    }
}

fn owned(text: Cow<'_, str>) -> Zeroizing<String> {
    Zeroizing::new(text.into_owned())
}
