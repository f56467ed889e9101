//! Which operator first gave a value that is not finite, and which weight it worked with.

use std::ffi::{c_char, c_void};
use std::marker::PhantomData;
use std::ptr;

use tch::Tensor;

use crate::profiler::text;
use crate::{TorchError, check, handles, sys};

/// A value that is not finite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NonFinite {
    /// Not a number.
    Nan,
    /// Greater than all numbers of the format.
    Infinity,
    /// Less than all numbers of the format; attention masks are made of it, so it may be meant.
    NegativeInfinity,
}

/// What an operator was given that is not finite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NonFiniteInput {
    /// Nothing: the operator made the value itself.
    None,
    /// A watched tensor, by its place in the list.
    Watched(usize),
    /// Another tensor.
    Other,
}

/// The first of its kind that came up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What came up.
    pub kind: NonFinite,
    /// The operator that gave it out: `aten::addmm`.
    pub op: String,
    /// The watched tensor that the operator, or one around it, worked with.
    pub tensor: Option<usize>,
    /// The watched tensor that was worked with before.
    pub before: Option<usize>,
    /// What the operator was given.
    pub input: NonFiniteInput,
}

/// A function of the backward pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackwardFunction {
    /// Its name: `LogBackward0`.
    pub name: String,
    /// The operator of the forward pass that it belongs to, where it is known.
    pub op: Option<String>,
    /// The watched tensor that this operator worked with.
    pub tensor: Option<usize>,
}

/// While it lives, every operator of this thread, and of the backward pass that it starts, can be looked at; autograd's
/// anomaly mode is on. One at a time; it costs several times what the operators do.
#[derive(Debug)]
pub struct Watch {
    /// Operators of the thread that started it.
    thread: PhantomData<*const ()>,
}

impl Watch {
    /// Watches what is done with `tensors`, a model's parameters and buffers.
    ///
    /// # Errors
    /// When there is a watch already.
    pub fn start(tensors: &[Tensor]) -> Result<Self, TorchError> {
        let handles = handles(tensors);
        let count = i32::try_from(handles.len()).map_err(|_| TorchError("too many tensors".to_owned()))?;
        // SAFETY: `count` handles of tensors that live during the call; the shim keeps their addresses only to compare.
        check(unsafe { sys::ft_watch_start(handles.as_ptr(), count) })?;
        let watch = Self { thread: PhantomData };
        // SAFETY: takes a number.
        check(unsafe { sys::ft_anomaly_mode(1) })?;
        Ok(watch)
    }

    /// Forgets what was found, and looks from now on; or looks away.
    ///
    /// # Errors
    /// When libtorch refuses.
    pub fn look(&self, look: bool) -> Result<(), TorchError> {
        // SAFETY: takes a number.
        check(unsafe { sys::ft_watch_look(look.into()) })
    }

    /// The first NaN, the first infinity of either sign, in the order in which they came up.
    ///
    /// # Errors
    /// When libtorch refuses.
    pub fn findings(&self) -> Result<Vec<Finding>, TorchError> {
        let mut findings: Vec<Finding> = Vec::new();
        // SAFETY: `findings` outlives the call, and `take_finding` takes it as what it is.
        check(unsafe { sys::ft_watch_findings(take_finding, ptr::from_mut(&mut findings).cast()) })?;
        Ok(findings)
    }

    /// The backward function that began last: the one that failed, where the backward pass did.
    ///
    /// # Errors
    /// When libtorch refuses.
    pub fn backward_function(&self) -> Result<Option<BackwardFunction>, TorchError> {
        let mut found: Option<BackwardFunction> = None;
        // SAFETY: `found` outlives the call, and `take_backward` takes it as what it is.
        check(unsafe { sys::ft_watch_backward(take_backward, ptr::from_mut(&mut found).cast()) })?;
        Ok(found)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // SAFETY: both take at most a number; what they undo was done in `start`.
        let _ =
            check(unsafe { sys::ft_watch_stop() }).and_then(|()| check(unsafe { sys::ft_anomaly_mode(0) }));
    }
}

unsafe extern "C" fn take_finding(to: *mut c_void, one: *const sys::RawFinding) {
    // SAFETY: `to` is the vector of `findings`, used by nobody else meanwhile; `one` is valid during this call.
    let (findings, one) = unsafe { (&mut *to.cast::<Vec<Finding>>(), &*one) };
    let kind = match one.kind {
        0 => NonFinite::Nan,
        1 => NonFinite::Infinity,
        _ => NonFinite::NegativeInfinity,
    };
    let input = match one.input {
        -1 => NonFiniteInput::None,
        index => usize::try_from(index).map_or(NonFiniteInput::Other, NonFiniteInput::Watched),
    };
    let place = |index: i32| usize::try_from(index).ok();
    findings.push(Finding {
        kind,
        op: text(one.op),
        tensor: place(one.tensor),
        before: place(one.before),
        input,
    });
}

unsafe extern "C" fn take_backward(to: *mut c_void, name: *const c_char, one: *const sys::RawFinding) {
    // SAFETY: `to` is the option of `backward_function`, used by nobody else meanwhile; `one` is valid during this call.
    let (found, one) = unsafe { (&mut *to.cast::<Option<BackwardFunction>>(), &*one) };
    let op = Some(text(one.op)).filter(|op| !op.is_empty());
    *found = Some(BackwardFunction { name: text(name), op, tensor: usize::try_from(one.tensor).ok() });
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Mutex, PoisonError};
    use tch::{Device, Kind};

    /// There is one watch a process, and tests run side by side.
    static ONE: Mutex<()> = Mutex::new(());

    fn layers() -> Vec<Tensor> {
        [[4, 4], [4, 4]]
            .map(|shape| Tensor::ones(shape, (Kind::Float, Device::Cpu)).set_requires_grad(true))
            .into()
    }

    #[test]
    fn the_first_operator_that_made_a_nan_is_named_with_the_weight_it_worked_with() {
        let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let weights = layers();
        let watch = Watch::start(&weights).unwrap();
        let x = Tensor::ones([2, 4], (Kind::Float, Device::Cpu));
        watch.look(true).unwrap();
        let hidden = x.linear::<Tensor>(&weights[0], None);
        assert!(watch.findings().unwrap().is_empty());
        let _ = hidden.g_mul_scalar(-1.0).log().linear::<Tensor>(&weights[1], None);
        let findings = watch.findings().unwrap();
        assert_eq!(findings.len(), 1, "{findings:?}");
        let first = &findings[0];
        assert_eq!((first.kind, first.op.as_str()), (NonFinite::Nan, "aten::log"));
        assert_eq!((first.tensor, first.before, first.input), (None, Some(0), NonFiniteInput::None));

        let bad = Tensor::from_slice(&[f32::MAX; 8]).view([2, 4]) * 2.0;
        watch.look(true).unwrap();
        let _ = (bad * 1.0).linear::<Tensor>(&weights[1], None);
        let findings = watch.findings().unwrap();
        assert_eq!((findings[0].kind, findings[0].input), (NonFinite::Infinity, NonFiniteInput::Other));

        watch.look(true).unwrap();
        let _ = tch::no_grad(|| weights[1].shallow_clone().fill_(f64::INFINITY));
        watch.look(true).unwrap();
        let _ = hidden.linear::<Tensor>(&weights[1], None);
        let first = &watch.findings().unwrap()[0];
        assert_eq!((first.tensor, first.input), (Some(1), NonFiniteInput::Watched(1)));
    }

    #[test]
    fn a_backward_function_that_gives_a_nan_is_named_with_the_layer_it_belongs_to() {
        let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let weights = layers();
        let watch = Watch::start(&weights).unwrap();
        watch.look(true).unwrap();
        let x = Tensor::zeros([2, 4], (Kind::Float, Device::Cpu));
        // The square root is 0 and its slope infinite; 0 times infinity is no number.
        let loss = (x.linear::<Tensor>(&weights[0], None).sqrt() * 0.0).sum(Kind::Float);
        assert!(watch.findings().unwrap().is_empty());
        let error = loss.f_backward().unwrap_err().to_string();
        assert!(error.contains("SqrtBackward0") && error.contains("nan"), "{error}");
        let function = watch.backward_function().unwrap().unwrap();
        assert_eq!((function.name.as_str(), function.op.as_deref()), ("SqrtBackward0", Some("aten::sqrt")));
        drop(watch);
        assert!(x.linear::<Tensor>(&weights[0], None).sqrt().sum(Kind::Float).f_backward().is_ok());
    }
}
