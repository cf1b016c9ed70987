//! Builds token requests and parses answers, for callgrind.

fn main() {
    svcauth_bench::repeat(&svcauth_bench::svcauth());
}
