//! Notes, keys and checkpoints as c2sp.org writes them.

use qseed_ledger::Error;
use qseed_ledger::checkpoint::Checkpoint;
use qseed_ledger::key::{Algorithm, SigningKey, VerifierKey, signers};
use qseed_ledger::note::{Note, Signature};

const ORIGIN: &str = "hsm.example/qseed/0123456789abcdef";

fn key() -> SigningKey {
    SigningKey::new(&[7; 32], ORIGIN).expect("valid")
}

fn checkpoint() -> Checkpoint {
    Checkpoint {
        origin: ORIGIN.to_owned(),
        size: 1234,
        root: [9; 32],
    }
}

/// The example of the specification of signed notes.
const EXAMPLE_KEY: &str = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
const EXAMPLE: &str = "This is an example message.

— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=
";

#[test]
fn the_example_of_the_specification_holds() {
    let key: VerifierKey = EXAMPLE_KEY.parse().expect("valid");
    assert_eq!(key.to_string(), EXAMPLE_KEY);
    let note: Note = EXAMPLE.parse().expect("valid");
    assert_eq!(note.to_string(), EXAMPLE);
    assert_eq!(note.text(), "This is an example message.\n");
    let keys = [key];
    let signers = signers(&note, &keys).expect("valid");
    assert_eq!((signers[0].by, signers[0].time), (&keys[0], None));

    let changed: Note = EXAMPLE
        .replace("an example", "no example")
        .parse()
        .expect("valid");
    let name = "example.com/foo".to_owned();
    assert_eq!(signers_error(&changed, &keys), Error::Forged { name });
}

fn signers_error(note: &Note, keys: &[VerifierKey]) -> Error {
    signers(note, keys).expect_err("refused")
}

#[test]
fn a_checkpoint_is_signed_by_both_keys_and_checked_by_them() {
    let key = key();
    let plain = key.sign(&checkpoint(), None).expect("valid");
    assert_eq!(plain.text(), checkpoint().to_string());
    assert_eq!(plain.signatures().len(), 1);
    let by = signers(&plain, key.verifier_keys()).expect("valid");
    assert_eq!(by.len(), 1);
    assert_eq!(
        (by[0].by.algorithm(), by[0].time),
        (Algorithm::Ed25519, None)
    );

    let strong = key.sign(&checkpoint(), Some(1_700_000_000)).expect("valid");
    let read: Note = strong.to_string().parse().expect("valid");
    assert_eq!(read, strong);
    let by = signers(&read, key.verifier_keys()).expect("valid");
    let by: Vec<_> = by
        .iter()
        .map(|signed| (signed.by.algorithm(), signed.time))
        .collect();
    let ml_dsa = (Algorithm::MlDsa44Cosignature, Some(1_700_000_000));
    assert_eq!(by, [(Algorithm::Ed25519, None), ml_dsa]);
    assert_eq!(read.text().parse(), Ok(checkpoint()));
}

#[test]
fn every_change_to_a_signed_checkpoint_is_found() {
    let key = key();
    let strong = key.sign(&checkpoint(), Some(1_700_000_000)).expect("valid");
    for only in key.verifier_keys() {
        let keys = [only.clone()];
        let false_one = Error::Forged {
            name: ORIGIN.to_owned(),
        };
        let others = [
            Checkpoint {
                size: 1235,
                ..checkpoint()
            },
            Checkpoint {
                root: [8; 32],
                ..checkpoint()
            },
            Checkpoint {
                origin: "hsm.example/qseed/0123456789abcdee".to_owned(),
                ..checkpoint()
            },
        ];
        for other in others {
            let changed =
                Note::new(other.to_string(), strong.signatures().to_vec()).expect("valid");
            assert_eq!(signers_error(&changed, &keys), false_one);
        }
        let signature = strong
            .signatures()
            .iter()
            .find(|one| only.is_named_by(one))
            .expect("valid");
        // The time is the beginning of a cosignature.
        for at in [0, 7, 8, signature.bytes().len() - 1] {
            let mut bytes = signature.bytes().to_vec();
            bytes[at] ^= 1;
            let changed =
                Signature::new(ORIGIN.to_owned(), signature.key_id(), bytes).expect("valid");
            let changed = Note::new(checkpoint().to_string(), vec![changed]).expect("valid");
            assert_eq!(signers_error(&changed, &keys), false_one);
        }
        for length in [0, 7, 8, signature.bytes().len() - 1] {
            let bytes = signature.bytes()[..length].to_vec();
            let short =
                Signature::new(ORIGIN.to_owned(), signature.key_id(), bytes).expect("valid");
            let short = Note::new(checkpoint().to_string(), vec![short]).expect("valid");
            assert_eq!(signers_error(&short, &keys), false_one);
        }
    }
}

#[test]
fn keys_of_other_ledgers_and_secrets_sign_nothing_here() {
    let key = key();
    let other_origin =
        SigningKey::new(&[7; 32], "hsm.example/qseed/fedcba9876543210").expect("valid");
    let other_secret = SigningKey::new(&[8; 32], ORIGIN).expect("valid");
    let note = key.sign(&checkpoint(), Some(1)).expect("valid");
    for other in [&other_origin, &other_secret] {
        assert_eq!(signers_error(&note, other.verifier_keys()), Error::Unsigned);
    }
    assert!(matches!(
        other_origin.sign(&checkpoint(), None),
        Err(Error::Origin { .. })
    ));
}

/// Ed25519 cosignatures with the key whose secret is 0x00 to 0x1f, as `aics-tlog` 0.2.1 makes them.
#[test]
fn the_cosignature_of_a_witness_holds_with_its_time() {
    let key = "witness.example/w1+e75f6532+BAOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4";
    let keys: [VerifierKey; 1] = [key.parse().expect("a vkey")];
    assert_eq!(keys[0].algorithm(), Algorithm::Ed25519Cosignature);
    let note = |signature: &str| -> Note {
        let text =
            "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
        let signature = format!("\u{2014} witness.example/w1 {signature}");
        Note::new(
            text.to_owned(),
            vec![signature.parse().expect("a signature")],
        )
        .expect("a note")
    };
    let holds = [
        (
            1_679_315_147,
            "519lMgAAAABkGFDLBuRDazBLVac2NE+Y+IjbjQOcXLfF9CSDZVUIoS83rE1nFZsVE8YiWV6Ngr7lV8H6bdoBQGP/l73euDMQ9k+bBQ==",
        ),
        (
            i64::MAX as u64,
            "519lMn//////////ArZnsvROkqvhjpAegoAeDL7ZhKeTSqrxWm6xQFIQoFzEmvvbotdPmk85Luoe36wmr1GO5eXYUF7uJ5XOnKx3BA==",
        ),
    ];
    for (time, signature) in holds {
        let by = signers(&note(signature), &keys).expect("signed")[0];
        assert_eq!((by.by, by.time), (&keys[0], Some(time)));
    }
    // A second more than a cosignature may say.
    let too_late = note(
        "519lMoAAAAAAAAAAExBf3OiX8/sS9ImtY6D954YoSgh9Sh3IL6JR6k7z4mBi31XE3U/gpXVo5+MoNmfROMHNR/r0dO8vii8Bka+tDQ==",
    );
    assert!(matches!(
        signers_error(&too_late, &keys),
        Error::Forged { .. }
    ));
}

#[test]
fn a_signature_is_of_a_key_only_if_name_and_identifier_are() {
    let key = key();
    let note = key.sign(&checkpoint(), None).expect("signed");
    let signature = &note.signatures()[0];
    let bytes = signature.bytes().to_vec();
    let others = [
        Signature::new("another/name".to_owned(), signature.key_id(), bytes.clone()),
        Signature::new(ORIGIN.to_owned(), [0; 4], bytes),
    ];
    for other in others {
        let other = Note::new(note.text().to_owned(), vec![other.expect("a signature")]);
        let other = other.expect("a note");
        assert_eq!(signers_error(&other, key.verifier_keys()), Error::Unsigned);
    }
}

#[test]
fn one_false_signature_of_a_known_key_spoils_the_note() {
    let key = key();
    let mut note = key.sign(&checkpoint(), None).expect("valid");
    let stranger = Signature::new("stranger".to_owned(), [1, 2, 3, 4], vec![5]).expect("valid");
    note.add(stranger).expect("valid");
    assert!(signers(&note, key.verifier_keys()).is_ok());
    let [ed25519, _] = key.verifier_keys();
    let false_one = Signature::new(ORIGIN.to_owned(), ed25519.id(), vec![0; 64]).expect("valid");
    note.add(false_one).expect("valid");
    assert!(matches!(
        signers(&note, key.verifier_keys()),
        Err(Error::Forged { .. })
    ));
}

#[test]
fn verifier_keys_survive_writing_and_reading() {
    for key in key().verifier_keys() {
        assert_eq!(key.to_string().parse().as_ref(), Ok(key));
    }
}

#[test]
fn what_is_no_key_is_refused() {
    let other_id = EXAMPLE_KEY.replace("530d903a", "530d903b");
    let capital_id = EXAMPLE_KEY.replace("530d903a", "530D903A");
    let short = EXAMPLE_KEY.replace("3U2k", "");
    for text in [
        "",
        "a",
        "a+b",
        "a+530d903a+",
        "+530d903a+AQ==",
        &other_id,
        &capital_id,
        &short,
    ] {
        assert!(text.parse::<VerifierKey>().is_err(), "{text}");
    }
    let unknown = "a+00000000+Bekye";
    assert!(unknown.parse::<VerifierKey>().is_err());
    assert_eq!(
        "a+00000000+BQ==".parse::<VerifierKey>(),
        Err(Error::Algorithm(5))
    );
}

#[test]
fn what_is_no_note_is_refused() {
    let line = "— example.com/foo Uw2QOkn8srV1";
    let many = format!("a\n\n{}", format!("{line}\n").repeat(65));
    let cases = [
        "",
        "a\n",
        "a\n\n",
        "a\n\n\n",
        &format!("a\n{line}\n"),
        &format!("a\n\n{line}"),
        &format!("a\n\n{line}\n{line}"),
        &format!("a\n\n{line}\nb\n"),
        &format!("a\r\n\n{line}\n"),
        &format!("a\u{0}\n\n{line}\n"),
        "a\n\n- example.com/foo Uw2QOkn8srV1\n",
        "a\n\n— example.com/foo\n",
        "a\n\n— example.com/foo Uw2Q\n",
        "a\n\n— example.com/foo Uw2QOkn8srV\n",
        "a\n\n— example.com/foo Uw2QOkn8srV1 \n",
        "a\n\n—  Uw2QOkn8srV1\n",
        "a\n\n— a+b Uw2QOkn8srV1\n",
        "a\n\n— a\u{a0}b Uw2QOkn8srV1\n",
        &many,
    ];
    for case in cases {
        assert!(case.parse::<Note>().is_err(), "{case:?}");
    }
    // An empty line in the text is part of it; the last one ends it.
    let with_empty_line: Note = format!("a\n\nb\n\n{line}\n").parse().expect("valid");
    assert_eq!(with_empty_line.text(), "a\n\nb\n");
    let sixteen = format!("a\n\n{}", format!("{line}\n").repeat(16));
    assert_eq!(
        sixteen.parse::<Note>().expect("valid").signatures().len(),
        16
    );
}

#[test]
fn what_is_no_checkpoint_is_refused() {
    let root = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=";
    let example = format!("example.com/behind-the-sofa\n20852163\n{root}\n");
    let read: Checkpoint = example.parse().expect("valid");
    assert_eq!((read.size, read.to_string()), (20_852_163, example));
    let cases = [
        String::new(),
        format!("a\n1\n{root}"),
        format!("\n1\n{root}\n"),
        format!("a\n01\n{root}\n"),
        format!("a\n+1\n{root}\n"),
        format!("a\n-1\n{root}\n"),
        format!("a\n18446744073709551616\n{root}\n"),
        format!("a\n1\n{root}\nextension\n"),
        format!("a\n1\n{root}\n\n"),
        "a\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2J=\n".to_owned(),
        "a\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxqw==\n".to_owned(),
    ];
    for case in cases {
        assert!(case.parse::<Checkpoint>().is_err(), "{case:?}");
    }
}

#[test]
fn the_secret_is_in_no_debug_text() {
    assert_eq!(
        format!("{:?}", key()),
        format!("SigningKey {{ origin: {ORIGIN:?}, .. }}")
    );
}
