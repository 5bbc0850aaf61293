//! How a witness stands: when it is tried again, and when the log says so.

use std::mem::Discriminant;
use std::time::Duration;

use tokio::time::Instant;

use super::witness::Trouble;

/// The pause after trouble that may pass. It doubles, up to `RETRY_MOST`.
const RETRY: Duration = Duration::from_secs(60);
const RETRY_MOST: Duration = Duration::from_secs(30 * 60);

/// When the log repeats trouble that lasts. The time doubles, up to `SAID_AGAIN_MOST`.
const SAID_AGAIN: Duration = Duration::from_secs(60 * 60);
const SAID_AGAIN_MOST: Duration = Duration::from_secs(24 * 60 * 60);

/// What the log says of a witness that cosigned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Works {
    /// It did for the first time in this process.
    First,
    /// It does again, after trouble for so long.
    Again(Duration),
    /// As before.
    Still,
}

/// What follows from trouble.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Step {
    /// Whether the log says it.
    pub(super) is_news: bool,
    /// When to try again before the next checkpoint.
    pub(super) retry: Option<Duration>,
}

/// How a witness stands.
#[derive(Debug, Default)]
pub(super) struct Standing {
    trouble: Option<Lasting>,
    has_worked: bool,
}

#[derive(Debug)]
struct Lasting {
    kind: Discriminant<Trouble>,
    since: Instant,
    retry: Duration,
    say_again: Instant,
    pause: Duration,
}

impl Standing {
    /// It cosigned.
    pub(super) fn works(&mut self, now: Instant) -> Works {
        let before = std::mem::replace(&mut self.has_worked, true);
        match self.trouble.take() {
            Some(trouble) => Works::Again(now - trouble.since),
            None if before => Works::Still,
            None => Works::First,
        }
    }

    /// It did not.
    pub(super) fn fails(&mut self, now: Instant, trouble: &Trouble) -> Step {
        let kind = std::mem::discriminant(trouble);
        let lasting = self.trouble.get_or_insert(Lasting {
            kind,
            since: now,
            retry: RETRY,
            say_again: now,
            pause: SAID_AGAIN,
        });
        let is_news = now >= lasting.say_again || kind != lasting.kind;
        if is_news {
            lasting.kind = kind;
            lasting.say_again = now + lasting.pause;
            lasting.pause = (lasting.pause * 2).min(SAID_AGAIN_MOST);
        }
        let retry = trouble.may_pass().then_some(lasting.retry);
        lasting.retry = (lasting.retry * 2).min(RETRY_MOST);
        Step { is_news, retry }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use qseed_http::HttpError;
    use tokio::time::Instant;

    use super::{Standing, Works};
    use crate::run::anchors::witness::Trouble;

    #[test]
    fn an_outage_of_two_days_is_said_six_times_and_ends_with_a_retry() {
        let mut standing = Standing::default();
        let start = Instant::now();
        assert_eq!(standing.works(start), Works::First);
        assert_eq!(standing.works(start), Works::Still);
        let (mut now, mut said, mut tries) = (start, Vec::new(), 0);
        while now - start < Duration::from_secs(48 * 3600) {
            let step = standing.fails(now, &Trouble::Out(HttpError::Closed));
            said.extend(step.is_news.then(|| (now - start).as_secs() / 3600));
            now += step.retry.expect("it may pass");
            tries += 1;
        }
        assert_eq!(said, [0, 1, 3, 7, 15, 31]);
        assert!((95..110).contains(&tries), "{tries}");
        assert_eq!(standing.works(now), Works::Again(now - start));
    }

    #[test]
    fn other_trouble_is_said_at_once_and_only_the_operator_can_end_it() {
        let mut standing = Standing::default();
        let now = Instant::now();
        assert!(
            standing
                .fails(now, &Trouble::Out(HttpError::Closed))
                .is_news
        );
        assert!(
            !standing
                .fails(now, &Trouble::Out(HttpError::NotHttp))
                .is_news
        );
        let step = standing.fails(now, &Trouble::Unknown);
        assert!(step.is_news && step.retry.is_none());
        assert!(!standing.fails(now, &Trouble::Unknown).is_news);
    }
}
