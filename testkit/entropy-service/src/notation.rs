//! Faults as text: `NAME`, `NAME=ARGUMENT`, and `*N` behind either for the next N times.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::durations::{format_duration, parse_duration};
use crate::fault::{Base64Fault, Fault, FaultOrder, RetryAfter, StatusFault};

/// Each fault's notation with a default argument, and what it does.
pub const FAULT_NOTATIONS: &[(&str, &str)] = &[
    ("refuse", "listener and connections closed, until cleared"),
    ("reset", "connection accepted and reset"),
    ("slow-handshake=2s", "silence on a new connection at first"),
    ("handshake-failure", "TLS alert handshake_failure"),
    (
        "latency=400ms",
        "answer begins later (combines with other faults)",
    ),
    (
        "slow-drip=1/100ms",
        "so many bytes, then a pause (combines with other faults)",
    ),
    (
        "chunked",
        "chunked body, legal (combines with other faults)",
    ),
    (
        "http10",
        "HTTP/1.0 answer, legal (combines with other faults)",
    ),
    ("gzip", "compressed body (combines with other faults)"),
    (
        "close-after-answer",
        "Connection: close, legal (combines with other faults)",
    ),
    (
        "idle-close=100ms",
        "closed so long after an answer, legal (combines with other faults)",
    ),
    ("hang", "no byte of an answer"),
    ("close-unanswered", "connection closed instead of an answer"),
    ("stale-close", "kept connection closed at its next request"),
    ("endless-headers", "header lines without end"),
    ("stall", "half of the body, then silence"),
    ("truncate", "half of the body, then closed"),
    ("huge-body=1073741824", "so many blanks inside the JSON"),
    ("content-type=text/plain", "wrong Content-Type"),
    (
        "status=503",
        "another status; status=429;retry-after=5, …;retry-after=date:5, status=302;location=URL",
    ),
    ("captive-portal", "200 with an HTML page"),
    ("throttle-sentence", "200 with a sentence"),
    ("invalid-json", "the last brace is missing"),
    ("trailing-bytes", "a second JSON value behind the answer"),
    ("wrong-field", "the entropy under another name"),
    ("repeated-field", "the entropy's field twice"),
    ("extra-fields", "unknown fields, legal"),
    (
        "base64=bad-character",
        "or no-padding, trailing-bits, url-safe, white-space, in the first block",
    ),
    ("too-few-blocks", "one block less"),
    ("too-many-blocks", "one block more"),
    ("short-block", "the last block is one byte short"),
    ("long-block", "the last block is one byte long"),
    ("no-blocks", "an empty array"),
    ("all-zero", "zeros for entropy"),
    ("repeated-block", "a block twice in one answer"),
    ("replay", "the blocks of the answer before"),
    ("text", "printable text for entropy"),
    ("biased=25", "so many per cent of the bytes are 0xA5"),
];

/// Why a text names no fault.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum FaultNotationError {
    /// The name is not in [`FAULT_NOTATIONS`].
    #[error("there is no fault {0:?}")]
    UnknownName(String),
    /// The argument does not fit.
    #[error("{name}: {why}")]
    Argument {
        /// The fault.
        name: String,
        /// What is wrong with its argument.
        why: String,
    },
    /// The number of times is none.
    #[error("{0:?} is no number of times: 1 or more")]
    Times(String),
}

impl FromStr for FaultOrder {
    type Err = FaultNotationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // A location or media type may hold an asterisk: only digits behind the last one count.
        match text.rsplit_once('*') {
            Some((fault, times))
                if times.bytes().all(|b| b.is_ascii_digit()) && !fault.ends_with('/') =>
            {
                let number = times.parse().ok().filter(|&number| number > 0);
                let number = number.ok_or_else(|| FaultNotationError::Times(times.to_owned()))?;
                Ok(Self {
                    fault: fault.parse()?,
                    times: Some(number),
                })
            }
            _ => Ok(Self {
                fault: text.parse()?,
                times: None,
            }),
        }
    }
}

impl fmt::Display for FaultOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fault.fmt(f)?;
        self.times.map_or(Ok(()), |times| write!(f, "*{times}"))
    }
}

impl FromStr for Fault {
    type Err = FaultNotationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, argument) = match text.split_once('=') {
            Some((name, argument)) => (name, Some(argument)),
            None => (text, None),
        };
        if let Some(fault) = with_argument(name, argument) {
            return fault.map_err(|why| FaultNotationError::Argument {
                name: name.to_owned(),
                why,
            });
        }
        let fault = without_argument(name)
            .ok_or_else(|| FaultNotationError::UnknownName(name.to_owned()))?;
        match argument {
            None => Ok(fault),
            Some(_) => Err(FaultNotationError::Argument {
                name: name.to_owned(),
                why: "takes no argument".to_owned(),
            }),
        }
    }
}

/// The faults whose name says it all.
const PLAIN: &[(&str, Fault)] = &[
    ("refuse", Fault::Refuse),
    ("reset", Fault::Reset),
    ("handshake-failure", Fault::HandshakeFailure),
    ("chunked", Fault::Chunked),
    ("http10", Fault::Http10),
    ("gzip", Fault::Gzip),
    ("close-after-answer", Fault::CloseAfterAnswer),
    ("hang", Fault::Hang),
    ("close-unanswered", Fault::CloseUnanswered),
    ("stale-close", Fault::StaleClose),
    ("endless-headers", Fault::EndlessHeaders),
    ("stall", Fault::Stall),
    ("truncate", Fault::Truncate),
    ("captive-portal", Fault::CaptivePortal),
    ("throttle-sentence", Fault::ThrottleSentence),
    ("invalid-json", Fault::InvalidJson),
    ("trailing-bytes", Fault::TrailingBytes),
    ("wrong-field", Fault::WrongField),
    ("repeated-field", Fault::RepeatedField),
    ("extra-fields", Fault::ExtraFields),
    ("too-few-blocks", Fault::TooFewBlocks),
    ("too-many-blocks", Fault::TooManyBlocks),
    ("short-block", Fault::ShortBlock),
    ("long-block", Fault::LongBlock),
    ("no-blocks", Fault::NoBlocks),
    ("all-zero", Fault::AllZero),
    ("repeated-block", Fault::RepeatedBlock),
    ("replay", Fault::Replay),
    ("text", Fault::Text),
];

const BASE64: &[(&str, Base64Fault)] = &[
    ("bad-character", Base64Fault::BadCharacter),
    ("no-padding", Base64Fault::NoPadding),
    ("trailing-bits", Base64Fault::TrailingBits),
    ("url-safe", Base64Fault::UrlSafe),
    ("white-space", Base64Fault::WhiteSpace),
];

fn without_argument(name: &str) -> Option<Fault> {
    PLAIN
        .iter()
        .find(|(plain, _)| *plain == name)
        .map(|(_, fault)| fault.clone())
}

/// The fault of this name with its argument or the default for it; `None` for names that take none.
fn with_argument(name: &str, argument: Option<&str>) -> Option<Result<Fault, String>> {
    let duration = |default| argument.map_or(Ok(default), parse_duration);
    Some(match name {
        "slow-handshake" => duration(Duration::from_secs(2)).map(Fault::SlowHandshake),
        "latency" => duration(Duration::from_millis(400)).map(Fault::Latency),
        "idle-close" => duration(Duration::from_millis(100)).map(Fault::IdleClose),
        "slow-drip" => parse_drip(argument.unwrap_or("1/100ms")),
        "huge-body" => argument
            .map_or(Ok(1 << 30), |bytes| {
                bytes.parse().map_err(|_| "a number of bytes".to_owned())
            })
            .map(Fault::HugeBody),
        "content-type" => Ok(Fault::ContentType(
            argument.unwrap_or("text/plain").to_owned(),
        )),
        "status" => parse_status(argument.unwrap_or("503")),
        "base64" => parse_base64(argument.unwrap_or("bad-character")),
        "biased" => parse_percent(argument.unwrap_or("25")).map(Fault::Biased),
        _ => return None,
    })
}

fn parse_drip(argument: &str) -> Result<Fault, String> {
    let (bytes, every) = argument
        .split_once('/')
        .ok_or("bytes/time, for example 1/100ms")?;
    let bytes = bytes
        .parse()
        .ok()
        .filter(|&bytes| bytes > 0)
        .ok_or("1 byte or more")?;
    Ok(Fault::SlowDrip {
        bytes,
        every: parse_duration(every)?,
    })
}

fn parse_percent(argument: &str) -> Result<u8, String> {
    let percent = argument
        .parse()
        .ok()
        .filter(|percent| (1..=100).contains(percent));
    percent.ok_or_else(|| "1 to 100 per cent".to_owned())
}

fn parse_base64(argument: &str) -> Result<Fault, String> {
    let kind = BASE64.iter().find(|(name, _)| *name == argument);
    kind.map(|(_, kind)| Fault::Base64(*kind))
        .ok_or_else(|| "bad-character, no-padding, trailing-bits, url-safe or white-space".into())
}

fn parse_status(argument: &str) -> Result<Fault, String> {
    let mut parts = argument.split(';');
    let code = parts.next().and_then(|code| code.parse().ok());
    let code = code
        .filter(|code| (200..600).contains(code))
        .ok_or("a status from 200 to 599")?;
    let mut status = StatusFault {
        code,
        retry_after: None,
        location: None,
    };
    for part in parts {
        match part.split_once('=') {
            Some(("retry-after", when)) => status.retry_after = Some(parse_retry_after(when)?),
            Some(("location", url)) => status.location = Some(url.to_owned()),
            _ => return Err("only retry-after=… and location=… follow".to_owned()),
        }
    }
    Ok(Fault::Status(status))
}

fn parse_retry_after(text: &str) -> Result<RetryAfter, String> {
    let wrong = |_| "retry-after is seconds or date:SECONDS-AHEAD".to_owned();
    match text.strip_prefix("date:") {
        Some(ahead) => ahead.parse().map(RetryAfter::Date).map_err(wrong),
        None => text.parse().map(RetryAfter::Seconds).map_err(wrong),
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SlowHandshake(time) => write!(f, "slow-handshake={}", format_duration(*time)),
            Self::Latency(time) => write!(f, "latency={}", format_duration(*time)),
            Self::IdleClose(time) => write!(f, "idle-close={}", format_duration(*time)),
            Self::SlowDrip { bytes, every } => {
                write!(f, "slow-drip={bytes}/{}", format_duration(*every))
            }
            Self::HugeBody(bytes) => write!(f, "huge-body={bytes}"),
            Self::ContentType(media_type) => write!(f, "content-type={media_type}"),
            Self::Biased(percent) => write!(f, "biased={percent}"),
            Self::Base64(kind) => write!(f, "base64={}", name_in(BASE64, kind)),
            Self::Status(status) => status.fmt(f),
            plain => f.write_str(name_in(PLAIN, plain)),
        }
    }
}

impl fmt::Display for StatusFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "status={}", self.code)?;
        match self.retry_after {
            Some(RetryAfter::Seconds(seconds)) => write!(f, ";retry-after={seconds}")?,
            Some(RetryAfter::Date(ahead)) => write!(f, ";retry-after=date:{ahead}")?,
            None => {}
        }
        self.location
            .as_ref()
            .map_or(Ok(()), |url| write!(f, ";location={url}"))
    }
}

fn name_in<T: PartialEq>(names: &[(&'static str, T)], value: &T) -> &'static str {
    let found = names.iter().find(|(_, named)| named == value);
    found
        .expect("each fault without an argument is in the table")
        .0
}

impl TryFrom<String> for Fault {
    type Error = FaultNotationError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Fault> for String {
    fn from(fault: Fault) -> Self {
        fault.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::{FAULT_NOTATIONS, Fault, FaultNotationError, FaultOrder, RetryAfter};

    fn parse(text: &str) -> FaultOrder {
        text.parse().expect(text)
    }

    #[test]
    fn every_listed_notation_is_read_and_written_back() {
        for (notation, _) in FAULT_NOTATIONS {
            assert_eq!(parse(notation).to_string(), *notation);
            let counted = format!("{notation}*3");
            assert_eq!(parse(&counted).to_string(), counted);
        }
    }

    #[test]
    fn a_missing_argument_is_the_listed_one() {
        for (notation, _) in FAULT_NOTATIONS {
            let name = notation.split('=').next().expect("a name");
            assert_eq!(parse(name), parse(notation));
        }
    }

    #[test]
    fn statuses_carry_headers() {
        let retry = RetryAfter::Date(-5);
        let fault = Fault::status_retry_after(429, retry);
        assert_eq!(parse("status=429;retry-after=date:-5*2").fault, fault);
        let redirect = parse("status=302;location=http://127.0.0.1:1/a=b").fault;
        assert_eq!(redirect, Fault::redirect(302, "http://127.0.0.1:1/a=b"));
    }

    #[test]
    fn an_asterisk_of_a_media_type_counts_nothing() {
        assert_eq!(
            parse("content-type=*/*").fault,
            Fault::ContentType("*/*".into())
        );
        assert_eq!(parse("content-type=*/**4").times, Some(4));
    }

    #[test]
    fn what_is_no_fault_is_refused() {
        let wrong = |text: &str| text.parse::<FaultOrder>().expect_err(text);
        assert_eq!(
            wrong("hnag"),
            FaultNotationError::UnknownName("hnag".into())
        );
        assert_eq!(wrong("hang*0"), FaultNotationError::Times("0".into()));
        for text in [
            "hang=1",
            "status=99",
            "status=503;x=1",
            "biased=0",
            "slow-drip=0/1s",
        ] {
            assert!(
                matches!(wrong(text), FaultNotationError::Argument { .. }),
                "{text}"
            );
        }
    }
}
