//! The reference of a request: read, and refused when it is none that can be followed.

use prost::{DecodeError, Message as _};
use prost_types::Any;
use tonic::Status;

use super::allow_list::ReferenceType;
use super::grpc::{Reason, refusal};
use crate::endpoints::broker_api::messages::{WorkloadPidReference, WorkloadReference};

/// The most of a type's name that an error repeats.
const MAX_NAME_SHOWN: usize = 200;

/// A reference of a type that is known, with a value that it may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reference {
    /// A process of this machine, in the agent's PID namespace: a number above 0.
    Pid(i32),
}

/// A request has no reference that can be followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum InvalidReference {
    #[error("the request has no workload reference")]
    Missing,
    #[error("the process id {pid} is not above 0")]
    NoPid { pid: i32 },
    #[error("the request has more than one workload reference")]
    Several,
    #[error("this agent resolves no workload references of the type {name:?}; it resolves {}", known())]
    UnknownType { name: String },
    #[error("the workload reference is no {}", reference_type.message())]
    Unreadable {
        reference_type: ReferenceType,
        #[source]
        source: DecodeError,
    },
}

impl From<InvalidReference> for Status {
    fn from(invalid: InvalidReference) -> Self {
        let pid = match invalid {
            InvalidReference::NoPid { pid } => Some(pid),
            _ => None,
        };
        refusal(Reason::Invalid, invalid.to_string(), pid)
    }
}

impl Reference {
    /// Reads the reference of a request: exactly one (BRK-04).
    pub(super) fn of(request: Option<&WorkloadReference>) -> Result<Self, InvalidReference> {
        match request.map(WorkloadReference::references).unwrap_or_default() {
            [] => Err(InvalidReference::Missing),
            [one] => Self::read(one),
            _ => Err(InvalidReference::Several),
        }
    }

    /// Returns its type.
    pub(super) fn reference_type(self) -> ReferenceType {
        match self {
            Self::Pid(_) => ReferenceType::Pid,
        }
    }

    fn read(reference: &Any) -> Result<Self, InvalidReference> {
        match type_of(&reference.type_url)? {
            reference_type @ ReferenceType::Pid => {
                let read = WorkloadPidReference::decode(reference.value.as_slice());
                match read.map_err(|source| InvalidReference::Unreadable { reference_type, source })? {
                    WorkloadPidReference { pid: pid @ 1.. } => Ok(Self::Pid(pid)),
                    WorkloadPidReference { pid } => Err(InvalidReference::NoPid { pid }),
                }
            }
        }
    }
}

/// Returns the type that a type URL names: what follows its last slash, wherever the URL says that the type is described.
fn type_of(type_url: &str) -> Result<ReferenceType, InvalidReference> {
    let name = type_url.rsplit_once('/').map(|(_, name)| name);
    let known = ReferenceType::ALL.into_iter().find(|known| name == Some(known.message()));
    known.ok_or_else(|| InvalidReference::UnknownType {
        name: name.unwrap_or(type_url).chars().take(MAX_NAME_SHOWN).collect(),
    })
}

fn known() -> String {
    ReferenceType::ALL.map(ReferenceType::message).join(", ")
}

#[cfg(test)]
mod tests {
    use conformance::covers;
    use proptest::prelude::*;

    use super::*;
    use crate::endpoints::broker_api::messages::{KubernetesObjectReference, KubernetesObjectType};

    fn any(type_url: &str, value: Vec<u8>) -> WorkloadReference {
        WorkloadReference::of(Any {
            type_url: type_url.to_owned(),
            value,
        })
    }

    fn pid(pid: i32) -> Vec<u8> {
        WorkloadPidReference { pid }.encode_to_vec()
    }

    #[covers("BRK-07")]
    #[test]
    fn a_pid_is_above_0() {
        assert_eq!(Reference::of(Some(&WorkloadReference::of_pid(1))), Ok(Reference::Pid(1)));
        assert_eq!(Reference::of(Some(&WorkloadReference::of_pid(i32::MAX))), Ok(Reference::Pid(i32::MAX)));
        for wrong in [0, -1, i32::MIN] {
            assert_eq!(
                Reference::of(Some(&WorkloadReference::of_pid(wrong))),
                Err(InvalidReference::NoPid { pid: wrong })
            );
        }
    }

    #[covers("BRK-04")]
    #[test]
    fn there_is_exactly_one_reference() {
        assert_eq!(Reference::of(None), Err(InvalidReference::Missing));
        assert_eq!(Reference::of(Some(&WorkloadReference::default())), Err(InvalidReference::Missing));
        let two = [WorkloadReference::of_pid(1).encode_to_vec(), WorkloadReference::of_pid(1).encode_to_vec()].concat();
        let two = WorkloadReference::decode(two.as_slice()).unwrap();
        assert_eq!(Reference::of(Some(&two)), Err(InvalidReference::Several));
    }

    #[covers("BRK-10", "BRK-04")]
    #[test]
    fn a_type_that_nobody_resolves_is_refused_by_its_name() {
        let object = KubernetesObjectReference {
            r#type: Some(KubernetesObjectType {
                plural: "pods".to_owned(),
                group: "core".to_owned(),
            }),
            ..KubernetesObjectReference::default()
        };
        for (type_url, name) in [
            (
                "type.googleapis.com/spiffe.broker.KubernetesObjectReference",
                "spiffe.broker.KubernetesObjectReference",
            ),
            ("type.googleapis.com/example.Workload", "example.Workload"),
            ("type.googleapis.com/spiffe.broker.workloadpidreference", "spiffe.broker.workloadpidreference"),
            ("spiffe.broker.WorkloadPIDReference", "spiffe.broker.WorkloadPIDReference"),
            ("type.googleapis.com/", ""),
            ("", ""),
        ] {
            let refused = Reference::of(Some(&any(type_url, object.encode_to_vec()))).unwrap_err();
            assert_eq!(refused, InvalidReference::UnknownType { name: name.to_owned() });
            assert!(refused.to_string().contains(name), "{refused}");
        }
        let long = Reference::of(Some(&any(&format!("x/{}", "y".repeat(100_000)), Vec::new()))).unwrap_err();
        assert!(long.to_string().len() < 400);
    }

    #[test]
    fn what_comes_before_the_last_slash_of_a_type_url_does_not_matter() {
        for prefix in ["type.googleapis.com/", "example.com/types/", "/"] {
            let reference = any(&format!("{prefix}spiffe.broker.WorkloadPIDReference"), pid(7));
            assert_eq!(Reference::of(Some(&reference)), Ok(Reference::Pid(7)), "{prefix}");
        }
    }

    proptest! {
        #[test]
        fn no_value_makes_it_panic_or_gives_a_process_below_1(value: Vec<u8>) {
            let reference = any("type.googleapis.com/spiffe.broker.WorkloadPIDReference", value);
            if let Ok(Reference::Pid(pid)) = Reference::of(Some(&reference)) {
                prop_assert!(pid > 0);
            }
        }
    }
}
