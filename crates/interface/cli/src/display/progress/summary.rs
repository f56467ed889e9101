//! What a model is made of, as a table.

use fulmen_contracts::event::ModelPart;
use fulmen_utils::text;

use crate::display::table::{self, Align};
use crate::terminal::{BOLD, DIM, styled};

/// The table, and the sums below it; `[trainable, frozen, bytes]`.
pub(super) fn shown(
    name: &str,
    [trainable, frozen, bytes]: [u64; 3],
    flops: Option<u64>,
    parts: &[ModelPart],
) -> String {
    let frozen = if frozen > 0 { format!(", {} not trained", text::count(frozen)) } else { String::new() };
    let work = flops.map_or_else(String::new, |flops| format!(", {} a sample forward", operations(flops)));
    let sums = format!(
        "model {}  {} parameters{frozen}, {}{work}",
        styled(BOLD, name),
        text::count(trainable),
        text::bytes(bytes)
    );
    if parts.is_empty() {
        return sums;
    }
    let size = |sizes: &Option<Vec<i64>>| {
        sizes.as_ref().map_or_else(|| "-".to_owned(), |sizes| format!("{sizes:?}"))
    };
    let rows = parts.iter().map(|part| {
        let mode = match (part.trainable, part.frozen) {
            (0, _) => "frozen",
            _ => "",
        };
        vec![
            if part.name.is_empty() { "(model)".to_owned() } else { part.name.clone() },
            text::count(part.trainable + part.frozen),
            text::bytes(part.bytes),
            size(&part.input),
            size(&part.output),
            part.flops.map_or_else(|| "-".to_owned(), operations),
            if mode.is_empty() { String::new() } else { styled(DIM, mode) },
        ]
    });
    let head = [
        ("part", Align::Left),
        ("parameters", Align::Right),
        ("bytes", Align::Right),
        ("in", Align::Right),
        ("out", Align::Right),
        ("FLOPs", Align::Right),
        (" ", Align::Left),
    ];
    // What is between the layers, such as attention, belongs to no part.
    let within: u64 = parts.iter().filter_map(|part| part.flops).sum();
    let between = match flops.and_then(|flops| flops.checked_sub(within)).filter(|&rest| rest > 0) {
        Some(rest) => styled(DIM, format!("\n{} between the parts", operations(rest))),
        None => String::new(),
    };
    let table = table::text(&head, &rows.collect::<Vec<_>>());
    let table: Vec<_> = table.lines().map(str::trim_end).collect();
    format!("{}{between}\n{sums}", table.join("\n"))
}

/// `3.64 GFLOPs`.
fn operations(count: u64) -> String {
    const UNITS: [&str; 5] = ["", "K", "M", "G", "T"];
    let (mut value, mut unit) = (count as f64, 0);
    while value >= 1000.0 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    if unit == 0 { format!("{count} FLOPs") } else { format!("{value:.2} {}FLOPs", UNITS[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_stand_in_a_table_and_the_sums_below() {
        let parts = [
            ModelPart {
                name: "conv1".into(),
                trainable: 9408,
                bytes: 37_632,
                input: Some(vec![1, 3, 224, 224]),
                output: Some(vec![1, 64, 112, 112]),
                flops: Some(236_027_904),
                ..ModelPart::default()
            },
            ModelPart { name: "fc".into(), frozen: 513_000, ..ModelPart::default() },
        ];
        let text = shown("vision.resnet", [9408, 513_000, 37_632], Some(236_028_904), &parts);
        let text = anstream::adapter::strip_str(&text).to_string();
        assert!(
            text.contains("conv1        9408  36.8 KiB  [1, 3, 224, 224]  [1, 64, 112, 112]  236.03 MFLOPs"),
            "{text}"
        );
        assert!(text.contains("fc        513.0 K       0 B") && text.contains("frozen"), "{text}");
        assert!(text.contains("1.00 KFLOPs between the parts"), "{text}");
        assert!(text.ends_with("model vision.resnet  9408 parameters, 513.0 K not trained, 36.8 KiB, 236.03 MFLOPs a sample forward"), "{text}");
    }
}
