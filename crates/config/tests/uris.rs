//! Tokens' URIs in a configuration.

use std::fmt::Write;

use qseed_config::parse;

/// The report on partitions with these URIs, and something else that is wrong.
fn report(uris: &[&str]) -> Vec<String> {
    let mut text = "sources: [{name: s, type: device, path: /x}]\npartitions:\n".to_owned();
    for (number, uri) in uris.iter().enumerate() {
        writeln!(text, "- {{name: p{number}, token: '{uri}'}}").expect("a text takes all");
    }
    text += "defaults: {module: /l.so, login: none, size: 4x8}\n";
    let report = parse(&text, "f").expect_err("4x8");
    report.to_string().lines().map(str::to_owned).collect()
}

const SIZE: &str =
    "`size`: `4x8` is not a whole number; write a whole number of bytes from 1 to 65536";

#[test]
fn faults_of_uris_stand_among_all_others() {
    assert_eq!(
        report(&["pkcs11:tokn=a", "pkcs11:token=%zz", "pkcs11:token=a"]),
        [
            "f:3:21: `token`: unknown attribute `tokn` (at character 8 of the URI); did you mean `token`?".to_owned(),
            "f:4:21: `token`: % must be followed by two hexadecimal digits (at character 14 of the URI)".to_owned(),
            format!("f:6:46: {SIZE}"),
        ]
    );
}

#[test]
fn a_uri_with_several_faults_gets_them_all() {
    let said = report(&["pkcs11:serail=1;slot-id=x;y=1?modul-path=/a&pin-source=%"]);
    let place = "f:3:21: `token`: ";
    assert_eq!(
        said,
        [
            format!(
                "{place}unknown attribute `serail` (at character 8 of the URI); did you mean `serial`?"
            ),
            format!(
                "{place}slot-id must be a decimal number below 2^64 (at character 25 of the URI)"
            ),
            format!(
                "{place}unknown attribute (at character 27 of the URI); a token is named by token, serial, model or manufacturer"
            ),
            format!(
                "{place}unknown attribute `modul-path` (at character 31 of the URI); did you mean `module-path`?"
            ),
            format!(
                "{place}% must be followed by two hexadecimal digits (at character 45 of the URI)"
            ),
            format!("f:4:46: {SIZE}"),
        ]
    );
}

#[test]
fn no_fault_shows_what_may_be_a_pin() {
    for uri in [
        "pkcs11:token=a?pin-value=hunter2&hunter2=hunter2",
        "pkcs11:token=a?pin-vale=hunter2",
        "pkcs11:token=a?pin-value=hunter2%0&hunter2",
        "pkcs11:hunter2",
        "hunter2",
    ] {
        let said = report(&[uri]).concat();
        assert!(said.contains("f:3:21: `token`: "), "{said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
}

/// A URI that is wrong before its `?` hides nothing else; one that may hold PIN and module does
/// not let them be missing.
#[test]
fn a_faulty_uri_hides_no_other_fault() {
    let report = |uri: &str| {
        let text = format!(
            "sources: [{{name: s, type: device, path: /x}}]\npartitions:\n  - {{name: p, size: 4x8, token: '{uri}'}}\n"
        );
        let report = parse(&text, "f").expect_err("4x8");
        report
            .to_string()
            .lines()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let missing = [
        "f:3:5: `module` is missing; write the path of the vendor's PKCS#11 library here or into `defaults`",
        "f:3:5: `pin` is missing; write file:PATH, or `login: none` or `login: protected` (PIN pad, PED)",
    ];
    let size = "f:3:21: `size`: `4x8` is not a whole number; write a whole number of bytes from 1 to 65536";
    let unknown = |place| {
        format!(
            "f:3:33: `token`: unknown attribute `tokn` (at character {place} of the URI); did you mean `token`?"
        )
    };
    let with_missing = [missing[0], missing[1], size, &unknown(8)];
    assert_eq!(report("pkcs11:tokn=a"), with_missing);
    assert_eq!(
        report("pkcs11:tokn=a?pin-value=hunter2&module-path=/m"),
        [size, &unknown(8)]
    );
    assert_eq!(
        report("pkcs11:?pin-value=hunter2&tokn=a"),
        [size, &unknown(27)]
    );
}
