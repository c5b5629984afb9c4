//! The claims of a token as the Workload API returns them: a protobuf `Struct`.

use prost_types::value::Kind;
use prost_types::{ListValue, Struct, Value};
use serde_json::{Map, Value as Json};

/// How deep a claim may nest to be returned. Protobuf readers give up at 100 messages within each other, and each level here takes up to three; one that nests
/// deeper would make the whole answer unreadable, so it is left out (WAPI-18 allows it).
const DEEPEST: usize = 16;

/// Returns the claims; numbers are floating point in a `Struct`.
pub(super) fn to_struct(claims: &Map<String, Json>) -> Struct {
    let fields = claims.iter().filter(|(_, value)| depth(value) <= DEEPEST);
    Struct {
        fields: fields.map(|(name, value)| (name.clone(), to_value(value))).collect(),
    }
}

fn to_value(json: &Json) -> Value {
    let kind = match json {
        Json::Null => Kind::NullValue(0),
        Json::Bool(value) => Kind::BoolValue(*value),
        Json::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or(f64::MAX)),
        Json::String(text) => Kind::StringValue(text.clone()),
        Json::Array(values) => Kind::ListValue(ListValue {
            values: values.iter().map(to_value).collect(),
        }),
        Json::Object(members) => Kind::StructValue(Struct {
            fields: members.iter().map(|(name, value)| (name.clone(), to_value(value))).collect(),
        }),
    };
    Value { kind: Some(kind) }
}

fn depth(json: &Json) -> usize {
    let deepest = match json {
        Json::Array(values) => values.iter().map(depth).max(),
        Json::Object(members) => members.values().map(depth).max(),
        _ => return 0,
    };
    deepest.unwrap_or(0) + 1
}

#[cfg(test)]
mod tests {
    use conformance::covers;
    use prost::Message as _;
    use serde_json::json;

    use super::*;

    #[covers("WAPI-18")]
    #[test]
    fn claims_of_every_type_are_returned_and_what_nests_too_deep_is_left_out() {
        let nested = |levels: usize| (0..levels).fold(json!(1), |inner, _| json!({ "in": [inner] }));
        let claims = json!({ "sub": "x", "exp": 1_900_000_000, "ok": true, "none": null, "deep": nested(8), "deeper": nested(9) });
        let sent = to_struct(claims.as_object().unwrap());
        let read = Struct::decode(sent.encode_to_vec().as_slice()).unwrap();
        assert_eq!(read, sent);
        assert_eq!(read.fields.keys().collect::<Vec<_>>(), ["deep", "exp", "none", "ok", "sub"]);
        assert_eq!(read.fields["exp"].kind, Some(Kind::NumberValue(1_900_000_000.0)));
        assert_eq!(read.fields["none"].kind, Some(Kind::NullValue(0)));
    }
}
