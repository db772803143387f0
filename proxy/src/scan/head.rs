//! The head of a message, line by line.
//!
//! Owns what a line may look like and what the fields say that frame the message. Never reads any
//! other field.

use crate::error::Failure;

use super::{Framing, Version};

/// As many as hyper takes.
const MOST_FIELDS: u8 = 100;

/// A head as far as it has come.
#[derive(Debug, Default)]
pub(super) struct Head {
    pub(super) framing: Framing,
    /// Where the first line that is not complete begins.
    line: usize,
    /// How far its end has been looked for.
    searched: usize,
    /// How long the name is that it begins with, if all of that has come.
    name: Option<usize>,
    fields: u8,
    started: bool,
}

impl Head {
    /// Reads on in a head, of which `bytes` is all that has come. Some: that many are the head.
    pub(super) fn look(
        &mut self,
        bytes: &[u8],
        limit: usize,
        mut start_line: impl FnMut(&[u8]) -> Result<Option<Version>, Failure>,
    ) -> Result<Option<usize>, Failure> {
        loop {
            if self.started {
                self.look_for_name(bytes);
            }
            let Some(end) = self.line_end(bytes, limit)? else { return Ok(None) };
            let line = &bytes[self.line..end];
            let next = end + 2;
            if next > limit {
                return Err(self.too_large());
            }
            (self.line, self.searched) = (next, next);
            if !self.started {
                if let Some(version) = start_line(line)? {
                    self.framing.version = version;
                    self.started = true;
                }
            } else if line.is_empty() {
                return Ok(Some(next));
            } else {
                let name = self.name.take().unwrap_or_default();
                self.field(line.split_at(name))?;
            }
        }
    }

    fn look_for_name(&mut self, bytes: &[u8]) {
        if self.name.is_none() {
            let rest = &bytes[self.searched..];
            let length = rest.iter().position(|byte| !is_token(*byte));
            self.searched += length.unwrap_or(rest.len());
            self.name = length.map(|_| self.searched - self.line);
        }
    }

    /// Where the line ends that has begun; its first control byte must be the one that ends it. So
    /// what is wrong in a line is seen as soon as it has come, and no line has a control byte.
    fn line_end(&mut self, bytes: &[u8], limit: usize) -> Result<Option<usize>, Failure> {
        let control = next_control(bytes, self.searched);
        let end = control.unwrap_or(bytes.len());
        match &bytes[end..] {
            [b'\r', b'\n', ..] => Ok(Some(end)),
            [] | [b'\r'] if bytes.len() >= limit => Err(self.too_large()),
            [] | [b'\r'] => {
                self.searched = end;
                Ok(None)
            }
            [b'\n', ..] => Err(Failure::Syntax("a line of its head ends without CR")),
            _ => Err(Failure::Syntax("it has a control byte in its head")),
        }
    }

    fn too_large(&self) -> Failure {
        if self.started { Failure::HeadTooLarge } else { Failure::TargetTooLong }
    }

    fn field(&mut self, line: (&[u8], &[u8])) -> Result<(), Failure> {
        if self.fields == MOST_FIELDS {
            return Err(Failure::HeadTooLarge);
        }
        self.fields += 1;
        let (name, value) = check_field(line)?;
        // By length first: few names get any further.
        if name.len() == b"content-length".len() && name.eq_ignore_ascii_case(b"content-length") {
            self.content_length(value)
        } else if name.len() == b"transfer-encoding".len()
            && name.eq_ignore_ascii_case(b"transfer-encoding")
        {
            self.transfer_encoding(value)
        } else {
            Ok(())
        }
    }

    fn content_length(&mut self, value: &[u8]) -> Result<(), Failure> {
        if self.framing.length.is_some() {
            return Err(Failure::Framing("Content-Length comes twice"));
        }
        let length = decimal(trim(value));
        if length.is_none() {
            return Err(Failure::Framing("Content-Length must be one plain number"));
        }
        self.framing.length = length;
        self.check_framing()
    }

    fn transfer_encoding(&mut self, value: &[u8]) -> Result<(), Failure> {
        if self.framing.chunked || !trim(value).eq_ignore_ascii_case(b"chunked") {
            return Err(Failure::Framing("Transfer-Encoding must be `chunked` and nothing else"));
        }
        if self.framing.version == Version::Http10 {
            return Err(Failure::Framing("HTTP/1.0 has no Transfer-Encoding"));
        }
        self.framing.chunked = true;
        self.check_framing()
    }

    fn check_framing(&self) -> Result<(), Failure> {
        if self.framing.chunked && self.framing.length.is_some() {
            return Err(Failure::Framing("both Content-Length and Transfer-Encoding"));
        }
        Ok(())
    }
}

/// `name ":" value`, split behind the name.
fn check_field<'l>(line: (&'l [u8], &'l [u8])) -> Result<(&'l [u8], &'l [u8]), Failure> {
    match line {
        ([], [b' ' | b'\t', ..]) => Err(Failure::Syntax("a field goes on in a second line")),
        ([], _) => Err(Failure::Syntax("a field has no name")),
        (_, [b' ' | b'\t', ..]) => Err(Failure::Syntax("there is space behind a field's name")),
        (name, [b':', value @ ..]) => Ok((name, value)),
        _ => Err(Failure::Syntax("a field's name is malformed")),
    }
}

/// Digits alone, as few as there can be, and no more than any parser can hold: some read a number
/// that begins with 0 as octal, and many hold lengths as signed.
fn decimal(digits: &[u8]) -> Option<u64> {
    match digits {
        [] | [b'0', _, ..] => None,
        _ if digits.len() > 18 => None,
        _ => digits.iter().try_fold(0, |number, digit| {
            digit.is_ascii_digit().then(|| number * 10 + u64::from(digit - b'0'))
        }),
    }
}

fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// Where the first byte is, at `from` or behind it, that no field may have: eight are asked at a
/// time, since every byte of every head is.
fn next_control(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    while let Some(eight) = bytes.get(at..).and_then(<[u8]>::first_chunk) {
        let found = controls_or_tabs(u64::from_le_bytes(*eight));
        if found == 0 {
            at += 8;
            continue;
        }
        at += found.trailing_zeros() as usize / 8;
        if bytes[at] != b'\t' {
            return Some(at);
        }
        at += 1;
    }
    let rest = bytes.get(at..)?.iter().position(|byte| is_control(*byte))?;
    Some(at + rest)
}

/// The highest bit of each byte below a space or equal to 0x7f. Only the lowest of them can be
/// relied on: a subtraction may borrow from the byte above.
const fn controls_or_tabs(eight: u64) -> u64 {
    const ONES: u64 = u64::MAX / 0xff;
    const HIGH: u64 = ONES * 0x80;
    let below_space = eight.wrapping_sub(ONES * 0x20) & !eight;
    let no_delete = eight ^ (ONES * 0x7f);
    let delete = no_delete.wrapping_sub(ONES) & !no_delete;
    (below_space | delete) & HIGH
}

pub(super) const fn is_control(byte: u8) -> bool {
    (byte < b' ' && byte != b'\t') || byte == 0x7f
}

/// `tchar` of RFC 9110, 5.6.2.
pub(super) const fn is_token(byte: u8) -> bool {
    const TOKEN: [bool; 256] = {
        let mut table = [false; 256];
        let mut byte = 0;
        while byte < 128_u8 {
            table[byte as usize] = byte.is_ascii_alphanumeric()
                || matches!(
                    byte,
                    b'!' | b'#'
                        | b'$'
                        | b'%'
                        | b'&'
                        | b'\''
                        | b'*'
                        | b'+'
                        | b'-'
                        | b'.'
                        | b'^'
                        | b'_'
                        | b'`'
                        | b'|'
                        | b'~'
                );
            byte += 1;
        }
        table
    };
    TOKEN[byte as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Option<usize>, Failure> {
        let start_line = |line: &[u8]| Ok((!line.is_empty()).then_some(Version::Http11));
        Head::default().look(text.as_bytes(), 200, start_line)
    }

    #[test]
    fn a_head_ends_where_its_empty_line_does() {
        assert_eq!(read("x\r\nA: b\r\n\r\nmore"), Ok(Some(11)));
        assert_eq!(read("\r\nx\r\n\r\n"), Ok(Some(7)));
        assert_eq!(read("x\r\nA: b\r\n\r"), Ok(None));
    }

    #[test]
    fn a_head_that_comes_byte_by_byte_reads_the_same() {
        let text = b"x\r\nContent-Length: 12\r\nA: b\r\n\r\n";
        let mut head = Head::default();
        for end in 0..text.len() {
            assert_eq!(
                head.look(&text[..end], 200, |_| Ok(Some(Version::Http11))),
                Ok(None),
                "{end}"
            );
        }
        assert_eq!(head.look(text, 200, |_| Ok(Some(Version::Http11))), Ok(Some(text.len())));
        assert_eq!(head.framing.length, Some(12));
    }

    #[test]
    fn lines_that_parsers_disagree_about_are_refused() {
        for bad in [
            "x\n",
            "x\r\nA: b\n",
            "x\r\nA: b\r\n\n",
            "x\r\nA: b\rc\r\n",
            "x\r\nA : b\r\n",
            "x\r\n A: b\r\n",
            "x\r\nA: b\r\n c\r\n",
            "x\r\n: b\r\n",
            "x\r\nA\r\n",
            "x\r\nA(: b\r\n",
            "x\r\nA: \0\r\n",
            "x\r\nA: \x7f\r\n",
            "x\r\nA\0: b\r\n",
            "\0",
            "x\r\nA: \x01",
        ] {
            assert!(matches!(read(bad), Err(Failure::Syntax(_))), "{bad:?}: {:?}", read(bad));
        }
    }

    #[test]
    fn the_first_control_byte_is_found_wherever_it_is() {
        for length in 0..40 {
            for at in 0..length {
                for byte in 0..=255_u8 {
                    let mut bytes = vec![b'a'; length];
                    bytes[at] = byte;
                    bytes[length - 1] = if at + 1 == length { byte } else { b'\t' };
                    let first = bytes.iter().position(|byte| is_control(*byte));
                    assert_eq!(next_control(&bytes, 0), first, "{bytes:?}");
                    assert_eq!(next_control(&bytes, at + 1), None);
                }
            }
        }
    }

    #[test]
    fn only_one_plain_length_or_one_chunked_frames() {
        let framed = |fields: &str| read(&format!("x\r\n{fields}\r\n\r\n"));
        for good in ["Content-Length: 0", "content-length:\t12 ", "Transfer-Encoding: ChunKed"] {
            assert!(framed(good).is_ok(), "{good}");
        }
        for bad in [
            "Content-Length:",
            "Content-Length: 03",
            "Content-Length: +3",
            "Content-Length: 3, 3",
            "Content-Length: 3 3",
            "Content-Length: 0x3",
            "Content-Length: 3.0",
            "Content-Length: 9999999999999999999",
            "Content-Length: 3\r\nContent-Length: 3",
            "Transfer-Encoding: chunked\r\nContent-Length: 3",
            "Content-Length: 3\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: gzip, chunked",
            "Transfer-Encoding: chunked, chunked",
            "Transfer-Encoding: identity",
            "Transfer-Encoding:",
            "Transfer-Encoding: xchunked",
            "Transfer-Encoding: \"chunked\"",
            "Transfer-Encoding: chunked;q=1",
        ] {
            assert!(matches!(framed(bad), Err(Failure::Framing(_))), "{bad}");
        }
    }

    #[test]
    fn the_limit_is_the_last_byte_that_fits() {
        let line = |length: usize| format!("x\r\nA: {}\r\n\r\n", "b".repeat(length - 10));
        assert_eq!(read(&line(200)), Ok(Some(200)));
        assert_eq!(read(&line(201)), Err(Failure::HeadTooLarge));
        assert_eq!(read(&line(300)[..200]), Err(Failure::HeadTooLarge));
        assert_eq!(read(&"x".repeat(200)), Err(Failure::TargetTooLong));
        let many = "A:\r\n".repeat(101);
        assert_eq!(
            Head::default()
                .look(format!("x\r\n{many}\r\n").as_bytes(), 9_999, |_| Ok(Some(Version::Http11))),
            Err(Failure::HeadTooLarge)
        );
    }
}
