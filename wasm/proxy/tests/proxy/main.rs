//! The filter without a proxy: stories, tables and seeded lives.

mod lives;
mod settings;
mod stories;
mod world;
