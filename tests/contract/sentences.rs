//! Holds the cases to the sentences: each sentence of a `# Contract` is the doc of exactly one case, to the letter.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// The doc comments of a source text, each with its lines joined, item by item.
fn sentences_of_contracts(source: &str) -> Vec<String> {
    let mut sentences: Vec<String> = Vec::new();
    let mut is_inside = false;
    for line in source.lines().map(str::trim_start) {
        match line.strip_prefix("///") {
            Some(" # Contract") => is_inside = true,
            Some(text) if is_inside && text.starts_with(" - ") => sentences.push(text[3..].to_owned()),
            Some(text) if is_inside && text.starts_with("   ") => {
                let sentence = sentences.last_mut().expect("a sentence begins with a dash");
                sentence.push(' ');
                sentence.push_str(text.trim_start());
            }
            _ => is_inside = false,
        }
    }
    sentences
}

/// The docs of all functions of a source text.
fn docs_of_functions(source: &str) -> Vec<String> {
    let (mut docs, mut lines) = (Vec::new(), Vec::new());
    for line in source.lines() {
        match line.strip_prefix("/// ") {
            Some(text) => lines.push(text),
            None if line.starts_with("pub(crate) fn ") => docs.push(std::mem::take(&mut lines).join(" ")),
            None => lines.clear(),
        }
    }
    docs
}

/// A link in rustdoc and the plain name mean the same.
fn plain(sentence: &str) -> String {
    sentence.replace("[`", "`").replace("`]", "`")
}

#[test]
fn every_sentence_of_the_contract_is_the_doc_of_exactly_one_case() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &str| fs::read_to_string(root.join(path)).expect("the file is there");
    let files = ["src/store/mod.rs", "src/store/snapshot.rs"];
    let sentences = files.iter().flat_map(|file| sentences_of_contracts(&read(file))).collect::<Vec<_>>();

    let mut proven: BTreeMap<String, usize> = BTreeMap::new();
    for file in ["reads", "writes", "limits", "snapshots"] {
        for doc in docs_of_functions(&read(&format!("tests/contract/{file}.rs"))) {
            *proven.entry(plain(&doc)).or_default() += 1;
        }
    }

    assert!(sentences.len() > 40, "only {} sentences were found", sentences.len());
    for sentence in &sentences {
        assert_eq!(proven.remove(&plain(sentence)), Some(1), "no case, or more than one, for: {sentence}");
    }
    assert_eq!(proven, BTreeMap::new(), "these cases prove no sentence");
}
