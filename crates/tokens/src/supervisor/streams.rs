//! The socket's two directions.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::allowance::Allowance;
use super::{Misbehaviour, Reporter, WorkerEvent};
use crate::wire::{self, Decoder, ToWorker};

/// Sends the first message, and the pipe that holds the worker's PINs beside it. The socket is
/// empty and takes both at once.
pub(super) fn greet(socket: impl AsFd, hello: &ToWorker, pins: Option<&OwnedFd>) -> io::Result<()> {
    let frame = wire::encode(hello).map_err(io::Error::other)?;
    let fds: Vec<_> = pins.map(AsFd::as_fd).into_iter().collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut beside = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() {
        beside.push(SendAncillaryMessage::ScmRights(&fds));
    }
    let sent = sendmsg(
        socket,
        &[IoSlice::new(&frame)],
        &mut beside,
        SendFlags::NOSIGNAL,
    )?;
    if sent < frame.len() {
        return Err(Errno::MSGSIZE.into());
    }
    Ok(())
}

/// Writes to the daemon's end of the socket, which does not block.
///
/// It is registered for writing only while it is full. A socket that is registered for reading and
/// writing wakes the daemon each time that the worker has read a message.
async fn write_all(socket: &OwnedFd, bytes: &[u8]) -> io::Result<()> {
    let sent = match rustix::net::send(socket, bytes, SendFlags::NOSIGNAL) {
        Ok(sent) => sent,
        Err(Errno::AGAIN | Errno::INTR) => 0,
        Err(error) => return Err(error.into()),
    };
    let rest = &bytes[sent..];
    if rest.is_empty() {
        return Ok(());
    }
    let mut sender = pipe::Sender::from_owned_fd_unchecked(socket.try_clone()?)?;
    sender.write_all(rest).await
}

/// Reports each message, until the stream ends or breaks the protocol.
pub(super) async fn read_messages(
    mut socket: pipe::Receiver,
    mut allowance: Allowance,
    events: Reporter,
) {
    let mut decoder = Decoder::new(wire::MAX_REPLY_BYTES);
    loop {
        let event = match decoder.next_message() {
            Ok(Some(_)) if !allowance.spend(Instant::now()) => {
                events
                    .report(WorkerEvent::Misbehaves(Misbehaviour::Floods))
                    .await;
                return;
            }
            Ok(Some(message)) => WorkerEvent::Message(message),
            Ok(None) => {
                // The process's end is reported elsewhere; a frame that it cut off adds nothing.
                match socket.read(decoder.space()).await {
                    Ok(0) | Err(_) => return,
                    Ok(read) => decoder.filled(read),
                }
                continue;
            }
            Err(error) => {
                events.report(WorkerEvent::Misbehaves(error.into())).await;
                return;
            }
        };
        if !events.report(event).await {
            return;
        }
    }
}

/// Sends what is queued, until the worker or its handle is gone. Each frame is wiped once sent.
pub(super) async fn write_messages(socket: OwnedFd, mut queue: mpsc::UnboundedReceiver<ToWorker>) {
    while let Some(message) = queue.recv().await {
        // A message that does not fit a frame cannot come about: seeds are the longest, and no
        // longer than the bound; but a longer one must not end the others.
        let Ok(frame) = wire::encode(&message) else {
            continue;
        };
        drop(message);
        if write_all(&socket, &frame).await.is_err() {
            return;
        }
    }
}
