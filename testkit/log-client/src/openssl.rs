//! OpenSSL checks the Ed25519 signature of a note.

use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// What stands before the 32 bytes of an Ed25519 key in a `SubjectPublicKeyInfo` (RFC 8410).
const SPKI: &[u8] = b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00";

/// Whether `openssl pkeyutl` finds the note's signature by this Ed25519 vkey (type 1) true.
pub fn openssl_accepts(vkey: &str, note: &str) -> bool {
    let mut parts = vkey.splitn(3, '+');
    let name = parts.next().expect("a name");
    let id = parts.next().expect("an identifier");
    let key = decoded(parts.next().expect("a key"));
    let (kind, key) = key.split_first().expect("a signature type");
    assert_eq!(*kind, 1, "{vkey} is no plain Ed25519 key");

    let (text, signatures) = note.rsplit_once("\n\n").expect("an empty line");
    let prefix = format!("\u{2014} {name} ");
    let mut signatures = signatures
        .lines()
        .filter_map(|line| line.strip_prefix(&prefix))
        .map(decoded);
    let id = u32::from_str_radix(id, 16).expect("eight hex digits");
    let signature = signatures.find(|signature| signature.starts_with(&id.to_be_bytes()));
    let signature = signature.expect("a signature by this key");

    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).expect("written");
        path
    };
    let key = write("key.der", &[SPKI, key].concat());
    let text = write("text", format!("{text}\n").as_bytes());
    let signature = write("signature", &signature[4..]);
    pkeyutl(&key, &text, &signature)
}

fn pkeyutl(key: &Path, text: &Path, signature: &Path) -> bool {
    let mut openssl = Command::new("openssl");
    openssl.args(["pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-rawin"]);
    openssl.arg("-inkey").arg(key).arg("-in").arg(text);
    openssl.arg("-sigfile").arg(signature);
    let output = openssl.env_remove("OPENSSL_CONF").output();
    let output = output.unwrap_or_else(|e| panic!("openssl: {e}: apt-get install openssl"));
    let said = String::from_utf8_lossy(&output.stdout);
    match said.trim() {
        "Signature Verified Successfully" => true,
        "Signature Verification Failure" => false,
        _ => panic!("openssl: {said}{}", String::from_utf8_lossy(&output.stderr)),
    }
}

fn decoded(text: &str) -> Vec<u8> {
    STANDARD.decode(text).expect("base64")
}
