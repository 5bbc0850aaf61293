//! Values of one scalar each, read from a [`Field`]. What is wrong is noted, and reading goes on elsewhere.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use qseed_secrets::{MAX_SECRET_BYTES, SecretRef};

use crate::quantity::{self, Wrong};
use crate::report::{Reading, shown};
use crate::section::Field;
use crate::suggest::closest;
use crate::yaml::Style;

/// The most characters of a name.
const MAX_NAME: usize = 64;

impl Field<'_> {
    /// A whole number in `range`, which `help` spells out.
    pub(crate) fn number<N: TryFrom<u64>>(
        self,
        range: RangeInclusive<u64>,
        help: &str,
    ) -> Reading<N> {
        self.quantity(quantity::number, "is not a whole number", range, help)
    }

    /// A time in `range`, whose ends `span` spells out.
    pub(crate) fn duration(self, range: RangeInclusive<u64>, span: &str) -> Reading<Duration> {
        let help = format!("write {span}, such as 10, 10s or 5m; the units are s, m, h and d");
        let seconds = self.quantity(quantity::seconds, "is not a time", range, &help);
        seconds.map(Duration::from_secs)
    }

    /// An amount of bytes in `range`, whose ends `span` spells out.
    pub(crate) fn bytes<N: TryFrom<u64>>(
        self,
        range: RangeInclusive<u64>,
        span: &str,
    ) -> Reading<N> {
        let help =
            format!("write {span}, such as 4096 or 4KiB; the units are KiB, MiB, GiB and TiB");
        self.quantity(quantity::bytes, "is not an amount of bytes", range, &help)
    }

    fn quantity<N: TryFrom<u64>>(
        self,
        read: fn(&str) -> Result<u64, Wrong>,
        not_of_the_form: &str,
        range: RangeInclusive<u64>,
        help: &str,
    ) -> Reading<N> {
        let why = match read(self.text()?) {
            Ok(number) if range.contains(&number) => match N::try_from(number) {
                Ok(number) => return Ok(number),
                Err(_) => "is out of range",
            },
            Ok(_) | Err(Wrong::TooLarge) => "is out of range",
            Err(Wrong::LeadingZero) => "has a leading zero, which may mean octal",
            Err(Wrong::Form) => not_of_the_form,
        };
        self.refuse(why, help)
    }

    /// One of a few words.
    pub(crate) fn choice<T: Copy>(self, words: &[(&'static str, T)]) -> Reading<T> {
        let text = self.text()?;
        if let Some((_, chosen)) = words.iter().find(|(word, _)| *word == text) {
            return Ok(*chosen);
        }
        let words: Vec<&'static str> = words.iter().map(|(word, _)| *word).collect();
        let help = match closest(text, &words) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("write {}", words.join(" or ")),
        };
        self.refuse("is not known", &help)
    }

    /// `true` or `false`.
    pub(crate) fn boolean(self) -> Reading<bool> {
        match self.text()? {
            "true" | "True" | "TRUE" => Ok(true),
            "false" | "False" | "FALSE" => Ok(false),
            _ => self.refuse("is neither true nor false", "write true or false"),
        }
    }

    /// A file's or folder's path. A relative one counts from the configuration's folder.
    pub(crate) fn path(self) -> Reading<PathBuf> {
        Ok(self.findings.folder.join(self.path_as_written()?))
    }

    /// A module's path. A name without a folder is not relative to the file: the system looks for
    /// it where its libraries are.
    pub(crate) fn module(self) -> Reading<PathBuf> {
        let path = self.path_as_written()?;
        if path.parent() == Some(Path::new("")) {
            return Ok(path);
        }
        Ok(self.findings.folder.join(path))
    }

    pub(crate) fn path_as_written(self) -> Reading<PathBuf> {
        let text = self.text()?;
        self.not_null("write a path, or leave an optional key out")?;
        if text.contains('\0') {
            return self.refuse_unshown("a path cannot hold a NUL character", None);
        }
        Ok(PathBuf::from(text))
    }

    /// A name of 1 to 64 visible characters, as metrics, commands and logs show it.
    pub(crate) fn name(self) -> Reading<String> {
        let text = self.text()?;
        self.not_null("write quotes if that is the name itself")?;
        if text.chars().count() > MAX_NAME {
            return self.refuse("is too long", "a name has 1 to 64 characters");
        }
        if text.starts_with('-') {
            let help = "on a command line it would look like an option";
            return self.refuse("begins with a hyphen", help);
        }
        let is_visible = |c: char| !c.is_whitespace() && !c.is_control() && !is_invisible(c);
        if !text.chars().all(is_visible) {
            let help = "a name has visible characters only, no blanks";
            return self.refuse("is not a name", help);
        }
        Ok(text.to_owned())
    }

    /// A secret or a reference to one. No fault shows it.
    pub(crate) fn secret(self) -> Reading<SecretRef> {
        self.text()?;
        let (text, style) = self.scalar()?;
        // The line end that closes a YAML block is no part of a PIN.
        let text = match style {
            Style::Block => text.strip_suffix('\n').unwrap_or(text),
            Style::Plain | Style::Quoted => text,
        };
        if text.is_empty() {
            return self.refuse_unshown("no value", None);
        }
        self.not_null("write quotes if that is the secret itself")?;
        if text.len() > MAX_SECRET_BYTES {
            return self.refuse_unshown("longer than 64 KiB", None);
        }
        let secret = match SecretRef::parse(text) {
            Ok(secret) => secret,
            Err(why) => {
                let help = "a literal that begins like a reference belongs in a file";
                return self.refuse_unshown(&format!("not a reference: {why}"), Some(help));
            }
        };
        // A PIN that is really a path would cost the token a try.
        if secret.is_literal() && text.starts_with('/') && !text.contains('\n') {
            let message = format!(
                "`{}` looks like a path but is used as the secret itself; write `file:` before a path",
                self.key
            );
            self.findings.warn(self.node.place, message);
        }
        Ok(secret.relative_to(&self.findings.folder))
    }

    /// Refuses what YAML takes for no value.
    fn not_null(self, help: &str) -> Reading<()> {
        let (text, style) = self.scalar()?;
        if style == Style::Plain && matches!(text, "~" | "null" | "Null" | "NULL") {
            let why = format!("`{text}` without quotes means no value");
            return self.refuse_unshown(&why, Some(help));
        }
        Ok(())
    }

    /// Notes that the value is wrong, and shows it.
    pub(crate) fn refuse<T>(self, why: &str, help: &str) -> Reading<T> {
        let (text, _) = self.scalar()?;
        self.refuse_unshown(&format!("`{}` {why}", shown(text)), Some(help))
    }

    /// Notes that the value is wrong without showing it, for it may hold a secret.
    pub(crate) fn refuse_unshown<T>(self, why: &str, help: Option<&str>) -> Reading<T> {
        let (place, message) = (self.node.place, format!("`{}`: {why}", self.key));
        Err(match help {
            Some(help) => self.findings.fault_with_help(place, message, help),
            None => self.findings.fault(place, message),
        })
    }
}

/// Characters that take no room or turn the text around them: two names that look alike must not
/// be two names.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff0}'..='\u{ffff}' | '\u{e0000}'..='\u{e0fff}')
}
