//! What a check found: a line each.

use std::fmt;

use serde_json::{Value, json};

use crate::exit::Code;
use crate::log::printable;

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

/// The configuration, a source, a module or a partition, and the verdicts on it.
#[derive(Debug)]
pub(super) struct Subject {
    /// The stable name of its kind.
    kind: &'static str,
    name: String,
    verdicts: Vec<Verdict>,
}

/// One line of the command's output.
#[derive(Debug)]
struct Verdict {
    /// The stable name of what was checked.
    check: &'static str,
    finding: Finding,
    text: String,
    fix: Option<String>,
}

impl Subject {
    pub(super) fn new(kind: &'static str, name: impl Into<String>) -> Self {
        Self {
            kind,
            name: name.into(),
            verdicts: Vec::new(),
        }
    }

    pub(super) fn ok(&mut self, check: &'static str, text: impl Into<String>) {
        self.add(check, Finding::Ok, text, "");
    }

    pub(super) fn warning(
        &mut self,
        check: &'static str,
        text: impl Into<String>,
        fix: impl Into<String>,
    ) {
        self.add(check, Finding::Warning, text, fix);
    }

    /// Something that is out of reach or refuses.
    pub(super) fn fault(
        &mut self,
        check: &'static str,
        text: impl Into<String>,
        fix: impl Into<String>,
    ) {
        self.fault_of(Code::Unavailable, check, text, fix);
    }

    pub(super) fn fault_of(
        &mut self,
        code: Code,
        check: &'static str,
        text: impl Into<String>,
        fix: impl Into<String>,
    ) {
        self.add(check, Finding::Fault(code), text, fix);
    }

    fn add(
        &mut self,
        check: &'static str,
        finding: Finding,
        text: impl Into<String>,
        fix: impl Into<String>,
    ) {
        self.verdicts.push(Verdict {
            check,
            finding,
            text: text.into(),
            fix: Some(fix.into()).filter(|fix| !fix.is_empty()),
        });
    }

    pub(super) fn findings(&self) -> impl Iterator<Item = Finding> {
        self.verdicts.iter().map(|verdict| verdict.finding)
    }

    pub(super) fn documents(&self) -> impl Iterator<Item = Value> {
        self.verdicts.iter().map(|verdict| {
            json!({
                "subject": { "kind": self.kind, "name": self.name },
                "check": verdict.check,
                "result": verdict.finding.name(),
                "text": verdict.text,
                "fix": verdict.fix,
            })
        })
    }

    /// What is wrong and what to do, without the subject: for the configuration's faults, which
    /// name their place themselves.
    pub(super) fn complaints(&self) -> String {
        let complaint = |verdict: &Verdict| match &verdict.fix {
            Some(fix) => format!("{}; {fix}", verdict.text),
            None => verdict.text.clone(),
        };
        let all: Vec<_> = self.verdicts.iter().map(complaint).collect();
        all.join("\n")
    }
}

/// A line a verdict: `warning  partition issuing-ca: …; fix: …`
impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for verdict in &self.verdicts {
            write!(f, "{:<8} {}", verdict.finding.name(), self.kind)?;
            if self.kind != "configuration" {
                write!(f, " {}", printable(&self.name))?;
            }
            write!(f, ": {}", printable(&verdict.text))?;
            if let Some(fix) = &verdict.fix {
                write!(f, "; fix: {}", printable(fix))?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Subject;

    #[test]
    fn a_verdict_is_one_line_that_no_terminal_obeys() {
        let mut partition = Subject::new("partition", "ca");
        partition.warning("token", "label \x1b[2J\nx", "look");
        assert_eq!(
            partition.to_string(),
            "warning  partition ca: label \\u{1b}[2J\\nx; fix: look\n"
        );
        let document = partition.documents().next().expect("a verdict");
        assert_eq!(document["subject"]["kind"], "partition");
    }

    #[test]
    fn a_good_verdict_needs_no_fix() {
        let mut configuration = Subject::new("configuration", "/etc/x.yml");
        configuration.ok("syntax", "2 sources");
        assert_eq!(
            configuration.to_string(),
            "ok       configuration: 2 sources\n"
        );
        let document = configuration.documents().next().expect("a verdict");
        assert!(document["fix"].is_null());
    }
}
