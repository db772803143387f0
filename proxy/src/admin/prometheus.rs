//! The numbers in Prometheus's text format.
//!
//! Owns names, helps, types and units: seconds and bytes, `_total` on what only grows. Never
//! counts anything itself.

use std::{
    fmt::{self, Write as _},
    time::Duration,
};

use super::view::{ServerView, View};
use crate::metrics::{Class, Distribution, Fault};

/// The whole page of metrics.
pub(super) fn render(view: &View) -> String {
    let mut page = Page(String::with_capacity(16 * 1024));
    process(&mut page, view);
    requests(&mut page, view);
    sessions(&mut page, view);
    servers(&mut page, &view.servers);
    page.0
}

#[derive(Clone, Copy)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

struct Page(String);

impl Page {
    /// Begins a family; its samples follow.
    fn family(&mut self, name: &'static str, kind: Kind, help: &str) -> Family<'_> {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        // Writing into a string cannot fail, here and below.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
        Family { page: self, name }
    }
}

struct Family<'p> {
    page: &'p mut Page,
    name: &'static str,
}

type Labels<'a> = &'a [(&'a str, &'a str)];

impl Family<'_> {
    fn sample(&mut self, labels: Labels<'_>, value: u64) -> &mut Self {
        self.line("", labels, &value.to_string());
        self
    }

    /// One sample for each server.
    fn of_each(mut self, servers: &[ServerView], value: impl Fn(&ServerView) -> u64) {
        for server in servers {
            self.sample(&[("server", &server.id)], value(server));
        }
    }

    fn histogram(&mut self, labels: Labels<'_>, times: &Distribution) {
        let count = times.count().to_string();
        for (bound, within) in times.cumulative() {
            let bound = seconds(bound);
            self.line("_bucket", &[labels, &[("le", &bound)]].concat(), &within.to_string());
        }
        self.line("_bucket", &[labels, &[("le", "+Inf")]].concat(), &count);
        self.line("_sum", labels, &seconds(times.total()));
        self.line("_count", labels, &count);
    }

    fn line(&mut self, suffix: &str, labels: Labels<'_>, value: &str) {
        let text = &mut self.page.0;
        text.push_str(self.name);
        text.push_str(suffix);
        for (at, (name, value)) in labels.iter().enumerate() {
            text.push(if at == 0 { '{' } else { ',' });
            let _ = write!(text, "{name}=\"{}\"", Escaped(value));
        }
        if !labels.is_empty() {
            text.push('}');
        }
        text.push(' ');
        text.push_str(value);
        text.push('\n');
    }
}

struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|char| match char {
            '\\' => f.write_str("\\\\"),
            '"' => f.write_str("\\\""),
            '\n' => f.write_str("\\n"),
            other => f.write_char(other),
        })
    }
}

fn seconds(time: Duration) -> String {
    time.as_secs_f64().to_string()
}

fn process(page: &mut Page, view: &View) {
    page.family("rondel_build_info", Kind::Gauge, "The version that runs.")
        .sample(&[("version", view.version)], 1);
    page.family(
        "rondel_start_time_seconds",
        Kind::Gauge,
        "When the proxy started, in seconds since the epoch.",
    )
    .sample(&[], view.started);
    let help = "Lines of the access log that were lost since writing was too slow.";
    page.family("rondel_access_log_dropped_total", Kind::Counter, help)
        .sample(&[], view.log_lines_dropped);
    page.family("rondel_connections_open", Kind::Gauge, "Client connections that are open.")
        .sample(&[], view.connections.open);
    page.family("rondel_connections_total", Kind::Counter, "Client connections accepted.")
        .sample(&[], view.connections.total);
    let refused = "Client connections closed at once: their address had as many as it may.";
    page.family("rondel_connections_refused_total", Kind::Counter, refused)
        .sample(&[], view.connections.refused);
}

fn requests(page: &mut Page, view: &View) {
    let requests = &view.requests;
    let mut family = page.family(
        "rondel_requests_total",
        Kind::Counter,
        "Requests that have ended, by the class of their status; cancelled: the client left first.",
    );
    for class in Class::ALL {
        family.sample(&[("class", class.name())], requests.by_class[class as usize]);
    }
    page.family("rondel_requests_in_flight", Kind::Gauge, "Requests being answered.")
        .sample(&[], requests.in_flight);
    page.family("rondel_retries_total", Kind::Counter, "Times that another server was asked.")
        .sample(&[], requests.retries);
    page.family("rondel_received_bytes_total", Kind::Counter, "Bytes of request bodies.")
        .sample(&[], requests.received_bytes);
    page.family("rondel_sent_bytes_total", Kind::Counter, "Bytes of response bodies.")
        .sample(&[], requests.sent_bytes);
}

fn sessions(page: &mut Page, view: &View) {
    let sessions = &view.sessions;
    let mut family = page.family(
        "rondel_session_requests_total",
        Kind::Counter,
        "Requests by what their session was: known (hit), its record gone (miss), none yet (new), \
         a token of its own (bypass), or not to be looked up now (unconfirmed).",
    );
    for (result, count) in &sessions.requests {
        family.sample(&[("result", result)], *count);
    }
    let store = if sessions.store == "embedded" { "embedded" } else { "redis" };
    let mut family =
        page.family("rondel_session_store_up", Kind::Gauge, "Whether the session store answers.");
    if sessions.store != "off" {
        family.sample(&[("store", store)], u64::from(sessions.store != "away"));
    }
    for (event, name, help) in [
        ("created", "rondel_sessions_created_total", "Sessions begun."),
        ("lookups", "rondel_session_lookups_total", "Look-ups sent to the store."),
        ("degraded", "rondel_session_degraded_total", "Requests served without their record."),
        ("expired", "rondel_session_expired_total", "Good cookies whose record was gone."),
        ("values_dropped", "rondel_session_values_dropped_total", "Values over the limits."),
        ("writes", "rondel_session_writes_total", "Records written to the store."),
        ("writes_dropped", "rondel_session_writes_dropped_total", "Writes that were lost."),
        ("evicted", "rondel_session_evicted_total", "Records given up for lack of room."),
    ] {
        let count = sessions.events.get(event).copied().unwrap_or_default();
        page.family(name, Kind::Counter, help).sample(&[], count);
    }
}

fn servers(page: &mut Page, servers: &[ServerView]) {
    /// Each state has a series of its own, 1 for the one that the server is in.
    const STATES: [&str; 5] = ["up", "down", "ejected", "draining", "starting"];
    let mut family = page.family("rondel_server_info", Kind::Gauge, "Where the server is.");
    for server in servers {
        family.sample(&[("server", &server.id), ("url", &server.url)], 1);
    }
    let mut family = page.family("rondel_server_state", Kind::Gauge, "1: it is in this state.");
    for server in servers {
        for state in STATES {
            let labels = [("server", server.id.as_str()), ("state", state)];
            family.sample(&labels, u64::from(server.state == state));
        }
    }
    let family = page.family("rondel_server_weight", Kind::Gauge, "Its share of the turns.");
    family.of_each(servers, |server| server.weight.into());
    let help = "Requests that it has in hand.";
    let family = page.family("rondel_server_requests_in_flight", Kind::Gauge, help);
    family.of_each(servers, |server| server.in_flight.into());
    let help = "Turns that it was given.";
    let family = page.family("rondel_server_picks_total", Kind::Counter, help);
    family.of_each(servers, |server| server.picks);
    let mut family = page.family(
        "rondel_server_requests_total",
        Kind::Counter,
        "Requests that it answered, by the class of their status.",
    );
    for server in servers {
        for class in Class::ALL.into_iter().filter(|class| *class != Class::Cancelled) {
            let labels = [("server", server.id.as_str()), ("class", class.name())];
            family.sample(&labels, server.by_class[class as usize]);
        }
    }
    let mut family = page.family(
        "rondel_server_failures_total",
        Kind::Counter,
        "Requests that it failed, by how; another server may have answered them.",
    );
    for server in servers {
        for fault in Fault::ALL {
            let labels = [("server", server.id.as_str()), ("reason", fault.name())];
            family.sample(&labels, server.failures[fault as usize]);
        }
    }
    let help = "Bytes of its responses.";
    let family = page.family("rondel_server_sent_bytes_total", Kind::Counter, help);
    family.of_each(servers, |server| server.sent_bytes);
    let mut family = page.family(
        "rondel_server_first_byte_seconds",
        Kind::Histogram,
        "From a request's head to the head of the server's response.",
    );
    for server in servers {
        family.histogram(&[("server", &server.id)], &server.totals.first_byte);
    }
    let mut family = page.family(
        "rondel_server_response_seconds",
        Kind::Histogram,
        "From a request's head to the end of the server's response.",
    );
    for server in servers {
        family.histogram(&[("server", &server.id)], &server.totals.whole);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_can_hold_anything() {
        let mut page = Page(String::new());
        page.family("x", Kind::Gauge, "X.").sample(&[("a", "q\"b\\s\nn")], 1);
        assert!(page.0.ends_with("x{a=\"q\\\"b\\\\s\\nn\"} 1\n"), "{}", page.0);
    }

    #[test]
    fn bounds_are_written_as_plain_decimals() {
        assert_eq!(seconds(Duration::from_micros(64)), "0.000064");
        assert_eq!(seconds(Duration::from_micros(1 << 26)), "67.108864");
    }
}
