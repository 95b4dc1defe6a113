//! Puts the values of secrets into visits that load units with secrets, just before they are sent. Nothing else has the values:
//! the core knows names and versions.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use secrecy::SecretSlice;

use crate::core::model::Action;
use crate::core::model::Visit;
use crate::core::secret_name::SecretName;
use crate::core::unit::secrets;
use crate::secret;
use crate::secret::Identity;
use crate::store::SharedStore;
use crate::store::layout::Keyspace;

/// Where a process gets the values of secrets. The default has none.
#[derive(Debug, Clone, Default)]
pub struct SecretSource(Option<Arc<Source>>);

#[derive(Debug)]
struct Source {
    store: SharedStore,
    keys: Keyspace,
    /// The private keys, or why there are none.
    identity: Mutex<Result<Identity, String>>,
}

impl Source {
    fn identity(&self) -> Result<Identity, String> {
        self.identity.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl SecretSource {
    /// Makes the source of a process with these private keys, or with the reason why it has none.
    pub fn new(store: SharedStore, keys: Keyspace, identity: Result<Identity, String>) -> Self {
        Self(Some(Arc::new(Source { store, keys, identity: Mutex::new(identity) })))
    }

    /// Reads secrets with other private keys from now on, as do all clones of this source.
    pub fn replace_identity(&self, identity: Result<Identity, String>) {
        if let Some(source) = &self.0 {
            *source.identity.lock().unwrap_or_else(PoisonError::into_inner) = identity;
        }
    }

    /// Returns why this process can read no secrets, if it cannot.
    pub fn why_blind(&self) -> Option<String> {
        self.0.as_ref()?.identity().err()
    }

    /// Fills in the values of the secrets of the units that a visit loads, or for each the reason why it has none.
    pub(super) async fn fill(&self, visit: &mut Visit) {
        let loaded = visit.steps.iter().filter_map(|step| match step.action {
            Action::Load { hash, .. } => visit.files.get(&hash),
            _ => None,
        });
        let names: BTreeSet<SecretName> = loaded.flat_map(|file| secrets(file)).collect();
        for name in names {
            let value = self.fetch(&name).await;
            visit.secrets.insert(name, value);
        }
    }

    /// Returns the value of a secret, or why it cannot be read.
    pub async fn fetch(&self, name: &SecretName) -> Result<Arc<SecretSlice<u8>>, String> {
        let unread = |why: &str| format!("secret {name} cannot be read: {why}");
        let source = self.0.as_deref().ok_or_else(|| unread("this process has no private key"))?;
        let identity = source.identity().map_err(|why| unread(&why))?;
        let fetched = secret::fetch(&*source.store, &source.keys, &identity, name).await;
        fetched.map(|secret| Arc::new(secret.value)).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::MemoryStore;

    #[test]
    fn a_replaced_identity_holds_for_the_runs_that_have_the_source_already() {
        let store: SharedStore = Arc::new(MemoryStore::new());
        let why = "the file does not exist".to_owned();
        let source = SecretSource::new(store, Keyspace::new("default").unwrap(), Err(why.clone()));
        let of_run = source.clone();
        assert_eq!(of_run.why_blind(), Some(why));
        source.replace_identity(Ok(Identity::generate()));
        assert_eq!(of_run.why_blind(), None);
    }
}
