//! Partitions' names as somebody types them.

use std::collections::BTreeSet;

use crate::log::printable;

/// How alike two names must be for one to be offered for the other (Jaro-Winkler).
const ALIKE: f64 = 0.75;

/// The names that come close, the nearest first, at most three.
pub(super) fn closest(name: &str, known: &BTreeSet<&str>) -> Vec<String> {
    let name = name.to_lowercase();
    let alike = |known: &str| strsim::jaro_winkler(&name, &known.to_lowercase());
    let mut near: Vec<_> = known
        .iter()
        .map(|known| (alike(known), *known))
        .filter(|(alike, _)| *alike >= ALIKE)
        .collect();
    near.sort_by(|a, b| b.0.total_cmp(&a.0));
    near.truncate(3);
    near.into_iter()
        .map(|(_, known)| printable(known))
        .collect()
}

/// A word as a shell takes it back.
pub(super) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%,=".contains(c);
    if !word.is_empty() && word.chars().all(plain) && !word.starts_with('-') {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::{closest, quoted};

    #[test]
    fn misspelt_partitions_are_found() {
        let known = ["issuing-ca", "timestamping", "root-ca"]
            .into_iter()
            .collect();
        assert_eq!(
            closest("isuing-ca", &known).first().map(String::as_str),
            Some("issuing-ca")
        );
        assert_eq!(closest("TimeStamping", &known), ["timestamping"]);
        assert!(closest("zzz", &known).is_empty());
    }

    #[test]
    fn names_are_quoted_for_a_shell_where_they_need_it() {
        assert_eq!(quoted("issuing-ca"), "issuing-ca");
        assert_eq!(quoted("issuing ca"), "'issuing ca'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }
}
