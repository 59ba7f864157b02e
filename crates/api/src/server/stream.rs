//! The WebSocket: operations in, answers and events out.
//!
//! One task per socket. It pushes what the node's streams give as fast as the client reads, so a slow client slows
//! its own streams: messages and states are then read from the database, and what cannot be is told as *lagged*.
//! Sends that are already here when one is handled share its transaction.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message as Frame, WebSocket, WebSocketUpgrade, close_code};
use axum::response::Response;
use futures::future::{Either, pending};
use futures::{FutureExt, StreamExt};
use tidings::{At, Event as NodeEvent, EventStream, Inbox, InboxMessage};

use super::inbox::{consume, everybody_in, show};
use super::mesh;
use super::messages::submit;
use super::view::{self, Names};
use super::{MAX_BODY_BYTES, Shared, State};
use crate::types::{Answer, AnswerError, Code, Event, EventKind, Operation, Problem, Push, Request, SendRequest};

/// The most sends that share a transaction.
const MAX_SENDS: usize = 256;
/// A client that reads nothing for so long is gone.
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);

/// Opens the WebSocket.
#[utoipa::path(get, path = "/v1/stream", tag = "stream", responses((status = 101)))]
pub(super) async fn open(
    state: State,
    upgrade: Result<WebSocketUpgrade, axum::extract::ws::rejection::WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let upgrade = upgrade.map_err(|rejection| {
        let detail = format!("this path takes WebSocket upgrades: {rejection}");
        Problem::new(Code::InvalidRequest, detail)
    })?;
    let shared = Arc::clone(&state.0);
    let permit = Arc::clone(&shared.streams)
        .try_acquire_owned()
        .map_err(|_| Problem::new(Code::Busy, "too many WebSockets are open"))?;
    Ok(upgrade.max_message_size(MAX_BODY_BYTES).on_upgrade(|socket| async move {
        Session::new(shared, socket).run().await;
        drop(permit);
    }))
}

/// The client is gone or was told to go.
struct Closed;

/// What a client wants to be told.
#[derive(Default)]
struct Subscription {
    events: BTreeSet<EventKind>,
    kinds: Option<Vec<String>>,
    /// Messages, from those that wait on; `None` while they come from `node`, after a resume.
    inbox: Option<Inbox>,
    node: Option<EventStream>,
}

struct Session {
    shared: Arc<Shared>,
    socket: WebSocket,
    subscription: Subscription,
    /// Read from the socket and not handled yet.
    next: Option<Result<Request, Problem>>,
}

/// What a session waits for.
enum Happened {
    Frame(Option<Result<Frame, axum::Error>>),
    Message(Option<InboxMessage>),
    Event(Option<NodeEvent>),
    Stop,
}

impl Session {
    fn new(shared: Arc<Shared>, socket: WebSocket) -> Self {
        Self { shared, socket, subscription: Subscription::default(), next: None }
    }

    async fn run(mut self) {
        while self.step().await.is_ok() {}
        let close = CloseFrame { code: close_code::AWAY, reason: "".into() };
        // Whoever is gone already does not need to be told.
        let _ = tokio::time::timeout(Duration::from_secs(1), self.socket.send(Frame::Close(Some(close)))).await;
    }

    async fn step(&mut self) -> Result<(), Closed> {
        if let Some(request) = self.next.take() {
            return self.on_request(request).await;
        }
        match self.happened().await {
            Happened::Frame(frame) => match read(frame)? {
                Some(request) => self.on_request(request).await,
                None => Ok(()),
            },
            Happened::Message(Some(message)) => self.push_message(&message).await,
            Happened::Event(Some(event)) => self.on_event(event).await,
            Happened::Message(None) | Happened::Event(None) | Happened::Stop => Err(Closed),
        }
    }

    async fn happened(&mut self) -> Happened {
        let mut stop = self.shared.stop.clone();
        let inbox = match &mut self.subscription.inbox {
            Some(inbox) => Either::Left(inbox.next()),
            None => Either::Right(pending()),
        };
        let node = match &mut self.subscription.node {
            Some(events) => Either::Left(events.next()),
            None => Either::Right(pending()),
        };
        tokio::select! {
            frame = self.socket.recv() => Happened::Frame(frame),
            message = inbox => Happened::Message(message),
            event = node => Happened::Event(event),
            () = stop.begun() => Happened::Stop,
        }
    }

    async fn on_request(&mut self, request: Result<Request, Problem>) -> Result<(), Closed> {
        let request = match request {
            Ok(request) => request,
            Err(problem) => return self.answer(None, Err(problem)).await,
        };
        let re = request.req;
        match request.operation {
            Operation::Ping => self.answer(re, Ok(Answer::default())).await,
            Operation::Send(message) => self.on_sends(re, message).await,
            Operation::Ack { ids } => {
                let answer = consume(&self.shared, &ids)
                    .await
                    .map(|unknown| Answer { unknown: Some(unknown), ..Answer::default() });
                self.answer(re, answer).await
            }
            Operation::Subscribe { events, kinds } => {
                self.subscribe(events, kinds);
                self.answer(re, Ok(Answer::default())).await
            }
            Operation::Resume { at } => {
                let answer = self.resume(&at).map(|()| Answer::default());
                self.answer(re, answer).await
            }
        }
    }

    fn subscribe(&mut self, events: Vec<EventKind>, kinds: Option<Vec<String>>) {
        let events: BTreeSet<EventKind> = events.into_iter().collect();
        let node = &self.shared.node;
        let others = [EventKind::State, EventKind::Peer, EventKind::Topology];
        let others = others.iter().any(|kind| events.contains(kind));
        self.subscription = Subscription {
            inbox: events.contains(&EventKind::Message).then(|| node.inbox()),
            node: others.then(|| node.events(None)),
            events,
            kinds,
        };
    }

    fn resume(&mut self, at: &str) -> Result<(), Problem> {
        let at: At =
            at.parse().map_err(|error: tidings::AtError| Problem::new(Code::InvalidRequest, error.to_string()))?;
        let subscription = &mut self.subscription;
        if subscription.events.is_empty() {
            subscription.events = BTreeSet::from([EventKind::Message, EventKind::State]);
        }
        subscription.inbox = None;
        subscription.node = Some(self.shared.node.events(Some(at)));
        Ok(())
    }

    /// Sends a message together with those that are here already.
    async fn on_sends(&mut self, re: Option<u64>, first: SendRequest) -> Result<(), Closed> {
        let mut names = vec![re];
        let mut messages = vec![first];
        while messages.len() < MAX_SENDS && self.next.is_none() {
            let Some(frame) = self.socket.recv().now_or_never() else {
                break;
            };
            match read(frame)? {
                Some(Ok(Request { req, operation: Operation::Send(message) })) => {
                    names.push(req);
                    messages.push(message);
                }
                other => self.next = other,
            }
        }
        match submit(&self.shared, messages).await {
            Ok(results) => {
                for (re, result) in names.into_iter().zip(results) {
                    let answer = result.map(|accepted| Answer { accepted: Some(accepted), ..Answer::default() });
                    self.answer(re, answer).await?;
                }
            }
            Err(problem) => {
                for re in names {
                    self.answer(re, Err(problem.clone())).await?;
                }
            }
        }
        Ok(())
    }

    async fn answer(&mut self, re: Option<u64>, answer: Result<Answer, Problem>) -> Result<(), Closed> {
        let answer = match answer {
            Ok(_) if re.is_none() => return Ok(()),
            Ok(answer) => Answer { re, ok: Some(true), ..answer },
            Err(problem) => Answer {
                re,
                error: Some(AnswerError { code: problem.code, detail: problem.detail }),
                ..Answer::default()
            },
        };
        self.push(&Push::Answer(answer)).await
    }

    async fn on_event(&mut self, event: NodeEvent) -> Result<(), Closed> {
        let wants = |kind| self.subscription.events.contains(&kind);
        match event {
            NodeEvent::Message(message) if wants(EventKind::Message) && self.subscription.inbox.is_none() => {
                self.push_message(&message).await
            }
            NodeEvent::State(change) if wants(EventKind::State) => {
                // News without a place is told again with one, once it is on disk here.
                let Some(at) = change.at else { return Ok(()) };
                for id in change.ids() {
                    let event = Event::State {
                        at: at.to_string(),
                        message_id: id.to_string(),
                        peer_id: change.to.map(|peer| peer.to_string()),
                        state: view::state(change.state),
                        failure: view::failure(change.state),
                        time: change.when.into(),
                    };
                    self.push(&Push::Event(event)).await?;
                }
                Ok(())
            }
            NodeEvent::NeighbourUp { peer, name, .. } if wants(EventKind::Peer) => {
                let event = Event::Peer { peer_id: peer.to_string(), name: Some(name), connected: true };
                self.push(&Push::Event(event)).await
            }
            NodeEvent::NeighbourDown { peer } if wants(EventKind::Peer) => {
                let event = Event::Peer { peer_id: peer.to_string(), name: None, connected: false };
                self.push(&Push::Event(event)).await
            }
            NodeEvent::Topology { kind, reason } if wants(EventKind::Topology) => {
                let (kind, reason) = (Some(mesh::kind(kind)), Some(reason));
                self.push(&Push::Event(Event::Topology { kind, reason, routes: Vec::new() })).await
            }
            NodeEvent::Routes(changes) if wants(EventKind::Topology) => {
                let routes = changes.iter().map(mesh::change).collect();
                self.push(&Push::Event(Event::Topology { kind: None, reason: None, routes })).await
            }
            NodeEvent::Lagged { missed } => self.push(&Push::Event(Event::Lagged { missed })).await,
            NodeEvent::Message(_)
            | NodeEvent::State(_)
            | NodeEvent::NeighbourUp { .. }
            | NodeEvent::NeighbourDown { .. }
            | NodeEvent::Topology { .. }
            | NodeEvent::Routes(_)
            | NodeEvent::Contact(_)
            | NodeEvent::Security { .. }
            | NodeEvent::Degraded { .. }
            | _ => Ok(()),
        }
    }

    async fn push_message(&mut self, message: &InboxMessage) -> Result<(), Closed> {
        if let Some(kinds) = &self.subscription.kinds
            && !kinds.contains(&message.kind)
        {
            return Ok(());
        }
        let names = Names::of(&self.shared.node).await.map_err(|_| Closed)?;
        let everybody = everybody_in(&self.shared, std::slice::from_ref(message)).await.map_err(|_| Closed)?;
        let shown = show(&self.shared, message, &names, everybody.as_ref());
        let event = Event::Message { at: message.at.to_string(), message: Box::new(shown) };
        self.push(&Push::Event(event)).await
    }

    async fn push(&mut self, push: &Push) -> Result<(), Closed> {
        let text = serde_json::to_string(push).map_err(|_| Closed)?;
        match tokio::time::timeout(WRITE_TIMEOUT, self.socket.send(Frame::text(text))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Closed),
        }
    }
}

/// Reads a frame; `None` for one that asks for nothing.
fn read(frame: Option<Result<Frame, axum::Error>>) -> Result<Option<Result<Request, Problem>>, Closed> {
    let invalid = |detail: String| Problem::new(Code::InvalidRequest, detail);
    match frame {
        Some(Ok(Frame::Text(text))) => Ok(Some(
            serde_json::from_str(&text).map_err(|error| invalid(format!("the operation cannot be read: {error}"))),
        )),
        Some(Ok(Frame::Binary(_))) => Ok(Some(Err(invalid("operations are JSON texts".to_owned())))),
        Some(Ok(Frame::Ping(_) | Frame::Pong(_))) => Ok(None),
        Some(Ok(Frame::Close(_)) | Err(_)) | None => Err(Closed),
    }
}
