//! Names that must differ.

use std::collections::HashMap;

use crate::report::{Findings, Place, Reading};
use crate::section::Field;

/// The names of one list, each of which may be given once.
#[derive(Default)]
pub(super) struct Names {
    places: HashMap<String, Place>,
}

impl Names {
    /// Reads a name that must not have been given before.
    pub(super) fn read(
        &mut self,
        field: Field<'_>,
        what: &str,
        findings: &mut Findings,
    ) -> Reading<String> {
        let name = field.name(findings)?;
        if let Some(first) = self.places.get(&name) {
            let why = format!("is already the {what} in line {}", first.line);
            return field.refuse(&name, &why, "each has a name of its own", findings);
        }
        self.places.insert(name.clone(), field.place);
        Ok(name)
    }
}
