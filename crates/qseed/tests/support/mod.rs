//! What the end-to-end tests share: qseed as a process, tokens to seed, and the accounts of where
//! each injected byte came from.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test program includes it as a module and uses a part of it"
)]

pub mod accounts;
pub mod cadence;
pub mod clock;
pub mod daemon;
pub mod disk;
pub mod faulty;
pub mod figures;
pub mod ledger;
pub mod lines;
pub mod memory;
pub mod site;
pub mod strace;
pub mod tpm;
pub mod usage;

use std::time::Duration;

use qseed_entropy_service::{EntropyService, Options};

/// Ends a test that would wait for ever; nothing is judged by it.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// The access token of every simulated service.
pub const ACCESS_TOKEN: &str = "end-to-end-access-token";

/// A service over TLS that wants [`ACCESS_TOKEN`].
pub fn service() -> EntropyService {
    service_with(Options::default())
}

/// The same with further options.
pub fn service_with(options: Options) -> EntropyService {
    EntropyService::spawn(options.tls().token(ACCESS_TOKEN)).expect("a service")
}

/// Runs `test` for every case, several at a time, and reports every case that failed.
pub fn for_each_case<C: Sync>(cases: &[C], at_once: usize, test: impl Fn(&C) + Sync) {
    let next = std::sync::atomic::AtomicUsize::new(0);
    let failed = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..at_once.min(cases.len()) {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    let Some(case) = cases.get(number) else {
                        return;
                    };
                    let run = std::panic::AssertUnwindSafe(|| test(case));
                    if std::panic::catch_unwind(run).is_err() {
                        failed.lock().expect("no panic holds it").push(number);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().expect("no panic holds it");
    assert!(failed.is_empty(), "cases {failed:?} failed; see above");
}
