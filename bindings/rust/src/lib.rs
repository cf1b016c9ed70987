//! svcauth
