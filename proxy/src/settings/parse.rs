//! From the text of a flag, or of the file that it names, to what it means.
//!
//! Owns the messages to whoever typed it. Never looks at two flags at once.

use std::{
    fs::OpenOptions,
    io,
    net::{IpAddr, SocketAddr},
    path::Path,
    time::Duration,
};

use http::uri::PathAndQuery;
use ipnet::IpNet;

use crate::{access_log::Target, file::read_text, session};

/// Where the admin listener is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AdminAddress {
    Off,
    At(SocketAddr),
}

/// The keys of a file, one a line. A short one could be guessed, and with it every cookie made.
pub(super) fn read_secrets(file: &Path) -> Result<Vec<Vec<u8>>, String> {
    const SHORTEST: usize = 16;
    let name = file.display();
    let text = read_text(file)?;
    let keys = text.lines().map(str::trim).zip(1..).filter(|(key, _)| !key.is_empty());
    let mut secrets = Vec::new();
    for (key, line) in keys {
        if key.len() < SHORTEST {
            return Err(format!("{name}:{line}: a key has at least {SHORTEST} characters"));
        }
        secrets.push(key.as_bytes().to_vec());
    }
    if secrets.is_empty() {
        return Err(format!("{name}: there is no key in it"));
    }
    Ok(secrets)
}

/// One line that others cannot guess.
pub(super) fn read_token(file: &Path) -> Result<String, String> {
    let name = file.display();
    let text = read_text(file)?;
    let token = text.trim();
    if !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(token.to_owned());
    }
    Err(format!("{name}: a token is one line of visible characters"))
}

pub(super) fn parse_bind(value: &str) -> Result<IpAddr, String> {
    let bare = value.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(value);
    match bare {
        "localhost" => Ok([127, 0, 0, 1].into()),
        _ => bare.parse().map_err(|_| "an IPv4 or IPv6 address is expected".to_owned()),
    }
}

/// `off`, a port, or an address with one.
pub(super) fn parse_admin(value: &str) -> Result<AdminAddress, String> {
    if value == "off" {
        return Ok(AdminAddress::Off);
    }
    let (host, port) = value.rsplit_once(':').unwrap_or(("", value));
    let port = port.parse().map_err(|_| "ADDRESS:PORT, a port or `off` is expected".to_owned())?;
    let host = if host.is_empty() { "localhost" } else { host };
    Ok(AdminAddress::At((parse_bind(host)?, port).into()))
}

pub(super) fn parse_target(value: &str) -> Result<Target, String> {
    match value {
        "" => Err("a file or - is expected".to_owned()),
        "-" => Ok(Target::Stdout),
        file => Ok(Target::File(file.into())),
    }
}

/// Whether lines can be written there. Makes nothing: whoever only checks leaves no file behind.
pub(super) fn check_target(target: &Target) -> Result<(), String> {
    let Target::File(path) = target else { return Ok(()) };
    let opened = match OpenOptions::new().append(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let folder = path.parent().filter(|folder| *folder != Path::new(""));
            folder.unwrap_or(Path::new(".")).metadata().map(|_| ())
        }
        opened => opened.map(|_| ()),
    };
    opened.map_err(|error| format!("--access-log {}: {error}", path.display()))
}

pub(super) fn parse_redis(value: &str) -> Result<String, String> {
    session::check_redis_url(value).map(|()| value.to_owned())
}

pub(super) fn parse_cookie_name(value: &str) -> Result<String, String> {
    session::check_cookie_name(value).map(|()| value.to_owned())
}

pub(super) fn parse_time(value: &str) -> Result<Duration, String> {
    match parse_wait(value)? {
        Duration::ZERO => Err("must be longer than nothing".to_owned()),
        time => Ok(time),
    }
}

pub(super) fn parse_wait(value: &str) -> Result<Duration, String> {
    humantime::parse_duration(value)
        .map_err(|error| format!("{error} (say for example 90s or 30m)"))
}

/// Bytes; `k`, `m` and `g` are powers of 1024.
pub(super) fn parse_size(value: &str) -> Result<u64, String> {
    let digits = value.trim_end_matches(|unit: char| unit.is_ascii_alphabetic());
    let power = match value[digits.len()..].to_ascii_lowercase().as_str() {
        "" | "b" => Some(0),
        "k" | "kb" | "kib" => Some(10),
        "m" | "mb" | "mib" => Some(20),
        "g" | "gb" | "gib" => Some(30),
        _ => None,
    };
    let size = power.and_then(|power| digits.parse::<u64>().ok()?.checked_mul(1 << power));
    size.ok_or_else(|| "a size such as 500000, 64k, 10m or 1g is expected".to_owned())
}

pub(super) fn parse_rate(value: &str) -> Result<u64, String> {
    parse_size(value).map_err(|_| "bytes a second are expected, such as 240 or 1k".to_owned())
}

pub(super) fn parse_count(value: &str) -> Result<usize, String> {
    let count = value.parse().ok().filter(|count| *count > 0);
    count.ok_or_else(|| "a whole number above 0 is expected".to_owned())
}

pub(super) fn parse_path(value: &str) -> Result<PathAndQuery, String> {
    let path = value.parse().ok().filter(|_| value.starts_with('/'));
    path.ok_or_else(|| "a path such as /health is expected".to_owned())
}

pub(super) fn parse_z0(value: &str) -> Result<f64, String> {
    let z0 = value.parse().ok().filter(|z0| (0.0..=100.0).contains(z0));
    z0.ok_or_else(|| "a number from 0 to 100 is expected".to_owned())
}

pub(super) fn parse_net(value: &str) -> Result<IpNet, String> {
    value
        .parse::<IpNet>()
        .or_else(|_| value.parse::<IpAddr>().map(IpNet::from))
        .map_err(|_| "a network such as 10.0.0.0/8 or an address is expected".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_bytes_or_has_a_unit() {
        for (text, size) in
            [("0", 0), ("500", 500), ("64k", 65_536), ("2MiB", 2 << 20), ("1g", 1 << 30)]
        {
            assert_eq!(parse_size(text), Ok(size), "{text}");
        }
        for bad in ["", "k", "-1", "1.5m", "1t", "1 k", "99999999999999g"] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_single_address_is_a_network_of_one() {
        assert_eq!(parse_net("::1").unwrap().to_string(), "::1/128");
        assert!(parse_net("10.0.0.0/40").is_err());
    }

    #[test]
    fn the_admin_listener_is_off_or_at_an_address_and_a_bare_port_is_on_loopback() {
        let at = |text: &str| AdminAddress::At(text.parse().unwrap());
        assert_eq!(parse_admin("off"), Ok(AdminAddress::Off));
        for (text, address) in [
            ("7000", "127.0.0.1:7000"),
            (":7000", "127.0.0.1:7000"),
            ("localhost:7000", "127.0.0.1:7000"),
            ("0.0.0.0:7000", "0.0.0.0:7000"),
            ("[::1]:7000", "[::1]:7000"),
        ] {
            assert_eq!(parse_admin(text), Ok(at(address)), "{text}");
        }
        assert!(parse_admin("example.org:1").is_err() && parse_admin("on").is_err());
    }
}
