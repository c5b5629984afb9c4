//! Where a fetch does not connect to.

use conformance::covers;
use trust_domains::problem::{Code, Coded as _};

use super::super::EndpointTrust;
use super::serving::{Endpoint, moved, ok};
use super::world::{World, target, web};

#[tokio::test]
async fn this_machine_is_not_reached_by_name_nor_by_any_way_to_write_its_address() {
    let mut world = World::new();
    world.settings.allow_loopback = false;
    let mut endpoint = Endpoint::start(&world.ca.host(&["localhost"]), |_| ok("the bundle")).await;
    let port = endpoint.port;
    for host in [
        "localhost",
        "127.0.0.1",
        "2130706433",
        "0x7f.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "0.0.0.0",
        "[::]",
    ] {
        let (code, text) = world.refused(&target(&format!("https://{host}:{port}/"), EndpointTrust::Web)).await;
        assert_eq!(code, Code::EndpointAddressRefused, "{host}: {text}");
    }
    let error = world.fetch(&web(port)).await.unwrap_err();
    assert!(error.to_string().contains("--federation-allow-loopback"), "{error}");
    assert!(error.hint().contains("--federation-allow-loopback"), "{error}");
    assert!(endpoint.seen().is_empty());
}

#[tokio::test]
async fn the_metadata_service_of_a_cloud_is_not_reached() {
    let mut world = World::new();
    world.settings.allow_loopback = false;
    for host in ["169.254.169.254", "[::ffff:169.254.169.254]", "[fe80::1]", "2852039166"] {
        let (code, text) = world.refused(&target(&format!("https://{host}/latest/meta-data"), EndpointTrust::Web)).await;
        assert_eq!(code, Code::EndpointAddressRefused, "{text}");
    }
}

#[tokio::test]
#[covers("FED-18")]
async fn the_target_of_a_redirect_is_checked_too_and_the_option_admits_only_what_it_names() {
    let world = World::new();
    let mut other = Endpoint::start(&world.ca.host(&["0.0.0.0", "localhost"]), |_| ok("a bundle")).await;
    for host in ["0.0.0.0", "[::]", "255.255.255.255", "224.0.0.1"] {
        let location = format!("https://{host}:{}/", other.port);
        let first = Endpoint::start(&world.ca.host(&["localhost"]), move |_| moved(&location)).await;
        let error = world.fetch(&web(first.port)).await.unwrap_err();
        assert_eq!(error.code(), Code::EndpointAddressRefused, "{error}");
        assert!(!error.to_string().contains("--federation-allow-loopback"), "it would not help: {error}");
        assert!(!error.hint().contains("--federation-allow-loopback"), "it would not help: {error}");
    }
    assert!(other.seen().is_empty());
}
