//! The framing inside a chunked body (RFC 9112, 7.1).
//!
//! Owns where each chunk and the whole body end. hyper takes extensions and trailers apart more
//! kindly than others do: whatever is not plain there is refused here.

use crate::error::Failure;

use super::head::{is_control, is_token};

/// A number of 64 bits.
const MOST_DIGITS: u8 = 16;
/// Of all extensions of a body; nobody is known to use any.
const EXTENSION_BYTES: u16 = 4 * 1024;
/// hyper takes no more.
const TRAILER_BYTES: u16 = 16_000;
const MOST_TRAILERS: u8 = 100;

/// A chunked body as far as it has come.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    at: At,
    /// Of the size as far as it is read, then of the data that is left.
    size: u64,
    digits: u8,
    extension: u16,
    trailer: u16,
    trailers: u8,
}

/// What the next byte is a part of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum At {
    #[default]
    Size,
    Extension(Extension),
    SizeLf,
    Data,
    DataCr,
    DataLf,
    /// The begin of a trailer, or of the last line.
    Trailer,
    TrailerName,
    TrailerValue,
    TrailerLf,
    LastLf,
    Over,
}

/// A place in `*( BWS ";" BWS token [ BWS "=" BWS ( token / quoted-string ) ] )`. Space, where the
/// grammar has it, is let in: what it means is never in doubt, and the extension ends here anyway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extension {
    /// Space behind a whole one, or behind the size, which only another one may follow.
    Behind,
    BeforeName,
    Name,
    BehindName,
    BeforeValue,
    Value,
    Quoted,
    QuotedPair,
    QuotedEnd,
}

impl Chunks {
    pub(super) fn are_over(&self) -> bool {
        self.at == At::Over
    }

    /// How many of these bytes belong to the body.
    pub(super) fn look(&mut self, bytes: &[u8]) -> Result<usize, Failure> {
        let mut seen = 0;
        while seen < bytes.len() && self.at != At::Over {
            if self.at == At::Data {
                let left = usize::try_from(self.size).unwrap_or(usize::MAX);
                let count = left.min(bytes.len() - seen);
                seen += count;
                self.size -= count as u64;
                if self.size == 0 {
                    self.at = At::DataCr;
                }
            } else {
                self.at = self.next(bytes[seen]).ok_or(Failure::RequestBody)?;
                seen += 1;
            }
        }
        Ok(seen)
    }

    /// Where `byte` leads to; none: it must not stand here.
    fn next(&mut self, byte: u8) -> Option<At> {
        match (self.at, byte) {
            (At::Size, _) => self.size(byte),
            (At::Extension(extension), _) => self.extension(extension, byte),
            (At::SizeLf, b'\n') => Some(self.after_size()),
            (At::DataCr, b'\r') => Some(At::DataLf),
            (At::DataLf, b'\n') => {
                self.digits = 0;
                Some(At::Size)
            }
            (At::LastLf, b'\n') => Some(At::Over),
            _ => self.trailer(byte),
        }
    }

    fn size(&mut self, byte: u8) -> Option<At> {
        let Some(digit) = char::from(byte).to_digit(16) else {
            return match byte {
                _ if self.digits == 0 => None,
                b'\r' => Some(At::SizeLf),
                _ => self.extension(Extension::Behind, byte),
            };
        };
        if self.digits == MOST_DIGITS {
            return None;
        }
        self.digits += 1;
        self.size = (self.size << 4) | u64::from(digit);
        Some(At::Size)
    }

    fn after_size(&self) -> At {
        if self.size == 0 { At::Trailer } else { At::Data }
    }

    fn extension(&mut self, at: Extension, byte: u8) -> Option<At> {
        self.extension += 1;
        if self.extension > EXTENSION_BYTES {
            return None;
        }
        match (at, byte) {
            (Extension::Name | Extension::Value | Extension::QuotedEnd, b'\r') => Some(At::SizeLf),
            _ => at.next(byte).map(At::Extension),
        }
    }

    fn trailer(&mut self, byte: u8) -> Option<At> {
        self.trailer += 1;
        if self.trailer > TRAILER_BYTES {
            return None;
        }
        match (self.at, byte) {
            (At::Trailer, b'\r') => Some(At::LastLf),
            (At::Trailer, _) if is_token(byte) => {
                self.trailers += 1;
                (self.trailers <= MOST_TRAILERS).then_some(At::TrailerName)
            }
            (At::TrailerName, b':') => Some(At::TrailerValue),
            (At::TrailerName, _) if is_token(byte) => Some(At::TrailerName),
            (At::TrailerValue, b'\r') => Some(At::TrailerLf),
            (At::TrailerValue, _) if !is_control(byte) => Some(At::TrailerValue),
            (At::TrailerLf, b'\n') => Some(At::Trailer),
            _ => None,
        }
    }
}

impl Extension {
    fn next(self, byte: u8) -> Option<Self> {
        let is_space = matches!(byte, b' ' | b'\t');
        match self {
            Self::Quoted | Self::QuotedPair if is_control(byte) => None,
            Self::Quoted => Some(match byte {
                b'"' => Self::QuotedEnd,
                b'\\' => Self::QuotedPair,
                _ => Self::Quoted,
            }),
            Self::QuotedPair => Some(Self::Quoted),
            Self::BeforeName | Self::Name if is_token(byte) => Some(Self::Name),
            Self::BeforeValue | Self::Value if is_token(byte) => Some(Self::Value),
            Self::BeforeValue if byte == b'"' => Some(Self::Quoted),
            Self::BeforeName | Self::BeforeValue => is_space.then_some(self),
            Self::Name | Self::BehindName if byte == b'=' => Some(Self::BeforeValue),
            _ if byte == b';' => Some(Self::BeforeName),
            Self::Name | Self::BehindName => is_space.then_some(Self::BehindName),
            Self::Behind | Self::Value | Self::QuotedEnd => is_space.then_some(Self::Behind),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In one piece and byte by byte: both must agree.
    fn read(body: &[u8]) -> Option<usize> {
        let mut whole = Chunks::default();
        let at_once = whole.look(body).ok().filter(|_| whole.are_over());
        let mut single = Chunks::default();
        let in_bytes =
            body.chunks(1).try_fold(0, |count, byte| Some(count + single.look(byte).ok()?));
        let in_bytes = in_bytes.filter(|_| single.are_over());
        assert_eq!(at_once, in_bytes, "{}", String::from_utf8_lossy(body));
        at_once
    }

    #[test]
    fn a_body_ends_with_its_last_line() {
        for body in [
            &b"0\r\n\r\n"[..],
            b"3\r\nabc\r\n0\r\n\r\n",
            b"A\r\n0123456789\r\n00\r\n\r\n",
            b"3;a\r\nabc\r\n0;b=\"c;d\" ; e\r\n\r\n",
            b"3 ; a =\tb ;c= \"\\\"\\\\\t\xe9\";d\r\nabc\r\n0;e=\"\"\r\n\r\n",
            b"3 \t;a=b\r\nabc\r\n0\r\nX-Sum: 1\r\nY:\r\n\r\n",
            b"0000000000000001\r\na\r\n0\r\n\r\n",
        ] {
            assert_eq!(read(&[body, b"next"].concat()), Some(body.len()));
            assert_eq!(read(&body[..body.len() - 1]), None);
        }
    }

    #[test]
    fn what_parsers_disagree_about_is_refused() {
        for body in [
            &b"\r\n\r\n"[..],
            b"0\n\r\n",
            b"0\r\n\n",
            b"3\r\nabc\n0\r\n\r\n",
            b"3\nabc\r\n0\r\n\r\n",
            b"3\r\nabc0\r\n\r\n",
            b"3\r\nabcd\r\n0\r\n\r\n",
            b"3\r\nab\r\n0\r\n\r\n",
            b"0x3\r\nabc\r\n0\r\n\r\n",
            b"+3\r\nabc\r\n0\r\n\r\n",
            b"-0\r\n\r\n",
            b" 0\r\n\r\n",
            b"0 \r\n\r\n",
            b"g\r\n\r\n",
            b"00000000000000000\r\n\r\n",
            b"0;\r\n\r\n",
            b"0;a;\r\n\r\n",
            b"0;a\n\r\n",
            b"0;a\rb\r\n\r\n",
            b"0;a\0\r\n\r\n",
            b"0;=\r\n\r\n",
            b"0;;a\r\n\r\n",
            b"0; ;a\r\n\r\n",
            b"0;a;;b\r\n\r\n",
            b"0;a \r\n\r\n",
            b"0;a b\r\n\r\n",
            b"0;a=\r\n\r\n",
            b"0;a==b\r\n\r\n",
            b"0;a=b=c\r\n\r\n",
            b"0;a=b \r\n\r\n",
            b"0;a=b c\r\n\r\n",
            b"0;a=;b\r\n\r\n",
            b"0;\"a\"\r\n\r\n",
            b"0;a/b\r\n\r\n",
            b"0;\xe9\r\n\r\n",
            b"0;a=b/c\r\n\r\n",
            b"0;a=\"b\r\n\r\n",
            b"0;a=\"b\"c\r\n\r\n",
            b"0;a=b\"c\"\r\n\r\n",
            b"0;a=\"b\\\"\r\n\r\n",
            b"0;a=\"\x01\"\r\n\r\n",
            b"0;a=\"\\\x7f\"\r\n\r\n",
            b"0\rX\r\n\r\n",
            b"0\r\nX\r\n\r\n",
            b"0\r\nX : 1\r\n\r\n",
            b"0\r\n X: 1\r\n\r\n",
            b"0\r\nX: 1\r\n y\r\n\r\n",
            b"0\r\nX: 1\n\r\n",
            b"0\r\nX: 1\rY: 2\r\n\r\n",
            b"0\r\nX: \0\r\n\r\n",
            b"0\r\n: 1\r\n\r\n",
        ] {
            assert_eq!(read(body), None, "{}", String::from_utf8_lossy(body));
        }
        assert_eq!(read(format!("0;{}\r\n\r\n", "a".repeat(5_000)).as_bytes()), None);
        assert_eq!(read(format!("0\r\nX: {}\r\n\r\n", "a".repeat(16_000)).as_bytes()), None);
        assert_eq!(read(format!("0\r\n{}\r\n", "X:\r\n".repeat(101)).as_bytes()), None);
    }
}
