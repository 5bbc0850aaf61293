//! What a ledger sends to a witness, and what it answers (<https://c2sp.org/tlog-witness>).

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::Error;
use crate::key::VerifierKey;
use crate::note::{Note, Signature};
use crate::tree::Hash;

/// The longest answer that is read, in bytes: several keys' cosignatures with ML-DSA.
pub const LONGEST_ANSWER: usize = 64 * 1024;

/// The body of `add-checkpoint`: the size that the witness cosigned last, the proof from there, the
/// checkpoint. Without a proof the witness refuses unless that size is 0 or the checkpoint's own.
#[must_use]
pub fn submission(old: u64, proof: &[Hash], checkpoint: &Note) -> String {
    let mut body = format!("old {old}\n");
    for hash in proof {
        // Writing to a text cannot fail.
        let _ = writeln!(body, "{}", STANDARD.encode(hash));
    }
    let _ = write!(body, "\n{checkpoint}");
    body
}

/// The signature of the witness with this key in its answer to a checkpoint, and its time in seconds
/// since 1970. Signatures of other keys are ignored.
pub fn cosignature(
    answer: &[u8],
    checkpoint: &Note,
    key: &VerifierKey,
) -> Result<(Signature, u64), Error> {
    let lines = std::str::from_utf8(answer)
        .ok()
        .and_then(|answer| answer.strip_suffix('\n'))
        .ok_or(Error::Witness("it is no lines of text"))?;
    let mut found = None;
    for line in lines.split('\n') {
        let signature: Signature = line.parse()?;
        if !key.is_named_by(&signature) {
            continue;
        }
        let time = key.verify(checkpoint.text(), &signature)?;
        let time = time.filter(|time| *time > 0);
        let time = time.ok_or(Error::Witness("its signature has no time"))?;
        found.get_or_insert((signature, time));
    }
    found.ok_or(Error::Unsigned)
}

/// The size that the witness cosigned last, from its answer with status 409.
pub fn known_size(answer: &[u8]) -> Result<u64, Error> {
    let size = std::str::from_utf8(answer).ok().and_then(|answer| {
        let line = answer.strip_suffix('\n')?;
        let size: u64 = line.parse().ok()?;
        (size.to_string() == line).then_some(size)
    });
    size.ok_or(Error::Witness("it is not the size of a tree"))
}

#[cfg(test)]
mod tests {
    use super::{cosignature, known_size, submission};
    use crate::Error;
    use crate::key::VerifierKey;
    use crate::note::Note;

    /// The example of <https://c2sp.org/tlog-cosignature>, whose witness is not known by its key.
    const NOTE: &str = "example.com/behind-the-sofa\n20852163\n\
        CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n\
        \u{2014} example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n";

    fn note() -> Note {
        NOTE.parse().expect("a note")
    }

    #[test]
    fn a_submission_is_written_as_the_specification_says() {
        assert_eq!(submission(0, &[], &note()), format!("old 0\n\n{NOTE}"));
        let proof = [[0; 32], [255; 32]];
        let body = submission(20_852_014, &proof, &note());
        let (zeros, ones) = ("A".repeat(43), format!("{}8", "/".repeat(42)));
        let head = format!("old 20852014\n{zeros}=\n{ones}=\n\n");
        assert_eq!(body, format!("{head}{NOTE}"));
    }

    #[test]
    fn sizes_are_read_strictly() {
        assert_eq!(known_size(b"20852014\n"), Ok(20_852_014));
        assert_eq!(known_size(b"0\n"), Ok(0));
        for wrong in [
            "",
            "\n",
            "7",
            "07\n",
            "+7\n",
            "-1\n",
            "7\n\n",
            " 7\n",
            "7\r\n",
            "<html>\n",
            "99999999999999999999\n",
        ] {
            assert!(known_size(wrong.as_bytes()).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn answers_without_the_witness_own_signature_are_refused() {
        let key = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
        let key: VerifierKey = key.parse().expect("a key");
        let read = |answer: &[u8]| cosignature(answer, &note(), &key);
        for wrong in [
            &b""[..],
            b"\n",
            b"\xff\n",
            b"no signature\n",
            b"<html></html>",
        ] {
            let failed = read(wrong).expect_err("no signature line");
            assert!(matches!(failed, Error::Witness(_) | Error::Signature(_)));
        }
        let others = NOTE.split_once("\n\n").expect("a note").1;
        assert_eq!(read(others.as_bytes()), Err(Error::Unsigned));
        let forged = "\u{2014} example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";
        assert!(matches!(read(forged.as_bytes()), Err(Error::Forged { .. })));
    }
}
