//! Requests and answers as MLflow's protobuf messages have them in JSON.

mod entities;
mod fields;
mod query;
mod registry;

pub(crate) use entities::*;
pub(crate) use fields::{Fields, Message};
pub(crate) use query::{decode, parse_query};
pub(crate) use registry::*;
