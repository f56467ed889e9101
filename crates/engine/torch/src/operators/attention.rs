//! Attention and its gradients against the formula in f64.

use super::use_faster_kernels;
use tch::{Device, Kind, Tensor};

const DOUBLE: (Kind, Device) = (Kind::Double, Device::Cpu);

/// Samples, heads, queries, keys, features.
type Sizes = (i64, i64, i64, i64, i64);

fn leaves((batch, heads, queries, keys, features): Sizes) -> [Tensor; 3] {
    tch::manual_seed(5);
    [queries, keys, keys].map(|time| Tensor::randn([batch, heads, time, features], DOUBLE))
}

/// `softmax(scale · q kᵀ) v`, keys behind a query hidden where `causal`.
fn formula([q, k, v]: [&Tensor; 3], causal: bool, scale: Option<f64>) -> Tensor {
    let scale = scale.unwrap_or(1.0 / (q.size()[3] as f64).sqrt());
    let mut scores = q.matmul(&k.transpose(2, 3)) * scale;
    if causal {
        let hidden = Tensor::ones([q.size()[2], k.size()[2]], (Kind::Bool, Device::Cpu)).triu(1);
        scores = scores.masked_fill(&hidden, f64::NEG_INFINITY);
    }
    scores.softmax(-1, None::<Kind>).matmul(v)
}

fn operator([q, k, v]: [&Tensor; 3], causal: bool, scale: Option<f64>) -> Tensor {
    Tensor::scaled_dot_product_attention(q, k, v, None::<Tensor>, 0.0, causal, scale, false)
}

/// The result and the gradients of queries, keys and values, of a loss that tells every place from every other.
fn everything(leaves: &[Tensor; 3], kind: Kind, attend: impl Fn([&Tensor; 3]) -> Tensor) -> Vec<Tensor> {
    let leaves = leaves.each_ref().map(|leaf| leaf.to_kind(kind).detach().set_requires_grad(true));
    let output = attend(leaves.each_ref());
    let weights = Tensor::arange(output.numel() as i64, DOUBLE).cos().to_kind(kind).view_as(&output);
    (&output * weights).sum(kind).backward();
    let gradients = leaves.iter().map(Tensor::grad);
    std::iter::once(output.detach()).chain(gradients).map(|one| one.to_kind(Kind::Double)).collect()
}

#[test]
fn values_and_gradients_are_those_of_the_formula_in_f64() {
    use_faster_kernels().unwrap();
    // One block, several, and blocks that are not full; more keys than queries and fewer.
    let sizes = [
        (1, 1, 1, 1, 1),
        (2, 3, 7, 7, 5),
        (1, 2, 64, 64, 16),
        (2, 2, 130, 130, 20),
        (1, 2, 70, 600, 8),
        (1, 1, 300, 90, 64),
    ];
    for sizes in sizes {
        let leaves = leaves(sizes);
        for causal in [false, true] {
            for scale in [None, Some(0.7)] {
                let ours = everything(&leaves, Kind::Float, |leaves| operator(leaves, causal, scale));
                let exact = everything(&leaves, Kind::Double, |leaves| formula(leaves, causal, scale));
                for (index, (ours, exact)) in ours.iter().zip(&exact).enumerate() {
                    let apart = (ours - exact).abs().max().double_value(&[]);
                    let bound = 5e-6 * exact.abs().max().double_value(&[]).max(1.0);
                    assert!(apart < bound, "{index} of {sizes:?}, causal {causal}, {scale:?}: {apart}");
                }
            }
        }
    }
}

#[test]
fn heads_may_lie_side_by_side_in_one_projection() {
    use_faster_kernels().unwrap();
    let (batch, time, heads, features) = (2, 40, 3, 8);
    let projection = Tensor::randn([batch, time, 3 * heads * features], (Kind::Float, Device::Cpu))
        .set_requires_grad(true);
    let attend = |projection: &Tensor, apart: bool| {
        let parts: Vec<Tensor> = projection
            .split(heads * features, 2)
            .into_iter()
            .map(|part| part.view([batch, time, heads, features]).transpose(1, 2))
            .map(|part| if apart { part.contiguous() } else { part })
            .collect();
        operator([&parts[0], &parts[1], &parts[2]], true, None)
    };
    let results = [false, true].map(|apart| {
        projection.shallow_clone().zero_grad();
        let output = attend(&projection, apart);
        output.sin().sum(Kind::Float).backward();
        (output.detach(), projection.grad().copy())
    });
    assert!(results[0].0.equal(&results[1].0));
    assert!(results[0].1.allclose(&results[1].1, 1e-6, 1e-7, false));
}

#[test]
fn scores_far_from_zero_do_not_overflow_and_what_is_no_number_shows() {
    use_faster_kernels().unwrap();
    let [q, k, v] = leaves((1, 1, 20, 400, 4)).map(|leaf| leaf.to_kind(Kind::Float));
    let large = operator([&(&q * 1e3), &(&k * 1e2), &v], false, None);
    assert!(large.isfinite().all().int64_value(&[]) == 1);
    let exact =
        formula([&(&q * 1e3), &(&k * 1e2), &v].map(|one| one.to_kind(Kind::Double)).each_ref(), false, None);
    assert!(large.to_kind(Kind::Double).allclose(&exact, 1e-3, 1e-3, false));
    let broken = operator([&q, &k, &(&v * f64::NAN)], true, None);
    assert!(broken.isnan().all().int64_value(&[]) == 1);
    let broken = operator([&(&q * f64::NAN), &k, &v], true, None);
    assert!(broken.isnan().all().int64_value(&[]) == 1);
}

#[test]
fn masks_dropout_and_other_types_are_left_to_libtorch() {
    use_faster_kernels().unwrap();
    let [q, k, v] = leaves((2, 2, 9, 9, 4));
    let single = [&q, &k, &v].map(|one| one.to_kind(Kind::Float));
    let hidden = Tensor::ones([9, 9], (Kind::Bool, Device::Cpu)).tril(0);
    let [sq, sk, sv] = single.each_ref();
    let masked = Tensor::scaled_dot_product_attention(sq, sk, sv, Some(&hidden), 0.0, false, None, false);
    assert!(masked.allclose(&operator(single.each_ref(), true, None), 1e-5, 1e-6, false));
    let dropped = Tensor::scaled_dot_product_attention(sq, sk, sv, None::<Tensor>, 0.5, true, None, false);
    assert!(!dropped.allclose(&masked, 1e-3, 1e-3, false));
    let half = single.each_ref().map(|one| one.to_kind(Kind::BFloat16));
    assert_eq!(operator(half.each_ref(), true, None).kind(), Kind::BFloat16);
    assert!(operator([&q, &k, &v], false, Some(-1.0)).allclose(
        &formula([&q, &k, &v], false, Some(-1.0)),
        1e-9,
        1e-9,
        false
    ));
    let negative = operator(single.each_ref(), false, Some(-1.0)).to_kind(Kind::Double);
    assert!(negative.allclose(&formula([&q, &k, &v], false, Some(-1.0)), 1e-5, 1e-5, false));
}

#[test]
fn the_same_step_has_the_same_bits() {
    use_faster_kernels().unwrap();
    let leaves = leaves((3, 4, 130, 130, 16));
    let run = || everything(&leaves, Kind::Float, |leaves| operator(leaves, true, None));
    let once = run();
    for _ in 0..5 {
        assert!(once.iter().zip(&run()).all(|(one, other)| one.equal(other)));
    }
}
