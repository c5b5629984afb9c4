//! The description of the APIs, as it is served, against what is served.

use std::collections::BTreeSet;

use bytes::Bytes;
use http::header::ALLOW;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use serde_json::Value;

use super::world::World;

/// Where the routes are declared.
const ROUTERS: [&str; 2] = [include_str!("../../api/node/mod.rs"), include_str!("../../api/admin/mod.rs")];

async fn body(response: http::Response<Incoming>) -> Bytes {
    response.into_body().collect().await.unwrap().to_bytes()
}

fn request(method: Method, path: &str) -> Request<Full<Bytes>> {
    Request::builder().method(method).uri(path).body(Full::default()).unwrap()
}

fn text_set<'a>(words: impl Iterator<Item = &'a str>) -> BTreeSet<String> {
    words.map(|word| word.trim().to_ascii_lowercase()).filter(|word| word != "head").collect()
}

#[tokio::test]
async fn every_route_is_described_with_its_methods_to_whoever_asks() {
    let world = World::new().await;
    let stranger = world.stranger(&world.token("a").await).await;
    let response = stranger.send(request(Method::GET, "/openapi.json")).await.unwrap();
    assert_eq!(
        (response.status(), response.headers()["content-type"].to_str().unwrap()),
        (StatusCode::OK, "application/json")
    );
    let document: Value = serde_json::from_slice(&body(response).await).unwrap();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));

    let described = document["paths"].as_object().unwrap();
    let routes: BTreeSet<_> = ROUTERS
        .iter()
        .flat_map(|source| source.split(".route(\"").skip(1))
        .map(|rest| rest.split('"').next().unwrap())
        // Declared by its name.
        .chain([crate::api::admin::HEALTH_PATH])
        .collect();
    assert_eq!(described.keys().map(String::as_str).collect::<BTreeSet<_>>(), routes);

    for (path, calls) in described {
        // A method that no route has: the refusal lists those that this one has.
        let question = request(Method::OPTIONS, &path.replace(['{', '}'], ""));
        let answer = if path.starts_with("/v1/node/") {
            stranger.send(question).await.unwrap()
        } else {
            world.admin.send(question).await.unwrap()
        };
        assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED, "{path}");
        let allowed = text_set(answer.headers()[ALLOW].to_str().unwrap().split(','));
        assert_eq!(text_set(calls.as_object().unwrap().keys().map(String::as_str)), allowed, "{path}");
    }
}

#[tokio::test]
async fn every_schema_that_is_named_is_there() {
    let world = World::new().await;
    let stranger = world.stranger(&world.token("a").await).await;
    let text = body(stranger.send(request(Method::GET, "/openapi.json")).await.unwrap()).await;
    let text = std::str::from_utf8(&text).unwrap();
    let document: Value = serde_json::from_str(text).unwrap();
    let named: BTreeSet<_> = text
        .split("\"#/components/schemas/")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap())
        .collect();
    let there: BTreeSet<_> = document["components"]["schemas"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(named, there);
}
