//! The `fulmen` program.

fn main() -> std::process::ExitCode {
    fulmen_cli::main()
}
