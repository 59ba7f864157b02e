//! Control items: idempotent statements between nodes that ride beside messages or alone; docs/spec/wire.md §5.

use bytes::Bytes;
use prost::Message as _;
use tidings_crypto::SessionId;

use super::frame::array;
use super::limits::{FieldLimit, within};
use super::{
    MAX_BODY_BYTES, MAX_FLOW_INTERVALS, MAX_HOPS, MAX_PARCEL_INTERVALS, MAX_PARCEL_SPAN, MAX_RECORDED, ParcelError,
    Path, proto,
};
use crate::ids::{FlowId, ParcelId, Seq};
use crate::interval::IntervalSet;

/// The most control items in a parcel of its own.
const MAX_CONTROLS: usize = 64;
/// The most flows in a query.
const MAX_QUERY_FLOWS: usize = 64;

/// A statement between nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Control {
    /// The recipient about a flow.
    Receipt(Receipt),
    /// The sender about a flow.
    FlowState(FlowStatement),
    /// A parcel could not be opened.
    CannotOpen {
        /// Which.
        parcel: ParcelId,
        /// The session it named.
        session: SessionId,
        /// Where its flow stands here.
        receipt: Option<Receipt>,
    },
    /// Asks for the receipts of flows.
    Query(Vec<FlowId>),
    /// A newer card of the sender, an encoded `SignedCard`.
    Card(Bytes),
}

/// The recipient's cumulative statement about a flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The flow.
    pub flow: FlowId,
    /// The random name of the recipient's database.
    pub incarnation: u64,
    /// What the sets are relative to: below it everything is done.
    pub floor: Seq,
    /// On the recipient's disk.
    pub delivered: IntervalSet,
    /// Taken as ended.
    pub void: IntervalSet,
    /// The range that `unacknowledged` speaks of, both ends included.
    pub acknowledged_range: Option<(Seq, Seq)>,
    /// Of the delivered in that range: not yet consumed by the application.
    pub unacknowledged: IntervalSet,
    /// The ways on which messages at or above the floor came that ask for it: at most [`MAX_RECORDED`].
    pub recorded: Vec<RecordedRoute>,
}

/// The way on which a parcel's messages came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedRoute {
    /// Which messages.
    pub seqs: IntervalSet,
    /// Links crossed; 1 from a neighbour.
    pub hops: u32,
    /// The relays it says it crossed.
    pub path: Path,
}

/// The sender's statement about a flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowStatement {
    /// The flow.
    pub flow: FlowId,
    /// Everything below is done.
    pub floor: Seq,
    /// Ended before they were known as delivered.
    pub voids: IntervalSet,
}

impl Control {
    pub(super) fn to_proto(&self) -> proto::Control {
        use proto::control::Item;
        let item = match self {
            Self::Receipt(receipt) => Item::Receipt(receipt.to_proto()),
            Self::FlowState(state) => Item::FlowState(proto::FlowState {
                flow: Bytes::copy_from_slice(&state.flow.0),
                floor: state.floor,
                voids: state.voids.to_wire(state.floor),
            }),
            Self::CannotOpen { parcel, session, receipt } => Item::CannotOpen(proto::CannotOpen {
                parcel: Bytes::copy_from_slice(&parcel.0),
                session: Bytes::copy_from_slice(session.as_bytes()),
                receipt: receipt.as_ref().map(Receipt::to_proto),
            }),
            Self::Query(flows) => {
                Item::Query(proto::Query { flows: flows.iter().map(|flow| Bytes::copy_from_slice(&flow.0)).collect() })
            }
            Self::Card(card) => Item::Card(card.clone()),
        };
        proto::Control { item: Some(item) }
    }

    /// Reads the items; those of kinds this version does not know are left out.
    pub(super) fn list_from_proto(controls: Vec<proto::Control>) -> Result<Vec<Self>, ParcelError> {
        controls
            .into_iter()
            .filter_map(|control| control.item)
            .map(|item| Self::from_proto(item).ok_or(ParcelError::Malformed { part: "a control item" }))
            .collect()
    }

    fn from_proto(item: proto::control::Item) -> Option<Self> {
        use proto::control::Item;
        Some(match item {
            Item::Receipt(receipt) => Self::Receipt(Receipt::from_proto(&receipt)?),
            Item::FlowState(state) => Self::FlowState(FlowStatement {
                flow: FlowId(array(&state.flow)?),
                floor: state.floor,
                voids: IntervalSet::from_wire(&state.voids, state.floor, MAX_FLOW_INTERVALS).ok()?,
            }),
            Item::CannotOpen(cannot) => Self::CannotOpen {
                parcel: ParcelId(array(&cannot.parcel)?),
                session: SessionId::from_bytes(array(&cannot.session)?),
                receipt: match &cannot.receipt {
                    Some(receipt) => Some(Receipt::from_proto(receipt)?),
                    None => None,
                },
            },
            Item::Query(query) => {
                let flows = query.flows.iter().map(|flow| array(flow).map(FlowId)).collect::<Option<Vec<_>>>()?;
                (flows.len() <= MAX_QUERY_FLOWS).then_some(Self::Query(flows))?
            }
            Item::Card(card) => (card.len() <= tidings_crypto::MAX_CARD_BYTES).then_some(Self::Card(card))?,
        })
    }
}

impl Receipt {
    fn to_proto(&self) -> proto::Receipt {
        let (from, to) = self.acknowledged_range.unwrap_or((1, 0));
        proto::Receipt {
            flow: Bytes::copy_from_slice(&self.flow.0),
            incarnation: self.incarnation,
            floor: self.floor,
            delivered: self.delivered.to_wire(self.floor),
            void: self.void.to_wire(self.floor),
            acknowledged_from: from,
            acknowledged_to: to,
            unacknowledged: self.unacknowledged.to_wire(from),
            recorded: self.recorded.iter().map(|route| route.to_proto(self.floor)).collect(),
        }
    }

    fn from_proto(receipt: &proto::Receipt) -> Option<Self> {
        let routes = Some(receipt.recorded.iter()).filter(|routes| routes.len() <= MAX_RECORDED)?;
        let set = |list: &[u64], base| IntervalSet::from_wire(list, base, MAX_FLOW_INTERVALS).ok();
        let (from, to) = (receipt.acknowledged_from, receipt.acknowledged_to);
        let (delivered, void) = (set(&receipt.delivered, receipt.floor)?, set(&receipt.void, receipt.floor)?);
        // Two sets, one bound.
        (delivered.intervals() + void.intervals() <= MAX_FLOW_INTERVALS).then_some(Self {
            flow: FlowId(array(&receipt.flow)?),
            incarnation: receipt.incarnation,
            floor: receipt.floor,
            delivered,
            void,
            acknowledged_range: (from <= to).then_some((from, to)),
            unacknowledged: set(&receipt.unacknowledged, from)?,
            recorded: routes.map(|route| RecordedRoute::from_proto(route, receipt.floor)).collect::<Option<_>>()?,
        })
    }
}

impl RecordedRoute {
    fn to_proto(&self, floor: Seq) -> proto::RecordedRoute {
        proto::RecordedRoute { seqs: self.seqs.to_wire(floor), hops: self.hops, path: self.path.to_bytes() }
    }

    fn from_proto(route: &proto::RecordedRoute, floor: Seq) -> Option<Self> {
        let seqs = IntervalSet::from_wire(&route.seqs, floor, MAX_PARCEL_INTERVALS).ok()?;
        let span = seqs.last()? - seqs.first()?;
        let path = Path::from_bytes(&route.path)?;
        let fits = span < MAX_PARCEL_SPAN && route.hops <= MAX_HOPS && path.relays().len() < route.hops as usize;
        fits.then_some(Self { seqs, hops: route.hops, path })
    }
}

/// Encodes items for a parcel of their own.
pub fn encode_controls(controls: &[Control]) -> Vec<u8> {
    proto::Controls { controls: controls.iter().map(Control::to_proto).collect() }.encode_to_vec()
}

/// Reads a parcel of control items.
///
/// # Errors
///
/// [`ParcelError`] if it is none or beyond its limits.
pub fn decode_controls(bytes: &[u8]) -> Result<Vec<Control>, ParcelError> {
    if !within(bytes, &[FieldLimit { tag: 1, count: MAX_CONTROLS, bytes: MAX_BODY_BYTES }]) {
        return Err(ParcelError::Malformed { part: "its control items" });
    }
    let controls = proto::Controls::decode(bytes).map_err(|_| ParcelError::Malformed { part: "its control items" })?;
    Control::list_from_proto(controls.controls)
}
