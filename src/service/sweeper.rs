//! The sweeper: removes what has expired where nobody writes any more.
//!
//! A store that is written sweeps as it goes, and what is due is gone for every reader in any case; without this it would keep
//! its room for ever in a store that is only read. It takes little at a time, so that no request waits for it.

use std::sync::Arc;
use std::time::Duration;

use super::app::App;

/// How often it looks.
const EVERY: Duration = Duration::from_secs(5);

/// Entries that are removed at a time.
const AT_A_TIME: usize = 256;

/// How many times that is done before others are let in for a while.
const MOST_TIMES: usize = 64;

/// Sweeps the store and the registry, as long as the runtime lives.
pub(super) async fn sweep(app: Arc<App>) {
    loop {
        tokio::time::sleep(EVERY).await;
        sweep_once(&app).await;
    }
}

async fn sweep_once(app: &Arc<App>) {
    for store in [app.keys.store(), app.registry.store()] {
        for _ in 0..MOST_TIMES {
            let (waits, swept) = (store.capabilities().waits, store.clone());
            let removed = app.run(waits, move |_| Ok(swept.sweep(AT_A_TIME)?)).await;
            // A store that does not answer is swept when it does.
            if !removed.is_ok_and(|removed| removed > 0) {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};

    use super::*;
    use crate::clock::{Clock, Timestamp};
    use crate::engine::memory::{Memory, MemoryOptions};
    use crate::service::auth::Registry;
    use crate::service::ops::Keys;
    use crate::store::{Store, StoreExt};

    #[test]
    fn what_expired_is_removed_where_nobody_writes() {
        let clock = Clock::manual(Timestamp::from_millis(0));
        let options = || MemoryOptions { clock: clock.clone(), ..MemoryOptions::default() };
        let stores = [(); 2].map(|()| Arc::new(Memory::with_options(options()).expect("the options are right")));
        for (store, entries) in stores.iter().zip([1000, 10]) {
            for number in 0..entries {
                let written = store.set_for("n", &number.to_string(), 1, Duration::from_secs(1));
                written.expect("the write is valid");
            }
            store.set("n", "stays", 1).expect("the write is valid");
        }
        let [store, registry] = stores.clone().map(|store| store as Arc<dyn Store>);
        let registry = Registry::new(registry, "key", clock.clone());
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let app = Arc::new(App::new(Keys::new(store, clock.clone()), registry, address, None, None, false));
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("there is a thread");

        clock.advance(Duration::from_secs(1));
        runtime.block_on(sweep_once(&app));

        assert_eq!(stores.map(|store| store.sweep(usize::MAX)), [Ok(0), Ok(0)]);
    }
}
