//! What stands at the beginning of a stream or a connection: multistream-select, as far as an attacker needs it.
//! <https://github.com/multiformats/multistream-select>

use anyhow::{Result, bail};
use futures::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// The first line of both ends.
pub(super) const HEADER: &str = "/multistream/1.0.0";

/// A line as it is written: its length, the line, a newline. Lines are below 127 bytes here, so that a length is a byte.
pub(super) fn line(text: &str) -> Vec<u8> {
    let length = u8::try_from(text.len() + 1).unwrap_or(u8::MAX).min(127);
    let mut line = vec![length];
    line.extend_from_slice(text.as_bytes());
    line.push(b'\n');
    line
}

/// Proposes a protocol and reads the agreement.
pub(super) async fn agree<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, protocol: &str) -> Result<()> {
    stream.write_all(&[line(HEADER), line(protocol)].concat()).await?;
    stream.flush().await?;
    for expected in [HEADER, protocol] {
        let got = read_line(stream).await?;
        if got != expected {
            bail!("expected {expected}, got {got}");
        }
    }
    Ok(())
}

async fn read_line<S: AsyncRead + Unpin>(stream: &mut S) -> Result<String> {
    let mut length = [0];
    stream.read_exact(&mut length).await?;
    if !(1..=127).contains(&length[0]) {
        bail!("expected a line below 127 bytes");
    }
    let mut text = vec![0; usize::from(length[0])];
    stream.read_exact(&mut text).await?;
    Ok(String::from_utf8(text)?.trim_end_matches('\n').to_owned())
}

/// A number as protobuf and multistream write it.
pub(super) fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number > 127 {
        bytes.push(u8::try_from(number & 127).unwrap_or(0) | 128);
        number >>= 7;
    }
    bytes.push(u8::try_from(number).unwrap_or(127));
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_numbers_are_as_the_specification_shows_them() {
        assert_eq!(line("/tls/1.0.0"), b"\x0b/tls/1.0.0\n");
        assert_eq!(varint(300), [0xac, 0x02]);
        assert_eq!(varint(127), [0x7f]);
    }
}
