//! A parser of HTTP/1.1 that forgives nothing: what it takes, every parser reads the same way.
//!
//! The judge of what the proxy sends, in both directions. Shares no code with the proxy.

/// A message as it came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Message {
    /// The first line.
    pub(crate) start: String,
    /// Names in lower case.
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Vec<(String, String)>,
}

impl Message {
    /// All values of a field, in their order.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let named = self.fields.iter().filter(|(field, _)| field == name);
        named.map(|(_, value)| value.as_str()).collect()
    }

    /// The second word of the first line.
    pub(crate) fn second(&self) -> &str {
        self.start.split(' ').nth(1).unwrap_or("")
    }
}

/// What stands at the begin of some bytes.
pub(crate) type Parsed = Result<Option<(Message, usize)>, String>;

/// The request at the begin of `bytes`, and where it ends; none: it is not whole yet.
///
/// # Errors
///
/// When no continuation would make it one.
pub(crate) fn request(bytes: &[u8]) -> Parsed {
    let Some((mut message, head)) = head(bytes)? else { return Ok(None) };
    let words: Vec<&str> = message.start.split(' ').collect();
    let [method, target, "HTTP/1.1"] = words[..] else {
        return err("request line", &message.start);
    };
    if method.is_empty() || !method.bytes().all(is_token) {
        return err("method", method);
    }
    let printable = target.bytes().all(|byte| (0x21..0x7f).contains(&byte) && byte != b'#');
    let form = target.starts_with('/') || (target == "*" && method == "OPTIONS");
    if !printable || !form {
        return err("target", target);
    }
    match message.all("host")[..] {
        [host] if !host.is_empty() && !host.contains(['@', '/', ',', ' ', '\t']) => {}
        _ => return err("host", &format!("{:?}", message.all("host"))),
    }
    let end = match framing(&message)? {
        Framing::None | Framing::Length(0) => Some(head),
        Framing::Length(length) => by_length(bytes, head, length, &mut message),
        Framing::Chunked => by_chunks(bytes, head, false, &mut message)?,
    };
    Ok(end.map(|end| (message, end)))
}

/// The same as a client may write it: as HTTP/1.0, with a whole URL, with extensions in chunks.
///
/// # Errors
///
/// When no continuation would make it one.
pub(crate) fn client_request(bytes: &[u8]) -> Parsed {
    let Some((mut message, head)) = head(bytes)? else { return Ok(None) };
    let words: Vec<&str> = message.start.split(' ').collect();
    let [method, target, version @ ("HTTP/1.1" | "HTTP/1.0")] = words[..] else {
        return err("request line", &message.start);
    };
    let visible = |byte| (0x21..0x7f).contains(&byte) && !b"#\"<>".contains(&byte);
    if method.is_empty() || !method.bytes().all(is_token) || !target.bytes().all(visible) {
        return err("request line", &message.start);
    }
    let old = version == "HTTP/1.0";
    match message.all("host")[..] {
        [host] if !host.is_empty() => {}
        [] if old => {}
        ref hosts => return err("host", &format!("{hosts:?}")),
    }
    let end = match framing(&message)? {
        Framing::None | Framing::Length(0) => Some(head),
        Framing::Length(length) => by_length(bytes, head, length, &mut message),
        Framing::Chunked if old => return err("chunked", "HTTP/1.0"),
        Framing::Chunked => by_chunks(bytes, head, true, &mut message)?,
    };
    Ok(end.map(|end| (message, end)))
}

/// The response at the begin of `bytes`, and where it ends; none: it is not whole yet. `ended`: no
/// more bytes will come.
///
/// # Errors
///
/// When no continuation would make it one.
pub(crate) fn response(bytes: &[u8], to_head: bool, ended: bool) -> Parsed {
    let Some((mut message, head)) = head(bytes)? else { return Ok(None) };
    let line = message.start.as_bytes();
    let status = match line {
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'0' | b'1', b' ', digits @ .., b' ']
        | [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'0' | b'1', b' ', digits @ ..] => {
            digits.get(..3).and_then(|digits| std::str::from_utf8(digits).ok()?.parse::<u16>().ok())
        }
        _ => None,
    };
    let Some(status) = status else { return err("status line", &message.start) };
    let framing = framing(&message)?;
    if to_head || status == 304 {
        return Ok(Some((message, head)));
    }
    if status < 200 || status == 204 {
        let none = framing == Framing::None;
        return if none { Ok(Some((message, head))) } else { err("a body", "where none may be") };
    }
    let end = match framing {
        Framing::Length(length) => by_length(bytes, head, length, &mut message),
        Framing::Chunked => by_chunks(bytes, head, false, &mut message)?,
        Framing::None => {
            message.body = bytes[head..].to_vec();
            ended.then_some(bytes.len())
        }
    };
    Ok(end.map(|end| (message, end)))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Framing {
    None,
    Length(usize),
    Chunked,
}

fn err<T>(what: &str, it: &str) -> Result<T, String> {
    Err(format!("{what}: {it:?}"))
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// The next line, without its end, and where it ends.
fn line(bytes: &[u8], from: usize) -> Result<Option<(&[u8], usize)>, String> {
    let Some(end) = bytes[from..].iter().position(|byte| *byte == b'\n') else { return Ok(None) };
    let whole = &bytes[from..=from + end];
    let Some(content) = whole.strip_suffix(b"\r\n") else { return err("line end", &text(whole)) };
    if content.iter().any(|byte| (*byte < b' ' && *byte != b'\t') || *byte == 0x7f) {
        return err("control byte", &text(content));
    }
    Ok(Some((content, from + end + 1)))
}

/// One character a byte.
fn text(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

fn head(bytes: &[u8]) -> Parsed {
    let Some((start, mut at)) = line(bytes, 0)? else { return Ok(None) };
    let mut message = Message { start: text(start), ..Message::default() };
    let Some(end) = fields(bytes, &mut at, &mut message.fields)? else { return Ok(None) };
    Ok(Some((message, end)))
}

fn fields(
    bytes: &[u8],
    at: &mut usize,
    into: &mut Vec<(String, String)>,
) -> Result<Option<usize>, String> {
    loop {
        let Some((field, end)) = line(bytes, *at)? else { return Ok(None) };
        *at = end;
        if field.is_empty() {
            return Ok(Some(end));
        }
        let name = field.iter().take_while(|byte| is_token(**byte)).count();
        if name == 0 || field.get(name) != Some(&b':') {
            return err("field", &text(field));
        }
        let value = text(&field[name + 1..]);
        into.push((
            text(&field[..name]).to_ascii_lowercase(),
            value.trim_matches([' ', '\t']).into(),
        ));
    }
}

fn framing(message: &Message) -> Result<Framing, String> {
    let lengths = message.all("content-length");
    let codings = message.all("transfer-encoding");
    match (&lengths[..], &codings[..]) {
        ([], []) => Ok(Framing::None),
        ([], [coding]) if coding.eq_ignore_ascii_case("chunked") => Ok(Framing::Chunked),
        ([length], []) => match length.parse::<usize>() {
            Ok(number) if number.to_string() == *length => Ok(Framing::Length(number)),
            _ => err("content-length", length),
        },
        _ => err("framing", &format!("{lengths:?} {codings:?}")),
    }
}

fn by_length(bytes: &[u8], head: usize, length: usize, message: &mut Message) -> Option<usize> {
    let end = head.checked_add(length)?;
    message.body = bytes.get(head..end)?.to_vec();
    Some(end)
}

fn by_chunks(
    bytes: &[u8],
    head: usize,
    extended: bool,
    message: &mut Message,
) -> Result<Option<usize>, String> {
    let mut at = head;
    loop {
        let Some((line, data)) = line(bytes, at)? else { return Ok(None) };
        let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let (size, behind) = line.split_at(digits);
        let allowed = (1..=16).contains(&digits)
            && (behind.is_empty() || (extended && is_extensions(behind)));
        let Some(size) = usize::from_str_radix(&text(size), 16).ok().filter(|_| allowed) else {
            return err("chunk size", &text(line));
        };
        at = data;
        if size == 0 {
            return fields(bytes, &mut at, &mut message.trailers);
        }
        let Some(chunk) = bytes.get(at..at.saturating_add(size)) else { return Ok(None) };
        message.body.extend_from_slice(chunk);
        at += size;
        match bytes.get(at..at + 2) {
            Some(b"\r\n") => at += 2,
            Some(other) => return err("chunk end", &text(other)),
            None => return Ok(None),
        }
    }
}

/// Whether that is all of `*( BWS ";" BWS token [ BWS "=" BWS ( token / quoted-string ) ] )`
/// (RFC 9112, 7.1.1).
fn is_extensions(mut rest: &[u8]) -> bool {
    while !rest.is_empty() {
        let Some(named) = behind_space(rest).strip_prefix(b";") else { return false };
        let Some(behind_name) = behind_token(behind_space(named)) else { return false };
        let value = behind_space(behind_name).strip_prefix(b"=").map(behind_space);
        let behind = match value {
            None => Some(behind_name),
            Some([b'"', quoted @ ..]) => behind_quoted(quoted),
            Some(token) => behind_token(token),
        };
        let Some(behind) = behind else { return false };
        rest = behind;
    }
    true
}

fn behind_space(bytes: &[u8]) -> &[u8] {
    bytes.trim_ascii_start()
}

fn behind_token(bytes: &[u8]) -> Option<&[u8]> {
    let length = bytes.iter().take_while(|byte| is_token(**byte)).count();
    (length > 0).then(|| &bytes[length..])
}

/// What comes behind the quote that ends it. Lines have no control bytes.
fn behind_quoted(mut bytes: &[u8]) -> Option<&[u8]> {
    loop {
        bytes = match bytes {
            [b'"', rest @ ..] => return Some(rest),
            [b'\\', _, rest @ ..] | [_, rest @ ..] => rest,
            [] => return None,
        };
    }
}
