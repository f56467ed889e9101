//! One run, from a composed configuration to its record.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use fulmen_contracts::event::Outcome;
use fulmen_contracts::settings::Encrypted;
use fulmen_contracts::{CONTRACT_VERSION, Command, Event, RunKeys, RunSpec};
use fulmen_storage::ArtifactStore;
use fulmen_tracking::{
    DeliveryReport, ErrorKind, NewExperiment, NewRun, Run, RunBatch, RunRecorder, RunUpdate, Tag,
    TrackingStore,
};
use fulmen_utils::ids;
use serde_json::Value;

use crate::encryption::{InClear, RunEncryption, encrypted_of};
use crate::follow::{Ended, Interrupts, follow};
use crate::once::Known;
use crate::system_metrics::SystemMetrics;
use crate::{ManagerError, RunFolder, UploadReport, Uploads, Worker, flatten, record, resume};

/// Starts runs and records them.
#[derive(Debug)]
pub struct Manager {
    /// The program that runs them.
    pub worker: Worker,
    /// Where they are recorded.
    pub store: Arc<dyn TrackingStore>,
}

/// What is to be trained, and under which names it is recorded.
#[derive(Debug, Clone)]
pub struct Launch {
    /// The composed and resolved configuration.
    pub config: Value,
    /// Files to be kept in the run's folder: name and text.
    pub files: Vec<(String, String)>,
    /// The experiment that the run joins; made where it is not there.
    pub experiment_name: String,
    /// The run's name; none: one is made up.
    pub run_name: Option<String>,
    /// Tags of the user's.
    pub tags: Vec<Tag>,
    /// The run that goes on where it was stopped, rather than a new one.
    pub resume: Option<Run>,
    /// How it is encrypted; none: it is not.
    pub encryption: Option<RunEncryption>,
}

impl Launch {
    /// A run goes on as it began: encrypted, or not.
    fn check_encryption(&self) -> Result<(), ManagerError> {
        let Some(run) = &self.resume else { return Ok(()) };
        let began = encrypted_of(run);
        if began == self.encrypted() {
            return Ok(());
        }
        let id = &run.info.run_id;
        Err(ManagerError::Encrypted(match began {
            Some(began) => {
                format!("run {id} was begun with encryption.{}=true, and goes on so", began.name())
            }
            None => format!(
                "run {id} was begun without encryption, and goes on so: set encryption.artifacts=false encryption.checkpoints=false, or begin a new run from its weights"
            ),
        }))
    }

    /// What of its artifacts is encrypted.
    fn encrypted(&self) -> Option<Encrypted> {
        self.encryption.as_ref().and_then(|encryption| encryption.encrypted)
    }
}

/// A run that is ready to be started.
struct Begun {
    spec: RunSpec,
    recorder: RunRecorder,
    known: Known,
    in_clear: InClear,
}

/// What became of a run.
#[derive(Debug)]
pub struct Report {
    /// The run as it was recorded; none where it was not, since it could not begin.
    pub run: Option<Run>,
    /// Where its files are.
    pub folder: Option<RunFolder>,
    /// How it ended.
    pub ended: Ended,
    /// What became of its record, where something is left to say.
    pub delivery: Option<DeliveryReport>,
    /// What became of its artifacts, where they are kept elsewhere.
    pub upload: Option<UploadReport>,
}

impl Manager {
    /// Trains, and records what is trained.
    ///
    /// A run that cannot begin, since its input is bad, leaves no record.
    ///
    /// # Errors
    /// When the store, the run's folder or the worker cannot be used.
    pub fn train(
        &self,
        launch: &Launch,
        interrupts: &Interrupts,
        mut take: impl FnMut(&Event, &Run),
    ) -> Result<Report, ManagerError> {
        launch.check_encryption()?;
        let run = match &launch.resume {
            Some(run) => run.clone(),
            None => self.create(launch)?,
        };
        let folder = match &launch.resume {
            Some(run) => RunFolder::of(run)?,
            None => self.place(launch, &run)?,
        };
        let begun =
            self.begin(launch, &run, &folder, interrupts, |event| take(event, &run)).and_then(|begun| {
                Ok((begun, Uploads::begin(self.store.as_ref(), &run, &folder, launch.encrypted())?))
            });
        let (Begun { spec, recorder, mut known, in_clear }, uploads) = match begun {
            Ok(begun) => begun,
            Err(error) => {
                self.forget(launch, &run, &folder);
                return Err(error);
            }
        };
        let started = SystemMetrics::start(&launch.config, &run, |name| env::var(name).ok())
            .and_then(|metrics| Ok((metrics, self.worker.start(&spec, &folder.log())?)));
        let (system_metrics, child) = match started {
            Ok(started) => started,
            Err(error) => {
                drop(recorder);
                self.forget(launch, &run, &folder);
                return Err(error);
            }
        };
        let mut unrecorded = None;
        let ended = follow(&self.worker, child, &folder, interrupts, |event| {
            // Recorded first: what was shown is never lost.
            let system = system_metrics.as_ref().map_or(Ok(()), |metrics| metrics.record(&recorder));
            if let Err(error) = record::record(&recorder, &mut known, event).and(system) {
                unrecorded.get_or_insert(error);
            }
            take(event, &run);
        })?;
        if matches!(ended, Ended::Said(Outcome::BadInput { .. })) {
            drop(recorder);
            self.forget(launch, &run, &folder);
            return Ok(Report { run: None, folder: None, ended, delivery: None, upload: None });
        }
        if let Some(Err(error)) = system_metrics.map(|metrics| metrics.finish(&recorder)) {
            unrecorded.get_or_insert(error);
        }
        // Before anything of it leaves this machine.
        let encrypted = in_clear.close();
        let delivery = recorder.finish(record::status(&ended))?;
        encrypted?;
        if let Some(error) = unrecorded {
            return Err(error.into());
        }
        let upload = uploads.map(|uploads| uploads.finish(|_, _| ())).transpose()?;
        let run = self.store.run(&run.info.run_id).unwrap_or(run);
        Ok(Report { run: Some(run), folder: Some(folder), ended, delivery: Some(delivery), upload })
    }

    /// Evaluates or predicts with a run's checkpoint, which `keys` open where it is encrypted; nothing is recorded.
    ///
    /// # Errors
    /// When the worker cannot be used.
    pub fn evaluate(
        worker: &Worker,
        command: Command,
        config: Value,
        checkpoint: Option<PathBuf>,
        keys: Option<RunKeys>,
        interrupts: &Interrupts,
        take: impl FnMut(&Event),
    ) -> Result<Ended, ManagerError> {
        let scratch = RunFolder::scratch();
        scratch.create(&[])?;
        let spec = RunSpec {
            contract_version: CONTRACT_VERSION,
            run_id: ids::run_id(),
            folder: scratch.artifacts(),
            command,
            checkpoint,
            resume: false,
            keys,
            config,
        };
        let ended = worker
            .start(&spec, &scratch.log())
            .and_then(|child| follow(worker, child, &scratch, interrupts, take));
        // A scratch folder that stays is swept with the rest of the temporary folder.
        let _ = fs::remove_dir_all(scratch.path());
        ended
    }

    fn create(&self, launch: &Launch) -> Result<Run, ManagerError> {
        let name = &launch.experiment_name;
        let experiment = match self.store.experiment_by_name(name)? {
            Some(experiment) => experiment,
            None => {
                let new = NewExperiment { name: name.clone(), ..NewExperiment::default() };
                match self.store.create_experiment(&new) {
                    // Another run was quicker between the question and this.
                    Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                        self.store.experiment_by_name(name)?.ok_or(error)?
                    }
                    made => made?,
                }
            }
        };
        let tags = [Tag::new("mlflow.source.name", "fulmen"), Tag::new("mlflow.source.type", "LOCAL")];
        let encryption = launch.encryption.as_ref().and_then(RunEncryption::tag);
        Ok(self.store.create_run(&NewRun {
            experiment_id: experiment.experiment_id,
            run_name: launch.run_name.clone(),
            user_id: env::var("USER").or_else(|_| env::var("LOGNAME")).unwrap_or_default(),
            tags: tags.into_iter().chain(encryption).chain(launch.tags.clone()).collect(),
            ..NewRun::default()
        })?)
    }

    /// Finds the place of a new run's folder, and records it where it has to be.
    fn place(&self, launch: &Launch, run: &Run) -> Result<RunFolder, ManagerError> {
        let root = launch.config.pointer("/trainer/default_root_dir").and_then(Value::as_str);
        let (folder, tag) = RunFolder::place(run, root).inspect_err(|_| self.withdraw(run))?;
        if let Some(tag) = tag {
            self.store.log_batch(&run.info.run_id, &RunBatch { tags: vec![tag], ..RunBatch::default() })?;
        }
        Ok(folder)
    }

    fn begin(
        &self,
        launch: &Launch,
        run: &Run,
        folder: &RunFolder,
        interrupts: &Interrupts,
        tell: impl FnMut(&Event),
    ) -> Result<Begun, ManagerError> {
        let resume = launch.resume.is_some();
        folder.create(if resume { &[] } else { &launch.files })?;
        let (id, encryption) = (&run.info.run_id, launch.encryption.as_ref());
        let mut tell = tell;
        if resume {
            resume::wait_for_worker(folder, interrupts, &mut tell)?;
        }
        let in_clear = InClear::open(folder, id, encryption)?;
        let (checkpoint, known, recorder) = if resume {
            let plain = ArtifactStore::new(folder.artifacts());
            let artifacts = encryption.map_or(plain.clone(), |encryption| encryption.artifacts(plain, id));
            let (resumed, recorder) =
                resume::prepare(&self.store, run, folder, &launch.config, &artifacts, tell)?;
            (resumed.checkpoint, resumed.known, recorder)
        } else {
            let recorder = RunRecorder::start(self.store.clone(), &folder.journal(), id)?;
            let wanted = launch.config.pointer("/trainer/enable_autolog_hparams").and_then(Value::as_bool);
            if wanted.unwrap_or(true) {
                recorder.log_params(&flatten::params(&launch.config))?;
            }
            (None, Known::default(), recorder)
        };
        let spec = RunSpec {
            contract_version: CONTRACT_VERSION,
            run_id: id.clone(),
            folder: folder.artifacts(),
            command: Command::Train,
            checkpoint,
            resume,
            keys: encryption.map(|encryption| encryption.for_worker(id)),
            config: launch.config.clone(),
        };
        Ok(Begun { spec, recorder, known, in_clear })
    }

    /// Takes back the record of a run that could not begin.
    fn forget(&self, launch: &Launch, run: &Run, folder: &RunFolder) {
        let id = &run.info.run_id;
        if launch.resume.is_some() {
            let update = RunUpdate { status: Some(run.info.status), ..RunUpdate::default() };
            let _ = self.store.update_run(id, &update);
            return;
        }
        self.withdraw(run);
        let _ = fs::remove_dir_all(folder.path());
    }

    fn withdraw(&self, run: &Run) {
        let id = &run.info.run_id;
        // What cannot be taken back is an empty record: it harms nobody.
        let _ = self.store.delete_run(id).and_then(|()| self.store.purge_run(id));
    }
}
