//! What the kernel tells of machine and process in its small files.

/// A field of `/proc/meminfo` or `/proc/self/status` that is given in kB, in bytes.
pub(crate) fn bytes(text: &str, field: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    Some(line.trim().trim_end_matches("kB").trim().parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_field_is_found_by_its_whole_name() {
        let text = "MemFree:  1 kB\nMemAvailable:  22 kB\n";
        assert_eq!((super::bytes(text, "MemAvailable"), super::bytes(text, "Mem")), (Some(22 * 1024), None));
    }
}
