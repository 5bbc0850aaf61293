//! The engine, its parts and the daemon keep their fields to themselves.
//!
//! They are large. Each file that can write one of their fields is one more place where the field's
//! meaning is decided.

use std::path::Path;

use super::{Faults, read};
use crate::failure::Failure;

/// The structures with walls, and how many open fields each still has. The number may only fall.
const WALLS: &[(&str, &str, usize)] = &[
    ("crates/engine/src/engine.rs", "Engine", 0),
    ("crates/engine/src/sources/mod.rs", "Sources", 0),
    ("crates/engine/src/fleet/mod.rs", "Fleet", 0),
    ("crates/engine/src/guard/pins.rs", "Pins", 0),
    ("crates/qseed/src/run/daemon/mod.rs", "Daemon", 0),
];

pub(super) fn faults(root: &Path) -> Result<Faults, Failure> {
    let mut faults = Vec::new();
    for (file, name, known) in WALLS {
        match open_fields(&read(&root.join(file))?, name) {
            None => faults.push(format!(
                "{file}: {name} is not here; say in {} where it is",
                file!()
            )),
            Some(fields) if fields.len() != *known => faults.push(format!(
                "{file}: {name} has {} fields that other files reach, and {} says {known}: {}",
                fields.len(),
                file!(),
                fields.join(", "),
            )),
            Some(_) => {}
        }
    }
    Ok(faults)
}

/// The fields of a structure that are not private; none where the structure is not there.
fn open_fields(text: &str, name: &str) -> Option<Vec<String>> {
    let is_head = |line: &&str| line.ends_with(&format!("struct {name} {{"));
    let mut lines = text.lines().skip_while(|line| !is_head(line));
    lines.next()?;
    let fields = lines.take_while(|line| *line != "}").map(str::trim_start);
    let open = fields.filter(|field| field.starts_with("pub"));
    let names = open.filter_map(|field| field.split(':').next()?.split(' ').next_back());
    Some(names.map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::open_fields;

    #[test]
    fn fields_that_other_files_reach_are_found() {
        let text = "pub struct A {\n    a: u8,\n    pub(super) b: u8,\n    /// Doc.\n    pub c: u8,\n}\n\
                    struct B {\n    pub(crate) d: u8,\n}\n";
        assert_eq!(
            open_fields(text, "A"),
            Some(vec!["b".to_owned(), "c".to_owned()])
        );
        assert_eq!(open_fields(text, "B"), Some(vec!["d".to_owned()]));
        assert_eq!(open_fields(text, "C"), None);
    }
}
