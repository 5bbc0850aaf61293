//! An open session with a token.

use std::time::Instant;

use cryptoki::session::Session;
use cryptoki::slot::Slot;
use qseed_model::Login;

use super::operation::Operation;
use crate::directory::TokenInfo;
use crate::failure::{FailureClass, TokenFailure};
use crate::wire::Open;

/// A session with the token that a partition is.
pub(super) struct TokenSession {
    pub(super) handle: Session,
    pub(super) slot: Slot,
    pub(super) token: TokenInfo,
    /// When the slot was last seen to hold this token.
    pub(super) checked: Instant,
    /// How the partition is to be opened again if the session is lost.
    pub(super) how: Open,
}

impl TokenSession {
    /// Finds the token and opens a session with it. If the listing of slots that partitions share
    /// is older than a change of slots, it is read again, once.
    pub(super) fn connect(op: &Operation<'_>, how: &Open) -> Result<Self, TokenFailure> {
        match Self::find(op, how)?.if_still_there(op) {
            Err(failure) if failure.class == FailureClass::TokenMissing => {
                Self::find(op, how)?.if_still_there(op)
            }
            result => result,
        }
    }

    fn find(op: &Operation<'_>, how: &Open) -> Result<Self, TokenFailure> {
        let (slot, token) = op.worker.slots.find(op, &how.token)?;
        if let Some(first) = &how.first
            && *first != token.name()
        {
            let text = format!(
                "slot {} now holds the token {}, and the partition was opened on {first}",
                token.slot_id,
                token.name()
            );
            return Err(TokenFailure::new(FailureClass::AnotherToken, text));
        }
        Self::open(op, slot, token, how.clone())
    }

    fn open(
        op: &Operation<'_>,
        slot: Slot,
        token: TokenInfo,
        how: Open,
    ) -> Result<Self, TokenFailure> {
        // The security officer can log in to read/write sessions only (PKCS#11 3.1 section 5.6.8).
        let read_write = how.login == Login::So;
        Ok(Self {
            handle: op.module().open(slot, read_write)?,
            slot,
            token,
            checked: Instant::now(),
            how,
        })
    }

    /// Opens a new session with the same token, in place of one that is gone.
    pub(super) fn reopen(self, op: &Operation<'_>) -> Result<Self, TokenFailure> {
        // Where the module was mistaken, the old session must not take room in its table.
        op.module().close(self.handle);
        Self::open(op, self.slot, self.token, self.how)?.if_still_there(op)
    }

    /// The session, if the slot still holds its token; else closes it.
    fn if_still_there(self, op: &Operation<'_>) -> Result<Self, TokenFailure> {
        match self.recheck(op) {
            Ok(_) => Ok(self),
            Err(failure) => {
                op.module().close(self.handle);
                Err(failure)
            }
        }
    }

    /// Reads the token's information again. A PIN or a seed must not reach another token that took
    /// the slot meanwhile.
    pub(super) fn recheck(&self, op: &Operation<'_>) -> Result<TokenInfo, TokenFailure> {
        let token = op.module().token(self.slot, &self.token.slot_description);
        let token = token.and_then(|token| {
            if token.name() == self.token.name() {
                return Ok(token);
            }
            let text = format!("another token is in slot {} now", self.slot.id());
            Err(TokenFailure::new(FailureClass::TokenMissing, text))
        });
        // The listing that others use may be as old.
        token.inspect_err(|_| op.worker.slots.forget())
    }
}
