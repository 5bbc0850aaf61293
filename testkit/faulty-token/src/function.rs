//! The functions of PKCS#11 2.40, by name.

use std::fmt;

use crate::text::written_as_text;

macro_rules! functions {
    ($($short:ident = $name:literal,)*) => {
        /// A function of PKCS#11 2.40 (the members of `CK_FUNCTION_LIST`).
        ///
        /// In the steering file and the record it is written by its name (`"C_SeedRandom"`).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Function {
            $(
                #[doc = concat!("`", $name, "`")]
                $short,
            )*
        }

        impl Function {
            /// Every function, in the order of `CK_FUNCTION_LIST`.
            pub const ALL: &'static [Self] = &[$(Self::$short),*];

            /// The standard's name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$short => $name,)*
                }
            }
        }
    };
}

functions! {
    Initialize = "C_Initialize",
    Finalize = "C_Finalize",
    GetInfo = "C_GetInfo",
    GetFunctionList = "C_GetFunctionList",
    GetSlotList = "C_GetSlotList",
    GetSlotInfo = "C_GetSlotInfo",
    GetTokenInfo = "C_GetTokenInfo",
    GetMechanismList = "C_GetMechanismList",
    GetMechanismInfo = "C_GetMechanismInfo",
    InitToken = "C_InitToken",
    InitPIN = "C_InitPIN",
    SetPIN = "C_SetPIN",
    OpenSession = "C_OpenSession",
    CloseSession = "C_CloseSession",
    CloseAllSessions = "C_CloseAllSessions",
    GetSessionInfo = "C_GetSessionInfo",
    GetOperationState = "C_GetOperationState",
    SetOperationState = "C_SetOperationState",
    Login = "C_Login",
    Logout = "C_Logout",
    CreateObject = "C_CreateObject",
    CopyObject = "C_CopyObject",
    DestroyObject = "C_DestroyObject",
    GetObjectSize = "C_GetObjectSize",
    GetAttributeValue = "C_GetAttributeValue",
    SetAttributeValue = "C_SetAttributeValue",
    FindObjectsInit = "C_FindObjectsInit",
    FindObjects = "C_FindObjects",
    FindObjectsFinal = "C_FindObjectsFinal",
    EncryptInit = "C_EncryptInit",
    Encrypt = "C_Encrypt",
    EncryptUpdate = "C_EncryptUpdate",
    EncryptFinal = "C_EncryptFinal",
    DecryptInit = "C_DecryptInit",
    Decrypt = "C_Decrypt",
    DecryptUpdate = "C_DecryptUpdate",
    DecryptFinal = "C_DecryptFinal",
    DigestInit = "C_DigestInit",
    Digest = "C_Digest",
    DigestUpdate = "C_DigestUpdate",
    DigestKey = "C_DigestKey",
    DigestFinal = "C_DigestFinal",
    SignInit = "C_SignInit",
    Sign = "C_Sign",
    SignUpdate = "C_SignUpdate",
    SignFinal = "C_SignFinal",
    SignRecoverInit = "C_SignRecoverInit",
    SignRecover = "C_SignRecover",
    VerifyInit = "C_VerifyInit",
    Verify = "C_Verify",
    VerifyUpdate = "C_VerifyUpdate",
    VerifyFinal = "C_VerifyFinal",
    VerifyRecoverInit = "C_VerifyRecoverInit",
    VerifyRecover = "C_VerifyRecover",
    DigestEncryptUpdate = "C_DigestEncryptUpdate",
    DecryptDigestUpdate = "C_DecryptDigestUpdate",
    SignEncryptUpdate = "C_SignEncryptUpdate",
    DecryptVerifyUpdate = "C_DecryptVerifyUpdate",
    GenerateKey = "C_GenerateKey",
    GenerateKeyPair = "C_GenerateKeyPair",
    WrapKey = "C_WrapKey",
    UnwrapKey = "C_UnwrapKey",
    DeriveKey = "C_DeriveKey",
    SeedRandom = "C_SeedRandom",
    GenerateRandom = "C_GenerateRandom",
    GetFunctionStatus = "C_GetFunctionStatus",
    CancelFunction = "C_CancelFunction",
    WaitForSlotEvent = "C_WaitForSlotEvent",
}

impl Function {
    fn parse(text: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|function| function.name() == text)
    }
}

impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

written_as_text!(Function, "a function of PKCS#11 2.40");
