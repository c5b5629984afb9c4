//! From calls to the document: every schema that a call names is in it, and every call may answer with a problem.

use trust_domains::problem::Problem;
use utoipa::ToSchema;
use utoipa::openapi::path::{HttpMethod, Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn, PathItem, PathsBuilder};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{ComponentsBuilder, ObjectBuilder, Schema, Type};
use utoipa::openapi::security::{SecurityRequirement, SecurityScheme};
use utoipa::openapi::{ContentBuilder, InfoBuilder, OpenApiBuilder, Ref, RefOr, Required, ResponseBuilder};

/// The name of the one scheme by which nodes prove who they are.
const NODE_SVID: &str = "node_svid";

type Schemas = Vec<(String, RefOr<Schema>)>;

/// One call of an API.
pub(super) struct Call {
    method: HttpMethod,
    path: &'static str,
    operation: OperationBuilder,
    answer: Option<(&'static str, RefOr<Schema>)>,
    from_strangers: bool,
    schemas: Schemas,
}

impl Call {
    pub(super) fn new(method: HttpMethod, path: &'static str, summary: &'static str) -> Self {
        let mut operation = OperationBuilder::new().summary(Some(summary));
        for name in path.split(['{', '}']).skip(1).step_by(2) {
            operation = operation.parameter(parameter(name, ParameterIn::Path, Required::True));
        }
        Self {
            method,
            path,
            operation,
            answer: None,
            from_strangers: false,
            schemas: Schemas::new(),
        }
    }

    /// No client certificate is asked for.
    pub(super) fn of_strangers(mut self) -> Self {
        self.from_strangers = true;
        self
    }

    /// These may be in the query.
    pub(super) fn query(mut self, names: &[&str]) -> Self {
        for name in names {
            self.operation = self.operation.parameter(parameter(name, ParameterIn::Query, Required::False));
        }
        self
    }

    /// The body of the request.
    pub(super) fn takes<T: ToSchema>(mut self) -> Self {
        let content = ContentBuilder::new().schema(Some(self.named::<T>())).build();
        self.operation = self.operation.request_body(Some(
            RequestBodyBuilder::new()
                .content("application/json", content)
                .required(Some(Required::True))
                .build(),
        ));
        self
    }

    /// The body of the answer; without one it is empty.
    pub(super) fn gives<T: ToSchema>(mut self) -> Self {
        self.answer = Some(("application/json", self.named::<T>().into()));
        self
    }

    /// The answer is a line of JSON for each of these.
    pub(super) fn streams<T: ToSchema>(mut self) -> Self {
        self.answer = Some(("application/jsonl", self.named::<T>().into()));
        self
    }

    /// The answer is octets, of no form that is described here.
    pub(super) fn gives_octets(mut self) -> Self {
        let schema = ObjectBuilder::new().schema_type(Type::String).content_media_type("application/octet-stream");
        self.answer = Some(("application/octet-stream", schema.into()));
        self
    }

    fn named<T: ToSchema>(&mut self) -> Ref {
        self.schemas.push((T::name().into(), T::schema()));
        T::schemas(&mut self.schemas);
        Ref::from_schema_name(T::name())
    }

    fn into_operation(self) -> Operation {
        let problem = ContentBuilder::new().schema(Some(Ref::from_schema_name(Problem::name()))).build();
        let refused = ResponseBuilder::new()
            .description("The call is refused: code and hint say why and what to do.")
            .content(Problem::MEDIA_TYPE, problem);
        let done = match self.answer {
            Some((media_type, schema)) => {
                let content = ContentBuilder::new().schema(Some(schema)).build();
                ("200", ResponseBuilder::new().description("Done.").content(media_type, content))
            }
            None => ("204", ResponseBuilder::new().description("Done.")),
        };
        self.operation.response(done.0, done.1).response("default", refused).build()
    }
}

/// The description as far as it is.
pub(super) struct Document {
    paths: PathsBuilder,
    components: ComponentsBuilder,
}

impl Document {
    pub(super) fn new() -> Self {
        let mut schemas = Schemas::new();
        Problem::schemas(&mut schemas);
        let components = ComponentsBuilder::new().schema_from::<Problem>().schemas_from_iter(schemas);
        let scheme = SecurityScheme::MutualTls {
            description: Some("The X509-SVID of a node, spiffe://TD/troth/agent/...; the record of that node must know its key.".to_owned()),
            deprecated: None,
            extensions: None,
        };
        Self {
            paths: PathsBuilder::new(),
            components: components.security_scheme(NODE_SVID, scheme),
        }
    }

    /// Adds a call of an agent.
    pub(super) fn node(self, mut call: Call) -> Self {
        call.operation = call.operation.tag("node");
        if !call.from_strangers {
            call.operation = call.operation.security(SecurityRequirement::new::<_, [&str; 0], &str>(NODE_SVID, []));
        }
        self.with(call)
    }

    /// Adds a call of an operator.
    pub(super) fn admin(self, mut call: Call) -> Self {
        call.operation = call.operation.tag("admin");
        self.with(call)
    }

    fn with(self, mut call: Call) -> Self {
        let (path, method) = (call.path, call.method.clone());
        let components = self.components.schemas_from_iter(std::mem::take(&mut call.schemas));
        let paths = self.paths.path(path, PathItem::new(method, call.into_operation()));
        Self { paths, components }
    }

    /// Writes the document.
    pub(super) fn into_json(self) -> Vec<u8> {
        let info = InfoBuilder::new().title("Troth").version(env!("CARGO_PKG_VERSION")).description(Some(
            "/v1/node is served over TLS 1.3 to agents, /v1/admin on the Unix socket admin.sock in the data directory to the operator on the machine.",
        ));
        let document = OpenApiBuilder::new()
            .info(info)
            .paths(self.paths)
            .components(Some(self.components.build()))
            .build();
        serde_json::to_vec(&document).unwrap_or_default()
    }
}

fn parameter(name: &str, place: ParameterIn, required: Required) -> Parameter {
    let text = ObjectBuilder::new().schema_type(Type::String);
    ParameterBuilder::new()
        .name(name)
        .parameter_in(place)
        .required(required)
        .schema(Some(text))
        .build()
}
