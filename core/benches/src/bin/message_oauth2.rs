//! Builds token requests and parses answers, for callgrind.

fn main() {
    svcauth_bench::repeat(&svcauth_bench::oauth2_crate());
}
