//! What a module does to its process, and what outlives it.

mod common;

use std::env;
use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Output, Stdio};

use common::{PATIENCE, Rig, answer, id, log_in, rv};
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::Rv;
use cryptoki::session::UserType;
use qseed_faulty_token::{
    Action, BackgroundThread, Ckr, Event, Faults, FaultyToken, Function, MODULE_FILE, Rule, User,
    module_path,
};
use tempfile::TempDir;

const SIGABRT: i32 = 6;
const SIGKILL: i32 = 9;
const SIGSEGV: i32 = 11;

/// Tells the child what to do: `PIN`s to present and how often to seed, `forever` included.
const ORDERS: &str = "FAULTY_TOKEN_TEST_ORDERS";

/// The process that the tests below start. Presents each PIN, then seeds.
#[test]
#[ignore = "the process that the other tests start"]
fn application() {
    let Ok(orders) = env::var(ORDERS) else { return };
    let (pins, seeds) = orders.split_once('/').expect("PINs and a number");
    let pkcs11 = Pkcs11::new(module_path().expect("the built module")).expect("it loads");
    let arguments = CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK);
    pkcs11.initialize(arguments).expect("C_Initialize");
    let session = pkcs11.open_ro_session(id(0)).expect("C_OpenSession");
    for pin in pins.split_terminator(',') {
        log_in(&session, UserType::User, Some(pin));
    }
    let often = if seeds == "forever" {
        u64::MAX
    } else {
        seeds.parse().expect("a number")
    };
    for _ in 0..often {
        answer(session.seed_random(b"seed"));
    }
}

/// A token in a folder, and processes that use it.
struct Host {
    token: FaultyToken,
    _folder: TempDir,
}

impl Host {
    fn new(change: impl FnOnce(&mut Faults)) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let token = FaultyToken::new(folder.path().join("made")).expect("a faulty token");
        token.set(change).expect("faults");
        Self {
            token,
            _folder: folder,
        }
    }

    fn start(&self, orders: &str) -> Child {
        let (variable, file) = self.token.environment();
        Command::new(env::current_exe().expect("this program"))
            .args(["--exact", "application", "--ignored", "--nocapture"])
            .env(variable, file)
            .env(ORDERS, orders)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("a process")
    }

    fn run(&self, orders: &str) -> Output {
        self.start(orders).wait_with_output().expect("its end")
    }

    fn end_of(&self, orders: &str) -> ExitStatus {
        self.run(orders).status
    }

    fn seeds(&self) -> usize {
        self.token.seeds().expect("a record").len()
    }
}

/// Ends a child and waits for it.
fn kill(mut child: Child) -> ExitStatus {
    child.kill().expect("it can be killed");
    child.wait().expect("its end")
}

#[test]
fn a_process_ends_in_every_way_at_the_call_that_is_meant() {
    for (action, signal, status) in [
        (Action::Segfault, Some(SIGSEGV), None),
        (Action::Abort, Some(SIGABRT), None),
        (Action::Kill, Some(SIGKILL), None),
        (Action::Exit(3), None, Some(3)),
        (Action::Exit(0), None, Some(0)),
    ] {
        let host = Host::new(|faults| {
            faults
                .rules
                .push(Rule::new(Function::SeedRandom, action.clone()).from(3));
        });
        let end = host.end_of("/10");
        assert_eq!((end.signal(), end.code()), (signal, status), "{action:?}");
        assert_eq!(host.seeds(), 2, "{action:?}");
        // The third seed reached the module, and the record has it.
        let record = host.token.record().expect("a record");
        let begun = record
            .iter()
            .filter_map(|line| line.begun(Function::SeedRandom));
        let bytes: Vec<_> = begun.map(|call| call.seed.as_deref()).collect();
        assert_eq!(bytes, [Some(b"seed".as_slice())], "{action:?}");
        let acted = |line: &qseed_faulty_token::Record| matches!(&line.event, Event::Fault { action: done, .. } if *done == action);
        assert!(record.iter().any(acted), "{action:?}");
    }
}

#[test]
fn a_process_dies_when_the_work_is_done() {
    let host = Host::new(|faults| {
        faults
            .rules
            .push(Rule::new(Function::SeedRandom, Action::Abort).after_work());
    });
    assert_eq!(host.end_of("/10").signal(), Some(SIGABRT));
    let seeds = host.token.seeds().expect("a record");
    assert_eq!((seeds.len(), seeds[0].succeeded()), (1, true));
}

#[test]
fn a_crash_may_come_once_and_not_again_after_a_restart() {
    let host = Host::new(|faults| {
        let crash = Rule::new(Function::SeedRandom, Action::Segfault);
        faults.rules.push(crash.times(1).across_processes());
    });
    assert_eq!(host.end_of("/2").signal(), Some(SIGSEGV));
    assert!(host.end_of("/2").success());
    assert_eq!(host.seeds(), 2);
}

#[test]
fn a_crash_may_come_some_time_after_each_start() {
    const AFTER_MS: u64 = 50;
    let host = Host::new(|faults| {
        let crash = Rule::new(Function::SeedRandom, Action::Kill);
        faults.rules.push(crash.after_ms(AFTER_MS));
    });
    for _ in 0..2 {
        assert_eq!(host.end_of("/forever").signal(), Some(SIGKILL));
    }
    let record = host.token.record().expect("a record");
    let started = record
        .iter()
        .rfind(|line| line.ended(Function::Initialize).is_some());
    let died = record.last().expect("a line").ns;
    assert!(died - started.expect("it started").ns >= (AFTER_MS - 1) * 1_000_000);
}

#[test]
fn a_crash_hides_whether_a_pin_was_accepted_but_not_that_it_was_presented() {
    for (crash, judged, counted) in [
        (Rule::new(Function::Login, Action::Abort), None, 0),
        (
            Rule::new(Function::Login, Action::Abort).after_work(),
            Some(Ckr::PIN_INCORRECT),
            1,
        ),
    ] {
        let host = Host::new(|faults| {
            faults.defaults.user.tries = Some(3);
            faults.rules.push(crash);
        });
        assert_eq!(host.end_of("0012/0").signal(), Some(SIGABRT));
        let logins = host.token.logins().expect("a record");
        assert_eq!(logins.len(), 1);
        assert_eq!(logins[0].call.pin.as_deref(), Some(b"0012".as_slice()));
        assert_eq!(logins[0].judged, judged);
        assert_eq!(
            host.token.wrong_pins(0, User::USER).expect("the state"),
            counted
        );
    }
}

#[test]
fn a_pin_stays_locked_in_the_next_process() {
    let host = Host::new(|faults| faults.defaults.user.tries = Some(3));
    for pins in ["a,b/0", "c,d,1234/0"] {
        assert!(host.end_of(pins).success());
    }
    let logins = host.token.logins().expect("a record");
    let told: Vec<_> = logins.iter().filter_map(|login| login.told).collect();
    let (incorrect, locked) = (Ckr::PIN_INCORRECT, Ckr::PIN_LOCKED);
    assert_eq!(told, [incorrect, incorrect, incorrect, locked, locked]);
}

#[test]
fn no_presentation_is_lost_or_counted_twice_when_processes_are_killed_at_any_instant() {
    let host = Host::new(|faults| faults.defaults.user.tries = Some(100_000));
    let pins = "wrong,".repeat(1000) + "/0";
    for round in 0..20_usize {
        let before = host.token.logins().map_or(0, |logins| logins.len());
        let child = host.start(&pins);
        // A different number of presentations each time, and then wherever the process is.
        let enough = before + 1 + round * 7 % 13;
        host.token
            .wait_for(PATIENCE, |record| {
                let begun = record
                    .iter()
                    .filter(|line| line.begun(Function::Login).is_some());
                begun.count() >= enough
            })
            .expect("presentations");
        assert_eq!(kill(child).signal(), Some(SIGKILL));
    }
    let logins = host.token.logins().expect("a whole record");
    let judged = logins.iter().filter(|login| login.judged.is_some()).count();
    let counted = host.token.wrong_pins(0, User::USER).expect("a whole state") as usize;
    assert!(
        judged <= counted && counted <= logins.len(),
        "{judged} {counted} {}",
        logins.len()
    );
    let hidden = logins.len() - judged;
    assert!(
        hidden <= 20,
        "each process hid at most its last outcome, not {hidden}"
    );
}

#[test]
fn a_hanging_process_can_be_killed() {
    let host = Host::new(|faults| {
        faults
            .rules
            .push(Rule::new(Function::SeedRandom, Action::Hang));
    });
    let child = host.start("/1");
    host.token
        .wait_for(PATIENCE, |record| {
            record
                .iter()
                .any(|line| line.begun(Function::SeedRandom).is_some())
        })
        .expect("it hangs");
    assert_eq!(kill(child).signal(), Some(SIGKILL));
    assert_eq!(host.seeds(), 0);
}

#[test]
fn a_process_writes_noise() {
    let host = Host::new(|faults| {
        let out = Action::Stdout("out \u{7} no line end".to_owned());
        faults.rules.push(Rule::new(Function::SeedRandom, out));
        let err = Action::Stderr("err\n".to_owned());
        faults.rules.push(Rule::new(Function::Initialize, err));
    });
    let output = host.run("/1");
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stdout).contains("out \u{7} no line end"));
    assert!(String::from_utf8_lossy(&output.stderr).contains("err\n"));
    assert_eq!(host.seeds(), 1);
}

#[test]
fn a_thread_of_the_modules_own_talks_while_a_call_hangs() {
    let host = Host::new(|faults| {
        let thread = BackgroundThread {
            stderr: "tick\n".to_owned(),
            every_ms: 1,
        };
        faults.thread = Some(thread);
        faults
            .rules
            .push(Rule::new(Function::SeedRandom, Action::Hang));
    });
    let mut child = host.start("/1");
    let mut heard = [0; 15];
    let stderr = child.stderr.as_mut().expect("a pipe");
    stderr.read_exact(&mut heard).expect("it talks");
    assert_eq!(&heard, b"tick\ntick\ntick\n");
    kill(child);
}

#[test]
fn a_module_file_may_be_replaced_while_it_is_in_use() {
    let rig = Rig::new(|_| ());
    let session = rig.session(0);
    let inode = |path| std::fs::metadata(path).expect("the module").ino();
    let before = inode(rig.folder.path().join(MODULE_FILE));
    assert_ne!(inode(rig.token.install().expect("a new file")), before);
    assert_eq!(answer(session.seed_random(b"seed")), Rv::Ok);
}

#[test]
fn a_module_without_a_steering_file_does_not_load() {
    let folder = tempfile::tempdir().expect("a folder");
    let module = folder.path().join("alone.so");
    std::fs::copy(module_path().expect("the built module"), &module).expect("copied");
    assert_eq!(answer(Pkcs11::new(&module)), rv(Ckr::GENERAL_ERROR));
}

#[test]
fn a_line_that_is_just_being_written_is_not_read_yet() {
    let rig = Rig::new(|_| ());
    let lines = rig.token.record().expect("a record").len();
    let path = rig.folder.path().join("record.jsonl");
    let mut file = std::fs::OpenOptions::new()
        .append(true)
        .open(path)
        .expect("the record");
    file.write_all(br#"{"ns":1,"pid":1,"#).expect("half a line");
    assert_eq!(rig.token.record().expect("a record").len(), lines);
    file.write_all(b"nonsense}\n").expect("the other half");
    assert!(rig.token.record().is_err());
}
