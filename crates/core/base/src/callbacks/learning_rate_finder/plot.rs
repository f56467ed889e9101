//! The curve of a learning-rate search as a picture.

use std::fmt::Write as _;

use crate::trainer::{LearningRateCurve, Spacing};

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 400.0;
/// Room for the numbers beside the axes.
const LEFT: f64 = 64.0;
const BOTTOM: f64 = 44.0;
const MARGIN: f64 = 16.0;

/// Loss over learning rate, the suggestion as a red point.
pub(super) fn svg(curve: &LearningRateCurve) -> String {
    let across = |lr: f64| if curve.mode == Spacing::Exponential { lr.log10() } else { lr };
    let points: Vec<_> = curve
        .lr
        .iter()
        .zip(&curve.loss)
        .enumerate()
        .filter(|(_, (_, loss))| loss.is_finite())
        .map(|(step, (&lr, &loss))| (step, across(lr), loss))
        .collect();
    let (x, y) = (Span::of(points.iter().map(|point| point.1)), Span::of(points.iter().map(|point| point.2)));
    let place = |lr: f64, loss: f64| {
        let (right, up) = (x.share(lr), y.share(loss));
        (LEFT + right * (WIDTH - LEFT - MARGIN), HEIGHT - BOTTOM - up * (HEIGHT - BOTTOM - MARGIN))
    };
    let mut line = String::new();
    let mut marked = String::new();
    for &(step, lr, loss) in &points {
        let (right, down) = place(lr, loss);
        // Writing to a string cannot fail.
        let _ = write!(line, "{right:.1},{down:.1} ");
        if curve.suggestion == Some(step) {
            let _ = write!(
                marked,
                "<circle cx=\"{right:.1}\" cy=\"{down:.1}\" r=\"5\" fill=\"#d62728\"><title>suggestion: {:.3e}</title></circle>",
                curve.lr[step]
            );
        }
    }
    let mut ticks = String::new();
    for share in [0.0, 0.25, 0.5, 0.75, 1.0] {
        let (at, lr) = place(x.at(share), y.least);
        let lr_shown =
            if curve.mode == Spacing::Exponential { 10_f64.powf(x.at(share)) } else { x.at(share) };
        let _ = write!(
            ticks,
            "<text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{lr_shown:.1e}</text>",
            lr + 18.0
        );
        let (_, down) = place(x.least, y.at(share));
        let _ = write!(
            ticks,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{:.3}</text>",
            LEFT - 6.0,
            down + 4.0,
            y.at(share)
        );
    }
    let (right, bottom, middle) = (WIDTH - MARGIN, HEIGHT - BOTTOM, (LEFT + WIDTH - MARGIN) / 2.0);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{HEIGHT}\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <path d=\"M{LEFT},{MARGIN} V{bottom} H{right}\" fill=\"none\" stroke=\"black\"/>\n\
         {ticks}\n\
         <text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">Learning rate</text>\n\
         <text x=\"12\" y=\"{}\" text-anchor=\"middle\" transform=\"rotate(-90 12 {})\">Loss</text>\n\
         <polyline points=\"{}\" fill=\"none\" stroke=\"#1f77b4\" stroke-width=\"1.5\"/>\n\
         {marked}\n</svg>\n",
        HEIGHT - 8.0,
        HEIGHT / 2.0,
        HEIGHT / 2.0,
        line.trim_end(),
    )
}

/// From the least value to the greatest.
struct Span {
    least: f64,
    length: f64,
}

impl Span {
    fn of(values: impl Iterator<Item = f64> + Clone) -> Self {
        let least = values.clone().fold(f64::INFINITY, f64::min);
        let length = values.fold(f64::NEG_INFINITY, f64::max) - least;
        if length.is_finite() { Self { least, length } } else { Self { least: 0.0, length: 0.0 } }
    }

    fn share(&self, value: f64) -> f64 {
        if self.length > 0.0 { (value - self.least) / self.length } else { 0.5 }
    }

    fn at(&self, share: f64) -> f64 {
        self.least + share * self.length
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_curve_and_its_suggestion_are_drawn_and_nothing_that_is_no_number() {
        let curve = LearningRateCurve {
            lr: vec![1e-4, 1e-3, 1e-2, 1e-1],
            loss: vec![1.0, 0.5, f64::NAN, 2.0],
            suggestion: Some(1),
            mode: Spacing::Exponential,
        };
        let picture = svg(&curve);
        assert!(picture.contains("64.0,242.7 250.7,356.0 624.0,16.0"), "{picture}");
        assert!(picture.contains("suggestion: 1.000e-3") && !picture.contains("NaN"));
        assert!(!svg(&LearningRateCurve::default()).contains("NaN"));
    }
}
