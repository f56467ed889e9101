//! Mean average precision and recall by COCO's definition (Lin et al. 2014, arXiv:1405.0312).

use std::sync::Arc;

use fulmen_registry::component;
use fulmen_torch::tch::{Device, Kind, Tensor};
use schemars::JsonSchema;
use serde::Deserialize;

use super::objects::{found_rows, scenes, there_rows};
use super::summary::Summary;
use crate::metrics::{Join, State};
use crate::{Computed, Error, Metric, MetricKind, Observation, ObservationKind, Result};

/// COCO's mean average precision and recall: `map` (over overlaps of 0.5 to 0.95), `map_50`, `map_75`, `map_small`, … `mar_1`, `mar_10`, `mar_100`, …
///
/// A value of which nothing is asked, such as `map_small` without small objects, is -1, as in COCO's own program.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MeanAveragePrecisionConfig {
    /// Whether `map_per_class/3` and `mar_100_per_class/3` are told of each class.
    #[serde(default)]
    pub(crate) class_metrics: bool,
}

component! { MetricKind, "mean_average_precision", MeanAveragePrecisionConfig => |config, ()| {
    Ok(Arc::new(MeanAveragePrecision { class_metrics: config.class_metrics }))
} }

/// COCO's mean average precision and recall.
#[derive(Debug)]
struct MeanAveragePrecision {
    class_metrics: bool,
}

impl Metric for MeanAveragePrecision {
    fn takes(&self) -> ObservationKind {
        ObservationKind::Boxes
    }

    fn states(&self) -> &'static [(&'static str, Join)] {
        // [N, 6] f64, [M, 7] f64, and [images, 2] i64: rows of each image. Matching waits for compute, since it runs on the host.
        &[("found", Join::Concatenation), ("there", Join::Concatenation), ("images", Join::Concatenation)]
    }

    fn update(&self, state: &mut State, observation: &Observation) -> Result<()> {
        let Observation::Boxes { predictions, targets } = observation else {
            return Err(observation.is_no(ObservationKind::Boxes));
        };
        if predictions.len() != targets.len() {
            let (predictions, targets) = (predictions.len(), targets.len());
            return Err(Error::Metric(format!(
                "{predictions} images have detections, and {targets} have objects"
            )));
        }
        for (found, there) in predictions.iter().zip(targets) {
            let (found, there) = (found_rows(found)?, there_rows(there)?);
            let rows = [found.size()[0], there.size()[0]];
            state.append("images", Tensor::f_from_slice(&rows)?.f_view([1, 2])?)?;
            state.append("found", found)?;
            state.append("there", there)?;
        }
        Ok(())
    }

    fn compute(&self, state: &State) -> Result<Computed> {
        let nothing = || Tensor::f_zeros([0], (Kind::Double, Device::Cpu));
        let kept = |name| Ok::<_, Error>(state.get(name)?.map_or_else(nothing, Ok)?);
        let classes = scenes(&kept("found")?, &kept("there")?, &kept("images")?)?;
        let summaries: Vec<_> = classes.iter().map(|(class, scenes)| (class, Summary::of(scenes))).collect();
        let mut values = Summary::mean(summaries.iter().map(|(_, summary)| summary)).named();
        if self.class_metrics {
            for (class, summary) in &summaries {
                values.push((format!("map_per_class/{class}"), summary.map()));
                values.push((format!("mar_100_per_class/{class}"), summary.mar_100()));
            }
        }
        // COCO's own program says -1 where nothing was to be found.
        Ok(Computed::Several(values.into_iter().map(|(name, value)| (name, value.unwrap_or(-1.0))).collect()))
    }
}
