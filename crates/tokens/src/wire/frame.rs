//! Frames: a length of four bytes, big-endian, then that many bytes of postcard.

use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::{Zeroize, Zeroizing};

/// The longest seed that crosses to a worker, in bytes.
pub const MAX_SEED_BYTES: usize = 65_536;

/// The longest content of a frame, in bytes: a seed and what stands around it.
pub const MAX_FRAME_BYTES: usize = MAX_SEED_BYTES + 4_096;

/// The longest content of a frame from a worker, in bytes: a failure's text is the longest part.
pub const MAX_REPLY_BYTES: usize = 8_192;

const LENGTH_BYTES: usize = 4;

/// The first size of a decoder's buffer, in bytes: most messages are far shorter.
const FIRST_BUFFER_BYTES: usize = 4_096;

/// Why bytes are no frame. Reveals nothing of their content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The announced or needed length is above what the stream's frames may have.
    #[error("a frame of {0} bytes is longer than the protocol allows")]
    TooLong(usize),
    /// The content is no message of this version of the protocol, or more than one.
    #[error("a frame holds no message of this protocol version")]
    Malformed,
}

/// A message as a frame, in a buffer that is wiped when dropped and never moved while it filled.
///
/// # Errors
/// [`FrameError::TooLong`] where the message does not fit.
pub fn encode<T: Serialize>(message: &T) -> Result<Zeroizing<Vec<u8>>, FrameError> {
    // Postcard fails for sequences of unknown length alone, which no message has.
    let length =
        postcard::experimental::serialized_size(message).map_err(|_| FrameError::Malformed)?;
    let announced = u32::try_from(length)
        .ok()
        .filter(|_| length <= MAX_FRAME_BYTES)
        .ok_or(FrameError::TooLong(length))?;
    let mut frame = Zeroizing::new(vec![0; LENGTH_BYTES + length]);
    frame[..LENGTH_BYTES].copy_from_slice(&announced.to_be_bytes());
    postcard::to_slice(message, &mut frame[LENGTH_BYTES..]).map_err(|_| FrameError::Malformed)?;
    Ok(frame)
}

/// Takes frames out of a stream that arrives in pieces. It reads nothing itself, so that both the
/// daemon's side and the worker's can use it:
///
/// ```
/// # use qseed_tokens::wire::{Decoder, FrameError, encode};
/// # fn example(mut stream: impl std::io::Read) -> Result<(), Box<dyn std::error::Error>> {
/// let mut decoder = Decoder::new(qseed_tokens::wire::MAX_FRAME_BYTES);
/// loop {
///     while let Some(message) = decoder.next_message::<String>()? {
///         println!("{message}");
///     }
///     let read = stream.read(decoder.space())?;
///     if read == 0 {
///         return Ok(());
///     }
///     decoder.filled(read);
/// }
/// # }
/// # example(encode(&"hello")?.as_slice())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// It never holds more than one frame of the greatest length, and wipes each message's bytes once
/// the message was read.
pub struct Decoder {
    buffer: Zeroizing<Vec<u8>>,
    start: usize,
    end: usize,
    max_content: usize,
}

impl Decoder {
    /// A decoder at the beginning of a stream whose frames hold no more than `max_content` bytes.
    #[must_use]
    pub fn new(max_content: usize) -> Self {
        Self {
            buffer: Zeroizing::new(vec![0; FIRST_BUFFER_BYTES]),
            start: 0,
            end: 0,
            max_content,
        }
    }

    /// Where to put what arrives next: never empty after [`Self::next_message`] answered `None`.
    pub fn space(&mut self) -> &mut [u8] {
        if self.start > 0 {
            let held = self.end - self.start;
            self.buffer.copy_within(self.start..self.end, 0);
            self.buffer[held..self.end].zeroize();
            self.start = 0;
            self.end = held;
        }
        &mut self.buffer[self.end..]
    }

    /// Says that the first `bytes` of [`Self::space`] were filled.
    ///
    /// # Panics
    /// If there was not that much space.
    pub fn filled(&mut self, bytes: usize) {
        assert!(bytes <= self.buffer.len() - self.end, "more than the space");
        self.end += bytes;
    }

    /// The next message, `None` until more has arrived.
    ///
    /// # Errors
    /// [`FrameError`] where the stream holds no such message; the rest of it cannot be read.
    pub fn next_message<T: DeserializeOwned>(&mut self) -> Result<Option<T>, FrameError> {
        let held = &self.buffer[self.start..self.end];
        let Some((length, content)) = held.split_first_chunk::<LENGTH_BYTES>() else {
            return Ok(None);
        };
        // A length that does not fit a usize is too long in any case.
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        if length > self.max_content {
            return Err(FrameError::TooLong(length));
        }
        let Some(content) = content.get(..length) else {
            self.make_room(LENGTH_BYTES + length);
            return Ok(None);
        };
        let Ok((message, [])) = postcard::take_from_bytes(content) else {
            return Err(FrameError::Malformed);
        };
        let end = self.start + LENGTH_BYTES + length;
        self.buffer[self.start..end].zeroize();
        self.start = end;
        Ok(Some(message))
    }

    /// Makes the buffer large enough for a frame of `needed` bytes; the old one is wiped.
    fn make_room(&mut self, needed: usize) {
        if needed <= self.buffer.len() {
            return;
        }
        let mut larger = Zeroizing::new(vec![0; needed]);
        let held = self.end - self.start;
        larger[..held].copy_from_slice(&self.buffer[self.start..self.end]);
        self.buffer = larger;
        self.start = 0;
        self.end = held;
    }
}

#[cfg(test)]
mod tests {
    use super::{Decoder, FrameError, LENGTH_BYTES, MAX_FRAME_BYTES, encode};

    fn feed(decoder: &mut Decoder, mut bytes: &[u8]) -> Result<Vec<String>, FrameError> {
        let mut messages = Vec::new();
        loop {
            while let Some(message) = decoder.next_message()? {
                messages.push(message);
            }
            if bytes.is_empty() {
                return Ok(messages);
            }
            let space = decoder.space();
            let part = space.len().min(bytes.len());
            space[..part].copy_from_slice(&bytes[..part]);
            decoder.filled(part);
            bytes = &bytes[part..];
        }
    }

    #[test]
    fn frames_arrive_however_they_are_cut() {
        let long = "x".repeat(MAX_FRAME_BYTES - 3);
        let mut stream = Vec::new();
        for text in ["", "one", &long, "two"] {
            stream.extend_from_slice(&encode(&text).expect("fits"));
        }
        for piece in [1, 2, 3, 7, 4_095, 4_096, 4_097, stream.len()] {
            let mut decoder = Decoder::new(MAX_FRAME_BYTES);
            let mut got = Vec::new();
            for part in stream.chunks(piece) {
                got.extend(feed(&mut decoder, part).expect("valid"));
            }
            assert_eq!(got, ["", "one", &long, "two"], "in pieces of {piece}");
            assert_eq!(decoder.start, decoder.end, "nothing is left over");
        }
    }

    #[test]
    fn a_frame_above_the_bound_is_refused_before_it_is_held() {
        let text = "x".repeat(MAX_FRAME_BYTES);
        assert!(matches!(encode(&text), Err(FrameError::TooLong(_))));
        let mut decoder = Decoder::new(MAX_FRAME_BYTES);
        let refused = feed(&mut decoder, &u32::MAX.to_be_bytes());
        assert_eq!(refused, Err(FrameError::TooLong(0xffff_ffff)));
        assert!(decoder.buffer.len() < MAX_FRAME_BYTES);
    }

    #[test]
    fn what_is_no_message_is_refused() {
        let no_content = feed(&mut Decoder::new(MAX_FRAME_BYTES), &[0, 0, 0, 0]);
        assert_eq!(no_content, Err(FrameError::Malformed));
        let cut_text = feed(&mut Decoder::new(MAX_FRAME_BYTES), &[0, 0, 0, 2, 9, b'x']);
        assert_eq!(cut_text, Err(FrameError::Malformed));
        let two_texts = feed(
            &mut Decoder::new(MAX_FRAME_BYTES),
            &[0, 0, 0, 3, 1, b'x', 0],
        );
        assert_eq!(two_texts, Err(FrameError::Malformed));
    }

    #[test]
    fn what_was_handed_out_is_wiped() {
        let mut decoder = Decoder::new(MAX_FRAME_BYTES);
        let frame = encode(&"secret").expect("fits");
        assert_eq!(feed(&mut decoder, &frame).expect("valid"), ["secret"]);
        assert!(decoder.buffer.iter().all(|byte| *byte == 0));
        // The beginning of a frame that moves to the front leaves nothing where it was.
        feed(&mut decoder, &frame).expect("valid");
        feed(&mut decoder, &frame[..LENGTH_BYTES + 3]).expect("valid");
        decoder.space();
        assert!(
            decoder.buffer[LENGTH_BYTES + 3..]
                .iter()
                .all(|byte| *byte == 0)
        );
    }
}
