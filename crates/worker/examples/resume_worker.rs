//! The worker of the tests of resuming: Fulmen's own, a callback that saves anywhere, also inside a window of accumulation, and
//! one that draws from a stream of its own, which a checkpoint may be made to leave out.

use fulmen_base::callback::CheckpointRequest;
use fulmen_base::{Callback, CallbackKind, HookContext, Result};
use fulmen_registry::component;
use fulmen_torch::tch::no_grad;
use fulmen_utils::Address;
use rustix::process::{Signal, getpid, kill_process};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

/// Saves after so many batches, and at the end of training as `final`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SaveAnywhereConfig {
    /// Batches between two checkpoints.
    every_n_batches: u64,
    /// Batches after which there is no further one.
    #[serde(default = "forever")]
    until: u64,
}

const fn forever() -> u64 {
    u64::MAX
}

component! { CallbackKind, "test.save_anywhere", SaveAnywhereConfig => |config, ()| {
    Ok(Box::new(SaveAnywhere { config: config.clone(), last: None }))
} }

#[derive(Debug)]
struct SaveAnywhere {
    config: SaveAnywhereConfig,
    last: Option<String>,
}

impl SaveAnywhere {
    fn save(&mut self, context: &mut HookContext<'_>, name: String) {
        let replaces = self.last.replace(name.clone()).into_iter().collect();
        let reason = "a test".to_owned();
        context.request_checkpoint(CheckpointRequest {
            name,
            aliases: vec!["last"],
            replaces,
            weights_only: false,
            reason,
        });
    }
}

impl Callback for SaveAnywhere {
    fn on_train_batch_end(&mut self, context: &mut HookContext<'_>) -> Result<()> {
        let batches = context.state.total_batches;
        if batches <= self.config.until && batches.is_multiple_of(self.config.every_n_batches) {
            self.save(context, format!("batches={batches}"));
        }
        if std::env::var("FULMEN_TEST_DIE_AFTER").is_ok_and(|after| after == batches.to_string()) {
            // Once the checkpoint before this is on the disk.
            let last = context.folder.join("checkpoints/last");
            while std::fs::read_link(&last).ok().as_deref() != self.last.as_deref().map(std::path::Path::new)
            {
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
            kill_process(getpid(), Signal::KILL)
                .map_err(|error| fulmen_base::Error::Torch(format!("it lives on: {error}")))?;
        }
        Ok(())
    }

    fn on_train_end(&mut self, context: &mut HookContext<'_>) -> Result<()> {
        self.save(context, "final".to_owned());
        Ok(())
    }

    fn state_dict(&self) -> Value {
        json!(self.last)
    }

    fn load_state_dict(&mut self, state: &Value) -> Result<()> {
        self.last = state.as_str().map(str::to_owned);
        Ok(())
    }
}

/// Adds noise to the first parameter after each batch.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NoiseConfig {
    /// Whether a checkpoint leaves out how far the stream has come.
    #[serde(default)]
    is_left_out: bool,
}

component! { CallbackKind, "test.noise", NoiseConfig => |config, ()| {
    Ok(Box::new(Noise { is_left_out: config.is_left_out, drawn: 0 }))
} }

#[derive(Debug)]
struct Noise {
    is_left_out: bool,
    drawn: u64,
}

impl Callback for Noise {
    fn on_train_batch_end(&mut self, context: &mut HookContext<'_>) -> Result<()> {
        let noise = Address::root(5).named("noise").at(self.drawn).draws().uniform() - 0.5;
        self.drawn += 1;
        if let Some((_, parameter)) = context.variables.first() {
            let mut parameter = parameter.shallow_clone();
            no_grad(|| parameter.f_add_scalar_(1e-3 * noise).map(drop))?;
        }
        Ok(())
    }

    fn state_dict(&self) -> Value {
        if self.is_left_out { Value::Null } else { json!(self.drawn) }
    }

    fn load_state_dict(&mut self, state: &Value) -> Result<()> {
        self.drawn = state.as_u64().unwrap_or_default();
        Ok(())
    }
}

fn main() -> std::process::ExitCode {
    fulmen_worker::main()
}
