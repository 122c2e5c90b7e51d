//! The system calls that nix lacks, each a small function with the reason why it is sound. The only unsafe code.
