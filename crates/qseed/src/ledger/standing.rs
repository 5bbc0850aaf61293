//! How the ledger stands, as the daemon's loop sees it: whether it can be written, and what of that
//! is news.

use std::time::{Duration, Instant};

/// A disk that has not answered for so long counts as hanging.
pub(super) const HANGS: Duration = Duration::from_secs(5);
/// The first repetition of news about trouble; the time between two doubles, up to `AGAIN_MOST`.
const AGAIN: Duration = Duration::from_secs(60);
const AGAIN_MOST: Duration = Duration::from_secs(3600);

/// What is worth a line of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// From now on, the ledger cannot be written.
    Fails { why: String },
    /// It still cannot. So many records were dropped since then.
    StillFails {
        why: String,
        lasts: Duration,
        lost: u64,
    },
    /// It can be written again.
    Works { lasted: Duration, lost: u64 },
}

#[derive(Debug, Default)]
pub(super) struct Standing {
    trouble: Option<Trouble>,
}

#[derive(Debug)]
struct Trouble {
    why: String,
    since: Instant,
    /// The records that had been lost before.
    lost_before: u64,
    say_again: Instant,
    wait: Duration,
}

impl Standing {
    /// Whether the ledger cannot be written.
    pub(super) fn fails(&self) -> bool {
        self.trouble.is_some()
    }

    /// The thread cannot write. `lost` counts the records lost since the start.
    pub(super) fn fail(&mut self, now: Instant, why: String, lost: u64) -> Option<News> {
        if let Some(trouble) = &mut self.trouble {
            trouble.why = why;
            return None;
        }
        self.trouble = Some(Trouble {
            why: why.clone(),
            since: now,
            lost_before: lost,
            say_again: now + AGAIN,
            wait: AGAIN,
        });
        Some(News::Fails { why })
    }

    /// The thread can write.
    pub(super) fn work(&mut self, now: Instant, lost: u64) -> Option<News> {
        let trouble = self.trouble.take()?;
        Some(News::Works {
            lasted: now.saturating_duration_since(trouble.since),
            lost: lost.saturating_sub(trouble.lost_before),
        })
    }

    /// When [`Standing::due`] has something to do, if nothing changes before.
    pub(super) fn wake(&self, busy_since: Option<Instant>) -> Option<Instant> {
        match &self.trouble {
            Some(trouble) => Some(trouble.say_again),
            None => busy_since.map(|since| since + HANGS),
        }
    }

    /// Repeats what still holds, and notices a disk that hangs.
    pub(super) fn due(
        &mut self,
        now: Instant,
        busy_since: Option<Instant>,
        lost: u64,
    ) -> Option<News> {
        let Some(trouble) = &mut self.trouble else {
            let hangs = busy_since.is_some_and(|since| now >= since + HANGS);
            let why = format!("the disk has not answered for {} s", HANGS.as_secs());
            return hangs.then(|| self.fail(now, why, lost))?;
        };
        if now < trouble.say_again {
            return None;
        }
        trouble.wait = (trouble.wait * 2).min(AGAIN_MOST);
        trouble.say_again = now + trouble.wait;
        Some(News::StillFails {
            why: trouble.why.clone(),
            lasts: now.saturating_duration_since(trouble.since),
            lost: lost.saturating_sub(trouble.lost_before),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{HANGS, News, Standing};

    #[test]
    fn trouble_is_news_at_its_start_at_growing_intervals_and_at_its_end() {
        let mut standing = Standing::default();
        let start = Instant::now();
        let mut news = Vec::new();
        for second in 0..7200 {
            let now = start + Duration::from_secs(second);
            let failed = standing.fail(now, "disk full".into(), 5 + second);
            let due = standing.due(now, None, 5 + second);
            let found = [failed, due].into_iter().flatten();
            news.extend(found.map(|news| (second, news)));
        }
        let seconds: Vec<u64> = news.iter().map(|(second, _)| *second).collect();
        assert_eq!(seconds, [0, 60, 180, 420, 900, 1860, 3780]);
        let why = || "disk full".to_owned();
        assert_eq!(news[0].1, News::Fails { why: why() });
        let lasts = Duration::from_secs(60);
        let (why, lost) = (why(), 60);
        assert_eq!(news[1].1, News::StillFails { why, lasts, lost });
        let lasted = Duration::from_secs(7200);
        let works = standing.work(start + lasted, 7205);
        assert_eq!(works, Some(News::Works { lasted, lost: 7200 }));
        assert_eq!(standing.work(start + lasted, 7205), None);
    }

    #[test]
    fn a_disk_that_does_not_answer_is_news() {
        let mut standing = Standing::default();
        let since = Instant::now();
        assert_eq!(standing.wake(None), None);
        assert_eq!(standing.wake(Some(since)), Some(since + HANGS));
        assert_eq!(standing.due(since + HANGS / 2, Some(since), 0), None);
        assert_eq!(
            standing.due(since + HANGS, None, 0),
            None,
            "it had answered"
        );
        let hangs = standing.due(since + HANGS, Some(since), 0);
        assert!(matches!(hangs, Some(News::Fails { .. })), "{hangs:?}");
        assert!(standing.fails());
    }
}
