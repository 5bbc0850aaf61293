//! Devices: a pipe that the test feeds, and the kernel's own.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::Value;

use crate::stage::{Stage, assert_in_order, device, events};
use crate::support::site::Site;

/// A card: a pipe, and what was written into it.
struct Card {
    pipe: File,
    written: Vec<u8>,
}

impl Card {
    fn new(path: &Path) -> Self {
        mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a pipe");
        // Whoever has both ends need not wait for the other.
        let pipe = OpenOptions::new().read(true).write(true).open(path);
        Self {
            pipe: pipe.expect("just made"),
            written: Vec::new(),
        }
    }

    /// Delivers so many bytes of the kernel's.
    fn give(&mut self, count: usize) {
        let mut bytes = vec![0; count];
        let filled = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
        assert_eq!(filled, Ok(count), "a few bytes come at once");
        self.pipe.write_all(&bytes).expect("the pipe has room");
        self.written.extend_from_slice(&bytes);
    }
}

#[test]
fn a_card_that_is_slow_or_pauses_loses_nothing() {
    let site = Site::new();
    let mut card = Card::new(&site.path("card"));
    let stage = Stage::new(&[device(&site.path("card"))]);
    card.give(3 * 48 + 20);
    let qseed = stage.site.start();
    qseed.wait_pushed(3);
    // It gives no more: a read that times out is a fault like any other.
    let failed = qseed.event("source-failed");
    assert_eq!(failed["code"], "timeout", "{failed}");
    assert_eq!(stage.seeds().len(), 3, "a part of a seed is no seed");
    card.give(28 + 5 * 48);
    qseed.wait_pushed(6);
    qseed.event("source-recovered");
    qseed.stop();
    assert_in_order(&stage.seeds(), &card.written);
}

#[test]
fn a_card_that_is_plugged_in_later_is_found() {
    let site = Site::new();
    let path = site.path("card");
    let stage = Stage::new(&[device(&path)]);
    let qseed = stage.site.start();
    let failed = qseed.event("source-failed");
    assert_eq!(failed["code"], "device", "{failed}");
    let mut card = Card::new(&path);
    card.give(48 * 40);
    qseed.wait_pushed(2);
    qseed.stop();
    assert_in_order(&stage.seeds(), &card.written);
}

#[test]
fn a_character_device_delivers_and_a_stuck_one_is_found_out() {
    let stage = Stage::new(&[device(Path::new("/dev/urandom"))]);
    let qseed = stage.site.start();
    qseed.wait_pushed(3);
    let log = qseed.stop();
    assert_eq!(events(&log, "source-failed"), Vec::<Value>::new());
    let mut seeds = stage.seeds();
    assert!(seeds.iter().all(|seed| seed.len() == 48));
    let count = seeds.len();
    seeds.sort();
    seeds.dedup();
    assert_eq!(seeds.len(), count, "no two are alike");

    let stuck = Stage::new(&[device(Path::new("/dev/zero"))]);
    let qseed = stuck.site.start();
    let failed = qseed.event("check-failed");
    assert_eq!(failed["check"], "repetition", "{failed}");
    qseed.stop();
    assert!(stuck.seeds().is_empty());
}
