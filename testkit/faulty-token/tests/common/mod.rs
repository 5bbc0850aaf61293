//! A faulty token of its own for each test, called as an application calls it.
#![allow(dead_code, reason = "each test program uses some of it")]

use std::time::Duration;

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, Result, Rv};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;
use qseed_faulty_token::{Ckr, Faults, FaultyToken};
use tempfile::TempDir;

/// Longer than anything here takes, unless it never comes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A folder with a module of its own, loaded.
pub(crate) struct Rig {
    pub(crate) token: FaultyToken,
    pub(crate) pkcs11: Pkcs11,
    pub(crate) folder: TempDir,
}

impl Rig {
    /// A module with these faults, initialised.
    pub(crate) fn new(change: impl FnOnce(&mut Faults)) -> Self {
        let rig = Self::loaded(change);
        rig.initialize().expect("C_Initialize");
        rig
    }

    /// A module with these faults, loaded alone.
    pub(crate) fn loaded(change: impl FnOnce(&mut Faults)) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let token = FaultyToken::new(folder.path()).expect("a faulty token");
        token.set(change).expect("faults");
        let module = token.install().expect("the built module");
        let pkcs11 = Pkcs11::new(module).expect("a module that loads");
        Self {
            token,
            pkcs11,
            folder,
        }
    }

    pub(crate) fn initialize(&self) -> Result<()> {
        self.pkcs11
            .initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))
    }

    pub(crate) fn set(&self, change: impl FnOnce(&mut Faults)) {
        self.token.set(change).expect("faults");
    }

    /// A read-only session on the token in a slot.
    pub(crate) fn session(&self, slot: u64) -> Session {
        self.pkcs11
            .open_ro_session(id(slot))
            .expect("C_OpenSession")
    }

    /// A read/write session on the token in a slot.
    pub(crate) fn rw_session(&self, slot: u64) -> Session {
        self.pkcs11
            .open_rw_session(id(slot))
            .expect("C_OpenSession")
    }

    /// The ids of the slots with a token.
    pub(crate) fn tokens(&self) -> Vec<u64> {
        let slots = self.pkcs11.get_slots_with_token().expect("C_GetSlotList");
        slots.iter().map(Slot::id).collect()
    }

    /// The label of the token in a slot.
    pub(crate) fn label(&self, slot: u64) -> String {
        let token = self
            .pkcs11
            .get_token_info(id(slot))
            .expect("C_GetTokenInfo");
        token.label().to_owned()
    }
}

/// A slot by its id.
pub(crate) fn id(slot: u64) -> Slot {
    Slot::try_from(slot).expect("a slot id")
}

/// Logs in, with a PIN or at the pad.
pub(crate) fn log_in(session: &Session, user: UserType, pin: Option<&str>) -> Rv {
    let pin = pin.map(AuthPin::from);
    answer(session.login(user, pin.as_ref()))
}

/// What a call was answered.
pub(crate) fn answer<T>(result: Result<T>) -> Rv {
    match result {
        Ok(_) => Rv::Ok,
        Err(Error::Pkcs11(error, _)) => Rv::Error(error),
        Err(other) => panic!("no answer of the module: {other}"),
    }
}

/// The answer as cryptoki names it.
pub(crate) fn rv(code: Ckr) -> Rv {
    Rv::from(code.0)
}
