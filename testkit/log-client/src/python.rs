//! A Python with `aics-tlog`, in an environment below the build's own folder.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::FlockOperation;

const REQUIREMENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/requirements.txt");

/// The interpreter, with the package; installed by the first test that needs it.
pub(crate) fn interpreter() -> PathBuf {
    // target/debug/deps/test: what is installed there outlives a change of profile.
    let test = env::current_exe().expect("a program");
    let target = test
        .ancestors()
        .nth(3)
        .expect("cargo builds below a folder");
    let folder = target.join("aics-tlog");
    fs::create_dir_all(&folder).expect("made");
    let lock = File::create(folder.join("lock")).expect("made");
    // Ends with the file; other test programs wait meanwhile.
    rustix::fs::flock(&lock, FlockOperation::LockExclusive).expect("locked");
    let environment = folder.join("python");
    let interpreter = environment.join("bin/python3");
    let wanted = fs::read_to_string(REQUIREMENTS).expect("read");
    let done = folder.join("installed");
    let is_done = fs::read_to_string(&done).is_ok_and(|installed| installed == wanted);
    if !is_done || !interpreter.exists() {
        install(&environment);
        fs::write(&done, wanted).expect("written");
    }
    interpreter
}

fn install(environment: &Path) {
    let python = newest().expect(
        "no Python 3.12 or later with venv is on the path or below ~/.pyenv/versions, and aics-tlog \
         needs one: apt-get install python3-venv (from Debian 13 on), or pyenv install 3.12",
    );
    let mut venv = command(&python);
    run(venv.args(["-m", "venv", "--clear"]).arg(environment));
    let mut pip = command(&environment.join("bin/python3"));
    pip.args(["-m", "pip", "install", "--quiet", "--no-input"]);
    pip.args(["--disable-pip-version-check", "--requirement"]);
    run(pip.arg(REQUIREMENTS));
}

fn run(command: &mut Command) {
    let output = command.output().expect("it was just found");
    assert!(
        output.status.success(),
        "{command:?} failed; aics-tlog comes from the Python Package Index, so this needs a network or a \
         mirror: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// The first interpreter that is new enough.
fn newest() -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let names = ["python3", "python3.14", "python3.13", "python3.12"];
    let on_path = names.iter().flat_map(|name| {
        let folders = env::split_paths(&path).map(move |folder| folder.join(name));
        folders.collect::<Vec<_>>()
    });
    let pyenv = env::var_os("PYENV_ROOT").map(PathBuf::from);
    let pyenv = pyenv.or_else(|| Some(Path::new(&env::var_os("HOME")?).join(".pyenv")));
    let versions = pyenv.and_then(|folder| fs::read_dir(folder.join("versions")).ok());
    let versions = versions.into_iter().flatten().flatten();
    let of_pyenv = versions.map(|version| version.path().join("bin/python3"));
    on_path.chain(of_pyenv).find(|python| is_new_enough(python))
}

fn is_new_enough(python: &Path) -> bool {
    let check = "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 12))";
    let output = command(python).args(["-c", check]).output();
    output.is_ok_and(|output| output.status.success())
}

/// Python without what the environment would change about it.
pub(crate) fn command(python: &Path) -> Command {
    let mut command = Command::new(python);
    command.env_remove("PYTHONHOME").env_remove("PYTHONPATH");
    command
}
