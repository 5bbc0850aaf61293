//! One task a source: it fetches when it is told to and says what came of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use qseed_config::SourceKind;
use qseed_engine::checks::Check;
use qseed_engine::{FetchFailure, FetchFault, RequestId, Shape, SourceId};
use qseed_entropy::Entropy;
use qseed_sources::{Ask, Delivery, Failed, FailureClass, Limits, Link, Source, SystemRoots};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

use crate::assemble::Plan;
use crate::exit::{Code, Failure};

/// How long a request waits for a disk that is to keep its count: one that hangs stops no seeding.
const COUNTED_WITHIN: Duration = Duration::from_secs(1);

/// What a source is told.
#[derive(Debug)]
enum Order {
    Fetch {
        request: RequestId,
        shape: Shape,
        spare_attempt: bool,
        allowed: Option<oneshot::Receiver<bool>>,
    },
}

/// What a source says.
#[derive(Debug)]
pub(crate) struct SourceEvent {
    pub(crate) source: SourceId,
    /// Which incarnation of the source said it.
    pub(crate) revision: u64,
    pub(crate) what: SourceSaid,
}

#[derive(Debug)]
pub(crate) enum SourceSaid {
    Delivered {
        request: RequestId,
        entropy: Entropy,
        sent: u32,
        link: Option<Arc<Link>>,
    },
    Failed {
        request: RequestId,
        failure: FetchFailure,
        link: Option<Arc<Link>>,
    },
    Limits(Limits),
    /// The service has Qrypt's older API alone.
    OlderApi,
}

/// A source's adapter, to be started.
pub(crate) struct Adapter {
    pub(crate) id: SourceId,
    revision: u64,
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
    ///
    /// # Errors
    /// What is wrong with the files that a source's settings name.
    pub(crate) fn open(&self, plan: &Plan) -> Result<Vec<Adapter>, Failure> {
        plan.sources
            .iter()
            .filter(|(id, source)| !self.runs(**id, source.revision))
            .map(|(id, source)| {
                let settings = crate::assemble::source_adapter(&source.config.kind);
                let adapter = qseed_sources::open(settings, &self.roots).map_err(|error| {
                    let name = &source.config.name;
                    Failure::new(Code::Configuration, format!("source {name}: {error}"))
                })?;
                Ok(Adapter {
                    id: *id,
                    revision: source.revision,
                    source: adapter,
                })
            })
            .collect()
    }

    /// Starts the tasks of new sources and ends those of sources that are gone.
    pub(crate) fn start(&mut self, plan: &Plan, adapters: Vec<Adapter>) {
        self.tasks.retain(|id, _| plan.sources.contains_key(id));
        for adapter in adapters {
            let Some(planned) = plan.sources.get(&adapter.id) else {
                continue;
            };
            self.tasks.remove(&adapter.id);
            // To connect may take a request, which a rate limit has no place for: nobody decided
            // on it, and the next process would not know of it.
            let config = &planned.config;
            let sends_one = matches!(config.kind, SourceKind::QrngOpenApi { .. });
            let connects_first = !sends_one || config.rate_limit.is_none();
            let id = adapter.id;
            let task = SourceTask::start(adapter, connects_first, self.events.clone());
            self.tasks.insert(id, task);
        }
    }

    /// Asks for entropy, once its budget allows that.
    pub(crate) fn fetch(
        &self,
        id: SourceId,
        request: RequestId,
        shape: Shape,
        spare_attempt: bool,
        allowed: Option<oneshot::Receiver<bool>>,
    ) {
        if let Some(task) = self.tasks.get(&id) {
            // The task ends with the daemon.
            let _ = task.orders.send(Order::Fetch {
                request,
                shape,
                spare_attempt,
                allowed,
            });
        }
    }

    /// Gives up every request.
    pub(crate) fn stop(&mut self) {
        self.tasks.clear();
    }
}

/// The handle of a source's task.
#[derive(Debug)]
struct SourceTask {
    revision: u64,
    orders: UnboundedSender<Order>,
    task: AbortHandle,
}

impl SourceTask {
    /// Starts the task of a source. With `connects_first` it opens its connection at once, so that
    /// the first seed does not wait for it. That may take a request, which is counted with the
    /// first fetch.
    fn start(
        adapter: Adapter,
        connects_first: bool,
        events: UnboundedSender<super::Incoming>,
    ) -> Self {
        let Adapter {
            id,
            revision,
            source,
        } = adapter;
        let (orders, to_do) = unbounded_channel();
        let say = move |what| {
            // The daemon that no longer listens is about to end.
            let event = SourceEvent {
                source: id,
                revision,
                what,
            };
            let _ = events.send(super::Incoming::Source(event));
        };
        let task = tokio::spawn(serve(source, connects_first, to_do, say)).abort_handle();
        Self {
            revision,
            orders,
            task,
        }
    }
}

impl Drop for SourceTask {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    mut source: Box<dyn Source>,
    connects_first: bool,
    mut orders: UnboundedReceiver<Order>,
    say: impl Fn(SourceSaid) + Send,
) {
    let mut limits = source.limits();
    let mut says_older_api = limits.granularity == 1;
    say(SourceSaid::Limits(limits.clone()));
    // A failure here is a failure of the first fetch, which says so.
    let mut sent_before = if connects_first {
        match source.connect().await {
            Ok(ready) => ready.attempts,
            Err(failed) => failed.attempts,
        }
    } else {
        0
    };
    tell_limits(&*source, &mut limits, &say);
    while let Some(Order::Fetch {
        request,
        shape,
        spare_attempt,
        allowed,
    }) = orders.recv().await
    {
        if let Some(allowed) = allowed
            && let Ok(Ok(false)) = tokio::time::timeout(COUNTED_WITHIN, allowed).await
        {
            say(over_budget(request));
            continue;
        }
        let ask = Ask {
            block_size: shape.block_size,
            block_count: shape.block_count,
            // What was sent before the first fetch takes the spare one's place.
            spare_attempt: spare_attempt && sent_before == 0,
        };
        let sent_now = std::mem::take(&mut sent_before);
        let fetched = source.fetch(ask).await;
        // First, so that what failed for being outside of them is asked for within them.
        tell_limits(&*source, &mut limits, &say);
        if fetched.is_ok() && limits.granularity > 1 && std::mem::take(&mut says_older_api) {
            say(SourceSaid::OlderApi);
        }
        say(match fetched {
            Ok(Delivery {
                entropy,
                link,
                attempts,
                ..
            }) => SourceSaid::Delivered {
                request,
                entropy,
                sent: attempts + sent_now,
                link,
            },
            Err(failed) => {
                let link = failed.link.clone();
                SourceSaid::Failed {
                    request,
                    failure: failure(&failed, sent_now),
                    link,
                }
            }
        });
    }
}

/// A request that did not leave: the engine asks for what the budget still allows.
fn over_budget(request: RequestId) -> SourceSaid {
    SourceSaid::Failed {
        request,
        failure: FetchFailure {
            kind: FetchFault::Limits,
            code: "budget",
            text: "another process has used up its budget".to_owned(),
            retry_after: None,
            sent: 0,
            secret_changed: false,
        },
        link: None,
    }
}

/// Says what one fetch may ask for, when that changes.
fn tell_limits(source: &dyn Source, known: &mut Limits, say: impl Fn(SourceSaid)) {
    let limits = source.limits();
    if limits != *known {
        known.clone_from(&limits);
        say(SourceSaid::Limits(limits));
    }
}

fn failure(failed: &Failed, sent_before: u32) -> FetchFailure {
    FetchFailure {
        kind: match failed.error.class() {
            FailureClass::Refused => FetchFault::Refused,
            FailureClass::Invalid => FetchFault::Invalid(check(failed.error.code())),
            FailureClass::Limits => FetchFault::Limits,
            FailureClass::Transient | FailureClass::Local => FetchFault::Transient,
        },
        code: failed.error.code(),
        text: failed.error.to_string(),
        retry_after: failed.retry_after,
        sent: failed.attempts + sent_before,
        secret_changed: failed.secret_changed,
    }
}

/// The delivery check that an adapter made.
fn check(code: &str) -> Check {
    match code {
        "length" => Check::Length,
        "base64" => Check::Base64,
        _ => Check::Form,
    }
}

/// What one request may ask for, in the engine's words.
pub(crate) fn engine_limits(limits: &Limits) -> qseed_engine::Limits {
    if limits.granularity > 1 {
        return qseed_engine::Limits::QRYPT_KIB;
    }
    qseed_engine::Limits {
        min_size: *limits.block_size.start(),
        max_size: *limits.block_size.end(),
        min_count: *limits.block_count.start(),
        max_count: *limits.block_count.end(),
    }
}
