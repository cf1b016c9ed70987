//! What happens to requests, told one by one.

use crate::world::World;
use svcauth_proxy::Action::{Continue, Pause};

/// The document with this `envoy` member.
pub(crate) fn document(envoy: &str) -> String {
    format!(
        r#"{{
            "endpoints": {{ "token": "https://hydra.example:4444/oauth2/token?x=1" }},
            "client": {{ "credentials": [
                {{ "client_id": "bss", "client_secret": {{ "env": "BSS_SECRET" }} }}
            ] }},
            "schedule": {{ "jitter": 0 }},
            "targets": {{
                "own": {{ "urls": ["https://own.example"], "user_token": "never" }},
                "smd": {{ "urls": ["https://smd.example/hsm/v2"], "scopes": ["read"] }}
            }},
            "envoy": {{ {envoy} }}
        }}"#
    )
}

pub(crate) const ATTACH: &str = r#""server_cluster": "hydra", "target": "smd""#;
const RETRIED: &str = r#""server_cluster": "hydra", "target": "smd", "retried": true"#;
const RETRY: &str = r#""role": "retry", "target": "smd""#;
const JWT: &str = "metadata\0filter_metadata\0envoy.filters.http.jwt_authn";

const OK: &[(&str, &str)] = &[(":status", "200")];
const UNAUTHORIZED: &[(&str, &str)] = &[
    (":status", "401"),
    ("www-authenticate", "Bearer error=\"invalid_token\""),
];

/// One thread with a token at hand.
fn ready(envoy: &str) -> (World, u32) {
    let mut world = World::new(1);
    let root = world.configure(&document(envoy))[0];
    world.pass(5);
    world.grant("token-1", 60);
    (world, root)
}

#[test]
fn a_request_is_held_until_the_first_token_comes() {
    let mut world = World::new(1);
    let root = world.configure(&document(ATTACH))[0];
    let (one, action) = world.request(0, root, &[(":path", "/")]);
    assert_eq!(action, Pause);
    let (two, action) = world.request(0, root, &[]);
    assert_eq!(action, Pause);
    assert!(
        world.under_way().is_empty(),
        "a request's callback sends nothing"
    );
    world.pass(2);
    let call = &world.workers[0].proxy.calls[0];
    assert_eq!(call.cluster, "hydra");
    assert_eq!(call.headers[":path"], "/oauth2/token?x=1");
    assert_eq!(call.headers[":authority"], "hydra.example:4444");
    assert_eq!(call.headers[":method"], "POST");
    assert!(call.body.starts_with("grant_type=client_credentials"));
    world.pass(200);
    world.grant("token-1", 60);
    for context in [one, two] {
        assert!(world.see(0, context).went_on);
        assert_eq!(world.carries(0, context), Some("Bearer token-1"));
    }
    let (three, action) = world.request(0, root, &[]);
    assert_eq!(action, Continue);
    assert_eq!(world.carries(0, three), Some("Bearer token-1"));
    let line = &world.see(0, three).properties["svcauth"];
    assert!(
        line.starts_with("target=smd kind=service client_id=bss subject=- lease="),
        "{line}"
    );
    assert_eq!(world.counted("svcauth.smd.attached"), 3);
    assert_eq!(world.counted("svcauth.smd.held"), 2);
    assert_eq!(world.counted("svcauth.smd.token_requests"), 1);
    assert!((200..300).contains(&world.counted("svcauth.smd.hold_ms")));
    world.assert_hidden(&["token-1", "the-client-secret"]);
}

#[test]
fn a_token_that_is_the_requests_own_stays() {
    let (mut world, root) = ready(ATTACH);
    let jwt =
        "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSBraW5kPXNlcnZpY2UiLCJjbGllbnRfaWQiOiJwb3J0YWwifQ.x";
    for (authorization, line) in [
        (
            format!("Bearer {jwt}"),
            "target=smd kind=user client_id=portal subject=alice_kind_service",
        ),
        (
            format!("bearer {jwt}"),
            "target=smd kind=user client_id=portal subject=alice_kind_service",
        ),
        (
            "Bearer opaque".into(),
            "target=smd kind=user client_id=- subject=-",
        ),
        ("Basic YWxpY2U6eA==".into(), "target=smd kind=caller"),
        ("Bearer a b".into(), "target=smd kind=caller"),
        (String::new(), "target=smd kind=caller"),
        ("x".repeat(100_000), "target=smd kind=caller"),
    ] {
        let (context, action) = world.request(0, root, &[("authorization", &authorization)]);
        assert_eq!(action, Continue);
        assert_eq!(world.carries(0, context), Some(&*authorization));
        assert_eq!(world.see(0, context).properties["svcauth"], line);
        world.respond(0, context, UNAUTHORIZED);
        assert!(
            !world
                .see(0, context)
                .response
                .contains_key("x-envoy-ratelimited")
        );
    }
    assert!(world.under_way().is_empty(), "a user's 401 is the user's");
    assert_eq!(world.counted("svcauth.smd.passed"), 7);
    world.assert_hidden(&[jwt]);
}

#[test]
fn a_users_request_whose_token_was_taken_off_gets_no_service_token() {
    let (mut world, root) = ready(ATTACH);
    let (context, action) = world.request_with(0, root, &[], &[(JWT, "whatever is in there")]);
    assert_eq!(action, Pause);
    assert_eq!(world.code(0, context), "svcauth_user_token_missing");
    assert_eq!(world.carries(0, context), None);
    assert_eq!(
        world.see(0, context).properties["svcauth"],
        "target=smd kind=refused"
    );
    assert_eq!(world.logged("(user_token_missing)"), 1);
    assert_eq!(world.counted("svcauth.smd.refused"), 1);

    for (envoy, property, expected) in [
        (
            r#""server_cluster": "hydra", "target": "smd", "users": "never""#,
            JWT,
            Continue,
        ),
        (
            r#""server_cluster": "hydra", "target": "own""#,
            JWT,
            Continue,
        ),
        (
            r#""server_cluster": "hydra", "target": "smd", "users": { "metadata": "mine" }"#,
            "metadata\0filter_metadata\0mine",
            Pause,
        ),
        (
            r#""server_cluster": "hydra", "target": "smd", "users": { "metadata": "mine" }"#,
            JWT,
            Continue,
        ),
    ] {
        let mut world = World::new(1);
        let root = world.configure(&document(envoy))[0];
        world.pass(5);
        world.grant("token-1", 60);
        let (_, action) = world.request_with(0, root, &[], &[(property, "x")]);
        assert_eq!(action, expected, "{envoy}");
    }
}

#[test]
fn a_target_that_never_gets_users_tokens_gets_the_services() {
    let (mut world, root) = ready(r#""server_cluster": "hydra", "target": "own""#);
    let (context, _) = world.request(0, root, &[("authorization", "Bearer alice")]);
    assert_eq!(world.carries(0, context), Some("Bearer token-1"));
    let (context, _) = world.request(0, root, &[("authorization", "Basic alice")]);
    assert_eq!(world.carries(0, context), Some("Basic alice"));
}

#[test]
fn the_target_is_told_by_the_proxys_routing_and_by_nothing_that_a_request_says() {
    let envoy = r#""server_cluster": { "https://hydra.example:4444": "hydra" },
        "clusters": { "smd-v2": "smd" }, "routes": { "to-own": "own" }"#;
    let mut world = World::new(1);
    let root = world.configure(&document(envoy))[0];
    world.pass(5);
    assert_eq!(world.under_way().len(), 2, "one for each target");
    world.grant("token-own", 60);
    world.grant("token-smd", 60);
    let hostile = [
        (":authority", "smd.example"),
        ("host", "smd.example"),
        (":path", "/hsm/v2"),
    ];
    for (properties, expected) in [
        (&[][..], None),
        (&[("xds\0cluster_name", "smd-v2")], Some("Bearer token-smd")),
        (&[("cluster_name", "smd-v2")], Some("Bearer token-smd")),
        (&[("xds\0cluster_name", "smd-v22")], None),
        (&[("xds\0route_name", "to-own")], Some("Bearer token-own")),
        (
            &[
                ("xds\0route_name", "to-own"),
                ("xds\0cluster_name", "smd-v2"),
            ],
            Some("Bearer token-smd"),
        ),
        (&[("xds\0route_name", "smd-v2")], None),
    ] {
        let (context, action) = world.request_with(0, root, &hostile, properties);
        assert_eq!(
            (action, world.carries(0, context)),
            (Continue, expected),
            "{properties:?}"
        );
    }
}

#[test]
fn as_many_requests_are_held_as_are_configured_and_no_longer() {
    let envoy =
        r#""server_cluster": "hydra", "target": "smd", "holding": { "most": 2, "wait_s": 3 }"#;
    let mut world = World::new(1);
    let root = world.configure(&document(envoy))[0];
    let (one, _) = world.request(0, root, &[]);
    let (two, _) = world.request(0, root, &[]);
    let (three, _) = world.request(0, root, &[]);
    assert_eq!(world.code(0, three), "svcauth_held_most");
    // One goes away: there is room again, and it is not woken.
    world.end(0, one);
    let (four, _) = world.request(0, root, &[]);
    assert_eq!(world.code(0, four), "");
    world.pass(2_990);
    assert_eq!(world.code(0, two), "");
    world.pass(20);
    for context in [two, four] {
        assert_eq!(world.code(0, context), "svcauth_timeout");
        let reply = world.see(0, context).reply.as_ref().unwrap();
        assert_eq!(reply.retry_after.as_deref(), Some("1"));
        assert!(reply.body.contains("\"code\":\"timeout\""));
        assert_eq!(
            world.see(0, context).properties["svcauth"],
            "target=smd kind=failed"
        );
    }
    world.grant("token-1", 60);
    assert!(!world.see(0, two).went_on);
    assert_eq!(world.counted("svcauth.smd.held_timeout"), 2);
    assert_eq!(world.counted("svcauth.smd.held_most"), 1);
}

#[test]
fn what_a_server_says_is_told_at_once_and_what_the_network_does_is_waited_for() {
    let mut world = World::new(1);
    let root = world.configure(&document(ATTACH))[0];
    let (held, _) = world.request(0, root, &[]);
    world.pass(2);
    world.answer("503", "{}");
    assert_eq!(world.code(0, held), "svcauth_server_error");
    let (next, _) = world.request(0, root, &[]);
    assert_eq!(world.code(0, next), "svcauth_server_error");
    assert_eq!(
        world
            .see(0, next)
            .reply
            .as_ref()
            .unwrap()
            .retry_after
            .as_deref(),
        Some("1")
    );
    world.pass(1_010);
    let (later, _) = world.request(0, root, &[]);
    assert_eq!(world.code(0, later), "");
    // Envoy says by an answer of its own that nothing listens, or gives none at all.
    let own = [(":status", "503"), ("content-type", "text/plain")];
    world.answer_with(
        &own,
        b"upstream connect error or disconnect/reset before headers. reset reason: x",
    );
    assert_eq!(world.code(0, later), "");
    world.pass(4_900);
    world.answer_with(&[], b"");
    world.pass(200);
    assert_eq!(world.code(0, later), "svcauth_connection_broken");
    assert_eq!(world.logged("\"event\":\"refresh_failed\""), 3);
}

#[test]
fn each_odd_answer_has_its_code_and_nothing_is_forwarded() {
    let json = &[(":status", "200"), ("content-type", "application/json")][..];
    for (headers, body, code) in [
        (
            json,
            &b"{\"message\":\"hello\"}"[..],
            "svcauth_malformed_answer",
        ),
        (json, b"", "svcauth_malformed_answer"),
        (json, b"<html>", "svcauth_malformed_answer"),
        (
            json,
            br#"{"access_token":"a b","token_type":"bearer"}"#,
            "svcauth_invalid_access_token",
        ),
        (
            json,
            br#"{"access_token":"a\r\nx: y","token_type":"bearer"}"#,
            "svcauth_invalid_access_token",
        ),
        (
            json,
            br#"{"access_token":"abc"}"#,
            "svcauth_missing_token_type",
        ),
        (
            json,
            br#"{"access_token":"abc","token_type":"bearer","expires_in":-1}"#,
            "svcauth_invalid_expires_in",
        ),
        (
            json,
            br#"{"access_token":"abc","access_token":"def","token_type":"bearer"}"#,
            "svcauth_malformed_answer",
        ),
        (json, br#"{"error":"invalid_scope"}"#, "svcauth_oauth_error"),
        (
            &[(":status", "302"), ("location", "https://evil.example")],
            b"",
            "svcauth_unexpected_redirect",
        ),
        (
            &[(":status", "429"), ("retry-after", "7")],
            b"",
            "svcauth_rate_limited",
        ),
        (&[(":status", "abc")], b"{}", "svcauth_unexpected_status"),
        (&[("x", "y")], b"{}", "svcauth_unexpected_status"),
    ] {
        let mut world = World::new(1);
        let root = world.configure(&document(ATTACH))[0];
        let (context, _) = world.request(0, root, &[]);
        world.pass(2);
        world.answer_with(headers, body);
        let body = String::from_utf8_lossy(body);
        assert_eq!(world.code(0, context), code, "{headers:?} {body}");
        assert!(!world.see(0, context).went_on);
        let (next, _) = world.request(0, root, &[]);
        assert_eq!(
            (world.code(0, next), world.carries(0, next)),
            (code, None),
            "{body}"
        );
    }
    let mut world = World::new(1);
    let root = world.configure(&document(ATTACH))[0];
    let (context, _) = world.request(0, root, &[]);
    world.pass(2);
    world.answer_with(json, &vec![b' '; 1_048_577]);
    assert_eq!(world.code(0, context), "svcauth_answer_too_large");
}

#[test]
fn a_cluster_that_does_not_exist_and_a_secret_that_is_not_there_are_told() {
    let mut world = World::new(1);
    world.workers[0].proxy.clusters.clear();
    let root = world.configure(&document(ATTACH))[0];
    let (context, _) = world.request(0, root, &[]);
    world.pass(6_000);
    assert_eq!(world.code(0, context), "svcauth_connection_failed");
    assert!(world.logged("Envoy has no cluster hydra, which envoy.server_cluster names") > 0);

    let mut world = World::new(1);
    world.workers[0].proxy.variables.clear();
    let root = world.configure(&document(ATTACH))[0];
    let (context, _) = world.request(0, root, &[]);
    assert_eq!(world.code(0, context), "svcauth_secret_unavailable");
    assert!(world.logged("host_env_keys") > 0);

    let mut world = World::new(1);
    let envoy = r#""server_cluster": { "https://other.example": "hydra" }, "target": "smd""#;
    let root = world.configure(&document(envoy))[0];
    let (context, _) = world.request(0, root, &[]);
    world.pass(6_000);
    assert_eq!(world.code(0, context), "svcauth_connection_failed");
    assert!(world.logged("names no cluster for https://hydra.example:4444") > 0);
}

#[test]
fn an_expired_token_is_sent_by_no_request_even_where_the_tick_is_late() {
    let (mut world, root) = ready(ATTACH);
    world.common.borrow_mut().now += 53_900;
    let (context, action) = world.request(0, root, &[]);
    assert_eq!(
        (action, world.carries(0, context)),
        (Continue, Some("Bearer token-1"))
    );
    world.common.borrow_mut().now += 1_200;
    let (context, action) = world.request(0, root, &[]);
    assert_eq!((action, world.carries(0, context)), (Pause, None));
    world.pass(5);
    world.grant("token-2", 60);
    assert_eq!(world.carries(0, context), Some("Bearer token-2"));
}

#[test]
fn after_a_401_there_is_another_token_and_the_call_is_made_once_more() {
    let mut world = World::new(1);
    let asks = world.configure(&document(RETRY))[0];
    let attaches = world.configure(&document(RETRIED))[0];
    world.pass(5);
    world.grant("token-1", 60);
    // The listener's instance asks the router, and keeps what a caller had asked for.
    let (down, action) = world.request(0, asks, &[("x-envoy-retry-on", "5xx")]);
    assert_eq!(action, Continue);
    let headers = &world.see(0, down).headers;
    assert_eq!(headers["x-envoy-retry-on"], "5xx,retriable-status-codes");
    assert_eq!(headers["x-envoy-retriable-status-codes"], "401");
    let (users, _) = world.request(0, asks, &[("authorization", "Bearer alice")]);
    assert!(!world.see(0, users).headers.contains_key("x-envoy-retry-on"));

    world.pass(11_000);
    let (first, _) = world.request(0, attaches, &[]);
    world.respond(0, first, UNAUTHORIZED);
    assert!(
        !world
            .see(0, first)
            .response
            .contains_key("x-envoy-ratelimited")
    );
    // Neither this attempt nor any other request sends the refused token.
    let (second, action) = world.again(0, attaches, first);
    assert_eq!(action, Pause);
    let (other, action) = world.request(0, attaches, &[]);
    assert_eq!(action, Pause);
    world.pass(2);
    world.grant("token-2", 60);
    for context in [second, other] {
        assert_eq!(world.carries(0, context), Some("Bearer token-2"));
        assert!(world.see(0, context).went_on);
    }
    world.respond(0, other, OK);
    // The second 401 goes to the caller, and the router is told to leave it at that.
    world.respond(0, second, UNAUTHORIZED);
    assert_eq!(world.see(0, second).response["x-envoy-ratelimited"], "true");
    assert!(world.under_way().is_empty());
    assert_eq!(world.counted("svcauth.smd.unauthorized"), 2);
    assert_eq!(world.counted("svcauth.smd.retries"), 1);
    assert_eq!(world.counted("svcauth.retry.asked"), 1);
}

#[test]
fn a_401_that_another_token_would_not_mend_is_not_answered_by_one() {
    let (mut world, root) = ready(RETRIED);
    let (context, _) = world.request(0, root, &[]);
    world.respond(
        0,
        context,
        &[
            (":status", "401"),
            ("www-authenticate", "Bearer error=\"insufficient_scope\""),
        ],
    );
    world.pass(2_000);
    assert!(world.under_way().is_empty());
    assert_eq!(
        world.see(0, context).response["x-envoy-ratelimited"],
        "true"
    );
    for status in ["200", "403", "500", "", "4010"] {
        let (context, _) = world.request(0, root, &[]);
        world.respond(0, context, &[(":status", status)]);
        assert!(
            !world
                .see(0, context)
                .response
                .contains_key("x-envoy-ratelimited")
        );
    }
    world.pass(2_000);
    assert!(world.under_way().is_empty());
}

#[test]
fn alone_the_filter_delivers_a_401_and_the_next_request_has_another_token() {
    let (mut world, root) = ready(ATTACH);
    world.pass(11_000);
    let (context, _) = world.request(0, root, &[]);
    world.respond(0, context, UNAUTHORIZED);
    assert!(
        !world
            .see(0, context)
            .response
            .contains_key("x-envoy-ratelimited")
    );
    let (next, action) = world.request(0, root, &[]);
    assert_eq!(action, Pause);
    world.pass(2);
    world.grant("token-2", 60);
    assert_eq!(world.carries(0, next), Some("Bearer token-2"));
}

#[test]
fn threads_share_one_token_and_what_was_refused() {
    let mut world = World::new(4);
    let roots = world.configure(&document(RETRIED));
    let held: Vec<u32> = (0..4)
        .map(|at| world.request(at, roots[at], &[]).0)
        .collect();
    world.pass(50);
    assert_eq!(world.under_way().len(), 1);
    world.grant("token-1", 60);
    world.pass(25);
    for (at, context) in held.iter().enumerate() {
        assert_eq!(world.carries(at, *context), Some("Bearer token-1"));
    }
    world.pass(11_000);
    world.respond(2, held[2], UNAUTHORIZED);
    world.pass(101);
    for (at, root) in roots.iter().enumerate() {
        let (context, action) = world.request(at, *root, &[]);
        assert_eq!((action, world.carries(at, context)), (Pause, None), "{at}");
    }
    assert_eq!(world.under_way().len(), 1);
    world.grant("token-2", 60);
    world.pass(101);
    for (at, root) in roots.iter().enumerate() {
        let (context, action) = world.request(at, *root, &[]);
        assert_eq!(
            (action, world.carries(at, context)),
            (Continue, Some("Bearer token-2")),
            "{at}"
        );
    }
    assert_eq!(world.counted("svcauth.smd.token_requests"), 2);
    world.assert_hidden(&["token-1", "token-2"]);
}

#[test]
fn a_configuration_that_takes_another_ones_place_has_its_token_at_once() {
    let (mut world, old) = ready(ATTACH);
    let held = world.request(0, old, &[]).0;
    let new = world.configure(&document(&format!(
        "{ATTACH}, \"holding\": {{ \"wait_s\": 1 }}"
    )))[0];
    let (context, action) = world.request(0, new, &[]);
    assert_eq!(
        (action, world.carries(0, context)),
        (Continue, Some("Bearer token-1"))
    );
    // An attempt before carried a token of the old configuration.
    world.end(0, old);
    world.pass(200);
    let (context, _) = world.again(0, new, held);
    assert_eq!(
        world.see(0, context).properties["svcauth"]
            .split(' ')
            .nth(1),
        Some("kind=service")
    );
    assert!(world.under_way().is_empty());
    assert_eq!(world.counted("svcauth.smd.token_requests"), 1);
}

#[test]
fn two_configurations_of_one_vm_id_do_not_get_each_others_tokens() {
    let mut world = World::new(1);
    let one = world.configure(&document(ATTACH))[0];
    let two = world.configure(&document(ATTACH).replace("\"read\"", "\"write\""))[0];
    world.pass(5);
    assert_eq!(world.under_way().len(), 2);
    world.grant("token-read", 60);
    world.grant("token-write", 60);
    let contexts = [one, two].map(|root| world.request(0, root, &[]).0);
    let carried = contexts.map(|context| world.carries(0, context).unwrap());
    assert_ne!(carried[0], carried[1]);
}

#[test]
fn without_sharing_each_thread_gets_its_own() {
    let mut world = World::new(2);
    world.configure(&document(&format!("{ATTACH}, \"sharing\": false")));
    world.pass(50);
    assert_eq!(world.under_way().len(), 2);
    assert!(world.common.borrow().shared.is_empty());
}

#[test]
fn nothing_is_asked_for_before_a_request_where_it_is_not_to_be() {
    let mut world = World::new(1);
    let root = world.configure(&document(&format!(
        "{ATTACH}, \"eager\": false, \"audit\": false"
    )))[0];
    world.pass(2_000);
    assert!(world.under_way().is_empty());
    let (context, _) = world.request(0, root, &[]);
    world.pass(2);
    world.grant("token-1", 60);
    assert_eq!(world.carries(0, context), Some("Bearer token-1"));
    assert!(!world.see(0, context).properties.contains_key("svcauth"));
}

#[test]
fn shared_data_of_another_version_is_told_and_left_behind() {
    let mut world = World::new(2);
    let roots = world.configure(&document(ATTACH));
    world.pass(5);
    world.grant("token-1", 60);
    for (value, version) in world.common.borrow_mut().shared.values_mut() {
        let text = String::from_utf8(value.clone()).unwrap();
        *value = text
            .replace("\"format\":1,\"refused\"", "\"format\":9,\"refused\"")
            .into_bytes();
        *version += 1_000;
    }
    world.common.borrow_mut().version += 1_000;
    let (context, _) = world.request(1, roots[1], &[]);
    world.pass(20);
    assert!(world.logged("store_corrupt") >= 1);
    world.grant("token-2", 60);
    assert_eq!(world.carries(1, context), Some("Bearer token-2"));
}

#[test]
fn a_request_without_a_valid_configuration_is_answered_503() {
    let mut world = World::new(1);
    let root = world.number();
    world.workers[0].filter.create(root, 0);
    let (context, action) = world.request(0, root, &[]);
    assert_eq!(
        (action, world.code(0, context)),
        (Pause, "svcauth_invalid_configuration")
    );
    let (context, action) = world.request(0, 12_345, &[]);
    assert_eq!(
        (action, world.code(0, context)),
        (Pause, "svcauth_internal")
    );
    assert!(world.try_configure(0, b"{}").is_none());
    assert!(world.logged("(invalid_configuration)") >= 1);
}

#[test]
fn a_request_on_which_no_token_can_be_put_does_not_go_on() {
    let (mut world, root) = ready(ATTACH);
    world.common.borrow_mut().headers_fail = true;
    let (context, action) = world.request(0, root, &[]);
    assert_eq!(
        (action, world.code(0, context)),
        (Pause, "svcauth_internal")
    );
}

#[test]
fn an_inline_secret_is_warned_about_and_not_shown() {
    let mut world = World::new(1);
    let text = document(ATTACH).replace(r#""env": "BSS_SECRET""#, r#""value": "inline-secret""#);
    world.configure(&text);
    assert_eq!(world.logged("client.credentials[0].client_secret.value"), 1);
    world.pass(5);
    world.assert_hidden(&["inline-secret"]);
}

#[test]
fn two_active_secrets_are_rotated_without_a_failed_request() {
    let text = document(ATTACH).replace(
        r#"{ "client_id": "bss", "client_secret": { "env": "BSS_SECRET" } }"#,
        r#"{ "client_id": "bss", "client_secret": { "env": "BSS_SECRET" } },
           { "client_id": "bss", "client_secret": { "env": "BSS_NEXT" } }"#,
    );
    let mut world = World::new(2);
    for worker in &mut world.workers {
        worker.proxy.variables.insert("BSS_NEXT", "the-next-secret");
    }
    let roots = world.configure(&text);
    let held = world.request(1, roots[1], &[]).0;
    world.pass(2);
    world.answer("401", r#"{"error":"invalid_client"}"#);
    world.pass(2);
    world.grant("token-1", 60);
    world.pass(101);
    assert_eq!(world.carries(1, held), Some("Bearer token-1"));
    assert_eq!(world.logged("credential_promoted"), 2, "each thread knows");
    world.assert_hidden(&["the-next-secret", "the-client-secret", "token-1"]);
}
