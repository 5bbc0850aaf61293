//! Sessions and who is logged in, in this process.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::plan::{Plan, Token};
use crate::state::TokenKey;
use crate::{Ckr, User};

/// A session that is open.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) slot: u64,
    pub(crate) token: TokenKey,
    epoch: u32,
    pub(crate) read_write: bool,
    /// Threads that are in a call on it.
    users: AtomicU32,
    /// Calls that it has served.
    calls: AtomicU64,
}

/// All sessions of the process, and the logins, which belong to token and process and end with a
/// token's last session (PKCS#11 2.40, section 5.6).
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    table: Mutex<Table>,
    last_handle: AtomicU64,
}

#[derive(Debug, Default)]
struct Table {
    open: HashMap<u64, Arc<Session>>,
    /// Sessions that were lost, until the application closes them, and what they answer.
    lost: HashMap<u64, Ckr>,
    tokens: HashMap<u32, TokenUse>,
}

/// What this process has on a token.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct TokenUse {
    pub(crate) sessions: u32,
    pub(crate) read_write: u32,
    pub(crate) login: Option<User>,
}

impl Sessions {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a session on the token in `slot`.
    pub(crate) fn open(
        &self,
        slot: u64,
        token: Token<'_>,
        read_write: bool,
        limit: Option<u32>,
    ) -> Result<u64, Ckr> {
        let mut table = self.table();
        let full =
            |open: usize, limit: Option<u32>| limit.is_some_and(|most| open >= most as usize);
        let on_token = table.tokens.get(&token.number).copied().unwrap_or_default();
        if full(table.open.len(), limit)
            || full(on_token.sessions as usize, token.settings.max_sessions)
        {
            return Err(Ckr::SESSION_COUNT);
        }
        if on_token.login == Some(User::SO) && !read_write {
            return Err(Ckr::SESSION_READ_WRITE_SO_EXISTS);
        }
        let handle = self.last_handle.fetch_add(1, Ordering::Relaxed) + 1;
        let session = Session {
            slot,
            token: token.key(),
            epoch: token.settings.session_epoch,
            read_write,
            users: AtomicU32::new(0),
            calls: AtomicU64::new(0),
        };
        table.open.insert(handle, Arc::new(session));
        let on_token = table.tokens.entry(token.number).or_default();
        on_token.sessions += 1;
        on_token.read_write += u32::from(read_write);
        Ok(handle)
    }

    /// The session in the table, even if its token is gone.
    pub(crate) fn peek(&self, handle: u64) -> Option<Arc<Session>> {
        self.table().open.get(&handle).cloned()
    }

    /// The session, for a call on it. It is lost if its token is gone, or if it has served
    /// all the calls that it may.
    pub(crate) fn serve(&self, handle: u64, plan: &Plan) -> Result<Arc<Session>, Ckr> {
        let mut table = self.table();
        if let Some(answer) = table.lost.get(&handle) {
            return Err(*answer);
        }
        let session = table
            .open
            .get(&handle)
            .ok_or(Ckr::SESSION_HANDLE_INVALID)?
            .clone();
        let settings = plan.token(session.token.token).settings;
        let served = session.calls.fetch_add(1, Ordering::Relaxed);
        let lost = session.lost_in(plan).or_else(|| {
            let used_up = settings.session_calls.is_some_and(|most| served >= most);
            used_up.then_some(settings.lost_session)
        });
        match lost {
            Some(answer) => {
                table.lose(handle, answer);
                Err(answer)
            }
            None => Ok(session),
        }
    }

    /// Closes a session.
    pub(crate) fn close(&self, handle: u64) -> Result<(), Ckr> {
        let mut table = self.table();
        if let Some(answer) = table.lost.remove(&handle) {
            return Err(answer);
        }
        table.remove(handle).ok_or(Ckr::SESSION_HANDLE_INVALID)
    }

    /// Closes every session on a slot, the lost ones aside.
    pub(crate) fn close_all(&self, slot: u64) {
        let mut table = self.table();
        let open = table
            .open
            .iter()
            .filter(|(_, session)| session.slot == slot);
        let handles: Vec<u64> = open.map(|(&handle, _)| handle).collect();
        for handle in handles {
            table.remove(handle);
        }
    }

    /// Loses the sessions whose token the plan no longer has where it was.
    pub(crate) fn retire(&self, plan: &Plan) {
        let mut table = self.table();
        let lost: Vec<(u64, Ckr)> = (table.open.iter())
            .filter_map(|(&handle, session)| Some((handle, session.lost_in(plan)?)))
            .collect();
        for (handle, answer) in lost {
            table.lose(handle, answer);
        }
    }

    /// What this process has on a token.
    pub(crate) fn token_use(&self, token: u32) -> TokenUse {
        self.table().tokens.get(&token).copied().unwrap_or_default()
    }

    /// Whether `user` could log in now: nobody is, and no read-only session bars the security
    /// officer.
    pub(crate) fn may_log_in(&self, token: u32, user: User) -> Result<(), Ckr> {
        let on_token = self.token_use(token);
        match on_token.login {
            Some(there) if there == user => Err(Ckr::USER_ALREADY_LOGGED_IN),
            Some(_) => Err(Ckr::USER_ANOTHER_ALREADY_LOGGED_IN),
            None if user == User::SO && on_token.read_write < on_token.sessions => {
                Err(Ckr::SESSION_READ_ONLY_EXISTS)
            }
            None => Ok(()),
        }
    }

    /// Logs in, unless another thread was faster.
    pub(crate) fn log_in(&self, token: u32, user: User) -> Result<(), Ckr> {
        let mut table = self.table();
        let Some(on_token) = table.tokens.get_mut(&token) else {
            return Err(Ckr::SESSION_HANDLE_INVALID);
        };
        if on_token.login.is_some() {
            return Err(Ckr::USER_ALREADY_LOGGED_IN);
        }
        on_token.login = Some(user);
        Ok(())
    }

    /// Logs out.
    pub(crate) fn log_out(&self, token: u32) -> Result<(), Ckr> {
        let mut table = self.table();
        let login = table
            .tokens
            .get_mut(&token)
            .and_then(|on_token| on_token.login.take());
        login.map(|_| ()).ok_or(Ckr::USER_NOT_LOGGED_IN)
    }
}

impl Table {
    fn remove(&mut self, handle: u64) -> Option<()> {
        let session = self.open.remove(&handle)?;
        let number = session.token.token;
        let on_token = self
            .tokens
            .get_mut(&number)
            .expect("a token with a session is in use");
        on_token.sessions -= 1;
        on_token.read_write -= u32::from(session.read_write);
        if on_token.sessions == 0 {
            self.tokens.remove(&number);
        }
        Some(())
    }

    fn lose(&mut self, handle: u64, answer: Ckr) {
        if self.remove(handle).is_some() {
            self.lost.insert(handle, answer);
        }
    }
}

impl Session {
    /// What the session answers from now on, if it cannot live on under this plan.
    fn lost_in(&self, plan: &Plan) -> Option<Ckr> {
        match plan.token_in(self.slot) {
            Ok(token) if token.key() == self.token => {
                let epoch = token.settings.session_epoch;
                (epoch != self.epoch).then_some(token.settings.lost_session)
            }
            Ok(_) => Some(Ckr::SESSION_HANDLE_INVALID),
            Err(_) => Some(Ckr::DEVICE_REMOVED),
        }
    }

    /// Marks a call on the session as in progress. The second value says whether another is too.
    pub(crate) fn enter(self: &Arc<Self>) -> (InCall, bool) {
        let others = self.users.fetch_add(1, Ordering::SeqCst);
        (InCall(Arc::clone(self)), others > 0)
    }
}

/// A call in progress on a session.
#[derive(Debug)]
pub(crate) struct InCall(Arc<Session>);

impl Drop for InCall {
    fn drop(&mut self) {
        self.0.users.fetch_sub(1, Ordering::SeqCst);
    }
}
