//! The C edge: the functions that applications call, and nothing but the way from C's pointers to
//! safe values and back. What the functions do is in [`crate::module`].

#![allow(unsafe_code)]

mod unsupported;

use std::ffi::{CStr, c_char, c_void};
use std::slice;

use cryptoki_sys::{
    CK_BBOOL, CK_BYTE, CK_C_INITIALIZE_ARGS, CK_FALSE, CK_FLAGS, CK_FUNCTION_LIST, CK_INFO,
    CK_MECHANISM_INFO, CK_MECHANISM_TYPE, CK_NOTIFY, CK_RV, CK_SESSION_HANDLE, CK_SESSION_INFO,
    CK_SLOT_ID, CK_SLOT_INFO, CK_TOKEN_INFO, CK_ULONG, CK_USER_TYPE, CK_UTF8CHAR,
    CKF_LIBRARY_CANT_CREATE_OS_THREADS, CKF_OS_LOCKING_OK,
};

use crate::module::info::CRYPTOKI_VERSION;
use crate::module::login::Presented;
use crate::module::serve;
use crate::module::work::InitArgs;
use crate::record::Call;
use crate::{Ckr, Function, User};

/// Stores an answer where the caller wants it.
///
/// # Safety
/// `place` is null or valid for writing a `T`.
unsafe fn store<T>(place: *mut T, value: T) -> Result<(), Ckr> {
    if place.is_null() {
        return Err(Ckr::ARGUMENTS_BAD);
    }
    // SAFETY: not null, and valid as the caller promises.
    unsafe { place.write(value) };
    Ok(())
}

/// The caller's bytes; `None` for a null pointer.
///
/// # Safety
/// `bytes` is null or valid for reading `length` bytes for as long as the result lives.
unsafe fn bytes<'a>(bytes: *const u8, length: CK_ULONG) -> Option<&'a [u8]> {
    let length = usize::try_from(length).ok()?;
    // SAFETY: not null, and valid as the caller promises.
    (!bytes.is_null()).then(|| unsafe { slice::from_raw_parts(bytes, length) })
}

/// A call that is about a slot.
fn about_slot(function: Function, slot: CK_SLOT_ID) -> Call {
    Call {
        slot: Some(slot),
        ..Call::new(function, 0)
    }
}

/// A call that is about a session.
fn about_session(function: Function, session: CK_SESSION_HANDLE) -> Call {
    Call {
        session: Some(session),
        ..Call::new(function, 0)
    }
}

/// Reads the arguments of `C_Initialize`: the standard's structure, whose last member NSS uses for a
/// pointer to its library parameters, a C string.
///
/// # Safety
/// `args` is null or points to a `CK_C_INITIALIZE_ARGS`, its last member to a C string or null.
unsafe fn init_args(args: *mut c_void) -> Result<InitArgs, Ckr> {
    if args.is_null() {
        return Ok(InitArgs {
            parameters: None,
            threads_allowed: true,
        });
    }
    // SAFETY: not null, and such a structure as the caller promises.
    let args = unsafe { &*args.cast::<CK_C_INITIALIZE_ARGS>() };
    let mutex_functions = [
        args.CreateMutex.is_some(),
        args.DestroyMutex.is_some(),
        args.LockMutex.is_some(),
        args.UnlockMutex.is_some(),
    ];
    // PKCS#11 2.40, section 5.4: all four or none; and this module has only the system's locks.
    if mutex_functions.contains(&true) {
        if mutex_functions.contains(&false) {
            return Err(Ckr::ARGUMENTS_BAD);
        }
        if args.flags & CKF_OS_LOCKING_OK == 0 {
            return Err(Ckr::CANT_LOCK);
        }
    }
    let parameters = args.pReserved.cast::<c_char>();
    let parameters = (!parameters.is_null()).then(|| {
        // SAFETY: not null, and a C string as the caller promises.
        unsafe { CStr::from_ptr(parameters) }.to_bytes().to_vec()
    });
    let threads_allowed = args.flags & CKF_LIBRARY_CANT_CREATE_OS_THREADS == 0;
    Ok(InitArgs {
        parameters,
        threads_allowed,
    })
}

extern "C" fn initialize(args: *mut c_void) -> CK_RV {
    let work = |scene: &mut crate::module::Scene| {
        // SAFETY: C_Initialize's contract with its caller (PKCS#11 2.40, section 5.4, and NSS's use
        // of the reserved member).
        scene.initialize(&unsafe { init_args(args) }?)
    };
    serve(Call::new(Function::Initialize, 0), work).0
}

extern "C" fn finalize(reserved: *mut c_void) -> CK_RV {
    let work = |scene: &mut crate::module::Scene| {
        if reserved.is_null() {
            scene.finalize()
        } else {
            Err(Ckr::ARGUMENTS_BAD)
        }
    };
    serve(Call::new(Function::Finalize, 0), work).0
}

extern "C" fn get_info(info: *mut CK_INFO) -> CK_RV {
    serve(Call::new(Function::GetInfo, 0), |scene| {
        // SAFETY: the caller gives a place for the answer, or null.
        unsafe { store(info, scene.library_info()?) }
    })
    .0
}

/// The one function that an application looks up by name (PKCS#11 2.40, section 5.4).
///
/// # Safety
/// `list` is null or valid for writing a pointer.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn C_GetFunctionList(list: *mut *mut CK_FUNCTION_LIST) -> CK_RV {
    get_function_list(list)
}

extern "C" fn get_function_list(list: *mut *mut CK_FUNCTION_LIST) -> CK_RV {
    let functions = (&raw const FUNCTIONS).cast_mut();
    serve(Call::new(Function::GetFunctionList, 0), |_| {
        // SAFETY: the caller gives a place for the answer, or null. The list is only ever read:
        // that C's type is not const does not allow an application to change it.
        unsafe { store(list, functions) }
    })
    .0
}

extern "C" fn get_slot_list(
    token_present: CK_BBOOL,
    list: *mut CK_SLOT_ID,
    count: *mut CK_ULONG,
) -> CK_RV {
    serve(Call::new(Function::GetSlotList, 0), |scene| {
        if count.is_null() {
            return Err(Ckr::ARGUMENTS_BAD);
        }
        let slots = scene.slot_list(token_present != CK_FALSE, list.is_null())?;
        let room = (!list.is_null()).then(|| {
            // SAFETY: `count` is not null, and with a list it says how many ids have room there.
            unsafe { count.read() }
        });
        let found = slots.len() as CK_ULONG;
        // SAFETY: not null, and the caller gives it for the answer.
        unsafe { count.write(found) };
        match room {
            Some(room) if room < found => Err(Ckr::BUFFER_TOO_SMALL),
            Some(_) => {
                // SAFETY: the list has room for at least as many ids as were found.
                unsafe { list.copy_from_nonoverlapping(slots.as_ptr(), slots.len()) };
                Ok(())
            }
            None => Ok(()),
        }
    })
    .0
}

extern "C" fn get_slot_info(slot: CK_SLOT_ID, info: *mut CK_SLOT_INFO) -> CK_RV {
    serve(about_slot(Function::GetSlotInfo, slot), |scene| {
        // SAFETY: the caller gives a place for the answer, or null.
        unsafe { store(info, scene.slot_info(slot)?) }
    })
    .0
}

extern "C" fn get_token_info(slot: CK_SLOT_ID, info: *mut CK_TOKEN_INFO) -> CK_RV {
    serve(about_slot(Function::GetTokenInfo, slot), |scene| {
        // SAFETY: the caller gives a place for the answer, or null.
        unsafe { store(info, scene.token_info(slot)?) }
    })
    .0
}

extern "C" fn get_mechanism_list(
    slot: CK_SLOT_ID,
    _list: *mut CK_MECHANISM_TYPE,
    count: *mut CK_ULONG,
) -> CK_RV {
    serve(about_slot(Function::GetMechanismList, slot), |scene| {
        scene.token_present(slot)?;
        // SAFETY: the caller gives a place for the answer, or null.
        unsafe { store(count, 0) }
    })
    .0
}

extern "C" fn get_mechanism_info(
    slot: CK_SLOT_ID,
    _mechanism: CK_MECHANISM_TYPE,
    _info: *mut CK_MECHANISM_INFO,
) -> CK_RV {
    serve(about_slot(Function::GetMechanismInfo, slot), |scene| {
        scene.token_present(slot)?;
        Err(Ckr::MECHANISM_INVALID)
    })
    .0
}

extern "C" fn open_session(
    slot: CK_SLOT_ID,
    flags: CK_FLAGS,
    _application: *mut c_void,
    _notify: CK_NOTIFY,
    session: *mut CK_SESSION_HANDLE,
) -> CK_RV {
    serve(about_slot(Function::OpenSession, slot), |scene| {
        if session.is_null() {
            return Err(Ckr::ARGUMENTS_BAD);
        }
        // SAFETY: the caller gives a place for the answer.
        unsafe { store(session, scene.open_session(slot, flags)?) }
    })
    .0
}

extern "C" fn close_session(session: CK_SESSION_HANDLE) -> CK_RV {
    let call = about_session(Function::CloseSession, session);
    serve(call, |scene| scene.close_session(session)).0
}

extern "C" fn close_all_sessions(slot: CK_SLOT_ID) -> CK_RV {
    let call = about_slot(Function::CloseAllSessions, slot);
    serve(call, |scene| scene.close_all_sessions(slot)).0
}

extern "C" fn get_session_info(session: CK_SESSION_HANDLE, info: *mut CK_SESSION_INFO) -> CK_RV {
    serve(about_session(Function::GetSessionInfo, session), |scene| {
        // SAFETY: the caller gives a place for the answer, or null.
        unsafe { store(info, scene.session_info(session)?) }
    })
    .0
}

extern "C" fn login(
    session: CK_SESSION_HANDLE,
    user: CK_USER_TYPE,
    pin: *mut CK_UTF8CHAR,
    length: CK_ULONG,
) -> CK_RV {
    // SAFETY: the caller's PIN, or null for the PIN pad; valid until this call returns.
    let pin = unsafe { bytes(pin, length) };
    let user = User(user);
    let call = Call {
        user: Some(user),
        pin: pin.map(<[u8]>::to_vec),
        ..about_session(Function::Login, session)
    };
    serve(call, |scene| {
        let presented = pin.map_or(Presented::AtPad, Presented::Pin);
        scene.log_in(session, user, presented)
    })
    .0
}

extern "C" fn logout(session: CK_SESSION_HANDLE) -> CK_RV {
    serve(about_session(Function::Logout, session), |scene| {
        scene.log_out(session)
    })
    .0
}

extern "C" fn seed_random(
    session: CK_SESSION_HANDLE,
    seed: *mut CK_BYTE,
    length: CK_ULONG,
) -> CK_RV {
    // SAFETY: the caller's seed, or null; valid until this call returns.
    let given = unsafe { bytes(seed, length) };
    let call = Call {
        seed: given.map(<[u8]>::to_vec),
        ..about_session(Function::SeedRandom, session)
    };
    serve(call, |scene| {
        if given.is_none() && length > 0 {
            return Err(Ckr::ARGUMENTS_BAD);
        }
        scene.seed(session, length)
    })
    .0
}

static FUNCTIONS: CK_FUNCTION_LIST = CK_FUNCTION_LIST {
    version: CRYPTOKI_VERSION,
    C_Initialize: Some(initialize),
    C_Finalize: Some(finalize),
    C_GetInfo: Some(get_info),
    C_GetFunctionList: Some(get_function_list),
    C_GetSlotList: Some(get_slot_list),
    C_GetSlotInfo: Some(get_slot_info),
    C_GetTokenInfo: Some(get_token_info),
    C_GetMechanismList: Some(get_mechanism_list),
    C_GetMechanismInfo: Some(get_mechanism_info),
    C_InitToken: Some(unsupported::init_token),
    C_InitPIN: Some(unsupported::init_pin),
    C_SetPIN: Some(unsupported::set_pin),
    C_OpenSession: Some(open_session),
    C_CloseSession: Some(close_session),
    C_CloseAllSessions: Some(close_all_sessions),
    C_GetSessionInfo: Some(get_session_info),
    C_GetOperationState: Some(unsupported::get_operation_state),
    C_SetOperationState: Some(unsupported::set_operation_state),
    C_Login: Some(login),
    C_Logout: Some(logout),
    C_CreateObject: Some(unsupported::create_object),
    C_CopyObject: Some(unsupported::copy_object),
    C_DestroyObject: Some(unsupported::destroy_object),
    C_GetObjectSize: Some(unsupported::get_object_size),
    C_GetAttributeValue: Some(unsupported::get_attribute_value),
    C_SetAttributeValue: Some(unsupported::set_attribute_value),
    C_FindObjectsInit: Some(unsupported::find_objects_init),
    C_FindObjects: Some(unsupported::find_objects),
    C_FindObjectsFinal: Some(unsupported::find_objects_final),
    C_EncryptInit: Some(unsupported::encrypt_init),
    C_Encrypt: Some(unsupported::encrypt),
    C_EncryptUpdate: Some(unsupported::encrypt_update),
    C_EncryptFinal: Some(unsupported::encrypt_final),
    C_DecryptInit: Some(unsupported::decrypt_init),
    C_Decrypt: Some(unsupported::decrypt),
    C_DecryptUpdate: Some(unsupported::decrypt_update),
    C_DecryptFinal: Some(unsupported::decrypt_final),
    C_DigestInit: Some(unsupported::digest_init),
    C_Digest: Some(unsupported::digest),
    C_DigestUpdate: Some(unsupported::digest_update),
    C_DigestKey: Some(unsupported::digest_key),
    C_DigestFinal: Some(unsupported::digest_final),
    C_SignInit: Some(unsupported::sign_init),
    C_Sign: Some(unsupported::sign),
    C_SignUpdate: Some(unsupported::sign_update),
    C_SignFinal: Some(unsupported::sign_final),
    C_SignRecoverInit: Some(unsupported::sign_recover_init),
    C_SignRecover: Some(unsupported::sign_recover),
    C_VerifyInit: Some(unsupported::verify_init),
    C_Verify: Some(unsupported::verify),
    C_VerifyUpdate: Some(unsupported::verify_update),
    C_VerifyFinal: Some(unsupported::verify_final),
    C_VerifyRecoverInit: Some(unsupported::verify_recover_init),
    C_VerifyRecover: Some(unsupported::verify_recover),
    C_DigestEncryptUpdate: Some(unsupported::digest_encrypt_update),
    C_DecryptDigestUpdate: Some(unsupported::decrypt_digest_update),
    C_SignEncryptUpdate: Some(unsupported::sign_encrypt_update),
    C_DecryptVerifyUpdate: Some(unsupported::decrypt_verify_update),
    C_GenerateKey: Some(unsupported::generate_key),
    C_GenerateKeyPair: Some(unsupported::generate_key_pair),
    C_WrapKey: Some(unsupported::wrap_key),
    C_UnwrapKey: Some(unsupported::unwrap_key),
    C_DeriveKey: Some(unsupported::derive_key),
    C_SeedRandom: Some(seed_random),
    C_GenerateRandom: Some(unsupported::generate_random),
    C_GetFunctionStatus: Some(unsupported::get_function_status),
    C_CancelFunction: Some(unsupported::cancel_function),
    C_WaitForSlotEvent: Some(unsupported::wait_for_slot_event),
};
