//! One function per call of the API.

use std::time::Duration;

use hyper::Method;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::path::{encode, with_query};
use super::transport::Call;
use super::{Client, ClientError};
use crate::types::{
    AcceptInvite, Accepted, Acknowledge, Acknowledged, Arrival, BatchRequest, BatchResults, Contact, ContactChange,
    ContactList, CreateInvite, DialRequest, Dialled, InboxPage, InboxQuery, Invite, Joined, Labels, ListQuery,
    MessageDetail, MessagePage, Network, NewContact, NodeInfo, PeerList, PeerQuery, Report, Retried, RouteList,
    SendRequest, Topology, TopologyChange, TopologyKind, WaitQuery,
};

/// No body.
const NONE: Option<&()> = None;

/// All calls fail with [`ClientError`]; a call that is dropped may have been carried out.
impl Client {
    /// `GET /v1/node`.
    pub async fn node(&self) -> Result<NodeInfo, ClientError> {
        self.get("/v1/node").await
    }

    /// `POST /v1/node/pause`.
    pub async fn pause(&self) -> Result<(), ClientError> {
        self.call(Method::POST, "/v1/node/pause", NONE).await
    }

    /// `POST /v1/node/resume`.
    pub async fn resume(&self) -> Result<(), ClientError> {
        self.call(Method::POST, "/v1/node/resume", NONE).await
    }

    /// `POST /v1/node/shutdown`.
    pub async fn shutdown(&self) -> Result<(), ClientError> {
        self.call(Method::POST, "/v1/node/shutdown", NONE).await
    }

    /// `GET /v1/peers`.
    pub async fn peers(&self) -> Result<PeerList, ClientError> {
        self.get("/v1/peers").await
    }

    /// `GET /v1/peers`: those that tell a label of themselves.
    pub async fn peers_with(&self, query: &PeerQuery) -> Result<PeerList, ClientError> {
        self.get(&with_query("/v1/peers", query)?).await
    }

    /// `GET /v1/routes`.
    pub async fn routes(&self) -> Result<RouteList, ClientError> {
        self.get("/v1/routes").await
    }

    /// `GET /v1/topology`.
    pub async fn topology(&self) -> Result<Topology, ClientError> {
        self.get("/v1/topology").await
    }

    /// `PUT /v1/topology`.
    pub async fn set_topology(&self, kind: TopologyKind) -> Result<Topology, ClientError> {
        self.call(Method::PUT, "/v1/topology", Some(&TopologyChange { kind })).await
    }

    /// `GET /v1/network`.
    pub async fn network(&self) -> Result<Network, ClientError> {
        self.get("/v1/network").await
    }

    /// `GET /v1/labels`.
    pub async fn labels(&self) -> Result<Labels, ClientError> {
        self.get("/v1/labels").await
    }

    /// `PUT /v1/labels`.
    pub async fn set_labels(&self, labels: &Labels) -> Result<Labels, ClientError> {
        self.call(Method::PUT, "/v1/labels", Some(labels)).await
    }

    /// `POST /v1/peers`: dials an address.
    pub async fn dial(&self, address: &str) -> Result<Dialled, ClientError> {
        let request = DialRequest { address: address.to_owned() };
        self.call(Method::POST, "/v1/peers", Some(&request)).await
    }

    /// `DELETE /v1/peers/{peer}`: closes its links for a minute.
    pub async fn close_peer(&self, peer: &str) -> Result<(), ClientError> {
        let path = format!("/v1/peers/{}", encode(peer));
        self.call(Method::DELETE, &path, NONE).await
    }

    /// `GET /v1/contacts`.
    pub async fn contacts(&self) -> Result<ContactList, ClientError> {
        self.get("/v1/contacts").await
    }

    /// `POST /v1/contacts`.
    pub async fn add_contact(&self, contact: &NewContact) -> Result<Contact, ClientError> {
        self.call(Method::POST, "/v1/contacts", Some(contact)).await
    }

    /// `PUT /v1/contacts/{name}`.
    pub async fn change_contact(&self, name: &str, change: &ContactChange) -> Result<Contact, ClientError> {
        let path = format!("/v1/contacts/{}", encode(name));
        self.call(Method::PUT, &path, Some(change)).await
    }

    /// `DELETE /v1/contacts/{name}`.
    pub async fn remove_contact(&self, name: &str) -> Result<(), ClientError> {
        let path = format!("/v1/contacts/{}", encode(name));
        self.call(Method::DELETE, &path, NONE).await
    }

    /// `POST /v1/invites`.
    pub async fn create_invite(&self, request: &CreateInvite) -> Result<Invite, ClientError> {
        self.call(Method::POST, "/v1/invites", Some(request)).await
    }

    /// `POST /v1/invites/accept`.
    pub async fn accept_invite(&self, request: &AcceptInvite) -> Result<Joined, ClientError> {
        let mut call = call(Method::POST, "/v1/invites/accept");
        call.wait = Duration::from_secs(request.wait_seconds);
        self.transport.json(call, Some(request)).await
    }

    /// `POST /v1/messages`; a repeat with the same key and request is harmless for 24 hours.
    pub async fn send(&self, message: &SendRequest, idempotency_key: &str) -> Result<Accepted, ClientError> {
        let mut call = call(Method::POST, "/v1/messages");
        call.idempotency_key = Some(idempotency_key);
        self.transport.json(call, Some(message)).await
    }

    /// `POST /v1/messages/batch`, each message with its own `idempotency_key`.
    pub async fn send_batch(&self, batch: &BatchRequest) -> Result<BatchResults, ClientError> {
        self.call(Method::POST, "/v1/messages/batch", Some(batch)).await
    }

    /// `GET /v1/messages/{id}`.
    pub async fn message(&self, id: &str, query: &WaitQuery) -> Result<MessageDetail, ClientError> {
        let path = with_query(&format!("/v1/messages/{}", encode(id)), query)?;
        let mut call = call(Method::GET, &path);
        call.wait = Duration::from_secs(query.wait_seconds.unwrap_or(0));
        self.transport.json(call, NONE).await
    }

    /// `GET /v1/messages`.
    pub async fn messages(&self, query: &ListQuery) -> Result<MessagePage, ClientError> {
        self.get(&with_query("/v1/messages", query)?).await
    }

    /// `POST /v1/messages/{id}/retry`.
    pub async fn retry(&self, id: &str) -> Result<Retried, ClientError> {
        let path = format!("/v1/messages/{}/retry", encode(id));
        self.call(Method::POST, &path, NONE).await
    }

    /// `DELETE /v1/messages/{id}`: withdraws a message that is not delivered.
    pub async fn cancel(&self, id: &str) -> Result<(), ClientError> {
        let path = format!("/v1/messages/{}", encode(id));
        self.call(Method::DELETE, &path, NONE).await
    }

    /// `GET /v1/inbox`.
    pub async fn inbox(&self, query: &InboxQuery) -> Result<InboxPage, ClientError> {
        let path = with_query("/v1/inbox", query)?;
        let mut call = call(Method::GET, &path);
        call.wait = Duration::from_secs(query.wait_seconds.unwrap_or(0));
        self.transport.json(call, NONE).await
    }

    /// `GET /v1/inbox/{id}`.
    pub async fn arrival(&self, id: &str) -> Result<Arrival, ClientError> {
        self.get(&format!("/v1/inbox/{}", encode(id))).await
    }

    /// `POST /v1/inbox/ack`; durable when it returns.
    pub async fn acknowledge(&self, ids: Vec<String>) -> Result<Acknowledged, ClientError> {
        self.call(Method::POST, "/v1/inbox/ack", Some(&Acknowledge { ids })).await
    }

    /// `GET /v1/doctor`.
    pub async fn doctor(&self) -> Result<Report, ClientError> {
        self.get("/v1/doctor").await
    }

    /// `GET /metrics`: Prometheus text.
    pub async fn metrics(&self) -> Result<String, ClientError> {
        let bytes = self.transport.bytes(call(Method::GET, "/metrics"), NONE).await?;
        String::from_utf8(bytes.to_vec()).map_err(|error| ClientError::Answer(error.to_string()))
    }

    async fn get<A: DeserializeOwned>(&self, path: &str) -> Result<A, ClientError> {
        self.call(Method::GET, path, NONE).await
    }

    async fn call<A: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&(impl Serialize + Sync)>,
    ) -> Result<A, ClientError> {
        self.transport.json(call(method, path), body).await
    }
}

fn call(method: Method, path: &str) -> Call<'_> {
    Call { method, path, idempotency_key: None, wait: Duration::ZERO }
}
