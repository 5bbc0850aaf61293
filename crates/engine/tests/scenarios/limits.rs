//! A source's limits that are learnt after it was asked for the first time.

use qseed_engine::{
    Action, CallEvent, Engine, Event, Fact, FetchFault, Limits, Moment, RequestId, Shape,
    SourceFact, Start,
};

use crate::story::{fetch_failed, s, secs, usual};

/// At least four blocks, of at least 16 bytes.
const COARSE: Limits = Limits {
    min_size: 16,
    max_size: 64,
    min_count: 4,
    max_count: 8,
};

/// An engine at one moment, whose worker starts and whose partition opens at once.
struct Still {
    engine: Engine,
    now: Moment,
}

impl Still {
    fn new() -> Self {
        let engine = Engine::new(Start {
            settings: usual(1),
            now: Moment::START,
            seed: 1,
            good_pins: Vec::new(),
            once: false,
            sent_before: Vec::new(),
        });
        let now = Moment::new(secs(1));
        Self { engine, now }
    }

    /// Carries out what is to be done; returns the requests, and whether a request failed.
    fn carry_out(&mut self) -> (Vec<(RequestId, Shape)>, bool) {
        let mut asked = Vec::new();
        while let Some(action) = self.engine.next_action() {
            match action {
                Action::Fetch { request, shape, .. } => asked.push((request, shape)),
                Action::StartWorker { worker, .. } => self.tell(Event::WorkerReady(worker)),
                Action::Open { worker, partition } => {
                    self.tell(Event::Call {
                        worker,
                        partition,
                        event: CallEvent::Opened(Ok(())),
                    });
                }
                _ => {}
            }
        }
        let mut failed = false;
        while let Some(fact) = self.engine.next_fact() {
            failed |= matches!(fact, Fact::Source(_, SourceFact::FetchFailed { .. }));
        }
        (asked, failed)
    }

    fn tell(&mut self, event: Event) {
        self.engine.handle(self.now, event);
    }

    fn nothing_was_asked(&mut self, request: RequestId, sent: u32) {
        self.tell(fetch_failed(request, FetchFault::Limits, sent, false));
    }

    /// The first request, which is made before the limits are known.
    fn first(&mut self) -> RequestId {
        let (asked, _) = self.carry_out();
        let [(request, shape)] = asked[..] else {
            panic!("one request: {asked:?}");
        };
        assert_eq!((shape.block_size, shape.block_count), (48, 1));
        request
    }

    fn learn(&mut self) {
        let (source, limits) = (s(0), COARSE);
        self.tell(Event::LimitsLearnt { source, limits });
    }
}

#[test]
fn a_request_that_was_made_too_early_is_made_again_at_once() {
    let mut still = Still::new();
    let first = still.first();
    still.learn();
    still.nothing_was_asked(first, 0);
    let (asked, failed) = still.carry_out();
    assert!(!failed, "that is no fault");
    let [(_, shape)] = asked[..] else {
        panic!("at once: {asked:?}");
    };
    assert_eq!((shape.block_size, shape.block_count), (16, 4));
}

#[test]
fn a_source_that_never_makes_up_its_mind_is_a_fault() {
    let mut still = Still::new();
    let first = still.first();
    still.nothing_was_asked(first, 1);
    let (asked, failed) = still.carry_out();
    assert!(!failed && asked.len() == 1, "limits were learnt: {asked:?}");
    still.nothing_was_asked(asked[0].0, 1);
    let (asked, failed) = still.carry_out();
    assert!(failed && asked.is_empty(), "{asked:?}");
}

#[test]
fn a_request_within_the_limits_that_is_not_sent_is_a_fault() {
    let mut still = Still::new();
    let first = still.first();
    still.nothing_was_asked(first, 0);
    let (asked, failed) = still.carry_out();
    assert!(failed && asked.is_empty(), "{asked:?}");
}
