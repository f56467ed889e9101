//! Multirun: the jobs of a sweep, as Hydra's basic sweeper makes them.

use indexmap::IndexMap;

use crate::compose::{Composer, RunMode, set_hydra};
use crate::config::Config;
use crate::error::{ConfigError, Result, fail};
use crate::overrides::{Element, Override, parse_all};
use crate::value::{Value, str_node};

/// Jobs beyond which a sweep must be a mistake.
const MAX_JOBS: usize = 1_000_000;

/// The jobs of a sweep in the order in which they run.
#[derive(Debug, Clone)]
pub struct Multirun {
    /// The frame that all jobs share: the configuration without the swept values.
    pub frame: Config,
    /// The overrides of every job, without those of the `hydra` node.
    pub jobs: Vec<Vec<String>>,
    /// How many jobs run before the next ones start.
    pub batch_sizes: Vec<usize>,
    config_name: Option<String>,
    hydra_overrides: Vec<String>,
}

/// Expands a command line into the overrides of every job: the Cartesian product, the last key fastest.
/// Groups' options for `glob()` are not known here; `Composer::multirun` knows them.
///
/// # Errors
/// Overrides that do not parse, sweeps that cannot be enumerated.
pub fn sweep<S: AsRef<str>>(overrides: &[S]) -> Result<Vec<Vec<String>>> {
    product(&parse_all(overrides)?, &|_| Vec::new())
}

impl Composer {
    /// Plans the jobs of a command line with sweeps.
    ///
    /// # Errors
    /// What `compose` finds wrong with the frame, and sweeps that cannot be enumerated.
    pub fn multirun<S: AsRef<str>>(&self, config_name: Option<&str>, overrides: &[S]) -> Result<Multirun> {
        let frame = self.compose_in_mode(config_name, overrides, RunMode::Multirun)?;
        self.plan(config_name, frame)
    }

    /// Plans the jobs of a frame that has been composed in the mode `Multirun`.
    ///
    /// # Errors
    /// Sweeps that cannot be enumerated.
    pub fn plan(&self, config_name: Option<&str>, frame: Config) -> Result<Multirun> {
        let list = |key: &str| -> Vec<String> {
            let items = frame.hydra().select(key).and_then(|node| node.as_list());
            items.unwrap_or_default().iter().map(str_node).collect()
        };
        let mut arguments = parameters(&frame)?;
        arguments.extend(list("overrides.task"));
        let parsed = parse_all(&arguments)?;
        let mut repository = self.repository();
        self.extend_search_path(&mut repository, config_name, &[])?;
        let jobs = product(&parsed, &|group| repository.options(group))?;
        let batch_sizes = batches(jobs.len(), &frame)?;
        let hydra_overrides = list("overrides.hydra");
        Ok(Multirun {
            frame,
            jobs,
            batch_sizes,
            config_name: config_name.map(str::to_owned),
            hydra_overrides,
        })
    }

    /// Composes one job of a sweep, with `hydra.job.num` and `hydra.job.id` set.
    ///
    /// # Errors
    /// What `compose` finds wrong with the job, or an index beyond the jobs.
    pub fn compose_job(&self, multirun: &Multirun, index: usize) -> Result<Config> {
        let Some(job) = multirun.jobs.get(index) else {
            return Err(fail!(Value, "no job {index}: there are {}", multirun.jobs.len()));
        };
        let overrides: Vec<&String> = multirun.hydra_overrides.iter().chain(job).collect();
        let mut config = self.compose(multirun.config_name.as_deref(), &overrides)?;
        let number = i64::try_from(index).unwrap_or(i64::MAX);
        set_hydra(config.hydra_mut(), &["job", "num"], Value::Int(number));
        set_hydra(config.hydra_mut(), &["job", "id"], format!("job_id_for_{index}").into());
        Ok(config)
    }
}

/// `hydra.sweeper.params` as overrides.
fn parameters(frame: &Config) -> Result<Vec<String>> {
    let Some(params) = frame.value("hydra.sweeper.params")? else { return Ok(Vec::new()) };
    let pairs = params.as_map().into_iter().flatten();
    Ok(pairs.map(|(key, value)| format!("{key}={}", str_node(value))).collect())
}

/// One list of overrides per job. A key that comes again replaces its values in place.
fn product(overrides: &[Override], options: &dyn Fn(&str) -> Vec<String>) -> Result<Vec<Vec<String>>> {
    let mut choices: IndexMap<String, Vec<String>> = IndexMap::new();
    for (index, item) in overrides.iter().enumerate() {
        let key = item.key_element();
        let origin = crate::Origin::Override { index, text: item.text.clone(), column: 1 };
        let texts = match item.sweep() {
            Some(sweep) => sweep.texts(|| options(&item.key)).map_err(|error| error.or_at(&origin))?,
            None => {
                let null = Element::Scalar(Value::Null);
                let text = item.value.as_ref().unwrap_or(&null).to_text();
                vec![text.ok_or_else(|| fail!(Type, "a sweep cannot stand inside a value").at(origin))?]
            }
        };
        let assigned = texts.into_iter().map(|text| format!("{key}={text}")).collect();
        choices.insert(key, assigned);
    }
    let count = choices.values().try_fold(1usize, |count, texts| count.checked_mul(texts.len()));
    let count = count.filter(|count| *count <= MAX_JOBS).ok_or_else(too_many)?;
    let mut jobs = Vec::with_capacity(count);
    for number in 0..count {
        let mut rest = number;
        let mut job: Vec<String> = choices
            .values()
            .rev()
            .map(|texts| {
                let text = texts[rest % texts.len()].clone();
                rest /= texts.len();
                text
            })
            .collect();
        job.reverse();
        jobs.push(job);
    }
    Ok(jobs)
}

fn too_many() -> ConfigError {
    fail!(Value, "a sweep of more than {MAX_JOBS} jobs")
        .with_help("sweep over fewer values, or search with a sampler")
}

/// `hydra.sweeper.max_batch_size` cuts the jobs into batches.
fn batches(jobs: usize, frame: &Config) -> Result<Vec<usize>> {
    let size = frame.value("hydra.sweeper.max_batch_size")?;
    let size = match size.as_ref().map(|node| &node.value) {
        None | Some(Value::Null) => return Ok(vec![jobs]),
        Some(Value::Int(size)) if *size > 0 => usize::try_from(*size).unwrap_or(usize::MAX),
        Some(_) => {
            let origin = size.map(|node| node.origin).unwrap_or_default();
            return Err(fail!(Value, "hydra.sweeper.max_batch_size must be at least 1").or_at(&origin));
        }
    };
    let rest = jobs % size;
    let full = std::iter::repeat_n(size, jobs / size);
    Ok(full.chain((rest > 0).then_some(rest)).collect())
}
