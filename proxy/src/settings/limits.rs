//! What the proxy bears.

use std::time::Duration;

use super::parse::{parse_count, parse_rate, parse_size, parse_time};

/// How long, and how much.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Until a server takes the connection.
    pub connect: Duration,
    /// Until a server sends the next bytes that are due.
    pub response: Duration,
    /// Until a client's request has a whole head.
    pub head: Duration,
    /// Between two requests of a client, and until one that is being answered reads on.
    pub idle: Duration,
    /// Bytes a second that a client must send of a body that is waited for; 0: any.
    pub body_rate: u64,
    /// Over which time that is counted.
    pub body_window: Duration,
    /// A request's head in bytes.
    pub head_bytes: usize,
    /// Until TLS is agreed on, with a client or a server, and until a PROXY header is there.
    pub handshake: Duration,
    /// Requests at once on one HTTP/2 connection.
    pub streams: u32,
    /// A request's body in bytes; none: any.
    pub max_body: Option<u64>,
    /// Client connections at once; none: what the open-files limit allows.
    pub connections: Option<usize>,
    /// Of one address, or of one /64 network of IPv6; none: all of them. Trusted proxies speak for
    /// many, and may have any.
    pub connections_per_address: Option<usize>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(1),
            response: Duration::from_secs(60),
            head: Duration::from_secs(10),
            idle: Duration::from_secs(60),
            body_rate: 240,
            body_window: Duration::from_secs(10),
            head_bytes: 32 * 1024,
            handshake: Duration::from_secs(5),
            streams: 100,
            max_body: None,
            connections: None,
            connections_per_address: None,
        }
    }
}

/// The limits as typed.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Limits")]
pub(super) struct LimitArgs {
    /// The largest body of a request: bytes, or with k, m or g (413) [default: any]
    #[arg(long, value_name = "SIZE", env = "RONDEL_MAX_BODY", value_parser = parse_size)]
    max_body: Option<u64>,

    /// Bytes a second that a client must send of a body that is waited for (408); 0: any
    #[arg(
        long,
        value_name = "RATE",
        env = "RONDEL_MIN_BODY_RATE",
        default_value = "240",
        value_parser = parse_rate
    )]
    min_body_rate: u64,

    /// Client connections at once; more wait [default: what the open-files limit allows]
    #[arg(long, value_name = "N", env = "RONDEL_MAX_CONNECTIONS", value_parser = parse_count)]
    max_connections: Option<usize>,

    /// Client connections of one address at once; more are closed [default: any]
    #[arg(
        long,
        value_name = "N",
        env = "RONDEL_MAX_CONNECTIONS_PER_ADDRESS",
        value_parser = parse_count
    )]
    max_connections_per_address: Option<usize>,

    /// How long the head of a request may take (408)
    #[arg(
        long,
        value_name = "DUR",
        env = "RONDEL_HEAD_TIMEOUT",
        default_value = "10s",
        value_parser = parse_time
    )]
    head_timeout: Duration,

    /// How long a client may be silent between two requests, or not read its answer
    #[arg(
        long,
        value_name = "DUR",
        env = "RONDEL_IDLE_TIMEOUT",
        default_value = "60s",
        value_parser = parse_time
    )]
    idle_timeout: Duration,

    /// How long a server may take to accept a connection (502)
    #[arg(
        long,
        value_name = "DUR",
        env = "RONDEL_CONNECT_TIMEOUT",
        default_value = "1s",
        value_parser = parse_time
    )]
    connect_timeout: Duration,

    /// How long a server may be silent when it is to answer (504)
    #[arg(
        long,
        value_name = "DUR",
        env = "RONDEL_RESPONSE_TIMEOUT",
        default_value = "60s",
        value_parser = parse_time
    )]
    response_timeout: Duration,
}

impl From<LimitArgs> for Limits {
    fn from(args: LimitArgs) -> Self {
        Self {
            connect: args.connect_timeout,
            response: args.response_timeout,
            head: args.head_timeout,
            idle: args.idle_timeout,
            body_rate: args.min_body_rate,
            max_body: args.max_body,
            connections: args.max_connections,
            connections_per_address: args.max_connections_per_address,
            ..Self::default()
        }
    }
}
