//! What a hostile node remembers of what it hears, and how it alters it.

use bytes::Bytes;

use super::dice::Dice;

/// How much is remembered.
const MEMORY: usize = 400;

/// A sample of what was heard; beyond its bound something new takes the place of something old.
#[derive(Debug)]
pub(super) struct Heard<T>(Vec<T>);

impl<T> Default for Heard<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Heard<T> {
    pub(super) fn keep(&mut self, new: T, dice: &mut Dice) {
        if self.0.len() < MEMORY {
            self.0.push(new);
        } else {
            self.0[dice.index(MEMORY)] = new;
        }
    }

    /// Any of it; `None` where nothing was heard.
    pub(super) fn any(&self, dice: &mut Dice) -> Option<&T> {
        self.0.get(dice.index(self.0.len()))
    }
}

/// The same with one byte changed.
pub(super) fn altered(bytes: &Bytes, dice: &mut Dice) -> Bytes {
    let mut altered = bytes.to_vec();
    if let Some(byte) = altered.get_mut(dice.index(bytes.len())) {
        *byte ^= dice.between(1, 255).to_le_bytes()[0];
    }
    altered.into()
}

#[cfg(test)]
mod tests {
    use super::super::dice::Purpose;
    use super::*;

    #[test]
    fn memory_is_bounded_and_takes_what_is_new() {
        let (mut heard, mut dice) = (Heard::default(), Dice::split(1, Purpose::Hostile(0)));
        assert_eq!(heard.any(&mut dice), None);
        for number in 0..4 * MEMORY {
            heard.keep(number, &mut dice);
        }
        assert_eq!(heard.0.len(), MEMORY);
        assert!(heard.0.iter().any(|number| *number >= 3 * MEMORY));
    }

    #[test]
    fn one_byte_is_altered() {
        let mut dice = Dice::split(1, Purpose::Hostile(0));
        for length in [1, 2, 100] {
            let bytes = Bytes::from(vec![7; length]);
            let altered = altered(&bytes, &mut dice);
            assert_eq!(altered.iter().zip(&bytes).filter(|(new, old)| new != old).count(), 1);
        }
        assert_eq!(altered(&Bytes::new(), &mut dice), Bytes::new());
    }
}
