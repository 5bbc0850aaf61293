//! The host in trouble: its disk, its clock, its limits, its processes.

mod clock;
mod disk;
mod limits;
mod processes;
