//! The way through the records, one after the other.

mod notes;

use std::collections::VecDeque;
use std::sync::Arc;

use super::Given;
use super::finding::{Fault, Place};
use super::given::GivenCheckpoints;
use super::intents::Intents;
use super::lines::Line;
use super::report::{Doubt, Report};
use super::signatures::{Enough, Signatures};
use crate::record::{Began, Body, Head, MAX_ENTRY, RecordError, line_hash};
use crate::tree::{Frontier, Hash, leaf_hash};

/// How many roots are kept to compare with what witnesses cosigned: those of a week of minutes.
const ROOTS: usize = 10_000;

/// Where the verifier is, and what it knows of the records so far.
pub(super) struct Walk {
    here: Place,
    /// The rest of this file is of no use.
    skips: bool,
    /// A record whose number is too large: it stands too early, or others are missing before it.
    held: Option<Held>,
    /// The record before stood too late.
    disorder: bool,
    /// The next record's number; none: no record so far.
    next: Option<u64>,
    /// The hash of the line before; none: not known, or nothing can be compared with it.
    prev: Option<Hash>,
    /// The tree of the records so far; none: what came before the first one is unknown.
    tree: Option<Frontier>,
    /// The records before this one are those that were signed.
    sound: u64,
    /// A root was wrong since then, and so each one after it will be.
    unsound: bool,
    /// The sizes and roots of the last checkpoints.
    roots: VecDeque<(u64, Hash)>,
    given: GivenCheckpoints,
    signatures: Signatures,
    intents: Intents,
    report: Report,
}

impl Walk {
    pub(super) fn new(given: Given) -> Self {
        let mut report = Report::default();
        Self {
            here: Place::file(&Arc::from("")),
            skips: false,
            held: None,
            disorder: false,
            next: None,
            prev: None,
            tree: None,
            sound: 0,
            unsound: false,
            roots: VecDeque::new(),
            given: GivenCheckpoints::new(given.checkpoints, &mut report),
            signatures: Signatures::new(given.keys, given.witnesses),
            intents: Intents::default(),
            report,
        }
    }

    /// The next file begins; the one before ended with so many bytes that are no line.
    pub(super) fn file(&mut self, here: Place, torn: usize) {
        self.release();
        if torn > 0 {
            self.here = Place::file(&self.here.file);
            self.find(Fault::Cut);
        }
        self.report.files += 1;
        self.here = here;
        self.skips = false;
    }

    pub(super) fn line(&mut self, line: &Line) {
        self.here.line = Some(self.here.line.unwrap_or(0) + 1);
        self.here.seq = None;
        if self.skips {
            return;
        }
        let line = match line {
            Line::Whole(line) if line.len() <= MAX_ENTRY => line,
            _ => return self.unreadable(b"", Fault::TooLong),
        };
        match Head::parse(line) {
            Ok(head) => self.arrive(line, head),
            Err(error) => self.unreadable(line, Fault::Form(error.to_string())),
        }
    }

    pub(super) fn finish(mut self, torn: usize) -> Report {
        self.release();
        let mut report = std::mem::take(&mut self.report);
        report.torn = torn as u64;
        report.size = self.next.unwrap_or(0);
        if report.records == 0 {
            report.doubts.push(Doubt::Empty);
        }
        self.intents.end(&mut report);
        let tree = self.tree.as_ref().map_or(0, Frontier::size);
        self.given.finish(tree, &mut report);
        report.authenticated = self.signatures.authenticated();
        self.signatures.finish(Enough::EachKey, &mut report);
        report
    }

    /// The record after one that is held back shows whether that one stands too early.
    fn arrive(&mut self, line: &[u8], head: Head) {
        self.here.seq = Some(head.seq);
        if let Some(held) = &self.held
            && head.seq <= held.head.seq
        {
            let expected = self.next.unwrap_or(0);
            let finding = held.place.finding(Fault::OutOfOrder { expected });
            self.report.find(finding);
            self.held = None;
        }
        self.release();
        let too_large = self.next.is_some_and(|expected| head.seq > expected);
        // A file's first record says itself what is before it.
        if too_large && head.event != "continued" {
            self.held = Some(Held {
                place: self.here.clone(),
                line: line.to_vec(),
                head,
            });
        } else {
            self.record(line, &head);
        }
    }

    /// The record that is held back stands after a gap.
    fn release(&mut self) {
        if let Some(Held { place, line, head }) = self.held.take() {
            let here = std::mem::replace(&mut self.here, place);
            self.record(&line, &head);
            self.here = here;
        }
    }

    /// A line that is no record stands where one should be.
    fn unreadable(&mut self, line: &[u8], fault: Fault) {
        self.release();
        self.find(fault);
        if self.next.is_none() {
            self.find(Fault::NoStart);
        }
        self.next = Some(self.next.unwrap_or(0).saturating_add(1));
        self.pass(line);
        self.prev = None;
    }

    fn record(&mut self, line: &[u8], head: &Head) {
        if self.skips {
            return;
        }
        let body = Body::parse(&head.event, line).unwrap_or_else(|error| {
            self.find(Fault::Form(RecordError::from(error).to_string()));
            None
        });
        if self.is_of_another_ledger(body.as_ref()) {
            self.skips = true;
            return;
        }
        let begins = self.next.is_none();
        let order = self.order(head);
        if order == Order::Before {
            // It is no part of the ledger: what follows it is judged without it.
            self.skips = matches!(body, Some(Body::Continued(_)));
            return;
        }
        match &body {
            Some(Body::Began(began)) => self.began(began, begins),
            Some(Body::Continued(continued)) => self.continued(continued, order, begins),
            _ if begins => self.find(Fault::NoStart),
            _ => {}
        }
        self.report.count(&head.event);
        if let Some(body) = body {
            self.take(&body, head.seq);
        }
        self.pass(line);
    }

    /// Goes past a line: it is a leaf of the tree.
    fn pass(&mut self, line: &[u8]) {
        self.report.records += 1;
        self.prev = Some(line_hash(line));
        if let Some(tree) = &mut self.tree {
            tree.append(leaf_hash(line));
            self.given
                .compare(tree, &mut self.signatures, &mut self.report);
        }
    }

    /// Compares a record's number and `prev` with what should stand here.
    fn order(&mut self, head: &Head) -> Order {
        let order = match self.next {
            None => {
                self.report.first = head.seq;
                if head.seq == 0 && head.prev.is_some() {
                    self.find(Fault::Prev);
                }
                Order::Next
            }
            Some(expected) if head.seq == expected => {
                if self.prev.is_some() && head.prev != self.prev {
                    self.find(Fault::Prev);
                }
                Order::Next
            }
            Some(expected) if head.seq > expected => {
                self.find(Fault::Missing {
                    first: expected,
                    last: head.seq - 1,
                });
                Order::AfterGap
            }
            Some(expected) => {
                if self.disorder {
                    self.report.more_findings += 1;
                } else {
                    self.find(Fault::OutOfOrder { expected });
                }
                self.disorder = true;
                return Order::Before;
            }
        };
        self.disorder = false;
        self.next = Some(head.seq.saturating_add(1));
        order
    }

    /// Whether a record that says which ledger it is of says another one than those before.
    fn is_of_another_ledger(&mut self, body: Option<&Body>) -> bool {
        let found = match body {
            Some(Body::Began(began)) => &began.origin,
            Some(Body::Continued(continued)) => &continued.origin,
            _ => return false,
        };
        let Some(expected) = self.report.origin.clone() else {
            return false;
        };
        let is_another = *found != expected;
        if is_another {
            let found = found.clone();
            self.find(Fault::Origin { found, expected });
        }
        is_another
    }

    fn began(&mut self, began: &Began, begins: bool) {
        if !begins || self.here.seq != Some(0) {
            return self.find(Fault::BeginsAgain);
        }
        self.know(&began.origin, &began.keys);
        self.report.previous.clone_from(&began.previous);
        self.enter(Frontier::new());
    }

    /// Goes on with this tree, whose records before are not known.
    fn enter(&mut self, tree: Frontier) {
        self.given.start(tree.size(), &mut self.report);
        self.given
            .compare(&tree, &mut self.signatures, &mut self.report);
        self.tree = Some(tree);
    }

    /// Remembers which ledger it is, and the keys that it says are its own.
    fn know(&mut self, origin: &str, keys: &[String]) {
        self.report.origin = Some(origin.to_owned());
        for key in keys {
            match key.parse() {
                Ok(key) => {
                    if self.signatures.announce(&key) {
                        self.report.announced.push(key);
                    }
                }
                Err(error) => self.find(Fault::Form(error.to_string())),
            }
        }
    }

    /// What a record tells beyond its place.
    fn take(&mut self, body: &Body, seq: u64) {
        self.report.add(body);
        match body {
            Body::Checkpoint(checkpoint) => self.checkpoint(checkpoint),
            Body::Witnessed(witnessed) => self.witnessed(witnessed),
            Body::Started(_) => self.intents.end(&mut self.report),
            Body::Intent(intent) => self.intents.intend(seq, &intent.0, &mut self.report),
            Body::Seed(seed) => self.intents.done(&seed.0),
            Body::Refused(refused) => self.intents.done(&refused.injection),
            _ => {}
        }
    }

    fn find(&mut self, fault: Fault) {
        let finding = self.here.finding(fault);
        self.report.find(finding);
    }
}

/// A record that waits for the next one.
struct Held {
    place: Place,
    line: Vec<u8>,
    head: Head,
}

/// Where a record stands, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    /// Where it should, or it is the first.
    Next,
    /// After others that are not here.
    AfterGap,
    /// After others that should come later.
    Before,
}
