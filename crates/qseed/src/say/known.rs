//! What only the shell knows of the engine's things, by their number: context for those who take
//! facts.

use std::collections::BTreeMap;
use std::sync::Arc;

use qseed_engine::{PartitionId, SourceId};
use qseed_sources::Link;
use qseed_tokens::directory::TokenInfo;

/// What only the shell knows.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// The token behind each partition, and whether it is another one than before.
    tokens: BTreeMap<PartitionId, (TokenInfo, bool)>,
    /// The last connection of each source.
    links: BTreeMap<SourceId, Arc<Link>>,
}

impl Known {
    /// Takes in which token a partition was opened on.
    pub(crate) fn set_token(&mut self, id: PartitionId, token: TokenInfo) {
        let same = self.token(id).is_some_and(|(before, _)| *before == token);
        self.tokens.insert(id, (token, !same));
    }

    /// The token behind a partition, and whether it is another one than when it was opened before.
    pub(crate) fn token(&self, id: PartitionId) -> Option<(&TokenInfo, bool)> {
        let (token, is_new) = self.tokens.get(&id)?;
        Some((token, *is_new))
    }

    /// Takes in how a source is reached; returns how it was reached before.
    pub(crate) fn set_link(&mut self, id: SourceId, link: Arc<Link>) -> Option<Arc<Link>> {
        self.links.insert(id, link)
    }

    /// Forgets the connection of a source that is gone or configured otherwise.
    pub(crate) fn forget_source(&mut self, id: SourceId) {
        self.links.remove(&id);
    }

    /// Forgets the token of a partition that is gone.
    pub(crate) fn forget_partition(&mut self, id: PartitionId) {
        self.tokens.remove(&id);
    }
}
