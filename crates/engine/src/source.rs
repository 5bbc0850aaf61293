//! What the engine knows of one source.

use std::sync::Arc;
use std::time::Duration;

use qseed_model::{Limits, Shape};

use crate::backoff::Backoff;
use crate::checks::Checks;
use crate::ids::{Named, RequestId, SourceId};
use crate::rate::RateLimit;
use crate::reservoir::Reservoir;
use crate::settings::SourceSettings;
use crate::time::Moment;

/// Deliveries in a row that fail a check before what the source delivered earlier is dropped too.
pub(crate) const FAILED_DELIVERIES: u32 = 3;

/// A request under way.
#[derive(Debug)]
pub(crate) struct InFlight {
    pub(crate) request: RequestId,
    pub(crate) shape: Shape,
    /// When it left.
    pub(crate) began: Moment,
    /// Places of the rate limit that it holds.
    pub(crate) places: u32,
}

/// What a source may deliver in a month.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Budget {
    pub(crate) spent: u64,
    pub(crate) limit: Option<u64>,
    /// What is left is not enough for a seed.
    pub(crate) exhausted: bool,
    /// That most of it is spent was said.
    pub(crate) warned: bool,
}

impl Budget {
    /// The part of it that is spent before the operator is warned, in hundredths.
    pub(crate) const WARN_AT: u64 = 80;

    /// The bytes that may still be asked for.
    pub(crate) fn left(&self) -> u64 {
        self.limit
            .map_or(u64::MAX, |limit| limit.saturating_sub(self.spent))
    }

    /// Whether so much of it is spent that the operator is warned.
    pub(crate) fn is_low(&self) -> bool {
        self.limit.is_some_and(|limit| {
            u128::from(self.spent) * 100 >= u128::from(limit) * u128::from(Self::WARN_AT)
        })
    }
}

#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) settings: SourceSettings,
    pub(crate) limits: Limits,
    pub(crate) checks: Checks,
    pub(crate) reservoir: Reservoir,
    pub(crate) rate: RateLimit,
    pub(crate) in_flight: Option<InFlight>,
    pub(crate) since_delivery: SinceDelivery,
    pub(crate) budget: Budget,
    /// Bytes that have still to pass the checks before the first use.
    pub(crate) startup_left: usize,
    pub(crate) last_error: Option<Arc<str>>,
}

/// What went wrong since the last good delivery.
#[derive(Debug, Default)]
pub(crate) struct SinceDelivery {
    pub(crate) backoff: Backoff,
    /// Since when exchanges have been failing.
    pub(crate) failing_since: Option<Moment>,
    /// Not to be asked before; set by a failure.
    pub(crate) not_before: Option<Moment>,
    /// The service itself asked to be left alone until `not_before`.
    pub(crate) sent_away: bool,
    /// The service refuses the token or the request, until something changes.
    pub(crate) refused: bool,
    /// Deliveries that failed a check.
    pub(crate) failed_deliveries: u32,
    /// A request was dropped, as its limits were learnt instead.
    pub(crate) limits_learnt: bool,
}

impl Source {
    pub(crate) fn new(settings: SourceSettings) -> Self {
        Self {
            limits: settings.limits,
            checks: Checks::default(),
            reservoir: Reservoir::new(settings.id),
            rate: RateLimit::new(settings.rate_limit),
            in_flight: None,
            since_delivery: SinceDelivery::default(),
            budget: Budget::default(),
            startup_left: settings.startup_bytes as usize,
            last_error: None,
            settings,
        }
    }

    /// Takes in what changed where the source itself stays.
    pub(crate) fn reconfigure(&mut self, settings: SourceSettings) {
        if self.settings.limits != settings.limits {
            self.limits = settings.limits;
        }
        self.rate.set(settings.rate_limit);
        let startup = settings.startup_bytes as usize;
        self.startup_left = self.startup_left.min(startup);
        self.settings = settings;
        // The operator may have fixed what failed.
        self.retry();
    }

    /// Takes over from the source of the same name what a new configuration does not touch: the
    /// places that it holds at the service. What it delivered is dropped.
    pub(crate) fn take_over(&mut self, mut before: Self, now: Moment) {
        before.discard_held();
        self.rate.take_over(before.rate, now);
        // What it delivered before is noticed if it comes again.
        self.checks = before.checks;
        self.budget = before.budget;
        // A service that asked for a pause means this source too.
        let pause = &before.since_delivery;
        if pause.sent_away && before.settings.service == self.settings.service {
            self.since_delivery.sent_away = true;
            self.since_delivery.not_before = pause.not_before;
        }
    }

    /// Its number and name.
    pub(crate) fn named(&self) -> Named<SourceId> {
        Named {
            id: self.settings.id,
            name: self.settings.name.clone(),
        }
    }

    /// Bytes that seeds can take now.
    pub(crate) fn available(&self) -> usize {
        if self.startup_left > 0 {
            0
        } else {
            self.reservoir.available()
        }
    }

    /// Bytes on their way that can be counted on.
    pub(crate) fn coming(&self) -> usize {
        match &self.in_flight {
            Some(in_flight) if !self.failing() => in_flight.shape.bytes(),
            _ => 0,
        }
    }

    /// How many bytes to ask for to make `wanted` available.
    pub(crate) fn missing(&self, wanted: usize) -> usize {
        if wanted == 0 {
            return 0;
        }
        wanted
            .saturating_sub(self.reservoir.available())
            .max(self.startup_left)
    }

    /// How many bytes to ask for to make `bytes` more available than now.
    pub(crate) fn with_start_up(&self, bytes: usize) -> usize {
        if self.startup_left > 0 {
            self.missing(bytes)
        } else {
            bytes
        }
    }

    /// Ends the wait after a refusal: the operator changed something.
    pub(crate) fn retry_after_refusal(&mut self) {
        if self.since_delivery.refused {
            self.since_delivery.not_before = None;
        }
    }

    /// Ends the wait after any failure, unless the service asked for a pause.
    pub(crate) fn retry(&mut self) {
        if !self.since_delivery.sent_away {
            self.since_delivery.not_before = None;
        }
    }

    /// Whether its last exchange failed.
    pub(crate) fn failing(&self) -> bool {
        self.since_delivery.failing_since.is_some()
    }

    /// Whether nothing is to be had from it for now.
    pub(crate) fn is_out(&self) -> bool {
        self.failing() || self.budget.exhausted
    }

    /// Counts an exchange that brought nothing usable.
    pub(crate) fn exchange_failed(&mut self, now: Moment, wait: Duration, why: &str) {
        self.since_delivery.failing_since.get_or_insert(now);
        self.since_delivery.not_before = Some(now + wait);
        self.last_error = Some(why.into());
    }

    /// Counts a delivery that failed a check. Returns how many did since the last good one.
    pub(crate) fn delivery_failed(&mut self) -> u32 {
        self.since_delivery.failed_deliveries += 1;
        if self.since_delivery.failed_deliveries == FAILED_DELIVERIES {
            // What it delivered before passed, but is no longer trusted.
            self.discard_held();
            self.startup_left = self.settings.startup_bytes as usize;
        }
        self.since_delivery.failed_deliveries
    }

    /// Whether it may be asked now, as far as its failures go.
    pub(crate) fn may_be_asked(&self, now: Moment) -> bool {
        let not_before = self.since_delivery.not_before;
        self.in_flight.is_none() && not_before.is_none_or(|at| at <= now)
    }

    /// Drops everything that it delivered.
    pub(crate) fn discard_held(&mut self) {
        self.reservoir.wipe();
    }
}
