//! The cookie: `v1.<22 base64url of the id>.<backend id>.<MAC>`.
//!
//! Mints it, reads it back, and believes only what carries our MAC, so that garbage and forgeries
//! never reach the store. Length and shape are looked at before any hashing is done.

use std::{fmt, sync::Arc};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, HeaderValue, header::COOKIE};
use sha2::Sha256;

use super::{
    id::{ID_BYTES, Id},
    memo::{self, Owner, Verified},
};

/// Keeps these MACs apart from any other use of the same secret. Short, so that with an id of usual
/// length the whole message is one block of the hash.
const DOMAIN: &[u8] = b"rondel cookie\0";
pub(crate) const VERSION: &[u8] = b"v1.";
const ID_TEXT: usize = 22;
const MAC_TEXT: usize = 43;
/// With a backend id of one character.
const SHORTEST: usize = VERSION.len() + ID_TEXT + 1 + 1 + 1 + MAC_TEXT;
pub(crate) const LONGEST: usize = VERSION.len() + ID_TEXT + 1 + BackendId::LONGEST + 1 + MAC_TEXT;
/// Cookies of our name and shape that are verified in one request: another site on the same
/// domain may have set a few, and nobody has a good reason for more.
const CANDIDATES: usize = 16;

/// What a valid cookie says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket {
    pub(crate) id: Id,
    pub(crate) backend: BackendId,
}

/// Makes and reads the cookies of one deployment.
pub(crate) struct Cookies {
    name: String,
    attributes: &'static str,
    owner: Owner,
    signing: Hmac<Sha256>,
    /// Retired keys: they verify, so that a secret can be changed without losing a session.
    retired: Vec<Hmac<Sha256>>,
}

impl Cookies {
    /// `secrets`: the first signs, all verify. `None` if there is none.
    pub(crate) fn new(name: &str, secrets: &[Vec<u8>], secure: bool) -> Option<Self> {
        let mut keys =
            secrets.iter().filter_map(|secret| Hmac::<Sha256>::new_from_slice(secret).ok());
        let signing = keys.next()?;
        Some(Self {
            name: if secure { format!("__Host-{name}") } else { name.to_owned() },
            attributes: if secure {
                "; Path=/; Secure; HttpOnly; SameSite=Lax"
            } else {
                "; Path=/; HttpOnly; SameSite=Lax"
            },
            owner: Owner::new(),
            signing,
            retired: keys.collect(),
        })
    }

    /// The first valid cookie of a request, over all Cookie lines.
    pub(crate) fn read(&self, headers: &HeaderMap) -> Option<Arc<Verified>> {
        let mut candidates = 0..CANDIDATES;
        for line in headers.get_all(COOKIE) {
            for pair in pairs(line.as_bytes()) {
                let value = self.value_of(pair.trim_ascii_start());
                let Some(value) = value.filter(|value| has_length(value)) else { continue };
                candidates.next()?;
                if let Some(verified) = self.known(value).or_else(|| self.verify(value)) {
                    return Some(verified);
                }
            }
        }
        None
    }

    /// The Set-Cookie value that gives a client this session.
    pub(crate) fn set(&self, ticket: &Ticket) -> HeaderValue {
        let value = self.mint(ticket);
        header_value(format!("{}={value}{}", self.name, self.attributes))
    }

    /// The Set-Cookie value that takes the cookie away.
    pub(crate) fn clear(&self) -> HeaderValue {
        header_value(format!("{}={}; Max-Age=0", self.name, self.attributes))
    }

    fn mint(&self, ticket: &Ticket) -> String {
        let mut text = String::with_capacity(LONGEST);
        text.push_str("v1.");
        URL_SAFE_NO_PAD.encode_string(ticket.id.bytes(), &mut text);
        text.push('.');
        text.push_str(ticket.backend.as_str());
        let mac = mac_over(&self.signing, text.as_bytes()).finalize().into_bytes();
        text.push('.');
        URL_SAFE_NO_PAD.encode_string(mac, &mut text);
        text
    }

    fn value_of<'a>(&self, pair: &'a [u8]) -> Option<&'a [u8]> {
        let value = pair.strip_prefix(self.name.as_bytes())?.strip_prefix(b"=")?;
        Some(value.trim_ascii_end())
    }

    fn known(&self, value: &[u8]) -> Option<Arc<Verified>> {
        memo::find(self.owner, value)
    }

    fn verify(&self, value: &[u8]) -> Option<Arc<Verified>> {
        let Shape { ticket, signed, mac } = Shape::of(value)?;
        let verified = std::iter::once(&self.signing)
            .chain(&self.retired)
            // `verify_slice` compares in constant time.
            .any(|key| mac_over(key, signed).verify_slice(&mac).is_ok())
            .then(|| Arc::new(Verified { ticket, key: ticket.id.key() }))?;
        memo::remember(self.owner, value, Arc::clone(&verified));
        Some(verified)
    }
}

impl fmt::Debug for Cookies {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Cookies").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Checks `--session-cookie`.
///
/// # Errors
///
/// Says why the name cannot be used.
pub fn check_cookie_name(name: &str) -> Result<(), String> {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(token) {
        return Err(format!("`{name}` is not the name of a cookie"));
    }
    // Browsers refuse these prefixes without Secure, and we add our own with TLS.
    let reserved = ["__host-", "__secure-"];
    if reserved.iter().any(|prefix| name.to_ascii_lowercase().starts_with(prefix)) {
        return Err(format!("`{name}`: the prefix is added by itself where there is TLS"));
    }
    Ok(())
}

/// The id of a backend, as it stands in cookies and records: `[A-Za-z0-9_-]`, 1 to 64.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct BackendId {
    // In place, so that reading a cookie allocates nothing.
    bytes: [u8; BackendId::LONGEST],
    len: u8,
}

impl BackendId {
    const LONGEST: usize = 64;

    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let len = u8::try_from(text.len()).ok()?;
        let mut bytes = [0; Self::LONGEST];
        if len == 0 || !text.iter().all(allowed) {
            return None;
        }
        bytes.get_mut(..text.len())?.copy_from_slice(text);
        Some(Self { bytes, len })
    }

    pub(crate) fn as_str(&self) -> &str {
        // Only ASCII passes `parse`.
        std::str::from_utf8(&self.bytes[..usize::from(self.len)]).unwrap_or_default()
    }
}

impl fmt::Debug for BackendId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(out)
    }
}

/// A value that has the form of our cookie; whether it is ours, the MAC decides.
struct Shape<'a> {
    ticket: Ticket,
    signed: &'a [u8],
    mac: [u8; 32],
}

impl<'a> Shape<'a> {
    fn of(value: &'a [u8]) -> Option<Self> {
        let (signed, mac) = value.split_at_checked(value.len().checked_sub(MAC_TEXT + 1)?)?;
        let (id, backend) = signed.strip_prefix(VERSION)?.split_at_checked(ID_TEXT)?;
        let ticket = Ticket {
            id: Id::from_bytes(decode::<ID_BYTES>(id)?),
            backend: BackendId::parse(backend.strip_prefix(b".")?)?,
        };
        Some(Self { ticket, signed, mac: decode(mac.strip_prefix(b".")?)? })
    }
}

/// The pieces between semicolons. Cookies may be long, so they are looked for many bytes at once.
fn pairs(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(line);
    std::iter::from_fn(move || {
        let line = rest?;
        let end = memchr::memchr(b';', line);
        rest = end.map(|end| &line[end + 1..]);
        Some(&line[..end.unwrap_or(line.len())])
    })
}

/// What is shorter or longer than any cookie of ours is none.
fn has_length(value: &[u8]) -> bool {
    (SHORTEST..=LONGEST).contains(&value.len())
}

/// Canonical base64url of exactly N bytes: one id has one spelling.
fn decode<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    // The decoder may ask for a little more room than it fills.
    let mut room = [0; 36];
    let len = URL_SAFE_NO_PAD.decode_slice(text, &mut room).ok()?;
    room.get(..len)?.try_into().ok()
}

fn mac_over(key: &Hmac<Sha256>, signed: &[u8]) -> Hmac<Sha256> {
    let mut mac = key.clone();
    mac.update(DOMAIN);
    mac.update(signed);
    mac
}

fn header_value(text: String) -> HeaderValue {
    // Built from checked parts; the fallback is never taken.
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cookies(secrets: &[&str]) -> Cookies {
        let secrets: Vec<_> = secrets.iter().map(|secret| secret.as_bytes().to_vec()).collect();
        Cookies::new("rondel_sid", &secrets, false).unwrap()
    }

    fn ticket() -> Ticket {
        Ticket { id: Id::random().unwrap(), backend: BackendId::parse(b"web-1_a").unwrap() }
    }

    fn request(lines: &[&[u8]]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(COOKIE, HeaderValue::from_bytes(line).unwrap());
        }
        headers
    }

    fn ticket_of(cookies: &Cookies, headers: &HeaderMap) -> Option<Ticket> {
        // Known or not, the answer is the same.
        let first = cookies.read(headers).map(|verified| verified.ticket);
        let again = cookies.read(headers).map(|verified| verified.ticket);
        assert_eq!(first, again);
        first
    }

    fn read(cookies: &Cookies, value: &str) -> Option<Ticket> {
        ticket_of(cookies, &request(&[format!("rondel_sid={value}").as_bytes()]))
    }

    #[test]
    fn a_minted_cookie_is_read_back() {
        let cookies = cookies(&["secret"]);
        let ticket = ticket();
        let value = cookies.mint(&ticket);
        let parts: Vec<_> = value.split('.').collect();
        assert_eq!((parts[0], parts[1].len(), parts[2], parts[3].len()), ("v1", 22, "web-1_a", 43));
        assert_eq!(read(&cookies, &value), Some(ticket));
    }

    #[test]
    fn the_longest_backend_id_fits_and_longer_ones_do_not_exist() {
        let cookies = cookies(&["secret"]);
        let backend = BackendId::parse(&[b'b'; 64]).unwrap();
        let ticket = Ticket { backend, ..ticket() };
        assert_eq!(read(&cookies, &cookies.mint(&ticket)), Some(ticket));
        for bad in [&b""[..], &[b'b'; 65], b"a.b", b"a b", b"\xff", &[b'b'; 300]] {
            assert!(BackendId::parse(bad).is_none());
        }
    }

    #[test]
    fn the_attributes_are_those_of_a_session_cookie() {
        let text = |value: HeaderValue| value.to_str().unwrap().to_owned();
        let plain = cookies(&["secret"]);
        let set = text(plain.set(&ticket()));
        assert!(set.starts_with("rondel_sid=v1."), "{set}");
        assert!(set.ends_with("; Path=/; HttpOnly; SameSite=Lax"), "{set}");
        assert_eq!(text(plain.clear()), "rondel_sid=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0");
        let secure = Cookies::new("rondel_sid", &[b"secret".to_vec()], true).unwrap();
        let set = text(secure.set(&ticket()));
        assert!(set.starts_with("__Host-rondel_sid=v1."), "{set}");
        assert!(set.ends_with("; Path=/; Secure; HttpOnly; SameSite=Lax"), "{set}");
        let headers = request(&[set.split(';').next().unwrap().as_bytes()]);
        assert!(ticket_of(&secure, &headers).is_some());
    }

    #[test]
    fn a_retired_key_verifies_and_the_first_one_signs() {
        let (old, both, new) = (cookies(&["old"]), cookies(&["new", "old"]), cookies(&["new"]));
        let ticket = ticket();
        assert_eq!(read(&both, &old.mint(&ticket)), Some(ticket));
        assert_eq!(read(&new, &both.mint(&ticket)), Some(ticket));
        assert_eq!(read(&new, &old.mint(&ticket)), None);
    }

    #[test]
    fn the_first_valid_one_of_several_wins_on_any_line() {
        let cookies = cookies(&["secret"]);
        let (one, two) = (ticket(), ticket());
        let forged = format!("a=b; rondel_sid={}x;rondel_sid=", cookies.mint(&one));
        let valid = format!(
            "  rondel_sid_other=1;rondel_sid={} ;rondel_sid={}",
            cookies.mint(&one),
            cookies.mint(&two)
        );
        let headers = request(&[b"\xff=\xfe; =; ;;", forged.as_bytes(), valid.as_bytes()]);
        assert_eq!(ticket_of(&cookies, &headers), Some(one));
    }

    #[test]
    fn a_request_cannot_buy_endless_verifications() {
        let (ours, theirs) = (cookies(&["secret"]), cookies(&["other"]));
        let foreign = format!("rondel_sid={};", theirs.mint(&ticket())).repeat(CANDIDATES);
        let valid = format!("{foreign}rondel_sid={}", ours.mint(&ticket()));
        assert_eq!(ticket_of(&ours, &request(&[valid.as_bytes()])), None);
    }

    #[test]
    fn ten_thousand_forged_cookies_are_refused() {
        let ours = cookies(&["secret"]);
        let minted = ours.mint(&ticket());
        let alphabet: Vec<u8> = (0x21..=0x7e).filter(|byte| *byte != b';').collect();
        let mut forged = 0;
        // Every other byte at every position of a valid cookie, and every cut of it.
        for at in 0..minted.len() {
            for byte in &alphabet {
                let mut bytes = minted.clone().into_bytes();
                if bytes[at] != *byte {
                    bytes[at] = *byte;
                    let text = String::from_utf8(bytes).unwrap();
                    assert_eq!(read(&ours, &text), None, "{text}");
                    forged += 1;
                }
            }
            assert_eq!(read(&ours, &minted[..at]), None);
            assert_eq!(read(&ours, &minted[at + 1..]), None);
            forged += 2;
        }
        // Signed by somebody else, and parts of two sessions put together.
        let theirs = cookies(&["other"]);
        while forged < 12_000 {
            let (one, two) = (ours.mint(&ticket()), ours.mint(&ticket()));
            assert_eq!(read(&ours, &theirs.mint(&ticket())), None);
            assert_eq!(read(&ours, &format!("{}{}", &one[..33], &two[33..])), None);
            forged += 2;
        }
    }

    #[test]
    fn names_of_cookies_are_checked() {
        for name in ["rondel_sid", "sid", "a.b-c"] {
            check_cookie_name(name).unwrap();
        }
        for name in ["", "a b", "a=b", "a;b", "é", "__Host-x", "__secure-x"] {
            assert!(check_cookie_name(name).is_err(), "{name}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn no_bytes_are_adopted_or_make_it_panic(
            line in proptest::collection::vec(prop_oneof![0x20_u8..0x7f, 0x80..=0xff_u8], 0..400),
            value in "(v1\\.)?[A-Za-z0-9_.-]{0,140}",
        ) {
            let cookies = cookies(&["secret"]);
            prop_assert_eq!(ticket_of(&cookies, &request(&[&line])), None);
            prop_assert_eq!(read(&cookies, &value), None);
        }
    }
}
