//! Who is logged in where. The login state belongs to the process and the token (PKCS#11 3.1
//! section 5.6.8), so partitions that are one token share it: the first logs in, the others wait
//! for what becomes of it, and one PIN is never presented for each of them.

use std::collections::{HashMap, HashSet};

use qseed_model::pins::PinTag;

/// What a login takes: which kind of user, with which PIN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Credential {
    /// `CK_USER_TYPE`
    pub(super) user_type: u64,
    /// The tag of the PIN.
    pub(super) tag: PinTag,
}

/// A login that took place. A later one at the same token has another number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LoginNumber(u64);

/// The logins of all tokens of the module, by slot id.
#[derive(Default)]
pub(super) struct Logins {
    tokens: HashMap<u64, TokenLogin>,
    last_number: u64,
}

#[derive(Default)]
struct TokenLogin {
    state: Option<(Credential, LoginNumber)>,
    holders: HashSet<u32>,
    asking: Option<u32>,
    waiting: Vec<u32>,
}

/// What a partition that wants a login is to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Approach {
    /// Nothing: this very login is there, and the partition now holds it too.
    Joined(LoginNumber),
    /// Ask for the verdict and log in, then call [`Logins::settle`].
    Ask,
    /// Wait until another partition's login at the token is settled, then come again.
    Wait,
    /// Report that this other kind of user is logged in.
    Conflict(u64),
}

impl Logins {
    pub(super) fn approach(&mut self, slot: u64, partition: u32, wanted: Credential) -> Approach {
        let token = self.tokens.entry(slot).or_default();
        if let Some(asking) = token.asking
            && asking != partition
        {
            token.waiting.push(partition);
            return Approach::Wait;
        }
        match token.state {
            Some((login, number)) if login == wanted => {
                token.holders.insert(partition);
                Approach::Joined(number)
            }
            Some((login, _)) if login.user_type != wanted.user_type => {
                Approach::Conflict(login.user_type)
            }
            // The same user with another PIN, which may have been changed meanwhile: the token
            // will say.
            Some(_) | None => {
                token.asking = Some(partition);
                Approach::Ask
            }
        }
    }

    /// Says how the login of the partition that asked ended. Returns its number where it took
    /// place, and the partitions that waited for it.
    pub(super) fn settle(
        &mut self,
        slot: u64,
        partition: u32,
        login: Option<Credential>,
    ) -> (Option<LoginNumber>, Vec<u32>) {
        let Some(token) = self.tokens.get_mut(&slot) else {
            return (None, Vec::new());
        };
        if token.asking != Some(partition) {
            return (None, Vec::new());
        }
        token.asking = None;
        let number = login.map(|login| {
            self.last_number += 1;
            let number = LoginNumber(self.last_number);
            token.state = Some((login, number));
            token.holders.insert(partition);
            number
        });
        (number, std::mem::take(&mut token.waiting))
    }

    /// The token said that nobody is logged in, to a partition that came in by this login. A
    /// login that took place since then is left alone.
    pub(super) fn lost(&mut self, slot: u64, number: LoginNumber) {
        if let Some(token) = self.tokens.get_mut(&slot)
            && token.state.is_some_and(|(_, current)| current == number)
        {
            token.state = None;
            token.holders.clear();
        }
    }

    /// A partition closes. `true` where it was the last that needed the login, so that it is to
    /// log out.
    pub(super) fn leave(&mut self, slot: u64, partition: u32) -> bool {
        let Some(token) = self.tokens.get_mut(&slot) else {
            return false;
        };
        token.waiting.retain(|waiting| *waiting != partition);
        let held = token.holders.remove(&partition);
        if !token.holders.is_empty() || token.asking.is_some() {
            return false;
        }
        let logged_in = token.state.take().is_some();
        if token.waiting.is_empty() {
            self.tokens.remove(&slot);
        }
        held && logged_in
    }
}

#[cfg(test)]
mod tests {
    use super::{Approach, Credential, Logins};
    use qseed_model::pins::PinTag;

    const USER: Credential = Credential {
        user_type: 1,
        tag: PinTag([1; 32]),
    };
    const SO: Credential = Credential {
        user_type: 0,
        tag: PinTag([2; 32]),
    };
    const USER_WITH_ANOTHER_PIN: Credential = Credential {
        user_type: 1,
        tag: PinTag([3; 32]),
    };

    #[test]
    fn one_logs_in_and_the_others_join() {
        let mut logins = Logins::default();
        assert_eq!(logins.approach(7, 1, USER), Approach::Ask);
        assert_eq!(logins.approach(7, 2, USER), Approach::Wait);
        assert_eq!(logins.approach(8, 3, USER), Approach::Ask, "another token");
        let (number, waited) = logins.settle(7, 1, Some(USER));
        assert_eq!(waited, [2]);
        let number = number.expect("logged in");
        assert_eq!(logins.approach(7, 2, USER), Approach::Joined(number));
        assert!(!logins.leave(7, 1), "the other one needs it still");
        assert!(logins.leave(7, 2));
        assert_eq!(logins.approach(7, 1, USER), Approach::Ask);
    }

    #[test]
    fn a_refused_login_lets_the_next_ask_for_itself() {
        let mut logins = Logins::default();
        assert_eq!(logins.approach(7, 1, USER), Approach::Ask);
        assert_eq!(logins.approach(7, 2, USER), Approach::Wait);
        assert_eq!(logins.settle(7, 1, None), (None, vec![2]));
        assert_eq!(logins.approach(7, 2, USER), Approach::Ask);
    }

    #[test]
    fn another_kind_of_user_is_a_conflict_and_another_pin_is_not() {
        let mut logins = Logins::default();
        logins.approach(7, 1, USER);
        logins.settle(7, 1, Some(USER));
        assert_eq!(logins.approach(7, 2, SO), Approach::Conflict(1));
        assert_eq!(logins.approach(7, 2, USER_WITH_ANOTHER_PIN), Approach::Ask);
    }

    #[test]
    fn a_login_that_was_lost_is_made_once_more_and_not_lost_twice() {
        let mut logins = Logins::default();
        logins.approach(7, 1, USER);
        let first = logins.settle(7, 1, Some(USER)).0.expect("logged in");
        assert_eq!(logins.approach(7, 2, USER), Approach::Joined(first));
        logins.lost(7, first);
        assert_eq!(logins.approach(7, 1, USER), Approach::Ask);
        let second = logins.settle(7, 1, Some(USER)).0.expect("logged in");
        logins.lost(7, first);
        assert_eq!(logins.approach(7, 2, USER), Approach::Joined(second));
    }
}
