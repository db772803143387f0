//! What open dashboards are sent.
//!
//! Owns the list of them. One picture is made four times a second however many look on, and none
//! if nobody does; whoever reads too slowly misses some and holds nobody up.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use hyper::Response;
use tokio::sync::mpsc::{self, Sender, error::TrySendError};

use super::{
    answer::{self, Body},
    view::Observer,
};

const INTERVAL: Duration = Duration::from_millis(250);
/// Pictures that may wait for a slow reader.
const WAITING: usize = 2;

#[derive(Clone, Default)]
pub(super) struct Events(Arc<Mutex<Vec<Sender<Bytes>>>>);

impl Events {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// A response that brings a picture now, and then one after the other.
    pub(super) fn subscribe(&self, observer: &Observer) -> Response<Body> {
        let (sender, receiver) = mpsc::channel(WAITING);
        // There is room for the first.
        let _ = sender.try_send(event(observer));
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(sender);
        answer::events(receiver)
    }

    pub(super) async fn publish(self, observer: Arc<Observer>) {
        let mut interval = tokio::time::interval(INTERVAL);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            interval.tick().await;
            let mut watching = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            watching.retain(|sender| !sender.is_closed());
            if watching.is_empty() {
                continue;
            }
            let event = event(&observer);
            watching.retain(|sender| {
                !matches!(sender.try_send(event.clone()), Err(TrySendError::Closed(_)))
            });
        }
    }
}

fn event(observer: &Observer) -> Bytes {
    let data = serde_json::to_string(&observer.view()).unwrap_or_default();
    format!("event: state\ndata: {data}\n\n").into()
}
