//! What the service's connections share.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hyper::header::AUTHORIZATION;
use hyper::{HeaderMap, StatusCode};
use tokio::sync::{Notify, watch};

use crate::fault::RetryAfter;
use crate::lock::lock;
use crate::log::{Log, Served};
use crate::options::{Limits, Options, RateLimit, Scope};
use crate::pending::Pending;
use crate::tls::Tls;

/// Everything that answers depend on.
pub(crate) struct Shared {
    pub(crate) base: String,
    /// The status that the newer Qrypt interface answers if only the older one is served.
    pub(crate) older_api: Option<StatusCode>,
    pub(crate) limits: Limits,
    pub(crate) scope: Scope,
    pub(crate) tls: Option<Tls>,
    pub(crate) settings: Mutex<Settings>,
    pub(crate) record: Record,
    /// Changes when open connections are to end after their current answer.
    pub(crate) dismissed: watch::Sender<()>,
}

/// What can be changed while serving.
pub(crate) struct Settings {
    pub(crate) token: Option<String>,
    pub(crate) api_key: Option<String>,
    pub(crate) pending: Pending,
    pub(crate) rate: Rate,
    /// Whether the listener is closed by the operator.
    pub(crate) stopped: bool,
    /// The last answer with good entropy, for replays.
    pub(crate) previous: Option<Arc<Served>>,
}

/// A rate limit and the requests that count towards it.
#[derive(Default)]
pub(crate) struct Rate {
    limit: Option<RateLimit>,
    recent: VecDeque<Instant>,
}

/// The log, with a signal for tasks that wait for a change.
pub(crate) struct Record {
    log: Mutex<Log>,
    changed: Condvar,
    notify: Notify,
}

impl Shared {
    pub(crate) fn new(options: &Options, tls: Option<Tls>) -> Self {
        let mut pending = Pending::default();
        for order in &options.faults {
            pending.order(order.clone());
        }
        let settings = Settings {
            token: options.token.clone(),
            api_key: options.api_key.clone(),
            pending,
            rate: Rate {
                limit: options.rate,
                recent: VecDeque::new(),
            },
            stopped: false,
            previous: None,
        };
        Self {
            base: options.base.clone(),
            older_api: options
                .older_api
                .and_then(|status| StatusCode::from_u16(status).ok()),
            limits: options.limits,
            scope: options.scope,
            tls,
            settings: Mutex::new(settings),
            record: Record::new(Log::new(options.forget)),
            dismissed: watch::Sender::new(()),
        }
    }

    pub(crate) fn settings(&self) -> MutexGuard<'_, Settings> {
        lock(&self.settings)
    }
}

impl Settings {
    /// Whether a request's credentials let it in. Where none are set everybody may.
    pub(crate) fn admit(&self, headers: &HeaderMap) -> bool {
        let value = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let bearer = value(AUTHORIZATION.as_str()).and_then(|value| value.strip_prefix("Bearer "));
        let open = self.token.is_none() && self.api_key.is_none();
        open || self
            .token
            .as_deref()
            .is_some_and(|token| bearer == Some(token))
            || self
                .api_key
                .as_deref()
                .is_some_and(|key| value("x-api-key") == Some(key))
    }

    /// Whether requests are to be accepted at all.
    pub(crate) fn listens(&self) -> bool {
        !self.stopped && !self.pending.refuses()
    }
}

impl Rate {
    pub(crate) fn set(&mut self, limit: Option<RateLimit>) {
        *self = Self {
            limit,
            recent: VecDeque::new(),
        };
    }

    /// Counts a request that arrived at `now`, or says that it is one too many and, where the
    /// limit says so, when to come back.
    pub(crate) fn admit(&mut self, now: Instant) -> Result<(), Option<RetryAfter>> {
        let Some(limit) = self.limit else {
            return Ok(());
        };
        while self
            .recent
            .front()
            .is_some_and(|first| now.duration_since(*first) >= limit.per)
        {
            self.recent.pop_front();
        }
        if self.recent.len() < limit.requests as usize {
            self.recent.push_back(now);
            return Ok(());
        }
        let oldest = self
            .recent
            .front()
            .map_or(Duration::ZERO, |first| now.duration_since(*first));
        let wait = limit.per.saturating_sub(oldest);
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        Err(limit.retry_after.then_some(RetryAfter::Seconds(seconds)))
    }
}

impl Record {
    fn new(log: Log) -> Self {
        Self {
            log: Mutex::new(log),
            changed: Condvar::new(),
            notify: Notify::new(),
        }
    }

    pub(crate) fn read(&self) -> MutexGuard<'_, Log> {
        lock(&self.log)
    }

    /// Writes into the log and wakes the tasks that wait for a change.
    pub(crate) fn write<T>(&self, change: impl FnOnce(&mut Log) -> T) -> T {
        let result = change(&mut lock(&self.log));
        self.changed.notify_all();
        self.notify.notify_waiters();
        result
    }

    /// Blocks until `reached` holds; false when the time is up first.
    pub(crate) fn wait(&self, mut reached: impl FnMut(&Log) -> bool, timeout: Duration) -> bool {
        let waited = self
            .changed
            .wait_timeout_while(self.read(), timeout, |log| !reached(log));
        let (_log, result) = waited.unwrap_or_else(PoisonError::into_inner);
        !result.timed_out()
    }

    /// Like [`wait`](Self::wait), for tasks.
    pub(crate) async fn wait_async(
        &self,
        mut reached: impl FnMut(&Log) -> bool,
        timeout: Duration,
    ) -> bool {
        let deadline = tokio::time::Instant::now() + timeout;
        loop {
            let mut changed = std::pin::pin!(self.notify.notified());
            // Subscribes before it reads the log: a change in between must not be missed.
            changed.as_mut().enable();
            if reached(&self.read()) {
                return true;
            }
            if tokio::time::timeout_at(deadline, changed).await.is_err() {
                return reached(&self.read());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::Rate;
    use crate::fault::RetryAfter;
    use crate::options::RateLimit;

    #[test]
    fn the_window_slides() {
        let mut rate = Rate::default();
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        assert_eq!(rate.admit(at(0)), Ok(()), "no limit is set");
        rate.set(Some(RateLimit::new(2, Duration::from_secs(10))));
        assert_eq!(rate.admit(at(0)), Ok(()));
        assert_eq!(rate.admit(at(4_000)), Ok(()));
        assert_eq!(rate.admit(at(4_500)), Err(Some(RetryAfter::Seconds(6))));
        assert_eq!(rate.admit(at(9_999)), Err(Some(RetryAfter::Seconds(1))));
        assert_eq!(rate.admit(at(10_000)), Ok(()));
        assert_eq!(rate.admit(at(13_000)), Err(Some(RetryAfter::Seconds(1))));
        rate.set(Some(
            RateLimit::new(0, Duration::from_secs(10)).without_retry_after(),
        ));
        assert_eq!(rate.admit(at(20_000)), Err(None));
    }
}
