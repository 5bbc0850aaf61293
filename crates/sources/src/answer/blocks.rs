//! Answers that carry entropy: one JSON object with an array of base64 strings.

use std::borrow::Cow;

use base64::Engine;
use base64::alphabet::STANDARD as ALPHABET;
use base64::engine::general_purpose::STANDARD;
use qseed_entropy::Entropy;
use qseed_model::Shape;
use serde::Deserialize;
use zeroize::{Zeroize, Zeroizing};

use super::{AnswerError, read};

/// Room for what surrounds the blocks: braces, field names, extensions.
const ENVELOPE: usize = 8 * 1024;

/// The longest body, in bytes, that an answer can honestly need: base64, a sixteenth for escaped
/// slashes, quotes, commas, indentation.
#[must_use]
pub fn entropy_limit(shape: Shape) -> usize {
    let text = (shape.block_size as usize).div_ceil(3) * 4;
    (text + text / 16 + 16) * shape.block_count as usize + ENVELOPE
}

/// Reads `{"entropy": ["base64", …], …}` of Qrypt's API and the QRNG Open API: exactly the blocks
/// that were asked for.
///
/// # Errors
/// [`AnswerError`] for everything else; what was decoded until then is wiped.
pub fn parse_entropy(body: &[u8], shape: Shape) -> Result<Entropy, AnswerError> {
    #[derive(Deserialize)]
    struct Answer<'a> {
        #[serde(borrow)]
        entropy: Option<Vec<Block<'a>>>,
    }
    decode("entropy", read::<Answer<'_>>(body)?.entropy, shape)
}

/// Reads `{"random": ["base64", …], …}` of Qrypt's older API: exactly the blocks that were asked
/// for.
///
/// # Errors
/// [`AnswerError`] for everything else; what was decoded until then is wiped.
pub fn parse_random(body: &[u8], shape: Shape) -> Result<Entropy, AnswerError> {
    #[derive(Deserialize)]
    struct Answer<'a> {
        #[serde(borrow)]
        random: Option<Vec<Block<'a>>>,
    }
    decode("random", read::<Answer<'_>>(body)?.random, shape)
}

/// A block's base64 where it lies in the body. Only a text with escapes has a copy, which is wiped.
#[derive(Deserialize)]
struct Block<'a>(#[serde(borrow)] Cow<'a, str>);

impl Drop for Block<'_> {
    fn drop(&mut self) {
        if let Cow::Owned(text) = &mut self.0 {
            text.zeroize();
        }
    }
}

fn decode(
    field: &'static str,
    blocks: Option<Vec<Block<'_>>>,
    shape: Shape,
) -> Result<Entropy, AnswerError> {
    let blocks = blocks.ok_or(AnswerError::MissingField(field))?;
    let (expected, found) = (shape.block_count as usize, blocks.len());
    if found != expected {
        return Err(AnswerError::BlockCount { expected, found });
    }
    let expected = shape.block_size as usize;
    let mut bytes = Zeroizing::new(vec![0; shape.bytes()]);
    for (block, number) in blocks.iter().zip(1..) {
        let text = &*block.0;
        let not_base64 = |why| AnswerError::Base64 { block: number, why };
        let found = decoded_length(text).map_err(not_base64)?;
        if found != expected {
            return Err(match outside_alphabet(text) {
                Some(why) => not_base64(why),
                None => AnswerError::BlockLength {
                    block: number,
                    expected,
                    found,
                },
            });
        }
        let start = expected * (number - 1);
        // The decoder's error names the byte, so it goes no further.
        if STANDARD.decode_slice(text, &mut bytes[start..start + expected]) != Ok(expected) {
            let why = outside_alphabet(text).unwrap_or("it is not canonical");
            return Err(not_base64(why));
        }
    }
    Ok(Entropy::new(std::mem::take(&mut bytes)))
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

    use qseed_model::Shape;

    use super::{entropy_limit, parse_entropy, parse_random};
    use crate::AnswerError;

    fn blocks(block_size: u32, block_count: u32) -> Shape {
        Shape {
            block_size,
            block_count,
        }
    }

    fn fault(body: &str, block_size: u32, block_count: u32) -> AnswerError {
        parse_entropy(body.as_bytes(), blocks(block_size, block_count)).expect_err(body)
    }

    #[test]
    fn blocks_come_out_in_order() {
        let body = br#" {"extensions":[{"entropy":["no"]}],"entropy":["AQI=" , "AwQ="],"x":{}} "#;
        let entropy = parse_entropy(body, blocks(2, 2)).expect("a good answer");
        assert_eq!(entropy.expose(), [1, 2, 3, 4]);
    }

    #[test]
    fn every_size_decodes_exactly_and_fits_the_limit() {
        for size in (1..=66).chain([511, 512, 513, 1023, 1024]) {
            let bytes: Vec<u8> = (0..=u8::MAX).cycle().take(size as usize).collect();
            let text = STANDARD.encode(&bytes);
            let body = format!("{{\n  \"entropy\": [\n    \"{text}\",\n    \"{text}\"\n  ]\n}}\n");
            assert!(body.len() <= entropy_limit(blocks(size, 2)));
            let entropy = parse_entropy(body.as_bytes(), blocks(size, 2)).expect("a good answer");
            assert_eq!(entropy.expose(), [bytes.clone(), bytes].concat());
        }
    }

    #[test]
    fn escaped_slashes_are_json_too() {
        let entropy =
            parse_entropy(br#"{"entropy":["\/\/8="]}"#, blocks(2, 1)).expect("a good answer");
        assert_eq!(entropy.expose(), [0xff, 0xff]);
    }

    #[test]
    fn the_older_form_has_blocks_of_a_kibibyte() {
        let block = STANDARD.encode([9; 1024]);
        let body = format!(r#"{{"random":["{block}","{block}"],"size":2}}"#);
        assert_eq!(
            parse_random(body.as_bytes(), blocks(1024, 2))
                .expect("a good answer")
                .len(),
            2048
        );
        assert_eq!(
            parse_random(body.as_bytes(), blocks(1024, 1)).expect_err("one too many"),
            AnswerError::BlockCount {
                expected: 1,
                found: 2
            }
        );
        assert_eq!(
            parse_random(br#"{"random":["AAAA"]}"#, blocks(1024, 1)).expect_err("short"),
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
            "[]",
            "\"slow down\"",
            "null",
            r#"{"entropy":"AA=="}"#,
            r#"{"entropy":[1]}"#,
            r#"{"entropy":[null]}"#,
            r#"{"entropy":[["AA=="]]}"#,
            r#"{"entropy":["AA=="],"entropy":["AA=="]}"#,
        ] {
            assert!(
                matches!(fault(body, 1, 1), AnswerError::Form { .. }),
                "{body}"
            );
        }
        for body in ["{}", r#"{"entropy":null}"#, r#"{"random":["AA=="]}"#] {
            assert_eq!(fault(body, 1, 1), AnswerError::MissingField("entropy"));
        }
    }

    #[test]
    fn nesting_is_bounded() {
        let deep = format!(r#"{{"x":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
        assert!(parse_entropy(deep.as_bytes(), blocks(1, 1)).is_err());
        let deep = format!(r#"{{"entropy":{}"#, "[".repeat(100_000));
        assert!(parse_entropy(deep.as_bytes(), blocks(1, 1)).is_err());
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
