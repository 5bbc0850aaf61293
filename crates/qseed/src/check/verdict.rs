//! What a check found: a line each.

use std::fmt;

use serde_json::{Value, json};

use crate::exit::Code;
use crate::log::printable;

/// One thing that is checked: the configuration, a source, a module or a partition.
#[derive(Clone, Debug)]
pub(super) struct Subject {
    /// The stable name of its kind.
    kind: &'static str,
    name: String,
}

/// What a check found, the gravest last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Finding {
    Ok,
    /// It works, and not as well as it should.
    Warning,
    /// It does not work. The code is what the command exits with.
    Fault(Code),
}

impl Finding {
    /// The stable name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Fault(_) => "fault",
        }
    }
}

/// One line of the command's output.
#[derive(Clone, Debug)]
pub(super) struct Verdict {
    subject: Subject,
    /// The stable name of what was checked of it.
    check: &'static str,
    pub(super) finding: Finding,
    text: String,
    fix: Option<String>,
}

impl Subject {
    pub(super) fn new(kind: &'static str, name: impl Into<String>) -> Self {
        let name = name.into();
        Self { kind, name }
    }

    pub(super) fn ok(&self, check: &'static str, text: impl Into<String>) -> Verdict {
        self.verdict(check, Finding::Ok, text.into(), None)
    }

    pub(super) fn warning(
        &self,
        check: &'static str,
        text: impl Into<String>,
        fix: impl Into<String>,
    ) -> Verdict {
        self.verdict(check, Finding::Warning, text.into(), Some(fix.into()))
    }

    /// Something that is out of reach or refuses.
    pub(super) fn fault(
        &self,
        check: &'static str,
        text: impl Into<String>,
        fix: impl Into<String>,
    ) -> Verdict {
        self.fault_of(Code::Unavailable, check, text, fix)
    }

    pub(super) fn fault_of(
        &self,
        code: Code,
        check: &'static str,
        text: impl Into<String>,
        fix: impl Into<String>,
    ) -> Verdict {
        self.verdict(check, Finding::Fault(code), text.into(), Some(fix.into()))
    }

    fn verdict(
        &self,
        check: &'static str,
        finding: Finding,
        text: String,
        fix: Option<String>,
    ) -> Verdict {
        Verdict {
            subject: self.clone(),
            check,
            finding,
            text,
            fix: fix.filter(|fix| !fix.is_empty()),
        }
    }
}

impl Verdict {
    pub(super) fn is_fault(&self) -> bool {
        matches!(self.finding, Finding::Fault(_))
    }

    pub(super) fn document(&self) -> Value {
        json!({
            "subject": { "kind": self.subject.kind, "name": self.subject.name },
            "check": self.check,
            "result": self.finding.name(),
            "text": self.text,
            "fix": self.fix,
        })
    }

    /// What is wrong and what to do, without the subject: for the configuration's faults, which
    /// name their place themselves.
    pub(super) fn complaint(&self) -> String {
        match &self.fix {
            Some(fix) => format!("{}; {fix}", self.text),
            None => self.text.clone(),
        }
    }
}

/// `warning  partition issuing-ca: …; fix: …`
impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.subject.kind;
        write!(f, "{:<8} {kind}", self.finding.name())?;
        if kind != "configuration" {
            write!(f, " {}", printable(&self.subject.name))?;
        }
        write!(f, ": {}", printable(&self.text))?;
        match &self.fix {
            Some(fix) => write!(f, "; fix: {}", printable(fix)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Subject;

    #[test]
    fn a_verdict_is_one_line_that_no_terminal_obeys() {
        let partition = Subject::new("partition", "ca");
        let verdict = partition.warning("token", "label \x1b[2J\nx", "look");
        assert_eq!(
            verdict.to_string(),
            "warning  partition ca: label \\u{1b}[2J\\nx; fix: look"
        );
        assert_eq!(verdict.document()["subject"]["kind"], "partition");
    }

    #[test]
    fn what_is_well_needs_no_fix() {
        let verdict = Subject::new("configuration", "/etc/x.yml").ok("syntax", "2 sources");
        assert_eq!(verdict.to_string(), "ok       configuration: 2 sources");
        assert!(verdict.document()["fix"].is_null());
    }
}
