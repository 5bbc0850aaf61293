//! The worker with openCryptoki's software token, whose clock tells the time in a form of its own,
//! and with p11-kit's proxy in front of it.
//!
//! openCryptoki has a system service and fixed places for its files: both are there for this test
//! alone, in namespaces that end with the worker. This needs root.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use qseed_model::Login;
use qseed_model::pins::PinAnswer;
use qseed_real_tokens::need;
use qseed_tokens::directory::GeneratorNote;
use qseed_tokens::failure::FailureClass;
use qseed_tokens::supervisor::WorkerSpec;
use support::{Daemon, on_one_thread, spec, token};

const MODULE: &str = "/usr/lib/x86_64-linux-gnu/pkcs11/libopencryptoki.so";
const PROXY: &str = "/usr/lib/x86_64-linux-gnu/p11-kit-proxy.so";
/// The software token's slot, by the package's configuration.
const SLOT: &str = "3";

/// Starts the service with an initialised token, label `first` and PIN `1234567`, and becomes the
/// worker.
fn script() -> String {
    format!(
        "set -e
for folder in /run /var/lib/opencryptoki /usr/share/p11-kit/modules; do
    mount -t tmpfs qseed-test $folder
done
mkdir -p /run/lock/opencryptoki/swtok /var/lib/opencryptoki/swtok/TOK_OBJ
chgrp -R pkcs11 /run/lock/opencryptoki /var/lib/opencryptoki
echo 'module: {MODULE}' > /usr/share/p11-kit/modules/opencryptoki.module
setpriv --pdeathsig KILL pkcsslotd -f < /dev/null > /dev/null 2>&1 &
until [ -S /run/pkcsslotd.socket ]; do sleep 0.01; done
{{
    echo first | pkcsconf -I -c {SLOT} -S 87654321
    pkcsconf -P -c {SLOT} -S 87654321 -n 76543210
    pkcsconf -u -c {SLOT} -S 76543210 -n 11111111
    pkcsconf -p -c {SLOT} -U 11111111 -n 1234567
}} > /dev/null < /dev/null
exec \"$@\"
"
    )
}

/// A program that starts the tests' worker beside the service.
fn with_service(module: &str, folder: &Path) -> WorkerSpec {
    let worker = spec(module, folder);
    let set_up = folder.join("set-up");
    fs::write(&set_up, script()).expect("written");
    let program = folder.join("worker");
    let text = format!(
        "#!/bin/sh\nexec unshare --mount --ipc -- sh {} {} \"$@\"\n",
        set_up.display(),
        worker.program.display()
    );
    fs::write(&program, text).expect("written");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("executable");
    WorkerSpec { program, ..worker }
}

#[test]
fn a_token_is_opened_whatever_its_clock_says() {
    need(MODULE, "opencryptoki");
    need(PROXY, "p11-kit-modules");
    assert!(rustix::process::geteuid().is_root(), "this needs root");
    for module in [MODULE, PROXY] {
        let folder = tempfile::tempdir().expect("a folder");
        on_one_thread(async {
            let (mut daemon, library) = Daemon::ready(&with_service(module, folder.path())).await;
            let slots = daemon.list().await;
            let labels: Vec<_> = slots
                .iter()
                .map(|slot| slot.token().map(|token| token.label.as_str()))
                .collect();
            assert_eq!(labels, [Some("first")], "{slots:?}");
            let how = token(1, "first", Login::User, Some("1234567"));
            daemon.start_opening(how);
            assert_eq!(daemon.let_log_in().await, PinAnswer::Accepted);
            let (_, info) = daemon.opened().await;
            assert_eq!(info.model, "IBM SoftTok");
            let note = GeneratorNote::of(&library, &info);
            assert_eq!(note, Some(GeneratorNote::RefusesSeeding));
            daemon.seed(1, 1, &[0x5a; 48]);
            let (failure, open) = daemon.seed_failed().await;
            assert_eq!((failure.class, open), (FailureClass::Permanent, true));
            daemon.shut_down().await;
        });
    }
}
