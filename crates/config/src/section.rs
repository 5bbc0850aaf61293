//! Mappings of the tree, read by their known keys.

use crate::report::{Findings, Noted, Place, Reading};
use crate::suggest::closest;
use crate::yaml::{Entry, Kind, Node, Style};

/// A mapping whose keys are known. Unknown ones are noted when it is opened.
pub(crate) struct Section<'tree> {
    /// Where it begins.
    pub(crate) place: Place,
    entries: &'tree [Entry],
    /// Keys that a misspelt one probably meant, or that are excused: nobody needs to hear that they are missing.
    meant: Vec<(&'static str, Noted)>,
}

/// A key that is there, with its value.
#[derive(Clone, Copy)]
pub(crate) struct Field<'tree> {
    pub(crate) key: &'static str,
    /// The key's place.
    pub(crate) place: Place,
    pub(crate) node: &'tree Node,
}

impl<'tree> Section<'tree> {
    /// Opens `node`, which must be a mapping with no keys but `known`.
    pub(crate) fn open(
        node: &'tree Node,
        what: &str,
        known: &[&'static str],
        findings: &mut Findings,
    ) -> Reading<Self> {
        Self::open_suggesting(node, what, known, known, findings)
    }

    /// Opens `node` like [`Section::open`]; a misspelt key is taken for one of `suggested` only.
    pub(crate) fn open_suggesting(
        node: &'tree Node,
        what: &str,
        known: &[&'static str],
        suggested: &[&'static str],
        findings: &mut Findings,
    ) -> Reading<Self> {
        match &node.kind {
            Kind::Map(entries) => {
                let mut section = Self {
                    place: node.place,
                    entries,
                    meant: Vec::new(),
                };
                section.refuse_unknown(what, known, suggested, findings);
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
    pub(crate) fn absent() -> Self {
        Self {
            place: Place::START,
            entries: &[],
            meant: Vec::new(),
        }
    }

    fn refuse_unknown(
        &mut self,
        what: &str,
        known: &[&'static str],
        suggested: &[&'static str],
        findings: &mut Findings,
    ) {
        for entry in self.entries {
            let Entry { key, place, .. } = entry;
            if known.contains(&key.as_str()) {
                continue;
            }
            if findings.is_full() {
                findings.omit();
                continue;
            }
            let message = format!("unknown {} in {what}", entry.named());
            if let Some(meant) = closest(key, suggested) {
                let help = format!("did you mean `{meant}`?");
                let noted = findings.fault_with_help(*place, message, help);
                self.meant.push((meant, noted));
            } else {
                findings.fault_with_help(*place, message, listed(known));
            }
        }
    }

    /// The key's field, where it is there.
    pub(crate) fn get(&self, key: &'static str) -> Option<Field<'tree>> {
        let entry = self
            .entries
            .iter()
            .find(|entry| entry.key.as_str() == key)?;
        Some(Field {
            key,
            place: entry.place,
            node: &entry.value,
        })
    }

    /// The key's field, which must be there.
    pub(crate) fn require(
        &self,
        key: &'static str,
        help: &str,
        findings: &mut Findings,
    ) -> Reading<Field<'tree>> {
        self.get(key)
            .ok_or_else(|| self.missing(key, help, findings))
    }

    /// Notes that the key is missing, unless a misspelling of it is there.
    pub(crate) fn missing(&self, key: &'static str, help: &str, findings: &mut Findings) -> Noted {
        self.misspelt(key).unwrap_or_else(|| {
            findings.fault_with_help(self.place, format!("`{key}` is missing"), help)
        })
    }

    /// Lets `keys` be missing, for a reason that has been noted.
    pub(crate) fn excuse(&mut self, keys: &[&'static str], noted: Noted) {
        self.meant.extend(keys.iter().map(|key| (*key, noted)));
    }

    /// Where the key is, or the section where it is not.
    pub(crate) fn place_of(&self, key: &'static str) -> Place {
        self.get(key).map_or(self.place, |field| field.place)
    }

    /// The fault of a misspelt key that probably meant this one.
    pub(crate) fn misspelt(&self, key: &'static str) -> Option<Noted> {
        self.meant
            .iter()
            .find_map(|(meant, noted)| (*meant == key).then_some(*noted))
    }

    /// Those of `keys` that are there.
    pub(crate) fn present<'a>(
        &'a self,
        keys: &'a [&'static str],
    ) -> impl Iterator<Item = Field<'tree>> + 'a {
        keys.iter().filter_map(|key| self.get(key))
    }
}

impl<'tree> Field<'tree> {
    /// The value as written, which must not be empty.
    pub(crate) fn text(&self, findings: &mut Findings) -> Reading<&'tree str> {
        let (text, style) = self.scalar(findings)?;
        if !text.is_empty() {
            return Ok(text);
        }
        let message = format!("`{}` has no value", self.key);
        Err(if style == Style::Plain {
            let help = "write one, or leave an optional key out; a value that begins with `#` needs quotes";
            findings.fault_with_help(self.place, message, help)
        } else {
            findings.fault(self.place, message)
        })
    }

    /// The value as written and how it was written.
    pub(crate) fn scalar(&self, findings: &mut Findings) -> Reading<(&'tree str, Style)> {
        match &self.node.kind {
            Kind::Scalar { text, style } => Ok((text.as_str(), *style)),
            Kind::Refused(noted) => Err(*noted),
            Kind::List(_) | Kind::Map(_) => {
                let message = format!("`{}` must be one value, not a list or a mapping", self.key);
                let help = "a value that begins with `{` or `[` needs quotes";
                Err(findings.fault_with_help(self.node.place, message, help))
            }
        }
    }

    /// The value's items; it must be a list.
    pub(crate) fn list(&self, findings: &mut Findings) -> Reading<&'tree [Node]> {
        match &self.node.kind {
            Kind::List(items) => Ok(items),
            Kind::Refused(noted) => Err(*noted),
            Kind::Scalar { .. } | Kind::Map(_) => {
                let message = format!("`{}` must be a list", self.key);
                Err(findings.fault_with_help(self.place, message, "begin each item with `- `"))
            }
        }
    }

    /// The value's entries; it must be a mapping of any keys.
    pub(crate) fn entries(&self, findings: &mut Findings) -> Reading<&'tree [Entry]> {
        match &self.node.kind {
            Kind::Map(entries) => Ok(entries),
            Kind::Refused(noted) => Err(*noted),
            Kind::Scalar { .. } | Kind::List(_) => {
                let message = format!("`{}` must be a mapping of names and values", self.key);
                Err(findings.fault(self.place, message))
            }
        }
    }

    /// Whether the value is a mapping with this key.
    pub(crate) fn holds(&self, key: &str) -> bool {
        self.node.holds(key)
    }

    /// The value's section.
    pub(crate) fn section(
        &self,
        known: &[&'static str],
        findings: &mut Findings,
    ) -> Reading<Section<'tree>> {
        Section::open(self.node, &format!("`{}`", self.key), known, findings)
    }
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
