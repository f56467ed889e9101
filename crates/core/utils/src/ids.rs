//! Ids that no two machines make twice.

/// A run's id: 32 hexadecimal digits, as MLflow's.
pub fn run_id() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}

/// Eight hexadecimal digits: enough to keep two files of one folder apart.
pub fn short() -> String {
    let mut id = run_id();
    id.truncate(8);
    id
}

#[cfg(test)]
mod tests {
    #[test]
    fn run_ids_are_32_hexadecimal_digits_and_differ() {
        let id = super::run_id();
        assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
        assert_ne!(id, super::run_id());
    }
}
