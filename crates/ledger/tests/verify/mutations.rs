//! A thousand random changes before the last checkpoint that the verifier was given: each is found.
//!
//! `QSEED_MUTATION=N` runs number N alone and prints what it does.

use qseed_ledger::verify::Verdict;

use crate::maker::{Maker, ORIGIN, SECRET, bytes, findings, relink, verify_bytes};

type Files = Vec<(String, Vec<String>)>;

/// A xorshift generator: a number replays everything.
struct Random(u64);

impl Random {
    fn new(number: u64) -> Self {
        let mut new = Self(number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        for _ in 0..8 {
            new.below(2);
        }
        new
    }

    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).expect("53 bits") % bound
    }
}

/// A line that the given checkpoint covers.
fn covered(random: &mut Random, files: &Files) -> (usize, usize) {
    loop {
        let file = random.below(files.len());
        let line = random.below(files[file].1.len());
        let is_last = file + 1 == files.len() && line + 1 == files[file].1.len();
        if !is_last {
            return (file, line);
        }
    }
}

/// A file and a line of it, both from 0.
type At = (usize, usize);

/// Changes lines; says how, and which is the first that may be wrong.
fn change_lines(random: &mut Random, files: &mut Files) -> (String, At) {
    let (file, line) = covered(random, files);
    let (other_file, other) = covered(random, files);
    let at = format!("{file}:{line}");
    let text = files[other_file].1[other].clone();
    let mut first = (file, line);
    let what = match random.below(9) {
        0 => {
            files[file].1.remove(line);
            format!("{at} removed")
        }
        1 => {
            files[file].1.remove(line);
            relink(files, file, line);
            format!("{at} removed, linked again")
        }
        2 => {
            files[file].1.insert(line, text);
            format!("{other_file}:{other} inserted at {at}")
        }
        3 => {
            let text = files[file].1[line].clone();
            files[file].1.insert(line, text);
            relink(files, file, line);
            format!("{at} twice, linked again")
        }
        4 if files[file].1[line] != text => {
            let here = std::mem::replace(&mut files[file].1[line], text);
            files[other_file].1[other] = here;
            first = first.min((other_file, other));
            format!("{at} and {other_file}:{other} exchanged")
        }
        5 => {
            let last = files[file].1.len() - 1;
            let until = line + 1 + random.below(last.max(line + 1) - line);
            files[file].1.drain(line..until.min(last).max(line + 1));
            format!("lines from {at} to {until} removed")
        }
        6 if file > 0 => {
            files.remove(file);
            first = (file, 0);
            format!("file {file} removed")
        }
        7 => {
            // As if it had always been so: number and hash of the line before are right.
            let forged = files[file].1[line].replace("CKR_OK", "CKR_NO");
            let forged = forged.replace("\"time\":\"2024", "\"time\":\"2023");
            files[file].1[line] = forged;
            relink(files, file, line);
            format!("{at} edited, linked again")
        }
        _ => {
            files[file].1[line].push(' ');
            format!("{at} has a blank more")
        }
    };
    (what, first)
}

/// Changes bytes; says how, and which line is the first that may be wrong.
fn change_bytes(random: &mut Random, files: &mut [Vec<u8>], last_line: usize) -> (String, At) {
    let file = random.below(files.len());
    let is_last = file + 1 == files.len();
    let covered = files[file].len() - if is_last { last_line } else { 0 };
    let at = random.below(covered);
    let bytes = &mut files[file];
    let line = bytes[..at].split(|byte| *byte == b'\n').count() - 1;
    let what = match random.below(4) {
        0 => {
            bytes[at] ^= 1 << random.below(8);
            format!("a bit flipped in byte {at} of file {file}")
        }
        1 => {
            bytes.remove(at);
            format!("byte {at} of file {file} removed")
        }
        2 => {
            bytes.insert(at, b'0' + u8::try_from(random.below(10)).expect("a digit"));
            format!("a digit inserted before byte {at} of file {file}")
        }
        _ => {
            bytes.truncate(at);
            format!("file {file} cut after {at} bytes")
        }
    };
    (what, (file, line))
}

#[test]
fn a_thousand_random_changes_are_all_found() {
    let made = Maker::new(&SECRET, ORIGIN).three_files();
    let whole: Vec<_> = made.files.iter().map(|(_, lines)| bytes(lines)).collect();
    let last_line = made.files[2].1.last().expect("a line").clone() + "\n";
    let only = std::env::var("QSEED_MUTATION")
        .ok()
        .map(|number| number.parse().expect("a number"));
    for number in 0..1000 {
        if only.is_some_and(|only: u64| only != number) {
            continue;
        }
        let mut random = Random::new(number);
        let (mut files, mut changed) = (made.files.clone(), whole.clone());
        let (what, first) = if random.below(3) == 0 {
            change_bytes(&mut random, &mut changed, last_line.len())
        } else {
            let done = change_lines(&mut random, &mut files);
            changed = files.iter().map(|(_, lines)| bytes(lines)).collect();
            done
        };
        let named: Vec<_> = ["0", "1", "2"].into_iter().zip(changed).collect();
        let report = verify_bytes(&named, made.given_newest());
        let found = findings(&report);
        if only.is_some() {
            println!("{what}\n{found}");
        }
        assert_eq!(
            report.verdict(),
            Verdict::Changed,
            "number {number}: {what}"
        );
        // Without that checkpoint too, if the ledger's own last one is still there.
        if named
            .last()
            .is_some_and(|(_, last)| last.ends_with(last_line.as_bytes()))
        {
            let report = verify_bytes(&named, made.given());
            assert_eq!(
                report.verdict(),
                Verdict::Changed,
                "number {number}: {what}"
            );
        }
        // Nothing before the change is blamed, and the first finding names a line or the checkpoint.
        for place in report.findings.iter().map(|finding| &finding.place) {
            if let (Ok(file), Some(line)) = (place.file.parse::<usize>(), place.line) {
                let line = usize::try_from(line).expect("a small file") - 1;
                assert!((file, line) >= first, "number {number}: {what}\n{found}");
            }
        }
    }
}
