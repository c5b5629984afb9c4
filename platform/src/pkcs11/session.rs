//! A session with a token: found, opened, logged in.

use std::collections::HashMap;

use cryptoki::error::{Error, RvError};
use cryptoki::object::{Attribute, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::{Slot, TokenInfo};

use super::error::{Pkcs11Error, is_wrong_pin};
use super::module::{Module, Running};
use super::pin::{Pin, PinHash};
use super::uri::{Pkcs11Uri, TokenFacts};

/// A session that is logged in, with the handles of the objects that were found in it.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) session: Session,
    /// Which start of the module it is of.
    pub(super) start: u64,
    handles: HashMap<Vec<u8>, ObjectHandle>,
}

impl Open {
    /// Opens a session and logs in. A PIN that the token refused is noted, and not tried again.
    pub(super) fn begin(uri: &Pkcs11Uri, module: &Module, running: &Running, refused: &mut Option<PinHash>) -> Result<Self, Pkcs11Error> {
        let failed = |action| {
            move |source| Pkcs11Error::Failed {
                token: uri.token_name().to_owned(),
                action,
                source,
            }
        };
        let (slot, info) = find(uri, module, running)?;
        let session = running.context.open_rw_session(slot).map_err(failed("open a session"))?;
        if info.login_required() {
            login(uri, &session, &info, refused)?;
        }
        Ok(Self {
            session,
            start: running.start,
            handles: HashMap::new(),
        })
    }

    /// Returns the one object of these attributes. `name` is what its handle is remembered by.
    pub(super) fn object(&mut self, name: &[u8], attributes: &[Attribute]) -> Result<Option<ObjectHandle>, Error> {
        if let Some(handle) = self.handles.get(name) {
            return Ok(Some(*handle));
        }
        let found = self.session.find_objects(attributes)?.first().copied();
        if let Some(handle) = found {
            self.handles.insert(name.to_vec(), handle);
        }
        Ok(found)
    }

    /// Forgets a handle whose object is being destroyed.
    pub(super) fn forget(&mut self, name: &[u8]) {
        self.handles.remove(name);
    }
}

/// Finds the slot with the token. The list is asked for each time: slots change their numbers.
fn find(uri: &Pkcs11Uri, module: &Module, running: &Running) -> Result<(Slot, TokenInfo), Pkcs11Error> {
    let failed = |source| Pkcs11Error::Failed {
        token: uri.token_name().to_owned(),
        action: "be looked for",
        source,
    };
    let slots = running.context.get_slots_with_token().map_err(failed)?;
    let described = slots.into_iter().filter_map(|slot| Some((slot, running.context.get_token_info(slot).ok()?)));
    let mut meant: Vec<_> = described.filter(|(_, info)| info.token_initialized() && uri.means(&facts(info))).collect();
    match (meant.pop(), meant.len()) {
        (Some(one), 0) => Ok(one),
        (Some(_), more) => Err(Pkcs11Error::Ambiguous {
            token: uri.token_name().to_owned(),
            count: more + 1,
        }),
        (None, _) => Err(Pkcs11Error::Absent {
            token: uri.token_name().to_owned(),
            module: module.path().to_owned(),
        }),
    }
}

fn facts(info: &TokenInfo) -> TokenFacts<'_> {
    TokenFacts {
        label: info.label(),
        serial: info.serial_number(),
        manufacturer: info.manufacturer_id(),
        model: info.model(),
    }
}

fn login(uri: &Pkcs11Uri, session: &Session, info: &TokenInfo, refused: &mut Option<PinHash>) -> Result<(), Pkcs11Error> {
    let token = || uri.token_name().to_owned();
    let pin = match uri.pin_source() {
        Some(path) => Some(Pin::read(path)?),
        None if info.protected_authentication_path() => None,
        None => return Err(Pkcs11Error::NoPin { token: token() }),
    };
    let hash = pin.as_ref().map(|pin| pin.hash);
    if hash.is_some() && hash == *refused {
        return Err(Pkcs11Error::PinRefused { token: token() });
    }
    may_try(info.user_pin_locked(), info.user_pin_final_try(), &token)?;
    match session.login(UserType::User, pin.as_ref().map(|pin| &pin.pin)) {
        // All sessions of a process share one login.
        Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => {
            *refused = None;
            Ok(())
        }
        Err(Error::Pkcs11(RvError::PinLocked, _)) => Err(Pkcs11Error::PinLocked { token: token() }),
        Err(error) if is_wrong_pin(&error) => {
            *refused = hash;
            Err(Pkcs11Error::PinRefused { token: token() })
        }
        Err(source) => Err(Pkcs11Error::Failed {
            token: token(),
            action: "log in",
            source,
        }),
    }
}

/// A process that is started again and again with a wrong PIN must not lock the token: its last try is a person's.
fn may_try(is_locked: bool, is_last_try: bool, token: &dyn Fn() -> String) -> Result<(), Pkcs11Error> {
    match (is_locked, is_last_try) {
        (true, _) => Err(Pkcs11Error::PinLocked { token: token() }),
        (_, true) => Err(Pkcs11Error::PinLastTry { token: token() }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_try_before_a_token_locks_itself_is_left_to_a_person() {
        let token = || "t".to_owned();
        assert!(may_try(false, false, &token).is_ok());
        assert!(matches!(may_try(false, true, &token), Err(Pkcs11Error::PinLastTry { .. })));
        assert!(matches!(may_try(true, true, &token), Err(Pkcs11Error::PinLocked { .. })));
    }
}
