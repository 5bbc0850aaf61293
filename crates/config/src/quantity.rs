//! Numbers, times and amounts as people write them. Only what is written exactly so is read:
//! `4x8`, `48.5`, `1e3` and `0x30` are no numbers here, whatever YAML says.

/// Why a text is no such quantity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// It is not of this form at all.
    Form,
    /// It begins with a zero, which some read as octal.
    LeadingZero,
    /// It is more than the program can count.
    TooLarge,
}

/// A whole decimal number.
pub(crate) fn number(text: &str) -> Result<u64, Wrong> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Wrong::Form);
    }
    if text.len() > 1 && text.starts_with('0') {
        return Err(Wrong::LeadingZero);
    }
    text.parse().map_err(|_| Wrong::TooLarge)
}

/// A whole number, decimal or hexadecimal after `0x`.
pub(crate) fn decimal_or_hex(text: &str) -> Result<u64, Wrong> {
    let Some(digits) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) else {
        return number(text);
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(Wrong::Form);
    }
    u64::from_str_radix(digits, 16).map_err(|_| Wrong::TooLarge)
}

/// Seconds, or a number with `s`, `m`, `h` or `d` behind it.
pub(crate) fn seconds(text: &str) -> Result<u64, Wrong> {
    with_unit(text, &[("s", 1), ("m", 60), ("h", 3_600), ("d", 86_400)])
}

/// Bytes, or a number with `KiB`, `MiB`, `GiB` or `TiB` behind it.
pub(crate) fn bytes(text: &str) -> Result<u64, Wrong> {
    with_unit(
        text,
        &[
            ("KiB", 1 << 10),
            ("MiB", 1 << 20),
            ("GiB", 1 << 30),
            ("TiB", 1 << 40),
        ],
    )
}

/// `REQUESTS/TIME`.
pub(crate) fn rate(text: &str) -> Result<(u64, u64), Wrong> {
    let (requests, per) = text.split_once('/').ok_or(Wrong::Form)?;
    Ok((number(requests)?, seconds(per)?))
}

fn with_unit(text: &str, units: &[(&str, u64)]) -> Result<u64, Wrong> {
    let unit = units
        .iter()
        .find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, *factor)));
    let (digits, factor) = unit.unwrap_or((text, 1));
    number(digits)?.checked_mul(factor).ok_or(Wrong::TooLarge)
}

#[cfg(test)]
mod tests {
    use super::{Wrong, bytes, decimal_or_hex, number, rate, seconds};

    #[test]
    fn numbers_are_numbers() {
        assert_eq!(number("0"), Ok(0));
        assert_eq!(number("48"), Ok(48));
        assert_eq!(number("18446744073709551615"), Ok(u64::MAX));
        assert_eq!(number("18446744073709551616"), Err(Wrong::TooLarge));
        assert_eq!(number("048"), Err(Wrong::LeadingZero));
        for wrong in [
            "", "4x8", "48.5", "-1", "+1", "0x30", "1e3", "1_000", " 1", "1 ", "٤٨", "abc",
        ] {
            assert_eq!(number(wrong), Err(Wrong::Form), "{wrong:?}");
        }
    }

    #[test]
    fn vendor_numbers_may_be_hexadecimal() {
        assert_eq!(decimal_or_hex("0x80000001"), Ok(0x8000_0001));
        assert_eq!(decimal_or_hex("2147483649"), Ok(0x8000_0001));
        assert_eq!(decimal_or_hex("0x"), Err(Wrong::Form));
        assert_eq!(decimal_or_hex("0x+1"), Err(Wrong::Form));
        assert_eq!(decimal_or_hex("0x10000000000000000"), Err(Wrong::TooLarge));
    }

    #[test]
    fn times_have_units() {
        for (text, time) in [
            ("10", 10),
            ("10s", 10),
            ("5m", 300),
            ("1h", 3_600),
            ("1d", 86_400),
        ] {
            assert_eq!(seconds(text), Ok(time), "{text}");
        }
        for wrong in ["", "s", "10 s", "1.5h", "10ms", "1w", "-1s", "1h30m", "10S"] {
            assert_eq!(seconds(wrong), Err(Wrong::Form), "{wrong}");
        }
        assert_eq!(seconds("18446744073709551615d"), Err(Wrong::TooLarge));
    }

    #[test]
    fn amounts_have_binary_units() {
        for (text, count) in [
            ("7", 7),
            ("4KiB", 4 << 10),
            ("100MiB", 100 << 20),
            ("1GiB", 1 << 30),
        ] {
            assert_eq!(bytes(text), Ok(count), "{text}");
        }
        for wrong in ["", "KiB", "100MB", "100 MiB", "1.5GiB", "100mib"] {
            assert_eq!(bytes(wrong), Err(Wrong::Form), "{wrong}");
        }
        assert_eq!(bytes("18446744073709551615TiB"), Err(Wrong::TooLarge));
    }

    #[test]
    fn rates_are_requests_over_time() {
        assert_eq!(rate("30/10s"), Ok((30, 10)));
        assert_eq!(rate("5/1m"), Ok((5, 60)));
        for wrong in ["", "30", "/10s", "30/", "30/10s/1", "30 / 10s"] {
            assert_eq!(rate(wrong), Err(Wrong::Form), "{wrong}");
        }
    }
}
