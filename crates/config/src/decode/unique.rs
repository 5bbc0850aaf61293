//! Values that must differ within a list.

use std::collections::HashMap;
use std::hash::Hash;

use crate::report::{Place, Reading};
use crate::section::Field;

/// The values of one key over a list, each of which may be given once.
pub(super) struct Unique<T>(HashMap<T, Place>);

impl<T> Default for Unique<T> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<T: Clone + Eq + Hash> Unique<T> {
    /// Refuses a value that was given before. `why` says what it is in that earlier place.
    pub(super) fn check(
        &mut self,
        value: T,
        field: Field<'_>,
        why: &str,
        help: &str,
    ) -> Reading<T> {
        if let Some(first) = self.0.get(&value) {
            return field.refuse(&format!("{why} in line {}", first.line), help);
        }
        self.0.insert(value.clone(), field.place);
        Ok(value)
    }
}
