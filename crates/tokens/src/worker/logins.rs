//! Who is logged in where. The login state belongs to the process and the token (PKCS#11 3.1
//! section 5.6.8), so partitions that are one token share it: the first logs in, the others wait
//! for the outcome, and one PIN is never presented once for each of them.

use std::collections::{HashMap, HashSet};

use qseed_model::Login;
use qseed_model::pins::PinTag;

/// What a login takes: which kind of user, with which PIN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Credential {
    pub(super) login: Login,
    /// The tag of the PIN.
    pub(super) tag: PinTag,
}

/// The logins of all tokens of the module, by slot id.
#[derive(Default)]
pub(super) struct Logins {
    tokens: HashMap<u64, TokenLogin>,
}

#[derive(Default)]
struct TokenLogin {
    current: Option<Credential>,
    /// The partitions that use the current login.
    holders: HashSet<u32>,
    asking: Option<u32>,
    waiting: Vec<u32>,
}

/// What a partition that wants a login does next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Approach {
    /// Nothing: this very login is there, and the partition now holds it too.
    Joined,
    /// Ask for the verdict and log in, then call [`Logins::settle`].
    Ask,
    /// Wait until another partition's login at the token is settled, then try again.
    Wait,
    /// Report that this other kind of user is logged in.
    Conflict(Login),
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
        match token.current {
            Some(current) if current == wanted => {
                token.holders.insert(partition);
                Approach::Joined
            }
            Some(current) if current.login.excludes(wanted.login) => {
                Approach::Conflict(current.login)
            }
            // The same user with another PIN, which may have been changed meanwhile: the token
            // will say.
            Some(_) | None => {
                token.asking = Some(partition);
                Approach::Ask
            }
        }
    }

    /// Records how the login of the partition that asked ended: `None` where there is none. Returns
    /// the partitions that waited for it.
    pub(super) fn settle(
        &mut self,
        slot: u64,
        partition: u32,
        login: Option<Credential>,
    ) -> Vec<u32> {
        let Some(token) = self.tokens.get_mut(&slot) else {
            return Vec::new();
        };
        if token.asking != Some(partition) {
            return Vec::new();
        }
        token.asking = None;
        if login.is_some() {
            token.current = login;
            token.holders.insert(partition);
        }
        std::mem::take(&mut token.waiting)
    }

    /// The token told a partition that nobody is logged in. That ends the login that the partition
    /// holds, and not one that took place since then.
    pub(super) fn lost(&mut self, slot: u64, partition: u32) {
        if let Some(token) = self.tokens.get_mut(&slot)
            && token.holders.contains(&partition)
        {
            token.current = None;
            token.holders.clear();
        }
    }

    /// A partition closes. `true` where it was the last that needed the login and has to log out.
    pub(super) fn leave(&mut self, slot: u64, partition: u32) -> bool {
        let Some(token) = self.tokens.get_mut(&slot) else {
            return false;
        };
        token.waiting.retain(|waiting| *waiting != partition);
        let held = token.holders.remove(&partition);
        if !token.holders.is_empty() || token.asking.is_some() {
            return false;
        }
        let logged_in = token.current.take().is_some();
        if token.waiting.is_empty() {
            self.tokens.remove(&slot);
        }
        held && logged_in
    }
}

#[cfg(test)]
mod tests {
    use super::{Approach, Credential, Logins};
    use qseed_model::Login;
    use qseed_model::pins::PinTag;

    const USER: Credential = Credential {
        login: Login::User,
        tag: PinTag([1; 32]),
    };
    const SO: Credential = Credential {
        login: Login::So,
        tag: PinTag([2; 32]),
    };
    const USER_WITH_ANOTHER_PIN: Credential = Credential {
        login: Login::User,
        tag: PinTag([3; 32]),
    };

    #[test]
    fn one_logs_in_and_the_others_join() {
        let mut logins = Logins::default();
        assert_eq!(logins.approach(7, 1, USER), Approach::Ask);
        assert_eq!(logins.approach(7, 2, USER), Approach::Wait);
        assert_eq!(logins.approach(8, 3, USER), Approach::Ask, "another token");
        assert_eq!(logins.settle(7, 1, Some(USER)), [2]);
        assert_eq!(logins.approach(7, 2, USER), Approach::Joined);
        assert!(!logins.leave(7, 1), "the other one still needs it");
        assert!(logins.leave(7, 2));
        assert_eq!(logins.approach(7, 1, USER), Approach::Ask);
    }

    #[test]
    fn a_refused_login_lets_the_next_ask_for_itself() {
        let mut logins = Logins::default();
        assert_eq!(logins.approach(7, 1, USER), Approach::Ask);
        assert_eq!(logins.approach(7, 2, USER), Approach::Wait);
        assert_eq!(logins.settle(7, 1, None), [2]);
        assert_eq!(logins.approach(7, 2, USER), Approach::Ask);
    }

    #[test]
    fn another_kind_of_user_is_a_conflict_and_another_pin_is_not() {
        let mut logins = Logins::default();
        logins.approach(7, 1, USER);
        logins.settle(7, 1, Some(USER));
        assert_eq!(logins.approach(7, 2, SO), Approach::Conflict(Login::User));
        assert_eq!(logins.approach(7, 2, USER_WITH_ANOTHER_PIN), Approach::Ask);
    }

    #[test]
    fn a_lost_login_is_renewed_once() {
        let mut logins = Logins::default();
        logins.approach(7, 1, USER);
        logins.settle(7, 1, Some(USER));
        assert_eq!(logins.approach(7, 2, USER), Approach::Joined);
        logins.lost(7, 1);
        assert_eq!(logins.approach(7, 1, USER), Approach::Ask);
        logins.settle(7, 1, Some(USER));
        logins.lost(7, 2);
        assert_eq!(logins.approach(7, 2, USER), Approach::Joined);
    }
}
