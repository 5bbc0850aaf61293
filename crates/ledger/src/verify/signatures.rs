//! Which keys signed which notes.

use super::finding::{Fault, Finding, Place};
use super::report::{Doubt, Report, Signer, Trust, key_name};
use crate::Error;
use crate::checkpoint::Checkpoint;
use crate::key::{Algorithm, VerifierKey};
use crate::note::Note;

/// Most keys of a ledger's own that are read from it. It has two.
const MOST_ANNOUNCED: usize = 8;

/// The keys and what they signed so far.
#[derive(Debug)]
pub(super) struct Signatures {
    keys: Vec<Known>,
}

#[derive(Debug)]
struct Known {
    signer: Signer,
    /// The first note that it should have signed and did not, and the number of them.
    missed: Option<(Finding, u64)>,
}

/// What kind of note it is, and so whose signatures it must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A checkpoint of each minute: Ed25519.
    Regular,
    /// A checkpoint at a rotation: each of the ledger's keys.
    Strong,
    /// A checkpoint from elsewhere: any key that is known.
    Elsewhere,
}

/// A note that was read, whose signatures are checked next.
pub(super) struct Signed {
    note: Note,
    pub(super) checkpoint: Checkpoint,
}

impl Signed {
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let note: Note = text.parse()?;
        let checkpoint = note.text().parse()?;
        Ok(Self { note, checkpoint })
    }
}

impl Signatures {
    pub(super) fn new(given: Vec<VerifierKey>, witnesses: Vec<VerifierKey>) -> Self {
        let mut new = Self { keys: Vec::new() };
        for key in given {
            new.add(key, Trust::Given);
        }
        for key in witnesses {
            new.add(key, Trust::Witness);
        }
        new
    }

    /// A key that the ledger says is its own; whether it is taken.
    pub(super) fn announce(&mut self, key: &VerifierKey) -> bool {
        let announced = |known: &&Known| known.signer.trust == Trust::Announced;
        let room = self.keys.iter().filter(announced).count() < MOST_ANNOUNCED;
        if room {
            self.add(key.clone(), Trust::Announced);
        }
        room
    }

    fn add(&mut self, key: VerifierKey, trust: Trust) {
        if self.keys.iter().any(|known| known.signer.key == key) {
            return;
        }
        let signer = Signer {
            key,
            trust,
            notes: 0,
            size: 0,
            time: None,
        };
        self.keys.push(Known {
            signer,
            missed: None,
        });
    }

    /// Checks the signatures below a checkpoint of this ledger, whose root was found to be right.
    ///
    /// A note without the signature of a key that was given is a fault only if other notes have one,
    /// so it is remembered at this `place`.
    pub(super) fn check(
        &mut self,
        signed: &Signed,
        kind: Kind,
        place: &Place,
    ) -> Result<(), Fault> {
        let Signed { note, checkpoint } = signed;
        let (mut by_any, mut expected) = (false, false);
        for known in &mut self.keys {
            let is_own = known.signer.trust != Trust::Witness;
            if is_own && known.signer.key.name() != checkpoint.origin {
                continue;
            }
            if known.verify(note, checkpoint.size)? {
                by_any = true;
                continue;
            }
            let must_sign = is_own && kind.needs(known.signer.key.algorithm());
            expected |= must_sign;
            if must_sign && known.signer.trust == Trust::Given {
                known.miss(place);
            }
        }
        let lacks = !by_any && (expected || kind != Kind::Regular);
        if lacks {
            return Err(Fault::Note(Error::Unsigned));
        }
        Ok(())
    }

    /// Which tree is covered by a key that was given.
    pub(super) fn authenticated(&self) -> u64 {
        let given = |known: &&Known| known.signer.trust == Trust::Given;
        let sizes = self
            .keys
            .iter()
            .filter(given)
            .map(|known| known.signer.size);
        sizes.max().unwrap_or(0)
    }

    /// Says what each key signed, and what the given ones should have signed and did not.
    pub(super) fn finish(self, enough: Enough, report: &mut Report) {
        let origin = report.origin.clone().unwrap_or_default();
        let given = |known: &&Known| known.signer.trust == Trust::Given;
        if !self.keys.iter().any(|known| given(&known)) {
            report.doubts.push(Doubt::NoKey);
        }
        let any_of_this = self
            .keys
            .iter()
            .filter(given)
            .any(|known| known.signer.key.name() == origin);
        let signed = |known: &Known| given(&known) && known.signer.notes > 0;
        let each = enough == Enough::EachKey || !self.keys.iter().any(signed);
        for known in self.keys {
            known.judge(&origin, any_of_this, each, report);
        }
    }
}

/// Whose signatures are enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Enough {
    /// Each given key of the ledger must have signed something.
    EachKey,
    /// One of them.
    OneKey,
}

impl Kind {
    fn needs(self, algorithm: Algorithm) -> bool {
        match self {
            Self::Regular => algorithm == Algorithm::Ed25519,
            Self::Strong => true,
            Self::Elsewhere => false,
        }
    }
}

impl Known {
    /// Whether the key signed the note. A false signature in its name is a fault.
    fn verify(&mut self, note: &Note, size: u64) -> Result<bool, Fault> {
        let key = &self.signer.key;
        let mut found = false;
        for signature in note.signatures() {
            if key.is_named_by(signature) {
                let time = key.verify(note.text(), signature).map_err(Fault::Note)?;
                self.signer.time = self.signer.time.max(time);
                found = true;
            }
        }
        if found {
            self.signer.notes += 1;
            self.signer.size = self.signer.size.max(size);
        }
        Ok(found)
    }

    fn miss(&mut self, place: &Place) {
        let key = key_name(&self.signer.key);
        let (_, count) = self
            .missed
            .get_or_insert_with(|| (place.finding(Fault::Unsigned { key }), 0));
        *count += 1;
    }

    fn judge(self, origin: &str, any_of_this: bool, each: bool, report: &mut Report) {
        let Self { signer, missed } = self;
        match signer.trust {
            Trust::Given if signer.key.name() != origin => {
                if !any_of_this {
                    report.doubts.push(Doubt::AnotherLedger {
                        same_public_key: report
                            .announced
                            .iter()
                            .any(|key| key.public_key() == signer.key.public_key()),
                        key: signer.key.clone(),
                    });
                }
            }
            Trust::Given if signer.notes == 0 && each => {
                report.doubts.push(Doubt::SignedNothing(signer.key.clone()));
            }
            Trust::Witness if signer.notes == 0 => {
                report.doubts.push(Doubt::NotWitnessed(signer.key.clone()));
            }
            Trust::Given => {
                if let Some((finding, count)) = missed {
                    report.find(finding);
                    report.more_findings += count - 1;
                }
            }
            Trust::Witness | Trust::Announced => {}
        }
        report.signers.push(signer);
    }
}
