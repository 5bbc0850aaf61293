//! The functions that the module does not support: each answers `CKR_FUNCTION_NOT_SUPPORTED`, or
//! whatever a rule wants of it.

use std::ffi::c_void;

use cryptoki_sys::{
    CK_ATTRIBUTE, CK_BYTE, CK_FLAGS, CK_MECHANISM, CK_OBJECT_HANDLE, CK_RV, CK_SESSION_HANDLE,
    CK_SLOT_ID, CK_ULONG, CK_UTF8CHAR,
};

use super::{about_session, about_slot};
use crate::module::serve;
use crate::record::Call;
use crate::{Ckr, Function};

/// Defines a function by its name, what its first argument says it is about, and the types of the
/// arguments behind that one.
macro_rules! unsupported {
    ($($name:ident = $function:ident, $about:ident: $first:ty $(, $rest:ty)*;)*) => {
        $(
            pub(super) extern "C" fn $name(first: $first $(, _: $rest)*) -> CK_RV {
                serve($about(Function::$function, first), |_| Err(Ckr::FUNCTION_NOT_SUPPORTED)).0
            }
        )*
    };
}

/// A call that is about neither slot nor session.
fn about_nothing(function: Function, _flags: CK_FLAGS) -> Call {
    Call::new(function, 0)
}

unsupported! {
    init_token = InitToken, about_slot: CK_SLOT_ID, *mut CK_UTF8CHAR, CK_ULONG, *mut CK_UTF8CHAR;
    init_pin = InitPIN, about_session: CK_SESSION_HANDLE, *mut CK_UTF8CHAR, CK_ULONG;
    set_pin = SetPIN, about_session: CK_SESSION_HANDLE, *mut CK_UTF8CHAR, CK_ULONG, *mut CK_UTF8CHAR, CK_ULONG;
    get_operation_state = GetOperationState, about_session: CK_SESSION_HANDLE, *mut CK_BYTE, *mut CK_ULONG;
    set_operation_state = SetOperationState, about_session: CK_SESSION_HANDLE, *mut CK_BYTE, CK_ULONG, CK_OBJECT_HANDLE, CK_OBJECT_HANDLE;
    create_object = CreateObject, about_session: CK_SESSION_HANDLE, *mut CK_ATTRIBUTE, CK_ULONG, *mut CK_OBJECT_HANDLE;
    copy_object = CopyObject, about_session: CK_SESSION_HANDLE, CK_OBJECT_HANDLE, *mut CK_ATTRIBUTE, CK_ULONG, *mut CK_OBJECT_HANDLE;
    destroy_object = DestroyObject, about_session: CK_SESSION_HANDLE, CK_OBJECT_HANDLE;
    get_object_size = GetObjectSize, about_session: CK_SESSION_HANDLE, CK_OBJECT_HANDLE, *mut CK_ULONG;
    get_attribute_value = GetAttributeValue, about_session: CK_SESSION_HANDLE, CK_OBJECT_HANDLE, *mut CK_ATTRIBUTE, CK_ULONG;
    set_attribute_value = SetAttributeValue, about_session: CK_SESSION_HANDLE, CK_OBJECT_HANDLE, *mut CK_ATTRIBUTE, CK_ULONG;
    find_objects_init = FindObjectsInit, about_session: CK_SESSION_HANDLE, *mut CK_ATTRIBUTE, CK_ULONG;
    find_objects = FindObjects, about_session: CK_SESSION_HANDLE, *mut CK_OBJECT_HANDLE, CK_ULONG, *mut CK_ULONG;
    find_objects_final = FindObjectsFinal, about_session: CK_SESSION_HANDLE;
    encrypt_init = EncryptInit, about_session: CK_SESSION_HANDLE, *mut CK_MECHANISM, CK_OBJECT_HANDLE;
    encrypt = Encrypt, about_session: CK_SESSION_HANDLE, *mut CK_BYTE, CK_ULONG, *mut CK_BYTE, *mut CK_ULONG;
    encrypt_update = EncryptUpdate, about_session: CK_SESSION_HANDLE, *mut CK_BYTE, CK_ULONG, *mut CK_BYTE, *mut CK_ULONG;
    encrypt_final = EncryptFinal, about_session: CK_SESSION_HANDLE, *mut CK_BYTE, *mut CK_ULONG;
    decrypt_init = DecryptInit, about_session: CK_SESSION_HANDLE, *mut CK_MECHANISM, CK_OBJECT_HANDLE;
    decrypt = Decrypt, about_session: CK_SESSION_HANDLE, *mut CK_BYTE, CK_ULONG, *mut CK_BYTE, *mut CK_ULONG;
    decrypt_update = DecryptUpdate, about_session: CK_SESSION_HANDLE, *mut CK_BYTE, CK_ULONG, *mut CK_BYTE, *mut CK_ULONG;
    decrypt_final = DecryptFinal, about_session: CK_SESSION_HANDLE, *mut CK_BYTE, *mut CK_ULONG;
    digest_init = DigestInit, about_session: CK_SESSION_HANDLE, *mut CK_MECHANISM;
    digest = Digest, about_session: CK_SESSION_HANDLE, *mut CK_BYTE, CK_ULONG, *mut CK_BYTE, *mut CK_ULONG;
    digest_update = DigestUpdate, about_session: CK_SESSION_HANDLE, *mut CK_BYTE, CK_ULONG;
    digest_key = DigestKey, about_session: CK_SESSION_HANDLE, CK_OBJECT_HANDLE;
    digest_final = DigestFinal, about_session: CK_SESSION_HANDLE, *mut CK_BYTE, *mut CK_ULONG;
    sign_init = SignInit, about_session: CK_SESSION_HANDLE, *mut CK_MECHANISM, CK_OBJECT_HANDLE;
    sign = Sign, about_session: CK_SESSION_HANDLE, *mut CK_BYTE, CK_ULONG, *mut CK_BYTE, *mut CK_ULONG;
    sign_update = SignUpdate, about_session: CK_SESSION_HANDLE, *mut CK_BYTE, CK_ULONG;
    sign_final = SignFinal, about_session: CK_SESSION_HANDLE, *mut CK_BYTE, *mut CK_ULONG;
    sign_recover_init = SignRecoverInit, about_session: CK_SESSION_HANDLE, *mut CK_MECHANISM, CK_OBJECT_HANDLE;
    sign_recover = SignRecover, about_session: CK_SESSION_HANDLE, *mut CK_BYTE, CK_ULONG, *mut CK_BYTE, *mut CK_ULONG;
    verify_init = VerifyInit, about_session: CK_SESSION_HANDLE, *mut CK_MECHANISM, CK_OBJECT_HANDLE;
    verify = Verify, about_session: CK_SESSION_HANDLE, *mut CK_BYTE, CK_ULONG, *mut CK_BYTE, CK_ULONG;
    verify_update = VerifyUpdate, about_session: CK_SESSION_HANDLE, *mut CK_BYTE, CK_ULONG;
    verify_final = VerifyFinal, about_session: CK_SESSION_HANDLE, *mut CK_BYTE, CK_ULONG;
    verify_recover_init = VerifyRecoverInit, about_session: CK_SESSION_HANDLE, *mut CK_MECHANISM, CK_OBJECT_HANDLE;
    verify_recover = VerifyRecover, about_session: CK_SESSION_HANDLE, *mut CK_BYTE, CK_ULONG, *mut CK_BYTE, *mut CK_ULONG;
    digest_encrypt_update = DigestEncryptUpdate, about_session: CK_SESSION_HANDLE, *mut CK_BYTE, CK_ULONG, *mut CK_BYTE, *mut CK_ULONG;
    decrypt_digest_update = DecryptDigestUpdate, about_session: CK_SESSION_HANDLE, *mut CK_BYTE, CK_ULONG, *mut CK_BYTE, *mut CK_ULONG;
    sign_encrypt_update = SignEncryptUpdate, about_session: CK_SESSION_HANDLE, *mut CK_BYTE, CK_ULONG, *mut CK_BYTE, *mut CK_ULONG;
    decrypt_verify_update = DecryptVerifyUpdate, about_session: CK_SESSION_HANDLE, *mut CK_BYTE, CK_ULONG, *mut CK_BYTE, *mut CK_ULONG;
    generate_key = GenerateKey, about_session: CK_SESSION_HANDLE, *mut CK_MECHANISM, *mut CK_ATTRIBUTE, CK_ULONG, *mut CK_OBJECT_HANDLE;
    generate_key_pair = GenerateKeyPair, about_session: CK_SESSION_HANDLE, *mut CK_MECHANISM, *mut CK_ATTRIBUTE, CK_ULONG, *mut CK_ATTRIBUTE, CK_ULONG, *mut CK_OBJECT_HANDLE, *mut CK_OBJECT_HANDLE;
    wrap_key = WrapKey, about_session: CK_SESSION_HANDLE, *mut CK_MECHANISM, CK_OBJECT_HANDLE, CK_OBJECT_HANDLE, *mut CK_BYTE, *mut CK_ULONG;
    unwrap_key = UnwrapKey, about_session: CK_SESSION_HANDLE, *mut CK_MECHANISM, CK_OBJECT_HANDLE, *mut CK_BYTE, CK_ULONG, *mut CK_ATTRIBUTE, CK_ULONG, *mut CK_OBJECT_HANDLE;
    derive_key = DeriveKey, about_session: CK_SESSION_HANDLE, *mut CK_MECHANISM, CK_OBJECT_HANDLE, *mut CK_ATTRIBUTE, CK_ULONG, *mut CK_OBJECT_HANDLE;
    generate_random = GenerateRandom, about_session: CK_SESSION_HANDLE, *mut CK_BYTE, CK_ULONG;
    get_function_status = GetFunctionStatus, about_session: CK_SESSION_HANDLE;
    cancel_function = CancelFunction, about_session: CK_SESSION_HANDLE;
    wait_for_slot_event = WaitForSlotEvent, about_nothing: CK_FLAGS, *mut CK_SLOT_ID, *mut c_void;
}
