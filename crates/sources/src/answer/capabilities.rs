//! Answers in which a service of the QRNG Open API tells of itself.

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny};

use super::AnswerError;
use crate::delivery::Limits;

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
    #[derive(Deserialize)]
    struct Report {
        entropy: Option<Entropy>,
        #[serde(default, deserialize_with = "whole_number")]
        source_count: Option<u64>,
    }
    #[derive(Deserialize)]
    struct Entropy {
        min_block_size: Option<u64>,
        max_block_size: u64,
        min_block_count: Option<u64>,
        max_block_count: u64,
        #[serde(default, rename = "entropy_types", deserialize_with = "names")]
        types: Vec<String>,
    }
    let report: Report = read(body)?;
    let entropy = report.entropy.ok_or(AnswerError::MissingField("entropy"))?;
    let common = Limits::COMMON;
    let range = |min: Option<u64>, max: u64, most: u32, field| {
        let max = u32::try_from(max).map_or(most, |max| max.min(most));
        let min = u32::try_from(min.unwrap_or(1).max(1)).unwrap_or(u32::MAX);
        if min <= max {
            Ok(min..=max)
        } else {
            Err(AnswerError::OutOfRange(field))
        }
    };
    Ok(Capabilities {
        limits: Limits {
            block_size: range(
                entropy.min_block_size,
                entropy.max_block_size,
                *common.block_size.end(),
                "max_block_size",
            )?,
            block_count: range(
                entropy.min_block_count,
                entropy.max_block_count,
                *common.block_count.end(),
                "max_block_count",
            )?,
            granularity: 1,
        },
        entropy_types: entropy.types,
        source_count: report.source_count,
    })
}

/// Reads the answer to `GET healthtest`.
///
/// # Errors
/// [`AnswerError`] where it is not JSON of that form.
pub fn parse_healthtest(body: &[u8]) -> Result<Vec<HealthTest>, AnswerError> {
    #[derive(Deserialize)]
    struct Report {
        test_result: Vec<Test>,
    }
    #[derive(Deserialize)]
    struct Test {
        #[serde(default, rename = "test_type", deserialize_with = "word")]
        name: Option<String>,
        #[serde(default, rename = "test_result", deserialize_with = "word")]
        result: Option<String>,
        #[serde(default, rename = "time_stamp", deserialize_with = "word")]
        time: Option<String>,
    }
    let report: Report = read(body)?;
    let tests = report
        .test_result
        .into_iter()
        .take(MOST)
        .map(|test| HealthTest {
            name: test.name.unwrap_or_default(),
            result: test.result.unwrap_or_default(),
            time: test.time,
        });
    Ok(tests.collect())
}

fn read<'de, T: Deserialize<'de>>(body: &'de [u8]) -> Result<T, AnswerError> {
    serde_json::from_slice(body).map_err(|error| AnswerError::from_json(&error))
}

/// Vendors differ in the lesser fields: what is not of the expected kind counts as absent.
#[derive(Deserialize)]
#[serde(untagged)]
enum Lenient<T> {
    Known(T),
    Other(IgnoredAny),
}

impl<T> Lenient<T> {
    fn known(self) -> Option<T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Other(_) => None,
        }
    }
}

fn whole_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    Ok(Lenient::deserialize(deserializer)?.known())
}

fn names<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let names = Lenient::<Vec<String>>::deserialize(deserializer)?
        .known()
        .unwrap_or_default();
    Ok(names
        .iter()
        .take(MOST)
        .map(|name| printable(name))
        .collect())
}

fn word<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(Lenient::<String>::deserialize(deserializer)?
        .known()
        .map(|word| printable(&word)))
}

/// A server's word as a terminal may show it: no control characters, not endless.
fn printable(word: &str) -> String {
    word.chars()
        .filter(|c| !c.is_control())
        .take(MOST)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{HealthTest, parse_capabilities, parse_healthtest};
    use crate::AnswerError;

    #[test]
    fn limits_are_read_and_kept_within_ours() {
        let body = br#"{"entropy":{"min_block_size":16,"max_block_size":64,"max_block_count":99999,
            "entropy_types":["raw","conditioned"],"extensions":[]},"source_count":2,"x":1}"#;
        let told = parse_capabilities(body).expect("capabilities");
        assert_eq!(told.limits.block_size, 16..=64);
        assert_eq!(told.limits.block_count, 1..=512);
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
