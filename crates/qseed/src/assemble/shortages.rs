//! Whether rate limits and budgets let the sources bring what the partitions need.
//!
//! Requests wait for a place in the rate limit, and a source whose budget is too small is not
//! asked: nothing fails, so without these warnings nobody would know why seeds come late. All is
//! counted in whole numbers and from below: what is warned of cannot work, while a limit that is
//! only just enough may delay seeds now and then.

use std::time::Duration;

use qseed_config::{Combine, Config, Level, Source, SourceKind};
use qseed_model::Rate;

use crate::log::{Entry, format_duration};
use crate::print::count;

/// The most bytes of one request, by any interface until it says otherwise: 512 blocks of 1 KiB.
const REQUEST_AT_MOST: u128 = 512 * 1024;
/// Up to so many requests in a window, seeds that wait leave the reserve no place to be filled.
const RESERVE_NEEDS_OVER: u32 = 2;
/// Bytes are counted in billionths, so that those of long periods count too.
const PARTS: u128 = 1_000_000_000;

/// A limit of a source that is too low for what the partitions need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shortage {
    pub(crate) source: String,
    /// What `qseed check` calls the check that found it.
    pub(crate) check: &'static str,
    event: &'static str,
    /// What is too low, and what follows from it.
    pub(crate) text: String,
    pub(crate) fix: String,
    numbers: Vec<(&'static str, u64)>,
}

/// The rate limits and budgets that are too low.
pub(crate) fn shortages(config: &Config) -> Vec<Shortage> {
    let low_rates = low_rates(config).into_iter();
    let low_rates = low_rates.map(|low| low.shortage(config.partitions.len()));
    let sources = config.sources.iter();
    let low_budgets = sources.filter_map(|source| low_budget(source, config));
    low_rates.chain(low_budgets).collect()
}

/// The warning in the log.
impl From<Shortage> for Entry {
    fn from(shortage: Shortage) -> Self {
        let (source, text, fix) = (shortage.source, shortage.text, shortage.fix);
        let message = format!("Source {source}: {text}. To mend it, {fix}.");
        let entry = Entry::new(Level::Warn, shortage.event, message).with("source", source);
        let numbers = shortage.numbers.into_iter();
        numbers.fold(entry, |entry, (name, number)| entry.with(name, number))
    }
}

/// A source whose budget is smaller than the smallest request to it.
fn low_budget(source: &Source, config: &Config) -> Option<Shortage> {
    let bytes = source.budget?.bytes;
    let seed = config.partitions.iter().map(|it| it.size as u64).min()?;
    let needed = match source.kind {
        SourceKind::QryptKib { .. } => seed.next_multiple_of(1024),
        _ => seed,
    };
    (bytes < needed).then(|| Shortage {
        source: source.name.clone(),
        check: "budget",
        event: "budget-too-small",
        text: format!(
            "its budget is {bytes} bytes a month, and the smallest request takes {needed}, so qseed \
             does not use it"
        ),
        fix: "raise `budget`".to_owned(),
        numbers: vec![("budget_bytes", bytes), ("needed_bytes", needed)],
    })
}

/// A source whose rate limit is too low.
#[derive(Clone, Debug, PartialEq, Eq)]
struct LowRate {
    source: String,
    rate: Rate,
    /// The fewest requests that the partitions need in each window.
    needed: u128,
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
fn low_rates(config: &Config) -> Vec<LowRate> {
    let sources = config.sources.iter();
    let found: Vec<_> = sources
        .filter_map(|source| low_rate(source, config))
        .collect();
    let parts = |it: &LowRate| u128::from(it.rate.requests) * PARTS / it.needed.max(1);
    let together: u128 = found.iter().map(parts).sum();
    let some_is_enough = found.len() < config.sources.len();
    if config.combine == Combine::Failover && (some_is_enough || together >= PARTS) {
        return Vec::new();
    }
    found
}

fn low_rate(source: &Source, config: &Config) -> Option<LowRate> {
    let rate = source.rate_limit?;
    let window = rate.per.as_millis();
    let sizes = || config.partitions.iter().map(|it| it.size as u128);
    let periods = || config.partitions.iter().map(|it| it.period);
    let reserve_fills = config.reserve.is_some() && rate.requests > RESERVE_NEEDS_OVER;
    let keeps_the_rest = matches!(source.kind, SourceKind::QryptKib { .. });
    let at_most = if keeps_the_rest && !reserve_fills {
        // No more is asked for than seeds that are due together need, in whole KiB.
        let together: u128 = sizes().sum();
        together.next_multiple_of(1024).min(REQUEST_AT_MOST)
    } else {
        REQUEST_AT_MOST
    };
    // Each partition's bytes in the window, in parts, rounded down.
    let parts = sizes()
        .zip(periods())
        .map(|(size, period)| size * window * PARTS / period.as_millis().max(1));
    let by_bytes = parts.sum::<u128>().div_ceil(at_most * PARTS);
    let shortest = periods().min()?;
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
    (u128::from(rate.requests) < needed).then(|| LowRate {
        source: source.name.clone(),
        rate,
        needed,
        reason,
    })
}

impl LowRate {
    fn shortage(self, partitions: usize) -> Shortage {
        let Rate { requests, per } = self.rate;
        let a_request_in = format_duration(per / requests);
        let raise = "raise `rate_limit` if the contract with the source's operator allows it";
        let (reason, fix) = match self.reason {
            Reason::Period(shortest) => {
                let shortest = format_duration(shortest);
                (
                    format!(
                        "one for each {shortest} of the shortest period, so seeds come late: one \
                         in {a_request_in} at best"
                    ),
                    format!("{raise}, or make each `period` longer than {a_request_in}"),
                )
            }
            Reason::Bytes(at_most) => (
                format!("since one request brings at most {at_most} bytes, so seeds come late"),
                format!("{raise}, or lengthen `period` or lower `size`"),
            ),
        };
        let text = format!(
            "the rate limit allows {} in {}, and {} {} at least {} in that time, {reason}",
            count(requests, "request"),
            format_duration(per),
            count(partitions, "partition"),
            if partitions == 1 { "needs" } else { "need" },
            self.needed,
        );
        let needed = u64::try_from(self.needed).unwrap_or(u64::MAX);
        Shortage {
            source: self.source,
            check: "rate-limit",
            event: "rate-limit-too-low",
            text,
            fix,
            numbers: vec![
                ("requests_allowed", requests.into()),
                ("requests_needed", needed),
                ("window_seconds", per.as_secs()),
            ],
        }
    }
}

#[cfg(test)]
mod tests {
    use qseed_config::{Config, Level};

    use super::{LowRate, Reason, low_rates, shortages};
    use crate::log::Entry;

    fn parse(text: &str) -> Config {
        let loaded = qseed_config::parse(text, "f").unwrap_or_else(|report| panic!("{report}"));
        loaded.config
    }

    /// A source of this type and limit, and partitions of these sizes and periods.
    fn config(kind: &str, rate: &str, partitions: &[(usize, &str)], more: &str) -> Config {
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
        parse(&text)
    }

    fn judge(kind: &str, rate: &str, partitions: &[(usize, &str)], more: &str) -> Vec<LowRate> {
        low_rates(&config(kind, rate, partitions, more))
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
            let found = low_rates(&parse(text)).into_iter();
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
        let mut found = shortages(&config(QRYPT, "1/1m", &[(48, "1s")], ""));
        let entry = Entry::from(found.remove(0));
        assert_eq!(
            entry.message,
            "Source s: the rate limit allows 1 request in 60 s, and 1 partition needs at least 60 \
             in that time, one for each 1 s of the shortest period, so seeds come late: one in \
             60 s at best. To mend it, raise `rate_limit` if the contract with the source's \
             operator allows it, or make each `period` longer than 60 s."
        );
        assert_eq!(
            (entry.level, entry.event),
            (Level::Warn, "rate-limit-too-low")
        );
        assert_eq!(entry.fields["requests_needed"], 60);
        let found = shortages(&config(KIB, "1/1m", &[(48, "1s"), (48, "1s")], ""));
        let text = &found[0].text;
        assert!(
            text.contains("2 partitions need at least 6 in that time, since one request brings at most 1024 bytes"),
            "{text}"
        );
    }

    #[test]
    fn a_budget_below_the_smallest_request_is_noticed() {
        for (kind, bytes, needed) in [
            ("qrypt", 47, Some(48)),
            ("qrypt", 48, None),
            ("qrypt-kib", 1023, Some(1024)),
            ("qrypt-kib", 1024, None),
        ] {
            let text = format!(
                "sources: [{{name: s, type: {kind}, url: 'http://[::1]', budget: {{bytes: {bytes}}}}}]\n\
                 partitions: [{{name: a, slot: 0, size: 48}}, {{name: b, slot: 1, size: 4096}}]\n\
                 defaults: {{module: /l.so, login: none}}\n"
            );
            let found = shortages(&parse(&text)).into_iter().next();
            let found = found.map(|low| (low.check, low.numbers[1]));
            let expected = needed.map(|needed| ("budget", ("needed_bytes", needed)));
            assert_eq!(found, expected, "{kind} with {bytes}");
        }
    }
}
