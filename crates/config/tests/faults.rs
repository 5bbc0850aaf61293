//! What is wrong is said with its place, all at once, in words that help.

use std::ffi::OsStr;
use std::fmt::Write;
use std::fs::read_to_string;
use std::path::Path;

use qseed_config::{MAX_CONFIG_BYTES, Report, parse};

fn report(text: &str) -> Report {
    match parse(text, "f") {
        Ok(_) => panic!("accepted:\n{text}"),
        Err(report) => report,
    }
}

fn assert_report(text: &str, lines: &[&str]) {
    assert_eq!(report(text).to_string(), lines.join("\n"), "of:\n{text}");
}

/// A flat file that is right but for `change`, which stands in line 5.
fn flat(change: &str) -> String {
    format!(
        "qrypt_token: t\ncryptoki_lib: /l.so\ncryptoki_slot_id: 0\ncryptoki_user_pin: '1'\n{change}\n"
    )
}

#[test]
fn the_model_is_right() {
    assert!(parse(&flat("size: 1"), "f").is_ok());
}

/// Each faulty file of `tests/golden` and what is said of it.
#[test]
fn faulty_files_get_their_reports() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut files = 0;
    for entry in folder.read_dir().expect("the folder is there") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|extension| extension != "yml") {
            continue;
        }
        let name = path.file_name().and_then(OsStr::to_str).expect("a name");
        let text = read_to_string(&path).expect("a faulty file");
        let expected = read_to_string(path.with_extension("report")).expect("its report");
        let said = parse(&text, name).expect_err("faulty").to_string();
        let expected = expected.trim_end();
        assert_eq!(said, expected, "{name}");
        files += 1;
    }
    assert_eq!(files, 11);
}

#[test]
fn faults_can_be_taken_apart() {
    let found = report(&flat("perid: 10"));
    assert_eq!((found.file_name(), found.omitted()), ("f", 0));
    let [fault] = found.faults() else {
        panic!("one fault")
    };
    assert_eq!((fault.place.line, fault.place.column), (5, 1));
    assert_eq!(fault.message, "unknown key `perid` in the configuration");
    assert_eq!(fault.help.as_deref(), Some("did you mean `period`?"));
}

#[test]
fn numbers_that_are_none_name_their_line() {
    for value in [
        "4x8", "48.5", "-1", "0x30", "1e3", "abc", "+1", "4_8", "'4 8'", "true", "~", "null",
        ".inf",
    ] {
        let shown = value.trim_matches('\'');
        assert_report(
            &flat(&format!("size: {value}")),
            &[&format!(
                "f:5:7: `size`: `{shown}` is not a whole number; write a whole number of bytes from 1 to 65536"
            )],
        );
        assert_report(
            &flat(&format!("period: {value}")),
            &[&format!(
                "f:5:9: `period`: `{shown}` is not a time; write 1s to 365d, such as 10, 10s or 5m; the units are s, m, h and d"
            )],
        );
    }
    for value in ["0", "65537", "4294967344", "99999999999999999999999"] {
        assert_report(
            &flat(&format!("size: {value}")),
            &[&format!(
                "f:5:7: `size`: `{value}` is out of range; write a whole number of bytes from 1 to 65536"
            )],
        );
    }
    for value in ["0", "31536001", "366d", "99999999999999999999999d"] {
        assert_report(
            &flat(&format!("period: {value}")),
            &[&format!(
                "f:5:9: `period`: `{value}` is out of range; write 1s to 365d, such as 10, 10s or 5m; the units are s, m, h and d"
            )],
        );
    }
    assert_report(
        &flat("size: 048"),
        &[
            "f:5:7: `size`: `048` has a leading zero, which may mean octal; write a whole number of bytes from 1 to 65536",
        ],
    );
    for empty in ["size:", "size: # 48"] {
        assert_report(
            &flat(empty),
            &[
                "f:5:1: `size` has no value; write one, or leave an optional key out; a value that begins with `#` needs quotes",
            ],
        );
    }
    assert_report(&flat("size: ''"), &["f:5:1: `size` has no value"]);
    assert_report(
        &flat("size: [48]"),
        &[
            "f:5:7: `size` must be one value, not a list or a mapping; a value that begins with `{` or `[` needs quotes",
        ],
    );
}

#[test]
fn names_are_unique_and_visible() {
    let two = |first: &str, second: &str| {
        format!(
            "sources: [{{name: s, type: device, path: /x}}]\npartitions:\n  - {{name: {first}, slot: 0, login: none}}\n  - {{name: {second}, slot: 1, login: none}}\ndefaults: {{module: /l.so}}\n"
        )
    };
    assert!(parse(&two("a", "ä-1:ü"), "f").is_ok());
    assert_report(
        &two("a", "a"),
        &["f:4:12: `name`: `a` is already the partition in line 3; each has a name of its own"],
    );
    assert_report(
        &two("a", "'a b'"),
        &["f:4:12: `name`: `a b` is not a name; a name has visible characters only, no blanks"],
    );
    assert_report(
        &two("a", "\"a\\u200b\""),
        &[
            "f:4:12: `name`: `a\\u{200b}` is not a name; a name has visible characters only, no blanks",
        ],
    );
    assert_report(
        &two("a", "\"a\\e[31m\""),
        &[
            "f:4:12: `name`: `a\\u{1b}[31m` is not a name; a name has visible characters only, no blanks",
        ],
    );
    assert_report(
        &two("a", "--all"),
        &[
            "f:4:12: `name`: `--all` begins with a hyphen; on a command line it would look like an option",
        ],
    );
    assert_report(
        &two("a", &"n".repeat(65)),
        &[&format!(
            "f:4:12: `name`: `{}…` is too long; a name has 1 to 64 characters",
            "n".repeat(40)
        )],
    );
}

#[test]
fn yaml_that_no_configuration_needs_is_refused() {
    const QUOTES: &str = "into single quotes";
    let pin = |value: &str| flat("").replace("'1'", value);
    let cases = [
        (flat("size: 48\nsize: 49"), "f:6:1: the key `size` is already in line 5; keep one of the two".to_owned()),
        (flat("'size': 48\n\"size\": 49"), "f:6:1: the key `size` is already in line 5; keep one of the two".to_owned()),
        (flat("---\nsize: 48"), "f:5:1: a second document begins here; a configuration is one document: take this one and its `---` out".to_owned()),
        (flat("<<: {size: 48}"), "f:5:1: a merge key (`<<`) is not supported; write the keys out; what all partitions share belongs in `defaults`".to_owned()),
        (flat("[size]: 48"), "f:5:1: a key must be a word, not a list or a mapping; a value that begins with `{` or `[` needs quotes".to_owned()),
        (flat(": 48"), "f:5:1: a key is missing before the colon".to_owned()),
        (flat("size: &a 48"), format!("f:5:7: an anchor (`&`) is not supported; put a value that begins with `&` {QUOTES}")),
        (pin("*12"), format!("f:4:20: an alias (`*`) is not supported; put a value that begins with `*` {QUOTES}")),
        (pin("&12"), format!("f:4:20: an anchor (`&`) is not supported; put a value that begins with `&` {QUOTES}")),
        (pin("!12"), format!("f:4:20: a tag (`!`) is not supported; put a value that begins with `!` {QUOTES}")),
        (pin("!!int 12"), format!("f:4:20: a tag (`!`) is not supported; put a value that begins with `!` {QUOTES}")),
        (pin("@12"), "f:4:20: a value cannot begin with this character; put the value into single quotes".to_owned()),
        (pin("%12"), "f:4:20: a value cannot begin with this character; put the value into single quotes".to_owned()),
        (pin("'12"), "f:4:20: the quote that opens here is not closed; a single quote within single quotes is doubled".to_owned()),
        (pin("[12"), "f:6:1: a `[` or `{` before this place is not closed; close it; a value that begins with `[` or `{` needs quotes".to_owned()),
        (pin("1\0"), "f:4:21: a control character is not allowed; take it out, or write it as an escape in double quotes".to_owned()),
        (String::new(), "f:1:1: the file is empty; its least is qrypt_token, cryptoki_lib, cryptoki_slot_id and cryptoki_user_pin".to_owned()),
        ("\u{feff}# nothing\n---\n".to_owned(), "f:1:1: the file is empty; its least is qrypt_token, cryptoki_lib, cryptoki_slot_id and cryptoki_user_pin".to_owned()),
        ("log:\n\tlevel: info\n".to_owned(), "f:2:2: a tab cannot be used here; YAML is indented with blanks".to_owned()),
        ("[".repeat(100), "f:1:17: too deeply nested; no setting lies this deep".to_owned()),
        ("- ".repeat(100_000), "f:1:33: too deeply nested; no setting lies this deep".to_owned()),
    ];
    for (text, line) in cases {
        assert_report(&text, &[&line]);
    }
}

#[test]
fn a_bomb_of_aliases_does_not_go_off() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..30 {
        let alias = format!("*a{}", level - 1);
        let items = [alias.as_str(); 9].join(", ");
        writeln!(text, "a{level}: &a{level} [{items}]").expect("a text takes all");
    }
    let report = report(&text).to_string();
    assert!(
        report.contains("f:1:5: an anchor (`&`) is not supported"),
        "{report}"
    );
    assert!(
        report.contains("f:2:10: an alias (`*`) is not supported"),
        "{report}"
    );
}

#[test]
fn a_file_of_nothing_but_faults_gives_a_bounded_report() {
    let text = "x: 1\n".repeat(50_000);
    let found = report(&text);
    assert_eq!(found.faults().len(), 1_000);
    // Each line but the first repeats a key, each key is unknown, and two keys are missing.
    assert_eq!(found.omitted(), 49_999 + 50_000 + 2 - 1_000);
    assert!(
        found
            .to_string()
            .ends_with("f: 99001 more faults are not shown")
    );
}

#[test]
fn a_file_over_one_mebibyte_is_refused() {
    let mut text = flat("size: 48");
    text.push_str(&"#".repeat(MAX_CONFIG_BYTES - text.len()));
    assert!(parse(&text, "f").is_ok());
    text.push('#');
    assert_report(
        &text,
        &[
            "f:1:1: the file is longer than 1 MiB; is it the right one? what partitions share belongs in `defaults`",
        ],
    );
}
