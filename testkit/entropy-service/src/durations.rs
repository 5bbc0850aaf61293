//! Lengths of time as people write them: `400ms`, `10s`, `5m`, `1h`.

use std::time::Duration;

/// Reads `400ms`, `1.5s`, `10s`, `5m` or `1h`; a bare number is seconds.
///
/// # Errors
/// A text that says what is wrong.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let digits = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let seconds_a_unit = match unit {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => {
            return Err(format!(
                "{text:?} is no length of time: write 400ms, 10s, 5m or 1h"
            ));
        }
    };
    let number: f64 = number
        .parse()
        .map_err(|_| format!("{text:?} does not begin with a number"))?;
    Duration::try_from_secs_f64(number * seconds_a_unit)
        .map_err(|_| format!("{text:?} is too long a time"))
}

/// Writes what [`parse_duration`] reads, to the millisecond.
pub(crate) fn format_duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    if millis.is_multiple_of(1000) {
        format!("{}s", millis / 1000)
    } else {
        format!("{millis}ms")
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{format_duration, parse_duration};

    #[test]
    fn durations_are_read_and_written() {
        for (text, millis) in [
            ("400ms", 400),
            ("10s", 10_000),
            ("10", 10_000),
            ("1.5s", 1_500),
            ("2m", 120_000),
        ] {
            let duration = parse_duration(text).expect(text);
            assert_eq!(duration, Duration::from_millis(millis), "{text}");
            assert_eq!(
                parse_duration(&format_duration(duration)),
                Ok(duration),
                "{text}"
            );
        }
        for wrong in ["", "s", "1d", "-1s", "1.2.3s", "ten"] {
            assert!(parse_duration(wrong).is_err(), "{wrong}");
        }
    }
}
