//! What a healthy module does: the work behind each supported function.

use std::sync::{Arc, PoisonError};
use std::time::Instant;

use cryptoki_sys::{
    CK_FLAGS, CK_INFO, CK_SESSION_INFO, CK_SLOT_INFO, CK_TOKEN_INFO, CKF_RW_SESSION,
    CKF_SERIAL_SESSION,
};

use super::background::Background;
use super::login::{self, Presented};
use super::sessions::Session;
use super::{Instance, Scene, Sessions, complain, info};
use crate::{Ckr, Error, SlotList, User};

/// What `C_Initialize` came with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InitArgs {
    /// NSS's library parameters.
    pub(crate) parameters: Option<Vec<u8>>,
    /// Whether the library may start threads.
    pub(crate) threads_allowed: bool,
}

impl Scene {
    fn instance(&self) -> Result<&Instance, Ckr> {
        self.instance
            .as_deref()
            .ok_or(Ckr::CRYPTOKI_NOT_INITIALIZED)
    }

    fn session(&self, handle: u64) -> Result<Arc<Session>, Ckr> {
        self.instance()?.sessions.serve(handle, &self.plan)
    }

    /// `C_Initialize`.
    pub(crate) fn initialize(&self, args: &InitArgs) -> Result<(), Ckr> {
        let mut instance = self
            .module
            .instance
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if instance.is_some() {
            return Err(Ckr::CRYPTOKI_ALREADY_INITIALIZED);
        }
        let faults = &self.plan.faults;
        if args.parameters.as_deref() != faults.init_args.as_ref().map(String::as_bytes) {
            return Err(Ckr::ARGUMENTS_BAD);
        }
        if faults.thread.is_some() && !args.threads_allowed {
            return Err(Ckr::NEED_TO_CREATE_THREADS);
        }
        let background = faults.thread.as_ref().map(Background::start).transpose();
        let background = background.map_err(|error| {
            complain(&Error::file("the background thread")(error));
            Ckr::HOST_MEMORY
        })?;
        self.module.steering.notice_all();
        *instance = Some(Arc::new(Instance {
            sessions: Sessions::default(),
            since: Instant::now(),
            _background: background,
        }));
        Ok(())
    }

    /// `C_Finalize`.
    pub(crate) fn finalize(&mut self) -> Result<(), Ckr> {
        self.instance = None;
        let ended = {
            let mut instance = self
                .module
                .instance
                .write()
                .unwrap_or_else(PoisonError::into_inner);
            instance.take().ok_or(Ckr::CRYPTOKI_NOT_INITIALIZED)?
        };
        // Outside the lock, as it waits for the background thread.
        drop(ended);
        Ok(())
    }

    /// `C_GetInfo`.
    pub(crate) fn library_info(&self) -> Result<CK_INFO, Ckr> {
        self.instance()?;
        Ok(info::library(&self.plan))
    }

    /// `C_GetSlotList`. Asking for the number alone makes some modules look at their slots.
    pub(crate) fn slot_list(&mut self, with_token: bool, null_list: bool) -> Result<Vec<u64>, Ckr> {
        self.instance()?;
        if null_list && self.plan.faults.slot_list == SlotList::OnNullList {
            self.plan = self.module.steering.notice_all();
        }
        Ok(self.plan.slots(with_token))
    }

    /// `C_GetSlotInfo`.
    pub(crate) fn slot_info(&self, slot: u64) -> Result<CK_SLOT_INFO, Ckr> {
        self.instance()?;
        info::slot(&self.plan, slot)
    }

    /// `C_GetTokenInfo`.
    pub(crate) fn token_info(&self, slot: u64) -> Result<CK_TOKEN_INFO, Ckr> {
        let sessions = &self.instance()?.sessions;
        let token = self.plan.token_in(slot)?;
        let state = self.module.state.read().map_err(|error| {
            complain(&error);
            Ckr::DEVICE_ERROR
        })?;
        Ok(info::token(token, sessions.token_use(token.number), &state))
    }

    /// `C_GetMechanismList` and `C_GetMechanismInfo`, as far as they need a token: it has no
    /// mechanisms.
    pub(crate) fn token_present(&self, slot: u64) -> Result<(), Ckr> {
        self.instance()?;
        self.plan.token_in(slot).map(|_| ())
    }

    /// `C_OpenSession`: the handle.
    pub(crate) fn open_session(&mut self, slot: u64, flags: CK_FLAGS) -> Result<u64, Ckr> {
        let sessions = &self.instance()?.sessions;
        if flags & CKF_SERIAL_SESSION == 0 {
            return Err(Ckr::SESSION_PARALLEL_NOT_SUPPORTED);
        }
        let token = self.plan.token_in(slot)?;
        if !token.settings.initialized {
            return Err(Ckr::TOKEN_NOT_RECOGNIZED);
        }
        let read_write = flags & CKF_RW_SESSION != 0;
        let handle = sessions.open(slot, token, read_write, self.plan.faults.max_sessions)?;
        self.opened = Some(handle);
        Ok(handle)
    }

    /// `C_CloseSession`.
    pub(crate) fn close_session(&self, handle: u64) -> Result<(), Ckr> {
        self.instance()?.sessions.close(handle)
    }

    /// `C_CloseAllSessions`.
    pub(crate) fn close_all_sessions(&self, slot: u64) -> Result<(), Ckr> {
        let sessions = &self.instance()?.sessions;
        self.plan.token_in(slot)?;
        sessions.close_all(slot);
        Ok(())
    }

    /// `C_GetSessionInfo`.
    pub(crate) fn session_info(&self, handle: u64) -> Result<CK_SESSION_INFO, Ckr> {
        let session = self.session(handle)?;
        let usage = self.instance()?.sessions.token_use(session.token.token);
        Ok(info::session(&session, usage.login))
    }

    /// `C_Login`. Only a PIN that could open the token now is judged, and so uses up a try.
    pub(crate) fn log_in(
        &self,
        handle: u64,
        user: User,
        presented: Presented<'_>,
    ) -> Result<(), Ckr> {
        let session = self.session(handle)?;
        let sessions = &self.instance()?.sessions;
        let token = self.plan.token(session.token.token);
        if let Some(answer) = token.settings.another_login {
            return Err(answer);
        }
        sessions.may_log_in(token.number, user)?;
        login::judge(token, user, presented, &self.module.state)?;
        sessions.log_in(token.number, user)
    }

    /// `C_Logout`.
    pub(crate) fn log_out(&self, handle: u64) -> Result<(), Ckr> {
        let session = self.session(handle)?;
        self.instance()?.sessions.log_out(session.token.token)
    }

    /// `C_SeedRandom`, for a seed of this many bytes: the record is where it goes.
    pub(crate) fn seed(&self, handle: u64, bytes: u64) -> Result<(), Ckr> {
        let session = self.session(handle)?;
        let token = self.plan.token(session.token.token);
        let seeding = &token.settings.seeding;
        if let Some(answer) = seeding.refused {
            return Err(answer);
        }
        let login = self.instance()?.sessions.token_use(token.number).login;
        if seeding.needs_login && login.is_none() {
            return Err(Ckr::USER_NOT_LOGGED_IN);
        }
        if bytes < seeding.min || seeding.max.is_some_and(|max| bytes > max) {
            return Err(seeding.wrong_length);
        }
        Ok(())
    }
}
