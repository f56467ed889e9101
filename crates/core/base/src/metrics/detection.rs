//! Objects found in images, by COCO's rules: <https://cocodataset.org/#detection-eval>.

mod curve;
mod matching;
mod mean_average_precision;
mod objects;
mod summary;
