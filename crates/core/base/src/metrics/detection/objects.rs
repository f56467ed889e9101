//! What was found and what is there, as rows of numbers: how it is kept, and how it is read back.

use std::collections::BTreeMap;

use fulmen_torch::tch::{Kind, Tensor};

use crate::metrics::state::values;
use crate::{Detections, Error, GroundTruth, Result};

/// Numbers of a detection: left, top, right, bottom, score, class.
const FOUND: usize = 6;
/// Numbers of a true object: left, top, right, bottom, class, crowd, area.
const THERE: usize = 7;

/// A box in pixels: left, top, right, bottom.
type Corners = [f64; 4];

/// A detection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found {
    pub(super) corners: Corners,
    pub(super) score: f64,
}

/// A true object.
#[derive(Debug, Clone, Copy)]
pub(super) struct There {
    pub(super) corners: Corners,
    /// Any number of detections in it is right, and none is asked for.
    pub(super) crowd: bool,
    /// In square pixels.
    pub(super) area: f64,
}

/// What one image holds of one class.
#[derive(Debug, Default)]
pub(super) struct Scene {
    pub(super) found: Vec<Found>,
    pub(super) there: Vec<There>,
}

/// In square pixels.
pub(super) fn area([left, top, right, bottom]: Corners) -> f64 {
    (right - left) * (bottom - top)
}

/// Detections of an image as `[N, 6] f64`, on their own device.
pub(super) fn found_rows(image: &Detections) -> Result<Tensor> {
    let count = count(&image.boxes)?;
    rows(&image.boxes, &[column("scores", &image.scores, count)?, column("labels", &image.labels, count)?])
}

/// True objects of an image as `[M, 7] f64`, on their own device.
pub(super) fn there_rows(image: &GroundTruth) -> Result<Tensor> {
    let count = count(&image.boxes)?;
    let crowd = match &image.crowd {
        Some(crowd) => column("crowd", crowd, count)?,
        None => Tensor::f_zeros([count, 1], (Kind::Double, image.boxes.device()))?,
    };
    let area = match &image.area {
        Some(area) => column("area", area, count)?,
        None => {
            let corners = image.boxes.f_reshape([count, 4])?.f_to_kind(Kind::Double)?;
            let size = corners.f_narrow(1, 2, 2)?.f_sub(&corners.f_narrow(1, 0, 2)?)?;
            size.f_prod_dim_int(1, true, None)?
        }
    };
    rows(&image.boxes, &[column("labels", &image.labels, count)?, crowd, area])
}

/// How many boxes there are.
fn count(boxes: &Tensor) -> Result<i64> {
    match boxes.size()[..] {
        [count, 4] => Ok(count),
        [0, ..] => Ok(0),
        ref other => {
            Err(Error::Metric(format!("boxes are {other:?}: expected [N, 4], left, top, right, bottom")))
        }
    }
}

fn column(name: &str, tensor: &Tensor, count: i64) -> Result<Tensor> {
    if tensor.size() != [count] {
        return Err(Error::Metric(format!(
            "{name} are {:?} beside {count} boxes: expected [{count}]",
            tensor.size()
        )));
    }
    Ok(tensor.f_reshape([-1, 1])?.f_to_kind(Kind::Double)?)
}

fn rows(boxes: &Tensor, columns: &[Tensor]) -> Result<Tensor> {
    let boxes = boxes.f_reshape([-1, 4])?.f_to_kind(Kind::Double)?;
    let columns =
        columns.iter().map(|column| column.f_to_device(boxes.device())).collect::<Result<Vec<_>, _>>()?;
    Ok(Tensor::f_cat(&std::iter::once(&boxes).chain(&columns).collect::<Vec<_>>(), 1)?)
}

/// The scenes of each class: those images, in order, where something of it was found or is there.
///
/// `counts [images, 2] i64` says how many rows of `found` and `there` each image has.
pub(super) fn scenes(found: &Tensor, there: &Tensor, counts: &Tensor) -> Result<BTreeMap<i64, Vec<Scene>>> {
    let (found, there, counts) = (values(found)?, values(there)?, values(counts)?);
    let (mut found, mut there) = (found.chunks_exact(FOUND), there.chunks_exact(THERE));
    let mut classes: BTreeMap<i64, Vec<Scene>> = BTreeMap::new();
    for image in counts.chunks_exact(2) {
        let mut seen: BTreeMap<i64, Scene> = BTreeMap::new();
        for row in found.by_ref().take(image[0] as usize) {
            let object = Found { corners: [row[0], row[1], row[2], row[3]], score: row[4] };
            seen.entry(row[5] as i64).or_default().found.push(object);
        }
        for row in there.by_ref().take(image[1] as usize) {
            let object =
                There { corners: [row[0], row[1], row[2], row[3]], crowd: row[5] != 0.0, area: row[6] };
            seen.entry(row[4] as i64).or_default().there.push(object);
        }
        for (class, scene) in seen {
            classes.entry(class).or_default().push(scene);
        }
    }
    Ok(classes)
}
