//! Counts the fields of an encoded protobuf message before it is decoded.

use bytes::Buf;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

/// How often a field may stand in a message, and how long it may be. Fields that are not listed may stand once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FieldLimit {
    pub(crate) tag: u32,
    pub(crate) count: usize,
    pub(crate) bytes: usize,
}

/// Whether `message` is a sequence of fields within the limits; decoding it then allocates in proportion to
/// them.
pub(crate) fn within(mut message: &[u8], limits: &[FieldLimit]) -> bool {
    let mut counts = [0usize; 32];
    while message.has_remaining() {
        let Ok((tag, wire_type)) = decode_key(&mut message) else {
            return false;
        };
        let Some(count) = usize::try_from(tag).ok().and_then(|tag| counts.get_mut(tag)) else {
            return false;
        };
        *count += 1;
        let limit = limits.iter().find(|limit| limit.tag == tag);
        if *count > limit.map_or(1, |limit| limit.count) {
            return false;
        }
        let readable = match wire_type {
            WireType::LengthDelimited => {
                let Ok(length) = decode_varint(&mut message) else {
                    return false;
                };
                let fits = usize::try_from(length)
                    .is_ok_and(|length| length <= message.len() && limit.is_none_or(|limit| length <= limit.bytes));
                if fits {
                    message.advance(usize::try_from(length).unwrap_or(usize::MAX));
                }
                fits
            }
            WireType::Varint | WireType::SixtyFourBit | WireType::ThirtyTwoBit => {
                skip_field(wire_type, tag, &mut message, DecodeContext::default()).is_ok()
            }
            WireType::StartGroup | WireType::EndGroup => false,
        };
        if !readable {
            return false;
        }
    }
    true
}

/// Whether a boolean field that is true stands in a message, without decoding the rest of it.
pub(crate) fn has_flag(mut message: &[u8], flag: u32) -> bool {
    while message.has_remaining() {
        let Ok((tag, wire_type)) = decode_key(&mut message) else { return false };
        if tag == flag && wire_type == WireType::Varint {
            return decode_varint(&mut message).is_ok_and(|value| value != 0);
        }
        if skip_field(wire_type, tag, &mut message, DecodeContext::default()).is_err() {
            return false;
        }
    }
    false
}
