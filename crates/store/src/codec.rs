//! Compact bytes for what the database holds as blobs: LEB128 numbers, length-delimited bytes, interval sets.

use bytes::Bytes;
use tidings_core::interval::IntervalSet;
use tidings_core::wire::Path;
use tidings_crypto::PeerKey;

/// A blob that is not what its column says: the database is damaged, or of a later version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a stored value cannot be read")]
pub(crate) struct Unreadable;

/// Writes a blob.
#[derive(Debug, Default)]
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    pub(crate) fn number(mut self, mut number: u64) -> Self {
        while number >= 0x80 {
            self.0.push((number as u8) | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
        self
    }

    pub(crate) fn bytes(self, bytes: &[u8]) -> Self {
        let mut writer = self.number(bytes.len() as u64);
        writer.0.extend_from_slice(bytes);
        writer
    }

    pub(crate) fn set(self, set: &IntervalSet) -> Self {
        let list = set.to_wire(0);
        list.iter().fold(self.number(list.len() as u64), |writer, number| writer.number(*number))
    }

    pub(crate) fn option(self, number: Option<u64>) -> Self {
        match number {
            None => self.number(0),
            Some(number) => self.number(1).number(number),
        }
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.0
    }
}

/// Reads a blob.
#[derive(Debug)]
pub(crate) struct Reader(Bytes);

impl Reader {
    pub(crate) fn new(blob: Vec<u8>) -> Self {
        Self(blob.into())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn number(&mut self) -> Result<u64, Unreadable> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.0.first().copied().ok_or(Unreadable)?;
            self.0 = self.0.slice(1..);
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(Unreadable)
    }

    pub(crate) fn bytes(&mut self) -> Result<Bytes, Unreadable> {
        let length = usize::try_from(self.number()?).map_err(|_| Unreadable)?;
        if length > self.0.len() {
            return Err(Unreadable);
        }
        Ok(self.0.split_to(length))
    }

    pub(crate) fn text(&mut self) -> Result<String, Unreadable> {
        String::from_utf8(self.bytes()?.into()).map_err(|_| Unreadable)
    }

    pub(crate) fn set(&mut self) -> Result<IntervalSet, Unreadable> {
        let count = self.number()?;
        let list = (0..count).map(|_| self.number()).collect::<Result<Vec<_>, _>>()?;
        IntervalSet::from_wire(&list, 0, usize::MAX).map_err(|_| Unreadable)
    }

    pub(crate) fn option(&mut self) -> Result<Option<u64>, Unreadable> {
        if self.number()? == 0 { Ok(None) } else { self.number().map(Some) }
    }
}

pub(crate) fn array<const N: usize>(bytes: &[u8]) -> Result<[u8; N], Unreadable> {
    bytes.try_into().map_err(|_| Unreadable)
}

pub(crate) fn path_of(bytes: Vec<u8>) -> Result<Path, Unreadable> {
    Path::from_bytes(&bytes).ok_or(Unreadable)
}

pub(crate) fn peer(bytes: &[u8]) -> Result<PeerKey, Unreadable> {
    array(bytes).map(PeerKey::from_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let set = IntervalSet::of(3, 9);
        let blob = Writer::default().number(u64::MAX).bytes(b"abc").set(&set).option(Some(300)).option(None).finish();
        let mut reader = Reader::new(blob);
        assert_eq!(reader.number(), Ok(u64::MAX));
        assert_eq!(reader.bytes().as_deref(), Ok(b"abc".as_slice()));
        assert_eq!(reader.set(), Ok(set));
        assert_eq!(reader.option(), Ok(Some(300)));
        assert_eq!(reader.option(), Ok(None));
        assert!(reader.is_empty());
        assert_eq!(reader.number(), Err(Unreadable));
    }
}
