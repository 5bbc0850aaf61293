use qseed_entropy::Seed;
use qseed_model::uri::TokenUri;
use qseed_model::{Login, TokenChoice};
use qseed_secrets::Secret;

use super::{
    Decoder, FrameError, FromWorker, MAX_FRAME_BYTES, MAX_SEED_BYTES, Open, PinSource, ToWorker,
    encode,
};

fn decode(frame: &[u8]) -> Result<ToWorker, FrameError> {
    let mut decoder = Decoder::new(MAX_FRAME_BYTES);
    let mut rest = frame;
    loop {
        if let Some(message) = decoder.next_message()? {
            return Ok(message);
        }
        let space = decoder.space();
        let part = space.len().min(rest.len());
        assert!(part > 0, "a whole frame holds a message");
        space[..part].copy_from_slice(&rest[..part]);
        decoder.filled(part);
        rest = &rest[part..];
    }
}

fn seed(length: usize) -> ToWorker {
    ToWorker::Seed {
        partition: u32::MAX,
        job: u64::MAX,
        seed: Seed::new(vec![0xab; length]),
    }
}

#[test]
fn seeds_of_every_length_cross() {
    for length in [1, 48, 511, 4_096, MAX_SEED_BYTES] {
        let frame = encode(&seed(length)).expect("fits");
        let Ok(ToWorker::Seed {
            partition,
            job,
            seed,
        }) = decode(&frame)
        else {
            panic!("no seed of {length} bytes");
        };
        assert_eq!((partition, job), (u32::MAX, u64::MAX));
        assert!(seed.len() == length && seed.expose().iter().all(|byte| *byte == 0xab));
    }
}

#[test]
fn seeds_of_no_length_do_not() {
    for length in [0, MAX_SEED_BYTES + 1] {
        let frame = encode(&seed(length)).expect("fits a frame");
        assert_eq!(decode(&frame).expect_err("refused"), FrameError::Malformed);
    }
}

#[test]
fn every_way_to_a_pin_crosses() {
    let mut uri = Box::new(TokenUri {
        token: Some("a".to_owned()),
        ..TokenUri::default()
    });
    for pin in [
        PinSource::None,
        PinSource::File("/etc/pin".into()),
        PinSource::Credential("pin".into()),
        PinSource::Sent,
    ] {
        let open = Open {
            partition: 3,
            token: TokenChoice::Uri(uri),
            first: None,
            login: Login::Vendor(0x8000_0001),
            pin: pin.clone(),
            guard_key_may_be_made: true,
            chunk: None,
        };
        let frame = encode(&ToWorker::Open(open)).expect("fits");
        let Ok(ToWorker::Open(open)) = decode(&frame) else {
            panic!("no such message");
        };
        assert_eq!(open.pin, pin);
        let TokenChoice::Uri(back) = open.token else {
            panic!("no URI");
        };
        uri = back;
    }
}

#[test]
fn printing_a_message_shows_no_secret() {
    let message = ToWorker::Pin {
        partition: 3,
        pin: Secret::new(b"hunter2".to_vec()),
    };
    assert!(!format!("{message:?}").contains("hunter2"));
    let seed = ToWorker::Seed {
        partition: 1,
        job: 1,
        seed: Seed::new(vec![200; 4]),
    };
    assert!(!format!("{seed:?}").contains("200"));
}

/// Bytes without order, the same at each run (xorshift).
fn noise(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

#[test]
fn hostile_frames_are_refused_or_read_and_no_more() {
    let mut state = 0x9e37_79b9_7f4a_7c15;
    for _ in 0..20_000 {
        let length = noise(&mut state) % 64;
        let mut frame = vec![0, 0, 0, u8::try_from(length).expect("below 64")];
        frame.extend((0..length).map(|_| {
            // Small numbers lead deeper into messages than large ones.
            let byte = noise(&mut state).to_le_bytes()[0];
            if byte & 0x80 == 0 { byte % 16 } else { byte }
        }));
        let mut decoder = Decoder::new(MAX_FRAME_BYTES);
        decoder.space()[..frame.len()].copy_from_slice(&frame);
        decoder.filled(frame.len());
        if let Ok(Some(message)) = decoder.next_message::<FromWorker>() {
            assert!(encode(&message).is_ok(), "what was read can be said");
        }
        let mut decoder = Decoder::new(MAX_FRAME_BYTES);
        decoder.space()[..frame.len()].copy_from_slice(&frame);
        decoder.filled(frame.len());
        let _ = decoder.next_message::<ToWorker>();
    }
}
