//! Answers that carry entropy: one JSON object with an array of base64 strings.

mod envelope;

use base64::Engine;
use base64::alphabet::STANDARD as ALPHABET;
use base64::engine::general_purpose::STANDARD;
use qseed_entropy::Entropy;
use serde::de::DeserializeSeed;
use zeroize::Zeroizing;

use self::envelope::Envelope;
use super::AnswerError;

/// The size in bytes of a block of the older Qrypt API.
const KIB: u32 = 1024;

/// Room for what surrounds the blocks: braces, field names, extensions.
const ENVELOPE: usize = 8 * 1024;

/// The longest body, in bytes, that an answer of `block_count` blocks of `block_size` bytes can
/// honestly need: base64, a sixteenth for escaped slashes, quotes, commas, indentation.
#[must_use]
pub fn entropy_limit(block_size: u32, block_count: u32) -> usize {
    let text = (block_size as usize).div_ceil(3) * 4;
    (text + text / 16 + 16) * block_count as usize + ENVELOPE
}

/// Reads `{"entropy": ["base64", …], …}` of Qrypt's API and the QRNG Open API: exactly
/// `block_count` blocks of exactly `block_size` bytes each.
///
/// # Errors
/// [`AnswerError`] for everything else; what was decoded until then is wiped.
pub fn parse_entropy(
    body: &[u8],
    block_size: u32,
    block_count: u32,
) -> Result<Entropy, AnswerError> {
    parse(body, Blocks::new("entropy", block_size, block_count))
}

/// Reads `{"random": ["base64 of 1,024 bytes", …], …}` of Qrypt's older API: exactly `kib` blocks.
///
/// # Errors
/// [`AnswerError`] for everything else; what was decoded until then is wiped.
pub fn parse_random(body: &[u8], kib: u32) -> Result<Entropy, AnswerError> {
    parse(body, Blocks::new("random", KIB, kib))
}

fn parse(body: &[u8], mut blocks: Blocks) -> Result<Entropy, AnswerError> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let read = Envelope(&mut blocks)
        .deserialize(&mut reader)
        .and_then(|()| reader.end());
    if let Some(fault) = blocks.fault {
        return Err(fault);
    }
    read.map_err(|error| AnswerError::from_json(&error))?;
    if !blocks.seen {
        return Err(AnswerError::MissingField(blocks.field));
    }
    if blocks.found < blocks.block_count {
        return Err(AnswerError::BlockCount {
            expected: blocks.block_count,
            found: blocks.found,
        });
    }
    Ok(Entropy::new(std::mem::take(&mut blocks.bytes)))
}

/// The blocks as they are decoded, one after the other into one buffer.
struct Blocks {
    field: &'static str,
    block_size: usize,
    block_count: usize,
    bytes: Zeroizing<Vec<u8>>,
    /// Whether the field was there.
    seen: bool,
    /// Blocks decoded.
    found: usize,
    /// Why reading stopped, where it was not the JSON's fault.
    fault: Option<AnswerError>,
}

impl Blocks {
    fn new(field: &'static str, block_size: u32, block_count: u32) -> Self {
        let (block_size, block_count) = (block_size as usize, block_count as usize);
        // All the room at once: a growing buffer would leave copies behind.
        let bytes = Zeroizing::new(Vec::with_capacity(block_size * block_count));
        Self {
            field,
            block_size,
            block_count,
            bytes,
            seen: false,
            found: 0,
            fault: None,
        }
    }

    /// Adds the next block.
    fn decode(&mut self, text: &str) -> Result<(), AnswerError> {
        let expected = self.block_size;
        if self.found == self.block_count {
            return Err(AnswerError::BlockCount {
                expected: self.block_count,
                found: self.block_count + 1,
            });
        }
        let block = self.found + 1;
        let found = decoded_length(text).map_err(|why| AnswerError::Base64 { block, why })?;
        if found != expected {
            return Err(match outside_alphabet(text) {
                Some(why) => AnswerError::Base64 { block, why },
                None => AnswerError::BlockLength {
                    block,
                    expected,
                    found,
                },
            });
        }
        let start = self.bytes.len();
        self.bytes.resize(start + expected, 0);
        // The decoder's error names the byte, so it goes no further.
        match STANDARD.decode_slice(text, &mut self.bytes[start..]) {
            Ok(written) if written == expected => {
                self.found += 1;
                Ok(())
            }
            Ok(found) => Err(AnswerError::BlockLength {
                block,
                expected,
                found,
            }),
            Err(_) => {
                let why = outside_alphabet(text).unwrap_or("it is not canonical");
                Err(AnswerError::Base64 { block, why })
            }
        }
    }
}

/// The bytes that a padded base64 text decodes to, if it is valid.
fn decoded_length(text: &str) -> Result<usize, &'static str> {
    if !text.len().is_multiple_of(4) {
        return Err(outside_alphabet(text).unwrap_or("its padding is missing"));
    }
    let padding = text
        .bytes()
        .rev()
        .take(2)
        .take_while(|&byte| byte == b'=')
        .count();
    Ok(text.len() / 4 * 3 - padding)
}

fn outside_alphabet(text: &str) -> Option<&'static str> {
    let known = |byte: u8| byte == b'=' || ALPHABET.as_str().as_bytes().contains(&byte);
    let stranger = text.bytes().find(|&byte| !known(byte))?;
    Some(match stranger {
        b' ' | b'\t' | b'\r' | b'\n' => "there is white space in it",
        b'-' | b'_' => "it is in the url-safe alphabet",
        _ => "there is a character outside of the alphabet",
    })
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    use super::{entropy_limit, parse_entropy, parse_random};
    use crate::AnswerError;

    fn fault(body: &str, block_size: u32, block_count: u32) -> AnswerError {
        parse_entropy(body.as_bytes(), block_size, block_count).expect_err(body)
    }

    #[test]
    fn blocks_come_out_in_order() {
        let body = br#" {"extensions":[{"entropy":["no"]}],"entropy":["AQI=" , "AwQ="],"x":{}} "#;
        let entropy = parse_entropy(body, 2, 2).expect("a good answer");
        assert_eq!(entropy.expose(), [1, 2, 3, 4]);
    }

    #[test]
    fn every_size_decodes_exactly_and_fits_the_limit() {
        for size in (1..=66).chain([511, 512, 513, 1023, 1024]) {
            let bytes: Vec<u8> = (0..=u8::MAX).cycle().take(size as usize).collect();
            let text = STANDARD.encode(&bytes);
            let body = format!("{{\n  \"entropy\": [\n    \"{text}\",\n    \"{text}\"\n  ]\n}}\n");
            assert!(body.len() <= entropy_limit(size, 2));
            let entropy = parse_entropy(body.as_bytes(), size, 2).expect("a good answer");
            assert_eq!(entropy.expose(), [bytes.clone(), bytes].concat());
        }
    }

    #[test]
    fn escaped_slashes_are_json_too() {
        let entropy = parse_entropy(br#"{"entropy":["\/\/8="]}"#, 2, 1).expect("a good answer");
        assert_eq!(entropy.expose(), [0xff, 0xff]);
    }

    #[test]
    fn the_older_form_has_blocks_of_a_kibibyte() {
        let block = STANDARD.encode([9; 1024]);
        let body = format!(r#"{{"random":["{block}","{block}"],"size":2}}"#);
        assert_eq!(
            parse_random(body.as_bytes(), 2)
                .expect("a good answer")
                .len(),
            2048
        );
        assert_eq!(
            parse_random(body.as_bytes(), 1).expect_err("one too many"),
            AnswerError::BlockCount {
                expected: 1,
                found: 2
            }
        );
        assert_eq!(
            parse_random(br#"{"random":["AAAA"]}"#, 1).expect_err("short"),
            AnswerError::BlockLength {
                block: 1,
                expected: 1024,
                found: 3
            }
        );
    }

    #[test]
    fn only_one_object_of_the_right_form_is_read() {
        for body in [
            "",
            "{",
            r#"{"entropy":["AA=="]"#,
            r#"{"entropy":["AA=="]}{}"#,
            "<html>",
            "\u{feff}{}",
        ] {
            assert!(
                matches!(fault(body, 1, 1), AnswerError::Json { .. }),
                "{body}"
            );
        }
        for body in [
            "[]",
            "\"slow down\"",
            "null",
            r#"{"entropy":"AA=="}"#,
            r#"{"entropy":[1]}"#,
            r#"{"entropy":[null]}"#,
            r#"{"entropy":[["AA=="]]}"#,
            r#"{"entropy":null}"#,
        ] {
            assert!(
                matches!(fault(body, 1, 1), AnswerError::Form { .. }),
                "{body}"
            );
        }
        assert_eq!(fault("{}", 1, 1), AnswerError::MissingField("entropy"));
        assert_eq!(
            fault(r#"{"random":["AA=="]}"#, 1, 1),
            AnswerError::MissingField("entropy")
        );
        assert_eq!(
            fault(r#"{"entropy":["AA=="],"entropy":["AA=="]}"#, 1, 1),
            AnswerError::DuplicateField("entropy")
        );
    }

    #[test]
    fn nesting_is_bounded() {
        let deep = format!(r#"{{"x":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
        assert!(parse_entropy(deep.as_bytes(), 1, 1).is_err());
        let deep = format!(r#"{{"entropy":{}"#, "[".repeat(100_000));
        assert!(parse_entropy(deep.as_bytes(), 1, 1).is_err());
    }

    #[test]
    fn counts_and_lengths_are_exact() {
        for (body, found) in [
            (r#"{"entropy":[]}"#, 0),
            (r#"{"entropy":["AA=="]}"#, 1),
            (r#"{"entropy":["AA==","AA==","AA=="]}"#, 3),
        ] {
            assert_eq!(
                fault(body, 1, 2),
                AnswerError::BlockCount { expected: 2, found }
            );
        }
        for (text, found) in [("", 0), ("AAA=", 2), ("AAAA", 3), ("AAAAAAAA", 6)] {
            assert_eq!(
                fault(&format!(r#"{{"entropy":["{text}"]}}"#), 1, 1),
                AnswerError::BlockLength {
                    block: 1,
                    expected: 1,
                    found
                }
            );
        }
    }

    #[test]
    fn base64_is_strict() {
        for (text, expected) in [
            ("AA", "its padding is missing"),
            ("AA=", "its padding is missing"),
            ("AB==", "it is not canonical"),
            ("_w==", "it is in the url-safe alphabet"),
            ("!!==", "there is a character outside of the alphabet"),
            ("AAé=", "there is a character outside of the alphabet"),
            ("AA= ", "there is white space in it"),
            ("A A=", "there is white space in it"),
            ("AA==\\n", "there is white space in it"),
            ("A===", "it is not canonical"),
            ("====", "it is not canonical"),
        ] {
            let fault = fault(&format!(r#"{{"entropy":["{text}"]}}"#), 1, 1);
            let why = expected;
            assert_eq!(fault, AnswerError::Base64 { block: 1, why }, "{text}");
        }
        let fault = fault(r#"{"entropy":["AAAA","=AAA"]}"#, 3, 2);
        let why = "it is not canonical";
        assert_eq!(fault, AnswerError::Base64 { block: 2, why });
    }

    #[test]
    fn errors_quote_nothing() {
        for body in [
            r#"{"entropy":"hunter2"}"#,
            r#"{"entropy":["hunter2"]}"#,
            r#"{"entropy":["hunter22"]}"#,
            r#""hunter2""#,
            "hunter2",
            r#"{"hunter2""#,
        ] {
            let fault = fault(body, 1, 1);
            assert!(
                !format!("{fault} {fault:?}").contains("hunter"),
                "{fault:?}"
            );
        }
    }
}
