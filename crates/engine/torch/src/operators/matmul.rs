//! Products of matrices against f64.

use super::use_faster_kernels;
use tch::{Device, IndexOp, Kind, Tensor};

/// Sums of up to 784 products of standard normal numbers in f32.
const BOUND: f64 = 3e-4;
const DOUBLE: (Kind, Device) = (Kind::Double, Device::Cpu);

/// Largest difference between `multiply` in f32 and in f64.
fn error(a: &Tensor, b: &Tensor, multiply: impl Fn(&Tensor, &Tensor) -> Tensor) -> f64 {
    let single = multiply(&a.to_kind(Kind::Float), &b.to_kind(Kind::Float));
    (single.to_kind(Kind::Double) - multiply(a, b)).abs().max().double_value(&[])
}

#[test]
fn products_agree_with_f64_for_small_and_large_plain_transposed_and_strided_matrices() {
    use_faster_kernels().unwrap();
    for (m, k, n) in [(1, 600, 600), (3, 5, 2), (4, 512, 513), (64, 784, 512), (130, 70, 258)] {
        let (a, b) = (Tensor::randn([m, k], DOUBLE), Tensor::randn([k, n], DOUBLE));
        let apart = Tensor::randn([k, 2 * n], DOUBLE).slice(1, 0, 2 * n, 2);
        let bias = Tensor::randn([n], DOUBLE);
        for b in [&b, &b.tr().contiguous().tr(), &apart] {
            assert!(error(&a, b, |a, b| a.mm(b)) < BOUND);
            assert!(error(&a.tr().contiguous().tr(), b, |a, b| a.mm(b)) < BOUND);
            let linear = |a: &Tensor, b: &Tensor| a.linear(&b.tr(), Some(bias.to_kind(a.kind())));
            assert!(error(&a, b, linear) < BOUND);
            let halved = |a: &Tensor, b: &Tensor| bias.to_kind(a.kind()).addmm(a, b) * 0.5;
            assert!(error(&a, b, halved) < BOUND);
        }
        let (a, b) = (Tensor::randn([5, m, k], DOUBLE), Tensor::randn([5, k, n], DOUBLE));
        assert!(error(&a, &b, |a, b| a.bmm(b)) < BOUND);
        assert!(error(&a.i(1..3), &b.i(2..4), |a, b| a.bmm(b)) < BOUND);
    }
    assert!(Tensor::zeros([64, 512], DOUBLE).f_mm(&Tensor::zeros([511, 512], DOUBLE)).is_err());
}

#[test]
fn the_same_product_has_the_same_bits() {
    use_faster_kernels().unwrap();
    let options = (Kind::Float, Device::Cpu);
    let (a, b) = (Tensor::randn([64, 6144], options), Tensor::randn([6144, 512], options));
    let once = a.mm(&b);
    for _ in 0..20 {
        assert!(once.equal(&a.mm(&b)));
    }
}

#[test]
fn a_linear_layers_gradients_agree_with_f64() {
    use_faster_kernels().unwrap();
    let gradients = |kind: Kind, [x, weight, bias]: [&Tensor; 3]| {
        let leaves = [x, weight, bias].map(|one| one.to_kind(kind).detach().set_requires_grad(true));
        leaves[0].linear(&leaves[1], Some(&leaves[2])).square().mean(kind).backward();
        leaves.map(|leaf| leaf.grad().to_kind(Kind::Double))
    };
    let (x, weight, bias) = (
        Tensor::randn([4, 32, 256], DOUBLE),
        Tensor::randn([128, 256], DOUBLE),
        Tensor::randn([128], DOUBLE),
    );
    let leaves = [&x, &weight, &bias];
    for (single, double) in gradients(Kind::Float, leaves).iter().zip(gradients(Kind::Double, leaves)) {
        assert!(single.allclose(&double, 1e-4, 1e-6, false));
    }
}
