//! Loading the configuration with the tokens' URIs judged by what reads them later, so that their
//! faults stand in the same report as all others.

use qseed_config::{LoadError, LoadOptions, Loaded, UriFault, WrongInUri};
use qseed_tokens::uri::{TokenUri, UriError, UriFault as TokensFault};

use crate::cli::ConfigArgs;
use crate::state_dir::Acting;

/// Loads the configuration that `args` names, for the daemon or for a command of an operator.
///
/// # Errors
/// Every fault of it at once.
pub(crate) fn load(args: &ConfigArgs, acting: Acting) -> Result<Loaded, LoadError> {
    let options = LoadOptions {
        allow_readable_secrets: args.allow_readable_secrets,
        for_another_user: acting == Acting::ForOwner,
    };
    qseed_config::load_judging(&args.config, &options, faults_of)
}

/// What is wrong with a token's URI.
fn faults_of(uri: &str) -> Vec<UriFault> {
    let faults = TokenUri::read(uri).err().unwrap_or_default();
    faults.into_iter().map(in_words).collect()
}

fn in_words(UriError { offset, fault }: UriError) -> UriFault {
    let what = match fault {
        TokensFault::Unknown => WrongInUri::Unknown {
            known: [TokenUri::PATH_ATTRIBUTES, TokenUri::QUERY_ATTRIBUTES].concat(),
        },
        other => WrongInUri::Other(other.to_string()),
    };
    UriFault { offset, what }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::faults_of;

    /// The report on partitions with these URIs, and something else that is wrong.
    fn report(uris: &[&str]) -> Vec<String> {
        let mut text = "sources: [{name: s, type: device, path: /x}]\npartitions:\n".to_owned();
        for (number, uri) in uris.iter().enumerate() {
            writeln!(text, "- {{name: p{number}, token: '{uri}'}}").expect("a text takes all");
        }
        text += "defaults: {module: /l.so, login: none, size: 4x8}\n";
        let report = qseed_config::parse_judging(&text, "f", faults_of).expect_err("4x8");
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
                    "{place}two hexadecimal digits follow each `%` in a URI (at character 45 of the URI)"
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
}
