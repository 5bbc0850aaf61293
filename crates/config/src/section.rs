//! Mappings of the tree, read by their known keys. Each fault is noted, and reading goes on
//! elsewhere.

use crate::report::{Findings, Noted, Place, Reading};
use crate::suggest::closest;
use crate::yaml::{Entry, Kind, Node, Style};

/// A mapping whose keys are known. Unknown ones are noted when it is opened.
pub(crate) struct Section<'a> {
    /// Where it begins.
    pub(crate) place: Place,
    pub(crate) findings: &'a Findings,
    entries: &'a [Entry],
    /// Keys that a misspelt one probably meant, or that are excused: no fault says that they are
    /// missing.
    meant: Vec<(&'static str, Noted)>,
}

/// A key that is there, with its value.
#[derive(Clone, Copy)]
pub(crate) struct Field<'a> {
    pub(crate) key: &'static str,
    /// The key's place.
    pub(crate) place: Place,
    pub(crate) node: &'a Node,
    pub(crate) findings: &'a Findings,
}

impl<'a> Section<'a> {
    /// Opens `node`, which must be a mapping with no keys but `known`.
    pub(crate) fn open(
        node: &'a Node,
        what: &str,
        known: &[&'static str],
        findings: &'a Findings,
    ) -> Reading<Self> {
        Self::open_suggesting(node, what, known, known, findings)
    }

    /// Opens `node` like [`Section::open`]; a misspelt key is taken for one of `suggested` only.
    pub(crate) fn open_suggesting(
        node: &'a Node,
        what: &str,
        known: &[&'static str],
        suggested: &[&'static str],
        findings: &'a Findings,
    ) -> Reading<Self> {
        match &node.kind {
            Kind::Map(entries) => {
                let mut section = Self {
                    place: node.place,
                    findings,
                    entries,
                    meant: Vec::new(),
                };
                section.refuse_unknown(what, known, suggested);
                Ok(section)
            }
            Kind::Refused(noted) => Err(*noted),
            Kind::Scalar { .. } | Kind::List(_) => Err(findings.fault_with_help(
                node.place,
                format!("{what} must be a mapping of keys and values"),
                listed(known),
            )),
        }
    }

    /// A mapping without keys, for a section that is absent.
    pub(crate) fn absent(findings: &'a Findings) -> Self {
        Self {
            place: Place::START,
            findings,
            entries: &[],
            meant: Vec::new(),
        }
    }

    fn refuse_unknown(&mut self, what: &str, known: &[&'static str], suggested: &[&'static str]) {
        for entry in self.entries {
            let Entry { key, place, .. } = entry;
            if known.contains(&key.as_str()) {
                continue;
            }
            if self.findings.is_full() {
                self.findings.omit();
                continue;
            }
            let message = format!("unknown {} in {what}", entry.named());
            if let Some(meant) = closest(key, suggested) {
                let help = format!("did you mean `{meant}`?");
                let noted = self.findings.fault_with_help(*place, message, help);
                self.meant.push((meant, noted));
            } else {
                let help = listed(known);
                self.findings.fault_with_help(*place, message, help);
            }
        }
    }

    /// The key's field, where it is there.
    pub(crate) fn get(&self, key: &'static str) -> Option<Field<'a>> {
        let mut entries = self.entries.iter();
        let entry = entries.find(|entry| entry.key.as_str() == key)?;
        Some(Field {
            key,
            place: entry.place,
            node: &entry.value,
            findings: self.findings,
        })
    }

    /// The key's value, where it is there.
    pub(crate) fn optional<T>(
        &self,
        key: &'static str,
        read: impl FnOnce(Field<'a>) -> Reading<T>,
    ) -> Reading<Option<T>> {
        self.get(key).map(read).transpose()
    }

    /// The key's value, else `default`.
    pub(crate) fn or<T>(
        &self,
        key: &'static str,
        default: T,
        read: impl FnOnce(Field<'a>) -> Reading<T>,
    ) -> Reading<T> {
        self.get(key).map_or(Ok(default), read)
    }

    /// The key's value, which must be there.
    pub(crate) fn require<T>(
        &self,
        key: &'static str,
        help: &str,
        read: impl FnOnce(Field<'a>) -> Reading<T>,
    ) -> Reading<T> {
        let field = self.get(key).ok_or_else(|| self.missing(key, help));
        field.and_then(read)
    }

    /// Notes that the key is missing, unless a misspelling of it is there.
    pub(crate) fn missing(&self, key: &'static str, help: &str) -> Noted {
        self.misspelt(key).unwrap_or_else(|| {
            let message = format!("`{key}` is missing");
            self.findings.fault_with_help(self.place, message, help)
        })
    }

    /// Makes it no fault that `keys` are missing, for a reason that has been noted.
    pub(crate) fn excuse(&mut self, keys: &[&'static str], noted: Noted) {
        self.meant.extend(keys.iter().map(|key| (*key, noted)));
    }

    /// Where the key is, or the section where it is not.
    pub(crate) fn place_of(&self, key: &'static str) -> Place {
        self.get(key).map_or(self.place, |field| field.place)
    }

    /// The fault of a misspelt key that probably meant this one.
    pub(crate) fn misspelt(&self, key: &'static str) -> Option<Noted> {
        let mut meant = self.meant.iter();
        meant.find_map(|(meant, noted)| (*meant == key).then_some(*noted))
    }

    /// Those of `keys` that are there.
    pub(crate) fn present(&self, keys: &[&'static str]) -> impl Iterator<Item = Field<'a>> {
        keys.iter().filter_map(|key| self.get(key))
    }

    /// Notes that two settings contradict each other, at the place of `key`.
    pub(crate) fn contradiction(&self, key: &'static str, message: &str, help: &str) -> Noted {
        let place = self.place_of(key);
        self.findings.fault_with_help(place, message, help)
    }
}

impl<'a> Field<'a> {
    /// The value as written, which must not be empty.
    pub(crate) fn text(self) -> Reading<&'a str> {
        let (text, style) = self.scalar()?;
        if !text.is_empty() {
            return Ok(text);
        }
        let message = format!("`{}` has no value", self.key);
        Err(if style == Style::Plain {
            let help = "write one, or leave an optional key out; a value that begins with `#` needs quotes";
            self.findings.fault_with_help(self.place, message, help)
        } else {
            self.findings.fault(self.place, message)
        })
    }

    /// The value as written and how it was written.
    pub(crate) fn scalar(self) -> Reading<(&'a str, Style)> {
        match &self.node.kind {
            Kind::Scalar { text, style } => Ok((text.as_str(), *style)),
            Kind::Refused(noted) => Err(*noted),
            Kind::List(_) | Kind::Map(_) => {
                let message = format!("`{}` must be one value, not a list or a mapping", self.key);
                let help = "a value that begins with `{` or `[` needs quotes";
                Err(self
                    .findings
                    .fault_with_help(self.node.place, message, help))
            }
        }
    }

    /// The value's items, each of them read; it must be a list.
    pub(crate) fn list<T>(self, read: impl FnMut(&'a Node) -> Reading<T>) -> Reading<Vec<T>> {
        match &self.node.kind {
            Kind::List(items) => all(items.iter().map(read)),
            Kind::Refused(noted) => Err(*noted),
            Kind::Scalar { .. } | Kind::Map(_) => {
                let message = format!("`{}` must be a list", self.key);
                let help = "begin each item with `- `";
                Err(self.findings.fault_with_help(self.place, message, help))
            }
        }
    }

    /// The value's items, at least one.
    pub(crate) fn filled_list<T>(
        self,
        help: &str,
        read: impl FnMut(&'a Node) -> Reading<T>,
    ) -> Reading<Vec<T>> {
        let items = self.list(read)?;
        if items.is_empty() {
            let message = format!("`{}` is empty", self.key);
            return Err(self.findings.fault_with_help(self.place, message, help));
        }
        Ok(items)
    }

    /// The value's entries, each of them read; it must be a mapping of any keys.
    pub(crate) fn entries<T>(self, read: impl FnMut(&'a Entry) -> Reading<T>) -> Reading<Vec<T>> {
        match &self.node.kind {
            Kind::Map(entries) => all(entries.iter().map(read)),
            Kind::Refused(noted) => Err(*noted),
            Kind::Scalar { .. } | Kind::List(_) => {
                let message = format!("`{}` must be a mapping of names and values", self.key);
                Err(self.findings.fault(self.place, message))
            }
        }
    }

    /// Whether the value is a mapping with this key.
    pub(crate) fn holds(self, key: &str) -> bool {
        self.node.holds(key)
    }

    /// The value's section.
    pub(crate) fn section(self, known: &[&'static str]) -> Reading<Section<'a>> {
        Section::open(self.node, &format!("`{}`", self.key), known, self.findings)
    }
}

/// All that were read, after each of them was: a fault in one hides none in the next.
fn all<T>(readings: impl Iterator<Item = Reading<T>>) -> Reading<Vec<T>> {
    let readings: Vec<_> = readings.collect();
    readings.into_iter().collect()
}

/// The keys, where they fit into a line.
fn listed(known: &[&'static str]) -> String {
    const MOST: usize = 12;
    if known.len() > MOST {
        return "`sources` and `partitions` are its main keys, or those of the flat form"
            .to_owned();
    }
    format!("its keys are {}", known.join(", "))
}
