//! The `larder` binary; everything is in the library.

/// glibc's allocator keeps what a purge or a flush has freed; this one gives it back to the system (docs/decisions/0008).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    larder::cli::main()
}
