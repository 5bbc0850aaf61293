//! Which word was probably meant.

/// A longer word is no typing mistake.
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

/// The candidates that `word` was probably meant to be, the nearest first: the same but for case,
/// `-` for `_`, or few letters.
#[must_use]
pub fn near<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    if word.len() > LONGEST {
        return Vec::new();
    }
    let word = plain(word);
    let mut near: Vec<_> = candidates
        .into_iter()
        .map(|it| (strsim::damerau_levenshtein(&word, &plain(it)), it))
        // A third of the letters, at least one, may be wrong.
        .filter(|(wrong, it)| *wrong <= (it.len() / 3).max(1))
        .collect();
    near.sort_by_key(|(wrong, _)| *wrong);
    near.into_iter().map(|(_, it)| it).collect()
}

fn plain(word: &str) -> String {
    word.trim().to_lowercase().replace(['-', ' '], "_")
}

/// The key that `word` was probably meant to be; else what the word is called here.
pub(crate) fn closest(word: &str, candidates: &[&'static str]) -> Option<&'static str> {
    let called = |(name, here): &(&str, &str)| {
        let mut candidates = candidates.iter().copied();
        candidates.find(|candidate| plain(word) == *name && candidate == here)
    };
    let nearest = near(word, candidates.iter().copied()).first().copied();
    nearest.or_else(|| OTHER_NAMES.iter().find_map(called))
}

#[cfg(test)]
mod tests {
    use super::{closest, near};

    #[test]
    fn names_that_come_close_are_found() {
        let known = ["issuing-ca", "timestamping", "root-ca"];
        assert_eq!(near("isuing_ca", known), ["issuing-ca"]);
        assert_eq!(near("TimeStamping", known), ["timestamping"]);
        assert!(near("zzz", known).is_empty());
    }

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
