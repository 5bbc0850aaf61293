//! What the service manager is told (`sd_notify(3)`).

use std::ffi::OsStr;
use std::fmt::Write;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use sd_notify::NotifyState;

/// Tells the service manager, where there is one.
pub(super) fn notify(states: &[NotifyState<'_>]) {
    if let Some(address) = std::env::var_os("NOTIFY_SOCKET") {
        // A manager that does not listen is no reason to stop seeding.
        let _ = send(&address, states);
    }
}

fn send(address: &OsStr, states: &[NotifyState<'_>]) -> io::Result<usize> {
    let address = match address.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(address)?,
    };
    let mut message = String::new();
    for state in states {
        writeln!(message, "{state}").expect("a String takes any text");
    }
    let socket = UnixDatagram::unbound()?;
    // A manager that is slow must not hold the daemon up.
    socket.set_nonblocking(true)?;
    socket.send_to_addr(message.as_bytes(), &address)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixDatagram};

    use sd_notify::NotifyState;

    use super::send;

    #[test]
    fn a_manager_is_reached_by_a_path_and_by_an_abstract_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("notify");
        let name = format!("qseed-test-{}", std::process::id());
        let by_name = SocketAddr::from_abstract_name(&name).expect("a name");
        let managers = [
            (path.clone().into_os_string(), UnixDatagram::bind(&path)),
            (
                OsString::from(format!("@{name}")),
                UnixDatagram::bind_addr(&by_name),
            ),
        ];
        for (address, manager) in managers {
            let manager = manager.expect("bound");
            send(&address, &[NotifyState::Ready]).expect("sent");
            let mut told = [0; 64];
            let length = manager.recv(&mut told).expect("received");
            assert_eq!(&told[..length], b"READY=1\n");
        }
    }
}
