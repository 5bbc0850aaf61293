//! Whether each source's rate limit lets it bring what the partitions need in time.
//!
//! Requests wait for a place in the rate limit and nothing fails, so nobody would hear of seeds
//! that come late for want of places. All is counted in whole numbers and from below: what is
//! warned of cannot work, while a limit that is only just enough may delay seeds now and then.

use std::fmt;
use std::time::Duration;

use qseed_config::{Combine, Config, Level, Source, SourceKind};

use crate::log::{Entry, format_duration};
use crate::print::count;

/// The most bytes of one request, by any interface until it says otherwise: 512 blocks of 1 KiB.
const REQUEST_AT_MOST: u128 = 512 * 1024;
/// Up to so many requests in a window, seeds that wait leave the reserve no place to be filled.
const RESERVE_NEEDS_OVER: u32 = 2;
/// Bytes are counted in billionths, so that those of long periods count too.
const PARTS: u128 = 1_000_000_000;

/// A source whose rate limit is too low.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shortfall {
    pub(crate) source: String,
    /// Requests that it may get in each `window`.
    allowed: u32,
    window: Duration,
    /// The fewest that the partitions need in it.
    needed: u128,
    partitions: usize,
    reason: Reason,
}

/// What takes so many requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    /// Each period of this, the shortest one, takes a request.
    Period(Duration),
    /// One request brings no more than these bytes.
    Bytes(u128),
}

/// The sources that cannot bring what the partitions need in time. With `xor` each one must be able
/// to bring all of it, with `failover` all of them together.
pub(crate) fn shortfalls(config: &Config) -> Vec<Shortfall> {
    let sources = config.sources.iter();
    let found: Vec<_> = sources
        .filter_map(|source| shortfall(source, config))
        .collect();
    let parts = |it: &Shortfall| u128::from(it.allowed) * PARTS / it.needed.max(1);
    let together: u128 = found.iter().map(parts).sum();
    let some_is_enough = found.len() < config.sources.len();
    if config.combine == Combine::Failover && (some_is_enough || together >= PARTS) {
        return Vec::new();
    }
    found
}

fn shortfall(source: &Source, config: &Config) -> Option<Shortfall> {
    let rate = source.rate_limit?;
    let window = rate.per.as_millis();
    let reserve_fills = config.reserve.is_some() && rate.requests > RESERVE_NEEDS_OVER;
    let keeps_the_rest = matches!(source.kind, SourceKind::QryptKib { .. });
    let at_most = if keeps_the_rest && !reserve_fills {
        // No more is asked for than seeds that are due together need, in whole KiB.
        let together: u128 = sizes(config).sum();
        (together.div_ceil(1024) * 1024).min(REQUEST_AT_MOST)
    } else {
        REQUEST_AT_MOST
    };
    let by_bytes = parts_in(window, config).div_ceil(at_most * PARTS);
    let shortest = config.partitions.iter().map(|it| it.period).min()?;
    // Partitions that are due together share a request. Where a rest or the reserve serves seeds,
    // not every period takes one.
    let by_periods = if keeps_the_rest || reserve_fills {
        0
    } else {
        window.div_ceil(shortest.as_millis().max(1))
    };
    let (needed, reason) = if by_periods >= by_bytes {
        (by_periods, Reason::Period(shortest))
    } else {
        (by_bytes, Reason::Bytes(at_most))
    };
    (u128::from(rate.requests) < needed).then(|| Shortfall {
        source: source.name.clone(),
        allowed: rate.requests,
        window: rate.per,
        needed,
        partitions: config.partitions.len(),
        reason,
    })
}

fn sizes(config: &Config) -> impl Iterator<Item = u128> {
    let partitions = config.partitions.iter();
    partitions.map(|partition| partition.size as u128)
}

/// The parts of bytes that all partitions need in `window` milliseconds, each rounded down.
fn parts_in(window: u128, config: &Config) -> u128 {
    let periods = config.partitions.iter().map(|it| it.period.as_millis());
    sizes(config)
        .zip(periods)
        .map(|(size, period)| size * window * PARTS / period.max(1))
        .sum()
}

impl Shortfall {
    /// What is too little, and what follows from it.
    pub(crate) fn text(&self) -> String {
        let allowed = usize::try_from(self.allowed).unwrap_or(usize::MAX);
        let window = format_duration(self.window);
        let (reason, late) = match self.reason {
            Reason::Period(shortest) => (
                format!(
                    "one for each {} of the shortest period",
                    format_duration(shortest)
                ),
                format!(
                    ": one in {} at best",
                    format_duration(self.window / self.allowed)
                ),
            ),
            Reason::Bytes(at_most) => (
                format!("since one request brings at most {at_most} bytes"),
                String::new(),
            ),
        };
        format!(
            "the rate limit allows {} in {window}, and {} at least {} in that time, {reason}, so \
             seeds come late{late}",
            count(allowed, "request"),
            match self.partitions {
                1 => "1 partition needs".to_owned(),
                n => format!("{n} partitions need"),
            },
            self.needed,
        )
    }

    /// What to do about it.
    pub(crate) fn fix(&self) -> String {
        let raise = "raise `rate_limit` if the contract with the source's operator allows it";
        match self.reason {
            Reason::Period(_) => format!(
                "{raise}, or make each `period` longer than {}",
                format_duration(self.window / self.allowed)
            ),
            Reason::Bytes(_) => format!("{raise}, or lengthen `period` or lower `size`"),
        }
    }
}

impl fmt::Display for Shortfall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (source, text, fix) = (&self.source, self.text(), self.fix());
        write!(f, "Source {source}: {text}; to mend it, {fix}.")
    }
}

/// The warning in the log.
impl From<&Shortfall> for Entry {
    fn from(shortfall: &Shortfall) -> Self {
        let needed = u64::try_from(shortfall.needed).unwrap_or(u64::MAX);
        Entry::new(Level::Warn, "rate-limit-too-low", shortfall.to_string())
            .with("source", shortfall.source.as_str())
            .with("requests_allowed", shortfall.allowed)
            .with("requests_needed", needed)
            .with("window_seconds", shortfall.window.as_secs())
    }
}

#[cfg(test)]
mod tests {
    use super::{Reason, Shortfall, shortfalls};
    use crate::log::Entry;
    use qseed_config::Level;

    /// What is said of a source of this type and limit for partitions of these sizes and periods.
    fn judge(kind: &str, rate: &str, partitions: &[(usize, &str)], more: &str) -> Vec<Shortfall> {
        let listed: Vec<_> = (0..)
            .zip(partitions)
            .map(|(slot, (size, period))| {
                format!("{{name: p{slot}, slot: {slot}, size: {size}, period: {period}}}")
            })
            .collect();
        let text = format!(
            "sources: [{{name: s, {kind}, rate_limit: {rate}}}]\npartitions: [{}]\n\
             defaults: {{module: /l.so, login: none}}\n{more}\n",
            listed.join(", ")
        );
        let loaded = qseed_config::parse(&text, "f").unwrap_or_else(|report| panic!("{report}"));
        shortfalls(&loaded.config)
    }

    const QRYPT: &str = "type: qrypt, url: 'http://[::1]'";
    const KIB: &str = "type: qrypt-kib, url: 'http://[::1]'";
    const OPEN_API: &str = "type: qrng-open-api, url: 'http://[::1]', auth: none";

    /// The fewest requests that are needed, where the limit is too low.
    fn needed(kind: &str, rate: &str, partitions: &[(usize, &str)]) -> Option<(u128, Reason)> {
        let found = judge(kind, rate, partitions, "").into_iter().next()?;
        Some((found.needed, found.reason))
    }

    fn periods(secs: u64) -> Reason {
        Reason::Period(std::time::Duration::from_secs(secs))
    }

    #[test]
    fn each_shortest_period_takes_a_request() {
        for kind in [QRYPT, OPEN_API, "type: device, path: /x"] {
            assert_eq!(needed(kind, "1/1m", &[(48, "1s")]), Some((60, periods(1))));
        }
        let two = [(48, "1h"), (48, "7s")];
        assert_eq!(needed(QRYPT, "8/1m", &two), Some((9, periods(7))), "8.57");
        assert_eq!(needed(QRYPT, "9/1m", &two), None);
        assert_eq!(needed(QRYPT, "60/1m", &[(48, "1s")]), None, "just enough");
        assert_eq!(
            needed(QRYPT, "59/1m", &[(48, "1s")]),
            Some((60, periods(1)))
        );
        assert_eq!(needed(QRYPT, "1/1d", &[(48, "365d")]), None);
        assert_eq!(
            needed(QRYPT, "1/1d", &[(48, "86399s")]),
            Some((2, periods(86_399)))
        );
        assert_eq!(
            needed(QRYPT, "30/10s", &vec![(48, "1s"); 500]),
            None,
            "they share requests"
        );
    }

    #[test]
    fn what_one_request_cannot_carry_takes_more() {
        // 8 seeds of 64 KiB are what one request brings.
        assert_eq!(needed(QRYPT, "1/10s", &[(65_536, "10s"); 8]), None);
        let bytes = Reason::Bytes(524_288);
        assert_eq!(
            needed(QRYPT, "1/10s", &[(65_536, "10s"); 9]),
            Some((2, bytes))
        );
        assert_eq!(needed(QRYPT, "2/10s", &[(65_536, "10s"); 9]), None);
        let mut odd = vec![(65_536, "10s"); 8];
        odd.push((1, "365d"));
        assert_eq!(
            needed(QRYPT, "1/10s", &odd),
            Some((2, bytes)),
            "a byte more, once a year"
        );
    }

    #[test]
    fn where_the_rest_is_kept_only_bytes_count() {
        // 48 bytes a second are 2,880 a minute: 3 KiB.
        let bytes = Reason::Bytes(1024);
        assert_eq!(needed(KIB, "1/1m", &[(48, "1s")]), Some((3, bytes)));
        assert_eq!(needed(KIB, "3/1m", &[(48, "1s")]), None);
        assert_eq!(needed(KIB, "1/21s", &[(48, "1s")]), None);
        assert_eq!(needed(KIB, "1/22s", &[(48, "1s")]), Some((2, bytes)));
        // What 40 partitions need together is 1,920 bytes, so each request brings 2 KiB.
        let forty = [(48, "10s"); 40];
        assert_eq!(needed(KIB, "5/1m", &forty), Some((6, Reason::Bytes(2048))));
        assert_eq!(needed(KIB, "6/1m", &forty), None);
    }

    #[test]
    fn a_reserve_that_can_be_filled_leaves_bytes_to_count() {
        let fast = [(48, "1s")];
        let reserve = "reserve: {cover: 10m}";
        assert_eq!(judge(QRYPT, "3/1m", &fast, reserve), []);
        assert_eq!(judge(KIB, "3/10m", &fast, reserve), []);
        for rate in ["1/1m", "2/1m"] {
            let found = judge(QRYPT, rate, &fast, reserve);
            assert_eq!(found.len(), 1, "it is never filled");
        }
    }

    #[test]
    fn each_source_is_judged_alone() {
        let text = |combine: &str| {
            format!(
                "sources:\n- {{name: a, type: device, path: /a, rate_limit: 1/10s}}\n\
                 - {{name: b, type: device, path: /b, rate_limit: 1/1s}}\n\
                 - {{name: c, type: device, path: /c}}\n- {{name: d, type: device, path: /d, rate_limit: 4/9s}}\n\
                 partitions: [{{name: p, slot: 0, module: /l.so, login: none, period: 2s}}]\ncombine: {combine}\n"
            )
        };
        let short = |text: &str| {
            let loaded = qseed_config::parse(text, "f").expect("right");
            let found = shortfalls(&loaded.config).into_iter();
            found.map(|found| found.source).collect::<Vec<_>>()
        };
        assert_eq!(short(&text("xor")), ["a", "d"]);
        assert!(short(&text("failover")).is_empty(), "b and c are enough");
        let both = |a: &str, b: &str| {
            format!(
                "sources:\n- {{name: a, type: device, path: /a, rate_limit: {a}}}\n\
                 - {{name: b, type: device, path: /b, rate_limit: {b}}}\n\
                 partitions: [{{name: p, slot: 0, module: /l.so, login: none, period: 1s}}]\n"
            )
        };
        assert_eq!(short(&both("5/10s", "29/1m")), ["a", "b"]);
        assert!(short(&both("5/10s", "30/1m")).is_empty(), "together");
    }

    #[test]
    fn the_warning_says_what_why_and_what_to_do() {
        let found = judge(QRYPT, "1/1m", &[(48, "1s")], "");
        let entry = Entry::from(&found[0]);
        assert_eq!(
            entry.message,
            "Source s: the rate limit allows 1 request in 60 s, and 1 partition needs at least 60 \
             in that time, one for each 1 s of the shortest period, so seeds come late: one in \
             60 s at best; to mend it, raise `rate_limit` if the contract with the source's \
             operator allows it, or make each `period` longer than 60 s."
        );
        assert_eq!(
            (entry.level, entry.event),
            (Level::Warn, "rate-limit-too-low")
        );
        assert_eq!(entry.fields["requests_needed"], 60);
        let found = judge(KIB, "1/1m", &[(48, "1s"), (48, "1s")], "");
        let text = found[0].text();
        assert!(
            text.contains("2 partitions need at least 6 in that time, since one request brings at most 1024 bytes"),
            "{text}"
        );
    }
}
