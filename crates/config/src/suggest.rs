//! Which word was probably meant.

/// Longer words are nobody's typing mistake.
const LONGEST: usize = 64;

/// What other programs, or another part of the file, call a key.
const OTHER_NAMES: &[(&str, &str)] = &[
    ("access_token", "qrypt_token"),
    ("cryptoki_lib", "module"),
    ("cryptoki_slot_id", "slot"),
    ("cryptoki_user_pin", "pin"),
    ("interval", "period"),
    ("lib", "cryptoki_lib"),
    ("library", "cryptoki_lib"),
    ("library", "module"),
    ("module", "cryptoki_lib"),
    ("pin", "cryptoki_user_pin"),
    ("qrypt_token", "access_token"),
    ("qrypt_url", "url"),
    ("slot", "cryptoki_slot_id"),
    ("slot_id", "cryptoki_slot_id"),
    ("slot_id", "slot"),
    ("token", "access_token"),
    ("token", "qrypt_token"),
    ("url", "qrypt_url"),
    ("user_pin", "cryptoki_user_pin"),
    ("user_pin", "pin"),
];

/// The candidate that `word` was probably meant to be: the same but for case, `-` for `_`, or few
/// letters; else what the word is called here.
pub(crate) fn closest(word: &str, candidates: &[&'static str]) -> Option<&'static str> {
    if word.len() > LONGEST {
        return None;
    }
    let word = word.trim().to_lowercase().replace(['-', ' '], "_");
    let distance =
        |candidate: &&'static str| strsim::damerau_levenshtein(&word, &candidate.replace('-', "_"));
    let near = candidates
        .iter()
        .min_by_key(|candidate| distance(candidate))?;
    // A third of the letters, at least one, may be wrong.
    let allowed = (near.len() / 3).max(1);
    if distance(near) <= allowed {
        return Some(near);
    }
    let called = |(name, here): &(&str, &str)| {
        candidates
            .iter()
            .copied()
            .find(|candidate| *name == word && candidate == here)
    };
    OTHER_NAMES.iter().find_map(called)
}

#[cfg(test)]
mod tests {
    use super::closest;

    #[test]
    fn misspelt_words_find_their_meaning() {
        let known = ["size", "period", "module", "slot", "rate_limit", "pin"];
        for (word, meant) in [
            ("siez", Some("size")),
            ("Size", Some("size")),
            ("perod", Some("period")),
            ("rate-limit", Some("rate_limit")),
            ("slots", Some("slot")),
            ("cryptoki_lib", Some("module")),
            ("cryptoki_user_pin", Some("pin")),
            ("banana", None),
            ("", None),
        ] {
            assert_eq!(closest(word, &known), meant, "{word}");
        }
        assert_eq!(closest(&"x".repeat(100_000), &known), None);
        assert_eq!(closest("size", &[]), None);
    }
}
