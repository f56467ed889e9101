//! What a journal keeps, and what it does with a file that was cut or damaged.

use proptest::prelude::*;

use super::*;
use crate::Metric;

fn batch(value: f64) -> RunBatch {
    RunBatch {
        metrics: vec![Metric { timestamp: 1, ..Metric::at_step("loss", value, 1) }],
        ..RunBatch::default()
    }
}

fn written(folder: &Path, entries: u64) -> PathBuf {
    let path = folder.join("run.journal");
    let mut journal = Journal::start(&path, "run").unwrap();
    for number in 0..entries {
        journal.append(batch(number as f64), None).unwrap();
    }
    path
}

fn entries(journal: &Journal) -> Vec<Entry> {
    let mut reader = journal.reader().unwrap();
    std::iter::from_fn(|| reader.next_before(journal.length).unwrap()).collect()
}

#[test]
fn entries_come_back_in_order_after_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let path = written(folder.path(), 3);
    let first_id = Journal::start(&path, "run").unwrap().header.journal_id;
    let mut journal = Journal::start(&path, "run").unwrap();
    assert_eq!(journal.header.journal_id, first_id);
    journal.append(batch(3.0), None).unwrap();
    let found = entries(&journal);
    assert_eq!((found.len(), journal.entries), (4, 4));
    assert!(found.windows(2).all(|pair| pair[0].sequence < pair[1].sequence));
    assert_eq!(found[3].batch, batch(3.0));
}

#[test]
fn a_journal_has_one_writer_and_one_run() {
    let folder = tempfile::tempdir().unwrap();
    let path = written(folder.path(), 1);
    let open = Journal::start(&path, "run").unwrap();
    assert!(matches!(Journal::start(&path, "run"), Err(JournalError::InUse { .. })));
    drop(open);
    assert!(matches!(Journal::start(&path, "other"), Err(JournalError::OtherRun { .. })));
}

#[test]
fn a_file_of_another_kind_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.txt");
    fs::write(&path, "not a journal at all").unwrap();
    assert!(matches!(Journal::start(&path, "run"), Err(JournalError::NotAJournal { .. })));
    assert_eq!(fs::read_to_string(&path).unwrap(), "not a journal at all");
    assert!(matches!(
        Journal::open_left_over(&folder.path().join("absent")),
        Err(JournalError::Missing { .. })
    ));
}

#[test]
fn damage_in_the_middle_is_told_from_a_torn_tail() {
    let folder = tempfile::tempdir().unwrap();
    let path = written(folder.path(), 3);
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let length = match Journal::start(&path, "run") {
        Err(JournalError::Damaged { offset, .. }) => offset,
        other => panic!("{other:?}"),
    };
    assert!(length < middle as u64);
    assert_eq!(fs::read(&path).unwrap(), bytes, "nothing is cut off");
    assert!(matches!(Journal::open_left_over(&path).unwrap().unwrap().tail, Tail::Damaged { .. }));
}

#[test]
fn a_changed_number_is_damage_though_it_reads_well() {
    let folder = tempfile::tempdir().unwrap();
    let path = written(folder.path(), 3);
    let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
    assert_eq!(text.matches("\"value\":1.0").count(), 1);
    let mut bytes = fs::read(&path).unwrap();
    let place = bytes.windows(11).position(|window| window == b"\"value\":1.0").unwrap();
    bytes[place + 8] = b'7';
    fs::write(&path, &bytes).unwrap();
    assert!(matches!(Journal::start(&path, "run"), Err(JournalError::Damaged { .. })));
}

#[test]
fn zeros_at_the_end_are_a_torn_tail() {
    let folder = tempfile::tempdir().unwrap();
    let path = written(folder.path(), 2);
    let mut bytes = fs::read(&path).unwrap();
    bytes.extend([0; 4096]);
    fs::write(&path, &bytes).unwrap();
    let journal = Journal::start(&path, "run").unwrap();
    assert_eq!(journal.tail, Tail::Torn { bytes: 4096 });
    assert_eq!(entries(&journal).len(), 2);
}

proptest! {
    #[test]
    fn a_file_cut_anywhere_keeps_its_whole_records_and_goes_on(kept in 0.0..1.0f64) {
        let folder = tempfile::tempdir().unwrap();
        let path = written(folder.path(), 4);
        let bytes = fs::read(&path).unwrap();
        let cut = (bytes.len() as f64 * kept) as usize;
        fs::write(&path, &bytes[..cut]).unwrap();
        let mut journal = Journal::start(&path, "run").unwrap();
        prop_assert!(journal.length <= cut.max(bytes.len()) as u64);
        let before = entries(&journal);
        for (index, entry) in before.iter().enumerate() {
            prop_assert_eq!(&entry.batch, &batch(index as f64));
        }
        journal.append(batch(9.0), None).unwrap();
        drop(journal);
        let journal = Journal::start(&path, "run").unwrap();
        prop_assert_eq!(entries(&journal).len(), before.len() + 1);
    }
}
