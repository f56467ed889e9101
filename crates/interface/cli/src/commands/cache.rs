//! `fulmen cache`: prepared data that is kept.

use fulmen_configuration::Config;
use fulmen_contracts::ExitCode;
use fulmen_contracts::settings::CacheConfig;
use fulmen_runner::{Encryption, section};
use fulmen_storage::{CacheInfo, DatasetCache, Pruned};
use fulmen_utils::text;
use serde_json::{Value, json};

use crate::arguments::{CacheArguments, CacheCommand, StoreArguments};
use crate::display::table::{self, Align};
use crate::display::time::ago;
use crate::embedded;
use crate::error::CliError;
use crate::terminal::{BOLD, CYAN, DIM, GREEN, RED, say, say_json, styled, tell};

/// Bytes of a GiB.
const GIB: f64 = 1_073_741_824.0;

/// Lists, shows, verifies or removes entries.
pub(crate) fn run(arguments: CacheArguments) -> Result<ExitCode, CliError> {
    match arguments.command {
        CacheCommand::List { store, overrides } => list(&Opened::of(&store, &overrides)?.cache, store.json),
        CacheCommand::Info { id, store, overrides } => {
            info(&Opened::of(&store, &overrides)?.cache, &id, store.json)
        }
        CacheCommand::Verify { words, remove, store } => {
            let (overrides, ids): (Vec<_>, Vec<_>) = words.into_iter().partition(|word| word.contains('='));
            verify(&Opened::of(&store, &overrides)?, &ids, remove, store.json)
        }
        CacheCommand::Prune { keep, store, overrides } => {
            let opened = Opened::of(&store, &overrides)?;
            let keep = keep.or(opened.settings.size_limit_gib).map_or(u64::MAX, |gib| (gib * GIB) as u64);
            Ok(show_pruned(&opened.cache.prune(keep)?, store.json))
        }
        CacheCommand::Clear { store, overrides } => {
            Ok(show_pruned(&Opened::of(&store, &overrides)?.cache.clear()?, store.json))
        }
        CacheCommand::Path { store, overrides } => {
            let opened = Opened::of(&store, &overrides)?;
            let path = opened.cache.root();
            if store.json {
                say_json(&json!({"path": path}))
            } else {
                say(path.display())
            }
            Ok(ExitCode::Success)
        }
    }
}

struct Opened {
    cache: DatasetCache,
    settings: CacheConfig,
    config: Config,
}

impl Opened {
    fn of(arguments: &StoreArguments, overrides: &[String]) -> Result<Self, CliError> {
        let config = embedded::source(&arguments.source)?.compose(overrides)?.resolved;
        let settings: CacheConfig = section(&config, "cache")?;
        let folder = settings.place().ok_or_else(|| {
            CliError::usage("there is no folder for a cache: set FULMEN_CACHE, or cache.folder")
        })?;
        Ok(Self { cache: DatasetCache::new(folder), settings, config })
    }

    /// The cache with the key that opens what is encrypted in it.
    fn with_key(&self) -> Result<DatasetCache, CliError> {
        Ok(self.cache.clone().encrypted(Encryption::of(&self.config)?.open()?))
    }
}

fn list(cache: &DatasetCache, json: bool) -> Result<ExitCode, CliError> {
    let entries = cache.list()?;
    if json {
        say_json(&entries.iter().map(as_json).collect::<Vec<_>>());
        return Ok(ExitCode::Success);
    }
    if entries.is_empty() {
        tell(format!("nothing is kept in {}", cache.root().display()));
        return Ok(ExitCode::Success);
    }
    let rows = entries.iter().map(|entry| {
        vec![
            styled(CYAN, &entry.key.id()[..12]),
            entry.key.config().get("_target_").and_then(Value::as_str).unwrap_or_default().to_owned(),
            entry.files.to_string(),
            text::bytes(entry.size),
            ago(time(entry.used)),
            marks(entry),
        ]
    });
    let head = [
        ("id", Align::Left),
        ("of", Align::Left),
        ("files", Align::Right),
        ("size", Align::Right),
        ("used", Align::Left),
        ("", Align::Left),
    ];
    table::show(&head, rows.collect());
    let sum = entries.iter().map(|entry| entry.size).sum();
    say(styled(DIM, format!("{} in {}", text::bytes(sum), cache.root().display())));
    Ok(ExitCode::Success)
}

fn info(cache: &DatasetCache, id: &str, json: bool) -> Result<ExitCode, CliError> {
    let entries = find(cache, id)?;
    for entry in &entries {
        if json {
            say_json(&as_json(entry));
            continue;
        }
        say(format!("{}  {}", styled(BOLD, entry.key.id()), marks(entry)));
        say(format!("{} in {} file(s)", text::bytes(entry.size), entry.files));
        say(format!("made {}, used {}", ago(time(entry.created)), ago(time(entry.used))));
        say(format!("folder  {}\n", entry.path.display()));
        say(format!("{:#}", entry.key.config()));
        let rows = entry.key.inputs().iter().map(|(name, digest)| vec![name.clone(), digest.clone()]);
        table::show(&[("input", Align::Left), ("digest", Align::Left)], rows.collect());
    }
    Ok(ExitCode::Success)
}

fn find(cache: &DatasetCache, id: &str) -> Result<Vec<CacheInfo>, CliError> {
    let found = cache.find(id)?;
    if found.is_empty() {
        return Err(CliError::usage(format!("there is no entry '{id}': see `fulmen cache list`")));
    }
    Ok(found)
}

fn verify(opened: &Opened, ids: &[String], remove: bool, json: bool) -> Result<ExitCode, CliError> {
    let mut entries = Vec::new();
    if ids.is_empty() {
        entries = opened.cache.list()?;
    }
    for id in ids {
        entries.extend(find(&opened.cache, id)?);
    }
    let with_key = if entries.iter().any(|entry| entry.encrypted) { Some(opened.with_key()?) } else { None };
    let (mut damaged, mut rows) = (0, Vec::new());
    for entry in &entries {
        let cache = with_key.as_ref().filter(|_| entry.encrypted).unwrap_or(&opened.cache);
        let fault = match cache.get(&entry.key)? {
            Some(held) => held.verify().err().map(|error| error.to_string()),
            None => Some(format!("{}: is not whole", entry.path.display())),
        };
        let removed = remove && fault.is_some() && cache.remove(&entry.path)?;
        damaged += usize::from(fault.is_some());
        if !json {
            let state = if fault.is_some() { styled(RED, "damaged") } else { styled(GREEN, "good") };
            say(format!("{state}  {}{}", entry.key.id(), if removed { "  removed" } else { "" }));
            if let Some(fault) = &fault {
                tell(format!("  {fault}"));
            }
        }
        rows.push(
            json!({"id": entry.key.id(), "good": fault.is_none(), "message": fault, "removed": removed}),
        );
    }
    if json {
        say_json(&rows);
    } else {
        tell(format!("{} entries, {damaged} damaged", entries.len()));
    }
    Ok(if damaged == 0 { ExitCode::Success } else { ExitCode::Failure })
}

fn show_pruned(pruned: &Pruned, json: bool) -> ExitCode {
    if json {
        let Pruned { removed, freed, in_use, size } = pruned;
        say_json(&json!({"removed": removed, "freed": freed, "in_use": in_use, "size": size}));
    } else {
        let removed = pruned.removed.len();
        say(format!(
            "{removed} removed, {} freed, {} left",
            text::bytes(pruned.freed),
            text::bytes(pruned.size)
        ));
        for id in &pruned.in_use {
            tell(format!("{id}  in use, and left alone"));
        }
    }
    ExitCode::Success
}

fn as_json(entry: &CacheInfo) -> Value {
    json!({
        "id": entry.key.id(), "path": entry.path, "files": entry.files, "size": entry.size, "created": entry.created,
        "used": entry.used, "in_use": entry.pinned, "encrypted": entry.encrypted, "config": entry.key.config(),
        "inputs": entry.key.inputs(),
    })
}

fn marks(entry: &CacheInfo) -> String {
    let marks = [(entry.encrypted, "encrypted"), (entry.pinned, "in use")];
    marks.iter().filter(|(holds, _)| *holds).map(|(_, mark)| *mark).collect::<Vec<_>>().join(", ")
}

fn time(milliseconds: u64) -> i64 {
    i64::try_from(milliseconds).unwrap_or(i64::MAX)
}
