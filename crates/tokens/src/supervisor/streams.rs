//! The socket's two directions.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;

use super::{Reporter, WorkerEvent};
use crate::wire::{self, Decoder, ToWorker};

/// Reports each message, until the stream ends or is of no use.
pub(super) async fn read_messages(mut socket: OwnedReadHalf, events: Reporter) {
    let mut decoder = Decoder::new();
    loop {
        let event = match decoder.next_message() {
            Ok(Some(message)) => WorkerEvent::Message(message),
            Ok(None) => {
                // An end, or a reset, is told by the process's end; a frame that was cut by it
                // has nothing to add.
                match socket.read(decoder.space()).await {
                    Ok(0) | Err(_) => return,
                    Ok(read) => decoder.filled(read),
                }
                continue;
            }
            Err(error) => {
                events.report(WorkerEvent::ProtocolError(error)).await;
                return;
            }
        };
        if !events.report(event).await {
            return;
        }
    }
}

/// Sends what is queued, until the worker or its handle is gone. Each frame is wiped once sent.
pub(super) async fn write_messages(
    mut socket: OwnedWriteHalf,
    mut queue: mpsc::UnboundedReceiver<ToWorker>,
) {
    while let Some(message) = queue.recv().await {
        // A message that does not fit a frame cannot come about: seeds are the longest, and no
        // longer than the bound; but a longer one must not end the others.
        let Ok(frame) = wire::encode(&message) else {
            continue;
        };
        drop(message);
        if socket.write_all(&frame).await.is_err() {
            return;
        }
    }
}
