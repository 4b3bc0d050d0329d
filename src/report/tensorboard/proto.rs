//! The messages of TensorBoard's event files that figures need, by the numbers of their fields in
//! [`event.proto`](https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/util/event.proto) and
//! [`summary.proto`](https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/framework/summary.proto).
//!
//! Absent on purpose: what the messages mean.

use prost::{Message, Oneof};

/// Version of the files.
pub(super) const VERSION: &str = "brain.Event:2";
/// Status of a session that starts at a step.
pub(super) const START: i32 = 1;

/// A record of a file.
#[derive(Clone, PartialEq, Message)]
pub(super) struct LogEvent {
    /// Seconds since 1970.
    #[prost(double, tag = "1")]
    pub(super) wall_time: f64,
    #[prost(int64, tag = "2")]
    pub(super) step: i64,
    #[prost(oneof = "EventContent", tags = "3, 5, 7")]
    pub(super) content: Option<EventContent>,
}

/// Content of a record.
#[derive(Clone, PartialEq, Oneof)]
pub(super) enum EventContent {
    #[prost(string, tag = "3")]
    FileVersion(String),
    #[prost(message, tag = "5")]
    Summary(LogSummary),
    #[prost(message, tag = "7")]
    SessionLog(SessionLog),
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct LogSummary {
    #[prost(message, repeated, tag = "1")]
    pub(super) value: Vec<SummaryValue>,
}

/// A figure with its name.
#[derive(Clone, PartialEq, Message)]
pub(super) struct SummaryValue {
    #[prost(string, tag = "1")]
    pub(super) tag: String,
    /// One of several kinds of values, so that 0 is written too.
    #[prost(float, optional, tag = "2")]
    pub(super) simple_value: Option<f32>,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct SessionLog {
    #[prost(int32, tag = "1")]
    pub(super) status: i32,
}
