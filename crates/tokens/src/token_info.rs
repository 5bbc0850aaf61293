//! `C_GetTokenInfo` for tokens whose clock cannot be read.
//!
//! openCryptoki's tokens say that they have a clock (`CKF_CLOCK_ON_TOKEN`) and give the time in
//! another form than the standard's, `17:20:14`. The `cryptoki` crate then refuses the whole
//! answer, label and flags included. It has no option to ignore the clock, and it does not share the
//! module's function list. So this file calls the one function itself.
#![allow(unsafe_code)]

use std::path::Path;
use std::ptr;
use std::sync::OnceLock;

use cryptoki::context::Function;
use cryptoki::error::{Error, Rv};
use cryptoki::slot::{Slot, TokenInfo};
use cryptoki_sys::{
    CK_C_INITIALIZE_ARGS, CK_FUNCTION_LIST, CK_TOKEN_INFO, CKF_CLOCK_ON_TOKEN, CKF_OS_LOCKING_OK,
    CKR_CRYPTOKI_NOT_INITIALIZED,
};

/// A loaded module's `C_GetTokenInfo`.
pub(crate) struct ClocklessTokenInfo {
    library: cryptoki_sys::Pkcs11,
    /// Looked up when first needed, as few modules need it.
    functions: OnceLock<Option<CK_FUNCTION_LIST>>,
}

impl ClocklessTokenInfo {
    /// Holds on to a module that was loaded from `path` just now. `None` where that is impossible.
    pub(crate) fn of_loaded(path: &Path) -> Option<Self> {
        // JUSTIFICATION: see above; the crate that holds the module open hands out no function.
        // SAFETY: the library is loaded already, so that none of its code runs here.
        let library = unsafe { cryptoki_sys::Pkcs11::new(path) }.ok()?;
        Some(Self {
            library,
            functions: OnceLock::new(),
        })
    }

    /// What the token in `slot` says about itself but for the time. The module is initialised.
    pub(crate) fn get(&self, slot: Slot) -> Result<TokenInfo, Error> {
        let functions = self.functions.get_or_init(|| self.look_up()).as_ref();
        let functions = functions.ok_or(Error::NullFunctionPointer)?;
        let function = functions.C_GetTokenInfo.ok_or(Error::NullFunctionPointer)?;
        let mut info = CK_TOKEN_INFO::default();
        let mut call = || {
            // JUSTIFICATION: see above.
            // SAFETY: the function is the module's, which is loaded for as long as `library`
            // lives, and `info` is what PKCS#11 3.1 section 5.5.3 has it fill in.
            unsafe { function(slot.into(), &raw mut info) }
        };
        let mut answer = call();
        if answer == CKR_CRYPTOKI_NOT_INITIALIZED {
            initialize(functions);
            answer = call();
        }
        Rv::from(answer).into_result(Function::GetTokenInfo)?;
        info.flags &= !CKF_CLOCK_ON_TOKEN;
        TokenInfo::try_from(info)
    }

    fn look_up(&self) -> Option<CK_FUNCTION_LIST> {
        let get_list = self.library.C_GetFunctionList.as_ref().ok()?;
        let mut list: *mut CK_FUNCTION_LIST = ptr::null_mut();
        // JUSTIFICATION: see above.
        // SAFETY: `list` is the place that PKCS#11 3.1 section 5.4.4 has it write a pointer to.
        let answer = unsafe { get_list(&raw mut list) };
        if Rv::from(answer) != Rv::Ok {
            return None;
        }
        // SAFETY: null, or the module's list, which lives as long as the module. Lists of all
        // versions begin as this one is.
        unsafe { list.as_ref() }.copied()
    }
}

/// `C_Initialize` for these functions: p11-kit's proxy returns a new set of functions for each
/// request, and each set has its own state. The end of the process finalises it.
fn initialize(functions: &CK_FUNCTION_LIST) {
    let mut arguments = CK_C_INITIALIZE_ARGS {
        flags: CKF_OS_LOCKING_OK,
        ..CK_C_INITIALIZE_ARGS::default()
    };
    if let Some(initialize) = functions.C_Initialize {
        // JUSTIFICATION: see above.
        // SAFETY: the function is the module's, and `arguments` what PKCS#11 3.1 section 5.4.1
        // has it read during the call. What it answers shows in the next call's answer.
        unsafe { initialize((&raw mut arguments).cast()) };
    }
}
