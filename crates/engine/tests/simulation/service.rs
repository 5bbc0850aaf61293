//! Entropy services: what they deliver, and how they fail.

use std::collections::VecDeque;
use std::time::Duration;

use qseed_engine::{FetchFailure, FetchFault, Limits, Moment, Shape, SourceSettings};

use crate::dice::Dice;
use crate::scenario::{EXCHANGE_TIME_OUT, HOUR, MINUTE, SECOND, SLOWEST_ANSWER};

/// How a service that is not healthy answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    Resets,
    RetryAfter(Duration),
    /// It refuses until the secret changes.
    Refuses,
    Hangs,
    Zeroes,
    StuckByte,
    Replays,
    /// It delivers what another service delivered.
    Echoes,
    WrongLength,
    Text,
    Biased,
    /// Each answer is of another kind.
    Erratic,
}

const TROUBLES: [Trouble; 12] = [
    Trouble::Resets,
    Trouble::RetryAfter(Duration::from_secs(20)),
    Trouble::RetryAfter(Duration::from_secs(1800)),
    Trouble::Refuses,
    Trouble::Hangs,
    Trouble::Zeroes,
    Trouble::StuckByte,
    Trouble::Replays,
    Trouble::Echoes,
    Trouble::WrongLength,
    Trouble::Text,
    Trouble::Erratic,
];

impl Trouble {
    pub(crate) fn draw(dice: &mut Dice) -> Self {
        if dice.one_in(12) {
            Self::Biased
        } else {
            *dice.pick(&TROUBLES)
        }
    }

    /// How long after the service's recovery the engine may leave it alone, beside its back-off.
    pub(crate) fn lasting(self) -> Duration {
        match self {
            Self::RetryAfter(time) => time.min(HOUR) + SECOND,
            Self::Refuses => 5 * MINUTE,
            Self::Erratic => HOUR + SECOND,
            Self::Hangs => EXCHANGE_TIME_OUT,
            _ => Duration::ZERO,
        }
    }
}

/// What the service answers.
#[derive(Debug)]
pub(crate) enum Answer {
    /// Bytes, and whether a check must find that they are none to use.
    Delivers {
        block_size: u32,
        bytes: Vec<u8>,
        lie: bool,
    },
    Fails(FetchFailure),
}

/// One exchange: requests that arrive, and an answer.
#[derive(Debug)]
pub(crate) struct Exchange {
    /// When each request arrives, after it left.
    pub(crate) arrivals: Vec<Duration>,
    /// When the answer is there.
    pub(crate) takes: Duration,
    pub(crate) answer: Answer,
}

#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) settings: SourceSettings,
    pub(crate) limits: Limits,
    pub(crate) trouble: Option<Trouble>,
    /// Since when it has been healthy and nothing keeps the engine from asking it.
    pub(crate) healthy_since: Option<Moment>,
    /// The engine may leave it alone until then, for what it answered before.
    pub(crate) asleep_until: Moment,
    /// The last answers, to replay.
    answers: VecDeque<(u32, Vec<u8>)>,
    /// The last deliveries that the engine has, for another one to echo.
    pub(crate) delivered: VecDeque<(u32, Vec<u8>)>,
    /// Requests that arrived within the rate limit's window.
    arrivals: VecDeque<Moment>,
    /// What the state directory says of requests: those under way, and when others were answered.
    under_way: u32,
    answered: Vec<Moment>,
    /// The secret changed while the request under way was refused with the old one.
    secret_changed: bool,
}

impl Service {
    pub(crate) fn new(settings: SourceSettings, now: Moment) -> Self {
        Self {
            limits: settings.limits,
            settings,
            trouble: None,
            healthy_since: Some(now),
            asleep_until: now,
            answers: VecDeque::new(),
            delivered: VecDeque::new(),
            arrivals: VecDeque::new(),
            under_way: 0,
            answered: Vec::new(),
            secret_changed: false,
        }
    }

    /// Counts a request as the service does: none may be more than the limit allows in any window.
    pub(crate) fn arrives(&mut self, now: Moment) -> Result<(), String> {
        let Some(rate) = self.settings.rate_limit else {
            return Ok(());
        };
        while self
            .arrivals
            .front()
            .is_some_and(|at| *at + rate.per <= now)
        {
            self.arrivals.pop_front();
        }
        self.arrivals.push_back(now);
        if self.arrivals.len() > rate.requests as usize {
            return Err(format!(
                "P7: {} requests within {:?} at {}",
                self.arrivals.len(),
                rate.per,
                self.settings.name
            ));
        }
        Ok(())
    }

    /// A new daemon knows nothing of what the old one got, but when it asked: the ages of its
    /// requests.
    pub(crate) fn restarted(&mut self, now: Moment) -> Vec<Duration> {
        self.answers.clear();
        self.delivered.clear();
        for _ in 0..std::mem::take(&mut self.under_way) {
            self.answered.push(now);
        }
        self.answered.iter().map(|at| now.since(*at)).collect()
    }

    /// The engine has what was delivered.
    pub(crate) fn remember(&mut self, block_size: u32, bytes: &[u8]) {
        self.delivered.push_back((block_size, bytes.to_vec()));
        if self.delivered.len() > 4 {
            self.delivered.pop_front();
        }
    }

    /// The operator changed the secret.
    pub(crate) fn change_secret(&mut self) {
        self.secret_changed = self.under_way > 0;
    }

    /// The answer to a request is in.
    pub(crate) fn answered(&mut self, now: Moment, sent: u32, answer: &mut Answer) {
        self.under_way = 0;
        let changed = std::mem::take(&mut self.secret_changed);
        if let Answer::Fails(failure) = answer {
            failure.secret_changed = changed && failure.kind == FetchFault::Refused;
        }
        for _ in 0..sent {
            self.answered.push(now);
        }
        if let Some(rate) = self.settings.rate_limit {
            self.answered.retain(|at| *at + rate.per > now);
        }
    }

    pub(crate) fn exchange(
        &mut self,
        dice: &mut Dice,
        shape: Shape,
        spare: bool,
        heard: &[(u32, Vec<u8>)],
    ) -> Exchange {
        self.under_way = 1 + u32::from(spare);
        let answer = self.answer(dice, shape, heard);
        let takes = match &answer {
            Answer::Fails(failure) if failure.code == "hang" => EXCHANGE_TIME_OUT,
            _ => dice.magnitude(Duration::from_millis(5), SLOWEST_ANSWER),
        };
        let sent = match &answer {
            Answer::Fails(failure) => failure.sent,
            // A kept connection was closed meanwhile, now and then.
            Answer::Delivers { .. } => 1 + u32::from(spare && dice.one_in(10)),
        };
        let arrivals = (0..sent)
            .map(|_| dice.duration(Duration::ZERO, takes))
            .collect();
        Exchange {
            arrivals,
            takes,
            answer,
        }
    }

    fn answer(&mut self, dice: &mut Dice, shape: Shape, heard: &[(u32, Vec<u8>)]) -> Answer {
        let mut trouble = self.trouble;
        if trouble == Some(Trouble::Erratic) {
            trouble = (!dice.one_in(3)).then(|| *dice.pick(&TROUBLES[..11]));
        }
        let Some(trouble) = trouble else {
            return self.honest(dice, shape);
        };
        let fails = |kind, code, retry_after, sent| {
            Answer::Fails(FetchFailure {
                kind,
                code,
                text: String::new(),
                retry_after,
                sent,
                secret_changed: false,
            })
        };
        match trouble {
            Trouble::Resets | Trouble::Erratic => {
                let sent = u32::try_from(dice.below(2)).expect("one at most");
                fails(FetchFault::Transient, "reset", None, sent)
            }
            Trouble::RetryAfter(time) => fails(FetchFault::Transient, "busy", Some(time), 1),
            Trouble::Refuses => fails(FetchFault::Refused, "unauthorized", None, 1),
            Trouble::Hangs => fails(FetchFault::Transient, "hang", None, 1),
            _ => self.lie(dice, shape, trouble, heard),
        }
    }

    fn honest(&mut self, dice: &mut Dice, shape: Shape) -> Answer {
        let bytes = dice.bytes(shape.bytes());
        self.answers.push_back((shape.block_size, bytes.clone()));
        if self.answers.len() > 4 {
            self.answers.pop_front();
        }
        Answer::Delivers {
            block_size: shape.block_size,
            bytes,
            lie: false,
        }
    }

    /// A delivery that a check must find. What is too short for the lie gets the wrong length.
    fn lie(
        &mut self,
        dice: &mut Dice,
        shape: Shape,
        trouble: Trouble,
        heard: &[(u32, Vec<u8>)],
    ) -> Answer {
        let length = shape.bytes();
        let mut bytes = dice.bytes(length);
        let told = match trouble {
            Trouble::Zeroes if length >= 6 => {
                bytes.fill(0);
                true
            }
            Trouble::StuckByte if length >= 6 => {
                let from = dice.index(length - 5);
                let stuck = bytes[from];
                bytes[from..from + 6].fill(stuck);
                true
            }
            Trouble::Replays | Trouble::Echoes => {
                let mut known = self.answers.iter().chain(heard);
                let again = known.find(|(block_size, answer)| {
                    *block_size == shape.block_size && answer.len() == length && *block_size >= 16
                });
                if let Some((_, answer)) = again {
                    bytes.clone_from(answer);
                }
                again.is_some()
            }
            Trouble::Text if length > 32 => {
                for byte in &mut bytes {
                    *byte = b' ' + *byte % 95;
                }
                true
            }
            Trouble::Biased if length >= 2048 => {
                for byte in &mut bytes {
                    *byte = *byte & 0x07 | 0x80;
                }
                true
            }
            _ => false,
        };
        if !told {
            if length > 1 && dice.one_in(2) {
                bytes.pop();
            } else {
                bytes.push(1);
            }
        }
        Answer::Delivers {
            block_size: shape.block_size,
            bytes,
            lie: true,
        }
    }
}
