//! What kind of failure it is, and what to do about it, with the run's own numbers.

use crate::Error;
use crate::loader::DataLoaderConfig;
use crate::trainer::TrainerConfig;

/// What failed, as far as it can be told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FailureKind {
    /// A loss or gradient that is not finite.
    NonFinite,
    /// Memory of a device or of the host ran out.
    OutOfMemory,
    /// The loader gave no batch in time.
    StalledLoader,
    /// A hook of a callback or of the model.
    Hook,
    /// A file that cannot be read.
    Data,
    /// Output that cannot be written.
    Write,
    /// Anything else in a step.
    Step,
}

impl FailureKind {
    pub(crate) fn of(error: &Error) -> Self {
        let text = error.to_string().to_ascii_lowercase();
        let exhausted = [
            "out of memory",
            "can't allocate memory",
            "bad_alloc",
            "cannot allocate memory",
            "not enough memory",
        ];
        if exhausted.iter().any(|sign| text.contains(sign)) {
            return Self::OutOfMemory;
        }
        match error {
            Error::NonFinite { .. } => Self::NonFinite,
            Error::Stalled { .. } => Self::StalledLoader,
            Error::Hook { source, .. } if matches!(**source, Error::Write(_)) => Self::Write,
            Error::Hook { .. } => Self::Hook,
            Error::Data { .. } => Self::Data,
            Error::Write(_) => Self::Write,
            _ => Self::Step,
        }
    }

    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::NonFinite => "not finite",
            Self::OutOfMemory => "out of memory",
            Self::StalledLoader => "the loader stands still",
            Self::Hook => "a hook failed",
            Self::Data => "data cannot be read",
            Self::Write => "output cannot be written",
            Self::Step => "a step failed",
        }
    }

    /// What to do, the likeliest first.
    pub(crate) fn advice(
        self,
        error: &Error,
        trainer: &TrainerConfig,
        loader: &DataLoaderConfig,
        lr: f64,
    ) -> Vec<String> {
        match self {
            Self::NonFinite => not_finite(error, trainer, lr),
            Self::OutOfMemory => less_memory(trainer, loader),
            Self::StalledLoader => vec![
                "look whether the files of the samples named above can be read: a network folder that hangs is the usual cause".to_owned(),
                format!("dataloader.timeout={} is too short for a slow transform: raise it, or set 0 to wait for ever", loader.timeout),
                format!("dataloader.num_workers={}: more threads read ahead more", loader.num_workers),
            ],
            Self::Hook => {
                let owner = match error {
                    Error::Hook { owner, .. } => owner.strip_prefix("callback '").and_then(|rest| rest.strip_suffix('\'')),
                    _ => None,
                };
                let mut advice = vec!["the log below says where it panicked, if it did".to_owned()];
                if let Some(owner) = owner {
                    advice.insert(0, format!("callbacks.{owner}=null leaves this callback out"));
                }
                advice
            }
            Self::Data => vec!["mend or remove the file that the message names".to_owned()],
            Self::Write => vec!["free some space, or choose another folder; then go on from the last checkpoint".to_owned()],
            Self::Step => vec![
                "trainer.fast_dev_run=true runs one batch of every stage, trainer.num_sanity_val_steps=-1 all of validation before training".to_owned(),
            ],
        }
    }
}

fn not_finite(error: &Error, trainer: &TrainerConfig, lr: f64) -> Vec<String> {
    let mut advice = Vec::new();
    if lr.is_finite() {
        advice.push(format!("lower the learning rate: it was {lr:e}, try {:.1e}", lr / 10.0));
    }
    if trainer.gradient_clip_val.is_none() {
        advice.push("bound the gradients: trainer.gradient_clip_val=1.0".to_owned());
    }
    if !matches!(trainer.precision, fulmen_strategies::Precision::Full) {
        advice.push("compute in full precision: trainer.precision=32-true".to_owned());
    }
    if let Error::NonFinite { layer: Some(layer), .. } = error {
        advice.push(format!("look at what layer '{layer}' does: a logarithm or root of 0, a division by a small number, an exponent that is large"));
    }
    advice
}

fn less_memory(trainer: &TrainerConfig, loader: &DataLoaderConfig) -> Vec<String> {
    let batch = loader.batch_size.get();
    let mut advice = Vec::new();
    if batch > 1 {
        let windows = trainer.accumulate_grad_batches.max(1) * 2;
        advice.push(format!(
            "halve the batch: dataloader.batch_size={} (it is {batch}), with trainer.accumulate_grad_batches={windows} for gradients of as many samples",
            batch / 2
        ));
    }
    if matches!(trainer.precision, fulmen_strategies::Precision::Full) {
        advice.push("activations in half the room: trainer.precision=bf16-mixed".to_owned());
    }
    let eval = loader.eval_batch_size.unwrap_or(loader.batch_size).get();
    advice.push(format!(
        "if it failed in validation: dataloader.eval_batch_size={} (it is {eval})",
        (eval / 2).max(1)
    ));
    if loader.num_workers > 0 {
        let ahead = loader.num_workers * loader.prefetch_factor.get();
        advice.push(format!(
            "memory of the host: {ahead} batches are read ahead (dataloader.num_workers={} × prefetch_factor={})",
            loader.num_workers, loader.prefetch_factor
        ));
    }
    advice.push("a smaller model, or an optimizer that keeps less: sgd without momentum keeps nothing, adamw twice the weights".to_owned());
    advice
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn running_out_of_memory_is_told_on_either_device_with_the_runs_numbers() {
        for message in [
            "CUDA out of memory. Tried to allocate 20.00 GiB.",
            "[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes.",
            "std::bad_alloc",
        ] {
            let error = Error::Step { stage: "train", step: 3, message: message.to_owned() };
            assert_eq!(FailureKind::of(&error), FailureKind::OutOfMemory, "{message}");
        }
        let loader = DataLoaderConfig { num_workers: 4, ..DataLoaderConfig::default() };
        let error = Error::Torch("out of memory".to_owned());
        let advice =
            FailureKind::OutOfMemory.advice(&error, &TrainerConfig::default(), &loader, 0.1).join("\n");
        for wanted in [
            "batch_size=32 (it is 64)",
            "accumulate_grad_batches=2",
            "bf16-mixed",
            "8 batches are read ahead",
        ] {
            assert!(advice.contains(wanted), "{advice}");
        }
    }

    #[test]
    fn a_callback_that_fails_is_named_with_the_way_to_leave_it_out() {
        let error = Error::Hook {
            owner: "callback 'plotter'".to_owned(),
            hook: "on_train_batch_end",
            source: Box::new(Error::Torch("boom".to_owned())),
        };
        let kind = FailureKind::of(&error);
        assert_eq!(kind, FailureKind::Hook);
        let advice = kind.advice(&error, &TrainerConfig::default(), &DataLoaderConfig::default(), 0.1);
        assert_eq!(advice[0], "callbacks.plotter=null leaves this callback out");
    }
}
