//! The Retry-After header (RFC 9110 section 10.2.3).

use std::time::Duration;

use hyper::header::{DATE, HeaderMap, HeaderName, RETRY_AFTER};
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;

/// How long the server asks to be left alone: seconds, or until a date by the server's own clock
/// where it tells that (this machine's may be wrong), else by ours. A date that passed means now.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than fit mean a very long time.
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let until = date(headers, &RETRY_AFTER)?;
    let now = date(headers, &DATE).unwrap_or_else(Timestamp::now);
    Some(Duration::try_from(until.duration_since(now)).unwrap_or(Duration::ZERO))
}

/// An HTTP date (RFC 9110 section 5.6.7) in the one form that servers may still send.
fn date(headers: &HeaderMap, name: &HeaderName) -> Option<Timestamp> {
    DateTimeParser::new()
        .parse_timestamp(headers.get(name)?.as_bytes().trim_ascii())
        .ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hyper::header::{HeaderMap, HeaderName, HeaderValue};

    use super::retry_after;

    fn read(headers: &[(&'static str, &'static str)]) -> Option<Duration> {
        let headers: HeaderMap = headers
            .iter()
            .map(|&(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect();
        retry_after(&headers)
    }

    #[test]
    fn seconds() {
        assert_eq!(
            read(&[("retry-after", "120")]),
            Some(Duration::from_secs(120))
        );
        assert_eq!(read(&[("retry-after", " 0 ")]), Some(Duration::ZERO));
        assert_eq!(
            read(&[("retry-after", "99999999999999999999999")]),
            Some(Duration::from_secs(u64::MAX))
        );
    }

    #[test]
    fn dates_by_the_servers_clock() {
        let date = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
        let at = |until| read(&[date, ("retry-after", until)]);
        assert_eq!(
            at("Sun, 06 Nov 1994 08:50:07 GMT"),
            Some(Duration::from_secs(30))
        );
        assert_eq!(at("Sun, 06 Nov 1994 08:00:00 GMT"), Some(Duration::ZERO));
    }

    #[test]
    fn dates_by_our_clock() {
        assert_eq!(
            read(&[("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT")]),
            Some(Duration::ZERO)
        );
        let far = read(&[("retry-after", "Tue, 31 Dec 2999 23:59:59 GMT")]).expect("a date");
        assert!(far > Duration::from_secs(1_000_000));
    }

    #[test]
    fn anything_else_is_no_wish() {
        for text in [
            "",
            "soon",
            "-1",
            "1.5",
            "+3",
            "Sun, 06 Nov",
            "2024-02-29T15:49:11Z",
        ] {
            assert_eq!(read(&[("retry-after", text)]), None, "{text}");
        }
        assert_eq!(read(&[]), None);
    }
}
