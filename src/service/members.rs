//! What a JSON body says: its members, each as the exact msgpack of its value.
//!
//! A body is one JSON object. Members that nobody asks for are ignored, equal names are refused wherever they stand, and null is
//! no value for an optional member.

use std::collections::HashSet;

use crate::error::{Error, Result};
use crate::msgpack::from_json;
use crate::msgpack::{Item, MAX_DEPTH, Malformed, Reader, Role, Walk};

/// The largest integer that every JSON reader holds exactly, and the smallest below zero.
pub const MAX_SAFE_INTEGER: i64 = (1 << 53) - 1;

/// How much deeper than a value itself a body nests: an object in a list in an object.
const ENVELOPE_DEPTH: usize = 3;

/// How deep a body nests.
const BODY_DEPTH: usize = MAX_DEPTH + ENVELOPE_DEPTH;

/// Reads a body as msgpack.
///
/// # Errors
/// `Invalid` for what is not one JSON value, or nests too deep.
pub fn decode(body: &[u8]) -> Result<Vec<u8>> {
    from_json(body, BODY_DEPTH).map_err(|error| Error::invalid(error.to_string()))
}

/// The members of one object.
#[derive(Debug)]
pub struct Members<'a>(Vec<(&'a str, &'a [u8])>);

impl<'a> Members<'a> {
    /// The members of an object, or none where it is nil.
    ///
    /// # Errors
    /// As [`Members::of`].
    pub fn of_optional(object: &'a [u8]) -> Result<Self> {
        match Reader::new(object, 0).item() {
            Ok(Item::Nil) => Ok(Self(Vec::new())),
            _ => Self::of(object),
        }
    }

    /// The members of `object`.
    ///
    /// # Errors
    /// `Invalid` for another value, and for equal names.
    pub fn of(object: &'a [u8]) -> Result<Self> {
        let mut reader = Reader::new(object, 0);
        let pairs = match reader.item().map_err(malformed)? {
            Item::Map(pairs) => pairs,
            _ => return Err(Error::invalid("the body must be a JSON object")),
        };
        let (mut members, mut names) = (Vec::new(), HashSet::new());
        let mut at = reader.offset();
        for _ in 0..pairs {
            let (name, start) = member_name(object, at)?;
            if !names.insert(name) {
                return Err(named_twice(name.as_bytes()));
            }
            at = skip(object, start)?;
            let value = &object[start..at];
            check_names(value)?;
            members.push((name, value));
        }
        Ok(Self(members))
    }

    /// The member `name`; `None` where there is none, or null where it may be null.
    pub fn raw(&self, name: &str) -> Option<&'a [u8]> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }

    /// A text, if the member is there.
    ///
    /// # Errors
    /// `Invalid` for another value.
    pub fn text(&self, name: &str) -> Result<Option<&'a str>> {
        let Some(value) = self.raw(name) else { return Ok(None) };
        text(value).map(Some).ok_or_else(|| Error::invalid(format!("{name:?} must be a string")))
    }

    /// A text that must be there.
    ///
    /// # Errors
    /// `Invalid` where it is not, or is another value.
    pub fn required_text(&self, name: &str) -> Result<&'a str> {
        self.text(name)?.ok_or_else(|| Error::invalid(format!("{name:?} is missing; it must be a string")))
    }

    /// A boolean, if the member is there.
    ///
    /// # Errors
    /// `Invalid` for another value.
    pub fn flag(&self, name: &str) -> Result<Option<bool>> {
        match self.raw(name).map(|value| Reader::new(value, 0).item()) {
            None => Ok(None),
            Some(Ok(Item::Bool(flag))) => Ok(Some(flag)),
            Some(_) => Err(Error::invalid(format!("{name:?} must be true or false"))),
        }
    }

    /// An integer within ±(2⁵³−1), if the member is there.
    ///
    /// # Errors
    /// `Invalid` for another value.
    pub fn integer(&self, name: &str) -> Result<Option<i64>> {
        let Some(value) = self.raw(name) else { return Ok(None) };
        safe_integer(value)
            .map(Some)
            .ok_or_else(|| Error::invalid(format!("{name:?} must be an integer within ±(2^53-1)")))
    }

    /// A revision: an integer from 0 up.
    ///
    /// # Errors
    /// `Invalid` for another value.
    pub fn revision(&self, name: &str) -> Result<Option<u64>> {
        let Some(revision) = self.integer(name)? else { return Ok(None) };
        u64::try_from(revision)
            .map(Some)
            .map_err(|_| Error::invalid(format!("{name:?} is a revision and must not be negative")))
    }

    /// The items of a list that must be there.
    ///
    /// # Errors
    /// `Invalid` where it is not, or is another value.
    pub fn list(&self, name: &str) -> Result<Vec<&'a [u8]>> {
        let wrong = || Error::invalid(format!("{name:?} must be a list"));
        let value = self.raw(name).ok_or_else(wrong)?;
        let mut reader = Reader::new(value, 0);
        let Ok(Item::Array(count)) = reader.item() else { return Err(wrong()) };
        let mut at = reader.offset();
        (0..count)
            .map(|_| {
                let start = at;
                at = skip(value, start)?;
                Ok(&value[start..at])
            })
            .collect()
    }
}

/// Where the value that starts at `from` ends.
fn skip(bytes: &[u8], from: usize) -> Result<usize> {
    let mut walk = Walk::to_depth(bytes, from, BODY_DEPTH);
    while walk.advance().map_err(malformed)?.is_some() {}
    Ok(walk.offset())
}

fn member_name(object: &[u8], at: usize) -> Result<(&str, usize)> {
    let mut reader = Reader::new(object, at);
    match reader.item().map_err(malformed)? {
        Item::Str(name) => {
            let name = std::str::from_utf8(name).map_err(|_| Error::invalid("a member's name is not UTF-8"))?;
            Ok((name, reader.offset()))
        }
        _ => Err(Error::invalid("a member's name must be a string")),
    }
}

/// Refuses equal names in every object of `value`.
fn check_names(value: &[u8]) -> Result<()> {
    if !kind_is_container(value) {
        return Ok(());
    }
    let mut walk = Walk::to_depth(value, 0, BODY_DEPTH);
    let mut open: Vec<HashSet<&[u8]>> = Vec::new();
    while let Some(step) = walk.advance().map_err(malformed)? {
        open.truncate(step.depth);
        if let (Role::Key, Item::Str(name), Some(names)) = (step.role, step.item, open.last_mut())
            && !names.insert(name)
        {
            return Err(named_twice(name));
        }
        if matches!(step.item, Item::Array(_) | Item::Map(_)) {
            open.push(HashSet::new());
        }
    }
    Ok(())
}

fn kind_is_container(value: &[u8]) -> bool {
    matches!(Reader::new(value, 0).item(), Ok(Item::Array(_) | Item::Map(_)))
}

#[cold]
fn named_twice(name: &[u8]) -> Error {
    Error::invalid(format!("the member {:?} stands twice in one object", String::from_utf8_lossy(name)))
}

fn malformed(error: Malformed) -> Error {
    Error::invalid(format!("the body cannot be read: {error}"))
}

/// The text that `value` is.
pub fn text(value: &[u8]) -> Option<&str> {
    match Reader::new(value, 0).item() {
        Ok(Item::Str(text)) => std::str::from_utf8(text).ok(),
        _ => None,
    }
}

/// The integer within ±(2⁵³−1) that `value` is, also as a float without a fraction.
pub fn safe_integer(value: &[u8]) -> Option<i64> {
    let integer = match Reader::new(value, 0).item().ok()? {
        Item::Unsigned(integer) => i64::try_from(integer).ok()?,
        Item::Signed(integer) => integer,
        Item::Float(float) if float.fract() == 0.0 && float.abs() <= MAX_SAFE_INTEGER as f64 => float as i64,
        _ => return None,
    };
    is_safe(integer).then_some(integer)
}

/// Whether an integer is within ±(2⁵³−1).
pub fn is_safe(integer: i64) -> bool {
    (-MAX_SAFE_INTEGER..=MAX_SAFE_INTEGER).contains(&integer)
}
