//! Which names a listener goes by: a page of another site may have had its own name resolved to this machine.

use std::net::{IpAddr, SocketAddr};

use axum::http::header;
use axum::http::request::Parts;
use axum::http::uri::{Authority, Uri};

use super::refusal::{Reason, Result};
use crate::error::Error;

/// The names of one listener: loopback, its address, and its public name.
pub(super) struct Hosts {
    address: SocketAddr,
    public: Option<String>,
}

impl Hosts {
    /// The names of a listener at `address`, whose public name is `public`.
    pub(super) fn new(address: SocketAddr, public: Option<String>) -> Self {
        Self { address, public }
    }

    /// Refuses a request whose Host is none of the names.
    pub(super) fn check(&self, parts: &Parts) -> Result<()> {
        let mut given = parts.headers.get_all(header::HOST).iter();
        let (Some(host), None) = (given.next(), given.next()) else { return Err(Reason::Misdirected.into()) };
        let authority = host.to_str().ok().and_then(|host| host.parse::<Authority>().ok());
        let is_ours = |authority: &Authority| !authority.as_str().contains('@') && self.is_ours(authority.host());
        // A request line may name a server too, and then the two may differ.
        match authority.as_ref().is_some_and(is_ours) && parts.uri.authority().is_none_or(is_ours) {
            true => Ok(()),
            false => Err(Reason::Misdirected.into()),
        }
    }

    fn is_ours(&self, host: &str) -> bool {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let is_address = bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback() || ip == self.address.ip());
        let is_public = self.public.as_deref().is_some_and(|public| public.eq_ignore_ascii_case(host));
        is_address || is_public || host.eq_ignore_ascii_case("localhost")
    }
}

/// The parts of a URL that clients use.
///
/// # Errors
/// `Invalid` for what is no URL of `http` or `https`; `what` begins the message.
pub(super) fn public(what: &str, url: &str) -> crate::error::Result<Uri> {
    let wrong = || Error::invalid(format!("{what} must be like https://kv.example.org, not {url:?}"));
    let uri: Uri = url.parse().map_err(|_| wrong())?;
    match (uri.scheme_str(), uri.host()) {
        (Some("http" | "https"), Some(_)) => Ok(uri),
        _ => Err(wrong()),
    }
}
