//! Takes in the sources' answers, and makes seeds of them.

use std::time::Duration;

use qseed_entropy::{Entropy, Seed};
use qseed_model::FetchFault;

use super::{Sources, find};
use crate::action::Next;
use crate::checks::{self, Check};
use crate::context::Context;
use crate::event::FetchFailure;
use crate::fact::{Fact, SourceFact};
use crate::ids::{RequestId, SourceId};
use crate::reservoir::{MadeOf, Portion, take_in_turn, take_xored};
use crate::settings::Combine;
use crate::source::{InFlight, SinceDelivery};
use crate::timers::Timer;

/// After a service refused a token or a request, the next one follows after this time.
const REFUSED: Duration = Duration::from_secs(5 * 60);
/// The longest pause that qseed makes when a service asks for one.
const RETRY_AFTER_AT_MOST: Duration = Duration::from_secs(3600);

impl Sources {
    /// Ends an exchange; returns what was asked for.
    fn end_exchange(
        &mut self,
        context: &mut Context,
        id: SourceId,
        request: RequestId,
        sent: u32,
    ) -> Option<InFlight> {
        let now = context.now;
        let source = self.get_mut(id)?;
        if source
            .in_flight
            .as_ref()
            .is_none_or(|in_flight| in_flight.request != request)
        {
            return None;
        }
        let in_flight = source.in_flight.take()?;
        source.rate.answered(now, in_flight.places, sent);
        Some(in_flight)
    }

    pub(crate) fn fetched(
        &mut self,
        context: &mut Context,
        id: SourceId,
        request: RequestId,
        entropy: Entropy,
        sent: u32,
    ) {
        let Some(in_flight) = self.end_exchange(context, id, request, sent) else {
            return;
        };
        let now = context.now;
        let Some(source) = find(&mut self.list, id) else {
            return;
        };
        let delivered = entropy.len();
        let shape = in_flight.shape;
        match source.checks.examine(entropy, shape, id, &mut self.seen) {
            Ok(checked) => {
                source.startup_left = source.startup_left.saturating_sub(checked.len());
                source.reservoir.add(request, now, checked);
                source.since_delivery = SinceDelivery::default();
                let source = source.named();
                let fact = SourceFact::Delivered {
                    request,
                    bytes: delivered,
                    checks: checks::applied_to(shape),
                    duration: now.since(in_flight.began),
                };
                context.emit(Fact::Source(source, fact));
                self.arm_expiry(context, id);
            }
            Err(check) => self.delivery_failed(context, id, request, check, delivered),
        }
    }

    /// Takes a seed of `size` bytes from what is held. None where the sources context out to deliver
    /// the same: all of that is dropped, and the last source counts as the one that repeats.
    pub(crate) fn take(&mut self, context: &mut Context, size: usize) -> Option<(Seed, MadeOf)> {
        let sources = self.list.iter_mut();
        let reservoirs = sources
            .filter(|source| source.available() > 0)
            .map(|source| &mut source.reservoir);
        if self.combine == Combine::Failover {
            let (seed, portions) = take_in_turn(reservoirs, size);
            return Some((seed, self.made_of(portions)));
        }
        let (seed, portions) = take_xored(reservoirs, size);
        if self.list.len() == 1 || self.xored.count(seed.expose()).is_ok() {
            return Some((seed, self.made_of(portions)));
        }
        let last = portions.last()?;
        let (id, request) = (last.source, last.request);
        for source in &mut self.list {
            source.discard_held();
        }
        self.delivery_failed(context, id, request, Check::OtherSource, 0);
        None
    }

    fn made_of(&self, portions: Vec<Portion>) -> MadeOf {
        MadeOf {
            portions,
            mix_local: self.mix_local,
        }
    }

    fn delivery_failed(
        &mut self,
        context: &mut Context,
        id: SourceId,
        request: RequestId,
        check: Check,
        bytes: usize,
    ) {
        let now = context.now;
        let Some(source) = self.get_mut(id) else {
            return;
        };
        let in_a_row = source.delivery_failed();
        let (name, meaning) = (check.name(), check.meaning());
        let why = format!("a delivery failed the check {name}: {meaning}");
        let wait = source.since_delivery.backoff.failed(&mut context.random);
        source.since_delivery.sent_away = false;
        source.exchange_failed(now, wait, &why);
        let source = source.named();
        context.timers.set(Timer::Source(id), Some(now + wait));
        let fact = SourceFact::DeliveryRejected {
            request,
            check,
            bytes,
            in_a_row,
            next: context.once_or(Next::TryAgain(wait)),
        };
        context.emit(Fact::Source(source, fact));
    }

    pub(crate) fn fetch_failed(
        &mut self,
        context: &mut Context,
        id: SourceId,
        request: RequestId,
        mut failure: FetchFailure,
    ) {
        let Some(in_flight) = self.end_exchange(context, id, request, failure.sent) else {
            return;
        };
        let now = context.now;
        let Some(source) = self.get_mut(id) else {
            return;
        };
        let learnt = failure.sent > 0
            || !source.limits.allow(in_flight.shape)
            || in_flight.shape.bytes() as u64 > source.budget.left();
        if failure.kind == FetchFault::Limits
            && learnt
            && !std::mem::replace(&mut source.since_delivery.limits_learnt, true)
        {
            // It was made before the limits were known. The next one is within them.
            return;
        }
        if matches!(failure.kind, FetchFault::Invalid(_)) {
            source.delivery_failed();
        }
        let state = &mut source.since_delivery;
        state.refused = failure.kind == FetchFault::Refused;
        state.sent_away = false;
        let wait = state.backoff.failed(&mut context.random);
        let wait = match (failure.kind, failure.retry_after) {
            (FetchFault::Refused, _) if failure.secret_changed => Duration::ZERO,
            (FetchFault::Refused, _) => REFUSED,
            (_, Some(asked)) => {
                state.sent_away = true;
                if asked > RETRY_AFTER_AT_MOST {
                    let asked = asked.as_secs();
                    failure.text = format!(
                        "{}. It asks for a pause of {asked} s; qseed waits for one hour at most",
                        failure.text
                    );
                }
                // Clients that were sent away together should not return together.
                asked.min(RETRY_AFTER_AT_MOST) + context.random.up_to(Duration::from_secs(1))
            }
            (_, None) => wait,
        };
        source.exchange_failed(now, wait, &failure.text);
        context.timers.set(Timer::Source(id), Some(now + wait));
        let next = match failure.kind {
            FetchFault::Refused => Next::Operator(wait),
            FetchFault::Transient | FetchFault::Invalid(_) | FetchFault::Limits => {
                Next::TryAgain(wait)
            }
        };
        let source = source.named();
        let fact = SourceFact::FetchFailed {
            request,
            failure,
            next: context.once_or(next),
        };
        context.emit(Fact::Source(source, fact));
    }

    /// A delivery was counted, or another month began.
    pub(crate) fn set_budget(
        &mut self,
        context: &mut Context,
        id: SourceId,
        spent: u64,
        limit: Option<u64>,
    ) {
        let Some(source) = self.get_mut(id) else {
            return;
        };
        let budget = &mut source.budget;
        if spent < budget.spent || limit != budget.limit {
            budget.exhausted = false;
            budget.warned = false;
        }
        budget.spent = spent;
        budget.limit = limit;
        if let Some(limit) = limit
            && budget.is_low()
            && !std::mem::replace(&mut budget.warned, true)
        {
            let source = source.named();
            let fact = SourceFact::BudgetLow { spent, limit };
            context.emit(Fact::Source(source, fact));
        }
    }

    /// What is left of a source's budget is not enough.
    pub(crate) fn budget_exhausted(&mut self, context: &mut Context, id: SourceId) {
        let Some(source) = self.get_mut(id) else {
            return;
        };
        if std::mem::replace(&mut source.budget.exhausted, true) {
            return;
        }
        let (spent, limit) = (source.budget.spent, source.budget.limit.unwrap_or(0));
        source.last_error = Some(format!("its budget of {limit} bytes a month is spent").into());
        let source = source.named();
        let fact = SourceFact::BudgetSpent { spent, limit };
        context.emit(Fact::Source(source, fact));
    }

    pub(crate) fn secret_changed(&mut self, id: SourceId) {
        if let Some(source) = self.get_mut(id) {
            source.retry_after_refusal();
        }
    }

    /// Wipes what a source delivered too long ago.
    pub(crate) fn wipe_expired(&mut self, context: &mut Context, id: SourceId) {
        let (Some(reserve), Some(source)) = (self.reserve, self.get_mut(id)) else {
            return;
        };
        let wiped = source
            .reservoir
            .wipe_arrived_by(context.now, reserve.max_age);
        if wiped > 0 {
            let source = source.named();
            let fact = SourceFact::Expired { bytes: wiped };
            context.emit(Fact::Source(source, fact));
        }
        self.arm_expiry(context, id);
    }

    /// Wakes the source when its oldest bytes become too old.
    pub(crate) fn arm_expiry(&mut self, context: &mut Context, id: SourceId) {
        let at = self.reserve.and_then(|reserve| {
            let oldest = self.get(id)?.reservoir.oldest()?;
            Some(oldest + reserve.max_age)
        });
        context.timers.set(Timer::Expiry(id), at);
    }
}
