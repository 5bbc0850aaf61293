//! One task for each source: it fetches on request and reports the result.

use std::collections::BTreeMap;
use std::time::Duration;

use qseed_config::SourceKind;
use qseed_engine::{FetchFailure, RequestId, SourceId};
use qseed_entropy::Entropy;
use qseed_http::{HttpError, SystemRoots, Traffic};
use qseed_model::{FetchFault, Limits};
use qseed_sources::{Ask, FetchError, Source};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::assemble::{Plan, source_adapter};

/// How long a request waits for a disk that is to keep its count: one that hangs stops no seeding.
const COUNTED_WITHIN: Duration = Duration::from_secs(1);

/// One fetch.
#[derive(Debug)]
struct Order {
    request: RequestId,
    ask: Ask,
    /// Tells whether the source's budget allows it.
    allowed: Option<oneshot::Receiver<bool>>,
}

/// What a source's task reports.
#[derive(Debug)]
pub(crate) struct SourceEvent {
    pub(crate) source: SourceId,
    /// The revision of the source's configuration that the task runs with.
    pub(crate) revision: u64,
    pub(crate) what: SourceReport,
}

#[derive(Debug)]
pub(crate) enum SourceReport {
    Fetched {
        request: RequestId,
        fetched: Result<Entropy, FetchFailure>,
        traffic: Traffic,
    },
    /// What one fetch may ask for has changed.
    Limits(Limits),
    /// The service has only Qrypt's older API.
    OlderApi,
}

/// A source's adapter, to be started.
pub(crate) struct Adapter {
    pub(crate) id: SourceId,
    source: Box<dyn Source>,
}

/// The desk for sources: a task each.
#[derive(Debug)]
pub(crate) struct Sources {
    tasks: BTreeMap<SourceId, SourceTask>,
    roots: SystemRoots,
    events: UnboundedSender<super::Incoming>,
}

impl Sources {
    pub(crate) fn new(events: UnboundedSender<super::Incoming>) -> Self {
        Self {
            tasks: BTreeMap::new(),
            roots: SystemRoots::default(),
            events,
        }
    }

    /// The system's roots, which all sources share.
    pub(crate) fn roots(&self) -> SystemRoots {
        self.roots.clone()
    }

    /// Has the system's roots read again for the next connections.
    pub(crate) fn renew_roots(&self) {
        self.roots.renew();
    }

    /// Whether a source runs with this revision of its configuration.
    pub(crate) fn runs(&self, id: SourceId, revision: u64) -> bool {
        let task = self.tasks.get(&id);
        task.is_some_and(|task| task.revision == revision)
    }

    /// Makes adapters for the sources of a plan that do not run as it says.
    pub(crate) fn open(&self, plan: &Plan) -> Vec<Adapter> {
        let sources = plan.sources.iter();
        sources
            .filter(|(id, source)| !self.runs(**id, source.revision))
            .map(|(id, source)| {
                let settings = source_adapter(&source.config.kind);
                let source = qseed_sources::open(settings, &self.roots);
                Adapter { id: *id, source }
            })
            .collect()
    }

    /// Starts the tasks of new sources and ends those of sources that are gone.
    pub(crate) fn start(&mut self, plan: &Plan, adapters: Vec<Adapter>) {
        self.tasks.retain(|id, _| plan.sources.contains_key(id));
        for Adapter { id, source } in adapters {
            let Some(planned) = plan.sources.get(&id) else {
                continue;
            };
            // To connect may take a request. Where a rate limit holds, the engine decides about
            // requests, and they are written down for the next process.
            let config = &planned.config;
            let sends_one = matches!(config.kind, SourceKind::QrngOpenApi { .. });
            let connects_first = !sends_one || config.rate_limit.is_none();
            let (revision, events) = (planned.revision, self.events.clone());
            let report = move |what| {
                let event = SourceEvent {
                    source: id,
                    revision,
                    what,
                };
                // A daemon that does not listen any more is about to end.
                let _ = events.send(super::Incoming::Source(event));
            };
            let (orders, to_do) = unbounded_channel();
            let mut task = JoinSet::new();
            task.spawn(serve(source, connects_first, to_do, report));
            let task = SourceTask {
                revision,
                orders,
                _task: task,
            };
            self.tasks.insert(id, task);
        }
    }

    /// Asks for entropy, once its budget allows that.
    pub(crate) fn fetch(
        &self,
        id: SourceId,
        request: RequestId,
        ask: Ask,
        allowed: Option<oneshot::Receiver<bool>>,
    ) {
        if let Some(task) = self.tasks.get(&id) {
            // The task ends with the daemon.
            let _ = task.orders.send(Order {
                request,
                ask,
                allowed,
            });
        }
    }

    /// Gives up every request.
    pub(crate) fn stop(&mut self) {
        self.tasks.clear();
    }
}

/// The handle of a source's task, which ends with it.
#[derive(Debug)]
struct SourceTask {
    revision: u64,
    orders: UnboundedSender<Order>,
    _task: JoinSet<()>,
}

/// Serves the orders of one source. With `connects_first` it opens its connection at once, so that
/// the first seed does not wait for it. That may take a request, which counts with the first fetch.
async fn serve(
    mut source: Box<dyn Source>,
    connects_first: bool,
    mut orders: UnboundedReceiver<Order>,
    report: impl Fn(SourceReport) + Send,
) {
    let mut limits = source.limits();
    let mut has_newer_api = limits != Limits::QRYPT_KIB;
    if connects_first {
        // A failure here is a failure of the first fetch, which reports it.
        let _ = source.connect().await;
    }
    let mut sent_before = source.take_traffic().sent;
    report_limits(&*source, &mut limits, &report);
    while let Some(Order {
        request,
        mut ask,
        allowed,
    }) = orders.recv().await
    {
        if let Some(allowed) = allowed
            && let Ok(Ok(false)) = tokio::time::timeout(COUNTED_WITHIN, allowed).await
        {
            report(SourceReport::Fetched {
                request,
                fetched: Err(over_budget()),
                traffic: Traffic::default(),
            });
            continue;
        }
        // What was sent before the first fetch takes the spare one's place.
        ask.spare_attempt &= sent_before == 0;
        let fetched = source.fetch(ask).await;
        let mut traffic = source.take_traffic();
        traffic.sent += std::mem::take(&mut sent_before);
        // First: the engine asks again within them for what was outside of them.
        report_limits(&*source, &mut limits, &report);
        if fetched.is_ok() && limits == Limits::QRYPT_KIB && std::mem::take(&mut has_newer_api) {
            report(SourceReport::OlderApi);
        }
        report(SourceReport::Fetched {
            request,
            fetched: fetched.map_err(|error| failure(&error, traffic.sent)),
            traffic,
        });
    }
}

/// A request that did not leave: the engine asks for what the budget still allows.
fn over_budget() -> FetchFailure {
    FetchFailure {
        kind: FetchFault::Limits,
        code: "budget",
        text: "another process has used up its budget".to_owned(),
        retry_after: None,
        sent: 0,
        secret_changed: false,
    }
}

/// Reports what one fetch may ask for, when that changes.
fn report_limits(source: &dyn Source, known: &mut Limits, report: impl Fn(SourceReport)) {
    if source.limits() != *known {
        *known = source.limits();
        report(SourceReport::Limits(*known));
    }
}

fn failure(error: &FetchError, sent: u32) -> FetchFailure {
    let (retry_after, secret_changed) = match error {
        FetchError::Http(HttpError::Status {
            retry_after,
            token_changed,
            ..
        }) => (*retry_after, *token_changed),
        _ => (None, false),
    };
    FetchFailure {
        kind: error.kind(),
        code: error.code(),
        text: error.to_string(),
        retry_after,
        sent,
        secret_changed,
    }
}
