//! The ladder: which file of `src/` may name which other one, and where each outside crate has its home.
//!
//! A file imports from lower rungs and from its own place, nothing else; files of rung 0 may name one another. The check reads
//! source text, with comments and literals blanked, so it also sees code that a feature or `cfg(test)` leaves out of a build. Names
//! that a macro builds are beyond it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use source::{File, Named};

#[path = "ladder/rules.rs"]
mod rules;
#[path = "ladder/source.rs"]
mod source;

/// Place and rung. `name.rs` is one file, `name/` a folder, `name*` every path that begins so; the first match counts.
const LADDER: &[(&str, u8)] = &[
    ("lib.rs", 0),
    ("error.rs", 0),
    ("key.rs", 0),
    ("value.rs", 0),
    ("clock.rs", 0),
    ("waiting.rs", 0),
    ("map/", 1),
    ("msgpack*", 1),
    ("store/", 2),
    ("engine/mod.rs", 3),
    ("engine/memory*", 3),
    ("engine/sqlite*", 3),
    ("engine/redis*", 3),
    ("open.rs", 4),
    ("transfer/", 4),
    ("checkpoint/", 4),
    ("service/refusal.rs", 2),
    ("service/context.rs", 3),
    ("service/members.rs", 3),
    ("service/auth.rs", 4),
    ("service/changes*", 4),
    ("items/", 4),
    ("cache.rs", 4),
    ("service/ops.rs", 5),
    ("service/pages.rs", 5),
    ("service/", 6),
    ("py/", 7),
];

/// Outside crates and the only part of `src/` that may name them.
const HOMES: &[(&str, &str)] = &[
    ("pyo3", "py/"),
    ("axum", "service/"),
    ("rmcp", "service/"),
    ("rusqlite", "engine/sqlite"),
    ("redis", "engine/redis"),
];

const UNSAFE_HOME: &str = "py/codec.rs";

/// How many lines above an `unsafe` its `SAFETY:` comment may begin.
const SAFETY_REACH: usize = 5;

#[test]
fn every_file_keeps_to_its_rung() {
    let mut sources = BTreeMap::new();
    collect(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")), "", &mut sources);

    let found = violations(&sources);

    assert!(sources.contains_key("lib.rs"), "src/ was not read");
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

fn collect(folder: &Path, prefix: &str, sources: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).expect("a folder of src/ is readable") {
        let path = entry.expect("an entry of src/ is readable").path();
        let name = format!("{prefix}{}", path.file_name().expect("an entry has a name").to_string_lossy());
        if path.is_dir() {
            collect(&path, &format!("{name}/"), sources);
        } else if name.ends_with(".rs") {
            sources.insert(name, fs::read_to_string(&path).expect("a source file is UTF-8"));
        }
    }
}

/// Every breach of the rules in `sources` (path below `src/` → text), one line each.
fn violations(sources: &BTreeMap<String, String>) -> Vec<String> {
    let files: BTreeMap<&str, File> =
        sources.iter().map(|(path, text)| (path.as_str(), File::read(path, text))).collect();
    let tree = Tree { files };
    let mut found = Vec::new();
    for (path, file) in &tree.files {
        if place(path).is_none() {
            found.push(format!(
                "src/{path} has no rung: give it one in LADDER (tests/ladder.rs) and in the design's ladder"
            ));
            continue;
        }
        found.extend(file.names.iter().filter_map(|named| tree.judge(path, file, named)));
        found.extend(unsafe_violations(path, &sources[*path], file));
        if *path == "lib.rs" {
            found.extend(
                file.functions.iter().map(|line| format!("src/lib.rs:{line} holds a function: it only re-exports")),
            );
        }
    }
    found
}

fn unsafe_violations(path: &str, text: &str, file: &File) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let explained =
        |line: usize| lines[line.saturating_sub(1 + SAFETY_REACH)..line].iter().any(|above| above.contains("SAFETY:"));
    let judge = |&line: &usize| match path {
        UNSAFE_HOME if explained(line) => None,
        UNSAFE_HOME => {
            Some(format!("src/{path}:{line} is unsafe without a SAFETY: comment within {SAFETY_REACH} lines above"))
        }
        _ => Some(format!("src/{path}:{line} is unsafe: only src/{UNSAFE_HOME} may be")),
    };
    file.unsafes.iter().filter_map(judge).collect()
}

fn place(path: &str) -> Option<(&'static str, u8)> {
    let covers = |pattern: &str| match pattern.strip_suffix('*') {
        Some(prefix) => path.starts_with(prefix),
        None => path == pattern || (pattern.ends_with('/') && path.starts_with(pattern)),
    };
    LADDER.iter().copied().find(|(pattern, _)| covers(pattern))
}

/// All files, and how a path of names leads to one of them.
struct Tree<'a> {
    files: BTreeMap<&'a str, File>,
}

impl Tree<'_> {
    fn judge(&self, path: &str, file: &File, named: &Named) -> Option<String> {
        let Named { line, segments } = named;
        let written = segments.join("::");
        let Some(target) = file.resolve(segments) else {
            let (krate, home) =
                HOMES.iter().find(|(krate, _)| *krate == segments[0] && !file.locals.contains(*krate))?;
            let stray = !path.starts_with(home);
            return stray.then(|| format!("src/{path}:{line} names the crate {krate}, whose home is src/{home}"));
        };
        if path == "lib.rs" {
            return None;
        }
        match self.file_of(&target) {
            Some(other) if allowed(path, other) => None,
            Some(other) => {
                Some(format!("src/{path}:{line} names {written}, which lives in src/{other}: not a lower rung"))
            }
            None => Some(format!("src/{path}:{line} names {written}, which src/lib.rs does not re-export by name")),
        }
    }

    /// The file that holds the item `target`; an item of the crate's root is looked up where `lib.rs` takes it from.
    fn file_of(&self, target: &[String]) -> Option<&str> {
        for length in (1..=target.len()).rev() {
            let stem = target[..length].join("/");
            let candidates = [format!("{stem}.rs"), format!("{stem}/mod.rs")];
            if let Some((path, _)) = candidates.iter().find_map(|path| self.files.get_key_value(path.as_str())) {
                return Some(path);
            }
        }
        let root = self.files.get("lib.rs")?;
        let exported = root.exports.get(target.first()?)?;
        let source = root.resolve(exported)?;
        (source != target).then(|| self.file_of(&source))?
    }
}

fn allowed(path: &str, other: &str) -> bool {
    match (place(path), place(other)) {
        (Some((here, rung)), Some((there, other_rung))) => {
            let same_folder =
                here.ends_with('/') && there.starts_with(here.trim_end_matches('/')) && other_rung <= rung;
            path == other || here == there || same_folder || other_rung < rung || (rung == 0 && other_rung == 0)
        }
        // The file without a rung has its own message.
        _ => true,
    }
}
