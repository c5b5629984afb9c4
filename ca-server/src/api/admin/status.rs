//! The trust bundle, and how the process is.

use axum::extract::State;
use platform::trace::ApiJson;
use trust_domains::SpiffeBundle;
use trust_domains::wire::admin::Health;

use super::Api;

pub(super) async fn bundle(State(api): Api) -> ApiJson<SpiffeBundle> {
    let bundle = api.bundle.borrow().clone();
    ApiJson(SpiffeBundle::from(&*bundle))
}

pub(super) async fn health(State(api): Api) -> ApiJson<Health> {
    ApiJson(api.health.snapshot())
}
