//! Images that lie in files: checked at the start, decoded when asked for, held in memory where they fit.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use fulmen_base::Result;

use crate::datasets::image_file::{self, Fit};
use crate::datasets::image_set::ImageSource;
use crate::transforms::{ImageShape, Pixels};

/// Sets of up to so many files are decoded at the start, which finds every fault before training; of larger ones, only the
/// beginning and the end of each file are looked at.
const DECODED_AT_START: usize = 2000;

#[derive(Debug)]
pub(super) struct ImageFiles {
    files: Vec<PathBuf>,
    shape: ImageShape,
    fit: Fit,
    /// The images at their one size, as far as they have been asked for; none where they do not fit into memory.
    cache: Option<Vec<OnceLock<Box<[u8]>>>>,
    /// Whether training takes them as large as they are, so that those of one size are for evaluation alone.
    originals: bool,
}

impl ImageFiles {
    pub(super) fn open(
        files: Vec<PathBuf>,
        shape: ImageShape,
        fit: Fit,
        cache_mb: usize,
        originals: bool,
    ) -> Result<Self> {
        let fits = files.len().saturating_mul(shape.len()) <= cache_mb.saturating_mul(1 << 20);
        let cache = fits.then(|| files.iter().map(|_| OnceLock::new()).collect());
        let images = Self { files, shape, fit, cache, originals };
        images.check()?;
        Ok(images)
    }

    /// The first fault in the order of the files, found by all processors together.
    fn check(&self) -> Result<()> {
        let decode = self.files.len() <= DECODED_AT_START;
        let next = AtomicUsize::new(0);
        let work = || {
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(file) = self.files.get(index) else { return Ok(()) };
                let checked = match decode {
                    true if self.originals => self.original(index).map(drop),
                    true => self.pixels(index).map(drop),
                    false => image_file::check(file),
                };
                if let Err(error) = checked {
                    // The others need not go on.
                    next.store(self.files.len(), Ordering::Relaxed);
                    return Err((index, error));
                }
            }
        };
        let threads = thread::available_parallelism().map_or(1, usize::from).min(self.files.len().max(1));
        let faults = thread::scope(|scope| {
            let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            workers.into_iter().filter_map(|worker| worker.join().ok()?.err()).collect::<Vec<_>>()
        });
        faults.into_iter().min_by_key(|(index, _)| *index).map_or(Ok(()), |(_, error)| Err(error))
    }
}

impl ImageSource for ImageFiles {
    fn pixels(&self, index: usize) -> Result<Pixels<'_>> {
        let read = || image_file::read(&self.files[index], self.shape, self.fit);
        let Some(cache) = &self.cache else { return read() };
        let pixels = match cache[index].get() {
            Some(pixels) => pixels,
            None => {
                let pixels = read()?.data.into_owned().into_boxed_slice();
                cache[index].get_or_init(|| pixels)
            }
        };
        Ok(Pixels { shape: self.shape, data: pixels.as_ref().into() })
    }

    fn original(&self, index: usize) -> Result<Pixels<'_>> {
        image_file::decode(&self.files[index], self.shape.channels)
    }

    fn file(&self, index: usize) -> Option<&Path> {
        Some(&self.files[index])
    }
}
