//! stub until the items land
use super::zombies::Zombies;
use crate::inject::{InjectError, Remote};
#[derive(Debug, Clone, Default)]
pub struct Hints {
    pub fork_advice: bool,
    pub locked: bool,
    pub inotify_paths: std::collections::BTreeMap<(u64, u64), std::path::PathBuf>,
}
#[derive(Debug, Clone, Default)]
pub struct ProcessState {
    pub zombies: Zombies,
}
pub fn capture_all(_r: &mut dyn Remote, _h: &Hints) -> Result<ProcessState, InjectError> {
    Ok(ProcessState::default())
}
pub fn after_fork(_s: &ProcessState, _r: &mut dyn Remote) -> Result<(), InjectError> {
    Ok(())
}
pub fn put_back_all(
    _s: &ProcessState,
    _r: &mut dyn Remote,
    _t: &dyn Fn(i32) -> i32,
) -> Result<Vec<String>, InjectError> {
    Ok(vec![])
}
pub fn put_back_shared(
    _s: &ProcessState,
    _r: &mut dyn Remote,
    _t: &dyn Fn(i32) -> i32,
) -> Result<Vec<String>, InjectError> {
    Ok(vec![])
}
