//! The head of a message, line by line.
//!
//! Owns what a line may look like and what the fields say that frame the message. Never reads any
//! other field.

use memchr::memchr;

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
    /// How far a line's end has been looked for.
    searched: usize,
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
            let Some(found) = memchr(b'\n', &bytes[self.searched..]) else {
                self.look_at_part(bytes, limit)?;
                return Ok(None);
            };
            let end = self.searched + found + 1;
            if end > limit {
                return Err(self.too_large());
            }
            let [line @ .., b'\r', b'\n'] = &bytes[self.line..end] else {
                return Err(Failure::Syntax("a line of its head ends without CR"));
            };
            (self.line, self.searched) = (end, end);
            if !self.started {
                if let Some(version) = start_line(line)? {
                    self.framing.version = version;
                    self.started = true;
                }
            } else if line.is_empty() {
                return Ok(Some(end));
            } else {
                self.field(line)?;
            }
        }
    }

    /// The line is not complete. What can be said of it already is said now, so that a client
    /// which speaks another protocol is not waited for.
    fn look_at_part(&mut self, bytes: &[u8], limit: usize) -> Result<(), Failure> {
        let part = &bytes[self.searched..];
        if bytes.len() >= limit {
            return Err(self.too_large());
        }
        if has_control(part.strip_suffix(b"\r").unwrap_or(part)) {
            return Err(CONTROL);
        }
        // Its CR may be the last byte; then its LF is looked for behind it.
        self.searched = bytes.len();
        Ok(())
    }

    fn too_large(&self) -> Failure {
        if self.started { Failure::HeadTooLarge } else { Failure::TargetTooLong }
    }

    fn field(&mut self, line: &[u8]) -> Result<(), Failure> {
        if self.fields == MOST_FIELDS {
            return Err(Failure::HeadTooLarge);
        }
        self.fields += 1;
        let (name, value) = split_field(line)?;
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

const CONTROL: Failure = Failure::Syntax("it has a control byte in its head");

/// `name ":" value`, the value with the space around it.
fn split_field(line: &[u8]) -> Result<(&[u8], &[u8]), Failure> {
    let end = line.iter().position(|byte| !is_token(*byte)).unwrap_or(line.len());
    match line.split_at(end) {
        ([], [b' ' | b'\t', ..]) => Err(Failure::Syntax("a field goes on in a second line")),
        ([], _) => Err(Failure::Syntax("a field has no name")),
        (_, [b' ' | b'\t', ..]) => Err(Failure::Syntax("there is space behind a field's name")),
        (_, [b':', value @ ..]) if has_control(value) => Err(CONTROL),
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

/// Whether there is a byte that no value may have. Every byte is asked, without a branch, so that
/// the compiler asks many at once.
pub(super) fn has_control(bytes: &[u8]) -> bool {
    bytes.iter().fold(false, |found, byte| found | is_control(*byte))
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
