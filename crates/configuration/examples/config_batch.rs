//! Reads cases from standard input and writes their outcomes: `config_batch < cases.jsonl > outcomes.jsonl`.

use std::io;

fn main() -> io::Result<()> {
    fulmen_configuration::batch::run(io::stdin().lock(), io::stdout().lock())
}
