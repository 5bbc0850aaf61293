//! `qseed audit proof`: the proof of one record.

use std::ops::ControlFlow;

use qseed_ledger::proof::Proof;

use super::ledger_file;
use super::proving::Provable;
use crate::cli::ProofArgs;
use crate::exit::{Code, Failure};
use crate::print::print;

/// Prints the proof of a record as a C2SP tlog-proof, with the record's line in it.
pub(crate) fn proof(args: &ProofArgs) -> Result<(), Failure> {
    let file = ledger_file(args.file.as_deref(), &args.config)?;
    let mut ledger = Provable::read(&file)?;
    let (first, signed) = (ledger.first, ledger.checkpoint.size);
    if args.seq < first {
        let text = format!(
            "record {} is not here: the records before {first} were pruned, or not copied",
            args.seq
        );
        return Err(Failure::new(Code::Usage, text));
    }
    if args.seq >= signed {
        let text = format!(
            "the newest checkpoint signs the records 0 to {}, and not {}; the daemon signs one a \
             minute, so try again then",
            signed.saturating_sub(1),
            args.seq
        );
        return Err(Failure::new(Code::TryLater, text));
    }
    let mut found = None;
    let chosen = |seq, line: &[u8]| (seq == args.seq).then(|| line.to_vec());
    ledger.prove(chosen, |index, line, hashes| {
        found = Some((index, line, hashes));
        Ok(ControlFlow::Break(()))
    })?;
    let Some((index, line, hashes)) = found else {
        return Err(Failure::new(
            Code::TryLater,
            "the ledger changed while it was read; run the command again",
        ));
    };
    let proof = Proof {
        line: Some(line),
        index,
        hashes,
        note: ledger.note,
    };
    print(&proof.to_string())
}
