//! All components that this program knows.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock, RwLock};

use fulmen_contracts::catalog::TARGET;
use fulmen_contracts::{CONTRACT_VERSION, Catalog, ComponentInfo};
use fulmen_utils::nearest;
use schemars::Schema;
use serde_json::Value;

use crate::{BuildError, Declaration, Factory, Kind, RegistryError};

/// The registry of this process, with everything that was linked into it.
///
/// # Errors
/// When two linked crates bring a component of the same kind and name, or a name is malformed.
pub fn registry() -> Result<&'static Registry, &'static RegistryError> {
    static REGISTRY: OnceLock<Result<Registry, RegistryError>> = OnceLock::new();
    REGISTRY.get_or_init(Registry::linked).as_ref()
}

/// Components by kind and name.
#[derive(Debug, Default)]
pub struct Registry {
    entries: RwLock<BTreeMap<(&'static str, &'static str), Entry>>,
}

#[derive(Debug, Clone)]
struct Entry {
    declaration: Declaration,
    /// A `Factory<K>` of the entry's kind.
    factory: Arc<dyn Any + Send + Sync>,
}

impl Registry {
    /// A registry of all that is linked into this program.
    ///
    /// # Errors
    /// As [`Self::register`].
    pub fn linked() -> Result<Self, RegistryError> {
        let registry = Self::default();
        for declaration in inventory::iter::<Declaration> {
            registry.register(*declaration)?;
        }
        Ok(registry)
    }

    /// Adds a component.
    ///
    /// # Errors
    /// When its name is taken or malformed; nothing is changed then.
    pub fn register(&self, declaration: Declaration) -> Result<(), RegistryError> {
        let Declaration { kind, name, provider, .. } = declaration;
        if !is_component_name(name) {
            return Err(RegistryError::Name { name: name.to_owned(), provider });
        }
        let mut entries = self.entries.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(first) = entries.get(&(kind, name)) {
            let other = first.declaration.provider;
            return Err(RegistryError::Twice { kind, name: name.to_owned(), provider, other });
        }
        entries.insert((kind, name), Entry { declaration, factory: Arc::from((declaration.factory)()) });
        Ok(())
    }

    /// Builds the component of kind `K` that `value` describes: a mapping with `_target_` and its settings.
    ///
    /// # Errors
    /// When `_target_` is missing or names nothing, or the settings do not fit.
    pub fn build<K: Kind>(&self, value: &Value, context: K::Context<'_>) -> Result<K::Product, BuildError> {
        let (name, mut settings) = match value {
            Value::Object(fields) => match fields.get(TARGET) {
                Some(Value::String(name)) => (name.clone(), fields.clone()),
                _ => return Err(BuildError::setting(TARGET, format!("'{TARGET}' must name a {}", K::NAME))),
            },
            _ => {
                return Err(BuildError::setting(
                    "",
                    format!("expected a mapping with '{TARGET}', naming a {}", K::NAME),
                ));
            }
        };
        settings.shift_remove(TARGET);
        let entry = self.entry(K::NAME, &name);
        let factory = entry.as_ref().and_then(|entry| entry.factory.downcast_ref::<Factory<K>>());
        match factory {
            Some(factory) => factory.build(&settings, context),
            None => {
                let known = self.names(K::NAME);
                let hint = nearest::hint(&name, known.iter().copied());
                Err(BuildError::Unknown { kind: K::NAME, hint, known: known.join(", "), name })
            }
        }
    }

    /// The names of a kind, in order.
    pub fn names(&self, kind: &str) -> Vec<&'static str> {
        let entries = self.entries.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        entries.keys().filter(|(of, _)| *of == kind).map(|(_, name)| *name).collect()
    }

    /// Everything that can be known of the components without building one; `root` is the schema of a whole config.
    pub fn catalog(&self, root: Schema) -> Catalog {
        let entries = self.entries.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        let components = entries
            .values()
            .map(|Entry { declaration, .. }| ComponentInfo {
                kind: declaration.kind.to_owned(),
                name: declaration.name.to_owned(),
                provider: declaration.provider.to_owned(),
                description: declaration.description(),
                schema: (declaration.schema)(),
            })
            .collect();
        Catalog { contract_version: CONTRACT_VERSION, root, components }
    }

    fn entry(&self, kind: &'static str, name: &str) -> Option<Entry> {
        let entries = self.entries.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        entries.iter().find(|((of, known), _)| *of == kind && *known == name).map(|(_, entry)| entry.clone())
    }
}

fn is_component_name(name: &str) -> bool {
    name.split('.').all(|part| {
        part.starts_with(|first: char| first.is_ascii_lowercase())
            && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    })
}

#[cfg(test)]
mod tests {
    use schemars::JsonSchema;
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    struct Greeting;
    impl Kind for Greeting {
        const NAME: &'static str = "greeting";
        type Product = String;
        type Context<'context> = &'context str;
    }

    /// Says hello.
    #[derive(Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Hello {
        /// How often.
        times: usize,
    }

    crate::component! { Greeting, "polite.hello", Hello => |config: &Hello, whom: &str| Ok(format!("hello {whom} ").repeat(config.times)) }

    #[test]
    fn a_linked_component_is_found_and_built_with_its_context() {
        let registry = Registry::linked().unwrap();
        let built = registry.build::<Greeting>(&json!({"_target_": "polite.hello", "times": 2}), "you");
        assert_eq!(built.unwrap(), "hello you hello you ");
    }

    #[test]
    fn wrong_settings_name_the_field_and_wrong_names_the_near_one() {
        let registry = Registry::linked().unwrap();
        let error = |value| registry.build::<Greeting>(&value, "you").unwrap_err();
        let wrong_type = error(json!({"_target_": "polite.hello", "times": "x"}));
        assert_eq!(wrong_type.key_below("greeting"), "greeting.times");
        assert!(
            error(json!({"_target_": "polite.hello", "time": 1}))
                .to_string()
                .contains("unknown field `time`")
        );
        assert!(
            error(json!({"_target_": "polite.helo"})).to_string().contains("did you mean 'polite.hello'")
        );
        assert!(error(json!({"times": 1})).to_string().contains("'_target_' must name a greeting"));
    }

    #[test]
    fn a_component_comes_at_run_time_too_but_no_name_twice() {
        let registry = Registry::linked().unwrap();
        let declare = |name| {
            Declaration::new::<Greeting, Hello>(name, "somewhere", || {
                Box::new(Factory::<Greeting>::new(|_: &Hello, _: &str| Ok("late".to_owned())))
            })
        };
        registry.register(declare("late")).unwrap();
        assert_eq!(registry.build::<Greeting>(&json!({"_target_": "late", "times": 1}), "").unwrap(), "late");
        assert!(matches!(registry.register(declare("late")), Err(RegistryError::Twice { .. })));
        assert!(matches!(registry.register(declare("No Name")), Err(RegistryError::Name { .. })));
    }

    #[test]
    fn the_catalog_carries_documentation_and_schema() {
        let catalog = Registry::linked().unwrap().catalog(Schema::default());
        let hello = catalog.get("greeting", "polite.hello").unwrap();
        assert_eq!(hello.description, "Says hello.");
        assert_eq!(hello.schema.pointer("/properties/times/description"), Some(&json!("How often.")));
    }
}
