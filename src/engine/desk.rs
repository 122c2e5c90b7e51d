//! The files over which fred and the helper inside a copy talk: memory files of ours, which the copy opens by their path
//! in /proc, so that nothing is left on a disk whatever happens.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::AsRawFd;
use std::path::PathBuf;

use nix::sys::memfd::{MFdFlags, memfd_create};

use crate::backends::dialect::PromptKind;
use crate::backends::dialects::pdb_agent::{self, Numbered, Reply, Request};

/// The files.
#[derive(Debug)]
pub(super) struct Desk {
    source: File,
    code: File,
    ask: File,
    answer: File,
    /// What a served debugger loads.
    loaded: File,
    seq: u64,
    /// Whether the helper has been compiled for the session's interpreter.
    pub(super) compiled: bool,
}

fn memory_file(name: &str) -> io::Result<File> {
    Ok(File::from(memfd_create(name, MFdFlags::MFD_CLOEXEC)?))
}

fn path(file: &File) -> PathBuf {
    PathBuf::from(format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd()))
}

fn put(mut file: &File, bytes: &[u8]) -> io::Result<()> {
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    file.write_all(bytes)
}

impl Desk {
    /// Makes the files.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn new() -> io::Result<Desk> {
        let source = memory_file("fred-helper")?;
        put(&source, pdb_agent::SOURCE.as_bytes())?;
        Ok(Desk {
            source,
            code: memory_file("fred-code")?,
            ask: memory_file("fred-ask")?,
            answer: memory_file("fred-answer")?,
            loaded: memory_file("fred-loaded")?,
            seq: 0,
            compiled: false,
        })
    }

    /// Keeps a source for a served debugger to load; returns the path of the file.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn keep_source(&self, source: &str) -> io::Result<PathBuf> {
        put(&self.loaded, source.as_bytes())?;
        Ok(path(&self.loaded))
    }

    /// The line to type that compiles the helper.
    pub(super) fn compile_line(&self, kind: PromptKind) -> String {
        pdb_agent::compile_line(kind, &path(&self.source), &path(&self.code))
    }

    /// Whether the helper has been compiled.
    pub(super) fn has_code(&self) -> bool {
        self.code.metadata().is_ok_and(|file| file.len() > 0)
    }

    /// Writes a request; returns the line to type.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn put(&mut self, kind: PromptKind, request: Request) -> io::Result<String> {
        self.seq += 1;
        let text = serde_json::to_vec(&Numbered { seq: self.seq, request })?;
        put(&self.ask, &text)?;
        put(&self.answer, b"")?;
        Ok(pdb_agent::bootstrap(kind, &path(&self.code), &path(&self.ask), &path(&self.answer)))
    }

    /// The reply to the last request, if it is there.
    pub(super) fn reply(&self) -> Option<Reply> {
        let mut text = String::new();
        let mut file = &self.answer;
        file.seek(SeekFrom::Start(0)).ok()?;
        file.read_to_string(&mut text).ok()?;
        let reply: Reply = serde_json::from_str(&text).ok()?;
        (reply.seq == self.seq).then_some(reply)
    }
}
