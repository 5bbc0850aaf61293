//! Judges promises 1 and 2: each byte once, exact sizes, nothing that failed a check; and of
//! promise 7 that no more bytes are asked for than are needed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use qseed_engine::{Combine, Moment, Portion, RequestId, Settings, SourceId};

use crate::Checked;

#[derive(Debug)]
struct Delivery {
    source: SourceId,
    arrived: Moment,
    bytes: Vec<u8>,
    /// Bytes taken from the front: the engine takes them in order.
    taken: usize,
    lie: bool,
}

/// Everything that was delivered in this life of the daemon and may still be in a seed.
#[derive(Debug, Default)]
pub(crate) struct Bytes {
    deliveries: BTreeMap<RequestId, Delivery>,
    asked: BTreeMap<(SourceId, RequestId), usize>,
}

impl Bytes {
    /// The daemon died, and with it all that it held.
    pub(crate) fn forget_all(&mut self) {
        *self = Self::default();
    }

    /// What a source is asked for must be needed: `needed` bytes for seeds and reserve, beside
    /// what it `holds` and what it was asked for already.
    pub(crate) fn ask(
        &mut self,
        source: SourceId,
        request: RequestId,
        bytes: usize,
        needed: usize,
        held: usize,
        sources: &BTreeSet<SourceId>,
    ) -> Checked {
        let under_way: usize = self
            .asked
            .iter()
            .filter(|((of, _), _)| sources.contains(of))
            .map(|(_, bytes)| bytes)
            .sum();
        if held + under_way + bytes > needed {
            return Err(format!(
                "P7: {bytes} bytes asked of {source:?}, where {held} are held and {under_way} on \
                 their way and {needed} are needed"
            ));
        }
        self.asked.insert((source, request), bytes);
        Ok(())
    }

    /// An exchange ended, or is given up.
    pub(crate) fn answered(&mut self, source: SourceId, request: RequestId) {
        self.asked.remove(&(source, request));
    }

    /// A source is configured otherwise: what it held is dropped, and what it was asked is given
    /// up.
    pub(crate) fn abandon(&mut self, source: SourceId) -> Vec<RequestId> {
        self.deliveries
            .retain(|_, delivery| delivery.source != source);
        let asked = self.asked.keys().filter(|(of, _)| *of == source);
        let given_up: Vec<_> = asked.map(|(_, request)| *request).collect();
        self.asked.retain(|(of, _), _| *of != source);
        given_up
    }

    pub(crate) fn delivered(
        &mut self,
        source: SourceId,
        request: RequestId,
        now: Moment,
        bytes: Vec<u8>,
        lie: bool,
    ) {
        self.deliveries.insert(
            request,
            Delivery {
                source,
                arrived: now,
                bytes,
                taken: 0,
                lie,
            },
        );
    }

    /// A seed is made: it must be made of what it says, and of nothing that was used before.
    /// Returns its bytes.
    pub(crate) fn seed(
        &mut self,
        now: Moment,
        settings: &Settings,
        size: usize,
        made_of: &[Portion],
    ) -> Result<Vec<u8>, String> {
        let max_age = settings.reserve.map(|reserve| reserve.max_age);
        let mut from_each: BTreeMap<SourceId, Vec<u8>> = BTreeMap::new();
        let mut in_turn = Vec::with_capacity(size);
        for portion in made_of {
            let bytes = self.take(now, portion, max_age)?;
            in_turn.extend_from_slice(&bytes);
            from_each.entry(portion.source).or_default().extend(bytes);
        }
        let expected = match settings.combine {
            Combine::Failover => in_turn,
            Combine::Xor => {
                if from_each.len() != settings.sources.len() {
                    return Err(format!("P1: {made_of:?} misses a source"));
                }
                from_each.values().try_fold(vec![0; size], |seed, bytes| {
                    if bytes.len() != size {
                        return Err(format!("P1: {} bytes of a source", bytes.len()));
                    }
                    Ok(seed.iter().zip(bytes).map(|(a, b)| a ^ b).collect())
                })?
            }
        };
        Ok(expected)
    }

    fn take(
        &mut self,
        now: Moment,
        portion: &Portion,
        max_age: Option<Duration>,
    ) -> Result<Vec<u8>, String> {
        let Some(delivery) = self.deliveries.get_mut(&portion.request) else {
            return Err(format!(
                "P1: {portion:?} was never delivered, or is used up"
            ));
        };
        if delivery.lie {
            return Err(format!("P2: {portion:?} should have failed a check"));
        }
        if delivery.source != portion.source {
            return Err(format!("P1: {portion:?} came from {:?}", delivery.source));
        }
        if delivery.taken != portion.offset {
            return Err(format!("P1: {portion:?} after {} bytes", delivery.taken));
        }
        if let Some(max_age) = max_age
            && now.since(delivery.arrived) > max_age
        {
            return Err(format!("{portion:?} is older than {max_age:?}"));
        }
        let end = portion.offset + portion.bytes;
        let Some(bytes) = delivery.bytes.get(portion.offset..end) else {
            return Err(format!("P1: {portion:?} of {} bytes", delivery.bytes.len()));
        };
        let bytes = bytes.to_vec();
        delivery.taken = end;
        if end == delivery.bytes.len() {
            self.deliveries.remove(&portion.request);
        }
        Ok(bytes)
    }

    /// Forgets what was wiped: using it afterwards counts as using what was never delivered.
    pub(crate) fn prune(&mut self, now: Moment, max_age: Option<Duration>) {
        self.deliveries.retain(|_, delivery| {
            !delivery.lie && max_age.is_none_or(|age| now.since(delivery.arrived) <= age)
        });
    }
}
