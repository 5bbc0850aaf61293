//! Any bytes as a line of the ledger: it is refused, or writing it gives a line that says the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use qseed_ledger::record::{Head, Record};

fuzz_target!(|bytes: &[u8]| {
    let Ok(record) = Record::parse(bytes) else {
        return;
    };
    let head = Head::parse(bytes).expect("a record has a head");
    assert_eq!((head.seq, head.prev), (record.seq, record.prev));
    assert_eq!(head.event, record.body.event());
    let line = record.line();
    assert!(!line.contains('\n'));
    assert_eq!(Record::parse(line.as_bytes()).expect("a record"), record);
});
