use super::{HeldBack, Judgement, PinAnswer, PinGuard, Recorded, Recording, Standing, Wish};
use crate::ids::{DeviceTag, PartitionId, PinTag, WorkerId};

const TAG: PinTag = PinTag([7; 32]);

fn wish(worker: u64) -> Wish {
    Wish {
        worker: WorkerId(worker),
        partition: PartitionId(1),
        ask: 1,
        device: DeviceTag([7; 32]),
    }
}

fn with(standing: Standing) -> PinGuard {
    PinGuard::new([(TAG, standing)])
}

#[test]
fn a_pin_is_written_down_before_it_is_presented() {
    let mut guard = PinGuard::default();
    assert_eq!(
        guard.wish(TAG, wish(1)),
        Judgement::Record(Standing::Presented)
    );
    assert_eq!(
        guard.recorded(TAG, Recording::Written),
        Recorded::Present(wish(1))
    );
    assert_eq!(
        guard.answered(TAG, PinAnswer::Accepted).0,
        Some(Standing::Accepted)
    );
}

#[test]
fn a_refused_pin_is_held_back() {
    let mut guard = PinGuard::default();
    guard.wish(TAG, wish(1));
    guard.recorded(TAG, Recording::Written);
    guard.answered(TAG, PinAnswer::Refused);
    assert_eq!(guard.wish(TAG, wish(2)), Judgement::Hold(HeldBack::Refused));
    assert_eq!(
        with(Standing::Refused).wish(TAG, wish(1)),
        Judgement::Hold(HeldBack::Refused)
    );
    guard.changed(TAG, None);
    assert_eq!(
        guard.wish(TAG, wish(2)),
        Judgement::Record(Standing::Presented)
    );
}

#[test]
fn a_hidden_outcome_counts_as_refused_unless_the_pin_was_good() {
    assert_eq!(
        with(Standing::Presented).wish(TAG, wish(1)),
        Judgement::Hold(HeldBack::OutcomeUnknown)
    );
    let mut good = with(Standing::PresentedAgain);
    assert_eq!(
        good.wish(TAG, wish(1)),
        Judgement::Record(Standing::PresentedLast)
    );
    assert_eq!(
        with(Standing::PresentedLast).wish(TAG, wish(1)),
        Judgement::Hold(HeldBack::OutcomeUnknown)
    );
}

#[test]
fn a_crash_hides_the_outcome_within_one_life_of_the_daemon_too() {
    let mut guard = PinGuard::default();
    guard.wish(TAG, wish(1));
    guard.recorded(TAG, Recording::Written);
    assert!(guard.worker_died(WorkerId(1)).is_empty());
    assert_eq!(
        guard.wish(TAG, wish(2)),
        Judgement::Hold(HeldBack::OutcomeUnknown)
    );
}

#[test]
fn what_cannot_be_written_is_not_presented_unless_known_good() {
    let mut guard = PinGuard::default();
    guard.wish(TAG, wish(1));
    assert_eq!(
        guard.recorded(TAG, Recording::Failed),
        Recorded::Hold(wish(1), HeldBack::NotRecorded, Vec::new())
    );
    assert_eq!(guard.standing(TAG), None);
    assert_eq!(
        guard.wish(TAG, wish(1)),
        Judgement::Record(Standing::Presented)
    );
    let mut good = with(Standing::Accepted);
    good.wish(TAG, wish(1));
    assert_eq!(
        good.recorded(TAG, Recording::Failed),
        Recorded::Present(wish(1))
    );
}

#[test]
fn two_partitions_never_present_one_pin_at_once() {
    let mut guard = PinGuard::default();
    guard.wish(TAG, wish(1));
    assert_eq!(guard.wish(TAG, wish(2)), Judgement::Wait);
    let (_, waiting) = guard.answered(TAG, PinAnswer::Refused);
    assert_eq!(waiting, [wish(2)]);
    assert_eq!(
        guard.wish(TAG, waiting[0]),
        Judgement::Hold(HeldBack::Refused)
    );
}

#[test]
fn an_unclear_answer_allows_a_second_presentation_and_no_third() {
    let mut guard = PinGuard::default();
    for last in [Standing::Unclear, Standing::Presented] {
        assert_eq!(
            guard.wish(TAG, wish(1)),
            Judgement::Record(Standing::Presented)
        );
        guard.recorded(TAG, Recording::Written);
        assert_eq!(guard.answered(TAG, PinAnswer::Unclear).0, Some(last));
    }
    assert_eq!(
        guard.wish(TAG, wish(1)),
        Judgement::Hold(HeldBack::OutcomeUnknown)
    );
    let mut good = with(Standing::Accepted);
    for _ in 0..5 {
        assert!(matches!(good.wish(TAG, wish(1)), Judgement::Record(_)));
        assert_eq!(
            good.answered(TAG, PinAnswer::Unclear).0,
            Some(Standing::Accepted)
        );
    }
}

#[test]
fn a_pin_that_was_not_judged_keeps_its_standing() {
    let mut guard = with(Standing::Accepted);
    guard.wish(TAG, wish(1));
    assert_eq!(
        guard.answered(TAG, PinAnswer::NotJudged).0,
        Some(Standing::Accepted)
    );
    let mut fresh = PinGuard::default();
    fresh.wish(TAG, wish(1));
    assert_eq!(fresh.answered(TAG, PinAnswer::NotJudged).0, None);
    assert_eq!(fresh.standing(TAG), None);
}

#[test]
fn a_wish_that_died_before_it_was_told_leaves_no_doubt() {
    let mut guard = PinGuard::default();
    guard.wish(TAG, wish(1));
    guard.worker_died(WorkerId(1));
    assert_eq!(
        guard.wish(TAG, wish(2)),
        Judgement::Wait,
        "until the disk has answered"
    );
    guard.worker_died(WorkerId(2));
    assert_eq!(
        guard.recorded(TAG, Recording::Written),
        Recorded::Withdrawn(PartitionId(1), None)
    );
    assert_eq!(
        guard.wish(TAG, wish(3)),
        Judgement::Record(Standing::Presented)
    );
}

#[test]
fn the_next_in_line_takes_the_turn_of_one_that_died_untold() {
    let mut guard = PinGuard::default();
    guard.wish(TAG, wish(1));
    guard.wish(TAG, wish(2));
    assert!(guard.worker_died(WorkerId(1)).is_empty());
    assert_eq!(
        guard.recorded(TAG, Recording::Written),
        Recorded::Present(wish(2))
    );
}

#[test]
fn an_unclear_answer_does_not_hide_that_an_outcome_is_open() {
    let mut guard = with(Standing::PresentedAgain);
    guard.wish(TAG, wish(1));
    guard.recorded(TAG, Recording::Written);
    assert_eq!(
        guard.answered(TAG, PinAnswer::Unclear).0,
        Some(Standing::PresentedAgain)
    );
}

#[test]
fn what_another_process_learnt_counts() {
    let mut guard = with(Standing::Accepted);
    guard.changed(TAG, Some(Standing::Refused));
    assert_eq!(guard.wish(TAG, wish(1)), Judgement::Hold(HeldBack::Refused));
    guard.changed(TAG, Some(Standing::PresentedAgain));
    guard.changed(TAG, Some(Standing::Accepted));
    assert_eq!(guard.standing(TAG), Some(Standing::Refused));
    let mut guard = with(Standing::Accepted);
    guard.wish(TAG, wish(1));
    guard.changed(TAG, Some(Standing::Presented));
    assert_eq!(
        guard.recorded(TAG, Recording::Failed),
        Recorded::Hold(wish(1), HeldBack::OutcomeUnknown, Vec::new()),
        "the file refused it"
    );
}
