//! Images that lie in files: checked at the start, decoded when asked for, held in memory where they fit.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread;

use fulmen_base::{Error, PreparedCache, Result};
use serde_json::json;

use crate::datasets::image_file::{self, Fit};
use crate::datasets::image_set::ImageSource;
use crate::transforms::{ImageShape, Pixels};

/// Sets of up to so many files are decoded at the start, which finds every fault before training; of larger ones, only the
/// beginning and the end of each file are looked at.
const DECODED_AT_START: usize = 2000;

/// Of what [`ImageFiles::decode`] makes: a change of the code that changes a pixel changes it.
const VERSION: u32 = 1;

#[derive(Debug)]
pub(super) struct ImageFiles {
    files: Vec<PathBuf>,
    shape: ImageShape,
    fit: Fit,
    memory: Memory,
    /// Whether training takes them as large as they are, so that those of one size are for evaluation alone.
    originals: bool,
}

/// The images at their one size, as far as they are held in memory.
#[derive(Debug)]
enum Memory {
    /// They do not fit.
    Nothing,
    /// Those that have been asked for.
    Asked(Vec<OnceLock<Box<[u8]>>>),
    /// All, one after the other.
    All(Vec<u8>),
}

impl ImageFiles {
    pub(super) fn new(
        files: Vec<PathBuf>,
        shape: ImageShape,
        fit: Fit,
        cache_mb: usize,
        originals: bool,
    ) -> Self {
        let fits = files.len().saturating_mul(shape.len()) <= cache_mb.saturating_mul(1 << 20);
        let memory = match fits {
            true => Memory::Asked(files.iter().map(|_| OnceLock::new()).collect()),
            false => Memory::Nothing,
        };
        Self { files, shape, fit, memory, originals }
    }

    /// Checks the files; what fits into memory is decoded, or taken from `cache`, where it is kept.
    pub(super) fn open(mut self, cache: Option<&dyn PreparedCache>) -> Result<Self> {
        match cache.filter(|_| !self.originals && matches!(self.memory, Memory::Asked(_))) {
            Some(cache) => self.memory = Memory::All(self.prepared(cache)?),
            None => self.check()?,
        }
        Ok(self)
    }

    /// All images decoded, found in `cache` or made now. What is found was made of the same files: they need no check.
    fn prepared(&self, cache: &dyn PreparedCache) -> Result<Vec<u8>> {
        let mut digests = vec![[0; blake3::OUT_LEN]; self.files.len()];
        each(digests.iter_mut(), |index, digest| {
            let file = &self.files[index];
            let bytes =
                fs::read(file).map_err(|error| Error::data(file, format!("cannot be read: {error}")))?;
            *digest = *blake3::hash(&bytes).as_bytes();
            Ok(())
        })?;
        // What the files are called makes no difference; their order does.
        let mut hasher = blake3::Hasher::new();
        digests.iter().for_each(|digest| {
            hasher.update(digest);
        });
        let inputs = [("images".to_owned(), hasher.finalize().to_hex().to_string())];
        let ImageShape { channels, height, width } = self.shape;
        let fit = match self.fit {
            Fit::Cover => "cover",
            Fit::Stretch => "stretch",
        };
        let config = json!({
            "_target_": "vision.image_folder", "prepared": "pixels", "version": VERSION,
            "channels": channels, "height": height, "width": width, "fit": fit,
        });
        cache.get_or_prepare(&config, &inputs, &mut || self.decode())
    }

    /// The pixels of all images, one after the other.
    fn decode(&self) -> Result<Vec<u8>> {
        let mut pixels = vec![0; self.files.len() * self.shape.len()];
        each(pixels.chunks_exact_mut(self.shape.len()), |index, pixels| {
            pixels.copy_from_slice(&image_file::read(&self.files[index], self.shape, self.fit)?.data);
            Ok(())
        })?;
        Ok(pixels)
    }

    /// Looks for faults.
    fn check(&self) -> Result<()> {
        let decode = self.files.len() <= DECODED_AT_START;
        each(self.files.iter(), |index, file| match decode {
            true if self.originals => self.original(index).map(drop),
            true => self.pixels(index).map(drop),
            false => image_file::check(file),
        })
    }
}

/// Does `work` for each item, by all processors together; the first fault in their order.
fn each<I: Send>(
    items: impl Iterator<Item = I> + Send,
    work: impl Fn(usize, I) -> Result<()> + Sync,
) -> Result<()> {
    let items = Mutex::new(items.enumerate());
    let failed = AtomicBool::new(false);
    let work = || {
        while !failed.load(Ordering::Relaxed) {
            let next = items.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some((index, item)) = next else { break };
            if let Err(error) = work(index, item) {
                // The others need not go on.
                failed.store(true, Ordering::Relaxed);
                return Err((index, error));
            }
        }
        Ok(())
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let faults = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().filter_map(|worker| worker.join().ok()?.err()).collect::<Vec<_>>()
    });
    faults.into_iter().min_by_key(|(index, _)| *index).map_or(Ok(()), |(_, error)| Err(error))
}

impl ImageSource for ImageFiles {
    fn pixels(&self, index: usize) -> Result<Pixels<'_>> {
        let read = || image_file::read(&self.files[index], self.shape, self.fit);
        let data = match &self.memory {
            Memory::Nothing => return read(),
            Memory::All(pixels) => &pixels[index * self.shape.len()..(index + 1) * self.shape.len()],
            Memory::Asked(images) => match images[index].get() {
                Some(pixels) => pixels.as_ref(),
                None => {
                    let pixels = read()?.data.into_owned().into_boxed_slice();
                    images[index].get_or_init(|| pixels).as_ref()
                }
            },
        };
        Ok(Pixels { shape: self.shape, data: data.into() })
    }

    fn original(&self, index: usize) -> Result<Pixels<'_>> {
        image_file::decode(&self.files[index], self.shape.channels)
    }

    fn file(&self, index: usize) -> Option<&Path> {
        Some(&self.files[index])
    }
}
