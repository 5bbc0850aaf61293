//! The anchor commands of packaging/anchors, run as shipped.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread;

use qseed_ledger::note::Note;
use qseed_real_tokens::need;
use serde_json::json;

use super::{Stage, said};
use crate::support::PATIENCE;

fn shipped(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging/anchors");
    let path = folder.join(name);
    path.canonicalize().expect("it is shipped")
}

fn openssl(folder: &Path, arguments: &str) -> Output {
    let mut command = Command::new("openssl");
    command.current_dir(folder).args(arguments.split(' '));
    command.output().expect("openssl runs")
}

#[test]
fn syslog_gets_the_checkpoint_in_four_lines() {
    need("/usr/bin/logger", "bsdutils");
    let stage = Stage::new();
    let place = stage.site.path("log");
    let syslog = UnixDatagram::bind(&place).expect("a socket");
    syslog.set_read_timeout(Some(PATIENCE)).expect("set");
    let audit = json!({ "anchor": [shipped("syslog"), "--socket", place] });
    let daemon = stage.start(&audit);
    let lines: Vec<String> = (0..4)
        .map(|_| {
            let mut line = [0; 4096];
            let length = syslog.recv(&mut line).expect("a line");
            let line = String::from_utf8_lossy(&line[..length]).into_owned();
            let (head, text) = line.split_once(": ").expect("a tag");
            assert!(
                head.starts_with("<37>") && head.ends_with("qseed-checkpoint"),
                "{head}"
            );
            text.trim_end_matches(['\0', '\n']).to_owned()
        })
        .collect();
    said(&daemon, "anchored", "sent to syslog");
    daemon.stop();
    let [origin, size, root, signature] = &lines[..] else {
        panic!("four lines")
    };
    // What the script's own comment says.
    let text = format!("{origin}\n{size}\n{root}\n\n{signature}\n");
    let note: Note = text.parse().expect("a note");
    let (of, keys) = stage.keys();
    assert_eq!(*origin, of);
    let keys: Vec<_> = keys.iter().map(|key| key.parse().expect("a key")).collect();
    let signed = qseed_ledger::key::signers(&note, &keys).expect("signed");
    assert_eq!(signed.len(), 1);
}

/// A time-stamping authority that answers one request, or one with what is no stamp.
fn authority(folder: &Path, is_good: bool) -> String {
    let config = "[req]\ndistinguished_name=dn\nx509_extensions=ext\nprompt=no\n[dn]\nCN=tsa\n\
        [ext]\nbasicConstraints=CA:TRUE\nextendedKeyUsage=critical,timeStamping\n\
        [tsa]\ndefault_tsa=t\n[t]\nserial=serial\nsigner_cert=tsa.pem\nsigner_key=tsa.key\n\
        signer_digest=sha256\ndefault_policy=1.2.3.4\ndigests=sha256\naccuracy=secs:1\n";
    fs::write(folder.join("tsa.cnf"), config).expect("written");
    fs::write(folder.join("serial"), "01\n").expect("written");
    let made = openssl(
        folder,
        "req -x509 -config tsa.cnf -newkey rsa:2048 -nodes -keyout tsa.key -out tsa.pem -days 2",
    );
    assert!(made.status.success(), "{made:?}");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}/tsr", listener.local_addr().expect("an address"));
    let folder = folder.to_owned();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        let mut request = Vec::new();
        let mut part = [0; 4096];
        loop {
            let end = request.windows(4).position(|four| four == b"\r\n\r\n");
            let head = end.map(|end| String::from_utf8_lossy(&request[..end]).to_lowercase());
            let length = head.as_deref().and_then(|head| {
                let (_, rest) = head.split_once("content-length: ")?;
                rest.lines().next()?.parse::<usize>().ok()
            });
            if let (Some(end), Some(length)) = (end, length)
                && request.len() >= end + 4 + length
            {
                assert!(
                    head.expect("a head")
                        .contains("application/timestamp-query")
                );
                fs::write(folder.join("query"), &request[end + 4..]).expect("written");
                break;
            }
            let arrived = stream.read(&mut part).expect("a request");
            request.extend_from_slice(&part[..arrived]);
        }
        let made = openssl(
            &folder,
            "ts -reply -config tsa.cnf -queryfile query -out reply",
        );
        assert!(made.status.success(), "{made:?}");
        let reply = if is_good {
            fs::read(folder.join("reply")).expect("a stamp")
        } else {
            b"no stamp".to_vec()
        };
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", reply.len());
        let _ = stream.write_all(&[head.as_bytes(), &reply].concat());
    });
    url
}

#[test]
fn a_time_stamp_is_verified_and_kept_beside_its_note() {
    need("/usr/bin/openssl", "openssl");
    need("/usr/bin/curl", "curl");
    for is_good in [true, false] {
        let stage = Stage::new();
        let folder = tempfile::tempdir().expect("a folder");
        let url = authority(folder.path(), is_good);
        let (stamps, ca) = (stage.site.path("stamps"), folder.path().join("tsa.pem"));
        let daemon = stage.start(&json!({ "anchor": [shipped("rfc3161"), url, stamps, ca] }));
        if is_good {
            said(&daemon, "anchored", "stamped: ");
        } else {
            said(&daemon, "not-anchored", "the stamp does not verify");
        }
        daemon.stop();
        let entries = fs::read_dir(&stamps).expect("a folder");
        let mut names: Vec<_> = entries.map(|it| it.expect("an entry").path()).collect();
        names.sort();
        if !is_good {
            assert!(names.is_empty(), "{names:?}");
            continue;
        }
        let [note, stamp] = &names[..] else {
            panic!("{names:?}")
        };
        let text = fs::read_to_string(note).expect("a note");
        let parsed: Note = text.parse().expect("a note");
        assert_eq!(parsed.signatures().len(), 2);
        let verify = format!(
            "ts -verify -data {} -in {} -CAfile {}",
            note.display(),
            stamp.display(),
            ca.display()
        );
        assert!(openssl(folder.path(), &verify).status.success());
        fs::write(note, text.replace("\n\n", "\n\n\n")).expect("written");
        assert!(
            !openssl(folder.path(), &verify).status.success(),
            "another note"
        );
    }
}
