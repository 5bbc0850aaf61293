//! Whether each source's budget is enough for a seed.

use qseed_config::{Config, Level, Source, SourceKind};

use crate::log::Entry;

/// A source whose budget is smaller than the smallest request to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SmallBudget {
    pub(crate) source: String,
    bytes: u64,
    needed: u64,
}

/// The sources that are never asked, since their budgets are too small.
pub(crate) fn small_budgets(config: &Config) -> Vec<SmallBudget> {
    let smallest = config.partitions.iter().map(|it| it.size as u64).min();
    let small = |source: &Source| {
        let bytes = source.budget?.bytes;
        let seed = smallest?;
        let needed = match source.kind {
            SourceKind::QryptKib { .. } => seed.next_multiple_of(1024),
            _ => seed,
        };
        (bytes < needed).then(|| SmallBudget {
            source: source.name.clone(),
            bytes,
            needed,
        })
    };
    config.sources.iter().filter_map(small).collect()
}

impl SmallBudget {
    pub(crate) const FIX: &str = "raise `budget`";

    pub(crate) fn text(&self) -> String {
        let Self { bytes, needed, .. } = self;
        format!(
            "its budget is {bytes} bytes a month, and the smallest request takes {needed}, so qseed \
             does not use it"
        )
    }
}

/// The warning in the log.
impl From<&SmallBudget> for Entry {
    fn from(small: &SmallBudget) -> Self {
        let (source, fix) = (&small.source, SmallBudget::FIX);
        let message = format!("{source}: {}. To use it, {fix}.", small.text());
        Entry::new(Level::Warn, "budget-too-small", message)
            .with("source", source.as_str())
            .with("budget_bytes", small.bytes)
            .with("needed_bytes", small.needed)
    }
}

#[cfg(test)]
mod tests {
    use super::small_budgets;

    #[test]
    fn a_budget_below_the_smallest_request_is_noticed() {
        for (kind, bytes, needed) in [
            ("qrypt", 47, Some(48)),
            ("qrypt", 48, None),
            ("qrypt-kib", 1023, Some(1024)),
            ("qrypt-kib", 1024, None),
        ] {
            let text = format!(
                "sources: [{{name: s, type: {kind}, url: 'http://[::1]', budget: {{bytes: {bytes}}}}}]\n\
                 partitions: [{{name: a, slot: 0, size: 48}}, {{name: b, slot: 1, size: 4096}}]\n\
                 defaults: {{module: /l.so, login: none}}\n"
            );
            let loaded = qseed_config::parse(&text, "f").unwrap_or_else(|why| panic!("{why}"));
            let small = small_budgets(&loaded.config);
            let found = small.first().map(|small| small.needed);
            assert_eq!(found, needed, "{kind} with {bytes}");
        }
    }
}
