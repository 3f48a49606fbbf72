//! Names: what may be one, and how several parts become one.
//!
//! A namespace, a key and a prefix are UTF-8 of at most [`MAX_NAME_BYTES`]. Several parts are joined by [`KeyWriter`] and
//! nowhere else: the encoding keeps order (`a < b` exactly when `encode(a) < encode(b)`, part by part) and is one to one, so
//! that a scan by the first parts never meets a neighbour's keys, whatever characters the parts hold.

use std::borrow::Cow;

use crate::error::{Error, Result};

/// The longest name, in bytes of UTF-8.
pub const MAX_NAME_BYTES: usize = 4096;

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type<'a>(Cow<'a, str>);

        impl<'a> $type<'a> {
            /// Checks and wraps a name.
            ///
            /// # Errors
            /// [`Error::Invalid`] above [`MAX_NAME_BYTES`].
            #[inline(always)]
            pub fn new(name: impl Into<Cow<'a, str>>) -> Result<Self> {
                let name = name.into();
                if name.len() > MAX_NAME_BYTES {
                    return Err(too_long($what, name.len()));
                }
                Ok(Self(name))
            }

            /// The name as it was given.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The name's UTF-8.
            pub fn as_bytes(&self) -> &[u8] {
                self.0.as_bytes()
            }

            /// The same name, borrowed from this one.
            pub fn borrow(&self) -> $type<'_> {
                $type(Cow::Borrowed(&self.0))
            }

            /// The same name, owning its text.
            pub fn into_owned(self) -> $type<'static> {
                $type(Cow::Owned(self.0.into_owned()))
            }
        }
    };
}

name! {
    /// The first half of an entry's address: entries of one namespace are listed, copied and deleted together.
    Namespace, "namespace"
}
name! {
    /// The second half of an entry's address.
    Key, "key"
}
name! {
    /// What the names of a listing begin with. A range, never a pattern: `%`, `_` and `*` mean themselves, and case counts.
    Prefix, "prefix"
}

#[cold]
fn too_long(what: &str, length: usize) -> Error {
    Error::invalid(format!("a {what} of {length} bytes is longer than {MAX_NAME_BYTES}"))
}

/// Ends a text part. It sorts below every byte that a part can hold, so a part sorts before its own continuations.
const END: char = '\u{0}';
/// Stands before a character that [`END`] and `ESCAPE` themselves would be mistaken for.
const ESCAPE: char = '\u{1}';
const ESCAPED_NUL: char = '\u{1}';
const ESCAPED_ESCAPE: char = '\u{2}';
/// The digits of numbers: those of base64url, but in the order of ASCII, so that text order is number order.
const DIGITS: &[u8; 64] = b"-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz";
const BITS_PER_DIGIT: u32 = 6;
/// Digits of a number part, of 64 bits.
const NUMBER_DIGITS: usize = 11;

/// Joins parts into one name.
///
/// # Example
/// ```
/// use swarmstate::key::{KeyReader, KeyWriter};
///
/// let name = KeyWriter::new().text("task\u{0}7").number(-4).finish();
/// let mut parts = KeyReader::new(&name);
/// assert_eq!(parts.text().as_deref(), Some("task\u{0}7"));
/// assert_eq!(parts.number(), Some(-4));
/// assert!(parts.is_at_end());
/// ```
#[derive(Clone, Debug)]
pub struct KeyWriter(String);

impl Default for KeyWriter {
    fn default() -> Self {
        Self::new()
    }
}

impl KeyWriter {
    /// An empty name, with room for what most names need.
    pub fn new() -> Self {
        Self(String::with_capacity(128))
    }

    /// Adds characters as they stand. Only a fixed tag may be written so: it is not ended, and a reader must expect it.
    pub fn tag(mut self, tag: &str) -> Self {
        self.0.push_str(tag);
        self
    }

    /// Adds a part that may hold any characters.
    pub fn text(mut self, part: &str) -> Self {
        if part.bytes().all(|byte| byte > ESCAPE as u8) {
            self.0.push_str(part);
        } else {
            part.chars().for_each(|character| push_escaped(&mut self.0, character));
        }
        self.0.push(END);
        self
    }

    /// Adds the beginning of a text part: the name is what all names with such a part begin with. Nothing may follow it.
    pub fn beginning(self, part: &str) -> Self {
        let mut name = self.text(part);
        name.0.pop();
        name
    }

    /// Adds a number, which sorts among numbers by its value.
    pub fn number(self, part: i64) -> Self {
        self.digits::<NUMBER_DIGITS>((part.cast_unsigned() ^ (1 << 63)).into())
    }

    /// Adds the lowest bits of a number as so many digits; they sort by their value.
    pub(crate) fn digits<const COUNT: usize>(mut self, number: u128) -> Self {
        let mut rest = number;
        let mut digits = [0; COUNT];
        for digit in digits.iter_mut().rev() {
            *digit = DIGITS[(rest % 64) as usize];
            rest >>= BITS_PER_DIGIT;
        }
        self.0.push_str(str::from_utf8(&digits).expect("digits are ASCII"));
        self
    }

    /// The name.
    pub fn finish(self) -> String {
        self.0
    }
}

fn push_escaped(out: &mut String, character: char) {
    match character {
        END => out.extend([ESCAPE, ESCAPED_NUL]),
        ESCAPE => out.extend([ESCAPE, ESCAPED_ESCAPE]),
        other => out.push(other),
    }
}

/// Splits a name that [`KeyWriter`] joined, part by part in the same order.
#[derive(Clone, Debug)]
pub struct KeyReader<'a>(&'a str);

impl<'a> KeyReader<'a> {
    /// Starts at the beginning of `name`.
    pub fn new(name: &'a str) -> Self {
        Self(name)
    }

    /// Passes `tag`; `None`, and nothing is passed, where something else stands.
    pub fn tag(&mut self, tag: &str) -> Option<()> {
        self.0 = self.0.strip_prefix(tag)?;
        Some(())
    }

    /// Reads a text part; `None` where no such part stands.
    pub fn text(&mut self) -> Option<Cow<'a, str>> {
        let (part, rest) = self.0.split_once(END)?;
        let text = unescape(part)?;
        self.0 = rest;
        Some(text)
    }

    /// Reads a number; `None` where none stands.
    pub fn number(&mut self) -> Option<i64> {
        let (digits, rest) = self.0.split_at_checked(NUMBER_DIGITS)?;
        let mut ordered: u128 = 0;
        for digit in digits.bytes() {
            ordered = ordered << BITS_PER_DIGIT | DIGITS.binary_search(&digit).ok()? as u128;
        }
        let ordered = u64::try_from(ordered).ok()?;
        self.0 = rest;
        Some((ordered ^ (1 << 63)).cast_signed())
    }

    /// Whether every part has been read.
    pub fn is_at_end(&self) -> bool {
        self.0.is_empty()
    }
}

fn unescape(part: &str) -> Option<Cow<'_, str>> {
    if !part.contains(ESCAPE) {
        return Some(Cow::Borrowed(part));
    }
    let mut text = String::with_capacity(part.len());
    let mut characters = part.chars();
    while let Some(character) = characters.next() {
        text.push(match character {
            ESCAPE => match characters.next()? {
                ESCAPED_NUL => END,
                ESCAPED_ESCAPE => ESCAPE,
                _ => return None,
            },
            other => other,
        });
    }
    Some(Cow::Owned(text))
}
