//! A service as its description says it is, in lines that compare.

use prost::Message as _;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, FieldDescriptorProto, FileDescriptorSet, MethodDescriptorProto};

/// Returns the full name of the one service, its methods, then its messages, in the order of its file.
pub(super) fn described(descriptors: &[u8]) -> (String, Vec<String>) {
    let set = FileDescriptorSet::decode(descriptors).unwrap();
    let [file] = set.file.iter().filter(|file| !file.service.is_empty()).collect::<Vec<_>>()[..] else {
        panic!("one file")
    };
    let [service] = &file.service[..] else { panic!("one service") };
    assert!(file.enum_type.is_empty());
    let name = [file.package(), service.name()]
        .iter()
        .filter(|part| !part.is_empty())
        .copied()
        .collect::<Vec<_>>()
        .join(".");
    let methods = service.method.iter().map(method);
    (name, methods.chain(file.message_type.iter().map(message)).collect())
}

fn method(method: &MethodDescriptorProto) -> String {
    assert!(!method.client_streaming());
    let stream = if method.server_streaming() { "stream " } else { "" };
    let (input, output) = (method.input_type(), method.output_type());
    format!("{}({}) {stream}{}", method.name(), &input[1..], &output[1..])
}

fn message(message: &DescriptorProto) -> String {
    let fields: Vec<String> = message.field.iter().map(|field| self::field(message, field)).collect();
    match fields.is_empty() {
        true => message.name().to_owned(),
        false => format!("{}: {}", message.name(), fields.join(", ")),
    }
}

fn field(of: &DescriptorProto, field: &FieldDescriptorProto) -> String {
    let entry = of
        .nested_type
        .iter()
        .find(|entry| field.type_name().ends_with(&format!(".{}.{}", of.name(), entry.name())));
    let kind = match entry {
        Some(entry) => format!("map<{}, {}>", kind(&entry.field[0]), kind(&entry.field[1])),
        None if field.label() == Label::Repeated => format!("repeated {}", kind(field)),
        None => kind(field),
    };
    format!("{} {} {kind}", field.name(), field.number())
}

fn kind(field: &FieldDescriptorProto) -> String {
    match field.r#type() {
        Type::String => "string".to_owned(),
        Type::Bytes => "bytes".to_owned(),
        Type::Int32 => "int32".to_owned(),
        Type::Message => field.type_name().to_owned(),
        other => panic!("{other:?}"),
    }
}
