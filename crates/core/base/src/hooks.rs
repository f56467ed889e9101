//! The hooks of training, validation, test and prediction, under Lightning's names: one table, from which the methods of
//! callbacks, models and tasks are made.
//!
//! The order in which they are called is that of Lightning 2.6; `tests/hook_order.rs` states it whole.

use crate::Result;
use crate::callback::{Callback, HookContext};
use crate::model::Model;

/// Hands the table to the macro `$then`: documentation, method, variant of [`Hook`].
macro_rules! with_hooks {
    ($then:ident $($arguments:tt)*) => {
        $then! { $($arguments)*
            /// Data is ready and the model is built; the stage is about to begin.
            setup Setup;
            /// The stage is over, also where it failed.
            teardown Teardown;
            /// Training is about to begin; weights, optimizers and schedules are in place.
            on_fit_start FitStart;
            /// Training is over.
            on_fit_end FitEnd;
            /// A few validation batches are about to be run, to find faults early.
            on_sanity_check_start SanityCheckStart;
            /// The check is done.
            on_sanity_check_end SanityCheckEnd;
            /// The first epoch is about to begin, or to go on.
            on_train_start TrainStart;
            /// Training ends.
            on_train_end TrainEnd;
            /// An epoch begins, or goes on where it was left.
            on_train_epoch_start TrainEpochStart;
            /// An epoch is done, its validation included.
            on_train_epoch_end TrainEpochEnd;
            /// A training batch is where the model is, and about to be used.
            on_train_batch_start TrainBatchStart;
            /// A training batch is done; its gradients are there until all hooks have returned.
            on_train_batch_end TrainBatchEnd;
            /// Gradients are about to be set to zero.
            on_before_zero_grad BeforeZeroGrad;
            /// The loss is about to be propagated backwards.
            on_before_backward BeforeBackward;
            /// The gradients of a batch have been added to those of its window.
            on_after_backward AfterBackward;
            /// The optimizer is about to step: gradients are whole and unscaled, and not clipped yet.
            on_before_optimizer_step BeforeOptimizerStep;
            /// Gradients are about to be freed for validation.
            on_validation_model_zero_grad ValidationModelZeroGrad;
            /// The model is about to go to evaluation.
            on_validation_model_eval ValidationModelEval;
            /// The model is about to go back to training.
            on_validation_model_train ValidationModelTrain;
            /// Validation begins.
            on_validation_start ValidationStart;
            /// Validation is done; its metrics are in the context.
            on_validation_end ValidationEnd;
            /// A pass over the validation data begins.
            on_validation_epoch_start ValidationEpochStart;
            /// A pass over the validation data is done.
            on_validation_epoch_end ValidationEpochEnd;
            /// A validation batch is about to be used.
            on_validation_batch_start ValidationBatchStart;
            /// A validation batch is done.
            on_validation_batch_end ValidationBatchEnd;
            /// The model is about to go to evaluation.
            on_test_model_eval TestModelEval;
            /// The model is about to leave evaluation.
            on_test_model_train TestModelTrain;
            /// The test begins.
            on_test_start TestStart;
            /// The test is done.
            on_test_end TestEnd;
            /// A pass over the test data begins.
            on_test_epoch_start TestEpochStart;
            /// A pass over the test data is done.
            on_test_epoch_end TestEpochEnd;
            /// A test batch is about to be used.
            on_test_batch_start TestBatchStart;
            /// A test batch is done.
            on_test_batch_end TestBatchEnd;
            /// The model is about to go to evaluation.
            on_predict_model_eval PredictModelEval;
            /// The model is about to leave evaluation.
            on_predict_model_train PredictModelTrain;
            /// Prediction begins.
            on_predict_start PredictStart;
            /// Prediction is done.
            on_predict_end PredictEnd;
            /// A pass over the input begins.
            on_predict_epoch_start PredictEpochStart;
            /// A pass over the input is done.
            on_predict_epoch_end PredictEpochEnd;
            /// A batch is about to be predicted.
            on_predict_batch_start PredictBatchStart;
            /// A batch is predicted; its records are in the context.
            on_predict_batch_end PredictBatchEnd;
            /// The run fails; what failed is in the context. An error of this hook is told beside it, never instead of it.
            on_exception Exception;
        }
    };
}

/// The hooks as methods that do nothing, for the body of a trait.
macro_rules! hook_methods {
    ($($(#[$doc:meta])* $method:ident $variant:ident;)*) => { $(
        $(#[$doc])*
        ///
        /// # Errors
        /// When its work cannot be done: the run fails, and says whose hook it was.
        fn $method(&mut self, context: &mut crate::callback::HookContext<'_>) -> crate::Result<()> {
            let _ = context;
            Ok(())
        }
    )* };
}

/// The hooks as methods that pass each on to a field.
macro_rules! hook_forwards {
    ($field:ident $($(#[$doc:meta])* $method:ident $variant:ident;)*) => { $(
        fn $method(&mut self, context: &mut crate::callback::HookContext<'_>) -> crate::Result<()> {
            self.$field.$method(context)
        }
    )* };
}

macro_rules! hook_enum {
    ($($(#[$doc:meta])* $method:ident $variant:ident;)*) => {
        /// One of the hooks.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Hook { $( $(#[$doc])* $variant, )* }

        impl Hook {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The method's name: `on_train_start`.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => stringify!($method),)* }
            }

            /// Calls it on a callback.
            pub(crate) fn call(self, callback: &mut dyn Callback, context: &mut HookContext<'_>) -> Result<()> {
                match self { $(Self::$variant => callback.$method(context),)* }
            }

            /// Calls it on the model.
            pub(crate) fn call_model(self, model: &mut dyn Model, context: &mut HookContext<'_>) -> Result<()> {
                match self { $(Self::$variant => model.$method(context),)* }
            }
        }
    };
}

with_hooks! { hook_enum }

pub(crate) use {hook_forwards, hook_methods, with_hooks};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hook_is_called_as_lightning_calls_it() {
        assert_eq!(Hook::TrainBatchEnd.name(), "on_train_batch_end");
        assert_eq!(Hook::Setup.name(), "setup");
        let names: std::collections::BTreeSet<_> = Hook::ALL.iter().map(|hook| hook.name()).collect();
        assert_eq!(names.len(), Hook::ALL.len());
    }
}
