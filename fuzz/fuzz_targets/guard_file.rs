//! Any bytes as the PIN guard's file: nothing panics, and a file that lost nothing says the same when
//! it was rewritten.
#![no_main]

use libfuzzer_sys::fuzz_target;
use qseed_engine::guard::Contents;

fuzz_target!(|text: &[u8]| {
    let contents = Contents::of(text);
    let rewritten = Contents::of(contents.compact().as_bytes());
    assert_eq!(rewritten.records.lost(), contents.records.lost());
    assert_eq!(rewritten.records.last(), contents.records.last());
    for record in contents.records.iter() {
        let after = rewritten.records.standing(record.tag);
        assert_eq!(after, record.standing);
    }
    // What a process appends to it follows.
    if let (None, Some(record)) = (contents.records.lost(), contents.records.iter().next()) {
        let cleared = contents.records.cleared(record);
        let mut appended = contents.clone();
        appended.read(qseed_engine::guard::line_of(&cleared).as_bytes());
        assert_eq!(appended.records.standing(record.tag), None);
    }
});
