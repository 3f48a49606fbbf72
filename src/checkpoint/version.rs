//! The version of a channel.
//!
//! A checkpoint names one for each of its channels, and each value is stored under one, so what a thread takes is to a good part
//! versions. Those that the saver makes are texts of 49 characters which say no more than two numbers, and are kept as these.

use serde::{Serialize, Serializer};

use super::fields::Fields;
use super::record::Record;
use crate::msgpack::Item;

/// The version of a channel: three types that never equal one another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Version<'a> {
    /// A whole number.
    Integer(i64),
    /// A floating number.
    Float(f64),
    /// A text.
    Text(&'a str),
    /// A text as the saver makes them.
    Made(Made),
}

impl Version<'_> {
    /// The same version, in the one form in which it is stored.
    pub(super) fn stored(self) -> Self {
        match self {
            Self::Text(text) => Made::of(text).map_or(self, Self::Made),
            other => other,
        }
    }

    /// Whether it is the same to the bit, where equal floats need not be.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Float(one), Self::Float(two)) => one.to_bits() == two.to_bits(),
            _ => self == other,
        }
    }
}

/// What a version of the saver says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Made {
    /// Below 2^63.
    pub(super) number: u64,
    pub(super) random: u64,
}

/// The decimal digits of the number, and with a point behind it the hexadecimal ones of the random part.
const NUMBER_DIGITS: usize = 32;
const MADE_LENGTH: usize = NUMBER_DIGITS + 1 + 16;

impl Made {
    /// What `text` says; `None` where it is another text than [`Made::text`] gives.
    fn of(text: &str) -> Option<Self> {
        let text: &[u8; MADE_LENGTH] = text.as_bytes().try_into().ok()?;
        let (number, [b'.', random @ ..]) = text.split_at(NUMBER_DIGITS) else { return None };
        let mut value: u64 = 0;
        for digit in without_zeros(number) {
            let digit = Some(digit.wrapping_sub(b'0')).filter(|digit| *digit < 10)?;
            value = value.checked_mul(10)?.checked_add(digit.into())?;
        }
        let is_hexadecimal =
            random.iter().fold(true, |so_far, digit| so_far & matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
        if !is_hexadecimal {
            return None;
        }
        // The letters have bit 6, and 1 to 6 in the lowest four.
        let bits = random.iter().fold(0, |bits, digit| bits << 4 | u64::from((digit & 15) + 9 * (digit >> 6)));
        (value <= i64::MAX as u64).then_some(Self { number: value, random: bits })
    }

    /// The text that it stands for.
    pub fn text(self) -> MadeText {
        let mut text = [b'0'; MADE_LENGTH];
        text[NUMBER_DIGITS] = b'.';
        let (mut number, mut random) = (self.number, self.random);
        for digit in text[..NUMBER_DIGITS].iter_mut().rev() {
            if number == 0 {
                break;
            }
            *digit = b'0' + (number % 10) as u8;
            number /= 10;
        }
        for digit in text[NUMBER_DIGITS + 1..].iter_mut().rev() {
            *digit = b"0123456789abcdef"[(random % 16) as usize];
            random /= 16;
        }
        MadeText(text)
    }
}

/// The digits without most of the zeros that nearly all of them begin with.
fn without_zeros(mut digits: &[u8]) -> &[u8] {
    digits = digits.strip_prefix(&[b'0'; 16]).unwrap_or(digits);
    digits = digits.strip_prefix(&[b'0'; 8]).unwrap_or(digits);
    digits.strip_prefix(&[b'0'; 4]).unwrap_or(digits)
}

/// The text of a version that the saver made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MadeText([u8; MADE_LENGTH]);

impl MadeText {
    /// The text.
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.0).expect("digits are ASCII")
    }
}

impl Serialize for Version<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.stored() {
            Self::Integer(integer) => serializer.serialize_i64(integer),
            Self::Float(float) => serializer.serialize_f64(float),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Made(Made { number, random }) => (number, random).serialize(serializer),
        }
    }
}

impl<'a> Record<'a> for Version<'a> {
    fn read(fields: &mut Fields<'a>) -> Option<Self> {
        match fields.item()? {
            Item::Unsigned(integer) => i64::try_from(integer).ok().map(Self::Integer),
            Item::Signed(integer) => Some(Self::Integer(integer)),
            Item::Float(float) => Some(Self::Float(float)),
            Item::Str(text) => str::from_utf8(text).ok().map(Self::Text),
            Item::Array(2) => Some(Self::Made(Made { number: fields.count()?, random: fields.count()? })),
            _ => None,
        }
    }
}
