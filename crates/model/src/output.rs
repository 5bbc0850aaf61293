/// What the log has of a module's output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Output {
    /// How many lines it wrote; the lines themselves may hold PINs and seeds.
    #[default]
    Count,
    /// Each line, with any PIN or seed that the module prints.
    Log,
}
