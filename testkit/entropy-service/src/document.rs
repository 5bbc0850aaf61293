//! The JSON of answers, good or spoiled.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE};
use serde_json::json;

use crate::ENTROPY_ORIGIN;
use crate::api::{Api, ENTROPY_TYPE};
use crate::blocks::Blocks;
use crate::fault::{Base64Fault, Fault};
use crate::options::Limits;

/// The answer's JSON around `blocks`, with the share of `fault` that concerns encoding. A fault may
/// change the first block, so that it holds what its spoiled text would decode to.
pub(crate) fn entropy(api: Api, blocks: &mut Blocks, fault: Option<&Fault>) -> String {
    let field = match (fault, api) {
        (Some(Fault::WrongField), Api::QryptKib) => "randoms",
        (Some(Fault::WrongField), _) => "entropies",
        _ => api.field(),
    };
    let array = array(blocks, fault);
    let tail = match api {
        Api::QryptKib => format!("\"size\":{}", blocks.len()),
        _ => "\"extensions\":[]".to_owned(),
    };
    match fault {
        Some(Fault::InvalidJson) => format!("{{\"{field}\":{array},{tail}"),
        Some(Fault::TrailingBytes) => format!("{{\"{field}\":{array},{tail}}}{{}}"),
        Some(Fault::RepeatedField) => {
            let other = self::array(&mut blocks.redrawn(), None);
            format!("{{\"{field}\":{other},\"{field}\":{array},{tail}}}")
        }
        Some(Fault::ExtraFields) => format!(
            "{{\"note\":\"{ENTROPY_ORIGIN}\",\"ratio\":1.5e-3,\"nested\":{{\"{field}\":[1,[2]]}},\
             \"{field}\" : {array},\"flag\":true,\"nothing\":null,{tail}}}\n"
        ),
        _ => format!("{{\"{field}\":{array},{tail}}}"),
    }
}

fn array(blocks: &mut Blocks, fault: Option<&Fault>) -> String {
    let spoiled = match (fault, blocks.first_mut()) {
        (Some(Fault::Base64(kind)), Some(first)) => Some(spoil(first, *kind)),
        _ => None,
    };
    let room = blocks
        .iter()
        .map(|block| block.len().div_ceil(3) * 4 + 3)
        .sum::<usize>();
    let mut array = String::with_capacity(room + 16);
    for (index, block) in blocks.iter().enumerate() {
        array.push(if index == 0 { '[' } else { ',' });
        array.push('"');
        match &spoiled {
            Some(text) if index == 0 => array.push_str(text),
            _ => STANDARD.encode_string(block, &mut array),
        }
        array.push('"');
    }
    if blocks.is_empty() {
        array.push('[');
    }
    array.push(']');
    array
}

/// The block in damaged base64, for JSON.
fn spoil(block: &mut Vec<u8>, kind: Base64Fault) -> String {
    let needs_padding = matches!(kind, Base64Fault::NoPadding | Base64Fault::TrailingBits);
    if needs_padding && block.len().is_multiple_of(3) {
        block.pop();
    }
    match kind {
        Base64Fault::NoPadding => STANDARD_NO_PAD.encode(block),
        Base64Fault::TrailingBits => {
            let mut text = STANDARD.encode(block);
            let last = text.find('=').expect("padded, by its length") - 1;
            let next = next_in_alphabet(text.as_bytes()[last]);
            text.replace_range(last..=last, next.encode_utf8(&mut [0; 4]));
            text
        }
        Base64Fault::BadCharacter => {
            let mut text = STANDARD.encode(block);
            text.replace_range(..1, "!");
            text
        }
        Base64Fault::UrlSafe => {
            // Six bits of 62 at the start: the two alphabets differ in it for certain.
            block[0] = 0b1111_1000 | (block[0] & 0b11);
            URL_SAFE.encode(block)
        }
        Base64Fault::WhiteSpace => {
            let text = STANDARD.encode(block);
            let (start, end) = text.split_at(2);
            format!("{start}\\n{end}")
        }
    }
}

/// The character that follows in the alphabet: where the unused bits are zero it sets the lowest.
fn next_in_alphabet(character: u8) -> char {
    match character {
        b'Z' => 'a',
        b'z' => '0',
        b'9' => '+',
        b'+' => '/',
        other => char::from(other + 1),
    }
}

/// The answer of `capabilities`.
pub(crate) fn capabilities(limits: Limits) -> String {
    json!({
        "entropy": {
            "min_block_size": 1,
            "max_block_size": limits.max_block_size,
            "min_block_count": 1,
            "max_block_count": limits.max_block_count,
            "entropy_types": [ENTROPY_TYPE],
            "extensions": [],
        },
        "healthtest": { "test_threshold": [{ "test_type": "getrandom", "good": 1 }] },
        "source_count": 1,
        "origin": ENTROPY_ORIGIN,
        "extensions": [],
    })
    .to_string()
}

/// The answer of `healthtest`; its second entry has a time stamp that is none, as seen in the
/// field.
pub(crate) fn health_test() -> String {
    json!({
        "test_result": [
            {
                "test_type": "getrandom",
                "test_result": "pass",
                "time_stamp": jiff::Timestamp::now().to_string(),
            },
            { "test_type": ENTROPY_ORIGIN, "test_result": "pass", "time_stamp": "at start" },
        ],
    })
    .to_string()
}

/// An error's body. The field's name and the text are the simulator's own: no interface fixes them.
pub(crate) fn refusal(status: hyper::StatusCode) -> String {
    let mut text = String::new();
    write!(
        text,
        "{{\"error\":\"{}\"}}",
        status.canonical_reason().unwrap_or("refused")
    )
    .expect("a String takes any text");
    text
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use serde_json::Value;

    use super::entropy;
    use crate::api::{Api, Ask};
    use crate::blocks::Blocks;
    use crate::fault::{Base64Fault, Fault};

    fn document(api: Api, size: u32, fault: Option<&Fault>) -> (Blocks, String) {
        let mut blocks = Blocks::draw(Ask {
            block_size: size,
            block_count: 2,
        });
        let json = entropy(api, &mut blocks, fault);
        (blocks, json)
    }

    fn parse(json: &str) -> Value {
        serde_json::from_str(json).expect(json)
    }

    fn first_text(json: &str) -> String {
        parse(json)["entropy"][0]
            .as_str()
            .expect("a string")
            .to_owned()
    }

    #[test]
    fn good_documents_hold_the_blocks() {
        for (api, field) in [(Api::Qrypt, "entropy"), (Api::QryptKib, "random")] {
            for fault in [None, Some(&Fault::ExtraFields)] {
                let (blocks, json) = document(api, 48, fault);
                let value = parse(&json);
                for (index, block) in blocks.iter().enumerate() {
                    let text = value[field][index].as_str().expect("a string");
                    assert_eq!(&STANDARD.decode(text).expect("base64"), block);
                }
            }
        }
        assert_eq!(parse(&document(Api::QryptKib, 1024, None).1)["size"], 2);
    }

    #[test]
    fn documents_are_spoiled_as_named() {
        let spoiled = |fault| document(Api::Qrypt, 48, Some(&fault)).1;
        let broken = spoiled(Fault::InvalidJson);
        assert!(
            serde_json::from_str::<Value>(&broken)
                .expect_err("cut")
                .is_eof()
        );
        assert!(serde_json::from_str::<Value>(&spoiled(Fault::TrailingBytes)).is_err());
        assert_eq!(parse(&spoiled(Fault::WrongField))["entropy"], Value::Null);
        assert_eq!(
            spoiled(Fault::RepeatedField)
                .matches("\"entropy\":")
                .count(),
            2
        );
    }

    #[test]
    fn base64_is_spoiled_as_named_whatever_the_length() {
        for size in [1, 2, 3, 47, 48, 49, 1024] {
            let spoiled = |kind| {
                let (blocks, json) = document(Api::Qrypt, size, Some(&Fault::Base64(kind)));
                let text = first_text(&json);
                assert!(STANDARD.decode(&text).is_err(), "{kind:?} {size}: {text}");
                (blocks[0].clone(), text)
            };
            spoiled(Base64Fault::BadCharacter);
            let (block, text) = spoiled(Base64Fault::NoPadding);
            assert_eq!(STANDARD.encode(&block).trim_end_matches('='), text);
            let (block, text) = spoiled(Base64Fault::TrailingBits);
            assert_eq!(STANDARD.encode(&block).len(), text.len());
            assert!(text.ends_with('='));
            let (block, text) = spoiled(Base64Fault::UrlSafe);
            assert_eq!(
                STANDARD.encode(&block),
                text.replace('-', "+").replace('_', "/")
            );
            let (block, text) = spoiled(Base64Fault::WhiteSpace);
            assert_eq!(STANDARD.encode(&block), text.replace('\n', ""));
        }
    }
}
