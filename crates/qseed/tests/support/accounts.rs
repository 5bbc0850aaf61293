//! The accounts: every injected byte was delivered, and no byte was injected twice.

use std::collections::HashMap;

use qseed_entropy_service::EntropyService;

/// The shortest stretch that is looked up; two such stretches of good entropy are never alike.
const STRETCH: usize = 8;

/// The bytes of a service's good answers, and which of them were injected.
#[derive(Default)]
pub struct Accounts {
    delivered: Vec<u8>,
    spent: Vec<bool>,
    places: HashMap<[u8; STRETCH], usize>,
}

impl Accounts {
    /// Opens the accounts with everything good that a service has served so far.
    pub fn of(service: &EntropyService) -> Self {
        let mut accounts = Self::default();
        for answer in service.served().iter().filter(|answer| answer.is_good()) {
            accounts.deliver(&answer.blocks.joined());
        }
        accounts
    }

    /// Adds bytes that were delivered.
    pub fn deliver(&mut self, bytes: &[u8]) {
        let start = self.delivered.len();
        self.delivered.extend_from_slice(bytes);
        self.spent.resize(self.delivered.len(), false);
        for (offset, window) in bytes.windows(STRETCH).enumerate() {
            let window = window.try_into().expect("of this length");
            self.places.insert(window, start + offset);
        }
    }

    /// Books a seed.
    ///
    /// # Errors
    /// What is wrong with it: a stretch that no good answer held, or bytes that were spent before.
    pub fn book(&mut self, seed: &[u8]) -> Result<(), String> {
        let mut rest = seed;
        while !rest.is_empty() {
            let at = seed.len() - rest.len();
            let place = self
                .place_of(rest)
                .ok_or_else(|| format!("byte {at} of {}: never delivered", seed.len()))?;
            let length = rest
                .iter()
                .zip(&self.delivered[place..])
                .take_while(|(one, other)| one == other)
                .count();
            for spent in &mut self.spent[place..place + length] {
                if std::mem::replace(spent, true) {
                    return Err(format!("byte {at} of {}: injected before", seed.len()));
                }
            }
            rest = &rest[length..];
        }
        Ok(())
    }

    /// Where a stretch begins that `rest` begins with. What is shorter than a stretch can only be
    /// the beginning of bytes that are not spent.
    fn place_of(&self, rest: &[u8]) -> Option<usize> {
        if let Some(window) = rest.first_chunk::<STRETCH>()
            && let Some(place) = self.places.get(window)
        {
            return Some(*place);
        }
        (0..self.delivered.len()).find(|place| {
            let fresh = !self.spent[*place] && (*place == 0 || self.spent[place - 1]);
            fresh && self.delivered[*place..].starts_with(&rest[..rest.len().min(STRETCH - 1)])
        })
    }
}

/// Asserts that these seeds consist of bytes that the service delivered in good answers, each used
/// once. Seeds are to be in the order of their injection.
pub fn assert_delivered_once<'s>(
    service: &EntropyService,
    seeds: impl IntoIterator<Item = &'s [u8]>,
) {
    let mut accounts = Accounts::of(service);
    for (number, seed) in seeds.into_iter().enumerate() {
        if let Err(wrong) = accounts.book(seed) {
            panic!("seed {number}: {wrong}");
        }
    }
}
