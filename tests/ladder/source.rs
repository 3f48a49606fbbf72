//! Reads a source file as far as the ladder cares: the paths it names, its child modules, its `unsafe` and its functions.
//!
//! It works on blanked text and plain tokens, not on a syntax tree: each path is found wherever it stands, macros and code behind
//! `cfg` included. What a path leads to is the caller's question.

use std::collections::{BTreeMap, BTreeSet};

/// A path as the source writes it: `crate::store::Batch`, `super::Node`, `redis::Client`.
pub(super) struct Named {
    pub(super) line: usize,
    pub(super) segments: Vec<String>,
}

/// What one source file says that the rules care about.
#[derive(Default)]
pub(super) struct File {
    module: Vec<String>,
    pub(super) names: Vec<Named>,
    /// Names that mean something of this crate here: child modules and what a `use crate::…` brings in.
    pub(super) locals: BTreeSet<String>,
    /// Child modules, declared by `mod name;`.
    children: BTreeSet<String>,
    /// What a `use` makes of a name, for `lib.rs`: `Batch` → `store::Batch`.
    pub(super) exports: BTreeMap<String, Vec<String>>,
    pub(super) unsafes: Vec<usize>,
    pub(super) functions: Vec<usize>,
}

impl File {
    pub(super) fn read(path: &str, text: &str) -> Self {
        let stem = path.trim_end_matches(".rs").trim_end_matches("/mod");
        let module = if stem == "lib" { Vec::new() } else { stem.split('/').map(str::to_owned).collect() };
        let mut reader =
            Reader { tokens: tokens(&blanked(text)), at: 0, inline: Vec::new(), depth: 0, file: Self::default() };
        reader.file.module = module;
        reader.run();
        reader.file
    }

    /// The module path from the crate's root, or `None` where the first name is none of this crate.
    pub(super) fn resolve(&self, segments: &[String]) -> Option<Vec<String>> {
        let mut base = self.module.clone();
        let mut rest = segments;
        match segments[0].as_str() {
            "crate" => {
                base.clear();
                rest = &rest[1..];
            }
            "self" => rest = &rest[1..],
            "super" => {}
            child if self.children.contains(child) => {}
            _ => return None,
        }
        while rest.first().is_some_and(|name| name == "super") {
            base.pop();
            rest = &rest[1..];
        }
        base.extend(rest.iter().cloned());
        Some(base)
    }
}

/// Walks the tokens once, keeping count of braces so that `super` inside `mod tests { … }` means this very file.
struct Reader {
    tokens: Vec<(usize, String)>,
    at: usize,
    /// Depth at which each open inline module began.
    inline: Vec<usize>,
    depth: usize,
    file: File,
}

impl Reader {
    fn run(&mut self) {
        while self.at < self.tokens.len() {
            let line = self.tokens[self.at].0;
            match self.word(0) {
                "{" => self.depth += 1,
                "}" => self.close(),
                "unsafe" => self.file.unsafes.push(line),
                "fn" => self.file.functions.push(line),
                "mod" if self.word(2) == "{" => self.inline.push(self.depth),
                "mod" if self.word(2) == ";" => self.child(),
                "use" if self.word(1) != "<" => {
                    self.at += 1;
                    self.use_tree(&[]);
                    continue;
                }
                "crate" if self.word(1) == "as" || self.before() == "extern" => self.extern_crate(line),
                _ if self.begins_path() => {
                    self.expression_path(line);
                    continue;
                }
                _ => {}
            }
            self.at += 1;
        }
    }

    fn word(&self, ahead: usize) -> &str {
        self.tokens.get(self.at + ahead).map_or("", |(_, word)| word)
    }

    fn before(&self) -> &str {
        if self.at == 0 { "" } else { &self.tokens[self.at - 1].1 }
    }

    fn close(&mut self) {
        self.depth = self.depth.saturating_sub(1);
        if self.inline.last() == Some(&self.depth) {
            self.inline.pop();
        }
    }

    fn child(&mut self) {
        let name = self.word(1).to_owned();
        self.file.locals.insert(name.clone());
        self.file.children.insert(name);
    }

    fn extern_crate(&mut self, line: usize) {
        let segments = vec![self.word(1).to_owned()];
        self.file.names.push(Named { line, segments });
    }

    fn begins_path(&self) -> bool {
        let earlier = if self.at < 2 { "" } else { &self.tokens[self.at - 2].1 };
        let visibility = self.before() == "in" && earlier == "(";
        let continued = self.before() == "::" && (is_name(earlier) || earlier == ">");
        is_name(self.word(0)) && self.word(1) == "::" && !continued && !visibility
    }

    fn expression_path(&mut self, line: usize) {
        let mut segments = vec![self.word(0).to_owned()];
        self.at += 1;
        while self.word(0) == "::" && is_name(self.word(1)) {
            segments.push(self.word(1).to_owned());
            self.at += 2;
        }
        self.note(line, segments);
    }

    /// Reads one branch of a `use`; ends behind it, at `,`, `}` or `;`.
    fn use_tree(&mut self, prefix: &[String]) {
        let mut segments = prefix.to_vec();
        let line = self.tokens.get(self.at).map_or(0, |(line, _)| *line);
        loop {
            match self.word(0) {
                "{" => return self.use_group(&segments),
                "::" | "*" => {}
                name if is_name(name) && name != "as" => segments.push(name.to_owned()),
                _ => break,
            }
            self.at += 1;
        }
        let mut local = segments.last().cloned().unwrap_or_default();
        if segments.len() > 1 && local == "self" {
            segments.pop();
            local = segments[segments.len() - 1].clone();
        }
        if self.word(0) == "as" {
            local = self.word(1).to_owned();
            self.at += 2;
        }
        if !segments.is_empty() {
            self.file.exports.insert(local.clone(), segments.clone());
            if matches!(segments[0].as_str(), "crate" | "self" | "super") {
                self.file.locals.insert(local);
            }
            self.note(line, segments);
        }
    }

    fn use_group(&mut self, prefix: &[String]) {
        self.at += 1;
        while !matches!(self.word(0), "}" | "") {
            self.use_tree(prefix);
            if self.word(0) == "," {
                self.at += 1;
            }
        }
        self.at += 1;
    }

    /// Keeps a path, with `super` and `self` of an inline module read as of the file's own.
    fn note(&mut self, line: usize, mut segments: Vec<String>) {
        let supers = segments.iter().take_while(|name| *name == "super").count();
        if supers > 0 {
            let inside = supers.min(self.inline.len());
            segments.drain(..inside);
            if inside == supers {
                segments.insert(0, "self".to_owned());
            }
        }
        self.file.names.push(Named { line, segments });
    }
}

fn is_name(word: &str) -> bool {
    word.starts_with(|first: char| first.is_alphabetic() || first == '_')
}

/// Names, `::` and single signs, each with its line.
fn tokens(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let mut rest = line.trim_start();
        while let Some(first) = rest.chars().next() {
            let length = match first {
                _ if first.is_alphanumeric() || first == '_' => {
                    rest.find(|sign: char| !sign.is_alphanumeric() && sign != '_').unwrap_or(rest.len())
                }
                ':' if rest.starts_with("::") => 2,
                _ => first.len_utf8(),
            };
            found.push((number + 1, rest[..length].to_owned()));
            rest = rest[length..].trim_start();
        }
    }
    found
}

/// The source with comments, strings and character literals as blanks; lines stay where they are.
fn blanked(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    let mut after_name = false;
    while let Some(first) = rest.chars().next() {
        let skipped = if after_name { literal_length(rest, false) } else { literal_length(rest, true) };
        let length = skipped.unwrap_or(first.len_utf8()).min(rest.len());
        let (taken, left) = rest.split_at(length);
        match skipped {
            Some(_) => result.extend(taken.chars().map(|sign| if sign == '\n' { '\n' } else { ' ' })),
            None => result.push(first),
        }
        after_name = skipped.is_none() && (first.is_alphanumeric() || first == '_');
        rest = left;
    }
    result
}

/// How many bytes of a comment or literal `rest` begins with; a raw string's `r` must not end a name.
fn literal_length(rest: &str, raw_possible: bool) -> Option<usize> {
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return Some(block_comment_length(rest));
    }
    if raw_possible && let Some(length) = raw_string_length(rest) {
        return Some(length);
    }
    if rest.starts_with('"') {
        return Some(quoted_length(rest, '"'));
    }
    let mut signs = rest.strip_prefix('\'')?.chars();
    let (first, second) = (signs.next()?, signs.next());
    // A quote that no quote follows at once opens a lifetime.
    (first == '\\' || second == Some('\'')).then(|| quoted_length(rest, '\''))
}

fn block_comment_length(rest: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < rest.len() {
        match rest.as_bytes().get(at..at + 2) {
            Some(b"/*") => (depth, at) = (depth + 1, at + 2),
            Some(b"*/") => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

fn raw_string_length(rest: &str) -> Option<usize> {
    let hashes_at = ["br", "cr", "r"].iter().find(|prefix| rest.starts_with(**prefix))?.len();
    let hashes = rest[hashes_at..].len() - rest[hashes_at..].trim_start_matches('#').len();
    let body_at = hashes_at + hashes + 1;
    rest[hashes_at + hashes..].starts_with('"').then(|| {
        let end = format!("\"{}", "#".repeat(hashes));
        rest[body_at..].find(&end).map_or(rest.len(), |length| body_at + length + end.len())
    })
}

fn quoted_length(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, sign) in rest.char_indices().skip(1) {
        match sign {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if sign == quote => return at + 1,
            _ => {}
        }
    }
    rest.len()
}
