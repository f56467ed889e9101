//! How a component is declared: its name once, its settings' type, its factory.

use std::any::Any;
use std::fmt;

use schemars::{JsonSchema, Schema, schema_for};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::{BuildError, Kind};

/// A component as it stands in the program: all that can be known of it without building it.
#[derive(Clone, Copy)]
pub struct Declaration {
    /// The name of its kind.
    pub kind: &'static str,
    /// What `_target_` says.
    pub name: &'static str,
    /// The crate that brings it.
    pub provider: &'static str,
    /// JSON schema of its settings.
    pub schema: fn() -> Schema,
    /// Makes its [`Factory`] of the kind, behind `Any` so that all kinds share one registry.
    pub factory: fn() -> Box<dyn Any + Send + Sync>,
}

inventory::collect!(Declaration);

impl Declaration {
    /// A component of kind `K` with settings `C`.
    pub const fn new<K: Kind, C: DeserializeOwned + JsonSchema>(
        name: &'static str,
        provider: &'static str,
        factory: fn() -> Box<dyn Any + Send + Sync>,
    ) -> Self {
        Self { kind: K::NAME, name, provider, schema: schema_of::<C>, factory }
    }

    /// What it is for: the documentation of its settings' type.
    pub fn description(&self) -> String {
        (self.schema)().get("description").and_then(Value::as_str).unwrap_or_default().to_owned()
    }
}

impl fmt::Debug for Declaration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} '{}' of {}", self.kind, self.name, self.provider)
    }
}

fn schema_of<C: JsonSchema>() -> Schema {
    schema_for!(C)
}

/// Builds the components of kind `K` that share one declaration.
pub struct Factory<K: Kind>(Build<K>);

/// Settings and context in, component out.
type Build<K> = Box<
    dyn for<'context> Fn(
            &Map<String, Value>,
            <K as Kind>::Context<'context>,
        ) -> Result<<K as Kind>::Product, BuildError>
        + Send
        + Sync,
>;

impl<K: Kind> Factory<K> {
    /// Reads the settings as `C`, then calls `build`.
    pub fn new<C: DeserializeOwned + 'static>(
        build: impl for<'context> Fn(&C, K::Context<'context>) -> Result<K::Product, BuildError>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        Self(Box::new(move |settings, context| build(&read::<C>(settings)?, context)))
    }

    /// Builds a component of `settings`.
    ///
    /// # Errors
    /// When the settings do not fit their type, or the component refuses them.
    pub fn build(
        &self,
        settings: &Map<String, Value>,
        context: K::Context<'_>,
    ) -> Result<K::Product, BuildError> {
        (self.0)(settings, context)
    }
}

impl<K: Kind> fmt::Debug for Factory<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Factory<{}>", K::NAME)
    }
}

fn read<C: DeserializeOwned>(settings: &Map<String, Value>) -> Result<C, BuildError> {
    let settings = Value::Object(settings.clone());
    serde_path_to_error::deserialize(settings).map_err(|error| {
        let path = error.path().to_string();
        BuildError::Settings {
            key: if path == "." { String::new() } else { path },
            message: error.into_inner().to_string(),
        }
    })
}

/// Declares a component in place: kind, name, settings, factory.
///
/// ```ignore
/// component! { Model, "vision.resnet", ResNetConfig => ResNet::build }
/// ```
///
/// The factory is a `fn(&Config, Kind::Context<'_>) -> Result<Kind::Product, BuildError>`.
#[macro_export]
macro_rules! component {
    ($kind:ty, $name:literal, $config:ty => $build:expr) => {
        $crate::inventory::submit! {
            $crate::Declaration::new::<$kind, $config>($name, env!("CARGO_PKG_NAME"), || {
                Box::new($crate::Factory::<$kind>::new::<$config>($build))
            })
        }
    };
}
