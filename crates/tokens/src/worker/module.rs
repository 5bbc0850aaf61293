//! A loaded module: the calls that qseed makes, with failures that name function and value.

use std::ffi::CString;
use std::path::Path;

use cryptoki::context::Pkcs11;
use cryptoki::error::{Error, RvError};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::RawAuthPin;
use qseed_model::{Login, Version};
use qseed_secrets::Secret;

use super::elf;
use crate::ckr::{Ckr, Function};
use crate::directory::{LibraryInfo, SlotReport, TokenFlag, TokenInfo, field};
use crate::failure::{FailureClass, TokenFailure};
use crate::nss_args::initialize_args;
use crate::token_info::ClocklessTokenInfo;

type Answer<T> = Result<T, TokenFailure>;

/// A module that is loaded and initialised. Its calls may be made from several threads at once.
pub(super) struct Module {
    pkcs11: Pkcs11,
    clockless: Option<ClocklessTokenInfo>,
    library: LibraryInfo,
}

impl Module {
    /// Loads the library and initialises it.
    pub(super) fn load(path: &Path, init_args: Option<String>) -> Answer<Self> {
        let failed = |text: String| TokenFailure::new(FailureClass::ReloadModule, text);
        let has_init_args = init_args.is_some();
        let init_args = init_args
            .map(CString::new)
            .transpose()
            .map_err(|_| failed("init_args holds a NUL character".to_owned()))?;
        let pkcs11 = Pkcs11::new(path).map_err(|error| match error {
            Error::LibraryLoading(error) => failed(match elf::foreign_machine(path) {
                Some(machine) => format!(
                    "cannot load the module: {} is made for {machine}, not for this machine",
                    path.display()
                ),
                None => format!("cannot load the module: {error}"),
            }),
            Error::MissingSymbol(symbol) => failed(format!(
                "{} is no PKCS#11 module: it has no {symbol}",
                path.display()
            )),
            error => TokenFailure::of_call(Function::GetFunctionList, &error),
        })?;
        let clockless = ClocklessTokenInfo::of_loaded(path);
        match pkcs11.initialize(initialize_args(init_args)) {
            // A library that this one uses may have initialised it.
            Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
            Err(error) => return Err(not_initialised(&error, has_init_args)),
        }
        let library = library_info(&pkcs11);
        Ok(Self {
            pkcs11,
            clockless,
            library,
        })
    }

    /// What the module says about itself.
    pub(super) fn library(&self) -> &LibraryInfo {
        &self.library
    }

    /// The slots there are now. The crate first calls with a null list, which makes modules refresh
    /// their list (PKCS#11 3.1 section 5.5.1).
    pub(super) fn slots(&self) -> Answer<Vec<Slot>> {
        let slots = self.pkcs11.get_all_slots();
        slots.map_err(failure_of(Function::GetSlotList))
    }

    /// A slot and its token. A token that cannot be read is part of the report; a module that cannot
    /// go on is a failure. `between` runs before the second call.
    pub(super) fn slot_report(&self, slot: Slot, between: impl Fn()) -> Answer<SlotReport> {
        let info = self.pkcs11.get_slot_info(slot);
        let info = info.map_err(failure_of(Function::GetSlotInfo));
        let (description, manufacturer) = match &info {
            Ok(info) => (
                field(info.slot_description()),
                field(info.manufacturer_id()),
            ),
            Err(_) => Default::default(),
        };
        let token = info.and_then(|info| {
            if !info.token_present() {
                return Ok(None);
            }
            between();
            self.token(slot, &description).map(Some)
        });
        let token = match token {
            Err(failure) if failure.class == FailureClass::ReloadModule => return Err(failure),
            Err(failure) if failure.ckr == Some(Ckr::TOKEN_NOT_PRESENT) => Ok(None),
            token => token,
        };
        Ok(SlotReport {
            id: slot.id(),
            description,
            manufacturer,
            token,
        })
    }

    /// A token as it is now, in a slot that is known.
    pub(super) fn token(&self, slot: Slot, slot_description: &str) -> Answer<TokenInfo> {
        let info = self.token_info(slot);
        let info = info.map_err(failure_of(Function::GetTokenInfo))?;
        Ok(TokenInfo {
            slot_id: slot.id(),
            slot_description: slot_description.to_owned(),
            label: field(info.label()),
            serial: field(info.serial_number()),
            model: field(info.model()),
            manufacturer: field(info.manufacturer_id()),
            hardware: version(info.hardware_version()),
            firmware: version(info.firmware_version()),
            flags: flags(&info),
        })
    }

    /// `C_GetTokenInfo`; ignores a clock that cannot be read.
    fn token_info(&self, slot: Slot) -> Result<cryptoki::slot::TokenInfo, Error> {
        match (self.pkcs11.get_token_info(slot), &self.clockless) {
            (Err(Error::ParseInt(_) | Error::Utf8(_)), Some(clockless)) => clockless.get(slot),
            (info, _) => info,
        }
    }

    /// Opens a session that stays open until [`Self::close`]: dropping it calls nothing, since it
    /// may be gone, or the module finalised.
    pub(super) fn open(&self, slot: Slot, read_write: bool) -> Answer<Session> {
        let session = if read_write {
            self.pkcs11.open_rw_session_no_drop(slot)
        } else {
            self.pkcs11.open_ro_session_no_drop(slot)
        };
        session.map_err(failure_of(Function::OpenSession))
    }

    /// Closes a session. Whatever the module answers, the session is not used again.
    #[expect(clippy::unused_self, reason = "a session is closed through its module")]
    pub(super) fn close(&self, session: Session) {
        let _ = session.close();
    }

    /// Presents a PIN, or has it entered at the token.
    #[expect(clippy::unused_self, reason = "a session belongs to its module")]
    pub(super) fn login(
        &self,
        session: &Session,
        login: Login,
        pin: Option<&Secret>,
    ) -> Answer<()> {
        let user = match login {
            Login::So => UserType::So,
            Login::Vendor(number) => UserType::VendorExtension(number),
            Login::None | Login::User | Login::Protected => UserType::User,
        };
        let answer = match pin {
            // One more copy, of just its size, which is wiped as well.
            Some(pin) => {
                let pin = RawAuthPin::new(Box::new(pin.expose().to_vec()));
                session.login_with_raw(user, &pin)
            }
            None => session.login(user, None),
        };
        answer.map_err(failure_of(Function::Login))
    }

    /// Logs out the user of the session's token. At the end of a session a failure changes nothing.
    #[expect(clippy::unused_self, reason = "a session belongs to its module")]
    pub(super) fn logout(&self, session: &Session) {
        let _ = session.logout();
    }

    /// Mixes `seed` into the token's generator (PKCS#11 3.1 section 5.17.1).
    #[expect(clippy::unused_self, reason = "a session belongs to its module")]
    pub(super) fn seed(&self, session: &Session, seed: &[u8]) -> Answer<()> {
        let answer = session.seed_random(seed);
        answer.map_err(failure_of(Function::SeedRandom))
    }

    /// `C_Finalize`. Sessions are closed before.
    pub(super) fn finalize(&self) {
        let _ = self.pkcs11.clone().finalize();
    }
}

fn failure_of(function: Function) -> impl Fn(Error) -> TokenFailure {
    move |error| TokenFailure::of_call(function, &error)
}

/// Why `C_Initialize` failed, with a text for it or without one.
fn not_initialised(error: &Error, has_init_args: bool) -> TokenFailure {
    let mut failure = TokenFailure::of_call(Function::Initialize, error);
    if failure.ckr == Some(Ckr::ARGUMENTS_BAD) {
        let text = if has_init_args {
            "the module rejects this `init_args`"
        } else {
            "the module needs `init_args`, as NSS does"
        };
        text.clone_into(&mut failure.text);
    }
    failure
}

/// `C_GetInfo`; a module that does not answer it well is no worse at seeding.
fn library_info(pkcs11: &Pkcs11) -> LibraryInfo {
    let Ok(info) = pkcs11.get_library_info() else {
        return LibraryInfo::default();
    };
    LibraryInfo {
        cryptoki_version: version(info.cryptoki_version()),
        manufacturer: field(info.manufacturer_id()),
        description: field(info.library_description()),
        version: version(info.library_version()),
    }
}

fn version(version: cryptoki::types::Version) -> Version {
    Version {
        major: version.major(),
        minor: version.minor(),
    }
}

fn flags(info: &cryptoki::slot::TokenInfo) -> Vec<TokenFlag> {
    let flags = [
        (info.rng(), TokenFlag::Rng),
        (info.write_protected(), TokenFlag::WriteProtected),
        (info.login_required(), TokenFlag::LoginRequired),
        (info.user_pin_initialized(), TokenFlag::UserPinInitialized),
        (
            info.protected_authentication_path(),
            TokenFlag::ProtectedAuthenticationPath,
        ),
        (info.token_initialized(), TokenFlag::TokenInitialized),
        (info.user_pin_count_low(), TokenFlag::UserPinCountLow),
        (info.user_pin_final_try(), TokenFlag::UserPinFinalTry),
        (info.user_pin_locked(), TokenFlag::UserPinLocked),
        (info.user_pin_to_be_changed(), TokenFlag::UserPinToBeChanged),
        (info.so_pin_count_low(), TokenFlag::SoPinCountLow),
        (info.so_pin_final_try(), TokenFlag::SoPinFinalTry),
        (info.so_pin_locked(), TokenFlag::SoPinLocked),
        (info.so_pin_to_be_changed(), TokenFlag::SoPinToBeChanged),
        (info.error_state(), TokenFlag::ErrorState),
    ];
    let set = flags.into_iter().filter(|(is_set, _)| *is_set);
    set.map(|(_, flag)| flag).collect()
}
