//! A PIN arrives byte for byte as written, and nothing that is printed shows a secret.

use proptest::prelude::{ProptestConfig, any, proptest};
use proptest::{prop_assert, prop_assert_eq};
use qseed_config::{Config, Loaded, Pin, parse};

/// A flat file with this text where the PIN belongs.
fn with_pin(pin: &str) -> String {
    format!("qrypt_token: t\ncryptoki_lib: /l.so\ncryptoki_slot_id: 0\ncryptoki_user_pin: {pin}\n")
}

fn config(text: &str) -> Config {
    parse(text, "f")
        .unwrap_or_else(|report| panic!("{report}"))
        .config
}

/// The one literal PIN of a file.
fn pin(text: &str) -> Vec<u8> {
    let taken = config(text).take_literal_pins();
    let [(partition, pin)] = &taken[..] else {
        panic!("one PIN")
    };
    assert_eq!(partition, "default");
    pin.expose().to_vec()
}

#[test]
fn pins_arrive_as_written() {
    for plain in [
        "0012",
        "1e10",
        "true",
        "0x1F",
        "1234",
        "-1",
        ".5",
        "1_000",
        "yes",
        "2024-01-01",
        "pä$$",
        "user:password",
        "12#34",
        "a\\b",
        "a\"b",
        "'",
        "?x",
        ":x",
        "-x",
        "=",
        "<<",
        "a{b}",
        "100%",
        "1,2",
        "File:/etc/pin",
    ] {
        let written = if plain == "'" { "''''" } else { plain };
        assert_eq!(pin(&with_pin(written)), plain.as_bytes(), "{plain}");
    }
    for (written, meant) in [
        ("\"1234\"", "1234"),
        ("'0012'", "0012"),
        ("'it''s'", "it's"),
        ("' 12 '", " 12 "),
        ("\"p\\u00e4\\x24\\\"\\n\"", "pä$\"\n"),
        ("'# 12'", "# 12"),
        ("1234   # the PIN", "1234"),
        ("|\n  12 34", "12 34"),
        ("|-\n  1234", "1234"),
        (">\n  1234\n", "1234"),
    ] {
        assert_eq!(pin(&with_pin(written)), meant.as_bytes(), "{written}");
    }
}

#[test]
fn null_without_quotes_is_no_secret() {
    for null in ["null", "Null", "NULL", "~"] {
        let report = parse(&with_pin(null), "f").expect_err(null).to_string();
        let said = format!(
            "f:4:20: `cryptoki_user_pin`: `{null}` without quotes means no value; write quotes if \
             that is the secret itself"
        );
        assert_eq!(report, said);
        let token = with_pin("1").replace("qrypt_token: t", &format!("qrypt_token: {null}"));
        let report = parse(&token, "f").expect_err(null).to_string();
        assert!(report.contains("means no value"), "{report}");
        assert_eq!(pin(&with_pin(&format!("'{null}'"))), null.as_bytes());
        assert_eq!(pin(&with_pin(&format!("\"{null}\""))), null.as_bytes());
    }
}

#[test]
fn half_a_surrogate_pair_in_quotes_is_a_fault_with_advice() {
    let report = parse(&with_pin("\"\\ud83d\\ude00\""), "f").expect_err("a surrogate");
    let report = report.to_string();
    assert!(report.starts_with("f:4:"), "{report}");
    assert!(report.contains("write the character itself"), "{report}");
    assert_eq!(pin(&with_pin("\"\\U0001F600\"")), "😀".as_bytes());
}

#[test]
fn literal_pins_are_moved_out() {
    let text = "sources: [{name: s, type: device, path: /d}]\npartitions:\n\
        - {name: a, slot: 0, pin: 1}\n\
        - {name: b, slot: 1, pin: file:/p}\n\
        - {name: c, slot: 2, login: none}\n\
        - {name: d, token: 'pkcs11:token=d?pin-value=%31%32'}\ndefaults: {module: /l.so}\n";
    let mut config = config(text);
    let taken = config.take_literal_pins();
    let taken: Vec<_> = taken
        .iter()
        .map(|(name, pin)| (name.as_str(), pin.expose()))
        .collect();
    assert_eq!(taken, [("a", &b"1"[..]), ("d", b"12")]);
    let pins: Vec<_> = config
        .partitions
        .iter()
        .map(|partition| &partition.pin)
        .collect();
    assert!(
        matches!(
            pins[..],
            [Pin::Taken, Pin::Given(_), Pin::Absent, Pin::Taken]
        ),
        "{pins:?}"
    );
    assert!(config.take_literal_pins().is_empty());
}

#[test]
fn a_path_in_a_secrets_place_is_warned_of() {
    let Loaded { warnings, .. } = parse(&with_pin("/etc/pin"), "f").expect("a configuration");
    let warnings: Vec<_> = warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "f:4:20: `cryptoki_user_pin` looks like a path but is used as the secret itself; write `file:` before a path"
        ]
    );
}

/// Each of these stands for a secret of its own, and none has a part in common with the files.
const SECRETS: [&str; 4] = [
    "QUUXQUUXQUUXQUUX",
    "ZYXZYXZYXZYXZYXZ",
    "JKWJKWJKWJKWJKWJ",
    "VQVQVQVQVQVQVQVQ",
];

const FLAT_WITH_SECRETS: &str = "\
qrypt_token: QUUXQUUXQUUXQUUX
size: 48
period: 10
cryptoki_lib: /l.so
cryptoki_slot_id: 0
cryptoki_user_pin: ZYXZYXZYXZYXZYXZ
log: { format: json }
";

const FULL_WITH_SECRETS: &str = "\
sources:
  - name: s
    type: qrng-open-api
    url: https://x
    access_token: QUUXQUUXQUUXQUUX
    tls: { client_cert: /c, client_key: ZYXZYXZYXZYXZYXZ }
partitions:
  - { name: a, slot: 0, pin: JKWJKWJKWJKWJKWJ, size: 48 }
  - { name: b, token: 'pkcs11:token=a?pin-value=VQVQVQVQVQVQVQVQ' }
defaults: { pin: \"ZYXZYXZYXZYXZYXZ\", module: /l.so }
modules:
  - { path: /l.so, init_args: QUUXQUUXQUUXQUUX, environment: { A: JKWJKWJKWJKWJKWJ } }
audit: { signing_key: VQVQVQVQVQVQVQVQVQVQVQVQVQVQVQVQVQVQVQVQVQU= }
";

/// Asserts that `said` holds no secret, nor the larger part of one that a mutation cut in two.
fn assert_secret_free(said: &str, of: &str) {
    for secret in SECRETS {
        for start in 0..=8 {
            assert!(
                !said.contains(&secret[start..start + 8]),
                "{said}\nof:\n{of}"
            );
        }
    }
}

#[test]
fn printing_a_configuration_shows_no_secret() {
    for text in [FLAT_WITH_SECRETS, FULL_WITH_SECRETS] {
        let parsed = parse(text, "f").unwrap_or_else(|report| panic!("{report}"));
        assert_secret_free(&format!("{parsed:?}"), text);
    }
}

/// Each file with any one character taken out, doubled or preceded by one that YAML knows.
#[test]
fn no_slip_of_the_finger_makes_a_fault_show_a_secret() {
    let mut faulty = 0;
    for text in [FLAT_WITH_SECRETS, FULL_WITH_SECRETS] {
        for (position, character) in text.char_indices() {
            let (before, after) = text.split_at(position);
            let mut mutants = vec![format!("{before}{}", &after[character.len_utf8()..])];
            for inserted in " \n\t:,#'\"{}[]&*!|>%@`-?\\\0xA0".chars() {
                mutants.push(format!("{before}{inserted}{after}"));
            }
            for inserted in [": ", "\n  ", "\n- ", " #", ", ", "---\n"] {
                mutants.push(format!("{before}{inserted}{after}"));
            }
            for mutant in mutants {
                match parse(&mutant, "f") {
                    Ok(parsed) => assert_secret_free(&format!("{:?}", parsed.warnings), &mutant),
                    Err(report) => {
                        faulty += 1;
                        assert_secret_free(&format!("{report} {report:?}"), &mutant);
                    }
                }
            }
        }
    }
    assert!(faulty > 5_000, "only {faulty} of the mutants were faulty");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn single_quotes_keep_every_byte(meant in "[^\\p{C}\u{2028}\u{2029}\u{feff}]{1,40}") {
        let reference = ["file:", "env:", "credential:"].iter().any(|kind| meant.starts_with(kind));
        if !reference {
            let written = format!("'{}'", meant.replace('\'', "''"));
            prop_assert_eq!(pin(&with_pin(&written)), meant.as_bytes());
        }
    }

    #[test]
    fn double_quotes_keep_every_character(meant in any::<String>()) {
        let reference = ["file:", "env:", "credential:"].iter().any(|kind| meant.starts_with(kind));
        if !reference && !meant.is_empty() {
            let escapes: Vec<String> = meant.chars().map(|c| format!("\\U{:08x}", u32::from(c))).collect();
            let written = escapes.concat();
            prop_assert_eq!(pin(&with_pin(&format!("\"{written}\""))), meant.as_bytes());
        }
    }

    #[test]
    fn any_text_is_read_or_refused_with_a_place(text in "[a-z:\\-\\[\\]{}&*!|>'\"%@`#,? \n\t~0-9äé]{0,200}") {
        if let Err(report) = parse(&text, "f") {
            prop_assert!(!report.faults().is_empty());
            let lines = text.lines().count() + 1;
            for fault in report.faults() {
                prop_assert!((1..=lines).contains(&fault.place.line), "{}", report);
                prop_assert!(fault.place.column >= 1);
            }
        }
    }
}
