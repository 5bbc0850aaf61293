//! `cargo xtask demo`: the whole way of entropy, on one machine, before your eyes.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use tempfile::TempDir;
use tokio::process::Command;

use crate::daemon::{Program, Service, seeded, write_private};
use crate::failure::Failure;
use crate::packages;
use crate::process::{Stop, run_shown};
use crate::softhsm::SoftHsm;
use crate::workspace::Workspace;

/// `cargo xtask demo`
#[derive(Args)]
pub(crate) struct DemoArgs {
    /// End by itself after this time, for example 30s or 2m
    #[arg(long = "for", value_name = "TIME", value_parser = time)]
    ends_after: Option<Duration>,
}

/// The partitions of the demo: name and label of the token, bytes a seed, seconds a period.
const PARTITIONS: &[(&str, u32, u32)] = &[
    ("issuing-ca", 48, 2),
    ("timestamping", 48, 5),
    ("code-signing", 64, 10),
];

/// Stands before each line that qseed writes here, since those speak of quantum entropy.
const MARK: &str = "demo, not quantum | ";

/// What the demo runs on: gone when it is dropped.
struct Stage {
    folder: TempDir,
    qseed: PathBuf,
    service: Service,
    hsm: SoftHsm,
    /// Slot and PIN of the first token, for the flat file.
    first: (u64, String),
}

/// Shows it. Whether every partition was seeded and everything ended as it should.
pub(crate) async fn demo(
    args: &DemoArgs,
    workspace: &Workspace,
    stop: &mut Stop,
) -> Result<bool, Failure> {
    packages::install(packages::SOFTHSM, stop).await?;
    println!("Building qseed and the simulator …");
    let build = [
        "build",
        "--locked",
        "-p",
        "qseed",
        "-p",
        "qseed-entropy-service",
    ];
    run_shown(&mut workspace.cargo(&build), stop).await?;
    let stage = Stage::set(&workspace.target().join("debug")).await?;
    println!("{}", stage.banner());
    let well = stage.drop_in(stop).await? && stage.run(args.ends_after, stop).await?;
    stage.service.end().await?;
    Ok(well)
}

impl Stage {
    async fn set(programs: &Path) -> Result<Self, Failure> {
        let folder = tempfile::Builder::new().prefix("qseed-demo-").tempdir();
        let folder = folder.map_err(Failure::io("a folder for the demo"))?;
        let path = folder.path();
        let (simulator, rate) = (programs.join("entropy-service"), ["--rate", "30/10s"]);
        let service = Service::start(&simulator, &path.join("service"), &rate).await?;
        let hsm = SoftHsm::new(path)?;
        let mut first = None;
        for (name, ..) in PARTITIONS {
            let pin = random_pin();
            write_private(&path.join(format!("{name}.pin")), &pin)?;
            let slot = hsm.add(name, &pin).await?;
            first.get_or_insert((slot, pin));
        }
        write_private(&path.join("access-token"), service.token)?;
        let stage = Self {
            qseed: programs.join("qseed"),
            service,
            hsm,
            first: first.ok_or_else(|| Failure::said("a demo without partitions"))?,
            folder,
        };
        write_private(&stage.path("qseed_config.yml"), &stage.full_form())?;
        write_private(&stage.path("original.yml"), &stage.flat_form())?;
        Ok(stage)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn banner(&self) -> String {
        let mut text = format!(
            "
  qseed demo ─ three tokens, seeded from an entropy service, on this machine alone

  THE ENTROPY COMES FROM THIS MACHINE'S KERNEL, FOR THE DEMO. IT IS NOT QUANTUM.

  service     {url}  a simulator of Qrypt's, over TLS
  module      {module}  tokens in software
",
            url = self.service.url,
            module = self.hsm.module(),
        );
        for (name, size, period) in PARTITIONS {
            writeln!(
                text,
                "  partition   {name:<13} {size} bytes every {period} s"
            )
            .expect("a String takes any text");
        }
        write!(
            text,
            "  files       {folder}  configuration, PINs, tokens; removed at the end

  Ctrl-C ends it.
",
            folder = self.folder.path().display()
        )
        .expect("a String takes any text");
        text
    }

    /// The original's own file, for the first token.
    fn flat_form(&self) -> String {
        let (slot, pin) = &self.first;
        format!(
            "qrypt_token: {token}
size: 48
period: 10
cryptoki_lib: {module}
cryptoki_slot_id: {slot}
cryptoki_user_pin: {pin}
# The original has not these two: they lead to the simulator, and keep the demo in its folder.
qrypt_url: {url}
state_dir: {state}
",
            token = self.service.token,
            module = self.hsm.module(),
            url = self.service.url,
            state = self.path("state").display(),
        )
    }

    fn full_form(&self) -> String {
        let folder = self.folder.path().display();
        let mut text = format!(
            "sources:
  - name: simulator
    type: qrypt
    url: {url}
    access_token: file:{folder}/access-token
    tls: {{ ca: {ca} }}
partitions:
",
            url = self.service.url,
            ca = self.service.ca.display(),
        );
        for (name, size, period) in PARTITIONS {
            writeln!(
                text,
                "  - name: {name}
    token: pkcs11:token={name}
    pin: file:{folder}/{name}.pin
    size: {size}
    period: {period}s"
            )
            .expect("a String takes any text");
        }
        write!(
            text,
            "defaults: {{ module: {module} }}
modules:
  - path: {module}
    environment: {{ SOFTHSM2_CONF: {configuration} }}
state_dir: {folder}/state
",
            module = self.hsm.module(),
            configuration = self.hsm.configuration().display(),
        )
        .expect("a String takes any text");
        text
    }

    /// qseed with one of the configurations.
    fn qseed(&self, configuration: &str) -> Command {
        let mut command = Command::new(&self.qseed);
        command.arg("--config").arg(self.path(configuration));
        command
    }

    /// The original's file, unchanged, once.
    async fn drop_in(&self, stop: &mut Stop) -> Result<bool, Failure> {
        println!("── First, the original's own configuration file, once: qseed --once ──\n");
        let shown = self.flat_form().replace(&self.first.1, "********");
        println!("{}", indented(&shown));
        let mut command = self.qseed("original.yml");
        command
            .arg("--once")
            .env("SOFTHSM2_CONF", self.hsm.configuration())
            // The flat form trusts the system's authorities: here, the simulator's.
            .env("SSL_CERT_FILE", &self.service.ca);
        let mut qseed = Program::start(&mut command)?;
        let followed = follow(&mut qseed, None, stop).await?;
        let status = qseed.ended().await?;
        if followed.stopped {
            return Err(Failure::Stopped);
        }
        println!();
        let seeded = followed.seeds.contains_key("the HSM");
        let well = status.is_some_and(|status| status.success()) && seeded;
        if !well {
            println!("qseed did not seed the token; see above.");
        }
        Ok(well)
    }

    /// All three partitions, until it is ended.
    async fn run(&self, ends_after: Option<Duration>, stop: &mut Stop) -> Result<bool, Failure> {
        println!("── Now three partitions at periods of their own: qseed ──\n");
        println!("{}", indented(&self.full_form()));
        let mut qseed = Program::start(&mut self.qseed("qseed_config.yml"))?;
        let followed = follow(&mut qseed, ends_after, stop).await?;
        let status = qseed.ended().await?;
        println!("\n── The entropy came from this machine's kernel; it is not quantum ──\n");
        let mut well = status.is_some_and(|status| status.success());
        for (name, size, _) in PARTITIONS {
            let seeds = followed.seeds.get(*name).copied().unwrap_or_default();
            println!(
                "  {name:<13} seeds: {seeds:>4}  bytes: {:>6}",
                seeds * u64::from(*size)
            );
            well &= seeds > 0;
        }
        let how = status.map_or("was killed, for it did not end".to_owned(), |status| {
            format!("ended with {status}")
        });
        println!("\n  qseed {how}. No seed was ever in a log: this page shows lengths only.");
        if !well {
            println!("  Something is wrong: a partition was not seeded, or qseed failed.");
        }
        Ok(well)
    }
}

/// What was seen of a run.
struct Followed {
    /// Seeds of each partition.
    seeds: BTreeMap<String, u64>,
    /// Whether somebody ended it with Ctrl-C.
    stopped: bool,
}

/// Shows what qseed says until it ends, which it is asked to after a time or with Ctrl-C.
async fn follow(
    qseed: &mut Program,
    ends_after: Option<Duration>,
    stop: &mut Stop,
) -> Result<Followed, Failure> {
    let mut seeds = BTreeMap::new();
    let end = async {
        match ends_after {
            Some(time) => tokio::time::sleep(time).await,
            None => std::future::pending().await,
        }
    };
    tokio::pin!(end);
    let (mut asked, mut stopped) = (false, false);
    loop {
        tokio::select! {
            line = qseed.line() => {
                let Some(line) = line? else { break };
                println!("{MARK}{line}");
                if let Some(partition) = seeded(&line) {
                    *seeds.entry(partition.to_owned()).or_default() += 1;
                }
            }
            () = &mut end, if !asked => {
                asked = true;
                qseed.interrupt();
            }
            () = stop.asked() => {
                // A second Ctrl-C does not wait.
                if asked {
                    return Err(Failure::Stopped);
                }
                (asked, stopped) = (true, true);
                qseed.interrupt();
            }
        }
    }
    Ok(Followed { seeds, stopped })
}

/// Eight digits that nobody knows.
fn random_pin() -> String {
    let mut bytes = [0; 8];
    // The kernel's generator does not fail once it is seeded, and it is by now.
    let _ = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    bytes
        .iter()
        .map(|byte| char::from(b'0' + byte % 10))
        .collect()
}

fn indented(text: &str) -> String {
    format!("    {}\n", text.trim_end().replace('\n', "\n    "))
}

/// Reads `30`, `30s` or `2m`.
fn time(text: &str) -> Result<Duration, String> {
    let (number, unit) = match text.strip_suffix('m') {
        Some(minutes) => (minutes, 60),
        None => (text.strip_suffix('s').unwrap_or(text), 1),
    };
    let number: u32 = number
        .parse()
        .map_err(|_| "write it as 30s or 2m".to_owned())?;
    Ok(Duration::from_secs(u64::from(number) * unit))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{random_pin, time};

    #[test]
    fn times_are_read() {
        for (text, seconds) in [("30", 30), ("30s", 30), ("2m", 120)] {
            assert_eq!(time(text), Ok(Duration::from_secs(seconds)));
        }
        for wrong in ["", "s", "-1s", "1h", "1.5m"] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_pin_is_eight_digits() {
        let pin = random_pin();
        assert_eq!(pin.len(), 8);
        assert!(pin.bytes().all(|byte| byte.is_ascii_digit()));
    }
}
