//! svcauth-core
