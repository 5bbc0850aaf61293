//! `C_Login`: who may, and whether the PIN is right.

use crate::plan::Token;
use crate::state::StateFile;
use crate::{Ckr, PinPad, PinSettings, User};

/// What `C_Login` came with.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Presented<'a> {
    /// These bytes.
    Pin(&'a [u8]),
    /// A null pointer: the PIN is typed at the token's own pad.
    AtPad,
}

/// Judges a PIN. A token that locks counts the try, on the disk, before it compares, so that the
/// death of the process in between does not give the try back.
pub(crate) fn judge(
    token: Token<'_>,
    user: User,
    presented: Presented<'_>,
    state: &StateFile,
) -> Result<(), Ckr> {
    let settings = token.settings.pin_of(user).ok_or(Ckr::USER_TYPE_INVALID)?;
    let Some(pin) = &settings.pin else {
        return Err(Ckr::USER_PIN_NOT_INITIALIZED);
    };
    let right = match (presented, token.settings.pin_pad) {
        (Presented::Pin(bytes), _) => bytes == pin.as_bytes(),
        (Presented::AtPad, Some(PinPad::Right)) => true,
        (Presented::AtPad, Some(PinPad::Wrong)) => false,
        (Presented::AtPad, Some(PinPad::Cancel)) => return Err(Ckr::FUNCTION_CANCELED),
        (Presented::AtPad, None) => return Err(Ckr::ARGUMENTS_BAD),
    };
    if settings.tries.is_some() {
        count_try(token, user, settings, state)?;
    } else if !right {
        update(state, |state| state.count_pin(token.key(), user))?;
    }
    if !right {
        return Err(Ckr::PIN_INCORRECT);
    }
    let key = token.key();
    // Most tokens never see a wrong PIN: the state of thousands need not be written for nothing.
    if state
        .read()
        .map_err(|error| broken(&error))?
        .wrong_pins(key, user)
        > 0
    {
        update(state, |state| state.clear_pins(key, user))?;
    }
    Ok(())
}

fn count_try(
    token: Token<'_>,
    user: User,
    settings: &PinSettings,
    state: &StateFile,
) -> Result<(), Ckr> {
    let key = token.key();
    let locked = update(state, |state| {
        let locked = locks_at(settings, state.wrong_pins(key, user));
        if !locked {
            state.count_pin(key, user);
        }
        locked
    })?;
    if locked { Err(Ckr::PIN_LOCKED) } else { Ok(()) }
}

/// Whether so many wrong PINs have locked it.
fn locks_at(settings: &PinSettings, wrong: u32) -> bool {
    settings.tries.is_some_and(|tries| wrong >= tries)
}

fn update<T>(
    state: &StateFile,
    change: impl FnOnce(&mut crate::state::State) -> T,
) -> Result<T, Ckr> {
    state.update(change).map_err(|error| broken(&error))
}

/// A token that cannot count tries lets nobody in.
fn broken(error: &crate::Error) -> Ckr {
    super::complain(error);
    Ckr::DEVICE_ERROR
}

/// What a user's PIN flags would say: count low, final try, locked.
pub(crate) fn pin_flags(settings: &PinSettings, wrong: u32) -> [bool; 3] {
    let locked = locks_at(settings, wrong);
    let final_try = !locked && settings.tries.is_some_and(|tries| wrong + 1 == tries);
    [wrong > 0, final_try, locked].map(|flag| flag && settings.flags)
}

#[cfg(test)]
mod tests {
    use super::pin_flags;
    use crate::PinSettings;

    #[test]
    fn flags_of_a_pin_that_three_tries_lock() {
        let mut settings = PinSettings {
            tries: Some(3),
            ..PinSettings::new("1")
        };
        let flags = |settings: &PinSettings| [0, 1, 2, 3].map(|wrong| pin_flags(settings, wrong));
        assert_eq!(
            flags(&settings),
            [
                [false, false, false],
                [true, false, false],
                [true, true, false],
                [true, false, true],
            ]
        );
        settings.flags = false;
        assert_eq!(flags(&settings), [[false; 3]; 4]);
    }
}
