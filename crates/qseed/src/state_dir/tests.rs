use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use super::{Acting, Found, SharedFile, StateDir, StateDirError};
use crate::exit::Code;

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

fn open(path: &Path) -> Result<StateDir, StateDirError> {
    StateDir::open(path, Acting::ForItself)
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("changed");
}

#[test]
fn a_file_behind_a_link_is_neither_read_nor_written() {
    let (folder, elsewhere) = (folder(), folder());
    let victim = elsewhere.path().join("victim");
    std::fs::write(&victim, "precious").expect("written");
    symlink(&victim, folder.path().join("file")).expect("linked");
    let state = open(folder.path()).expect("a state directory");
    for append in [false, true] {
        let opened = state.open_file("file", append);
        assert!(matches!(opened, Err(StateDirError::NotAFile { .. })));
    }
    let judged = state.judge("file");
    assert!(matches!(judged, Err(StateDirError::NotAFile { .. })));
    state.replace("file", b"new").expect("replaced");
    assert_eq!(std::fs::read(&victim).expect("there"), b"precious");
    let content = state.read("file", 10).expect("readable");
    assert_eq!(content.as_deref(), Some(&b"new"[..]));
    let left = std::fs::read_dir(folder.path()).expect("a folder");
    assert_eq!(left.count(), 1, "nothing else is left");
}

/// As systemd makes it for a service with `DynamicUser=`.
#[test]
fn the_folder_itself_may_be_a_link() {
    let folder = folder();
    let link = folder.path().join("link");
    std::fs::create_dir(folder.path().join("private")).expect("made");
    symlink("private", &link).expect("linked");
    let state = StateDir::create(&link).expect("a state directory");
    let mut file = SharedFile::open(state, "file", 10);
    let file = file.as_mut().expect("made");
    let found = file.lock().expect("locked");
    assert!(matches!(found, Found::Replaced(text) if text.is_empty()));
    file.append("b\n", true).expect("written");
    assert!(file.is_known() && link.join("file").exists());
}

#[test]
fn a_pipe_or_folder_in_the_place_of_a_file_holds_nothing_up() {
    let folder = folder();
    let state = open(folder.path()).expect("a state directory");
    std::fs::create_dir(folder.path().join("folder")).expect("made");
    let pipe = rustix::fs::CWD;
    let path = folder.path().join("pipe");
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(pipe, &path, rustix::fs::FileType::Fifo, mode, 0).expect("made");
    for name in ["folder", "pipe"] {
        for append in [false, true] {
            let opened = state.open_file(name, append);
            assert!(
                matches!(opened, Err(StateDirError::NotAFile { .. })),
                "{name}"
            );
        }
    }
}

#[test]
fn what_others_can_write_is_refused_with_the_chmod() {
    let folder = folder();
    let path = folder.path().join("state");
    let state = StateDir::create(&path).expect("made");
    state.replace("file", b"x").expect("made");
    set_mode(&path.join("file"), 0o644);
    state.judge("file").expect("only readable");
    let why = state.judge_secret("file").expect_err("readable by others");
    assert!(why.fix().is_some_and(|fix| fix.contains("go-rwx")));
    set_mode(&path.join("file"), 0o622);
    for opened in [state.read("file", 10).map(drop), state.judge("file")] {
        let why = opened.expect_err("writable by others");
        assert!(why.to_string().contains("chmod go-w"), "{why}");
    }
    set_mode(&path, 0o777);
    let why = open(&path).expect_err("writable by others");
    set_mode(&path, 0o1777);
    let shared = open(&path).expect_err("a shared folder").to_string();
    assert!(!shared.contains("chmod"), "{shared}");
    assert!(
        why.code() == Code::Permission && why.to_string().contains("0777"),
        "{why}"
    );
}

#[test]
fn root_does_not_use_a_strangers_directory_for_itself_and_gives_him_what_it_makes_for_him() {
    let is_root = rustix::process::geteuid().is_root();
    assert!(is_root, "this test needs root");
    let folder = folder();
    std::os::unix::fs::chown(folder.path(), Some(65534), Some(65534)).expect("given away");
    let why = open(folder.path()).expect_err("a stranger's");
    assert!(matches!(why, StateDirError::NotOurs { owner: 65534, .. }));
    let state = StateDir::open(folder.path(), Acting::ForOwner).expect("for him");
    let file = state.replace("file", b"x").expect("made");
    let meta = file.metadata().expect("a file");
    assert_eq!(std::os::unix::fs::MetadataExt::uid(&meta), 65534);
}

#[test]
fn the_next_start_removes_what_a_killed_process_left_and_nothing_else() {
    let folder = folder();
    let state = StateDir::create(folder.path()).expect("a state directory");
    let in_use = state.create_new(".qseed-1").expect("made").expect("new");
    for name in [".qseed-2", ".other"] {
        std::fs::write(folder.path().join(name), "").expect("written");
    }
    StateDir::create(folder.path()).expect("a state directory");
    let left = [".qseed-1", ".qseed-2", ".other"].map(|name| state.exists(name));
    assert_eq!(left, [true, false, true]);
    drop(in_use);
    StateDir::create(folder.path()).expect("a state directory");
    assert!(!state.exists(".qseed-1"));
}

#[test]
fn the_advice_can_be_pasted_into_a_shell() {
    let folder = folder();
    let path = folder.path().join("a state's folder");
    StateDir::create(&path).expect("made");
    set_mode(&path, 0o777);
    let why = open(&path).expect_err("writable by others").to_string();
    assert!(why.contains(r"run: chmod go-w '/"), "{why}");
    assert!(why.ends_with(r"/a state'\''s folder'"), "{why}");
}

#[test]
fn a_long_file_is_not_read() {
    let folder = folder();
    let state = open(folder.path()).expect("a state directory");
    state.replace("file", &[7; 11]).expect("written");
    let read = state.read("file", 10);
    assert!(matches!(read, Err(StateDirError::TooLong { .. })));
    assert!(state.read("other", 10).expect("no file").is_none());
}

#[test]
fn a_name_that_is_taken_is_not_taken_away() {
    let folder = folder();
    let state = open(folder.path()).expect("a state directory");
    state.make("a", b"a").expect("made");
    state.make("b", b"b").expect("made");
    let taken = [state.make("a", b"c").map(drop), state.move_to("a", "b")];
    for refused in taken {
        let why = refused.expect_err("the name is taken");
        assert!(why.to_string().contains("exists"), "{why}");
    }
    state.move_to("a", "c").expect("renamed");
    assert_eq!(state.names("").expect("a folder"), ["b", "c"]);
    let content = |name| state.read(name, 10).expect("read").expect("a file");
    assert_eq!((content("b"), content("c")), (b"b".to_vec(), b"a".to_vec()));
}
