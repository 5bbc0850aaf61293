//! Signed notes: a text with signatures (<https://c2sp.org/signed-note>).

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::Error;

/// The longest note that is read, in bytes: 16 signatures with ML-DSA are 55 kB.
const LONGEST: usize = 256 * 1024;

/// Most signatures of one note; 16 must be possible.
const MOST_SIGNATURES: usize = 64;

/// A text and the signatures below it, which may be false.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<Signature>,
}

impl Note {
    /// A note with this text, which ends in a newline.
    pub fn new(text: String, signatures: Vec<Signature>) -> Result<Self, Error> {
        if !text.ends_with('\n') {
            return Err(Error::Note("its text does not end in a newline"));
        }
        if text.contains(|letter: char| letter < ' ' && letter != '\n') {
            return Err(Error::Note("it has control characters"));
        }
        if signatures.is_empty() {
            return Err(Error::Note("it has no signature"));
        }
        if signatures.len() > MOST_SIGNATURES {
            return Err(Error::Note("it has too many signatures"));
        }
        Ok(Self { text, signatures })
    }

    /// What is signed, with the newline at its end.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The signatures, in their order.
    #[must_use]
    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }

    /// Adds a signature, for example a witness' one.
    pub fn add(&mut self, signature: Signature) -> Result<(), Error> {
        if self.signatures.len() >= MOST_SIGNATURES {
            return Err(Error::Note("it has too many signatures"));
        }
        self.signatures.push(signature);
        Ok(())
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        for signature in &self.signatures {
            writeln!(f, "{signature}")?;
        }
        Ok(())
    }
}

impl FromStr for Note {
    type Err = Error;

    fn from_str(note: &str) -> Result<Self, Error> {
        if note.len() > LONGEST {
            return Err(Error::Note("it is too long"));
        }
        let end = note
            .rfind("\n\n")
            .ok_or(Error::Note("no empty line ends its text"))?;
        let (text, below) = (&note[..=end], &note[end + 2..]);
        let below = below
            .strip_suffix('\n')
            .ok_or(Error::Note("no newline ends its last signature"))?;
        let signatures = below.split('\n').take(MOST_SIGNATURES + 1);
        let signatures: Result<_, _> = signatures.map(Signature::from_str).collect();
        Self::new(text.to_owned(), signatures?)
    }
}

/// One signature line of a note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    name: String,
    key_id: [u8; 4],
    bytes: Vec<u8>,
}

impl Signature {
    /// A signature of the key with this name and identifier; the signature type says what the bytes are.
    pub fn new(name: String, key_id: [u8; 4], bytes: Vec<u8>) -> Result<Self, Error> {
        check_name(&name)?;
        Ok(Self {
            name,
            key_id,
            bytes,
        })
    }

    /// The name of the key.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The identifier of the key.
    #[must_use]
    pub fn key_id(&self) -> [u8; 4] {
        self.key_id
    }

    /// What the key made, without the identifier.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// The line without its newline.
impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = STANDARD.encode([&self.key_id[..], &self.bytes].concat());
        write!(f, "\u{2014} {} {bytes}", self.name)
    }
}

/// Reads the line without its newline.
impl FromStr for Signature {
    type Err = Error;

    fn from_str(line: &str) -> Result<Self, Error> {
        let rest = line.strip_prefix("\u{2014} ").ok_or(Error::Signature(
            "it does not begin with a dash and a blank",
        ))?;
        let (name, encoded) = rest
            .split_once(' ')
            .ok_or(Error::Signature("it has a name or a signature only"))?;
        let bytes = STANDARD
            .decode(encoded)
            .map_err(|_| Error::Signature("it is not in base64"))?;
        let (key_id, bytes) = bytes
            .split_first_chunk()
            .ok_or(Error::Signature("it has no key identifier"))?;
        Self::new(name.to_owned(), *key_id, bytes.to_owned())
    }
}

/// What may name a key. Longer names cannot be cosigned with ML-DSA.
pub(crate) fn check_name(name: &str) -> Result<(), Error> {
    let is_forbidden = |letter: char| letter.is_whitespace() || letter < ' ' || letter == '+';
    if name.is_empty() || name.len() > 255 || name.contains(is_forbidden) {
        return Err(Error::Name);
    }
    Ok(())
}
