//! What the module says of itself, its slots and its tokens.

use cryptoki_sys::{
    CK_FLAGS, CK_INFO, CK_SESSION_INFO, CK_SLOT_INFO, CK_TOKEN_INFO, CK_UNAVAILABLE_INFORMATION,
    CK_VERSION, CKF_CLOCK_ON_TOKEN, CKF_HW_SLOT, CKF_LOGIN_REQUIRED,
    CKF_PROTECTED_AUTHENTICATION_PATH, CKF_REMOVABLE_DEVICE, CKF_RNG, CKF_RW_SESSION,
    CKF_SERIAL_SESSION, CKF_SO_PIN_COUNT_LOW, CKF_SO_PIN_FINAL_TRY, CKF_SO_PIN_LOCKED,
    CKF_TOKEN_INITIALIZED, CKF_TOKEN_PRESENT, CKF_USER_PIN_COUNT_LOW, CKF_USER_PIN_FINAL_TRY,
    CKF_USER_PIN_INITIALIZED, CKF_USER_PIN_LOCKED, CKS_RO_PUBLIC_SESSION, CKS_RO_USER_FUNCTIONS,
    CKS_RW_PUBLIC_SESSION, CKS_RW_SO_FUNCTIONS, CKS_RW_USER_FUNCTIONS,
};

use super::login::pin_flags;
use super::sessions::{Session, TokenUse};
use crate::plan::{Plan, Token, fill_in};
use crate::state::State;
use crate::{Ckr, Padding, User};

/// The version of PKCS#11 that the module speaks.
pub(crate) const CRYPTOKI_VERSION: CK_VERSION = CK_VERSION {
    major: 2,
    minor: 40,
};
const LIBRARY_VERSION: CK_VERSION = CK_VERSION { major: 1, minor: 0 };

pub(crate) fn library(plan: &Plan) -> CK_INFO {
    CK_INFO {
        cryptokiVersion: CRYPTOKI_VERSION,
        manufacturerID: padded(&plan.faults.manufacturer, plan.faults.defaults.padding),
        flags: 0,
        libraryDescription: padded(&plan.faults.description, plan.faults.defaults.padding),
        libraryVersion: LIBRARY_VERSION,
    }
}

pub(crate) fn slot(plan: &Plan, slot: u64) -> Result<CK_SLOT_INFO, Ckr> {
    let (settings, present) = match plan.token_in(slot) {
        Ok(token) => (token.settings, CKF_TOKEN_PRESENT),
        Err(Ckr::TOKEN_NOT_PRESENT) => (&plan.faults.defaults, 0),
        Err(answer) => return Err(answer),
    };
    let number = slot.wrapping_sub(plan.faults.first_slot_id);
    Ok(CK_SLOT_INFO {
        slotDescription: padded(
            &fill_in(&settings.slot_description, number),
            settings.padding,
        ),
        manufacturerID: padded(&settings.manufacturer, settings.padding),
        flags: CKF_REMOVABLE_DEVICE | CKF_HW_SLOT | present,
        hardwareVersion: LIBRARY_VERSION,
        firmwareVersion: firmware(settings.firmware),
    })
}

pub(crate) fn token(token: Token<'_>, usage: TokenUse, state: &State) -> CK_TOKEN_INFO {
    let settings = token.settings;
    let text = |template: &str| token.text(template);
    CK_TOKEN_INFO {
        label: padded(&text(&settings.label), settings.padding),
        manufacturerID: padded(&text(&settings.manufacturer), settings.padding),
        model: padded(&text(&settings.model), settings.padding),
        serialNumber: padded(&text(&settings.serial), settings.padding),
        flags: token_flags(token, state),
        // 0 is CK_EFFECTIVELY_INFINITE.
        ulMaxSessionCount: settings.max_sessions.map_or(0, u64::from),
        ulSessionCount: u64::from(usage.sessions),
        ulMaxRwSessionCount: settings.max_sessions.map_or(0, u64::from),
        ulRwSessionCount: u64::from(usage.read_write),
        ulMaxPinLen: 255,
        ulMinPinLen: 1,
        ulTotalPublicMemory: CK_UNAVAILABLE_INFORMATION,
        ulFreePublicMemory: CK_UNAVAILABLE_INFORMATION,
        ulTotalPrivateMemory: CK_UNAVAILABLE_INFORMATION,
        ulFreePrivateMemory: CK_UNAVAILABLE_INFORMATION,
        hardwareVersion: LIBRARY_VERSION,
        firmwareVersion: firmware(settings.firmware),
        utcTime: settings
            .clock
            .as_deref()
            .map_or([b' '; 16], |time| padded(time, settings.padding)),
    }
}

pub(crate) fn session(session: &Session, login: Option<User>) -> CK_SESSION_INFO {
    let state = match (login, session.read_write) {
        (None, false) => CKS_RO_PUBLIC_SESSION,
        (None, true) => CKS_RW_PUBLIC_SESSION,
        (Some(User::SO), _) => CKS_RW_SO_FUNCTIONS,
        (Some(_), false) => CKS_RO_USER_FUNCTIONS,
        (Some(_), true) => CKS_RW_USER_FUNCTIONS,
    };
    let read_write = if session.read_write {
        CKF_RW_SESSION
    } else {
        0
    };
    CK_SESSION_INFO {
        slotID: session.slot,
        state,
        flags: CKF_SERIAL_SESSION | read_write,
        ulDeviceError: 0,
    }
}

fn token_flags(token: Token<'_>, state: &State) -> CK_FLAGS {
    let settings = token.settings;
    let wrong = |user| state.wrong_pins(token.key(), user);
    let [user_low, user_final, user_locked] = pin_flags(&settings.user, wrong(User::USER));
    let [so_low, so_final, so_locked] = pin_flags(&settings.so, wrong(User::SO));
    let mut flags = 0;
    for (set, bit) in [
        (
            settings.seeding.refused != Some(Ckr::RANDOM_NO_RNG),
            CKF_RNG,
        ),
        (settings.login_required, CKF_LOGIN_REQUIRED),
        (settings.clock.is_some(), CKF_CLOCK_ON_TOKEN),
        (settings.user.pin.is_some(), CKF_USER_PIN_INITIALIZED),
        (
            settings.pin_pad.is_some(),
            CKF_PROTECTED_AUTHENTICATION_PATH,
        ),
        (settings.initialized, CKF_TOKEN_INITIALIZED),
        (user_low, CKF_USER_PIN_COUNT_LOW),
        (user_final, CKF_USER_PIN_FINAL_TRY),
        (user_locked, CKF_USER_PIN_LOCKED),
        (so_low, CKF_SO_PIN_COUNT_LOW),
        (so_final, CKF_SO_PIN_FINAL_TRY),
        (so_locked, CKF_SO_PIN_LOCKED),
    ] {
        if set {
            flags |= bit;
        }
    }
    flags = settings
        .set_flags
        .iter()
        .fold(flags, |flags, flag| flags | flag.bit());
    settings
        .clear_flags
        .iter()
        .fold(flags, |flags, flag| flags & !flag.bit())
}

fn firmware([major, minor]: [u8; 2]) -> CK_VERSION {
    CK_VERSION { major, minor }
}

/// A text in a field of fixed width: cut off at its end, or filled up.
fn padded<const WIDTH: usize>(text: &str, padding: Padding) -> [u8; WIDTH] {
    let filling = match padding {
        Padding::Blank => b' ',
        Padding::Nul => 0,
    };
    let mut field = [filling; WIDTH];
    for (place, byte) in field.iter_mut().zip(text.bytes()) {
        *place = byte;
    }
    field
}

#[cfg(test)]
mod tests {
    use super::padded;
    use crate::Padding;

    #[test]
    fn texts_fill_their_fields() {
        assert_eq!(padded::<4>("ab", Padding::Blank), *b"ab  ");
        assert_eq!(padded::<4>("ab", Padding::Nul), *b"ab\0\0");
        assert_eq!(padded::<4>("abcdef", Padding::Nul), *b"abcd");
    }
}
