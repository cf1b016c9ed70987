/// The two clocks of a host, read together.
///
/// Schedules run on the monotonic one; what leaves the process (`exp`, saved leases) is in wall time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// A clock that never goes back, in milliseconds from any fixed point. It may count sleep or not.
    pub mono_ms: u64,
    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub wall_ms: u64,
}
