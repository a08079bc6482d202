//! The `epochtop` program: see [`epochtop::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    epochtop::cli::main()
}
