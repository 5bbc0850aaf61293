//! Explores the PIN guard: two daemons and one `check` share a guard file and one device with
//! three partitions. Every order of presenting, answering, recording, failing to write, crashing
//! and losing the file is tried, from several starts, until no state is new: the states are
//! finite, so this is all of them.
//!
//! What must hold is promise 3 itself, judged by what really happened and not by the records.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::hash::{Hash, Hasher};
use std::rc::Rc;

use qseed_engine::guard::{PinRecord, Records};
use qseed_model::pins::{
    DevicePinTag, DeviceTag, HeldBack, KeyTag, PinAnswer, PinTag, PinTags, ProcessTag, Standing,
    TokenTag,
};

const PROCESSES: usize = 3;
const PINS: u8 = 3;

fn tags(pin: u8) -> PinTags {
    PinTags {
        tag: PinTag([pin; 32]),
        at_device: DevicePinTag([pin; 16]),
        token: TokenTag([pin; 16]),
        device: DeviceTag([0; 16]),
        key: KeyTag([0; 16]),
    }
}

fn empty_file() -> Records {
    let mut file = Records::default();
    file.bind(Some(tags(0).key));
    file
}

/// What really happened to one PIN since it last succeeded, or since the file was lost.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Truth {
    accepted_last: bool,
    presentations: u8,
    /// A process that lives, or the file, has learnt that the token refused it.
    refusal_known: bool,
    /// It was refused or may have been, and nobody lives who is presenting it.
    in_doubt: bool,
}

/// One process, while it lives.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Process {
    /// Times that it was started again.
    life: u8,
    /// What the token will answer, or has answered, to what it presents.
    in_flight: BTreeMap<u8, Answer>,
    /// Answers that it could not record.
    unwritten: BTreeMap<u8, Answer>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Answer {
    Accepted,
    Refused,
    Unclear,
    NotJudged,
}

const ANSWERS: [Answer; 4] = [
    Answer::Accepted,
    Answer::Refused,
    Answer::Unclear,
    Answer::NotJudged,
];

impl From<Answer> for PinAnswer {
    fn from(answer: Answer) -> Self {
        match answer {
            Answer::Accepted => Self::Accepted,
            Answer::Refused => Self::Refused,
            Answer::Unclear => Self::Unclear,
            Answer::NotJudged => Self::NotJudged,
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// A process asks the file and, if it may, presents the PIN; the token answers so.
    Present(usize, u8, Answer),
    /// A process records the answer, or cannot write it.
    Record(usize, u8, bool),
    /// A process writes what it could not write before.
    Rewrite(usize, u8),
    /// The worker of a process dies: its process never learns the answer.
    WorkerDies(usize, u8),
    /// A process is killed and starts again.
    Dies(usize),
    /// The file is gone, or an older one is in its place; whoever opens it next notices.
    FileLost,
}

#[derive(Clone, Debug)]
struct World {
    file: Records,
    processes: Vec<Process>,
    truth: Vec<Truth>,
}

impl World {
    fn new(standings: [Option<Standing>; PINS as usize]) -> Self {
        let mut world = Self {
            file: empty_file(),
            processes: vec![Process::default(); PROCESSES],
            truth: vec![Truth::default(); PINS.into()],
        };
        for (pin, standing) in (0..).zip(standings) {
            world.know(pin, standing);
            let truth = &mut world.truth[usize::from(pin)];
            truth.accepted_last = standing == Some(Standing::Accepted);
            truth.refusal_known = standing == Some(Standing::Refused);
            truth.in_doubt = matches!(standing, Some(Standing::Refused | Standing::Unclear));
            truth.presentations = u8::from(truth.in_doubt);
        }
        world
    }

    fn know(&mut self, pin: u8, standing: Option<Standing>) {
        let name = format!("ca-{pin}");
        let nobody = self.tag_of(0);
        let record = empty_file().judge(&tags(pin), &name, nobody, |_| false);
        self.file.put(PinRecord {
            seq: self.file.last() + 1,
            standing,
            was: None,
            by: None,
            ..record.expect("nothing is known yet")
        });
    }

    fn tag_of(&self, process: usize) -> ProcessTag {
        ProcessTag([
            u8::try_from(process).expect("a handful"),
            self.processes[process].life,
            0,
            0,
            0,
            0,
            0,
            0,
        ])
    }

    fn lives(&self, tag: ProcessTag) -> bool {
        (0..PROCESSES).any(|process| self.tag_of(process) == tag)
    }

    fn steps(&self) -> Vec<Step> {
        let mut steps = vec![Step::FileLost];
        for (process, it) in self.processes.iter().enumerate() {
            for pin in 0..PINS {
                if it.in_flight.contains_key(&pin) {
                    steps.push(Step::Record(process, pin, true));
                    steps.push(Step::Record(process, pin, false));
                    steps.push(Step::WorkerDies(process, pin));
                } else {
                    steps.extend(ANSWERS.map(|answer| Step::Present(process, pin, answer)));
                }
                if it.unwritten.contains_key(&pin) {
                    steps.push(Step::Rewrite(process, pin));
                }
            }
            if !it.in_flight.is_empty() || !it.unwritten.is_empty() {
                steps.push(Step::Dies(process));
            }
        }
        steps
    }

    /// Carries a step out; `Ok(false)` where nothing came of it.
    fn step(&mut self, step: Step) -> Result<bool, String> {
        match step {
            Step::Present(process, pin, answer) => return self.present(process, pin, answer),
            Step::Record(process, pin, works) => {
                let Some(answer) = self.processes[process].in_flight.remove(&pin) else {
                    return Ok(false);
                };
                if works {
                    self.record(pin, answer);
                } else {
                    self.processes[process].unwritten.insert(pin, answer);
                }
            }
            Step::Rewrite(process, pin) => {
                if let Some(answer) = self.processes[process].unwritten.remove(&pin) {
                    self.record(pin, answer);
                }
            }
            Step::WorkerDies(process, pin) => {
                self.processes[process].in_flight.remove(&pin);
                self.learn_nothing(pin);
                self.record(pin, Answer::Unclear);
            }
            Step::Dies(process) => {
                let it = &mut self.processes[process];
                it.life += 1;
                let lost: BTreeSet<u8> = std::mem::take(&mut it.in_flight)
                    .into_keys()
                    .chain(std::mem::take(&mut it.unwritten).into_keys())
                    .collect();
                for pin in lost {
                    self.learn_nothing(pin);
                }
            }
            Step::FileLost => {
                if self.file.lost().is_some() {
                    return Ok(false);
                }
                self.file = Records::default();
                self.file.lose(Some("the file is gone".to_owned()));
            }
        }
        Ok(true)
    }

    /// Whoever knew the answer is gone.
    fn learn_nothing(&mut self, pin: u8) {
        let truth = &mut self.truth[usize::from(pin)];
        truth.refusal_known = false;
        truth.in_doubt = true;
        if truth.accepted_last {
            // It succeeded, and nobody knows: that counts against it, which harms no token.
            truth.accepted_last = false;
        }
    }

    fn record(&mut self, pin: u8, answer: Answer) {
        if self.file.lost().is_some() {
            return;
        }
        let record = self.file.answered(tags(pin).tag, answer.into());
        self.file.put(record.expect("it was presented"));
    }

    fn present(&mut self, process: usize, pin: u8, answer: Answer) -> Result<bool, String> {
        let name = format!("ca-{pin}");
        let wish = tags(pin);
        let by = self.tag_of(process);
        let record = match self.file.judge(&wish, &name, by, |tag| self.lives(tag)) {
            Ok(record) => record,
            Err(reason) => return self.held(pin, reason).map(|()| false),
        };
        let truth = &self.truth[usize::from(pin)];
        let wrong = |what: &str| Err(format!("ca-{pin} is presented although {what}"));
        if self.file.lost().is_some() {
            return wrong("the file was lost");
        }
        if self
            .processes
            .iter()
            .any(|it| it.in_flight.contains_key(&pin))
        {
            return wrong("it is being presented");
        }
        if truth.refusal_known {
            return wrong("the token refused it");
        }
        if truth.presentations >= 2 {
            return wrong("it was presented twice without a success");
        }
        let others_in_doubt = (0..PINS)
            .filter(|other| *other != pin && self.truth[usize::from(*other)].in_doubt)
            .count();
        if !truth.accepted_last && others_in_doubt > 0 {
            return wrong("the device may have refused another partition's PIN");
        }
        self.file.put(record);
        self.processes[process].in_flight.insert(pin, answer);
        let truth = &mut self.truth[usize::from(pin)];
        match answer {
            Answer::Accepted => {
                *truth = Truth {
                    accepted_last: true,
                    ..Truth::default()
                };
            }
            Answer::NotJudged => {}
            Answer::Refused | Answer::Unclear => {
                truth.accepted_last = false;
                truth.presentations += 1;
                truth.refusal_known = answer == Answer::Refused;
                truth.in_doubt = true;
            }
        }
        Ok(true)
    }

    /// A PIN is held back only for a reason.
    fn held(&self, pin: u8, reason: HeldBack) -> Result<(), String> {
        let truth = &self.truth[usize::from(pin)];
        let under_way = |pin: u8| {
            self.processes
                .iter()
                .any(|it| it.in_flight.contains_key(&pin) || it.unwritten.contains_key(&pin))
        };
        let hidden = |pin: u8| self.truth[usize::from(pin)].in_doubt || under_way(pin);
        let justified = match reason {
            HeldBack::Refused => truth.refusal_known,
            HeldBack::OutcomeUnknown => truth.in_doubt || under_way(pin),
            HeldBack::InFlight => under_way(pin),
            HeldBack::GuardLost => self.file.lost().is_some(),
            HeldBack::DeviceInDoubt => (0..PINS).any(|other| other != pin && hidden(other)),
            HeldBack::NotRecorded => false,
        };
        if justified {
            return Ok(());
        }
        Err(format!("ca-{pin} is held back ({reason:?}) without need"))
    }

    /// What tells states apart: no absolute numbers, and processes that only changed places are
    /// the same.
    fn key(&self) -> u64 {
        let mut order: Vec<u64> = self.file.iter().map(|record| record.seq).collect();
        order.sort_unstable();
        let mut hasher = DefaultHasher::new();
        self.file.lost().is_some().hash(&mut hasher);
        self.truth.hash(&mut hasher);
        for record in self.file.iter() {
            let rank = order.iter().position(|other| *other == record.seq);
            let dead = record.by.is_some_and(|by| !self.lives(by));
            let standings = format!("{:?} {:?}", record.standing, record.was);
            (record.tag.0[0], rank, dead, standings).hash(&mut hasher);
        }
        let mut processes: Vec<_> = (0..PROCESSES)
            .map(|process| {
                let tag = Some(self.tag_of(process));
                let recorded = self.file.iter().filter(|record| record.by == tag);
                let recorded: Vec<u8> = recorded.map(|record| record.tag.0[0]).collect();
                let it = &self.processes[process];
                (&it.in_flight, &it.unwritten, recorded)
            })
            .collect();
        processes.sort();
        processes.hash(&mut hasher);
        hasher.finish()
    }
}

/// Explores every order of events from these starts until nothing new comes. Returns how many
/// states there are, and how many steps the longest way to one takes.
fn explore(starts: Vec<World>) -> (usize, usize) {
    let mut seen: HashSet<u64> = starts.iter().map(World::key).collect();
    let mut now: Vec<_> = starts
        .into_iter()
        .map(|world| (world, Way::default()))
        .collect();
    let mut steps = 0;
    while !now.is_empty() {
        let mut next = Vec::new();
        for (world, way) in now {
            for step in world.steps() {
                let mut after = world.clone();
                match after.step(step) {
                    Ok(true) if seen.insert(after.key()) => next.push((after, way.and(step))),
                    Ok(_) => {}
                    Err(broken) => {
                        panic!("{broken}, after {:#?}\n{after:#?}", way.and(step).steps())
                    }
                }
            }
        }
        now = next;
        steps += 1;
    }
    (seen.len(), steps)
}

/// The steps that led to a state.
#[derive(Clone, Default)]
struct Way(Option<Rc<(Step, Way)>>);

impl Way {
    fn steps(&self) -> Vec<Step> {
        let before = |way: &Way| way.0.as_ref().map(|it| (it.0, it.1.clone()));
        let mut steps = Vec::new();
        let mut way = before(self);
        while let Some((step, rest)) = way {
            steps.push(step);
            way = before(&rest);
        }
        steps.reverse();
        steps
    }

    fn and(&self, step: Step) -> Self {
        Self(Some(Rc::new((step, self.clone()))))
    }
}

#[test]
fn no_order_of_events_presents_a_pin_more_often_than_promised() {
    use Standing::{Accepted, Refused, Unclear};
    let starts = [
        [None, None, None],
        [Some(Accepted); 3],
        [Some(Accepted), None, Some(Refused)],
        [Some(Unclear), Some(Accepted), None],
    ];
    let (states, steps) = explore(starts.map(World::new).into());
    println!("{states} states, at most {steps} steps away");
    assert!(states > 100_000, "{states} states are not all");
}

/// The exploration itself must find a guard that forgets.
#[test]
fn the_exploration_finds_a_guard_that_forgets() {
    let mut world = World::new([None; 3]);
    let present = Step::Present(0, 0, Answer::Refused);
    world.step(present).expect("a first presentation");
    world.step(Step::Record(0, 0, true)).expect("recorded");
    world.file = empty_file();
    world.step(present).expect_err("it was refused before");
}
