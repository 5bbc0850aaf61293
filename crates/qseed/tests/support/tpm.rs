//! A TPM: `swtpm` behind the resource manager `tpm2-abrmd` on a bus of its own, with a
//! `tpm2-pkcs11` token.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use qseed_real_tokens::{need, set_up};
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{PATIENCE, daemon};

pub const TPM2_PKCS11: &str = "/usr/lib/x86_64-linux-gnu/libtpm2_pkcs11.so.1";

/// The software TPM with one token, labelled `tpm`, whose user's PIN is `1234`.
pub struct Tpm {
    folder: TempDir,
    bus: Child,
    swtpm: u32,
    manager: Child,
}

impl Tpm {
    pub fn start() -> Self {
        need("/usr/bin/swtpm", "swtpm");
        need("/usr/bin/dbus-daemon", "dbus");
        need("/usr/sbin/tpm2-abrmd", "tpm2-abrmd libtss2-tcti-tabrmd0");
        need("/usr/bin/tpm2_ptool", "libtpm2-pkcs11-tools");
        need(TPM2_PKCS11, "libtpm2-pkcs11-1");
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["state", "store"] {
            std::fs::create_dir(folder.path().join(name)).expect("made");
        }
        let bus = start_bus(&folder);
        let (swtpm, port) = start_swtpm(&folder);
        let mut manager = Command::new("/usr/sbin/tpm2-abrmd");
        manager
            .args(["--allow-root", "--session"])
            .arg(format!("--tcti=swtpm:port={port}"))
            .env("DBUS_SESSION_BUS_ADDRESS", bus_address(&folder))
            .stderr(Stdio::null());
        let manager = manager.spawn().expect("tpm2-abrmd starts");
        let tpm = Self {
            folder,
            bus,
            swtpm,
            manager,
        };
        tpm.wait_for_manager();
        let store = tpm.folder.path().join("store");
        set_up(
            tpm.ptool("init").arg("--path").arg(&store),
            "libtpm2-pkcs11-tools",
        );
        tpm.add_token("tpm");
        tpm
    }

    /// Makes one more token, whose user's PIN is `1234`.
    pub fn add_token(&self, label: &str) {
        let store = self.folder.path().join("store");
        let mut add = self.ptool("addtoken");
        add.args(["--pid", "1", "--label", label])
            .args(["--userpin", "1234", "--sopin", "5678"])
            .arg("--path")
            .arg(store);
        set_up(&mut add, "libtpm2-pkcs11-tools");
    }

    /// The wrong PINs that the TPM counts, of all its tokens together, and whether it is locked.
    pub fn lockout(&self) -> (u32, bool) {
        let mut ask = Command::new("tpm2_getcap");
        ask.arg("properties-variable")
            .envs(self.environment())
            .env("TPM2TOOLS_TCTI", "tabrmd:bus_type=session");
        let told = ask.output().expect("tpm2_getcap comes with the tools");
        let told = String::from_utf8_lossy(&told.stdout).into_owned();
        let value = |name: &str| {
            let line = told.lines().find_map(|line| line.trim().strip_prefix(name));
            let digits = line.and_then(|line| line.trim().strip_prefix("0x"));
            let number = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
            number.or_else(|| line?.trim().parse().ok())
        };
        let counter = value("TPM2_PT_LOCKOUT_COUNTER:").expect("a counter");
        (counter, value("inLockout:").expect("a flag") > 0)
    }

    /// The variables by which the module finds its TPM.
    pub fn environment(&self) -> [(&'static str, String); 3] {
        [
            ("DBUS_SESSION_BUS_ADDRESS", bus_address(&self.folder)),
            ("TPM2_PKCS11_TCTI", "tabrmd:bus_type=session".to_owned()),
            (
                "TPM2_PKCS11_STORE",
                self.folder.path().join("store").display().to_string(),
            ),
        ]
    }

    /// The same as a module's `environment`.
    pub fn environment_json(&self) -> Value {
        let pairs = self.environment().into_iter();
        pairs
            .map(|(name, value)| (name.to_owned(), json!(value)))
            .collect()
    }

    fn ptool(&self, command: &str) -> Command {
        let mut ptool = Command::new("tpm2_ptool");
        ptool.arg(command).envs(self.environment());
        ptool.env("TPM2TOOLS_TCTI", "tabrmd:bus_type=session");
        ptool
    }

    /// Asks on the bus until the resource manager answers.
    fn wait_for_manager(&self) {
        let deadline = Instant::now() + PATIENCE;
        let answers = || {
            let mut ping = Command::new("dbus-send");
            ping.args(["--session", "--print-reply", "--dest=com.intel.tss2.Tabrmd"])
                .args([
                    "/com/intel/tss2/Tabrmd/Tcti",
                    "org.freedesktop.DBus.Peer.Ping",
                ])
                .env("DBUS_SESSION_BUS_ADDRESS", bus_address(&self.folder));
            ping.output()
                .expect("dbus-send comes with dbus")
                .status
                .success()
        };
        while !answers() {
            assert!(Instant::now() < deadline, "tpm2-abrmd does not start");
        }
    }
}

impl Drop for Tpm {
    fn drop(&mut self) {
        for child in [&mut self.manager, &mut self.bus] {
            let _ = child.kill();
            let _ = child.wait();
        }
        daemon::kill(self.swtpm, Signal::KILL);
    }
}

fn bus_address(folder: &TempDir) -> String {
    format!("unix:path={}", folder.path().join("bus").display())
}

/// Starts a bus; it listens when it has printed its address.
fn start_bus(folder: &TempDir) -> Child {
    let mut bus = Command::new("dbus-daemon");
    bus.args(["--session", "--nofork", "--nopidfile", "--print-address"])
        .arg(format!("--address={}", bus_address(folder)))
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut bus = bus.spawn().expect("dbus-daemon starts");
    let mut line = String::new();
    let output = bus.stdout.take().expect("it is piped");
    BufReader::new(output)
        .read_line(&mut line)
        .expect("an address");
    bus
}

/// Starts a TPM on two neighbouring free ports, which its clients expect; it listens when the
/// command has put it into the background. Returns its process and port.
fn start_swtpm(folder: &TempDir) -> (u32, u16) {
    let pid_file: PathBuf = folder.path().join("swtpm.pid");
    let state = folder.path().join("state");
    for _ in 0..20 {
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = free.local_addr().expect("it is bound").port();
        drop(free);
        let Some(control) = port.checked_add(1) else {
            continue;
        };
        let mut swtpm = Command::new("swtpm");
        swtpm
            .args([
                "socket",
                "--tpm2",
                "--daemon",
                "--flags",
                "not-need-init,startup-clear",
            ])
            .arg("--tpmstate")
            .arg(format!("dir={}", state.display()))
            .arg("--pid")
            .arg(format!("file={}", pid_file.display()))
            .arg("--server")
            .arg(format!("type=tcp,port={port},bindaddr=127.0.0.1"))
            .arg("--ctrl")
            .arg(format!("type=tcp,port={control},bindaddr=127.0.0.1"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        if swtpm.status().expect("swtpm starts").success() {
            let pid = std::fs::read_to_string(&pid_file).expect("its process id");
            return (pid.trim().parse().expect("a number"), port);
        }
    }
    panic!("no two neighbouring ports are free for swtpm");
}
