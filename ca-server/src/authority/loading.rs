//! Reading the authorities, the orders about them and the stored time from the store.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use trust_domains::Timestamp;
use trust_domains::problem::{Code, Coded};

use super::held::{Held, ReadAuthorityError};
use super::key_store::KeyStore;
use super::order_record::OrderRecord;
use super::set::AuthoritySet;
use super::upstream::{Cross, CrossSet};
use crate::seal::{SealError, SealedRecords};
use crate::store::{Item, Key, Prefix, SharedStore, StoreError};

/// The authorities cannot be loaded.
#[derive(Debug, Error)]
pub enum LoadAuthoritiesError {
    /// One of them cannot be used.
    #[error(transparent)]
    Authority(#[from] ReadAuthorityError),
    /// An order cannot be opened.
    #[error("an order about authorities cannot be opened")]
    Order(#[source] SealError),
    /// A newer version wrote an order.
    #[error("order {record} has format {found}, which this version does not know")]
    OrderFormatUnknown {
        /// Its key in the store.
        record: String,
        /// The version it names.
        found: u32,
    },
    /// The store cannot be read.
    #[error("the authorities cannot be read")]
    Store(#[from] StoreError),
    /// The stored time cannot be opened.
    #[error("the stored time cannot be opened")]
    Time(#[from] SealError),
}

impl Coded for LoadAuthoritiesError {
    fn code(&self) -> Code {
        match self {
            Self::Authority(ReadAuthorityError::Seal { source, .. }) | Self::Order(source) | Self::Time(source) => source.code(),
            Self::Authority(ReadAuthorityError::FormatUnknown { .. }) | Self::OrderFormatUnknown { .. } => Code::StoreFormatUnknown,
            Self::Authority(ReadAuthorityError::Key { source, .. }) => source.code(),
            Self::Authority(ReadAuthorityError::Issuer { .. } | ReadAuthorityError::Root { .. }) => Code::Internal,
            Self::Store(error) => error.code(),
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::Authority(ReadAuthorityError::Key { source, .. }) => source.hint(),
            _ => self.code().facts().hint.to_owned(),
        }
    }
}

/// The last time that was stored while the clock was believed.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct StoredTime {
    pub(super) at: Timestamp,
}

pub(super) fn stored_time_key() -> Key {
    Key::meta("time")
}

/// The record that every commit about authorities writes and asks to be unmodified: of two replicas that decided at the same time one goes first, and the
/// other looks again.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Turn {}

pub(super) fn turn_key() -> Key {
    Key::meta("authority-turn")
}

/// Reads all of it. What has not changed since `before` is not opened again: a key may live in a token that takes its time.
///
/// The turn is read first: what is committed while the rest is read makes this reader's next commit fail, and it looks again.
pub(super) async fn read_set(
    store: &SharedStore,
    records: &SealedRecords,
    keys: &KeyStore,
    before: Option<&AuthoritySet>,
) -> Result<AuthoritySet, LoadAuthoritiesError> {
    let turn = store.meta(turn_key()).await?.map(|item| item.modified);
    if let Some(before) = before.filter(|before| turn.is_some() && before.turn() == turn) {
        return Ok(before.clone());
    }
    let authorities = store.snapshot(Prefix::AUTHORITIES).await?;
    let open = |item: &Item| match before.and_then(|before| before.unchanged(item)) {
        Some(held) => Ok(held),
        None => Held::open(records, keys, item).map(Arc::new),
    };
    let held = authorities.items.iter().map(open).collect::<Result<Vec<_>, _>>()?;
    let orders = store.snapshot(Prefix::ORDERS).await?;
    let orders = orders.items.iter().map(|item| read_order(records, item)).collect::<Result<Vec<_>, _>>()?;
    let crosses = store.snapshot(Prefix::UPSTREAMS).await?;
    let crosses = crosses.items.iter().map(|item| Cross::open(records, item)).collect::<Result<Vec<_>, _>>()?;
    Ok(AuthoritySet::new(held, orders, CrossSet::new(crosses), turn))
}

fn read_order(records: &SealedRecords, item: &Item) -> Result<OrderRecord, LoadAuthoritiesError> {
    let record: OrderRecord = records.open_item(item).map_err(LoadAuthoritiesError::Order)?;
    match record.is_known() {
        true => Ok(record),
        false => Err(LoadAuthoritiesError::OrderFormatUnknown {
            record: item.key.to_string(),
            found: record.format,
        }),
    }
}

pub(super) async fn stored_time(store: &SharedStore, records: &SealedRecords) -> Result<Option<Timestamp>, LoadAuthoritiesError> {
    let item = store.meta(stored_time_key()).await?;
    Ok(item.map(|item| records.open_item::<StoredTime>(&item)).transpose()?.map(|stored| stored.at))
}
