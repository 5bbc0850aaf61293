//! What a hostile library tries.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Something that a hostile library tries. What it says of "the parent" is about the process that
/// started the one that loaded the library.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Attempt {
    /// Opens a file and reads a byte.
    Read(PathBuf),
    /// Opens a file and appends a byte.
    Append(PathBuf),
    /// Empties a file.
    Truncate(PathBuf),
    /// Makes a file that is not there.
    Create(PathBuf),
    /// Removes a file.
    Remove(PathBuf),
    /// Gives a file another name.
    Rename(PathBuf, PathBuf),
    /// Opens the parent's memory.
    OpenMemory,
    /// Copies from the parent's memory (`process_vm_readv`).
    CopyMemory,
    /// Reads the parent's environment.
    ReadEnvironment,
    /// Traces the parent.
    Trace,
    /// Takes the parent's descriptor of this number.
    TakeDescriptor(i32),
    /// Kills the parent.
    KillParent,
    /// Kills this process.
    Kill(i32),
    /// Makes a socket of a family (`AF_…`) and a type (`SOCK_…`).
    Socket(i32, i32),
    /// Connects to a TCP port.
    Connect(SocketAddr),
    /// Connects to a Unix socket.
    ConnectLocal(PathBuf),
    /// Sets `io_uring` up.
    IoUring,
    /// Starts so many processes, each of which keeps a processor busy until it is killed.
    Fork(u32),
    /// Takes so many bytes of memory, and keeps them.
    Grow(u64),
}
