//! Any bytes on a worker's socket, in pieces: neither side reads beyond the bound or panics, and
//! what was read can be said again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use qseed_tokens::wire::{
    Decoder, FrameError, FromWorker, MAX_FRAME_BYTES, MAX_REPLY_BYTES, ToWorker, encode,
};

// The first byte says which side listens and in what pieces the bytes arrive.
fuzz_target!(|input: &[u8]| {
    let [how, stream @ ..] = input else { return };
    let piece = usize::from(how >> 1) + 1;
    // A stream that is of no use any more ends there.
    let _ = if how & 1 == 0 {
        listen(stream, piece, MAX_REPLY_BYTES, |decoder| {
            let message = decoder.next_message::<FromWorker>()?;
            Ok(message.map(|message| assert!(encode(&message).is_ok())))
        })
    } else {
        listen(stream, piece, MAX_FRAME_BYTES, |decoder| {
            let message = decoder.next_message::<ToWorker>()?;
            Ok(message.map(|message| assert!(encode(&message).is_ok())))
        })
    };
});

fn listen(
    stream: &[u8],
    piece: usize,
    most: usize,
    next: impl Fn(&mut Decoder) -> Result<Option<()>, FrameError>,
) -> Result<(), FrameError> {
    let mut decoder = Decoder::new(most);
    for mut arrived in stream.chunks(piece) {
        while !arrived.is_empty() {
            let space = decoder.space();
            assert!(!space.is_empty() && space.len() <= most + 4);
            let part = space.len().min(arrived.len());
            space[..part].copy_from_slice(&arrived[..part]);
            decoder.filled(part);
            arrived = &arrived[part..];
            while next(&mut decoder)?.is_some() {}
        }
    }
    Ok(())
}
