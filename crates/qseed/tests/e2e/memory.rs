//! What an intruder would find in the memory of the daemon and its workers, and around them.
//!
//! `docs/threat-model.md`, "Secrets in memory", states how often each secret may be there; the test
//! reads that table.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use qseed_entropy_service::{EntropyService, Options};
use qseed_real_tokens::{SOFTHSM, SoftHsm};
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, tee};
use rustix::process::Signal;
use serde_json::json;

use crate::support::daemon::{QSEED, Qseed, kill, untouched};
use crate::support::faulty::Faulty;
use crate::support::memory::{Memory, Search};
use crate::support::site::{self, Site};
use crate::support::{ACCESS_TOKEN, service, service_with};

/// The partitions, each seeded with so many bytes in each period.
const PARTITIONS: usize = 4;
const SIZE: usize = 48;
const PERIOD: Duration = Duration::from_secs(5);

/// How long after its injection a seed may still be somewhere.
const GONE_AFTER: Duration = Duration::from_secs(1);

const LITERAL_TOKEN: &str = "another-access-token-86028157";
const LITERAL_PIN: &str = "literal-31415926";
const PIN_IN_ENVIRONMENT: &str = "in-the-environment-16180339";
const PIN_IN_FILE: &str = "in-a-file-27182818";

/// The names of the table's rows.
const TOKEN_FILE: &str = "access token in a file";
const TOKEN_LITERAL: &str = "access token in the configuration";
const CLIENT_KEY: &str = "client key";
const PIN_FILE: &str = "PIN in a file";
const PIN_LITERAL: &str = "PIN in the configuration";
const PIN_ENVIRONMENT: &str = "PIN in the environment";
const GUARD_KEY: &str = "the guard's key";
const SIGNING_KEY: &str = "the ledger's signing key";
const SEED: &str = "entropy and seeds";

/// A daemon in full work: two services whose answers are combined with `xor`, one with an access token from a file
/// and one with a client certificate and a literal token; a token of the faulty module, which
/// records its seeds; three of `SoftHSM`, whose PINs come from everywhere that a PIN can come from.
struct Scene {
    site: Site,
    services: [EntropyService; 2],
    faulty: Faulty,
    qseed: Qseed,
    _hsm: SoftHsm,
}

impl Scene {
    fn new() -> Self {
        let services = [
            service(),
            service_with(Options::default().require_client_certificate()),
        ];
        services[1].set_token(Some(LITERAL_TOKEN));
        let (site, hsm) = (Site::new(), SoftHsm::new());
        let faulty = Faulty::new(site.folder(), |_| {});
        let pin_file = site.write_secret("pin", PIN_IN_FILE);
        let mut partitions = vec![faulty.partition("records", 0)];
        for (label, pin, written) in [
            ("a", LITERAL_PIN, LITERAL_PIN.to_owned()),
            ("b", PIN_IN_ENVIRONMENT, "env:QSEED_TEST_PIN".to_owned()),
            ("c", PIN_IN_FILE, format!("file:{}", pin_file.display())),
        ] {
            hsm.add_token_with_pin(label, pin);
            let token = format!("pkcs11:token={label}");
            partitions
                .push(json!({ "name": label, "module": SOFTHSM, "token": token, "pin": written }));
        }
        for partition in &mut partitions {
            partition["period"] = json!(format!("{}s", PERIOD.as_secs()));
        }
        let mut config = site.full(&services[0], &json!(partitions));
        config["modules"] = json!([{ "path": SOFTHSM, "environment": hsm.environment() }]);
        config["combine"] = json!("xor");
        config["audit"] = json!({ "file": "audit.jsonl" });
        config["log"]["level"] = json!("debug");
        let reference = |path: PathBuf| json!(format!("file:{}", path.display()));
        config["sources"][0]["access_token"] = reference(site.write_secret("token", ACCESS_TOKEN));
        let mut mutual = site::source(&services[1]);
        mutual["name"] = json!("mutual");
        mutual["access_token"] = json!(LITERAL_TOKEN);
        mutual["tls"]["client_cert"] = json!(services[1].client_certificate_path());
        mutual["tls"]["client_key"] =
            reference(site.write_secret("client.key", client_key(&services[1])));
        let sources = config["sources"].as_array_mut().expect("a list");
        sources.push(mutual);
        site.configure_full(&config);
        // The system may write a core as long as it likes.
        let mut command = Command::new("sh");
        untouched(&mut command);
        let qseed = Qseed::start(
            command
                .args([
                    "-c",
                    "ulimit -c unlimited && exec \"$0\" run --config \"$1\"",
                    QSEED,
                ])
                .arg(site.config_path())
                .current_dir(site.folder())
                .env("QSEED_TEST_PIN", PIN_IN_ENVIRONMENT),
        );
        Self {
            site,
            services,
            faulty,
            qseed,
            _hsm: hsm,
        }
    }

    /// The daemon and its workers.
    fn processes(&self) -> Vec<(&'static str, u32)> {
        let maps = |id: &u32| std::fs::read_to_string(format!("/proc/{id}/maps"));
        let workers = self.qseed.workers();
        let mut found = vec![("daemon", self.qseed.id())];
        found.extend(workers.iter().map(|id| {
            let maps = maps(id).expect("the tests run as root");
            let name = if maps.contains("softhsm") {
                "its worker"
            } else {
                "other workers"
            };
            (name, *id)
        }));
        assert_eq!(found.len(), 3);
        found
    }

    /// All secrets by the names of their rows, each in all forms. Of the entropy, everything that
    /// was ever delivered, and every seed that was made of it.
    fn secrets(&self) -> Secrets {
        let mut secrets = Secrets::default();
        secrets.add(TOKEN_FILE, ACCESS_TOKEN.as_bytes());
        secrets.add(TOKEN_LITERAL, LITERAL_TOKEN.as_bytes());
        secrets.add(PIN_LITERAL, LITERAL_PIN.as_bytes());
        secrets.add(PIN_ENVIRONMENT, PIN_IN_ENVIRONMENT.as_bytes());
        secrets.add(PIN_FILE, PIN_IN_FILE.as_bytes());
        let pem = client_key(&self.services[1]);
        let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        // In PEM, as a number in PKCS#8, and as the number that a processor counts with.
        let der = BASE64_STANDARD.decode(&body).expect("a key");
        let number = der
            .windows(7)
            .position(|it| it == [2, 1, 1, 4, 32, it[5], it[6]]);
        let number = number.expect("a key of P-256") + 5;
        let number = &der[number..number + 32];
        secrets.add_text(CLIENT_KEY, &body.as_bytes()[60..]);
        secrets.add(CLIENT_KEY, number);
        let reversed: Vec<u8> = number.iter().rev().copied().collect();
        secrets.add_text(CLIENT_KEY, &reversed);
        let state_file = |name| std::fs::read(self.site.state_dir().join(name));
        secrets.add(GUARD_KEY, &state_file("pin-guard.key").expect("a key"));
        let signing_key = state_file("audit.key").expect("a key");
        let signing_key = BASE64_STANDARD.decode(signing_key.trim_ascii_end());
        secrets.add(SIGNING_KEY, &signing_key.expect("base64"));

        let delivered = self.services.each_ref().map(|service| {
            let served = service.served();
            let joined = served.iter().flat_map(|answer| answer.blocks.joined());
            joined.collect::<Vec<u8>>()
        });
        let mut seeds = Vec::new();
        for (a, b) in delivered[0].chunks(SIZE).zip(delivered[1].chunks(SIZE)) {
            let seed: Vec<u8> = a.iter().zip(b).map(|(a, b)| a ^ b).collect();
            for bytes in [a, b, &seed] {
                // A part of a seed gives away as much.
                secrets.add(SEED, &bytes[..24]);
                secrets.add(SEED, &bytes[24..]);
            }
            seeds.push(seed);
        }
        let injected = self.faulty.injected();
        assert!(!injected.is_empty());
        for seed in injected {
            assert!(seeds.contains(&seed.bytes), "a seed of unknown bytes");
        }
        secrets
    }
}

fn client_key(service: &EntropyService) -> String {
    let path = service.client_key_path().expect("it speaks TLS");
    std::fs::read_to_string(path).expect("readable")
}

/// What is looked for.
#[derive(Default)]
struct Secrets {
    rows: Vec<&'static str>,
    forms: Vec<Vec<u8>>,
}

impl Secrets {
    /// As it is, in base64 and in hexadecimal digits.
    fn add(&mut self, row: &'static str, secret: &[u8]) {
        self.add_text(row, secret);
        let whole = &secret[..secret.len() / 3 * 3];
        self.add_text(row, BASE64_STANDARD.encode(whole).as_bytes());
        for hex in [
            |byte: &u8| format!("{byte:02x}"),
            |byte: &u8| format!("{byte:02X}"),
        ] {
            let digits: String = secret.iter().map(hex).collect();
            self.add_text(row, digits.as_bytes());
        }
    }

    fn add_text(&mut self, row: &'static str, form: &[u8]) {
        self.rows.push(row);
        self.forms.push(form.to_vec());
    }

    /// Where each row's secret is in a process's memory.
    fn in_memory(&self, process: u32) -> BTreeMap<&'static str, Vec<String>> {
        let mut found = BTreeMap::<_, Vec<_>>::new();
        let places = Memory::of(process).find(&self.forms);
        for (row, places) in self.rows.iter().zip(places) {
            found.entry(*row).or_default().extend(places);
        }
        found
    }

    /// The rows whose secrets are in `content`, as often as they are there.
    fn within(&self, content: &[u8]) -> Vec<&'static str> {
        let mut found = Vec::new();
        Search::new(&self.forms).run(content, |number, _| found.push(self.rows[number]));
        found
    }

    fn assert_not_within(&self, place: &str, content: &[u8]) {
        assert_eq!(self.within(content), [""; 0], "{place}");
    }
}

/// How often each secret may be in a process's memory, by the row's name and the column's.
fn table() -> BTreeMap<(String, String), usize> {
    let text = include_str!("../../../../docs/threat-model.md");
    let section = text
        .split("\n## Secrets in memory\n")
        .nth(1)
        .expect("the section");
    let mut rows = section.lines().filter_map(|line| {
        let cells = line.strip_prefix('|')?.split('|').map(str::trim);
        Some(cells.map(str::to_owned).collect::<Vec<_>>())
    });
    let columns = rows.next().expect("a table");
    let mut table = BTreeMap::new();
    for row in rows.skip(1) {
        for (column, cell) in columns.iter().zip(&row).skip(1) {
            if let Ok(times) = cell.parse() {
                table.insert((row[0].clone(), column.clone()), times);
            }
        }
    }
    table
}

#[test]
fn secrets_are_in_memory_only_where_the_threat_model_states() {
    let scene = Scene::new();
    let table = table();
    for round in 1..=3 {
        scene.qseed.wait_pushed(round * PARTITIONS);
        std::thread::sleep(GONE_AFTER);
        let secrets = scene.secrets();
        let processes = scene.processes();
        for (column, id) in &processes {
            for (row, places) in secrets.in_memory(*id) {
                let times = table[&(row.to_owned(), (*column).to_owned())];
                let text = format!("{row} in {column}, round {round}: {places:?}");
                println!("{text}");
                assert!(places.len() <= times, "{text}");
            }
        }
    }

    let secrets = scene.secrets();
    for (column, id) in scene.processes() {
        for name in ["environ", "cmdline"] {
            let content = std::fs::read(format!("/proc/{id}/{name}")).expect("root");
            secrets.assert_not_within(&format!("{name} of {column}"), &content);
        }
        judge_open_files(&secrets, column, id);
        judge_protection(column, id);
    }
    for (place, content) in files(&scene.site.state_dir()) {
        let is_key = ["pin-guard.key", "audit.key"].map(|name| place.ends_with(name));
        if !is_key.contains(&true) {
            secrets.assert_not_within(&place, &content);
        }
    }
    assert_no_core(&scene.site, scene.qseed, &secrets);
}

/// No secret is in a file that the process holds open, but for the faulty module's own record. Literal PINs, and those of the environment,
/// are in one pipe a module, once.
fn judge_open_files(secrets: &Secrets, column: &str, id: u32) {
    let (mut kept, mut pipes) = (Vec::new(), BTreeSet::new());
    for entry in std::fs::read_dir(format!("/proc/{id}/fd"))
        .expect("root")
        .flatten()
    {
        let Ok(target) = std::fs::read_link(entry.path()) else {
            continue;
        };
        if target.ends_with("module/record.jsonl") {
            continue;
        }
        if std::fs::metadata(entry.path()).is_ok_and(|it| it.is_file()) {
            let content = std::fs::read(entry.path()).expect("root");
            secrets.assert_not_within(&format!("{} of {column}", target.display()), &content);
        } else if target.to_string_lossy().starts_with("pipe:")
            // A process may hold both ends.
            && pipes.insert(target)
            && let Ok(pipe) = File::open(entry.path())
        {
            kept.extend(secrets.within(&copy_of_pipe(&pipe.into())));
        }
    }
    kept.sort_unstable();
    let expected: &[_] = match column {
        // For its workers, and for a reload.
        "daemon" => &[PIN_LITERAL, PIN_ENVIRONMENT, PIN_ENVIRONMENT],
        "its worker" => &[PIN_LITERAL, PIN_ENVIRONMENT],
        _ => &[],
    };
    assert_eq!(kept, expected, "pipes of {column}");
}

/// What is in a pipe, which keeps it.
fn copy_of_pipe(pipe: &OwnedFd) -> Vec<u8> {
    const ROOM: usize = 1 << 20;
    let (from, into) = pipe_with(PipeFlags::CLOEXEC).expect("a pipe");
    fcntl_setpipe_size(&into, ROOM).expect("root may have it");
    let mut content = vec![0; ROOM];
    // The end that is written to cannot be copied from.
    let copied = tee(pipe, &into, ROOM, SpliceFlags::NONBLOCK).unwrap_or(0);
    let read = if copied > 0 {
        rustix::io::read(&from, &mut content).expect("it is there")
    } else {
        0
    };
    content.truncate(read);
    content
}

/// Locked into memory, no core, no new privileges.
fn judge_protection(column: &str, id: u32) {
    let read = |name: &str| std::fs::read_to_string(format!("/proc/{id}/{name}")).expect("root");
    let status = read("status");
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.expect(name).trim().to_owned()
    };
    assert_eq!(field("NoNewPrivs:"), "1", "{column}");
    assert_ne!(field("VmLck:"), "0 kB", "{column}");
    let limits = read("limits");
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"));
    let core: Vec<_> = core.expect("a limit").split_whitespace().collect();
    assert_eq!(core[4..6], ["0", "0"], "{column}");
    // The kernel gives the files in /proc of a process that must not be dumped to root.
    assert!(!status.contains("CoreDumping:\t1"));
}

/// Crashes a worker and the daemon where a process of others leaves a core.
fn assert_no_core(site: &Site, mut qseed: Qseed, secrets: &Secrets) {
    let folder = site.path("elsewhere");
    std::fs::create_dir(&folder).expect("made");
    let control = Command::new("sh")
        .args(["-c", "ulimit -c unlimited; kill -ABRT $$"])
        .current_dir(&folder)
        .status();
    if !control.expect("sh").core_dumped() {
        eprintln!("this system writes no cores, so whether qseed's would be is not tested");
    }
    let from = qseed.log.count();
    for worker in qseed.workers() {
        kill(worker, Signal::ABORT);
    }
    qseed.event_from(from, "worker-ended");
    qseed.signal(Signal::ABORT);
    let status = qseed.wait_exit();
    assert_eq!(status.signal(), Some(Signal::ABORT.as_raw()));
    assert!(!status.core_dumped());
    let cores = files(site.folder()).into_iter();
    let mut cores = cores.filter(|(path, _)| path.contains("/core") && !path.contains("elsewhere"));
    assert_eq!(cores.next(), None);
    let log = qseed.log.to_the_end().join("\n");
    secrets.assert_not_within("the log", log.as_bytes());
    let errors = qseed.errors.to_the_end().join("\n");
    secrets.assert_not_within("standard error", errors.as_bytes());
}

/// Every file below a folder.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if let Ok(content) = std::fs::read(&path) {
            found.push((path.display().to_string(), content));
        }
    }
    found
}
