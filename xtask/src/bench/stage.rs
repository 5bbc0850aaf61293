//! What the measurements run on: a service, tokens, and one bundle of authorities for both sides.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tokio::process::Command;

use crate::daemon::{Service, write_private};
use crate::failure::Failure;
use crate::softhsm::SoftHsm;

const SYSTEM_BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";
/// The user PIN of every token.
pub(super) const PIN: &str = "1234";

/// Daemons that run at once, each with a partition: one request a second each.
pub(super) const DAEMONS: usize = 10;

/// Partitions of one more daemon, which are due together and share a request.
pub(super) const PARTITIONS: usize = 8;

pub(super) struct Stage {
    folder: TempDir,
    qseed: PathBuf,
    pub(super) service: Service,
    hsm: SoftHsm,
    /// The system's authorities and the simulator's.
    pub(super) bundle: PathBuf,
}

impl Stage {
    pub(super) async fn set(programs: &Path) -> Result<Self, Failure> {
        let folder = tempfile::Builder::new().prefix("qseed-bench-").tempdir();
        let folder = folder.map_err(Failure::io("a folder for the measurements"))?;
        let path = folder.path();
        let simulator = programs.join("entropy-service");
        let service = Service::start(&simulator, &path.join("service"), &[]).await?;
        let hsm = SoftHsm::new(path)?;
        for number in 0..DAEMONS.max(PARTITIONS) {
            hsm.add(&label(number), PIN).await?;
        }
        let bundle = path.join("bundle.pem");
        let read = |path: &Path| fs::read(path).map_err(Failure::io(path.display().to_string()));
        let authorities = [read(SYSTEM_BUNDLE.as_ref())?, read(&service.ca)?].concat();
        fs::write(&bundle, authorities).map_err(Failure::io(bundle.display().to_string()))?;
        let stage = Self {
            qseed: programs.join("qseed"),
            folder,
            service,
            hsm,
            bundle,
        };
        for number in 0..=DAEMONS {
            stage.configure(number)?;
        }
        Ok(stage)
    }

    pub(super) fn softhsm_configuration(&self) -> &Path {
        self.hsm.configuration()
    }

    pub(super) fn module(&self) -> &Path {
        self.hsm.module().as_ref()
    }

    fn configuration(&self, number: usize) -> PathBuf {
        self.folder.path().join(format!("{number}.yml"))
    }

    /// Writes a daemon's configuration.
    fn configure(&self, number: usize) -> Result<(), Failure> {
        let module = self.hsm.module();
        let mut text = format!(
            "sources:
  - name: simulator
    type: qrypt
    url: {url}
    access_token: {token}
    rate_limit: 1000/10s
defaults: {{ module: {module}, pin: '{PIN}', period: 1s }}
modules:
  - path: {module}
    environment: {{ SOFTHSM2_CONF: {softhsm} }}
state_dir: {folder}/state-{number}
partitions:
",
            url = self.service.url,
            token = self.service.token,
            softhsm = self.hsm.configuration().display(),
            folder = self.folder.path().display(),
        );
        for token in 0..partitions(number) {
            // Those with one partition have a token each.
            let label = label(if number == DAEMONS { token } else { number });
            writeln!(
                text,
                "  - {{ name: {label}, token: 'pkcs11:token={label}' }}"
            )
            .expect("a String takes any text");
        }
        write_private(&self.configuration(number), &text)
    }

    /// One of the daemons. It trusts the whole bundle, as the client does.
    pub(super) fn qseed(&self, number: usize) -> Command {
        let mut command = Command::new(&self.qseed);
        command
            .arg("--config")
            .arg(self.configuration(number))
            .env("SSL_CERT_FILE", &self.bundle);
        command
    }
}

/// The number of partitions of a daemon: one, and several in the last.
pub(super) fn partitions(number: usize) -> usize {
    if number == DAEMONS { PARTITIONS } else { 1 }
}

/// The token of a daemon, or of one of the last one's partitions.
pub(super) fn label(number: usize) -> String {
    format!("bench-{number}")
}
