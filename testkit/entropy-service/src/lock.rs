//! Mutexes, in a program whose tests panic.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks, also where a predicate or an assertion of a test panicked inside the lock: what is
/// guarded here is whole between any two statements.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
