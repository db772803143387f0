//! The PROXY protocol, versions 1 and 2, by which a load balancer before us says who its client is.
//!
//! Owns the header before everything else on a connection. Takes not a byte more than it, so that
//! TLS or HTTP begins right behind. Never decides who is believed.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use tokio::{io::AsyncReadExt as _, net::TcpStream};

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// The longest line of version 1, with its end.
const LONGEST: usize = 107;

/// Who the client is. None: whoever is connected speaks for itself.
///
/// # Errors
///
/// When the connection ends, or its first bytes are no header.
pub(crate) async fn read(socket: &mut TcpStream) -> io::Result<Option<SocketAddr>> {
    // No header is shorter than that.
    let mut begin = [0; SIGNATURE.len()];
    socket.read_exact(&mut begin).await?;
    let client = if begin == *SIGNATURE {
        read_2(socket).await?
    } else if begin.starts_with(b"PROXY ") {
        parse_1(&read_line(socket, &begin).await?)
    } else {
        Err("it does not begin with one")
    };
    client.map_err(|why| io::Error::new(io::ErrorKind::InvalidData, why))
}

type Parsed = Result<Option<SocketAddr>, &'static str>;

/// The rest of the line, looked at before it is taken: what is behind it is not ours.
async fn read_line(socket: &mut TcpStream, begin: &[u8]) -> io::Result<Vec<u8>> {
    let mut line = begin.to_vec();
    while line.last() != Some(&b'\n') && line.len() < LONGEST {
        let mut seen = [0; LONGEST];
        let count = socket.peek(&mut seen[line.len()..]).await?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let seen = &seen[line.len()..][..count];
        let end = seen.iter().position(|byte| *byte == b'\n').map_or(count, |at| at + 1);
        let taken = line.len();
        line.resize(taken + end, 0);
        socket.read_exact(&mut line[taken..]).await?;
    }
    Ok(line)
}

fn parse_1(line: &[u8]) -> Parsed {
    const BAD: &str = "its line is malformed";
    let line = line.strip_suffix(b"\r\n").and_then(|line| std::str::from_utf8(line).ok());
    let words: Vec<&str> = line.ok_or(BAD)?.split(' ').collect();
    match words[..] {
        // Whatever follows is to be ignored.
        ["PROXY", "UNKNOWN", ..] => Ok(None),
        ["PROXY", family @ ("TCP4" | "TCP6"), from, to, from_port, to_port] => {
            let address = |text: &str| -> Option<IpAddr> {
                let address = text.parse::<IpAddr>().ok()?;
                (address.is_ipv4() == (family == "TCP4")).then_some(address)
            };
            let (from, _) = address(from).zip(address(to)).ok_or(BAD)?;
            let (port, _) = port(from_port).zip(port(to_port)).ok_or(BAD)?;
            Ok(Some((from, port).into()))
        }
        _ => Err(BAD),
    }
}

fn port(text: &str) -> Option<u16> {
    let plain = text == "0" || !text.starts_with(['0', '+']);
    plain.then(|| text.parse().ok()).flatten()
}

async fn read_2(socket: &mut TcpStream) -> io::Result<Parsed> {
    let mut head = [0; 4];
    socket.read_exact(&mut head).await?;
    let mut rest = vec![0; usize::from(u16::from_be_bytes([head[2], head[3]]))];
    socket.read_exact(&mut rest).await?;
    Ok(parse_2(head[0], head[1], &rest))
}

/// `rest` is the addresses and, behind them, fields that nobody here asks for.
fn parse_2(version_and_command: u8, family: u8, rest: &[u8]) -> Parsed {
    const SHORT: &str = "it has no room for its addresses";
    match version_and_command {
        // The balancer itself: it looks whether we are there.
        0x20 => return Ok(None),
        0x21 => {}
        _ => return Err("its version or command is unknown"),
    }
    match family {
        // Unspecified, or a Unix socket: there is no address that could be passed on.
        0x00 | 0x31 => Ok(None),
        0x11 => {
            let [a, b, c, d, _, _, _, _, port @ .., _, _] =
                rest.first_chunk::<12>().ok_or(SHORT)?;
            let address = Ipv4Addr::new(*a, *b, *c, *d);
            Ok(Some((address, u16::from_be_bytes(*port)).into()))
        }
        0x21 => {
            let all = rest.first_chunk::<36>().ok_or(SHORT)?;
            let address = all.first_chunk::<16>().ok_or(SHORT)?;
            let port = u16::from_be_bytes([all[32], all[33]]);
            Ok(Some((Ipv6Addr::from(*address), port).into()))
        }
        _ => Err("its address family is not one of TCP"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_the_client() {
        let parsed = |line: &str| parse_1(line.as_bytes());
        let at = |text: &str| Ok(Some(text.parse().unwrap()));
        assert_eq!(parsed("PROXY TCP4 1.2.3.4 5.6.7.8 9 10\r\n"), at("1.2.3.4:9"));
        assert_eq!(parsed("PROXY TCP6 ::1 2001:db8::2 65535 0\r\n"), at("[::1]:65535"));
        assert_eq!(parsed("PROXY UNKNOWN\r\n"), Ok(None));
        assert_eq!(parsed("PROXY UNKNOWN ffff::1 x 1 2\r\n"), Ok(None));
        for bad in [
            "PROXY TCP4 1.2.3.4 5.6.7.8 9 10\n",
            "PROXY TCP4 1.2.3.4 5.6.7.8 9 10",
            "PROXY TCP4 1.2.3.4 5.6.7.8 9\r\n",
            "PROXY TCP4 1.2.3.4 5.6.7.8 9 10 11\r\n",
            "PROXY TCP4  1.2.3.4 5.6.7.8 9 10\r\n",
            "PROXY TCP4 1.2.3.4 5.6.7.8 9 65536\r\n",
            "PROXY TCP4 1.2.3.4 5.6.7.8 +9 10\r\n",
            "PROXY TCP4 1.2.3.4 5.6.7.8 09 10\r\n",
            "PROXY TCP4 1.2.3.04 5.6.7.8 9 10\r\n",
            "PROXY TCP4 ::1 ::1 9 10\r\n",
            "PROXY TCP6 1.2.3.4 5.6.7.8 9 10\r\n",
            "PROXY TCP4 a.b.c.d 5.6.7.8 9 10\r\n",
            "PROXY UDP4 1.2.3.4 5.6.7.8 9 10\r\n",
            "PROXY \r\n",
            "PROXY  UNKNOWN\r\n",
            "PROXY TCP4 1.2.3.4 5.6.7.8 9 10\r\r\n",
        ] {
            assert!(parsed(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_binary_header_names_the_client() {
        let four = [1, 2, 3, 4, 5, 6, 7, 8, 0, 9, 0, 10];
        let mut six = [0; 36];
        six[15] = 1;
        six[33] = 9;
        let at = |text: &str| Ok(Some(text.parse().unwrap()));
        assert_eq!(parse_2(0x21, 0x11, &four), at("1.2.3.4:9"));
        assert_eq!(parse_2(0x21, 0x21, &six), at("[::1]:9"));
        let with_fields = [&four[..], &[4, 0, 1, 0]].concat();
        assert_eq!(parse_2(0x21, 0x11, &with_fields), at("1.2.3.4:9"));
        assert_eq!(parse_2(0x20, 0x11, &four), Ok(None), "it speaks for itself");
        assert_eq!(parse_2(0x20, 0x00, &[]), Ok(None));
        assert_eq!(parse_2(0x21, 0x00, &[1, 2, 3]), Ok(None));
        assert_eq!(parse_2(0x21, 0x31, &[0; 216]), Ok(None));
        for (command, family, rest) in [
            (0x11, 0x11, &four[..]),
            (0x22, 0x11, &four),
            (0x21, 0x12, &four),
            (0x21, 0x41, &four),
            (0x21, 0x11, &four[..11]),
            (0x21, 0x21, &six[..35]),
        ] {
            assert!(parse_2(command, family, rest).is_err(), "{command:x} {family:x}");
        }
    }
}
