//! What is known of the requests that delivered: the connection, and the checks that were passed.

use std::collections::{BTreeMap, VecDeque};

use qseed_config::{Source, SourceKind};
use qseed_engine::checks::Check;
use qseed_engine::{MadeOf, RequestId, SourceId};
use qseed_http::Link;
use qseed_ledger::record;

/// The most sources of a seed that its record names one by one.
const SOURCES: usize = 300;
/// The most changes that are remembered of a source. Seeds are made of what its last requests
/// delivered, and their connections and checks are hardly ever others.
const CHANGES: usize = 1000;

/// A TLS connection.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Tls {
    version: &'static str,
    group: String,
}

/// What the deliveries of a source have in common.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Delivery {
    /// None: no TLS.
    tls: Option<Tls>,
    checks: Vec<Check>,
}

/// A table from each request to its delivery. Most requests of a source are like the one before, so
/// it remembers those that are not.
#[derive(Debug, Default)]
pub(super) struct Deliveries {
    by_source: BTreeMap<SourceId, OfSource>,
}

#[derive(Debug, Default)]
struct OfSource {
    name: String,
    /// The checks that its adapter makes.
    adapter: &'static [Check],
    /// How the last answer came.
    tls: Option<Tls>,
    /// Each with the first request that it holds for, the oldest first.
    since: VecDeque<(RequestId, Delivery)>,
}

impl Deliveries {
    /// Takes in how a source is configured. One that is gone is still known.
    pub(super) fn configure(&mut self, id: SourceId, source: &Source) {
        let of_source = self.by_source.entry(id).or_default();
        of_source.name.clone_from(&source.name);
        of_source.adapter = checks_of_adapter(&source.kind);
    }

    /// A source answered over this connection.
    pub(super) fn answered(&mut self, source: SourceId, link: Option<&Link>) {
        let of_source = self.by_source.entry(source).or_default();
        let as_before = match (&of_source.tls, link) {
            (Some(tls), Some(link)) => tls.version == link.version && tls.group == link.group,
            (tls, link) => tls.is_none() && link.is_none(),
        };
        if !as_before {
            of_source.tls = link.map(|link| Tls {
                version: link.version,
                group: link.group.clone(),
            });
        }
    }

    /// The answer passed these checks, and those of its adapter.
    pub(super) fn delivered(&mut self, source: SourceId, request: RequestId, checks: &[Check]) {
        let of_source = self.by_source.entry(source).or_default();
        let OfSource { tls, since, .. } = of_source;
        let checks: Vec<_> = of_source.adapter.iter().chain(checks).copied().collect();
        let last = since.back().map(|(_, last)| last);
        if last.is_some_and(|last| last.tls == *tls && last.checks == checks) {
            return;
        }
        if since.len() == CHANGES {
            since.pop_front();
        }
        let tls = tls.clone();
        since.push_back((request, Delivery { tls, checks }));
    }

    /// What a request of a source delivered; none: it was too long ago.
    fn get(&self, source: SourceId, request: RequestId) -> Option<&Delivery> {
        let since = &self.by_source.get(&source)?.since;
        let after = since.partition_point(|(first, _)| *first <= request);
        Some(&since.get(after.checked_sub(1)?)?.1)
    }

    /// Where the bytes of a seed come from.
    pub(super) fn sources_of(&self, made_of: &MadeOf) -> Vec<record::Source> {
        let mut sources: Vec<record::Source> = Vec::new();
        for portion in &made_of.portions {
            let name = self.by_source.get(&portion.source);
            let name = name.map_or("", |known| known.name.as_str());
            let bytes = portion.bytes as u64;
            // A source that delivers a few bytes at a time: the last request stands for the rest.
            if sources.len() >= SOURCES
                && let Some(last) = sources.iter_mut().rev().find(|it| it.name == name)
            {
                last.bytes += bytes;
                last.request = portion.request.0;
                continue;
            }
            let delivery = self.get(portion.source, portion.request);
            let tls = delivery.and_then(|delivery| delivery.tls.as_ref());
            sources.push(record::Source {
                name: name.to_owned(),
                request: portion.request.0,
                bytes,
                tls_version: tls.map(|tls| tls.version.to_owned()),
                tls_group: tls.map(|tls| tls.group.clone()),
            });
        }
        sources
    }

    /// The checks that all of the bytes passed.
    pub(super) fn checks_of(&self, made_of: &MadeOf) -> Vec<String> {
        let mut passed = Check::ALL.to_vec();
        for portion in &made_of.portions {
            let delivery = self.get(portion.source, portion.request);
            let checks = delivery.map_or(&[][..], |delivery| &delivery.checks);
            passed.retain(|check| checks.contains(check));
        }
        if made_of.portions.is_empty() {
            passed.clear();
        }
        passed.into_iter().map(|it| it.name().to_owned()).collect()
    }
}

fn checks_of_adapter(kind: &SourceKind) -> &'static [Check] {
    match kind {
        SourceKind::Qrypt { .. } | SourceKind::QryptKib { .. } | SourceKind::QrngOpenApi { .. } => {
            &[Check::Form, Check::Base64]
        }
        SourceKind::Device { .. } => &[],
    }
}

#[cfg(test)]
mod tests {
    use qseed_engine::checks::Check;
    use qseed_engine::{RequestId, SourceId};
    use qseed_http::Link;

    use super::{CHANGES, Deliveries};

    fn link(group: &str) -> Link {
        Link {
            version: "TLSv1.3",
            group: group.to_owned(),
            certificate_expires: None,
        }
    }

    #[test]
    fn each_request_keeps_the_connection_that_it_came_over() {
        let mut deliveries = Deliveries::default();
        let source = SourceId(1);
        let group = |deliveries: &Deliveries, request| {
            let delivery = deliveries.get(source, RequestId(request));
            delivery.map(|it| it.tls.as_ref().map(|tls| tls.group.clone()))
        };
        let known = |group: &str| Some(Some(group.to_owned()));
        for (request, group) in [(3, "X25519"), (4, "X25519"), (9, "X25519MLKEM768")] {
            deliveries.answered(source, Some(&link(group)));
            deliveries.delivered(source, RequestId(request), &[Check::Length]);
        }
        // An answer that brought nothing says nothing of the deliveries before.
        deliveries.answered(source, None);
        assert_eq!(group(&deliveries, 2), None);
        assert_eq!(group(&deliveries, 4), known("X25519"));
        assert_eq!(group(&deliveries, 9), known("X25519MLKEM768"));
        deliveries.delivered(source, RequestId(10), &[Check::Length]);
        assert_eq!(group(&deliveries, 10), Some(None), "plain HTTP");
        assert_eq!(deliveries.get(SourceId(2), RequestId(9)), None);
    }

    #[test]
    fn a_million_requests_take_no_room() {
        let mut deliveries = Deliveries::default();
        let source = SourceId(1);
        for request in 0..1_000_000 {
            deliveries.answered(source, Some(&link("X25519")));
            deliveries.delivered(source, RequestId(request), &[Check::Length]);
        }
        assert_eq!(deliveries.by_source[&source].since.len(), 1);
        for request in 0..3000 {
            let checks = [if request % 2 == 0 {
                Check::Length
            } else {
                Check::Text
            }];
            deliveries.delivered(source, RequestId(1_000_000 + request), &checks);
        }
        assert_eq!(deliveries.by_source[&source].since.len(), CHANGES);
    }
}
