//! A process that is killed while it saves leaves the last checkpoint valid: it is killed here at every system call of a save
//! that changes the disk, as `ptrace` shows them.

#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(clippy::unwrap_used, clippy::allow_attributes, missing_docs, reason = "a test may panic")]

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use fulmen_base::callback::CheckpointRequest;
use fulmen_base::checkpoint::{Checkpoint, SavedState, Tensors, save, sweep};
use fulmen_torch::tch::{Device, Kind, Tensor};
use nix::errno::Errno;
use nix::libc;
use nix::sys::ptrace::{self, Options};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, gettid};

/// Saves a checkpoint whose tensors are all `value`.
fn save_value(folder: &Path, name: &str, value: f64, aliases: &[&'static str], replaces: &[&str]) {
    let tensor = || vec![("w".to_owned(), Tensor::full([8], value, (Kind::Float, Device::Cpu)))];
    let tensors = Tensors { model: tensor(), optimizer: tensor(), gradients: tensor(), ..Tensors::default() };
    let request = CheckpointRequest {
        weights_only: false,
        name: name.to_owned(),
        aliases: aliases.to_vec(),
        replaces: replaces.iter().map(|&name| name.to_owned()).collect(),
        reason: String::new(),
    };
    save(folder, &request, &tensors, &SavedState::default(), None).unwrap();
}

/// The value of a checkpoint that is whole and of one piece.
fn value(path: &Path) -> f64 {
    let checkpoint = Checkpoint::open(path, None).unwrap_or_else(|error| panic!("{error}"));
    let files = [checkpoint.model(), checkpoint.optimizer(), checkpoint.gradients()];
    let values = files.map(|file| file.unwrap()["w"].double_value(&[7]));
    assert_eq!(values[0], values[1]);
    assert_eq!(values[0], values[2]);
    values[0]
}

/// A folder with the checkpoint `old`, of zeros, and what a process is told by.
struct Scene(tempfile::TempDir);

impl Scene {
    fn new() -> Self {
        let scene = Self(tempfile::tempdir().unwrap());
        save_value(&scene.checkpoints(), "old", 0.0, &["last", "best"], &[]);
        scene
    }

    fn checkpoints(&self) -> PathBuf {
        self.0.path().join("checkpoints")
    }

    fn note(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

/// The process that is killed. It saves twice: a new checkpoint that replaces the old, and one under the same name.
#[test]
#[ignore = "started and killed by the test below"]
fn saves_when_it_is_told() {
    let Some(folder) = env::var_os("FULMEN_TORN").map(PathBuf::from) else { return };
    fs::write(folder.join("thread.part"), gettid().to_string()).unwrap();
    fs::rename(folder.join("thread.part"), folder.join("thread")).unwrap();
    while !folder.join("go").exists() {
        thread::sleep(Duration::from_millis(1));
    }
    let checkpoints = folder.join("checkpoints");
    save_value(&checkpoints, "new", 1.0, &["last", "best"], &["old"]);
    save_value(&checkpoints, "new", 2.0, &["last"], &[]);
}

/// What became of it.
enum Traced {
    /// It was killed as it was about to make this call.
    Killed(&'static str),
    /// It came to its end first.
    Ended,
    /// It may not be traced here.
    Refused(Errno),
}

/// Runs the process until it is about to make its call number `number`, from 0, that changes the disk, and kills it.
fn killed_at(scene: &Scene, number: usize) -> Traced {
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "saves_when_it_is_told", "--ignored", "--nocapture"])
        .env("FULMEN_TORN", scene.0.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    while !scene.note("thread").exists() {
        assert!(child.try_wait().unwrap().is_none(), "it ended before it began");
        thread::sleep(Duration::from_millis(1));
    }
    let id = fs::read_to_string(scene.note("thread")).unwrap();
    let thread = Pid::from_raw(id.parse().unwrap());
    let traced = trace(scene, &mut child, thread, number);
    // Killed, ended or refused: it is not to stay. Whoever traces a thread has to take its end first.
    let _ = child.kill();
    let any = Some(WaitPidFlag::__WALL);
    while !matches!(waitpid(thread, any), Ok(WaitStatus::Exited(..) | WaitStatus::Signaled(..)) | Err(_)) {}
    child.wait().unwrap();
    traced
}

fn trace(scene: &Scene, child: &mut Child, thread: Pid, number: usize) -> Traced {
    let seized =
        ptrace::seize(thread, Options::PTRACE_O_TRACESYSGOOD).and_then(|()| ptrace::interrupt(thread));
    if let Err(error) = seized {
        return Traced::Refused(error);
    }
    let mut seen = 0;
    loop {
        match waitpid(thread, Some(WaitPidFlag::__WALL)) {
            Ok(WaitStatus::PtraceSyscall(_)) => {
                let registers = ptrace::getregs(thread).unwrap();
                // As a call is about to be made, the kernel has put this where its result will be.
                let is_entry = registers.rax.cast_signed() == -i64::from(libc::ENOSYS);
                if is_entry && let Some(name) = changes_the_disk(&registers) {
                    if seen == number {
                        child.kill().unwrap();
                        return Traced::Killed(name);
                    }
                    seen += 1;
                }
            }
            Ok(WaitStatus::PtraceEvent(..)) => fs::write(scene.note("go"), "").unwrap(),
            Ok(WaitStatus::Exited(..) | WaitStatus::Signaled(..)) | Err(Errno::ECHILD) => {
                return Traced::Ended;
            }
            other => other.map(drop).unwrap(),
        }
        if ptrace::syscall(thread, None).is_err() {
            return Traced::Ended;
        }
    }
}

/// The call's name, if it changes the disk.
fn changes_the_disk(registers: &libc::user_regs_struct) -> Option<&'static str> {
    let creates = |flags: u64| flags & libc::O_CREAT as u64 != 0;
    Some(match registers.orig_rax.cast_signed() {
        libc::SYS_openat if creates(registers.rdx) => "openat",
        libc::SYS_open if creates(registers.rsi) => "open",
        libc::SYS_write | libc::SYS_pwrite64 | libc::SYS_writev => "write",
        libc::SYS_fsync | libc::SYS_fdatasync => "fsync",
        libc::SYS_rename | libc::SYS_renameat | libc::SYS_renameat2 => "rename",
        libc::SYS_mkdir | libc::SYS_mkdirat => "mkdir",
        libc::SYS_unlink | libc::SYS_unlinkat | libc::SYS_rmdir => "unlink",
        libc::SYS_symlink | libc::SYS_symlinkat | libc::SYS_link | libc::SYS_linkat => "symlink",
        libc::SYS_ftruncate | libc::SYS_fallocate | libc::SYS_copy_file_range => "ftruncate",
        _ => return None,
    })
}

#[test]
fn a_kill_at_any_system_call_of_a_save_leaves_the_last_checkpoint_valid() {
    let mut calls = Vec::new();
    let mut least = 0.0;
    loop {
        let scene = Scene::new();
        let traced = killed_at(&scene, calls.len());
        let checkpoints = scene.checkpoints();
        let at = format!("killed at call {} of {calls:?}", calls.len());
        // The one before or the one after, never one that is older than that of an earlier kill.
        let last = value(&checkpoints.join("last"));
        assert!(last >= least && [0.0, 1.0, 2.0].contains(&last), "{at}: {last} after {least}");
        least = last;
        for entry in fs::read_dir(&checkpoints).unwrap() {
            let entry = entry.unwrap();
            if !entry.file_name().to_string_lossy().starts_with('.') {
                value(&entry.path());
            }
        }
        // The next save sweeps, and is as good as any.
        sweep(&checkpoints);
        save_value(&checkpoints, "next", 3.0, &["last", "best"], &["old", "new"]);
        assert_eq!(value(&checkpoints.join("last")), 3.0);
        assert_eq!(
            fs::read_dir(&checkpoints).unwrap().count(),
            3,
            "{at}: more than next, last and best is left"
        );
        match traced {
            Traced::Killed(name) => calls.push(name),
            Traced::Ended => break,
            Traced::Refused(error) => {
                let why = format!("this system lets nobody trace a process: {error}");
                return fulmen_utils::testing::skipped(&why);
            }
        }
    }
    assert_eq!(least, 2.0, "it saved both");
    let of = |name: &str| calls.iter().filter(|call| **call == name).count();
    // Two saves of five files each and their manifest, three aliases, two deletions.
    assert!(of("openat") >= 10 && of("fsync") >= 14 && of("rename") >= 6 && of("unlink") >= 10, "{calls:?}");
    eprintln!("killed at {} system calls", calls.len());
}
