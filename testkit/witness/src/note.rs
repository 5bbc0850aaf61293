//! Signed notes and checkpoints, as far as a witness reads them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::merkle::Hash;

/// A signature line.
pub(crate) struct Signature {
    pub(crate) name: String,
    pub(crate) id: [u8; 4],
    pub(crate) bytes: Vec<u8>,
}

/// A note that holds a checkpoint.
pub(crate) struct Checkpoint {
    /// What is signed.
    pub(crate) text: String,
    pub(crate) origin: String,
    pub(crate) size: u64,
    pub(crate) root: Hash,
    pub(crate) signatures: Vec<Signature>,
}

/// A number as the specifications write it: no sign, no leading zero.
pub(crate) fn number(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

/// A hash in base64.
pub(crate) fn hash(text: &str) -> Option<Hash> {
    STANDARD.decode(text).ok()?.try_into().ok()
}

/// A signature line, without its newline.
fn signature(line: &str) -> Option<Signature> {
    let (name, bytes) = line.strip_prefix("\u{2014} ")?.split_once(' ')?;
    let bytes = STANDARD.decode(bytes).ok()?;
    let (id, bytes) = bytes.split_first_chunk()?;
    Some(Signature {
        name: name.to_owned(),
        id: *id,
        bytes: bytes.to_vec(),
    })
}

/// A signature line, with its newline.
pub(crate) fn line(name: &str, id: [u8; 4], bytes: &[u8]) -> String {
    let bytes = STANDARD.encode([&id[..], bytes].concat());
    format!("\u{2014} {name} {bytes}\n")
}

impl Checkpoint {
    pub(crate) fn parse(note: &str) -> Option<Self> {
        let end = note.rfind("\n\n")?;
        let (text, below) = (&note[..=end], note[end + 2..].strip_suffix('\n')?);
        let mut lines = text.split('\n');
        let origin = lines.next().filter(|origin| !origin.is_empty())?;
        let size = number(lines.next()?)?;
        let root = hash(lines.next()?)?;
        Some(Self {
            text: text.to_owned(),
            origin: origin.to_owned(),
            size,
            root,
            signatures: below.split('\n').map(signature).collect::<Option<_>>()?,
        })
    }
}
