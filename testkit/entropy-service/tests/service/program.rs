//! The program: its line at start, its flags, its end.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use qseed_entropy_service::{ENTROPY_ORIGIN, FAULT_NOTATIONS};

use crate::client::Client;

struct Program {
    child: Child,
    line: String,
}

impl Program {
    fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_entropy-service"))
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .expect("built with the tests");
        let mut line = String::new();
        let stdout = child.stdout.as_mut().expect("piped");
        BufReader::new(stdout)
            .read_line(&mut line)
            .expect("a line at start");
        Self { child, line }
    }

    /// Asks it to end; its exit code.
    fn end(mut self) -> Option<i32> {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it runs");
        self.child.wait().expect("it ends").code()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Already gone after an orderly end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn address(url: &serde_json::Value) -> SocketAddr {
    let url = url.as_str().expect("a URL");
    url.split_once("://")
        .expect("a scheme")
        .1
        .parse()
        .expect("an address")
}

#[test]
fn the_line_at_start_is_for_programs_too() {
    let flags = "--json --token t --rate 1/1h --fault text*1 --admin 127.0.0.1:0 --latency 1ms";
    let program = Program::start(&flags.split(' ').collect::<Vec<_>>());
    let facts: serde_json::Value = serde_json::from_str(&program.line).expect("JSON");
    assert_eq!(
        (&facts["token"], &facts["ca"]),
        (&"t".into(), &serde_json::Value::Null)
    );
    assert_eq!(facts["entropy"], ENTROPY_ORIGIN);
    let mut client = Client::connect_to(address(&facts["url"])).expect("it listens");
    let headers = "Content-Type: application/json\r\nAuthorization: Bearer t\r\n";
    let mut post = || {
        client.send_post("/api/v1/entropy", headers, r#"{"block_size":64}"#);
        client.answer()
    };
    assert!(
        post()
            .blocks()
            .concat()
            .iter()
            .all(|byte| (b' '..=b'~').contains(byte))
    );
    assert_eq!(post().status, 429);
    let mut admin = Client::connect_to(address(&facts["admin"])).expect("it listens");
    let faults = admin.get("/served").json()[0]["faults"].clone();
    assert_eq!(faults, serde_json::json!(["latency=1ms", "text"]));
    assert_eq!(program.end(), Some(0));
}

#[test]
fn tls_writes_its_files_where_it_prints() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path().to_str().expect("text");
    let program = Program::start(&["--tls", "--state", state]);
    let ca = folder.path().join("ca.pem");
    assert!(
        program.line.contains(&format!("CA {}", ca.display())),
        "{}",
        program.line
    );
    assert!(program.line.contains("https://127.0.0.1:"));
    assert!(program.line.contains(ENTROPY_ORIGIN));
    assert!(ca.exists());
    assert_eq!(program.end(), Some(0));
}

#[test]
fn help_is_honest_and_complete() {
    let program = Command::new(env!("CARGO_BIN_EXE_entropy-service"))
        .arg("--help")
        .output();
    let help = String::from_utf8(program.expect("it runs").stdout).expect("text");
    assert!(help.contains("local kernel") && help.contains("not quantum"));
    for (notation, meaning) in FAULT_NOTATIONS {
        assert!(
            help.contains(notation) && help.contains(meaning),
            "{notation}"
        );
    }
}

#[test]
fn a_wrong_flag_is_a_usage_error() {
    let run = |flag: &str, value: &str| {
        let mut child = Command::new(env!("CARGO_BIN_EXE_entropy-service"))
            .args([flag, value])
            .stderr(Stdio::piped())
            .spawn()
            .expect("it runs");
        let mut said = String::new();
        child
            .stderr
            .take()
            .expect("piped")
            .read_to_string(&mut said)
            .expect("text");
        (child.wait().expect("it ends").code(), said)
    };
    let (code, said) = run("--fault", "hnag");
    assert!(
        code == Some(2) && said.contains("there is no fault \"hnag\""),
        "{said}"
    );
    assert_eq!(run("--rate", "often").0, Some(2));
    let (code, said) = run("--listen", "192.0.2.1:1");
    assert!(
        code == Some(1) && said.contains("cannot listen on 192.0.2.1:1"),
        "{said}"
    );
}
