//! URLs that look like a target's and are not.

use crate::{random::Random, setup::ISSUER};

pub(crate) fn hostile(base: &str, knows_endpoints: bool, random: &mut Random) -> String {
    let base = base.trim_end_matches('/');
    let (scheme, rest) = base.split_once("://").unwrap_or(("https", base));
    let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    let host = authority.split(':').next().unwrap_or(authority);
    match random.below(22) {
        0 => format!("http://{authority}{path}"),
        1 => format!("https://{host}:9999{path}"),
        2 => format!("https://{authority}@elsewhere.sim{path}"),
        3 => format!("https://user@{authority}{path}"),
        4 => format!("https://{host}.elsewhere.sim{path}"),
        5 => format!("https://x{authority}{path}"),
        6 => format!("{base}/../other"),
        7 => format!("{base}/%2e%2e/other"),
        8 => format!("{base}/%2E./other"),
        9 => format!("{base}/..%2fother"),
        10 => format!("{base}/a%5c..%5cother"),
        11 => format!("{base}/a\\..\\other"),
        12 => format!("{base}/./a"),
        13 => format!("{scheme}:/{authority}{path}"),
        14 => format!("{scheme}:\\\\{authority}{path}"),
        15 => format!("{base}/a\r\nhost: elsewhere.sim"),
        16 => format!("{base}/a%00b"),
        17 if knows_endpoints => format!("{ISSUER}/oauth2/token"),
        18 if knows_endpoints => format!("{ISSUER}/oauth2/token/?a=b"),
        19 => format!("//{authority}{path}"),
        20 => format!("https://elsewhere.sim/{base}"),
        // A longer segment is another one; where there is no path, another host.
        _ => format!("{base}x"),
    }
}
