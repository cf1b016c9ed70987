//! A server that is nobody's target: whatever Authorization it receives stands in the log.

use std::sync::Arc;

use axum::Router;
use http::StatusCode;
use serde_json::json;

use crate::reply;
use crate::world::World;

/// Every path and method answers 200.
pub(crate) fn router() -> Router<Arc<World>> {
    Router::new().fallback(async || reply::json(StatusCode::OK, &json!({ "elsewhere": true })))
}
