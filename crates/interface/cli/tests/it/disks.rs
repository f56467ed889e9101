//! Disks that are full or may not be written to. They are small file systems in memory, which only root may mount: elsewhere
//! these tests say that they are skipped.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::{Finished, Sandbox};

/// A file system in memory, unmounted at the end.
struct Disk(PathBuf);

impl Disk {
    fn mount(sandbox: &Sandbox, options: &str) -> Option<Self> {
        let path = sandbox.path().join("disk");
        std::fs::create_dir_all(&path).unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(&path).output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Self(path));
        }
        fulmen_utils::testing::skipped("no file system can be mounted here");
        None
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).output();
    }
}

fn train(sandbox: &Sandbox, disk: &Disk) -> Finished {
    Finished::of(
        sandbox
            .command_in(disk.path(), &["train", "trainer.max_epochs=1", "model=mlp", "model.hidden=[2048]"])
            .output()
            .unwrap(),
    )
}

#[test]
fn a_full_disk() {
    let sandbox = Sandbox::new();
    let Some(disk) = Disk::mount(&sandbox, "size=1m") else { return };
    let refused = train(&sandbox, &disk).refused(&["the disk is full", "artifacts"]);
    assert!(!refused.stderr.contains("epoch 1"), "{}", refused.stderr);
}

#[test]
fn a_disk_that_may_not_be_written_to() {
    let sandbox = Sandbox::new();
    let Some(disk) = Disk::mount(&sandbox, "ro,size=1m") else { return };
    train(&sandbox, &disk).refused(&["Read-only", "runs/fulmen.db"]);
}
