//! Values of one scalar each, read from a [`Field`]. What is wrong is noted, and reading goes on elsewhere.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use qseed_secrets::{MAX_SECRET_BYTES, SecretRef};

use crate::quantity::{self, Wrong};
use crate::report::{Findings, Reading, shown};
use crate::section::Field;
use crate::suggest::closest;
use crate::yaml::Style;

/// The most characters of a name.
const MAX_NAME: usize = 64;

impl Field<'_> {
    /// A whole number in `range`, which `help` spells out.
    pub(crate) fn number<N: TryFrom<u64>>(
        &self,
        range: RangeInclusive<u64>,
        help: &str,
        findings: &mut Findings,
    ) -> Reading<N> {
        let text = self.text(findings)?;
        match quantity::number(text) {
            Ok(number) if range.contains(&number) => N::try_from(number)
                .or_else(|_| self.refuse(text, "is out of range", help, findings)),
            Ok(_) => self.refuse(text, "is out of range", help, findings),
            Err(wrong) => self.refuse_form(text, wrong, "is not a whole number", help, findings),
        }
    }

    /// A time in `range`, whose ends `span` spells out.
    pub(crate) fn duration(
        &self,
        range: RangeInclusive<u64>,
        span: &str,
        findings: &mut Findings,
    ) -> Reading<Duration> {
        let text = self.text(findings)?;
        let help = format!("write {span}, such as 10, 10s, 5m, 1h or 1d");
        match quantity::duration(text) {
            Ok(time) if range.contains(&time.as_secs()) => Ok(time),
            Ok(_) => self.refuse(text, "is out of range", &help, findings),
            Err(wrong) => self.refuse_form(text, wrong, "is not a time", &help, findings),
        }
    }

    /// An amount of bytes in `range`, whose ends `span` spells out.
    pub(crate) fn bytes<N: TryFrom<u64>>(
        &self,
        range: RangeInclusive<u64>,
        span: &str,
        findings: &mut Findings,
    ) -> Reading<N> {
        let text = self.text(findings)?;
        let help = format!("write {span}, such as 4096, 4KiB, 100MiB or 1GiB");
        match quantity::bytes(text) {
            Ok(count) if range.contains(&count) => N::try_from(count)
                .or_else(|_| self.refuse(text, "is out of range", &help, findings)),
            Ok(_) => self.refuse(text, "is out of range", &help, findings),
            Err(wrong) => {
                self.refuse_form(text, wrong, "is not an amount of bytes", &help, findings)
            }
        }
    }

    /// One of a few words.
    pub(crate) fn choice<T: Copy>(
        &self,
        words: &[(&'static str, T)],
        findings: &mut Findings,
    ) -> Reading<T> {
        let text = self.text(findings)?;
        if let Some((_, chosen)) = words.iter().find(|(word, _)| *word == text) {
            return Ok(*chosen);
        }
        let words: Vec<&'static str> = words.iter().map(|(word, _)| *word).collect();
        let help = match closest(text, &words) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("write {}", words.join(" or ")),
        };
        self.refuse(text, "is not known", &help, findings)
    }

    /// `true` or `false`.
    pub(crate) fn boolean(&self, findings: &mut Findings) -> Reading<bool> {
        let text = self.text(findings)?;
        match text {
            "true" | "True" | "TRUE" => Ok(true),
            "false" | "False" | "FALSE" => Ok(false),
            _ => self.refuse(
                text,
                "is neither true nor false",
                "write true or false",
                findings,
            ),
        }
    }

    /// A file's or folder's path. A relative one counts from the configuration's folder.
    pub(crate) fn path(&self, findings: &mut Findings) -> Reading<PathBuf> {
        let path = self.path_as_written(findings)?;
        Ok(findings.folder.join(path))
    }

    pub(crate) fn module(&self, findings: &mut Findings) -> Reading<PathBuf> {
        let path = self.path_as_written(findings)?;
        Ok(findings.module(path))
    }

    pub(crate) fn path_as_written(&self, findings: &mut Findings) -> Reading<PathBuf> {
        let text = self.text(findings)?;
        if text.contains('\0') {
            return self.refuse_unshown("a path cannot hold a NUL character", None, findings);
        }
        Ok(PathBuf::from(text))
    }

    /// A name of 1 to 64 visible characters, as metrics, commands and logs show it.
    pub(crate) fn name(&self, findings: &mut Findings) -> Reading<String> {
        let text = self.text(findings)?;
        if text.chars().count() > MAX_NAME {
            return self.refuse(
                text,
                "is too long",
                "a name has 1 to 64 characters",
                findings,
            );
        }
        if text.starts_with('-') {
            let help = "on a command line it would look like an option";
            return self.refuse(text, "begins with a hyphen", help, findings);
        }
        if text
            .chars()
            .any(|c| c.is_whitespace() || c.is_control() || is_invisible(c))
        {
            let help = "a name has visible characters only, no blanks";
            return self.refuse(text, "is not a name", help, findings);
        }
        Ok(text.to_owned())
    }

    /// A secret or a reference to one. No fault shows it.
    pub(crate) fn secret(&self, findings: &mut Findings) -> Reading<SecretRef> {
        self.text(findings)?;
        let (text, style) = self.scalar(findings)?;
        // The line end that closes a YAML block is nobody's PIN.
        let text = match style {
            Style::Block => text.strip_suffix('\n').unwrap_or(text),
            Style::Plain | Style::Quoted => text,
        };
        if text.is_empty() {
            return self.refuse_unshown("no value", None, findings);
        }
        if style == Style::Plain && matches!(text, "~" | "null" | "Null" | "NULL") {
            let message = format!("`{}`: `{text}` without quotes means no value", self.key);
            let help = "write quotes if that is the secret itself";
            return Err(findings.fault_with_help(self.node.place, message, help));
        }
        if text.len() > MAX_SECRET_BYTES {
            return self.refuse_unshown("longer than 64 KiB", None, findings);
        }
        match SecretRef::parse(text) {
            Ok(secret) => {
                self.warn_of_paths(&secret, text, findings);
                Ok(secret.relative_to(&findings.folder))
            }
            Err(why) => {
                let help = "a literal that begins like a reference belongs into a file";
                self.refuse_unshown(&format!("not a reference: {why}"), Some(help), findings)
            }
        }
    }

    /// A PIN that is really a path would cost the token a try.
    fn warn_of_paths(&self, secret: &SecretRef, text: &str, findings: &mut Findings) {
        if secret.is_literal() && text.starts_with('/') && !text.contains('\n') {
            let message = format!(
                "`{}` looks like a path but is used as the secret itself; write `file:` before a path",
                self.key
            );
            findings.warn(self.node.place, message);
        }
    }

    fn refuse_form<T>(
        &self,
        text: &str,
        wrong: Wrong,
        form: &str,
        help: &str,
        findings: &mut Findings,
    ) -> Reading<T> {
        let why = match wrong {
            Wrong::Form => form,
            Wrong::LeadingZero => "has a leading zero, which may mean octal",
            Wrong::TooLarge => "is out of range",
        };
        self.refuse(text, why, help, findings)
    }

    /// Notes that the value is wrong, and shows it.
    pub(crate) fn refuse<T>(
        &self,
        text: &str,
        why: &str,
        help: &str,
        findings: &mut Findings,
    ) -> Reading<T> {
        let message = format!("`{}`: `{}` {why}", self.key, shown(text));
        Err(findings.fault_with_help(self.node.place, message, help))
    }

    /// Notes that the value is wrong without showing it, for it may hold a secret.
    pub(crate) fn refuse_unshown<T>(
        &self,
        why: &str,
        help: Option<&str>,
        findings: &mut Findings,
    ) -> Reading<T> {
        let message = format!("`{}`: {why}", self.key);
        Err(match help {
            Some(help) => findings.fault_with_help(self.node.place, message, help),
            None => findings.fault(self.node.place, message),
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
