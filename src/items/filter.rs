//! Which items a search keeps: conditions on the fields of their values, judged on msgpack.
//!
//! Values equal one another as they do in Python: 1, 1.0 and True are one, the order of a dict's keys does not count. A missing
//! field is None. What cannot be compared by size, such as a text with a number, is not kept.

use std::borrow::Cow;
use std::cmp::Ordering;

use crate::error::{Error, Result};
use crate::msgpack::{Item, MAX_DEPTH, Reader, skip};

/// Conditions that all must hold; the default keeps everything.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter(Vec<(String, Test)>);

#[derive(Clone, Debug, PartialEq)]
enum Test {
    Equals(Node<'static>),
    Differs(Node<'static>),
    /// The field compares with the node as one of these.
    Compares(Node<'static>, &'static [Ordering]),
    /// A dict whose fields pass.
    Fields(Vec<(Node<'static>, Test)>),
    /// A list of just so many elements, each of which passes.
    Elements(Vec<Test>),
    All(Vec<Test>),
}

/// One msgpack value, taken apart.
#[derive(Clone, Debug, PartialEq)]
enum Node<'a> {
    Nil,
    Bool(bool),
    Integer(i128),
    Float(f64),
    Text(Cow<'a, str>),
    Bytes(Cow<'a, [u8]>),
    List(Vec<Node<'a>>),
    Map(Vec<(Node<'a>, Node<'a>)>),
}

impl Filter {
    /// Reads a filter: a dict of fields, and what each must be: a value, or a dict of operators such as `{"$gt": 3}`.
    ///
    /// A field named with dots reaches into dicts, where no field has that very name.
    ///
    /// # Errors
    /// `Invalid` for an operator that does not exist, or when it is no dict with text keys.
    pub fn parse(msgpack: &[u8]) -> Result<Self> {
        let wrong = || Error::invalid("a filter is a dict whose keys are str".to_owned());
        let Some(Node::Map(pairs)) = Node::parse(msgpack) else { return Err(wrong()) };
        let fields = pairs.into_iter().map(|(name, wanted)| match name {
            Node::Text(name) => Ok((name.into_owned(), Test::of(wanted)?)),
            _ => Err(wrong()),
        });
        Ok(Self(fields.collect::<Result<_>>()?))
    }

    /// Whether it keeps everything.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a value, which is a dict in msgpack, passes; `None` when the bytes are no such value.
    pub(super) fn keeps(&self, value: &[u8]) -> Option<bool> {
        for (name, test) in &self.0 {
            let field = match find(value, name)? {
                Some(field) => field,
                None => reach(value, name)?,
            };
            if !test.passes(&field) {
                return Some(false);
            }
        }
        Some(true)
    }
}

/// The field of that very name; `Some(None)` where there is none.
fn find<'a>(value: &'a [u8], name: &str) -> Option<Option<Node<'a>>> {
    let mut reader = Reader::new(value, 0);
    let Ok(Item::Map(pairs)) = reader.item() else { return None };
    let (mut offset, mut found) = (reader.offset(), None);
    for _ in 0..pairs {
        let mut key = Reader::new(value, offset);
        let is_wanted = key.item().ok()? == Item::Str(name.as_bytes());
        let start = skip(value, offset).ok()?;
        offset = skip(value, start).ok()?;
        if is_wanted {
            found = Some(start..offset);
        }
    }
    match found {
        Some(field) => Node::parse(&value[field]).map(Some),
        None => Some(None),
    }
}

/// The field that a name with dots leads to; nil where it leads nowhere.
fn reach<'a>(value: &'a [u8], name: &str) -> Option<Node<'a>> {
    let mut names = name.split('.');
    let mut field = find(value, names.next()?)?.unwrap_or(Node::Nil);
    for name in names {
        field = field.take_field(&Node::Text(Cow::Borrowed(name)));
    }
    Some(field)
}

impl Test {
    fn of(wanted: Node<'_>) -> Result<Self> {
        Ok(match wanted {
            Node::Map(pairs) if pairs.iter().any(|(key, _)| key.is_operator()) => Self::All(
                pairs.into_iter().map(|(operator, operand)| Self::by(&operator, operand)).collect::<Result<_>>()?,
            ),
            Node::Map(pairs) => {
                let fields = pairs.into_iter().map(|(key, wanted)| Ok((key.into_owned(), Self::of(wanted)?)));
                Self::Fields(fields.collect::<Result<_>>()?)
            }
            Node::List(elements) => Self::Elements(elements.into_iter().map(Self::of).collect::<Result<_>>()?),
            scalar => Self::Equals(scalar.into_owned()),
        })
    }

    fn by(operator: &Node<'_>, operand: Node<'_>) -> Result<Self> {
        let operand = operand.into_owned();
        let Node::Text(name) = operator else { return Err(unknown(operator)) };
        Ok(match &**name {
            "$eq" => Self::Equals(operand),
            "$ne" => Self::Differs(operand),
            "$gt" => Self::Compares(operand, &[Ordering::Greater]),
            "$gte" => Self::Compares(operand, &[Ordering::Greater, Ordering::Equal]),
            "$lt" => Self::Compares(operand, &[Ordering::Less]),
            "$lte" => Self::Compares(operand, &[Ordering::Less, Ordering::Equal]),
            _ => return Err(unknown(operator)),
        })
    }

    fn passes(&self, field: &Node<'_>) -> bool {
        match self {
            Self::Equals(wanted) => field.equals(wanted),
            Self::Differs(wanted) => !field.equals(wanted),
            Self::Compares(wanted, orders) => field.compare(wanted).is_some_and(|order| orders.contains(&order)),
            Self::Fields(tests) => {
                let Node::Map(_) = field else { return false };
                tests.iter().all(|(key, test)| test.passes(field.field(key).unwrap_or(&Node::Nil)))
            }
            Self::Elements(tests) => match field {
                Node::List(elements) if elements.len() == tests.len() => {
                    tests.iter().zip(elements).all(|(test, element)| test.passes(element))
                }
                _ => false,
            },
            Self::All(tests) => tests.iter().all(|test| test.passes(field)),
        }
    }
}

#[cold]
fn unknown(operator: &Node<'_>) -> Error {
    let shown = if let Node::Text(name) = operator { name } else { "a key that is no str" };
    Error::invalid(format!("{shown} is no operator of a filter; there are $eq, $ne, $gt, $gte, $lt and $lte"))
}

impl<'a> Node<'a> {
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes, 0);
        let node = Self::read(&mut reader, MAX_DEPTH)?;
        reader.is_at_end().then_some(node)
    }

    fn read(reader: &mut Reader<'a>, depth: usize) -> Option<Self> {
        Some(match reader.item().ok()? {
            Item::Nil => Self::Nil,
            Item::Bool(flag) => Self::Bool(flag),
            Item::Unsigned(integer) => Self::Integer(integer.into()),
            Item::Signed(integer) => Self::Integer(integer.into()),
            Item::Float(float) => Self::Float(float),
            Item::Str(text) => Self::Text(Cow::Borrowed(std::str::from_utf8(text).ok()?)),
            Item::Bin(bytes) => Self::Bytes(Cow::Borrowed(bytes)),
            Item::Array(count) => {
                let depth = depth.checked_sub(1)?;
                Self::List((0..count).map(|_| Self::read(reader, depth)).collect::<Option<_>>()?)
            }
            Item::Map(count) => {
                let depth = depth.checked_sub(1)?;
                let mut pair = || Some((Self::read(reader, depth)?, Self::read(reader, depth)?));
                Self::Map((0..count).map(|_| pair()).collect::<Option<_>>()?)
            }
            Item::Ext(..) => return None,
        })
    }

    fn into_owned(self) -> Node<'static> {
        match self {
            Self::Nil => Node::Nil,
            Self::Bool(flag) => Node::Bool(flag),
            Self::Integer(integer) => Node::Integer(integer),
            Self::Float(float) => Node::Float(float),
            Self::Text(text) => Node::Text(Cow::Owned(text.into_owned())),
            Self::Bytes(bytes) => Node::Bytes(Cow::Owned(bytes.into_owned())),
            Self::List(elements) => Node::List(elements.into_iter().map(Node::into_owned).collect()),
            Self::Map(pairs) => {
                Node::Map(pairs.into_iter().map(|(key, value)| (key.into_owned(), value.into_owned())).collect())
            }
        }
    }

    fn is_operator(&self) -> bool {
        matches!(self, Self::Text(name) if name.starts_with('$'))
    }

    /// The last pair of that key, as in the dict that it was.
    fn field(&self, key: &Node<'_>) -> Option<&Self> {
        let Self::Map(pairs) = self else { return None };
        pairs.iter().rev().find(|(name, _)| name.equals(key)).map(|(_, value)| value)
    }

    fn take_field(self, key: &Node<'_>) -> Self {
        let Self::Map(pairs) = self else { return Self::Nil };
        pairs.into_iter().rev().find(|(name, _)| name.equals(key)).map_or(Self::Nil, |(_, value)| value)
    }

    fn equals(&self, other: &Node<'_>) -> bool {
        match (self, other) {
            (Self::Nil, Node::Nil) => true,
            (Self::Text(text), Node::Text(other)) => text == other,
            (Self::Bytes(bytes), Node::Bytes(other)) => bytes == other,
            (Self::List(elements), Node::List(others)) => {
                elements.len() == others.len() && elements.iter().zip(others).all(|(one, other)| one.equals(other))
            }
            (Self::Map(pairs), Node::Map(others)) => {
                pairs.len() == others.len()
                    && others.iter().all(|(key, other)| self.field(key).is_some_and(|value| value.equals(other)))
            }
            (Self::Float(float), Node::Float(other)) => float == other,
            _ => match (self.integer(), other.integer()) {
                (Some(one), Some(other)) => one == other,
                _ => false,
            },
        }
    }

    /// The whole number that it equals, if it is a number and there is one.
    fn integer(&self) -> Option<i128> {
        match *self {
            Self::Bool(flag) => Some(flag.into()),
            Self::Integer(integer) => Some(integer),
            // Beyond 2^64 there is no integer to compare with, and inside the conversion is exact.
            Self::Float(float) if float.fract() == 0.0 && float.abs() < 1e20 => Some(float as i128),
            _ => None,
        }
    }

    /// Compares numbers, and texts that spell numbers, by size, and other texts by their characters.
    fn compare(&self, other: &Node<'_>) -> Option<Ordering> {
        match (self.number(), other.number()) {
            (Some(one), Some(other)) => one.partial_cmp(&other),
            _ => match (self, other) {
                (Self::Text(text), Node::Text(other)) => Some(text.cmp(other)),
                _ => None,
            },
        }
    }

    fn number(&self) -> Option<f64> {
        match self {
            Self::Bool(flag) => Some(f64::from(u8::from(*flag))),
            Self::Integer(integer) => Some(*integer as f64),
            Self::Float(float) => Some(*float),
            Self::Text(text) => text.trim().parse().ok(),
            _ => None,
        }
    }
}
