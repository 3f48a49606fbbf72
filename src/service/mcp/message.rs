//! Messages of the protocol, with a tool's arguments taken out of them.
//!
//! The protocol's own reader rounds numbers, forgets the order of members and stops at 128 levels. So what a tool is given goes
//! past it: the arguments are read as a body at REST is, and the rest is small.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::value::{RawValue, to_raw_value};

use crate::service::members::decode;
use crate::service::ops::too_large;
use crate::service::refusal::{Refusal, Result};

/// The most bytes of a message besides the arguments of its tool.
const MAX_ENVELOPE: usize = 64 * 1024;

/// What a tool is given: msgpack, or why it cannot be read, which is the tool's to tell.
#[derive(Clone, Debug, Default)]
pub(super) struct Arguments(Option<Arc<Result<Vec<u8>>>>);

impl Arguments {
    /// The arguments as msgpack; nil where there are none.
    ///
    /// # Errors
    /// `Invalid` for what JSON does not hold exactly.
    pub(super) fn read(&self) -> Result<&[u8]> {
        const NIL: &[u8] = &[0xc0];
        match self.0.as_deref() {
            None => Ok(NIL),
            Some(Ok(arguments)) => Ok(arguments),
            Some(Err(refusal)) => Err(refusal.clone()),
        }
    }
}

/// Splits a message into the rest of it and the arguments of its tool.
///
/// # Errors
/// `Invalid` for what is not one JSON object, `TooLarge` where the rest has more than 64 KiB.
pub(super) fn split(message: &[u8]) -> Result<(Vec<u8>, Arguments)> {
    let wrong = |_| Refusal::invalid("the message is not one JSON object");
    let mut members: BTreeMap<String, &RawValue> = serde_json::from_slice(message).map_err(wrong)?;
    let mut arguments = Arguments::default();
    let params = members.get("params").and_then(|params| object(params)).map(|mut params| {
        let raw = params.remove("arguments");
        arguments.0 = raw.map(|raw| Arc::new(decode(raw.get().as_bytes()).map_err(Refusal::from)));
        to_raw_value(&params)
    });
    let params = params.transpose().map_err(wrong)?;
    if let Some(params) = &params {
        members.insert("params".to_owned(), params);
    }
    let rest = serde_json::to_vec(&members).map_err(wrong)?;
    match rest.len() > MAX_ENVELOPE {
        true => Err(too_large("the message without the tool's arguments, in bytes,", rest.len(), MAX_ENVELOPE)),
        false => Ok((rest, arguments)),
    }
}

fn object(params: &RawValue) -> Option<BTreeMap<String, &RawValue>> {
    serde_json::from_str(params.get()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(arguments: &str) -> Vec<u8> {
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"t","arguments":{arguments}}}}}"#)
            .into()
    }

    #[test]
    fn arguments_are_taken_out_of_a_message_and_the_rest_is_kept() {
        let (rest, arguments) = split(&message(r#"{"value":9007199254740993}"#)).expect("the message is one");

        assert_eq!(
            String::from_utf8(rest).as_deref(),
            Ok(r#"{"id":1,"jsonrpc":"2.0","method":"tools/call","params":{"name":"t"}}"#)
        );
        assert_eq!(arguments.read(), Ok(&decode(br#"{"value":9007199254740993}"#).expect("it is JSON")[..]));
    }

    #[test]
    fn arguments_that_would_have_to_be_rounded_or_guessed_are_refused_when_they_are_read() {
        for wrong in [r#"{"value":1e400}"#, r#"{"value":99999999999999999999}"#, r#"{"value":"\ud800"}"#] {
            let (rest, arguments) = split(&message(wrong)).expect("the rest can be read");
            assert!(rest.len() < 100 && arguments.read().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_message_without_arguments_has_none() {
        let (_, arguments) = split(br#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#).expect("the message is one");

        assert_eq!(arguments.read(), Ok(&[0xc0][..]));
    }

    #[test]
    fn what_is_no_object_or_has_a_large_rest_is_refused() {
        let large = format!(r#"{{"method":"{}"}}"#, "x".repeat(MAX_ENVELOPE));

        for wrong in ["", "[]", "{", "1", &large] {
            assert!(split(wrong.as_bytes()).is_err());
        }
        assert!(split(&message(&format!("\"{}\"", "x".repeat(2 * MAX_ENVELOPE)))).is_ok());
    }
}
