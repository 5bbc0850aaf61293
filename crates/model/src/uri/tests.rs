use super::{TokenUri, UriError, UriFault};

fn parse(text: &str) -> TokenUri {
    let reading = TokenUri::read(text);
    assert_eq!(reading.faults, [], "{text}");
    assert!(reading.tells_pin_and_module, "{text}");
    reading.uri
}

/// The first fault.
fn refusal(text: &str) -> UriError {
    let faults = TokenUri::read(text).faults;
    assert!(!faults.is_empty(), "{text}");
    faults[0].clone()
}

fn fault(text: &str) -> UriFault {
    refusal(text).fault
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
fn faults_name_their_place() {
    let error = refusal("pkcs11:token=My Token");
    assert_eq!(error.offset, 15);
    assert_eq!(
        error.fault.to_string(),
        "this character must be written as %20"
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
    let faults = TokenUri::read(text).faults;
    let found: Vec<_> = faults.iter().map(|error| &text[error.offset..]).collect();
    assert_eq!(found.len(), 6, "{faults:?}");
    for (found, begins) in found
        .iter()
        .zip(["tokn=", "%zz", "a&module", "/&y", "y=1", "x"])
    {
        assert!(found.starts_with(begins), "{found} {begins}");
    }
    assert_eq!(faults[0].fault, UriFault::Unknown);
}

#[test]
fn what_is_no_uri_of_a_token_is_refused() {
    assert_eq!(fault("token=a"), UriFault::Scheme);
    assert_eq!(fault("pkcs12:token=a"), UriFault::Scheme);
    assert_eq!(fault("ä"), UriFault::Scheme);
    assert_eq!(fault("pkcs11:token"), UriFault::NoValue);
    assert_eq!(fault("pkcs11:=a"), UriFault::Name);
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
    assert_eq!(fault("pkcs11:a?pin%2Dvalue=1"), UriFault::NoValue);
    assert_eq!(fault("pkcs11:?pin%2Dvalue=1"), UriFault::Name);
    assert_eq!(fault("pkcs11:?X-a=1"), UriFault::Unknown);
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
                let reading = TokenUri::read(text);
                if reading.faults.is_empty() {
                    assert_eq!(parse(&reading.uri.to_string()), reading.uri, "{text}");
                }
            }
        }
    }
}

#[test]
fn the_pin_is_taken_out() {
    for (text, is_value, pin, rest) in [
        (
            "pkcs11:token=a;serial=1?pin-value=p%25%3b1&module-name=x",
            true,
            &b"p%;1"[..],
            "pkcs11:token=a;serial=1?module-name=x",
        ),
        (
            "PKCS11:token=a?PIN-value=%ff #ü",
            true,
            b"\xff #\xc3\xbc",
            "pkcs11:token=a",
        ),
        ("pkcs11:?&pin-value=&", true, b"", "pkcs11:"),
        (
            "pkcs11:token=a?pin-source=file:/etc/pin%20a",
            false,
            b"file:/etc/pin a",
            "pkcs11:token=a",
        ),
    ] {
        assert_eq!(parse(text).to_string(), rest);
        let read = TokenUri::read(text).pin.expect("a PIN");
        assert_eq!((read.is_value, &**read.value), (is_value, pin));
        assert!(text[read.offset..].to_lowercase().starts_with("pin-"));
    }
    assert!(TokenUri::read("pkcs11:token=pin-value").pin.is_none());
}

#[test]
fn a_uri_has_one_pin_behind_the_mark() {
    for (text, wrong) in [
        (
            "pkcs11:pin-value=1",
            UriFault::WrongPart("pin-value", "behind"),
        ),
        (
            "pkcs11:PIN-VALUE=1",
            UriFault::WrongPart("pin-value", "behind"),
        ),
        (
            "pkcs11:?pin-value=1&pin-source=file:/x",
            UriFault::SecondPin,
        ),
        (
            "pkcs11:?pin-value=1&pin-value=1",
            UriFault::Duplicate("pin-value"),
        ),
        ("pkcs11:?pin-value=%", UriFault::BadEscape),
        ("pkcs11:?pin-value=12%1", UriFault::BadEscape),
        ("pkcs11:?pin-value=%+1", UriFault::BadEscape),
    ] {
        let error = refusal(text);
        assert_eq!(error.fault, wrong, "{text}");
        let attribute = text[error.offset..].to_lowercase();
        assert!(
            attribute.starts_with("pin-"),
            "no place within the PIN: {text}"
        );
    }
}

#[test]
fn pin_and_module_are_known_unless_something_is_wrong_where_they_stand() {
    for (text, told) in [
        ("pkcs11:tokn=x", true),
        ("pkcs11:token;serial=1;y=%?module-name=a", true),
        ("pkcs11:token=a;PIN-value=1", false),
        ("pkcs11:token=a;module-path=/x", false),
        ("pkcs11:?pin-value=1&module-nme=x", false),
        ("pkcs11:?module-path=x", false),
        ("pkcs:token=x", false),
    ] {
        assert_eq!(TokenUri::read(text).tells_pin_and_module, told, "{text}");
    }
}
