//! What both modes promise, with a real token whose calls a spy records.

use qseed_real_tokens::{SPY, SoftHsm};
use rustix::process::Signal;
use serde_json::json;

use super::{intended, seeded_lines};
use crate::support::clock::WallClock;
use crate::support::daemon::{Qseed, is_event};
use crate::support::ledger::{Checked, Ledger};
use crate::support::service;
use crate::support::site::Site;
use crate::support::strace::Strace;

/// Each seed that the token got has its intent (`required`), and each line of the log its record.
fn assert_promises(checked: &Checked, required: bool, given: usize, logged: usize) {
    let (intents, seeds) = (intended(checked).len(), checked.seeded().len());
    if required {
        assert!(intents >= given, "{intents} intents of {given} seeds");
        assert!(seeds >= logged, "{seeds} records of {logged} lines");
    } else {
        assert_eq!(intents, 0);
    }
}

#[test]
fn a_real_tokens_seeds_are_in_the_ledger_as_each_mode_promises() {
    for (mode, required) in [("best-effort", false), ("required", true)] {
        let (service, hsm, site) = (service(), SoftHsm::new(), Site::new());
        hsm.add_token("ca");
        let token = json!({
            "name": "ca", "module": SPY, "token": "pkcs11:token=ca", "pin": "1234", "period": "1s",
        });
        let mut config = site.full(&service, &json!([token]));
        config["modules"] = json!([{ "path": SPY, "environment": hsm.environment() }]);
        config["audit"] = json!({ "mode": mode });
        site.configure_full(&config);
        let ledger = Ledger::new(&site.state_dir());
        let given = || hsm.spy_log().seeds().len();

        // At rest, after a kill, and over a disk that hangs.
        let qseed = site.start();
        qseed.wait_pushed(3);
        let logged = seeded_lines(&qseed.stop());
        assert_promises(&ledger.check(), required, given(), logged);
        assert_eq!(
            ledger.check().seeded().len(),
            given(),
            "{mode}: all of them"
        );

        let mut qseed = site.start();
        qseed.wait_pushed(2);
        qseed.signal(Signal::KILL);
        qseed.wait_exit();
        let logged = logged + seeded_lines(&qseed.log.to_the_end());
        assert_promises(&ledger.check(), required, given(), logged);

        let qseed = site.start();
        qseed.wait_pushed(1);
        let strace = Strace::inject(&qseed, "ledger", "fdatasync:delay_enter=7000000:when=1");
        qseed.event("ledger");
        qseed.log.wait_from(0, "the end", |line| {
            is_event(line, "ledger") && line.contains("written again")
        });
        drop(strace);
        let known = qseed.log.count();
        qseed.pushed_from(known);
        let logged = logged + seeded_lines(&qseed.stop());
        assert_promises(&ledger.check(), required, given(), logged);
    }
}

#[test]
fn a_clock_that_is_stepped_by_years_breaks_no_ledger() {
    let (service, hsm, site) = (service(), SoftHsm::new(), Site::new());
    hsm.add_token("ca");
    let token = json!({
        "name": "ca", "module": SPY, "token": "pkcs11:token=ca", "pin": "1234", "period": "1s",
    });
    let mut config = site.full(&service, &json!([token]));
    let mut environment = json!(hsm.environment());
    environment["LD_PRELOAD"] = json!("");
    config["modules"] = json!([{ "path": SPY, "environment": environment }]);
    config["audit"] = json!({ "mode": "required" });
    site.configure_full(&config);
    let clock = WallClock::new(&site);
    // A connection that is open stays good; a new one would find the certificate expired.
    for offsets in [&["+10y", "-10y", "+0"][..], &[]] {
        let mut command = site.command();
        clock.give_to(&mut command);
        let qseed = Qseed::start(&mut command);
        qseed.wait_pushed(2);
        for offset in offsets {
            clock.set(offset);
            for _ in 0..2 {
                qseed.pushed_from(qseed.log.count());
            }
        }
        let log = qseed.stop();
        assert!(!log.iter().any(|line| is_event(line, "ledger")), "{log:?}");
    }
    let checked = Ledger::new(&site.state_dir()).check();
    let years: Vec<&str> = checked.records.iter().map(|it| &it.time[..4]).collect();
    let (first, last) = (years.iter().min(), years.iter().max());
    let distance = |year: Option<&&str>| year.and_then(|it| it.parse::<i64>().ok());
    assert!(
        distance(last) >= distance(first).map(|it| it + 19),
        "{first:?} {last:?}"
    );
    let began = checked.events().iter().filter(|it| **it == "began").count();
    assert_eq!((began, checked.is_signed_to_the_end()), (1, true));
}
