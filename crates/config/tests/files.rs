//! Reading the file and judging who else can read it.

use std::fs::{File, Permissions, create_dir, set_permissions, write};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use qseed_config::{LoadError, LoadOptions, Loaded, MAX_CONFIG_BYTES, Pin, SourceKind, load};
use qseed_secrets::SecretRef;
use tempfile::TempDir;

const STRICT: LoadOptions = LoadOptions {
    allow_readable_secrets: false,
    for_another_user: false,
};
const LENIENT: LoadOptions = LoadOptions {
    allow_readable_secrets: true,
    for_another_user: false,
};

const LITERAL: &str =
    "qrypt_token: t\ncryptoki_lib: /l.so\ncryptoki_slot_id: 0\ncryptoki_user_pin: 1234\n";

/// A folder with files of these contents and modes.
fn folder(files: &[(&str, &str, u32)]) -> TempDir {
    let folder = TempDir::new().expect("a folder");
    for (name, content, mode) in files {
        let path = folder.path().join(name);
        write(&path, content).expect("written");
        set_permissions(&path, Permissions::from_mode(*mode)).expect("chmod");
    }
    folder
}

/// The flat form with its secrets in files of `folder`.
fn referring(folder: &Path) -> String {
    let folder = folder.display();
    format!(
        "qrypt_token: file:{folder}/token\ncryptoki_lib: /l.so\ncryptoki_slot_id: 0\ncryptoki_user_pin: file:{folder}/pin\n"
    )
}

fn loaded(result: Result<Loaded, LoadError>) -> Loaded {
    result.unwrap_or_else(|error| panic!("{error}"))
}

/// What a configuration that can be used is warned of.
fn warnings(result: Result<Loaded, LoadError>) -> Vec<String> {
    let warnings = loaded(result).warnings;
    warnings.iter().map(ToString::to_string).collect()
}

#[test]
fn a_file_readable_by_owner_and_group_is_accepted() {
    for mode in [0o600, 0o400, 0o640] {
        let folder = folder(&[("c.yml", LITERAL, mode)]);
        let path = folder.path().join("c.yml");
        let config = loaded(load(&path, &STRICT)).config;
        assert_eq!(config.partitions[0].name, "default");
        assert_eq!(warnings(load(&path, &STRICT)), [""; 0]);
    }
}

#[test]
fn literal_secrets_that_others_can_read_are_refused() {
    let folder = folder(&[("a config.yml", LITERAL, 0o644)]);
    let path = folder.path().join("a config.yml");
    let Err(LoadError::Exposed(exposures)) = load(&path, &STRICT) else {
        panic!("refused");
    };
    let [exposure] = &exposures[..] else {
        panic!("one file")
    };
    assert_eq!(exposure.path, path);
    assert_eq!(
        exposure.fix(),
        format!("run: chmod o-rwx '{}'", path.display())
    );
    let lenient = warnings(load(&path, &LENIENT));
    assert_eq!(lenient, [exposure.to_string()]);
    let done = Command::new("sh")
        .arg("-c")
        .arg(exposure.fix().trim_start_matches("run: "))
        .status()
        .expect("a shell");
    assert!(done.success());
    assert_eq!(warnings(load(&path, &STRICT)), [""; 0]);
}

#[test]
fn all_secret_files_that_others_can_read_are_reported_together() {
    let folder = folder(&[("token", "t", 0o604), ("pin", "1", 0o644)]);
    let path = folder.path().join("c.yml");
    write(&path, referring(folder.path())).expect("written");
    set_permissions(&path, Permissions::from_mode(0o644)).expect("chmod");
    let error = load(&path, &STRICT).expect_err("refused");
    let folder = folder.path().display();
    assert_eq!(
        error.to_string(),
        format!(
            "{folder}/token: other users can read the access token of source qrypt; run: chmod o-rwx {folder}/token\n\
             {folder}/pin: other users can read the PIN of partition default; run: chmod o-rwx {folder}/pin"
        )
    );
    assert_eq!(warnings(load(&path, &LENIENT)).len(), 2);
}

#[test]
fn a_readable_file_without_secrets_is_fine_and_missing_secrets_are_warned_of() {
    let folder = folder(&[("pin", "1", 0o600)]);
    let path = folder.path().join("c.yml");
    write(
        &path,
        referring(folder.path()).replace("file:", "env:NO_SUCH_"),
    )
    .expect("written");
    set_permissions(&path, Permissions::from_mode(0o644)).expect("chmod");
    let told = warnings(load(&path, &STRICT));
    assert_eq!(told.len(), 2);
    assert!(
        told[0].starts_with("the access token of source qrypt: the environment variable NO_SUCH_")
    );
    write(&path, referring(folder.path())).expect("written");
    let told = warnings(load(&path, &STRICT));
    let [warning] = &told[..] else {
        panic!("one warning: {told:?}")
    };
    assert!(
        warning.contains("access token of source qrypt: cannot read"),
        "{warning}"
    );
    assert!(warning.contains("No such file"), "{warning}");
}

#[test]
fn a_pin_in_a_uri_counts_as_a_literal_and_its_source_as_a_file() {
    let folder = folder(&[("pin", "1", 0o644)]);
    let path = folder.path().join("c.yml");
    let with = |query: &str| {
        let text = format!(
            "sources: [{{name: s, type: device, path: /d}}]\npartitions:\n  - {{name: a, module: /l, token: 'pkcs11:token=a?{query}'}}\n"
        );
        write(&path, text).expect("written");
        set_permissions(&path, Permissions::from_mode(0o644)).expect("chmod");
        match load(&path, &STRICT) {
            Err(LoadError::Exposed(exposures)) => exposures[0].path.clone(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(with("pin-value=1234"), path);
    let pin = folder.path().join("pin");
    assert_eq!(with(&format!("pin-source=file:{}", pin.display())), pin);
}

#[test]
fn files_that_others_can_change_are_refused_whatever_is_allowed() {
    for (name, mode, what) in [
        ("c.yml", 0o666, "the configuration"),
        ("pin", 0o622, "the PIN of partition default"),
        ("token", 0o660, "the access token of source qrypt"),
    ] {
        let folder = folder(&[("token", "t", 0o600), ("pin", "1", 0o600)]);
        let path = folder.path().join("c.yml");
        write(&path, referring(folder.path())).expect("written");
        let exposed = folder.path().join(name);
        // A link, as Kubernetes makes them, changes nothing.
        let target = folder.path().join("target");
        std::fs::rename(&exposed, &target).expect("renamed");
        std::os::unix::fs::symlink(&target, &exposed).expect("a link");
        set_permissions(&target, Permissions::from_mode(mode)).expect("chmod");
        let error = load(&path, &LENIENT).expect_err("refused").to_string();
        let file = exposed.display();
        assert_eq!(
            error,
            format!("{file}: other users can change {what}; run: chmod go-w {file}")
        );
    }
}

#[test]
fn an_anchor_command_that_others_can_change_is_refused() {
    let folder = folder(&[("anchor", "#!/bin/sh\n", 0o775)]);
    let (path, program) = (folder.path().join("c.yml"), folder.path().join("anchor"));
    let text = format!("{LITERAL}audit: {{ anchor: ['{}'] }}\n", program.display());
    write(&path, text).expect("written");
    set_permissions(&path, Permissions::from_mode(0o600)).expect("chmod");
    let refused = load(&path, &LENIENT).expect_err("others can change it");
    let program = program.display();
    assert_eq!(
        refused.to_string(),
        format!("{program}: other users can change the anchor command; run: chmod go-w {program}")
    );
    set_permissions(folder.path().join("anchor"), Permissions::from_mode(0o755)).expect("chmod");
    loaded(load(&path, &STRICT));
}

fn unreadable(path: &Path) -> std::io::Error {
    match load(path, &STRICT) {
        Err(LoadError::Unreadable { path: told, source }) => {
            assert_eq!(told, path);
            source
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_no_file_is_refused_without_waiting_for_it() {
    let folder = TempDir::new().expect("a folder");
    let missing = folder.path().join("missing.yml");
    assert_eq!(unreadable(&missing).kind(), ErrorKind::NotFound);
    let error = load(&missing, &STRICT).expect_err("refused").to_string();
    assert!(error.contains("missing.yml: No such file"), "{error}");
    let pipe = folder.path().join("pipe");
    let made = Command::new("mkfifo").arg(&pipe).status().expect("mkfifo");
    assert!(made.success());
    let inner = folder.path().join("inner");
    create_dir(&inner).expect("a folder");
    for path in [
        pipe,
        inner,
        PathBuf::from("/dev/zero"),
        PathBuf::from("/dev/null"),
    ] {
        assert_eq!(
            unreadable(&path).kind(),
            ErrorKind::InvalidInput,
            "{}",
            path.display()
        );
    }
}

#[test]
fn a_huge_file_is_refused_unread() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("huge.yml");
    // A hole of a terabyte: whoever reads it all does not come back.
    File::create(&path)
        .and_then(|file| file.set_len(1 << 40))
        .expect("a hole");
    let error = load(&path, &STRICT).expect_err("refused").to_string();
    assert!(
        error.contains("huge.yml:1:1: the file is longer than 1 MiB"),
        "{error}"
    );
    let mut file = File::create(&path).expect("a file");
    file.write_all(LITERAL.as_bytes()).expect("written");
    file.write_all(&vec![b'#'; MAX_CONFIG_BYTES - LITERAL.len()])
        .expect("written");
    set_permissions(&path, Permissions::from_mode(0o600)).expect("chmod");
    loaded(load(&path, &STRICT));
    file.write_all(b"#").expect("written");
    assert!(matches!(load(&path, &STRICT), Err(LoadError::Faulty(_))));
}

#[test]
fn what_is_not_utf8_names_its_place() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("c.yml");
    write(&path, b"size: 48\n\xc3\xa4: \xff\n").expect("written");
    let Err(LoadError::Faulty(report)) = load(&path, &STRICT) else {
        panic!("refused")
    };
    let expected = format!("{}:2:4: not UTF-8; save the file as UTF-8", path.display());
    assert_eq!(report.to_string(), expected);
}

#[test]
fn faults_come_before_permissions() {
    let folder = folder(&[("c.yml", &format!("{LITERAL}size: 0\n"), 0o644)]);
    let error = load(&folder.path().join("c.yml"), &STRICT).expect_err("refused");
    assert!(
        matches!(&error, LoadError::Faulty(report) if report.faults().len() == 1),
        "{error}"
    );
}

#[test]
fn relative_paths_count_from_the_configurations_folder() {
    let text = "\
sources:
  - { name: a, type: qrng-open-api, url: 'https://a.example', auth: mtls, tls: { ca: ca.pem, client_cert: sub/c.pem, client_key: file:k } }
  - { name: b, type: device, path: ../device }
partitions:
  - { name: p, module: ./m.so, slot: 1, pin: file:pin }
  - { name: q, module: libname.so, slot: 2, pin: file:/absolute }
  - { name: r, token: 'pkcs11:token=x?module-path=/sub/m.so&pin-source=file:pin' }
modules:
  - { path: ./m.so }
state_dir: state
audit: { file: a.jsonl, signing_key: file:key }
control_socket: s
";
    let folder = folder(&[("c.yml", text, 0o600)]);
    let config = load(&folder.path().join("c.yml"), &STRICT)
        .expect("valid")
        .config;
    let here = |path| folder.path().join(path);
    let tls = &config.sources[0].kind.http().expect("https").tls;
    assert_eq!(tls.ca, Some(here("ca.pem")));
    assert_eq!(tls.client_cert, Some(here("sub/c.pem")));
    assert_eq!(tls.client_key, Some(SecretRef::File(here("k"))));
    assert!(
        matches!(&config.sources[1].kind, SourceKind::Device { path, .. } if *path == here("../device"))
    );
    let pins: Vec<_> = config.partitions.iter().map(|it| it.pin.clone()).collect();
    let pin = |path| Pin::Given(SecretRef::File(path));
    assert_eq!(
        pins,
        [pin(here("pin")), pin("/absolute".into()), pin(here("pin"))]
    );
    let modules: Vec<_> = config.modules.iter().map(|it| it.path.clone()).collect();
    assert_eq!(
        modules,
        [here("./m.so"), "libname.so".into(), "/sub/m.so".into()]
    );
    assert_eq!(config.state_dir, here("state"));
    assert_eq!(config.control_socket, here("s"));
    let audit = config.audit.expect("a ledger");
    assert_eq!(audit.file, Path::new("a.jsonl"));
    assert_eq!(audit.signing_key, Some(SecretRef::File(here("key"))));
}

#[test]
fn root_that_acts_for_another_user_trusts_the_files_of_the_state_directorys_owner() {
    assert!(rustix::process::geteuid().is_root(), "this test needs root");
    let folder = folder(&[("token", "t", 0o600), ("pin", "1", 0o600)]);
    let path = folder.path().join("c.yml");
    let state = folder.path().join("state");
    write(
        &path,
        format!("{}state_dir: state\n", referring(folder.path())),
    )
    .expect("written");
    let give = |path: &Path, user| std::os::unix::fs::chown(path, Some(user), None).expect("chown");
    give(&folder.path().join("pin"), 4321);
    let operator = LoadOptions {
        for_another_user: true,
        ..STRICT
    };
    let refused = load(&path, &STRICT).expect_err("qseed itself runs as root");
    let text = "user 4321 owns and can change the PIN of partition default";
    assert!(refused.to_string().contains(text), "{refused}");
    // Nobody knows yet as whom the daemon runs.
    let told = warnings(load(&path, &operator));
    assert!(told.concat().contains(text), "{told:?}");
    create_dir(&state).expect("made");
    give(&state, 4321);
    assert_eq!(warnings(load(&path, &operator)), [""; 0]);
    give(&state, 1234);
    assert_eq!(warnings(load(&path, &operator)).len(), 1);
    set_permissions(folder.path().join("pin"), Permissions::from_mode(0o622)).expect("chmod");
    load(&path, &operator).expect_err("others can change it");
}
