//! GELU and its gradient against f64, where libtorch's own kernel answers.

use super::use_faster_kernels;
use tch::{Device, Kind, Tensor};

/// From where the tail underflows to where nothing is added, zero and the seam between two polynomials (±1.31) included.
fn inputs() -> Tensor {
    Tensor::linspace(-13.2, 13.2, 264_001, (Kind::Float, Device::Cpu))
}

fn value_and_gradient(kind: Kind, approximate: &str) -> [Tensor; 2] {
    let x = inputs().to_kind(kind).detach().set_requires_grad(true);
    let y = x.gelu(approximate);
    // As many numbers as a float holds, so that both kinds are given the same.
    let incoming = inputs().cos().to_kind(kind);
    (&y * incoming).sum(kind).backward();
    [y.detach(), x.grad()].map(|one| one.to_kind(Kind::Double))
}

#[test]
fn values_and_gradients_are_those_of_f64() {
    use_faster_kernels().unwrap();
    for approximate in ["none", "tanh"] {
        let pairs = value_and_gradient(Kind::Float, approximate)
            .into_iter()
            .zip(value_and_gradient(Kind::Double, approximate));
        for (ours, exact) in pairs {
            let worst = ((ours - &exact).abs() / (exact.abs() + 1e-1)).max().double_value(&[]);
            assert!(worst < 2e-6, "{approximate}: {worst}");
        }
    }
}

#[test]
fn other_types_layouts_and_what_is_no_number_are_as_in_libtorch() {
    use_faster_kernels().unwrap();
    let x = Tensor::randn([6, 8], (Kind::Float, Device::Cpu));
    let whole = x.gelu("none");
    assert!(x.tr().gelu("none").equal(&whole.tr()));
    assert!(x.slice(1, 0, 8, 2).gelu("none").allclose(&whole.slice(1, 0, 8, 2), 1e-6, 1e-7, false));
    assert_eq!(x.to_kind(Kind::BFloat16).gelu("none").kind(), Kind::BFloat16);
    assert_eq!(Tensor::zeros([0, 3], (Kind::Float, Device::Cpu)).gelu("tanh").size(), [0, 3]);
    let odd = Tensor::from_slice(&[f32::NAN, f32::INFINITY]).gelu("none");
    assert!(odd.double_value(&[0]).is_nan());
    assert_eq!(odd.double_value(&[1]), f64::INFINITY);
    assert!(x.f_gelu("cubic").is_err());
}
