//! Fulmen's own worker: all plugins that come with it.

fn main() -> std::process::ExitCode {
    fulmen_worker::main()
}
