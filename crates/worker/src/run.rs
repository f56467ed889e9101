//! One run, from its specification to its outcome.

use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;

use fulmen_base::checkpoint::Checkpoint;
use fulmen_base::events::{EventSink, StopSignal};
use fulmen_base::record::MetricsRecord;
use fulmen_base::trainer::{Parts, checkpoint_folder};
use fulmen_base::{Error, Result, Split};
use fulmen_contracts::event::{FailureNote, Outcome};
use fulmen_contracts::{CONTRACT_VERSION, Command, Event, ExitCode, RunSpec};
use fulmen_registry::registry;
use fulmen_torch::operators;
use fulmen_utils::atomic;
use signal_hook::consts::{SIGINT, SIGTERM};
use zeroize::Zeroizing;

use crate::build::{self, Run};
use crate::pipe;

/// Runs what standard input asks for.
pub(crate) fn from_standard_input() -> ExitCode {
    // Where they cannot be had, a step is slower, nothing else.
    let _ = operators::use_faster_kernels();
    let stop = StopSignal::default();
    let Ok(events) = pipe::take_standard_output(stop.clone()) else { return ExitCode::Failure };
    for signal in [SIGINT, SIGTERM] {
        if let Err(error) = signal_hook::flag::register(signal, Arc::clone(&stop.0)) {
            let _ = writeln!(io::stderr(), "signal {signal} cannot be caught: {error}");
        }
    }
    let outcome = read_spec().map_or_else(
        |message| Outcome::BadInput { message, key: None },
        |spec| conduct(&spec, &events, &stop),
    );
    let code = match outcome {
        Outcome::Completed { .. } => ExitCode::Success,
        Outcome::Interrupted { .. } => ExitCode::Interrupted,
        Outcome::BadInput { .. } => ExitCode::BadInput,
        Outcome::Failed { .. } => ExitCode::Failure,
    };
    events.send(Event::Finished { outcome });
    code
}

fn read_spec() -> Result<RunSpec, String> {
    // It may hold keys. Of enough room for most, since a text that grows leaves copies of itself behind.
    let mut text = Zeroizing::new(String::with_capacity(1 << 18));
    io::stdin()
        .read_to_string(&mut text)
        .map_err(|error| format!("no run specification on standard input: {error}"))?;
    let spec: RunSpec = serde_json::from_str(&text)
        .map_err(|error| format!("the run specification cannot be read: {error}"))?;
    if spec.contract_version != CONTRACT_VERSION {
        let theirs = spec.contract_version;
        return Err(format!(
            "this worker speaks version {CONTRACT_VERSION} of the contract, the run was asked for in {theirs}: build both from one Fulmen"
        ));
    }
    Ok(spec)
}

/// Before training, whatever goes wrong is the request's fault; after that, the run's.
fn conduct(spec: &RunSpec, events: &EventSink, stop: &StopSignal) -> Outcome {
    let events = match recorded(spec, events) {
        Ok(events) => events,
        Err(error) => return bad_input(&error),
    };
    let prepared = registry()
        .map_err(|error| Error::config("", error.to_string()))
        .and_then(|registry| build::build(spec, registry, events.clone(), stop.clone()))
        .and_then(|run| {
            let checkpoint = open(spec, &run)?;
            Ok((run, checkpoint))
        });
    let (mut run, checkpoint) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => return bad_input(&error),
    };
    let ready = match (&spec.command, &checkpoint) {
        (Command::Train, _) | (_, None) => Ok(()),
        (_, Some(checkpoint)) => run.trainer.load_weights(&run.model, checkpoint),
    };
    if let Err(error) = ready {
        return bad_input(&error);
    }
    events.send(Event::Started { environment: run.trainer.environment.clone() });
    match &spec.command {
        Command::Train => train(&mut run, spec, checkpoint.as_ref()),
        Command::Validate => {
            let done = run.trainer.validate(&mut run.model, run.data.as_mut());
            outcome(done.map(|_| "validated".to_owned()), stop, run.trainer.failure.take())
        }
        Command::Test => {
            let done = run.trainer.test(&mut run.model, run.data.as_mut());
            outcome(done.map(|_| "tested".to_owned()), stop, run.trainer.failure.take())
        }
        Command::Predict { input } => predict(&mut run, input),
    }
}

/// The checkpoint to start from.
fn open(spec: &RunSpec, run: &Run) -> Result<Option<Checkpoint>> {
    let keys = run.trainer.checkpoint_keys.as_ref();
    spec.checkpoint.as_deref().map(|folder| Checkpoint::open(folder, keys)).transpose()
}

/// What is trained is recorded in the run's own folder too, which this process then has to itself.
fn recorded(spec: &RunSpec, events: &EventSink) -> Result<EventSink> {
    if spec.command != Command::Train {
        return Ok(events.clone());
    }
    atomic::create_folder(&spec.folder)?;
    Ok(events.recording(MetricsRecord::open(&spec.folder)?))
}

fn train(run: &mut Run, spec: &RunSpec, checkpoint: Option<&Checkpoint>) -> Outcome {
    if let Some(checkpoint) = checkpoint.filter(|_| !spec.resume)
        && let Err(error) = run.trainer.load_weights(&run.model, checkpoint)
    {
        return bad_input(&error);
    }
    let config = &run.config;
    let parts = Parts {
        model: &mut run.model,
        data: run.data.as_mut(),
        configure_optimizers: &mut |model, length| build::optimizers(config, model, length),
    };
    let fitted = match run.trainer.fit(parts, checkpoint.filter(|_| spec.resume)) {
        Ok(fitted) => fitted,
        Err(error) => return failed(&error, run.trainer.failure.take()),
    };
    if fitted.interrupted {
        let name = std::fs::read_link(checkpoint_folder(&spec.folder).join("last")).ok();
        return Outcome::Interrupted {
            checkpoint: name.map(|name| format!("checkpoints/{}", name.display())),
        };
    }
    // Tested is what would be deployed: averaged weights or the best checkpoint, where there are such.
    let folder = checkpoint_folder(&spec.folder);
    let best = ["swa", "best"].map(|name| folder.join(name)).into_iter().find(|path| path.is_dir());
    let tested = (|| {
        if run.data.dataset(Split::Test).is_none_or(|dataset| dataset.is_empty()) {
            return Ok(());
        }
        if let Some(best) = &best {
            run.trainer
                .load_weights(&run.model, &Checkpoint::open(best, run.trainer.checkpoint_keys.as_ref())?)?;
        }
        let values = run.trainer.test(&mut run.model, run.data.as_mut())?;
        run.trainer.record_final(&fitted.state, values)
    })();
    outcome(tested.map(|()| fitted.reason), &StopSignal::default(), run.trainer.failure.take())
}

fn predict(run: &mut Run, input: &Path) -> Outcome {
    let (dataset, files) = match run.data.predict_dataset(input) {
        Ok(found) => found,
        Err(error) => return bad_input(&error),
    };
    let events = run.trainer.events.clone();
    let predicted = run.trainer.predict(&mut run.model, run.data.as_mut(), dataset, &files, |record| {
        events.send(Event::Prediction { record })
    });
    match predicted {
        // A file of the user's that cannot be read is found only here.
        Err(error @ Error::Data { .. }) => bad_input(&error),
        other => outcome(
            other.map(|()| "predicted".to_owned()),
            &run.trainer.stop.clone(),
            run.trainer.failure.take(),
        ),
    }
}

fn outcome(done: Result<String>, stop: &StopSignal, report: Option<FailureNote>) -> Outcome {
    match done {
        Ok(_) if stop.is_set() => Outcome::Interrupted { checkpoint: None },
        Ok(reason) => Outcome::Completed { reason },
        Err(error) => failed(&error, report),
    }
}

fn bad_input(error: &Error) -> Outcome {
    Outcome::BadInput { message: error.to_string(), key: error.key() }
}

fn failed(error: &Error, report: Option<FailureNote>) -> Outcome {
    match error {
        // Found during the run, and still a matter of what was asked for.
        Error::Config { .. } | Error::Build { .. } | Error::Checkpoint { .. } | Error::Encryption(_) => {
            bad_input(error)
        }
        _ => Outcome::Failed { message: error.to_string(), report },
    }
}
