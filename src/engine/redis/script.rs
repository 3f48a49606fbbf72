//! Every script, named, and how one is called.
//!
//! A script is called by its hash and loaded where a server does not know it (yet); its text never travels twice to one server.
//! What a script does stands in `lua/`: the files are joined, the more general ones first.

use std::sync::LazyLock;

use redis::{Cmd, Script};

use super::layout::Keys;

/// One script with its hash.
pub(super) struct Code {
    pub(super) text: String,
    hash: String,
}

impl Code {
    fn new(parts: &[&str]) -> Self {
        let text = parts.join("\n");
        let hash = Script::new(&text).get_hash().to_owned();
        Self { text, hash }
    }
}

macro_rules! scripts {
    ($($(#[$doc:meta])* $name:ident = [$($file:literal),+];)*) => {
        $($(#[$doc])* pub(super) static $name: LazyLock<Code> =
            LazyLock::new(|| Code::new(&[$(include_str!(concat!("lua/", $file))),+]));)*
    };
}

scripts! {
    /// Carries out a batch.
    BATCH = ["space.lua", "batch.lua"];
    /// Sets one key.
    SET = ["set.lua"];
    /// Adds to one integer.
    ADD = ["add.lua"];
    /// One verb on one namespace.
    NAMESPACE = ["space.lua", "namespace.lua", "verbs.lua"];
    /// One verb on the catalogue, or on every namespace at once.
    CATALOGUE = ["space.lua", "namespace.lua", "catalogue.lua"];
    /// Lists live keys.
    LIST = ["list.lua"];
    /// Reads keys of several namespaces.
    READ = ["read.lua"];
}

/// What a lost answer allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// Doing it twice is doing it once.
    Repeatable,
    /// A condition holds only once, so a repeat changes nothing more; who repeats must tell its own work from others'.
    Guarded,
    /// It may be done once only.
    Once,
}

/// One command on its way to the server that holds its key.
pub(super) struct Request {
    /// The key whose slot decides where it goes.
    pub(super) key: Vec<u8>,
    pub(super) command: Cmd,
    pub(super) script: Option<&'static Code>,
    pub(super) effect: Effect,
}

impl Request {
    /// A plain command on `key`, which stands as its first argument.
    pub(super) fn command(name: &str, key: &[u8]) -> Self {
        let mut command = redis::cmd(name);
        command.arg(key);
        Self { key: key.to_vec(), command, script: None, effect: Effect::Repeatable }
    }

    /// A call of `script` with these keys, all of one slot unless the server is alone.
    pub(super) fn script(script: &'static LazyLock<Code>, keys: &[&[u8]], effect: Effect) -> Self {
        let code = LazyLock::force(script);
        let mut command = redis::cmd("EVALSHA");
        command.arg(&code.hash).arg(keys.len());
        for key in keys {
            command.arg(*key);
        }
        Self { key: keys[0].to_vec(), command, script: Some(code), effect }
    }

    /// A verb on one namespace.
    pub(super) fn namespace(keys: &Keys, verb: &str) -> Self {
        Self::script(&NAMESPACE, &[&keys.hash, &keys.index], Effect::Repeatable).arg(verb)
    }

    /// A verb on the catalogue.
    pub(super) fn catalogue(keys: &Keys, verb: &str, effect: Effect) -> Self {
        Self::script(&CATALOGUE, &[&keys.index, &keys.hash], effect).arg(verb)
    }

    /// The same request with one more argument.
    pub(super) fn arg(mut self, argument: impl redis::ToRedisArgs) -> Self {
        self.command.arg(argument);
        self
    }
}
