//! A look at the bytes before hyper reads them.
//!
//! Owns the framing of HTTP/1 as it stands on the wire (RFC 9112): where each message begins and
//! ends, and the refusal of what two parsers could read differently. hyper is lenient in places
//! and then hides it: it drops a `Content-Length` beside a `Transfer-Encoding`, takes a bare LF
//! for a line's end, cuts fragments off. So the bytes are followed here first, in the buffer that
//! hyper reads them into, and hyper gets whole heads that were found good, one message at a time.
//! Never changes a byte and never decides what a message means.

mod chunked;
mod head;
mod requests;
mod responses;
mod stream;

use crate::error::Failure;

use self::{chunked::Chunks, head::Head};

pub(crate) use self::{
    requests::Requests,
    responses::{Expected, Responses},
    stream::Scanned,
};

/// What is particular to one direction.
pub(crate) trait Messages {
    /// Whether the next message may begin now.
    fn may_begin(&mut self) -> bool;

    /// Reads the first line of a head. None: this one only stands before it.
    fn start_line(&mut self, line: &[u8]) -> Result<Option<Version>, Failure>;

    /// The head is complete.
    fn body(&mut self, framing: Framing) -> Result<Body, Failure>;
}

/// What a head says about the end of its message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Framing {
    pub(crate) version: Version,
    pub(crate) length: Option<u64>,
    pub(crate) chunked: bool,
}

/// Those that are spoken here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Version {
    Http10,
    #[default]
    Http11,
}

/// What comes after a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    Length(u64),
    Chunked,
    /// Whatever comes until the connection ends.
    ToTheEnd,
    /// Another head of the same message.
    Head,
}

/// Follows one direction of a connection from message to message.
#[derive(Debug)]
pub(crate) struct Scan {
    state: State,
    /// The longest head.
    limit: usize,
    /// A part of the message has been given on.
    begun: bool,
}

#[derive(Debug)]
enum State {
    Head(Head),
    Length(u64),
    Chunked(Chunks),
    ToTheEnd,
}

impl Scan {
    pub(crate) fn new(limit: usize) -> Self {
        Self { state: State::Head(Head::default()), limit, begun: false }
    }

    /// Whether no byte of a message has been given on since the last one's end.
    pub(crate) fn is_between(&self) -> bool {
        !self.begun
    }

    /// How many of these bytes can be given on. What is left then is a part of a head, which has
    /// to come again with more behind it, or belongs to the next message.
    ///
    /// # Errors
    ///
    /// When something is wrong with them; none of them may be given on then.
    pub(crate) fn look(
        &mut self,
        bytes: &[u8],
        messages: &mut impl Messages,
    ) -> Result<usize, Failure> {
        let mut seen = 0;
        let over = loop {
            let rest = &bytes[seen..];
            match &mut self.state {
                State::Head(head) => {
                    let start_line = |line: &[u8]| messages.start_line(line);
                    let Some(length) = head.look(rest, self.limit, start_line)? else {
                        break false;
                    };
                    seen += length;
                    let body = messages.body(head.framing)?;
                    self.state = State::after_head(body);
                    if body == Body::Length(0) {
                        break true;
                    }
                }
                State::Length(left) => {
                    let count = usize::try_from(*left).unwrap_or(usize::MAX).min(rest.len());
                    seen += count;
                    *left -= count as u64;
                    break *left == 0;
                }
                State::Chunked(chunks) => {
                    seen += chunks.look(rest)?;
                    break chunks.are_over();
                }
                State::ToTheEnd => {
                    seen = bytes.len();
                    break false;
                }
            }
        };
        if over {
            self.state = State::Head(Head::default());
        }
        self.begun = !over && (self.begun || seen > 0);
        Ok(seen)
    }
}

impl State {
    fn after_head(body: Body) -> Self {
        match body {
            Body::Length(length) => Self::Length(length),
            Body::Chunked => Self::Chunked(Chunks::default()),
            Body::ToTheEnd => Self::ToTheEnd,
            Body::Head => Self::Head(Head::default()),
        }
    }
}
