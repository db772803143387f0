//! Servers over the API: read, add, weigh, drain, remove.
//!
//! Owns the reading of requests and what they are told. Changes are the roster's, made by
//! difference; they live in the process and are not written into the servers file.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use hyper::{
    Method, Response, StatusCode,
    body::Incoming,
    header::{self, HeaderValue},
};
use serde::{Deserialize, de::DeserializeOwned};

use super::{
    Admin,
    answer::{self, Body},
};
use crate::{backend::Backend, roster::RosterError, servers, spec::ServerSpec};

/// A request's body in bytes; none of ours has a reason to be larger.
const LARGEST: usize = 64 * 1024;
const PATIENCE: Duration = Duration::from_secs(10);

/// What a path names.
pub(super) enum Target<'p> {
    Servers,
    Server(&'p str),
}

impl<'p> Target<'p> {
    pub(super) fn of(path: &'p str) -> Option<Self> {
        match path.strip_prefix("/api/servers")?.strip_prefix('/') {
            None if path == "/api/servers" => Some(Self::Servers),
            Some(id) if !id.is_empty() && !id.contains('/') => Some(Self::Server(id)),
            _ => None,
        }
    }
}

/// A server as `POST` describes it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewServer {
    url: String,
    weight: Option<u64>,
    max: Option<u64>,
    name: Option<String>,
    #[serde(default)]
    backup: bool,
    #[serde(default)]
    h2: bool,
}

/// What `PATCH` can change.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    weight: Option<u64>,
    drain: Option<bool>,
}

/// Why a request is not done, for people.
#[derive(Debug)]
struct Refused(StatusCode, String);

impl From<RosterError> for Refused {
    fn from(error: RosterError) -> Self {
        let status = match error {
            RosterError::Unknown(_) => StatusCode::NOT_FOUND,
            RosterError::Duplicate { .. } | RosterError::DuplicateName(_) => StatusCode::CONFLICT,
            RosterError::Weight => StatusCode::BAD_REQUEST,
        };
        Self(status, error.to_string())
    }
}

fn bad(message: impl Into<String>) -> Refused {
    Refused(StatusCode::BAD_REQUEST, message.into())
}

impl Admin {
    pub(super) async fn api(
        &self,
        target: Target<'_>,
        method: &Method,
        body: Incoming,
    ) -> Response<Body> {
        let done = match (target, method) {
            (Target::Servers, &Method::GET | &Method::HEAD) => {
                Ok(answer::json(StatusCode::OK, &self.observer.servers()))
            }
            (Target::Servers, &Method::POST) => self.add(body).await,
            (Target::Servers, _) => return answer::not_allowed("GET, HEAD, POST"),
            (Target::Server(id), &Method::GET | &Method::HEAD) => {
                self.find(id).map(|server| self.show(StatusCode::OK, &server))
            }
            (Target::Server(id), &Method::PATCH) => self.change(id, body).await,
            (Target::Server(id), &Method::DELETE) => self.remove(id),
            (Target::Server(_), _) => return answer::not_allowed("GET, HEAD, PATCH, DELETE"),
        };
        done.unwrap_or_else(|Refused(status, message)| answer::error(status, &message))
    }

    async fn add(&self, body: Incoming) -> Result<Response<Body>, Refused> {
        let server = self.proxy.roster.add(spec(&read::<NewServer>(body).await?)?)?;
        tracing::info!(server = server.id(), url = server.url(), "server added");
        let mut response = self.show(StatusCode::CREATED, &server);
        if let Ok(location) = HeaderValue::try_from(format!("/api/servers/{}", server.id())) {
            response.headers_mut().insert(header::LOCATION, location);
        }
        Ok(response)
    }

    async fn change(&self, id: &str, body: Incoming) -> Result<Response<Body>, Refused> {
        let Change { weight, drain } = read(body).await?;
        if weight.is_none() && drain.is_none() {
            return Err(bad("there is nothing to change: weight and drain can be"));
        }
        let server = self.find(id)?;
        if let Some(weight) = weight {
            let weight = u16::try_from(weight).map_err(|_| RosterError::Weight)?;
            self.proxy.roster.set_weight(id, weight)?;
            tracing::info!(server = id, weight, "server weighed");
        }
        if let Some(drain) = drain {
            self.proxy.roster.drain(id, drain)?;
            tracing::info!(server = id, drain, "server drained or taken back");
        }
        Ok(self.show(StatusCode::OK, &server))
    }

    fn remove(&self, id: &str) -> Result<Response<Body>, Refused> {
        self.proxy.roster.remove(id)?;
        tracing::info!(server = id, "server removed");
        Ok(answer::nothing())
    }

    fn find(&self, id: &str) -> Result<Arc<Backend>, Refused> {
        let found = self.proxy.roster.find(id);
        found.ok_or_else(|| RosterError::Unknown(id.to_owned()).into())
    }

    fn show(&self, status: StatusCode, server: &Backend) -> Response<Body> {
        answer::json(status, &self.observer.server(server))
    }
}

async fn read<T: DeserializeOwned>(body: Incoming) -> Result<T, Refused> {
    let whole = tokio::time::timeout(PATIENCE, Limited::new(body, LARGEST).collect()).await;
    let whole: Bytes = match whole {
        Ok(Ok(collected)) => collected.to_bytes(),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
            let message = format!("a body has at most {LARGEST} bytes");
            return Err(Refused(StatusCode::PAYLOAD_TOO_LARGE, message));
        }
        Ok(Err(_)) => return Err(bad("the body broke off")),
        Err(_) => {
            let message = "the body did not arrive in time".to_owned();
            return Err(Refused(StatusCode::REQUEST_TIMEOUT, message));
        }
    };
    serde_json::from_slice(&whole).map_err(|error| bad(format!("the body is not usable: {error}")))
}

/// Reads it as the line of a servers file that it stands for, so that both know the same servers.
fn spec(new: &NewServer) -> Result<ServerSpec, Refused> {
    let mut line = new.url.clone();
    for (key, value) in [
        ("weight", new.weight.map(|weight| weight.to_string())),
        ("max", new.max.map(|max| max.to_string())),
        ("name", new.name.clone()),
    ] {
        if let Some(value) = value {
            line.extend([" ", key, "=", &value]);
        }
    }
    let texts = [Some(&new.url), new.name.as_ref()];
    let splits = |char: char| char.is_whitespace() || char.is_control() || char == '#';
    if let Some(text) = texts.into_iter().flatten().find(|text| text.contains(splits)) {
        return Err(bad(format!("`{}` has characters that it cannot have", text.escape_debug())));
    }
    for (key, set) in [("backup", new.backup), ("h2", new.h2)] {
        if set {
            line.extend([" ", key]);
        }
    }
    let mut servers = servers::parse(&line).map_err(|errors| {
        let problems = errors.0.iter().map(|error| error.problem.to_string());
        bad(problems.collect::<Vec<_>>().join("; "))
    })?;
    servers.pop().ok_or_else(|| bad("there is no server in it"))
}
