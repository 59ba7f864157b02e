//! The cheap sealer beside the real one: the same steps have the same outcomes.

use tidings_crypto::{MAX_GAP, MAX_SKIPPED_KEYS, OlmSealer, OpenError, Sealer};

use super::CheapSealer;
use crate::sim::dice::{Dice, Purpose};
use crate::sim::node::LabSealer;

/// Two ends of a session, and everything that was sealed, by whom.
struct Pair<S: LabSealer> {
    sealers: [S; 2],
    sessions: [Option<S::Session>; 2],
    sealed: Vec<(usize, Vec<u8>)>,
}

impl<S: LabSealer> Pair<S> {
    fn new() -> Self {
        let sealers = [S::make([1; 32]), S::make([2; 32])];
        let begun = sealers[0].begin(&sealers[1].ratchet_keys()).unwrap();
        Self { sealers, sessions: [Some(begun), None], sealed: Vec::new() }
    }

    /// One end seals a text, if it has the session.
    fn seal(&mut self, end: usize) -> bool {
        let Some(session) = &mut self.sessions[end] else { return false };
        let text = format!("text {}", self.sealed.len());
        self.sealed.push((end, self.sealers[end].seal(session, text.as_bytes()).unwrap()));
        true
    }

    /// The other end opens what was sealed before, maybe not for the first time.
    fn open(&mut self, number: usize) -> Result<Vec<u8>, OpenError> {
        let (from, ciphertext) = self.sealed[number].clone();
        self.open_at(1 - from, &ciphertext)
    }

    fn open_at(&mut self, end: usize, ciphertext: &[u8]) -> Result<Vec<u8>, OpenError> {
        if let Some(session) = &mut self.sessions[end] {
            return self.sealers[end].open(session, ciphertext);
        }
        let (session, text) = self.sealers[end].accept(ciphertext)?;
        self.sessions[end] = Some(session);
        Ok(text)
    }

    /// An end is saved and restored, as after every start.
    fn restart(&mut self, end: usize) {
        self.sealers[end] = S::restore(&self.sealers[end].save(), [9; 32]).unwrap();
        if let Some(session) = &self.sessions[end] {
            let saved = self.sealers[end].save_session(session);
            self.sessions[end] = Some(self.sealers[end].load_session(&saved).unwrap());
        }
    }
}

/// What is comparable of an outcome: ids of sessions are not.
fn shape(outcome: Result<Vec<u8>, OpenError>) -> Result<Vec<u8>, OpenError> {
    let other = |error: &OpenError| matches!(error, OpenError::OtherSession { .. });
    outcome.map_err(|error| if other(&error) { OpenError::Malformed } else { error })
}

#[test]
fn both_sealers_open_and_refuse_the_same() {
    for seed in 0..60 {
        let mut dice = Dice::split(seed, Purpose::Links);
        let (mut real, mut cheap) = (Pair::<OlmSealer>::new(), Pair::<CheapSealer>::new());
        let (seals, turns) = (1 + dice.below(70), dice.below(12));
        for step in 0..300 {
            match dice.below(20) {
                0 => {
                    let end = dice.index(2);
                    real.restart(end);
                    cheap.restart(end);
                }
                1..=9 => {
                    let end = usize::from(dice.below(12) < turns);
                    for _ in 0..=dice.below(seals) {
                        assert_eq!(real.seal(end), cheap.seal(end));
                    }
                }
                _ if real.sealed.is_empty() => {}
                // Mostly what is new, now and then anything.
                _ => {
                    let all = real.sealed.len();
                    let back = if dice.below(3) == 0 { all } else { all.min(50) };
                    let number = all - 1 - dice.index(back);
                    let outcomes = (shape(real.open(number)), shape(cheap.open(number)));
                    assert_eq!(outcomes.0, outcomes.1, "seed {seed}, step {step}, message {number}");
                }
            }
        }
    }
}

#[test]
fn both_have_the_same_limits() {
    fn limits<S: LabSealer>() -> Vec<Result<Vec<u8>, OpenError>> {
        let mut pair = Pair::<S>::new();
        let last = usize::try_from(MAX_GAP).unwrap() + 3;
        for _ in 0..=last {
            pair.seal(0);
        }
        let mut outcomes = vec![pair.open(0), pair.open(last), pair.open(last - 1)];
        let oldest = last - 1 - MAX_SKIPPED_KEYS;
        outcomes.extend([oldest, oldest - 1, last - 1, 0, last - 2].map(|number| pair.open(number)));
        outcomes
    }
    assert_eq!(limits::<OlmSealer>(), limits::<CheapSealer>());
}

#[test]
fn what_is_altered_is_refused_and_changes_nothing() {
    let mut pair = Pair::<CheapSealer>::new();
    for _ in 0..4 {
        pair.seal(0);
    }
    for number in 0..4 {
        let ciphertext = pair.sealed[number].1.clone();
        for at in 0..ciphertext.len() {
            let mut altered = ciphertext.clone();
            altered[at] ^= 1;
            assert!(pair.open_at(1, &altered).is_err(), "byte {at} of message {number}");
        }
        assert_eq!(pair.open(number), Ok(format!("text {number}").into_bytes()));
    }
}

#[test]
fn nobody_else_opens_it() {
    let mut pair = Pair::<CheapSealer>::new();
    pair.seal(0);
    let mut third = CheapSealer::make([3; 32]);
    assert_eq!(third.accept(&pair.sealed[0].1).err(), Some(OpenError::UnknownFallback));
}

#[test]
fn sessions_begun_in_two_lives_differ() {
    let to = CheapSealer::make([2; 32]).ratchet_keys();
    let first = CheapSealer::make([1; 32]);
    let ids = [7, 8].map(|seed| {
        let sealer = CheapSealer::restore(&first.save(), [seed; 32]).unwrap();
        let sessions = [sealer.begin(&to).unwrap(), sealer.begin(&to).unwrap()];
        sessions.map(|session| sealer.session_id(&session))
    });
    let ids: std::collections::BTreeSet<_> = ids.into_iter().flatten().collect();
    assert_eq!(ids.len(), 4);
}
