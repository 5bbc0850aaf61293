//! The worker with NSS softokn, which takes its parameters in a layout of its own.

mod support;

use qseed_model::Login;
use qseed_model::pins::PinAnswer;
use qseed_real_tokens::{SOFTOKN, nss_database};
use qseed_tokens::directory::GeneratorNote;
use qseed_tokens::supervisor::WorkerSpec;
use qseed_tokens::wire::FromWorker;
use support::{Daemon, on_one_thread, spec, token};

const LABEL: &str = "NSS Certificate DB";

fn nss(folder: &tempfile::TempDir) -> WorkerSpec {
    let folder = folder.path();
    WorkerSpec {
        init_args: Some(nss_database(folder)),
        ..spec(SOFTOKN, folder)
    }
}

#[test]
fn a_database_is_opened_logged_in_to_and_seeded() {
    let folder = tempfile::tempdir().expect("a folder");
    on_one_thread(async {
        let (mut daemon, library) = Daemon::ready(&nss(&folder)).await;
        daemon.start_opening(token(1, LABEL, Login::User, Some("secret")));
        assert_eq!(daemon.let_log_in().await, PinAnswer::Accepted);
        let (_, token) = daemon.opened().await;
        let note = GeneratorNote::of(&library, &token);
        assert_eq!(note, Some(GeneratorNote::InCallingProcess));
        daemon.seed(1, 1, &[0x5a; 48]);
        assert_eq!(daemon.seeded().await, (1, 1));
        daemon.shut_down().await;
    });
}

#[test]
fn without_its_parameters_it_does_not_start() {
    let folder = tempfile::tempdir().expect("a folder");
    on_one_thread(async {
        let without = WorkerSpec {
            init_args: None,
            ..nss(&folder)
        };
        let mut daemon = Daemon::start(&without);
        let FromWorker::InitFailed(failure) = daemon.message().await else {
            panic!("it started");
        };
        assert_eq!(
            failure.to_string(),
            "C_Initialize: CKR_ARGUMENTS_BAD: the module needs `init_args`, as NSS does"
        );
    });
}
