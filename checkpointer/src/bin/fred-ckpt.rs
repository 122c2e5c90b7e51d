//! The checkpointer by itself. Its commands come with durable images; until then it only serves as a supervisor.

use std::process::ExitCode;

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some("__supervisor") {
        return match fred_checkpointer::supervisor::main() {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        };
    }
    eprintln!("fred-ckpt: not available yet in this version; fred uses the checkpointer by itself");
    ExitCode::from(2)
}
