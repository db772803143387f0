//! The settings in words, for the start-up line.

use clap::ValueEnum;

use super::Settings;
use crate::access_log::Target;

/// What was understood, in words for the start-up line.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "each is the setting of its name")]
pub struct Summary {
    pub servers: usize,
    pub algorithm: String,
    pub affinity: String,
    pub health: String,
    pub sessions: &'static str,
    pub tls: String,
    pub proxy_protocol: String,
    pub access_log: String,
}

impl Settings {
    /// See [`Summary`]. No URL with a password gets into it.
    pub fn summary(&self) -> Summary {
        Summary {
            servers: self.servers.len(),
            algorithm: name(&self.algorithm),
            affinity: name(&self.affinity),
            health: self.health.as_ref().map_or("off".to_owned(), |health| {
                format!("{} every {}", health.path, humantime::format_duration(health.interval))
            }),
            sessions: match &self.sessions {
                None => "off",
                Some(sessions) if sessions.redis.is_some() => "redis",
                Some(_) => "embedded",
            },
            tls: match &self.certificates {
                None => "off".to_owned(),
                Some(certificates) if certificates.count() == 1 => "1 certificate".to_owned(),
                Some(certificates) => format!("{} certificates", certificates.count()),
            },
            proxy_protocol: match &self.proxy_protocol[..] {
                [] => "off".to_owned(),
                nets => {
                    let nets: Vec<_> = nets.iter().map(ToString::to_string).collect();
                    format!("from {}", nets.join(", "))
                }
            },
            access_log: self.access_log.as_ref().map_or("off".to_owned(), Target::to_string),
        }
    }
}

/// As it is typed.
fn name(choice: &impl ValueEnum) -> String {
    choice.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}
