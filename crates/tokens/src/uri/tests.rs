use super::{TokenUri, UriError, UriFault};
use crate::directory::{LibraryInfo, SlotReport, TokenInfo, Version};

fn parse(text: &str) -> TokenUri {
    text.parse().expect("a valid URI")
}

fn refusal(text: &str) -> UriError {
    text.parse::<TokenUri>().expect_err("an invalid URI")
}

fn fault(text: &str) -> UriFault {
    refusal(text).fault
}

fn slot() -> SlotReport {
    SlotReport {
        id: 327,
        description: "Reader 1".into(),
        manufacturer: "Snake Oil, Inc.".into(),
        token: Ok(Some(TokenInfo {
            label: "The Software PKCS#11 Softtoken".into(),
            serial: "0a/b;1?".into(),
            model: "1.0".into(),
            manufacturer: "Snake Oil, Inc.".into(),
            ..TokenInfo::default()
        })),
    }
}

fn library() -> LibraryInfo {
    LibraryInfo {
        cryptoki_version: Version {
            major: 2,
            minor: 40,
        },
        manufacturer: "Snake Oil, Inc.".into(),
        description: "Soft Token Library".into(),
        version: Version {
            major: 1,
            minor: 23,
        },
    }
}

#[test]
fn the_rfcs_examples_of_tokens_are_read() {
    // RFC 7512 section 3, where no object is named.
    for uri in [
        "pkcs11:",
        "pkcs11:token=The%20Software%20PKCS%2311%20Softtoken;manufacturer=Snake%20Oil,%20Inc.;\
         model=1.0?module-path=/usr/lib/pkcs11/snake.so",
        "pkcs11:slot-description=Sun%20Metaslot",
        "pkcs11:library-manufacturer=Snake%20Oil,%20Inc.;library-description=Soft%20Token%20\
         Library;library-version=1.23",
        "pkcs11:slot-id=327?module-name=mypkcs11",
    ] {
        parse(uri);
    }
}

#[test]
fn every_given_attribute_must_match() {
    for uri in [
        "pkcs11:",
        "PKCS11:token=The%20Software%20PKCS%2311%20Softtoken",
        "pkcs11:serial=0a%2fb%3B1%3f;model=1.0",
        "pkcs11:slot-id=327;slot-description=Reader%201;slot-manufacturer=Snake%20Oil,%20Inc.",
        "pkcs11:library-version=1.23;library-description=Soft%20Token%20Library",
        "pkcs11:model=1.0;x-colour=blue",
    ] {
        assert!(parse(uri).matches(&library(), &slot()), "{uri}");
    }
    for uri in [
        "pkcs11:token=the%20Software%20PKCS%2311%20Softtoken",
        "pkcs11:token=",
        "pkcs11:model=1.0;serial=0",
        "pkcs11:slot-id=326",
        "pkcs11:library-version=1.24",
    ] {
        assert!(!parse(uri).matches(&library(), &slot()), "{uri}");
    }
    let empty = SlotReport {
        token: Ok(None),
        ..slot()
    };
    assert!(!parse("pkcs11:").matches(&library(), &empty));
}

#[test]
fn faults_name_their_place() {
    let error = refusal("pkcs11:token=My Token");
    assert_eq!(error.offset, 15);
    assert_eq!(
        error.to_string(),
        "this character must be written as %20 (at character 16 of the URI)"
    );
    assert_eq!(refusal("pkcs11:token=a;serial=%4").offset, 22);
    assert_eq!(refusal("pkcs11:token=a;;serial=b").offset, 15);
    assert_eq!(
        refusal("pkcs11:?module-path=/a&module-name=x&module-path=/a").offset,
        37
    );
}

#[test]
fn every_fault_is_found_in_one_go() {
    let text = "pkcs11:tokn=a;serial=%zz;slot-id=7?module-path=a&module-name=/&y=1&x";
    let faults = TokenUri::read(text).expect_err("faulty");
    let found: Vec<_> = faults.iter().map(|error| &text[error.offset..]).collect();
    assert_eq!(found.len(), 6, "{faults:?}");
    for (found, begins) in found
        .iter()
        .zip(["tokn=", "%zz", "a&module", "/&y", "y=1", "x"])
    {
        assert!(found.starts_with(begins), "{found} {begins}");
    }
    assert_eq!(faults[0].fault, UriFault::Unknown);
    let first = text.parse::<TokenUri>().expect_err("faulty");
    assert_eq!(first, faults[0]);
}

#[test]
fn what_is_no_uri_of_a_token_is_refused() {
    assert_eq!(fault("token=a"), UriFault::Scheme);
    assert_eq!(fault("pkcs12:token=a"), UriFault::Scheme);
    assert_eq!(fault("ä"), UriFault::Scheme);
    assert_eq!(fault("pkcs11:token"), UriFault::NoValue);
    assert_eq!(fault("pkcs11:=a"), UriFault::NoValue);
    assert_eq!(
        fault("pkcs11:token=ä"),
        UriFault::Unencoded("%C3%A4".into())
    );
    assert_eq!(fault("pkcs11:token=%ff"), UriFault::NotUtf8("token"));
    assert_eq!(fault("pkcs11:token=%+f"), UriFault::BadEscape);
    assert_eq!(fault("pkcs11:token=%f\u{e4}"), UriFault::BadEscape);
    assert_eq!(
        fault("pkcs11:token=a;token=a"),
        UriFault::Duplicate("token")
    );
    assert_eq!(fault("pkcs11:object=key"), UriFault::NamesObject("object"));
    assert_eq!(fault("pkcs11:tokn=a"), UriFault::Unknown);
    assert_eq!(
        fault("pkcs11:pin-value=1"),
        UriFault::WrongPart("pin-value", "behind")
    );
    assert_eq!(
        fault("pkcs11:?token=a"),
        UriFault::WrongPart("token", "before")
    );
    assert!(matches!(
        fault("pkcs11:slot-id=-1"),
        UriFault::BadValue("slot-id", _)
    ));
    assert!(matches!(
        fault("pkcs11:slot-id=18446744073709551616"),
        UriFault::BadValue(..)
    ));
    assert!(matches!(
        fault("pkcs11:library-version=1.256"),
        UriFault::BadValue(..)
    ));
    assert_eq!(fault("pkcs11:?pin-value=1"), UriFault::Unknown);
    assert!(matches!(
        fault("pkcs11:?module-path=a.so"),
        UriFault::BadValue(..)
    ));
}

#[test]
fn printing_is_canonical() {
    let uri = parse("pkcs11:slot-id=07;token=a:b%2a?module-path=/a%20b.so");
    assert_eq!(
        uri.to_string(),
        "pkcs11:token=a%3Ab%2A;slot-id=7?module-path=/a%20b.so"
    );
    assert_eq!(parse(&uri.to_string()), uri);
}

#[test]
fn a_tokens_own_uri_matches_it() {
    let slot = slot();
    let uri = slot.token().expect("a token").uri();
    assert!(uri.matches(&library(), &slot));
    assert_eq!(parse(&uri.to_string()), uri);
}

#[test]
fn cut_and_changed_uris_are_refused_or_come_back_the_same() {
    let whole = "pkcs11:token=a%20b;serial=%C3%A41;slot-id=7;library-version=1.2\
                 ?module-name=x&module-path=/a";
    for cut in 0..=whole.len() {
        for change in [
            None,
            Some('%'),
            Some(';'),
            Some('='),
            Some('?'),
            Some('ä'),
            Some('0'),
        ] {
            let mut text = whole[..cut].to_owned();
            text.extend(change);
            text.push_str(&whole[cut..]);
            for text in [&text[..], &whole[..cut]] {
                if let Ok(uri) = text.parse::<TokenUri>() {
                    assert_eq!(parse(&uri.to_string()), uri, "{text}");
                }
            }
        }
    }
}
