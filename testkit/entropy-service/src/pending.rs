//! The faults that are ordered and have not struck yet.

use std::collections::VecDeque;

use crate::fault::{Fault, FaultOrder, Layer};

/// Faults to come: some stay until cleared, others apply to the next few requests.
#[derive(Default)]
pub(crate) struct Pending {
    standing: Vec<Fault>,
    queue: VecDeque<(Fault, u32)>,
}

/// The faults of one answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Struck {
    /// At most one: what is wrong with the answer itself.
    pub(crate) answer: Option<Fault>,
    /// The manners of the answer, in the order in which they were set.
    pub(crate) manners: Vec<Fault>,
}

impl Pending {
    pub(crate) fn order(&mut self, order: FaultOrder) {
        match order.times {
            Some(times) if order.fault.layer() != Layer::Listener => {
                self.queue.push_back((order.fault, times));
            }
            _ => self.stand(order.fault),
        }
    }

    /// One fault stands a layer, except that manners of different kinds stand together.
    fn stand(&mut self, fault: Fault) {
        let same_kind = |other: &Fault| {
            other.layer() == fault.layer()
                && (fault.layer() != Layer::Manner
                    || std::mem::discriminant(other) == std::mem::discriminant(&fault))
        };
        self.standing.retain(|other| !same_kind(other));
        self.standing.push(fault);
    }

    pub(crate) fn clear(&mut self) {
        self.standing.clear();
        self.queue.clear();
    }

    /// Everything in waiting, the queue first.
    pub(crate) fn orders(&self) -> Vec<FaultOrder> {
        let queued = self
            .queue
            .iter()
            .map(|(fault, times)| (fault, Some(*times)));
        let standing = self.standing.iter().map(|fault| (fault, None));
        let all = queued.chain(standing);
        all.map(|(fault, times)| FaultOrder {
            fault: fault.clone(),
            times,
        })
        .collect()
    }

    /// Whether the listener is to be closed.
    pub(crate) fn refuses(&self) -> bool {
        self.standing.contains(&Fault::Refuse)
    }

    /// The fault for a new connection.
    pub(crate) fn strike_connection(&mut self) -> Option<Fault> {
        let eligible = |fault: &Fault| fault.layer() == Layer::Connection;
        self.take(&eligible)
            .or_else(|| self.standing.iter().find(|f| eligible(f)).cloned())
    }

    /// The faults for an answer; `kept` tells whether its connection has served a request before,
    /// and `good` whether the answer would be a good one.
    pub(crate) fn strike_answer(&mut self, kept: bool, good: bool) -> Struck {
        let eligible = |fault: &Fault| {
            fault.layer() == Layer::Answer && good && (kept || *fault != Fault::StaleClose)
        };
        let manners = self.strike_manners();
        let answer = self
            .take(&eligible)
            .or_else(|| self.standing.iter().find(|f| eligible(f)).cloned());
        Struck { answer, manners }
    }

    /// Of each kind of manner, the queue's first or else the standing one.
    fn strike_manners(&mut self) -> Vec<Fault> {
        let mut manners: Vec<Fault> = Vec::new();
        let is_new = |known: &[Fault], fault: &Fault| {
            let kind = std::mem::discriminant(fault);
            fault.layer() == Layer::Manner
                && known
                    .iter()
                    .all(|other| std::mem::discriminant(other) != kind)
        };
        while let Some(fault) = self.take(&|fault| is_new(&manners, fault)) {
            manners.push(fault);
        }
        for fault in &self.standing {
            if is_new(&manners, fault) {
                manners.push(fault.clone());
            }
        }
        manners
    }

    /// Takes the first eligible fault of the queue once.
    fn take(&mut self, eligible: &dyn Fn(&Fault) -> bool) -> Option<Fault> {
        let position = self.queue.iter().position(|(fault, _)| eligible(fault))?;
        let (fault, times) = &mut self.queue[position];
        let fault = fault.clone();
        *times -= 1;
        if *times == 0 {
            self.queue.remove(position);
        }
        Some(fault)
    }
}

#[cfg(test)]
mod tests {
    use super::{Pending, Struck};
    use crate::fault::Fault;

    fn pending(orders: &[&str]) -> Pending {
        let mut pending = Pending::default();
        for order in orders {
            pending.order(order.parse().expect("a fault"));
        }
        pending
    }

    fn answers(pending: &mut Pending, times: usize) -> Vec<Option<Fault>> {
        (0..times)
            .map(|_| pending.strike_answer(true, true).answer)
            .collect()
    }

    #[test]
    fn queued_faults_come_before_standing_ones() {
        let mut pending = pending(&["hang", "all-zero*2", "text*1"]);
        let struck = answers(&mut pending, 4);
        let expected = [Fault::AllZero, Fault::AllZero, Fault::Text, Fault::Hang].map(Some);
        assert_eq!(struck, expected);
    }

    #[test]
    fn one_answer_fault_stands_and_manners_add_up() {
        let mut pending = pending(&["hang", "text", "chunked", "latency=1s", "latency=2s"]);
        let Struck { answer, manners } = pending.strike_answer(false, true);
        assert_eq!(answer, Some(Fault::Text));
        let latency = Fault::Latency(std::time::Duration::from_secs(2));
        assert_eq!(manners, [Fault::Chunked, latency]);
    }

    #[test]
    fn queued_manners_go_with_queued_answers() {
        let mut pending = pending(&["gzip*1", "chunked*2", "text*1"]);
        let first = pending.strike_answer(false, true);
        assert_eq!(first.answer, Some(Fault::Text));
        assert_eq!(first.manners, [Fault::Gzip, Fault::Chunked]);
        let second = pending.strike_answer(false, true);
        assert_eq!(
            second,
            Struck {
                answer: None,
                manners: vec![Fault::Chunked]
            }
        );
        assert_eq!(pending.strike_answer(false, true), Struck::default());
    }

    #[test]
    fn refused_requests_use_up_no_answer_fault() {
        let mut pending = pending(&["text*1"]);
        assert_eq!(pending.strike_answer(false, false).answer, None);
        assert_eq!(pending.strike_answer(false, true).answer, Some(Fault::Text));
    }

    #[test]
    fn a_stale_connection_is_one_that_was_kept() {
        let mut pending = pending(&["stale-close*1"]);
        assert_eq!(pending.strike_answer(false, true).answer, None);
        assert_eq!(
            pending.strike_answer(true, true).answer,
            Some(Fault::StaleClose)
        );
    }

    #[test]
    fn connections_and_the_listener_have_faults_of_their_own() {
        let mut pending = pending(&["reset*1", "refuse*1"]);
        assert!(pending.refuses());
        assert_eq!(answers(&mut pending, 1), [None]);
        assert_eq!(pending.strike_connection(), Some(Fault::Reset));
        assert_eq!(pending.strike_connection(), None);
        pending.clear();
        assert!(!pending.refuses());
        assert!(pending.orders().is_empty());
    }
}
