//! Faults of the JSON, the counts and the entropy, as they come over the wire.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE};
use qseed_entropy_service::{Base64Fault, EntropyService, Fault, Options};

use crate::client::{Answer, Client, start};

/// Asks once under `fault`, for 3 blocks of 48 bytes.
fn under(fault: Fault) -> (EntropyService, Answer) {
    let service = start(Options::default().fault(fault.clone()));
    let answer = Client::connect(&service).ask(48, 3);
    assert_eq!(answer.status, 200);
    let served = service.served().pop().expect("written down");
    assert_eq!(served.is_good(), fault.is_legal());
    assert_eq!(served.faults, [fault]);
    (service, answer)
}

/// The lengths of the blocks under `fault`, which are also those written down.
fn lengths(fault: Fault) -> Vec<usize> {
    let (service, answer) = under(fault);
    let served = service.served().pop().expect("written down");
    assert_eq!(*served.blocks, *answer.blocks());
    served.blocks.iter().map(Vec::len).collect()
}

#[test]
fn counts_and_lengths_deviate_by_one() {
    assert_eq!(lengths(Fault::TooFewBlocks), [48, 48]);
    assert_eq!(lengths(Fault::TooManyBlocks), [48; 4]);
    assert_eq!(lengths(Fault::ShortBlock), [48, 48, 47]);
    assert_eq!(lengths(Fault::LongBlock), [48, 48, 49]);
    assert_eq!(lengths(Fault::NoBlocks), [0; 0]);
}

#[test]
fn entropy_is_spoiled() {
    let bytes = |fault| under(fault).1.blocks().concat();
    assert_eq!(bytes(Fault::AllZero), [0; 144]);
    assert!(
        bytes(Fault::Text)
            .iter()
            .all(|byte| (b' '..=b'~').contains(byte))
    );
    assert_eq!(bytes(Fault::Biased(100)), [0xA5; 144]);
    let blocks = under(Fault::RepeatedBlock).1.blocks();
    assert_eq!(blocks[0], blocks[2]);
    assert_ne!(blocks[0], blocks[1]);
}

#[test]
fn a_replay_repeats_the_last_good_answer() {
    let service = start(Options::default());
    let mut client = Client::connect(&service);
    let good = client.ask(48, 3).blocks();
    service.fault_next(Fault::AllZero, 1);
    service.fault_next(Fault::Replay, 2);
    assert_ne!(client.ask(48, 3).blocks(), good);
    assert_eq!(client.ask(48, 3).blocks(), good);
    assert_eq!(client.ask(16, 1).blocks(), good, "whatever was asked for");
    assert_eq!(client.ask(16, 1).blocks().concat().len(), 16);
    let good = service
        .served()
        .iter()
        .map(|answer| answer.is_good())
        .collect::<Vec<_>>();
    assert_eq!(good, [true, false, false, false, true]);
}

#[test]
fn json_is_spoiled() {
    let text = |fault| under(fault).1.text().to_owned();
    let cut = text(Fault::InvalidJson);
    assert!(cut.starts_with("{\"entropy\":[") && !cut.ends_with('}'));
    assert!(text(Fault::TrailingBytes).ends_with("}{}"));
    assert!(text(Fault::WrongField).starts_with("{\"entropies\":["));
    assert_eq!(
        text(Fault::RepeatedField).matches("\"entropy\":[").count(),
        2
    );
    let (service, answer) = under(Fault::ExtraFields);
    assert_eq!(answer.json()["flag"], true);
    assert_eq!(*answer.blocks(), *service.served()[0].blocks);
}

#[test]
fn base64_is_spoiled_in_the_first_block() {
    let spoiled = |kind| {
        let (service, answer) = under(Fault::Base64(kind));
        let text = answer.json()["entropy"][0]
            .as_str()
            .expect("a string")
            .to_owned();
        assert!(STANDARD.decode(&text).is_err(), "{kind:?}: {text}");
        let others = &answer.json()["entropy"];
        assert!(
            STANDARD
                .decode(others[1].as_str().expect("a string"))
                .is_ok()
        );
        (text, service.served()[0].blocks[0].clone())
    };
    assert!(spoiled(Base64Fault::BadCharacter).0.starts_with('!'));
    let (text, block) = spoiled(Base64Fault::NoPadding);
    assert_eq!(STANDARD_NO_PAD.decode(text).expect("unpadded"), block);
    let (text, block) = spoiled(Base64Fault::UrlSafe);
    assert_eq!(URL_SAFE.decode(text).expect("url-safe"), block);
    let (text, block) = spoiled(Base64Fault::WhiteSpace);
    assert_eq!(
        STANDARD
            .decode(text.replace('\n', ""))
            .expect("broken line"),
        block
    );
    let (text, block) = spoiled(Base64Fault::TrailingBits);
    assert_eq!(text.len(), STANDARD.encode(&block).len());
    assert!(text.ends_with('='));
}

#[test]
fn queued_faults_come_before_standing_ones_and_end() {
    let service = start(Options::default().fault(Fault::AllZero));
    service.fault_next(Fault::ShortBlock, 1);
    service.fault_next(Fault::NoBlocks, 1);
    let mut client = Client::connect(&service);
    let mut shape = || {
        client
            .ask(16, 1)
            .blocks()
            .iter()
            .map(Vec::len)
            .collect::<Vec<_>>()
    };
    assert_eq!((shape(), shape(), shape()), (vec![15], vec![], vec![16]));
    assert_eq!(service.served()[2].blocks.joined(), [0; 16]);
    assert_eq!(service.faults().len(), 1);
    service.clear_faults();
    assert_eq!(shape(), [16]);
    assert!(service.served()[3].is_good());
}

#[test]
fn faults_spare_capabilities_unless_asked() {
    use qseed_entropy_service::Scope;
    for (scope, status) in [(Scope::Entropy, 200), (Scope::Everything, 503)] {
        let service = start(Options::default().scope(scope).fault(Fault::status(503)));
        let mut client = Client::connect(&service);
        assert_eq!(client.get("/v1/capabilities").status, status);
        assert_eq!(client.ask(1, 1).status, 503);
    }
}
