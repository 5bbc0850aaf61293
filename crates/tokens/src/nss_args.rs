//! `C_Initialize` with a text for the module, as NSS wants it.
//!
//! NSS's structure has the standard's five fields, then a pointer to a text (`LibraryParameters`)
//! where the standard has `pReserved`, then a reserved pointer. Neither NSS softokn nor the other
//! modules that take such a text read beyond the text's pointer, so the standard's structure
//! carries it.
#![allow(unsafe_code)]

use std::ffi::CString;
use std::ptr::NonNull;

use cryptoki::context::{CInitializeArgs, CInitializeFlags};

/// The arguments of `C_Initialize`: the system's locks, and `parameters` for a module that is
/// configured with some. The text stays allocated for the rest of the process.
pub(crate) fn initialize_args(parameters: Option<CString>) -> CInitializeArgs {
    let flags = CInitializeFlags::OS_LOCKING_OK;
    let Some(parameters) = parameters else {
        return CInitializeArgs::new(flags);
    };
    let text = NonNull::new(parameters.into_raw()).expect("a CString's pointer is never null");
    // JUSTIFICATION: the field is reachable through this constructor alone, and without the text
    // NSS answers CKR_ARGUMENTS_BAD.
    // SAFETY: `text` points to a NUL-terminated string that is never freed or changed, which is
    // what a module that looks at the field expects there, for as long as it may look.
    unsafe { CInitializeArgs::new_with_reserved(flags, text.cast()) }
}
