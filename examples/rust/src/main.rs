//! A boot script service: for `GET /boot/v1/bootscript?name=x0c0s0b0n0` it asks SMD what the node is, and
//! answers with a script for iPXE.
//!
//! `boot-scripts svcauth.json http://smd:27779 [127.0.0.1:27778]`
//!
//! A node that boots has no user: SMD is called with the service's own token. `GET /boot/v1/service/status`
//! is for probes. A request that carries a user's token passes it on to SMD, and svcauth sees to it that it
//! goes nowhere else.

use std::{env, error::Error, time::Duration};
use svcauth::{Client, UserToken};
use tiny_http::{Request, Response, Server};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let (config, smd, address) = match arguments.as_slice() {
        [config, smd] => (config, smd, "127.0.0.1:27778"),
        [config, smd, address] => (config, smd, address.as_str()),
        _ => return Err("usage: boot-scripts CONFIGURATION SMD-URL [ADDRESS:PORT]".into()),
    };
    let client = Client::open(config)?;
    // Better to be late than to answer the first node with an error; but a server that is away for longer
    // must not keep this one from starting.
    if let Err(error) = client.ready(Duration::from_secs(5)) {
        eprintln!("no token yet: {error}");
    }
    let server = Server::http(address).map_err(|error| error.to_string())?;
    println!("listening on http://{}", server.server_addr());
    for request in server.incoming_requests() {
        let (status, text) = answer(&client, smd, &request);
        request.respond(Response::from_string(text).with_status_code(status))?;
    }
    Ok(())
}

fn answer(client: &Client, smd: &str, request: &Request) -> (u16, String) {
    match request.url().split_once('?').unwrap_or((request.url(), "")) {
        ("/boot/v1/bootscript", query) => match query.strip_prefix("name=") {
            Some(name) if name.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {
                boot_script(client, smd, name, user_token(request)).unwrap_or_else(|error| {
                    eprintln!("{name}: {error}");
                    (502, "SMD could not be asked\n".into())
                })
            }
            _ => (400, "say ?name=x0c0s0b0n0\n".into()),
        },
        ("/boot/v1/service/status", _) => {
            let health = client.health();
            (
                if health.is_ready() { 200 } else { 503 },
                format!("{health:#?}\n"),
            )
        }
        _ => (404, "no such page\n".into()),
    }
}

fn boot_script(
    client: &Client,
    smd: &str,
    name: &str,
    user: Option<UserToken>,
) -> Result<(u16, String), Box<dyn Error>> {
    let mut call = client
        .agent()
        .get(format!("{smd}/hsm/v2/State/Components/{name}"))
        .config()
        .http_status_as_error(false)
        .build();
    if let Some(user) = user {
        call = call.extension(user);
    }
    let mut response = call.call()?;
    let status = response.status().as_u16();
    if status != 200 {
        return Ok((status, format!("SMD answered {status} for {name}\n")));
    }
    let node: serde_json::Value = serde_json::from_str(&response.body_mut().read_to_string()?)?;
    let role = node["Role"].as_str().unwrap_or("Unknown");
    Ok((
        200,
        format!("#!ipxe\nkernel vmlinuz xname={name} role={role}\ninitrd initramfs.img\nboot\n"),
    ))
}

fn user_token(request: &Request) -> Option<UserToken> {
    let header = request
        .headers()
        .iter()
        .find(|header| header.field.equiv("Authorization"))?;
    header
        .value
        .as_str()
        .strip_prefix("Bearer ")
        .map(UserToken::new)
}
