//! Msgpack as JSON text and back, exactly.
//!
//! Text is written only for a value that reading it brings back byte for byte, and numbers are read as they stand: an integer
//! never becomes a float, and what 64 bits cannot hold is an error. Nothing here recurses, members keep their order, and the
//! memory that reading takes is bounded by the text. What goes in the place of a value that JSON cannot hold is for the caller.

use super::{Item, Malformed, Role, Walk, marker, write_array_head, write_f64, write_integer};
use super::{write_map_head, write_str, write_str_head, write_u64};

/// Text that is not one JSON value, or one that msgpack cannot hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed JSON at byte {offset}: {what}")]
pub struct BadJson {
    /// Where the offending part starts.
    pub offset: usize,
    /// What is wrong with it, one clause.
    pub what: &'static str,
}

/// Appends a value as JSON text without blanks or line breaks; `false`, and nothing is appended, where the text would not bring back
/// these very bytes, or would be longer than `limit`.
///
/// What JSON cannot hold: bin, ext, floats that are not finite or of the 32-bit form, map keys that are not str, and integers or
/// lengths that are not in their shortest form.
///
/// # Cost
/// O(n) time; at most `limit` and one text of memory.
///
/// # Errors
/// [`Malformed`] when `bytes` are not exactly one well-formed value; nothing is appended.
pub fn to_json(bytes: &[u8], out: &mut Vec<u8>, limit: usize) -> Result<bool, Malformed> {
    super::check(bytes)?;
    let start = out.len();
    let mut writer = Writer { out, open: Vec::new(), scratch: Vec::new() };
    let mut walk = Walk::new(bytes, 0);
    while let Some(step) = walk.advance()? {
        let encoded = &bytes[step.offset..walk.offset()];
        if !writer.item(step.role, &step.item, encoded) || writer.out.len() - start > limit {
            out.truncate(start);
            return Ok(false);
        }
    }
    Ok(true)
}

/// Appends a text as a JSON string.
pub fn write_json_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let mut written = 0;
    for (at, byte) in text.bytes().enumerate() {
        let Some(escape) = escape_of(byte) else { continue };
        out.extend_from_slice(&text.as_bytes()[written..at]);
        match escape {
            b'u' => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            letter => out.extend_from_slice(&[b'\\', letter]),
        }
        written = at + 1;
    }
    out.extend_from_slice(&text.as_bytes()[written..]);
    out.push(b'"');
}

/// The character behind the backslash that stands for `byte` in a string; `None` where it stands for itself.
fn escape_of(byte: u8) -> Option<u8> {
    match byte {
        b'"' | b'\\' => Some(byte),
        b'\n' => Some(b'n'),
        b'\r' => Some(b'r'),
        b'\t' => Some(b't'),
        0..0x20 => Some(b'u'),
        _ => None,
    }
}

struct Writer<'o> {
    out: &'o mut Vec<u8>,
    open: Vec<OpenText>,
    scratch: Vec<u8>,
}

/// A container whose end is still to be written.
struct OpenText {
    items: usize,
    left: usize,
    end: u8,
}

impl Writer<'_> {
    /// Writes an item; `false` where JSON cannot hold it as it is encoded.
    fn item(&mut self, role: Role, item: &Item<'_>, encoded: &[u8]) -> bool {
        if !self.is_canonical(item, encoded) || (role == Role::Key && !matches!(item, Item::Str(_))) {
            return false;
        }
        self.separate(role);
        match item {
            Item::Array(count) => return self.enter(*count, [b'[', b']']),
            Item::Map(pairs) => return self.enter(2 * pairs, [b'{', b'}']),
            Item::Nil => self.out.extend_from_slice(b"null"),
            Item::Bool(true) => self.out.extend_from_slice(b"true"),
            Item::Bool(false) => self.out.extend_from_slice(b"false"),
            Item::Unsigned(integer) => self.out.extend_from_slice(integer.to_string().as_bytes()),
            Item::Signed(integer) => self.out.extend_from_slice(integer.to_string().as_bytes()),
            // The shortest text that reads back as this float, and never that of an integer.
            Item::Float(float) => self.out.extend_from_slice(format!("{float:?}").as_bytes()),
            Item::Str(text) => match std::str::from_utf8(text) {
                Ok(text) => write_json_string(self.out, text),
                Err(_) => return false,
            },
            Item::Bin(_) | Item::Ext(..) => return false,
        }
        self.complete();
        true
    }

    /// Whether what is read back would be encoded so.
    fn is_canonical(&mut self, item: &Item<'_>, encoded: &[u8]) -> bool {
        self.scratch.clear();
        let out = &mut self.scratch;
        let mut text_bytes = 0;
        match item {
            Item::Nil | Item::Bool(_) => return true,
            Item::Unsigned(integer) => write_u64(out, *integer),
            Item::Signed(integer) => write_integer(out, *integer),
            Item::Float(float) if float.is_finite() => write_f64(out, *float),
            Item::Float(_) | Item::Bin(_) | Item::Ext(..) => return false,
            Item::Str(text) => {
                text_bytes = text.len();
                write_str_head(out, text_bytes).expect("it was read with a head");
            }
            Item::Array(count) => write_array_head(out, *count).expect("it was read with a head"),
            Item::Map(pairs) => write_map_head(out, *pairs).expect("it was read with a head"),
        }
        encoded[..encoded.len() - text_bytes] == self.scratch[..]
    }

    fn separate(&mut self, role: Role) {
        match role {
            Role::Value => self.out.push(b':'),
            Role::Root => {}
            Role::Element | Role::Key => {
                if self.open.last().is_some_and(|open| open.left < open.items) {
                    self.out.push(b',');
                }
            }
        }
    }

    fn enter(&mut self, items: usize, [begin, end]: [u8; 2]) -> bool {
        self.out.push(begin);
        if items == 0 {
            self.out.push(end);
            self.complete();
        } else {
            self.open.push(OpenText { items, left: items, end });
        }
        true
    }

    /// Counts an item that is written whole, and ends the containers that it was the last item of.
    fn complete(&mut self) {
        while let Some(open) = self.open.last_mut() {
            open.left -= 1;
            if open.left > 0 {
                return;
            }
            self.out.push(open.end);
            self.open.pop();
        }
    }
}

/// Reads exactly one JSON value, nested up to `max_depth` levels, and returns it as msgpack in its shortest form.
///
/// A number with a point or an exponent becomes a float, any other an integer. Members keep their order, and equal names stay.
///
/// # Cost
/// O(n) time, and memory of at most six times the text, where it is all numbers.
///
/// # Errors
/// [`BadJson`] names the first offending part.
pub fn from_json(text: &[u8], max_depth: usize) -> Result<Vec<u8>, BadJson> {
    if u32::try_from(text.len()).is_err() {
        return Err(BadJson { offset: 0, what: "the text is longer than 4 GiB" });
    }
    let text = std::str::from_utf8(text)
        .map_err(|error| BadJson { offset: error.valid_up_to(), what: "the text is not utf-8" })?;
    let mut scan = Scan { text, at: 0, body: Vec::new(), open: Vec::new(), long: Vec::new(), max_depth };
    scan.document()?;
    Ok(scan.finish())
}

struct Scan<'t> {
    text: &'t str,
    at: usize,
    /// The value, but for the heads of `long` containers, of which only a first byte stands there.
    body: Vec<u8>,
    open: Vec<Container>,
    /// The containers whose head takes more than one byte, in the order of their ends.
    long: Vec<Container>,
    max_depth: usize,
}

struct Container {
    /// Where its head stands in the body.
    head: usize,
    /// Its items, or pairs.
    count: usize,
    is_map: bool,
}

impl Scan<'_> {
    fn document(&mut self) -> Result<(), BadJson> {
        loop {
            self.blank();
            match self.peek() {
                Some(b'[') => {
                    self.enter(false)?;
                    if !self.passes(b']') {
                        continue;
                    }
                    self.leave();
                }
                Some(b'{') => {
                    self.enter(true)?;
                    if !self.passes(b'}') {
                        self.member_name()?;
                        continue;
                    }
                    self.leave();
                }
                _ => self.scalar()?,
            }
            if self.ends_containers()? {
                return Ok(());
            }
        }
    }

    /// After a whole value: passes what ends containers, and then a comma; `true` at the end of the text.
    fn ends_containers(&mut self) -> Result<bool, BadJson> {
        while let Some(open) = self.open.last_mut() {
            open.count += 1;
            let is_map = open.is_map;
            if self.passes(b',') {
                if is_map {
                    self.member_name()?;
                }
                return Ok(false);
            }
            if !self.passes(if is_map { b'}' } else { b']' }) {
                return Err(self.bad(self.at, "a comma or the end of what is open is missing"));
            }
            self.leave();
        }
        self.blank();
        if self.at == self.text.len() { Ok(true) } else { Err(self.bad(self.at, "more text follows the value")) }
    }

    fn bad(&self, offset: usize, what: &'static str) -> BadJson {
        BadJson { offset, what }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn blank(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// Passes blanks, and then `byte` if it stands there.
    fn passes(&mut self, byte: u8) -> bool {
        self.blank();
        let stands = self.peek() == Some(byte);
        self.at += usize::from(stands);
        stands
    }

    fn enter(&mut self, is_map: bool) -> Result<(), BadJson> {
        if self.open.len() == self.max_depth {
            return Err(self.bad(self.at, "nested too deep"));
        }
        self.at += 1;
        self.open.push(Container { head: self.body.len(), count: 0, is_map });
        self.body.push(0);
        Ok(())
    }

    fn leave(&mut self) {
        let Some(ended) = self.open.pop() else { return };
        let first = if ended.is_map { marker::FIXMAP } else { marker::FIXARRAY };
        match u8::try_from(ended.count) {
            Ok(count @ 0..=15) => self.body[ended.head] = first | count,
            _ => self.long.push(ended),
        }
    }

    fn member_name(&mut self) -> Result<(), BadJson> {
        self.blank();
        if self.peek() != Some(b'"') {
            return Err(self.bad(self.at, "a member's name is missing"));
        }
        self.string()?;
        if self.passes(b':') { Ok(()) } else { Err(self.bad(self.at, "a colon is missing")) }
    }

    fn scalar(&mut self) -> Result<(), BadJson> {
        match self.peek() {
            Some(b'"') => return self.string(),
            Some(b'-' | b'0'..=b'9') => return self.number(),
            _ => {}
        }
        let rest = &self.text[self.at..];
        for (word, first) in WORDS {
            if rest.starts_with(word) {
                self.body.push(first);
                self.at += word.len();
                return Ok(());
            }
        }
        Err(self.bad(self.at, if rest.is_empty() { "a value is missing" } else { "no value begins so" }))
    }

    fn number(&mut self) -> Result<(), BadJson> {
        let start = self.at;
        self.at += usize::from(self.peek() == Some(b'-'));
        let whole = self.digits()?;
        if whole > 1 && self.text.as_bytes()[self.at - whole] == b'0' {
            return Err(self.bad(start, "a number begins with 0"));
        }
        let mut is_float = false;
        if self.peek() == Some(b'.') {
            is_float = true;
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            is_float = true;
            self.at += 1;
            self.at += usize::from(matches!(self.peek(), Some(b'+' | b'-')));
            self.digits()?;
        }
        let text = &self.text[start..self.at];
        if is_float { self.float(start, text) } else { self.integer(start, text) }
    }

    /// Passes one digit or more and tells how many.
    fn digits(&mut self) -> Result<usize, BadJson> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == start { Err(self.bad(start, "a digit is missing")) } else { Ok(self.at - start) }
    }

    fn float(&mut self, start: usize, text: &str) -> Result<(), BadJson> {
        match text.parse::<f64>() {
            Ok(float) if float.is_finite() => write_f64(&mut self.body, float),
            _ => return Err(self.bad(start, "a number is beyond the 64-bit floats")),
        }
        Ok(())
    }

    fn integer(&mut self, start: usize, text: &str) -> Result<(), BadJson> {
        if let Ok(integer) = text.parse::<u64>() {
            write_u64(&mut self.body, integer);
        } else if let Ok(integer) = text.parse::<i64>() {
            write_integer(&mut self.body, integer);
        } else {
            return Err(self.bad(start, "an integer is beyond 64 bits"));
        }
        Ok(())
    }

    fn string(&mut self) -> Result<(), BadJson> {
        let start = self.at;
        self.at += 1;
        let mut unescaped = String::new();
        loop {
            let run = &self.text[self.at..];
            let length = run.bytes().position(|byte| byte == b'"' || byte == b'\\' || byte < 0x20);
            let Some(length) = length else { return Err(self.bad(start, "a string does not end")) };
            self.at += length;
            let run = &run[..length];
            match self.peek() {
                Some(b'\\') => {
                    unescaped.push_str(run);
                    unescaped.push(self.escape()?);
                }
                Some(b'"') => {
                    self.at += 1;
                    let text = if unescaped.is_empty() { run } else { &*(unescaped + run) };
                    return write_str(&mut self.body, text).map_err(|_| self.bad(start, "a string is too long"));
                }
                _ => return Err(self.bad(self.at, "a control character stands in a string")),
            }
        }
    }

    /// Passes an escape and returns what it stands for.
    fn escape(&mut self) -> Result<char, BadJson> {
        let start = self.at;
        self.at += 2;
        Ok(match self.text.as_bytes().get(start + 1) {
            Some(&plain @ (b'"' | b'\\' | b'/')) => char::from(plain),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.code_point(start),
            _ => return Err(self.bad(start, "no escape is written so")),
        })
    }

    fn code_point(&mut self, start: usize) -> Result<char, BadJson> {
        let first = self.four_digits(start)?;
        let is_high = (0xd800..0xdc00).contains(&first);
        let code = if is_high && self.text[self.at..].starts_with("\\u") {
            self.at += 2;
            let second = self.four_digits(start)?;
            // What is no low surrogate leads above all characters.
            let low = second.checked_sub(0xdc00).filter(|low| *low < 0x400).unwrap_or(u32::MAX >> 1);
            0x10000 + ((first - 0xd800) << 10) + low
        } else {
            first
        };
        char::from_u32(code).ok_or(self.bad(start, "half a surrogate pair stands alone"))
    }

    fn four_digits(&mut self, start: usize) -> Result<u32, BadJson> {
        let digits = self.text.get(self.at..self.at + 4).filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
        self.at += 4;
        let code = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        code.ok_or(self.bad(start, "four hexadecimal digits are missing"))
    }

    /// The value with the heads of its long containers put in.
    fn finish(mut self) -> Vec<u8> {
        if self.long.is_empty() {
            return self.body;
        }
        self.long.sort_unstable_by_key(|container| container.head);
        let mut out = Vec::with_capacity(self.body.len() + 4 * self.long.len());
        let mut copied = 0;
        for Container { head, count, is_map } in self.long {
            out.extend_from_slice(&self.body[copied..head]);
            let write_head = if is_map { write_map_head } else { write_array_head };
            write_head(&mut out, count).expect("a text of less than 4 GiB holds fewer items than msgpack can count");
            copied = head + 1;
        }
        out.extend_from_slice(&self.body[copied..]);
        out
    }
}

/// The values that are words, and the byte that each is in msgpack.
const WORDS: [(&str, u8); 3] = [("null", marker::NIL), ("true", marker::TRUE), ("false", marker::FALSE)];
