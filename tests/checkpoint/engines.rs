//! A fresh store of every engine that the cases run on.

use std::sync::Arc;

use swarmstate::{Memory, Store};

/// A store, and the folder that goes with it.
pub(crate) struct Fresh {
    pub(crate) store: Arc<dyn Store>,
    #[cfg(feature = "sqlite")]
    _folder: Option<tempfile::TempDir>,
}

/// How each engine makes an empty store.
pub(crate) const ENGINES: &[fn() -> Fresh] = &[
    memory,
    #[cfg(feature = "sqlite")]
    sqlite,
];

fn memory() -> Fresh {
    Fresh {
        store: Arc::new(Memory::new()),
        #[cfg(feature = "sqlite")]
        _folder: None,
    }
}

#[cfg(feature = "sqlite")]
fn sqlite() -> Fresh {
    use swarmstate::{Durability, Sqlite, SqliteOptions};

    let folder = tempfile::tempdir().expect("there is room for a folder");
    let options = SqliteOptions { durability: Durability::Normal, ..SqliteOptions::default() };
    let store = Sqlite::open(&folder.path().join("state.db"), options).expect("the options are valid");
    Fresh { store: Arc::new(store), _folder: Some(folder) }
}
