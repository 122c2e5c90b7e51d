//! Framing: `$data#checksum`, escapes, acknowledgements, and the interrupt that comes as a bare byte.

/// Bytes of the largest packet that is taken.
pub const LARGEST: usize = 0x20000;

/// What a stream of bytes has brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Arrival {
    /// A packet, unescaped.
    Packet(Vec<u8>),
    /// A packet whose checksum is wrong, or that is too long.
    Broken,
    /// The debugger asks for the last packet again.
    Again,
    /// Ctrl-C.
    Interrupt,
}

/// Takes packets out of a stream.
#[derive(Debug, Clone, Default)]
pub struct Reader {
    buffer: Vec<u8>,
    /// Inside a packet: what follows `$`.
    inside: bool,
    /// Digits of the checksum that have come.
    digits: Vec<u8>,
    closing: bool,
    too_long: bool,
}

impl Reader {
    /// Takes one byte.
    pub fn push(&mut self, byte: u8) -> Option<Arrival> {
        if self.closing {
            self.digits.push(byte);
            if self.digits.len() < 2 {
                return None;
            }
            let packet = std::mem::take(self);
            let wanted = std::str::from_utf8(&packet.digits).ok().and_then(|text| u8::from_str_radix(text, 16).ok());
            let sum = packet.buffer.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
            return Some(match wanted {
                Some(wanted) if wanted == sum && !packet.too_long => Arrival::Packet(unescape(&packet.buffer)),
                _ => Arrival::Broken,
            });
        }
        if self.inside {
            match byte {
                b'#' => self.closing = true,
                // A new packet: the one before was cut off.
                b'$' => self.buffer.clear(),
                _ if self.buffer.len() >= LARGEST => self.too_long = true,
                _ => self.buffer.push(byte),
            }
            return None;
        }
        match byte {
            b'$' => self.inside = true,
            3 => return Some(Arrival::Interrupt),
            b'-' => return Some(Arrival::Again),
            _ => {}
        }
        None
    }
}

fn unescape(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(bytes.len());
    let mut rest = bytes.iter();
    while let Some(byte) = rest.next() {
        match byte {
            b'}' => plain.extend(rest.next().map(|byte| byte ^ 0x20)),
            byte => plain.push(*byte),
        }
    }
    plain
}

/// Frames a packet.
pub fn frame(data: &[u8]) -> Vec<u8> {
    let mut framed = Vec::with_capacity(data.len() + 4);
    framed.push(b'$');
    for byte in data {
        if matches!(byte, b'$' | b'#' | b'}' | b'*') {
            framed.push(b'}');
            framed.push(byte ^ 0x20);
        } else {
            framed.push(*byte);
        }
    }
    let sum = framed[1..].iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
    framed.extend(format!("#{sum:02x}").bytes());
    framed
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        text.push(char::from_digit(u32::from(byte >> 4), 16).unwrap_or('0'));
        text.push(char::from_digit(u32::from(byte & 15), 16).unwrap_or('0'));
        text
    })
}

/// Hexadecimal digits as bytes; `None` if they are not.
pub fn unhex(text: &[u8]) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) {
        return None;
    }
    text.chunks_exact(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

/// A hexadecimal number.
pub fn number(text: &[u8]) -> Option<u64> {
    u64::from_str_radix(std::str::from_utf8(text).ok()?, 16).ok()
}

/// A pair `a,b` of hexadecimal numbers.
pub fn pair(text: &[u8]) -> Option<(u64, u64)> {
    let comma = text.iter().position(|byte| *byte == b',')?;
    Some((number(&text[..comma])?, number(&text[comma + 1..])?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(bytes: &[u8]) -> Vec<Arrival> {
        let mut reader = Reader::default();
        bytes.iter().filter_map(|byte| reader.push(*byte)).collect()
    }

    #[test]
    fn packets_are_checked_and_unescaped() {
        assert_eq!(all(b"+$g#67"), [Arrival::Packet(b"g".to_vec())]);
        assert_eq!(all(b"$g#68\x03-"), [Arrival::Broken, Arrival::Interrupt, Arrival::Again]);
        let odd = b"a#b$c}d*e";
        assert_eq!(all(&frame(odd)), [Arrival::Packet(odd.to_vec())]);
        assert_eq!(all(b"$abc$g#67"), [Arrival::Packet(b"g".to_vec())]);
    }

    #[test]
    fn a_packet_without_end_takes_bounded_memory() {
        let mut reader = Reader::default();
        reader.push(b'$');
        for _ in 0..LARGEST * 2 {
            assert_eq!(reader.push(b'a'), None);
        }
        assert!(reader.buffer.len() <= LARGEST);
    }
}
