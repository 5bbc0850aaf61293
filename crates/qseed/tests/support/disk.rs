//! A disk of a test's own: a small tmpfs on the state directory, in a mount namespace that ends
//! with the test, however that ends.

use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::daemon::{QSEED, untouched};
use super::site::Site;
use qseed_real_tokens::set_up;

/// What a tmpfs hands out at once.
const BLOCK: usize = 4096;

/// The state directory on a disk of 64 KiB, which only those see that are started through it.
pub struct SmallDisk {
    /// Lives as long as its standard input is open, and the namespaces with it.
    holder: Child,
    /// The site's, as it is called inside.
    folder: PathBuf,
    config: PathBuf,
}

impl SmallDisk {
    pub fn new(site: &Site) -> Self {
        let folder = site.state_dir();
        fs::create_dir(&folder).expect("made");
        let script = "mount -t tmpfs -o size=64k,mode=700 qseed-test \"$1\" && echo && exec cat";
        let mut holder = Command::new("unshare");
        holder
            .args(["--map-root-user", "--mount", "--", "sh", "-c", script, "sh"])
            .arg(&folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut holder = holder.spawn().expect("unshare comes with util-linux");
        let mut line = String::new();
        let output = holder.stdout.take().expect("it is piped");
        BufReader::new(output)
            .read_line(&mut line)
            .expect("readable");
        assert_eq!(line, "\n", "no tmpfs can be mounted");
        Self {
            holder,
            folder,
            config: site.config_path(),
        }
    }

    fn inside(&self) -> Command {
        let mut command = Command::new("nsenter");
        untouched(&mut command);
        command
            .args(["--user", "--mount", "--preserve-credentials", "--target"])
            .arg(self.holder.id().to_string())
            .arg("--");
        command
    }

    /// `qseed run` with the site's configuration.
    pub fn command(&self) -> Command {
        let mut command = self.inside();
        command.arg(QSEED).arg("run").arg("--config");
        command.arg(&self.config);
        command
    }

    /// A file in the state directory, as this process reaches it.
    pub fn path(&self, name: &str) -> PathBuf {
        let folder = self.folder.strip_prefix("/").expect("an absolute path");
        let root = format!("/proc/{}/root", self.holder.id());
        Path::new(&root).join(folder).join(name)
    }

    /// Leaves no room, not even the room that the PIN guard has taken behind its last record, and
    /// the rest of the last block of other files.
    pub fn fill(&self) {
        self.fill_again();
        for file in ["pin-guard.jsonl", "usage.jsonl"] {
            for lines in [BLOCK, 1] {
                while append(&self.path(file), &vec![b'\n'; lines]).is_ok() {}
            }
        }
    }

    /// Takes what room was made meanwhile by a file that took another one's place.
    pub fn fill_again(&self) {
        let filler = self.path("filler");
        let full = loop {
            if let Err(full) = append(&filler, &[0; BLOCK]) {
                break full;
            }
        };
        assert_eq!(full.kind(), ErrorKind::StorageFull);
    }

    /// Makes room again.
    pub fn free(&self) {
        fs::remove_file(self.path("filler")).expect("removed");
    }

    /// Puts a read-only disk with the same files in its place, as a disk with an error is mounted
    /// anew.
    pub fn make_read_only(&self) {
        self.script(
            "mount -t tmpfs -o size=64k,mode=700 qseed-test \"$2\" && cp -a \"$1\"/. \"$2\" && \
             mount --move \"$2\" \"$1\" && mount -o remount,ro \"$1\"",
        );
    }

    /// Takes the read-only disk away again.
    pub fn make_writable(&self) {
        self.script("umount --lazy \"$1\"");
    }

    fn script(&self, script: &str) {
        let beside = self.folder.with_extension("beside");
        fs::create_dir_all(&beside).expect("made");
        let mut inside = self.inside();
        inside.args(["sh", "-c", script, "sh"]);
        set_up(inside.arg(&self.folder).arg(&beside), "util-linux");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

fn append(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let file = OpenOptions::new().append(true).create(true).open(path);
    file?.write_all(bytes)
}
