//! Sessions: wip
mod caching;
mod capture;
mod cookie;
mod id;
mod jwt;
mod record;
