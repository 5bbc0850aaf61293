//! The end date of a certificate, for logs and `qseed check`.
//!
//! rustls validates certificates and shows nothing of them. The one field that operators want is
//! found by a short walk along the DER; a parser crate would bring a dozen others along. Nothing
//! here decides about trust.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::Offset;

const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
/// `[0] EXPLICIT Version`, absent in version 1.
const VERSION: u8 = 0xa0;

/// `notAfter` of an X.509 certificate (RFC 5280 section 4.1), or `None` where it is not to be found.
pub(super) fn expires(certificate: &[u8]) -> Option<Timestamp> {
    let (certificate, _) = take(certificate, SEQUENCE)?;
    let (body, _) = take(certificate, SEQUENCE)?;
    let body = take(body, VERSION).map_or(body, |(_, rest)| rest);
    let (_serial, body) = take(body, INTEGER)?;
    let (_algorithm, body) = take(body, SEQUENCE)?;
    let (_issuer, body) = take(body, SEQUENCE)?;
    let (validity, _) = take(body, SEQUENCE)?;
    let (_, not_after) = take(validity, UTC_TIME).or_else(|| take(validity, GENERALIZED_TIME))?;
    if let Some((time, _)) = take(not_after, UTC_TIME) {
        // Two digits of a year mean 1950 to 2049 (RFC 5280 section 4.1.2.5.1).
        let (year, time) = time.split_at_checked(2)?;
        let year = digits(year)?;
        parse(if year < 50 { 2000 + year } else { 1900 + year }, time)
    } else {
        let (time, _) = take(not_after, GENERALIZED_TIME)?;
        let (year, time) = time.split_at_checked(4)?;
        parse(digits(year)?, time)
    }
}

/// The content of the element at the beginning, if it has this tag, and what follows it.
fn take(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&first, rest) = der.split_first()?;
    let (&length, rest) = rest.split_first()?;
    let (length, rest) = match length {
        0..=0x7f => (usize::from(length), rest),
        0x81..=0x83 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(length & 0x7f))?;
            (
                bytes
                    .iter()
                    .fold(0, |length, &byte| length << 8 | usize::from(byte)),
                rest,
            )
        }
        _ => return None,
    };
    if first == tag {
        rest.split_at_checked(length)
    } else {
        None
    }
}

/// `MMDDHHMMSSZ`: DER allows no other form.
fn parse(year: i16, time: &[u8]) -> Option<Timestamp> {
    let (b'Z', time) = time.split_last()? else {
        return None;
    };
    let mut fields = [0; 5];
    if time.len() != 2 * fields.len() {
        return None;
    }
    for (field, text) in fields.iter_mut().zip(time.chunks(2)) {
        *field = i8::try_from(digits(text)?).ok()?;
    }
    let [month, day, hour, minute, second] = fields;
    let date = Date::new(year, month, day).ok()?;
    let time = jiff::civil::Time::new(hour, minute, second, 0).ok()?;
    Offset::UTC.to_timestamp(date.to_datetime(time)).ok()
}

fn digits(text: &[u8]) -> Option<i16> {
    text.iter().try_fold(0, |number: i16, byte| {
        byte.is_ascii_digit()
            .then(|| number * 10 + i16::from(byte - b'0'))
    })
}

#[cfg(test)]
mod tests {
    use super::{expires, parse, take};

    #[test]
    fn times_are_strict() {
        let end = parse(2024, b"0229154911Z").expect("a time");
        assert_eq!(end.to_string(), "2024-02-29T15:49:11Z");
        for wrong in [
            &b"0230154911Z"[..],
            b"0229154911",
            b"02291549Z",
            b"022915491xZ",
            b"",
            b"Z",
        ] {
            assert_eq!(parse(2024, wrong), None);
        }
    }

    #[test]
    fn lengths_beyond_the_end_are_no_certificate() {
        assert_eq!(take(&[0x30, 2, 1], 0x30), None);
        assert_eq!(take(&[0x30, 0x82, 1], 0x30), None);
        assert_eq!(take(&[0x30, 0x84, 1, 1, 1, 1], 0x30), None);
        assert_eq!(
            take(&[0x30, 0x81, 1, 7, 9], 0x30),
            Some((&[7][..], &[9][..]))
        );
        assert_eq!(expires(&[]), None);
        assert_eq!(expires(&[0x30, 0]), None);
    }
}
