//! The message that names a workload, as it was sent: one that names two is told from one that names one.

use prost::bytes::{Buf, BufMut};
use prost::encoding::{DecodeContext, WireType, message, skip_field};
use prost::{DecodeError, Message};
use prost_types::Any;

use super::{PID_REFERENCE, TYPE_URL_PREFIX, messages::WorkloadPidReference};

/// The number of the field `reference`.
const REFERENCE: u32 = 1;

/// How many references are kept of one message: enough to tell that they are too many.
const KEPT: usize = 2;

/// `spiffe.broker.WorkloadReference`.
///
/// The field is singular. A reader made by protoc would merge a second one on the wire into the first, and so take a type from one and a value from the other;
/// the standard wants exactly one (BRK-04).
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct WorkloadReference {
    references: Vec<Any>,
}

impl WorkloadReference {
    /// Returns a reference of any type.
    #[must_use]
    pub fn of(reference: Any) -> Self {
        Self { references: vec![reference] }
    }

    /// Returns a reference to a process.
    #[must_use]
    pub fn of_pid(pid: i32) -> Self {
        Self::of(Any {
            type_url: format!("{TYPE_URL_PREFIX}{PID_REFERENCE}"),
            value: WorkloadPidReference { pid }.encode_to_vec(),
        })
    }

    /// Returns the references: one, in a message as it should be; never more than two.
    #[must_use]
    pub fn references(&self) -> &[Any] {
        &self.references
    }
}

impl Message for WorkloadReference {
    fn encode_raw(&self, buffer: &mut impl BufMut) {
        message::encode_repeated(REFERENCE, &self.references, buffer);
    }

    fn merge_field(&mut self, tag: u32, wire_type: WireType, buffer: &mut impl Buf, context: DecodeContext) -> Result<(), DecodeError> {
        if tag != REFERENCE {
            return skip_field(wire_type, tag, buffer, context);
        }
        let mut reference = Any::default();
        message::merge(wire_type, &mut reference, buffer, context)?;
        if self.references.len() < KEPT {
            self.references.push(reference);
        }
        Ok(())
    }

    fn encoded_len(&self) -> usize {
        message::encoded_len_repeated(REFERENCE, &self.references)
    }

    fn clear(&mut self) {
        self.references.clear();
    }
}

#[cfg(test)]
mod tests {
    use conformance::covers;

    use super::super::messages::SubscribeToX509svidRequest;
    use super::*;

    #[test]
    fn a_reference_is_read_as_it_was_written() {
        let written = WorkloadReference::of_pid(1234);
        let read = WorkloadReference::decode(written.encode_to_vec().as_slice()).unwrap();
        assert_eq!(read, written);
        assert_eq!(read.references()[0].type_url, "type.googleapis.com/spiffe.broker.WorkloadPIDReference");
        assert_eq!(read.references()[0].value, [8, 0xd2, 9], "field 1, 1234");
    }

    #[covers("BRK-04")]
    #[test]
    fn two_references_stay_two_wherever_they_are_joined() {
        let two = [WorkloadReference::of_pid(1).encode_to_vec(), WorkloadReference::of_pid(2).encode_to_vec()].concat();
        assert_eq!(WorkloadReference::decode(two.as_slice()).unwrap().references().len(), 2);
        let request = |pid| SubscribeToX509svidRequest {
            reference: Some(WorkloadReference::of_pid(pid)),
        };
        let many: Vec<u8> = (1..1_000).flat_map(|pid| request(pid).encode_to_vec()).collect();
        let read = SubscribeToX509svidRequest::decode(many.as_slice()).unwrap();
        assert_eq!(read.reference.unwrap().references().len(), KEPT);
    }
}
