//! Which crate may know which: arrows point downwards only.

use std::collections::BTreeSet;

use super::Faults;
use crate::failure::Failure;
use crate::process::output_of;
use crate::workspace::Workspace;

/// Each crate of the workspace, and which others it may use.
const ARROWS: &[(&str, &[&str])] = &[
    ("qseed-model", &[]),
    ("qseed-entropy", &[]),
    ("qseed-secrets", &[]),
    ("qseed-sandbox", &[]),
    ("qseed-engine", &["qseed-entropy", "qseed-model"]),
    (
        "qseed-config",
        &["qseed-ledger", "qseed-model", "qseed-secrets"],
    ),
    ("qseed-http", &["qseed-model", "qseed-secrets"]),
    ("qseed-ledger", &[]),
    (
        "qseed-sources",
        &["qseed-entropy", "qseed-http", "qseed-model"],
    ),
    (
        "qseed-tokens",
        &[
            "qseed-entropy",
            "qseed-model",
            "qseed-sandbox",
            "qseed-secrets",
        ],
    ),
    (
        "qseed",
        &[
            "qseed-config",
            "qseed-engine",
            "qseed-entropy",
            "qseed-http",
            "qseed-ledger",
            "qseed-model",
            "qseed-sandbox",
            "qseed-secrets",
            "qseed-sources",
            "qseed-tokens",
        ],
    ),
    ("qseed-entropy-service", &[]),
    ("qseed-faulty-token", &[]),
    ("qseed-log-client", &[]),
    ("qseed-real-tokens", &[]),
    ("qseed-witness", &[]),
    ("qseed-checks-speed", &["qseed-engine", "qseed-entropy"]),
    ("xtask", &[]),
];

/// Crates that reach a network or speak TLS.
const NETWORK: &[&str] = &[
    "curl",
    "h2",
    "http",
    "hyper",
    "hyper-util",
    "native-tls",
    "openssl",
    "quinn",
    "reqwest",
    "rustls",
    "tokio-rustls",
    "ureq",
];

/// Crates that run asynchronous code or reach the system.
const RUNTIMES: &[&str] = &[
    "async-std",
    "futures-executor",
    "libc",
    "mio",
    "rustix",
    "smol",
    "tokio",
];

/// What must not be anywhere below a crate.
const CLOSED_TO: &[(&str, &[&str])] = &[
    ("qseed-tokens", NETWORK),
    ("qseed-engine", RUNTIMES),
    ("qseed-engine", NETWORK),
    ("qseed-config", NETWORK),
    ("qseed-ledger", RUNTIMES),
    ("qseed-ledger", NETWORK),
    ("qseed-sources", &["cryptoki", "cryptoki-sys", "libloading"]),
];

pub(super) async fn faults(workspace: &Workspace) -> Result<Faults, Failure> {
    let mut faults = Vec::new();
    for package in workspace.packages("Cargo.toml").await? {
        let name = &package.name;
        let Some((_, may_use)) = ARROWS.iter().find(|(crate_name, _)| crate_name == name) else {
            faults.push(format!(
                "{name}: say in {} which crates it may use",
                file!()
            ));
            continue;
        };
        let ours = |used: &&String| ARROWS.iter().any(|(crate_name, _)| crate_name == used);
        for used in package.uses.iter().filter(ours) {
            if !may_use.contains(&used.as_str()) {
                faults.push(format!("{name} must not use {used}"));
            }
        }
    }
    for (name, closed_to) in CLOSED_TO {
        let below = below(workspace, name).await?;
        for found in closed_to.iter().filter(|closed| below.contains(**closed)) {
            faults.push(format!(
                "{name} must not bring {found} along: cargo tree -p {name} -i {found}"
            ));
        }
    }
    Ok(faults)
}

/// Every crate that one brings along in use.
async fn below(workspace: &Workspace, name: &str) -> Result<BTreeSet<String>, Failure> {
    let tree = [
        "tree",
        "--locked",
        "--edges=normal",
        "--prefix=none",
        "--package",
        name,
    ];
    let text = output_of(&mut workspace.cargo(&tree)).await?;
    let names = text
        .lines()
        .filter_map(|line| line.split_whitespace().next());
    Ok(names.map(str::to_owned).collect())
}
