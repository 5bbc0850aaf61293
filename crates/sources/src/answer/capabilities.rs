//! Answers in which a service of the QRNG Open API announces its capabilities.

use qseed_model::Limits;
use serde_json::Value;

use super::{AnswerError, read};

/// The longest such answer that is read, in bytes.
pub const REPORT_LIMIT: usize = 64 * 1024;

/// Most names and tests that are kept of an answer.
const MOST: usize = 64;

/// What a service can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// What one request may ask for, within what this program asks for at most.
    pub limits: Limits,
    /// Kinds of entropy that can be asked for, by the service's names.
    pub entropy_types: Vec<String>,
    /// Number of generators behind the service.
    pub source_count: Option<u64>,
}

/// A test that a service ran on its generator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthTest {
    /// The test's name.
    pub name: String,
    /// Its result, as the service words it.
    pub result: String,
    /// When, as the service writes it: not always a valid date.
    pub time: Option<String>,
}

/// Reads the answer to `GET capabilities`.
///
/// # Errors
/// [`AnswerError`] where it is not JSON of that form, or where no request satisfies it.
pub fn parse_capabilities(body: &[u8]) -> Result<Capabilities, AnswerError> {
    let report: Value = read(body)?;
    let told = &report["entropy"];
    if !told.is_object() {
        return Err(AnswerError::MissingField("entropy"));
    }
    let range = |min: &str, max: &'static str, most: u32| {
        let least = told[min].as_u64().unwrap_or(1).max(1);
        let most = told[max].as_u64().map(|max| max.min(most.into()));
        let most = most.ok_or(AnswerError::MissingField(max))?;
        match (u32::try_from(least), u32::try_from(most)) {
            (Ok(least), Ok(most)) if least <= most => Ok((least, most)),
            _ => Err(AnswerError::OutOfRange(max)),
        }
    };
    let common = Limits::COMMON;
    let (min_size, max_size) = range("min_block_size", "max_block_size", common.max_size)?;
    let (min_count, max_count) = range("min_block_count", "max_block_count", common.max_count)?;
    let types = told["entropy_types"].as_array();
    Ok(Capabilities {
        limits: Limits {
            min_size,
            max_size,
            min_count,
            max_count,
        },
        entropy_types: types
            .into_iter()
            .flatten()
            .filter_map(word)
            .take(MOST)
            .collect(),
        source_count: report["source_count"].as_u64(),
    })
}

/// Reads the answer to `GET healthtest`.
///
/// # Errors
/// [`AnswerError`] where it is not JSON of that form.
pub fn parse_healthtest(body: &[u8]) -> Result<Vec<HealthTest>, AnswerError> {
    let report: Value = read(body)?;
    let tests = report["test_result"].as_array();
    let tests = tests.ok_or(AnswerError::MissingField("test_result"))?;
    let test = |test: &Value| HealthTest {
        name: word(&test["test_type"]).unwrap_or_default(),
        result: word(&test["test_result"]).unwrap_or_default(),
        time: word(&test["time_stamp"]),
    };
    Ok(tests.iter().take(MOST).map(test).collect())
}

/// A server's word as a terminal may show it: no control characters, not endless. Vendors differ in
/// the lesser fields: what is not of the expected kind counts as absent.
fn word(value: &Value) -> Option<String> {
    let shown = value.as_str()?.chars().filter(|c| !c.is_control());
    Some(shown.take(MOST).collect())
}

#[cfg(test)]
mod tests {
    use super::{HealthTest, Limits, parse_capabilities, parse_healthtest};
    use crate::AnswerError;

    #[test]
    fn limits_are_read_and_kept_within_ours() {
        let body = br#"{"entropy":{"min_block_size":16,"max_block_size":64,"max_block_count":99999,
            "entropy_types":["raw","conditioned"],"extensions":[]},"source_count":2,"x":1}"#;
        let told = parse_capabilities(body).expect("capabilities");
        let Limits {
            min_size,
            max_size,
            min_count,
            max_count,
        } = told.limits;
        assert_eq!((min_size, max_size), (16, 64));
        assert_eq!((min_count, max_count), (1, 512));
        assert_eq!(told.entropy_types, ["raw", "conditioned"]);
        assert_eq!(told.source_count, Some(2));
    }

    #[test]
    fn lesser_fields_may_be_anything() {
        let body = br#"{"entropy":{"max_block_size":1024,"max_block_count":512,"entropy_types":7},
            "source_count":"many","healthtest":{"test_threshold":[{"good":1}]}}"#;
        let told = parse_capabilities(body).expect("capabilities");
        assert!(told.entropy_types.is_empty());
        assert_eq!(told.source_count, None);
    }

    #[test]
    fn limits_that_nothing_satisfies_are_refused() {
        for (body, field) in [
            (
                r#"{"entropy":{"max_block_size":0,"max_block_count":1}}"#,
                "max_block_size",
            ),
            (
                r#"{"entropy":{"max_block_size":8,"min_block_size":9,"max_block_count":1}}"#,
                "max_block_size",
            ),
            (
                r#"{"entropy":{"max_block_size":8,"max_block_count":0}}"#,
                "max_block_count",
            ),
        ] {
            assert_eq!(
                parse_capabilities(body.as_bytes()).expect_err(body),
                AnswerError::OutOfRange(field)
            );
        }
        assert!(parse_capabilities(b"{}").is_err());
        assert!(parse_capabilities(b"<html>").is_err());
    }

    #[test]
    fn health_tests_are_shown_as_they_are_told() {
        let body = br#"{"test_result":[{"test_type":"rct\u001b[31m","test_result":"good",
            "time_stamp":"yesterday"},{"test_type":"apt","test_result":1,"time_stamp":null}]}"#;
        let tests = parse_healthtest(body).expect("tests");
        assert_eq!(
            tests[0],
            HealthTest {
                name: "rct[31m".to_owned(),
                result: "good".to_owned(),
                time: Some("yesterday".to_owned())
            }
        );
        assert_eq!(tests[1].result, "");
    }
}
