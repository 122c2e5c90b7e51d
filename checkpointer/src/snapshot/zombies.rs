#[derive(Debug, Clone, Default)]
pub struct Zombies;
