//! Character devices and named pipes.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use qseed_entropy::Entropy;
use qseed_sources::{FetchError, Settings, Source};
use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::{PATIENT, SHORT, ask, fetch_in_time, source};

fn device(path: impl Into<PathBuf>, timeout: std::time::Duration) -> Box<dyn Source> {
    source(Settings::Device {
        path: path.into(),
        timeout,
    })
}

/// A named pipe in a folder of its own.
fn pipe() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("pipe");
    mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a pipe");
    (folder, path)
}

/// The writing end, which can be had once the source has the reading end.
fn writer(path: &Path) -> File {
    OpenOptions::new().write(true).open(path).expect("a writer")
}

fn bytes(fetched: Result<Entropy, FetchError>) -> Vec<u8> {
    fetched.expect("a delivery").expose().to_vec()
}

#[tokio::test]
async fn a_character_device_delivers_exactly() {
    for path in ["/dev/urandom", "/dev/zero"] {
        let mut device = device(path, PATIENT);
        for (size, count) in [(1, 1), (48, 3), (1024, 512)] {
            let delivery = device.fetch(ask(size, count)).await.expect("a delivery");
            assert_eq!(delivery.len(), ask(size, count).shape.bytes());
            let traffic = device.take_traffic();
            assert_eq!((traffic.sent, traffic.link), (1, None));
        }
    }
}

#[tokio::test]
async fn a_pipe_delivers_in_order_and_nothing_twice() {
    let (_folder, path) = pipe();
    let mut device = device(&path, PATIENT);
    device.connect().await.expect("the reading end");
    writer(&path)
        .write_all(&[1, 2, 3, 4, 5, 6, 7])
        .expect("written");
    assert_eq!(bytes(device.fetch(ask(2, 2)).await), [1, 2, 3, 4]);
    let rest = path.clone();
    let late = std::thread::spawn(move || writer(&rest).write_all(&[8, 9]).expect("written"));
    assert_eq!(bytes(device.fetch(ask(5, 1)).await), [5, 6, 7, 8, 9]);
    late.join().expect("written");
}

#[tokio::test]
async fn a_slow_pipe_is_read_over_several_fetches() {
    let (_folder, path) = pipe();
    let mut device = device(&path, SHORT);
    device.connect().await.expect("the reading end");
    let mut writer = writer(&path);
    writer.write_all(&[1, 2, 3]).expect("written");
    let failed = device.fetch(ask(6, 1)).await.expect_err("not all came");
    assert_eq!((failed.code(), device.take_traffic().sent), ("timeout", 1));
    let fetched = fetch_in_time(&mut *device, ask(2, 1)).await;
    assert_eq!(bytes(fetched), [1, 2]);
    writer.write_all(&[4, 5, 6]).expect("written");
    let fetched = fetch_in_time(&mut *device, ask(4, 1)).await;
    assert_eq!(bytes(fetched), [3, 4, 5, 6]);
}

#[tokio::test]
async fn a_device_that_gives_nothing_times_out() {
    let (_folder, path) = pipe();
    for path in [Path::new("/dev/null"), &path] {
        let mut device = device(path, SHORT);
        for _ in 0..2 {
            let failed = device.fetch(ask(48, 1)).await.expect_err("nothing");
            assert_eq!(failed.code(), "timeout");
            assert!(
                failed.to_string().contains(&*path.to_string_lossy()),
                "{failed}"
            );
        }
    }
}

#[tokio::test]
async fn what_is_no_device_is_refused() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), [1; 4096]).expect("written");
    let folder = tempfile::tempdir().expect("a folder");
    for path in [file.path(), folder.path()] {
        let failed = device(path, PATIENT)
            .fetch(ask(48, 1))
            .await
            .expect_err("no device");
        assert!(
            failed.to_string().contains("neither a character device"),
            "{failed}"
        );
    }
    let missing = folder.path().join("missing");
    let seen = device(missing, PATIENT).inspect().await;
    assert!(
        matches!(seen.reached, Err(FetchError::Device { .. })),
        "{seen:?}"
    );
}

#[tokio::test]
async fn a_device_that_comes_back_is_opened_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("device");
    let mut device = device(&path, PATIENT);
    device.fetch(ask(48, 1)).await.expect_err("not there yet");
    std::os::unix::fs::symlink("/dev/urandom", &path).expect("a link");
    assert_eq!(bytes(device.fetch(ask(48, 1)).await).len(), 48);
}
