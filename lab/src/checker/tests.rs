//! Forged logs: each breaks one rule, and the checker must name that one. Honest ones are accepted.

use tidings_core::ids::{FlowId, MessageId};

use super::{Rule, Verdict, judge};
use crate::log::{Entry, Hash, Id, Line, Outcome, State, Submitted};
use crate::scenario::{Amount, ClassName, Expect, Span};

/// A log in the making; each line comes a second after the one before.
#[derive(Default)]
struct Log(Vec<Line>);

fn id(seq: u64) -> Id {
    Id(MessageId { flow: FlowId([1; 8]), seq })
}

fn hash(number: u8) -> Hash {
    Hash::of(&[number])
}

fn message(to: u32, number: u8, stream: Option<&str>) -> Submitted {
    Submitted {
        to,
        class: ClassName::Normal,
        hash: hash(number),
        bytes: 1,
        lifetime_ms: 60_000,
        stream: stream.map(str::to_owned),
    }
}

impl Log {
    fn new() -> Self {
        let run = Entry::Run { scenario: "forged".to_owned(), nodes: 3, hostile: vec![2], clocks_jump: false };
        Self::default().harness(run).by(0, Entry::Start).by(1, Entry::Start)
    }

    fn line(mut self, node: Option<u32>, entry: Entry) -> Self {
        let at = self.0.len() as u64 * 1_000_000;
        self.0.push(Line { at, node, entry });
        self
    }

    fn by(self, node: u32, entry: Entry) -> Self {
        self.line(Some(node), entry)
    }

    fn harness(self, entry: Entry) -> Self {
        self.line(None, entry)
    }

    fn submit(self, call: u64, messages: Vec<Submitted>) -> Self {
        self.by(0, Entry::Submit { call, messages, repeats: None })
    }

    fn answer(self, call: u64, results: Vec<Outcome>) -> Self {
        self.by(0, Entry::Answer { call, results })
    }

    /// Node 0 sends node 1 a message, which is accepted.
    fn accepted(self, call: u64, number: u8, seq: u64) -> Self {
        self.submit(call, vec![message(1, number, None)]).answer(call, vec![Outcome::Accepted(id(seq))])
    }

    fn shown(self, seq: u64, number: u8) -> Self {
        self.by(1, Entry::Shown { id: id(seq), from: 0, hash: hash(number), stream: None })
    }

    fn acknowledge(self, call: u64, seq: u64) -> Self {
        self.by(1, Entry::Acknowledge { call, ids: vec![id(seq)] })
    }

    fn acknowledged(self, call: u64) -> Self {
        self.by(1, Entry::Acknowledged { call, unknown: Vec::new() })
    }

    fn told(self, seq: u64, state: State) -> Self {
        self.by(0, Entry::State { id: id(seq), state })
    }

    /// A message from its acceptance to the sender's last word of it.
    fn whole(self, call: u64, number: u8, seq: u64) -> Self {
        let acknowledgement = 100 + call;
        self.accepted(call, number, seq)
            .shown(seq, number)
            .told(seq, State::Delivered)
            .acknowledge(acknowledgement, seq)
            .acknowledged(acknowledgement)
            .told(seq, State::Acknowledged)
    }

    fn verdict(self) -> Verdict {
        self.verdict_with(None)
    }

    fn verdict_with(self, expect: Option<&Expect>) -> Verdict {
        let log = self.harness(Entry::Healed { settle_micros: 1 }).harness(Entry::Finished);
        judge(&log.0, expect)
    }

    #[track_caller]
    fn breaks(self, rules: &[Rule]) {
        let broken: Vec<_> = self.verdict().violations.into_iter().map(|violation| violation.rule).collect();
        assert_eq!(broken, rules);
    }
}

#[test]
fn an_honest_log_is_accepted() {
    let verdict = Log::new().whole(1, 1, 0).whole(2, 2, 1).verdict();
    assert_eq!(verdict.violations, []);
    assert_eq!((verdict.figures.accepted, verdict.figures.delivered, verdict.figures.ended), (2, 2, 0));
}

#[test]
fn a_message_may_be_shown_again_in_another_life_until_it_is_acknowledged() {
    let log = Log::new().accepted(1, 1, 0).shown(0, 1).by(1, Entry::End).by(1, Entry::Start).shown(0, 1);
    let log = log.acknowledge(5, 0).acknowledged(5).told(0, State::Acknowledged);
    let verdict = log.verdict();
    assert_eq!(verdict.violations, []);
    assert_eq!(verdict.figures.shown_again, 1);
}

#[test]
fn what_was_asked_before_a_crash_need_not_be_answered() {
    let log = Log::new().submit(1, vec![message(1, 1, None)]).by(0, Entry::End).by(0, Entry::Start);
    // It may have been accepted all the same, and is then shown, and told of.
    log.shown(0, 1).told(0, State::Delivered).breaks(&[]);
}

#[test]
fn what_expired_at_its_time_is_told_and_not_lost() {
    let mut log = Log::new().accepted(1, 1, 0);
    log.0.push(Line { at: 70_000_000, node: Some(0), entry: Entry::State { id: id(0), state: State::Expired } });
    let verdict = log.verdict();
    assert_eq!((verdict.violations, verdict.figures.ended), (Vec::new(), 1));
}

#[test]
fn a_lost_message() {
    Log::new().accepted(1, 1, 0).breaks(&[Rule::Lost, Rule::Untold]);
}

#[test]
fn a_message_told_as_delivered_and_never_shown() {
    Log::new().accepted(1, 1, 0).told(0, State::Delivered).breaks(&[Rule::Told, Rule::Untold]);
}

#[test]
fn a_message_whose_sender_is_never_told() {
    Log::new().accepted(1, 1, 0).shown(0, 1).acknowledge(5, 0).acknowledged(5).breaks(&[Rule::Untold]);
}

#[test]
fn calls_that_are_never_answered() {
    Log::new().submit(1, vec![message(1, 1, None)]).breaks(&[Rule::Untold]);
    Log::new().whole(1, 1, 0).acknowledge(9, 0).breaks(&[Rule::Untold]);
}

#[test]
fn a_message_shown_after_its_acknowledgement_was_durable() {
    let log = Log::new().whole(1, 1, 0).by(1, Entry::End).by(1, Entry::Start).shown(0, 1);
    log.breaks(&[Rule::ShownAfterAcknowledgement]);
}

#[test]
fn a_message_shown_twice_in_one_life() {
    let log = Log::new().accepted(1, 1, 0).shown(0, 1).shown(0, 1).acknowledge(5, 0).acknowledged(5);
    log.told(0, State::Acknowledged).breaks(&[Rule::ShownTwice]);
}

#[test]
fn a_payload_shown_under_two_ids() {
    Log::new().whole(1, 1, 0).shown(1, 1).breaks(&[Rule::Doubled]);
}

#[test]
fn an_id_given_to_two_messages() {
    Log::new().whole(1, 1, 0).accepted(2, 2, 0).breaks(&[Rule::IdReused]);
}

#[test]
fn a_repeated_call_has_the_first_ones_id() {
    let log = Log::new().submit(1, vec![message(1, 1, None)]).by(0, Entry::End).by(0, Entry::Start);
    let again = Entry::Submit { call: 2, messages: vec![message(1, 1, None)], repeats: Some(1) };
    let log = log.by(0, again).answer(2, vec![Outcome::Accepted(id(0))]).shown(0, 1);
    log.acknowledge(5, 0).acknowledged(5).told(0, State::Acknowledged).breaks(&[]);
}

#[test]
fn an_altered_payload() {
    let log = Log::new().accepted(1, 1, 0).shown(0, 9).acknowledge(5, 0).acknowledged(5);
    log.told(0, State::Acknowledged).breaks(&[Rule::Altered]);
}

#[test]
fn an_altered_payload_at_the_second_showing() {
    let log = Log::new().accepted(1, 1, 0).shown(0, 1).by(1, Entry::End).by(1, Entry::Start).shown(0, 9);
    log.acknowledge(5, 0).acknowledged(5).told(0, State::Acknowledged).breaks(&[Rule::Altered]);
}

#[test]
fn a_message_nobody_sent() {
    Log::new().shown(7, 9).breaks(&[Rule::Forged]);
}

#[test]
fn a_message_for_somebody_else() {
    let log = Log::new().submit(1, vec![message(2, 1, None)]).answer(1, vec![Outcome::Accepted(id(0))]);
    log.shown(0, 1).breaks(&[Rule::Forged]);
}

#[test]
fn a_refused_message_that_is_shown() {
    let log = Log::new().submit(1, vec![message(1, 1, None)]);
    log.answer(1, vec![Outcome::Refused("busy".to_owned())]).shown(0, 1).breaks(&[Rule::RefusedAndShown]);
}

#[test]
fn a_stream_out_of_order() {
    let stream = Some("s");
    let two = vec![message(1, 1, stream), message(1, 2, stream)];
    let mut log = Log::new().submit(1, two).answer(1, vec![Outcome::Accepted(id(0)), Outcome::Accepted(id(1))]);
    for (seq, number) in [(1, 2), (0, 1)] {
        let stream = stream.map(str::to_owned);
        log = log.by(1, Entry::Shown { id: id(seq), from: 0, hash: hash(number), stream });
        log = log.acknowledge(seq + 10, seq).acknowledged(seq + 10).told(seq, State::Acknowledged);
    }
    log.breaks(&[Rule::OutOfOrder]);
}

#[test]
fn a_message_that_expires_early() {
    Log::new().accepted(1, 1, 0).told(0, State::Expired).breaks(&[Rule::EndedEarly]);
}

#[test]
fn a_message_withdrawn_by_nobody() {
    Log::new().accepted(1, 1, 0).told(0, State::Cancelled).breaks(&[Rule::EndedEarly]);
    Log::new().accepted(1, 1, 0).by(0, Entry::Cancel { id: id(0) }).told(0, State::Cancelled).breaks(&[]);
}

#[test]
fn an_acknowledgement_by_nobody() {
    let log = Log::new().accepted(1, 1, 0).shown(0, 1).told(0, State::Acknowledged);
    log.breaks(&[Rule::AcknowledgedByNobody]);
}

#[test]
fn a_state_of_a_message_never_sent() {
    Log::new().whole(1, 1, 0).told(5, State::Delivered).breaks(&[Rule::StrangeState]);
}

#[test]
fn a_payload_in_the_clear() {
    Log::new().harness(Entry::Plaintext { place: "a wire".to_owned() }).breaks(&[Rule::Plaintext]);
}

#[test]
fn answers_that_make_no_sense() {
    Log::new().answer(1, Vec::new()).breaks(&[Rule::Log]);
    Log::new().whole(1, 1, 0).answer(1, vec![Outcome::Accepted(id(0))]).breaks(&[Rule::Log]);
    Log::new().submit(1, vec![message(1, 1, None)]).answer(1, Vec::new()).breaks(&[Rule::Log]);
    Log::new().acknowledged(4).breaks(&[Rule::Log]);
    Log::new().by(0, Entry::Finished).breaks(&[Rule::Log]);
    Log::new().whole(1, 1, 0).submit(1, Vec::new()).answer(1, Vec::new()).breaks(&[Rule::Log]);
}

#[test]
fn a_log_without_an_end() {
    let violations = judge(&Log::new().whole(1, 1, 0).0, None).violations;
    assert_eq!(violations.into_iter().map(|violation| violation.rule).collect::<Vec<_>>(), [Rule::Log]);
}

#[test]
fn nothing_is_promised_to_and_from_hostile_nodes() {
    let log = Log::new().submit(1, vec![message(2, 1, None)]).answer(1, vec![Outcome::Accepted(id(0))]);
    let log = log.by(1, Entry::Shown { id: id(3), from: 2, hash: hash(8), stream: None });
    let verdict = log.verdict();
    assert_eq!((verdict.violations, verdict.figures.accepted), (Vec::new(), 0));
}

#[test]
fn expectations_that_are_not_met() {
    let within = |seconds| Span(std::time::Duration::from_secs(seconds));
    let met = Expect {
        delivered: Some(Amount::All),
        accepted: Some(2),
        refused: Some(0),
        ended: Some(0),
        shown_within: [(ClassName::Normal, within(1))].into(),
    };
    let log = || Log::new().whole(1, 1, 0).whole(2, 2, 1);
    assert_eq!(log().verdict_with(Some(&met)).violations, []);
    let unmet = [
        Expect { delivered: Some(Amount::AtLeast(3)), ..met.clone() },
        Expect { accepted: Some(3), ..met.clone() },
        Expect { ended: Some(1), ..met.clone() },
        Expect { shown_within: [(ClassName::Normal, within(0))].into(), ..met.clone() },
        Expect { shown_within: [(ClassName::Bulk, within(9))].into(), ..met.clone() },
    ];
    for expect in unmet {
        let violations = log().verdict_with(Some(&expect)).violations;
        assert_eq!(violations.len(), 1, "{expect:?}: {violations:?}");
        assert_eq!(violations[0].rule, Rule::Expectation);
    }
    let refused = log().submit(9, vec![message(1, 5, None)]).answer(9, vec![Outcome::Refused("busy".to_owned())]);
    assert_eq!(refused.verdict_with(Some(&met)).violations.len(), 1);
}

#[test]
fn a_log_survives_its_text() {
    for line in Log::new().whole(1, 1, 0).harness(Entry::Finished).0 {
        let text = serde_json::to_string(&line).unwrap();
        assert_eq!(serde_json::from_str::<Line>(&text).unwrap(), line, "{text}");
    }
}
