//! Invites as text: `tidings:` and base32, so that they survive e-mail and make small QR codes in capitals.

use bytes::Bytes;

use crate::node::CallError;

/// What every invite begins with.
const SCHEME: &str = "tidings:";
/// The longest invite that is read, in characters; a card has at most 4 KiB.
const MAX_INVITE_CHARACTERS: usize = 8 * 1024;
/// RFC 4648 base32 in lower case.
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// Why an invite could not be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InviteError {
    /// It is no invite, or was cut or altered on the way.
    #[error("this is no invite, or a part of it is missing; copy all of it, from \"{SCHEME}\" to the end")]
    NotAnInvite,
    /// The node did not take it.
    #[error(transparent)]
    Call(#[from] CallError),
}

pub(crate) fn to_text(invite: &[u8]) -> String {
    let mut text = String::from(SCHEME);
    let (mut buffer, mut bits) = (0u32, 0u32);
    for byte in invite {
        buffer = (buffer << 8) | u32::from(*byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            text.push(character(buffer >> bits));
        }
        buffer &= (1 << bits) - 1;
    }
    if bits > 0 {
        text.push(character(buffer << (5 - bits)));
    }
    text
}

fn character(value: u32) -> char {
    char::from(ALPHABET[(value & 31) as usize])
}

pub(crate) fn from_text(text: &str) -> Result<Bytes, InviteError> {
    let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    if text.len() > MAX_INVITE_CHARACTERS {
        return Err(InviteError::NotAnInvite);
    }
    let text = text.to_ascii_lowercase();
    let text = text.strip_prefix(SCHEME).ok_or(InviteError::NotAnInvite)?;
    let mut bytes = Vec::with_capacity(text.len() * 5 / 8);
    let (mut buffer, mut bits) = (0u32, 0u32);
    for character in text.bytes() {
        let value = ALPHABET
            .iter()
            .position(|c| *c == character)
            .and_then(|value| u32::try_from(value).ok())
            .ok_or(InviteError::NotAnInvite)?;
        buffer = (buffer << 5) | value;
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            bytes.push((buffer >> bits & 255) as u8);
        }
        buffer &= (1 << bits) - 1;
    }
    if bytes.is_empty() || bits >= 5 || buffer != 0 {
        return Err(InviteError::NotAnInvite);
    }
    Ok(bytes.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invite_survives_its_text_in_any_case_and_broken_into_lines() {
        for length in 1..64 {
            let invite: Vec<u8> = (0..length).map(|n: u8| n.wrapping_mul(37)).collect();
            let text = to_text(&invite);
            assert_eq!(from_text(&text).unwrap(), invite);
            assert_eq!(from_text(&text.to_uppercase()).unwrap(), invite);
            let broken = format!(" {}\n{}\n", &text[..9], &text[9..]);
            assert_eq!(from_text(&broken).unwrap(), invite);
        }
    }

    #[test]
    fn other_texts_are_no_invites() {
        for text in ["", "tidings:", "tidings:a", "tidings:a1", "mailto:aaaa", "tidings:ab"] {
            assert_eq!(from_text(text), Err(InviteError::NotAnInvite), "{text}");
        }
    }
}
