//! The threads that make Cryptoki calls: as many as may run at once, started when needed.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;

use super::locked;

type Job = Box<dyn FnOnce() + Send>;

/// Threads that run jobs in the order in which they arrived.
pub(super) struct Pool {
    state: Mutex<State>,
    changed: Condvar,
    limit: usize,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    idle: usize,
    threads: Vec<JoinHandle<()>>,
    closed: bool,
}

impl Pool {
    /// A pool of at most `limit` threads, at least one.
    pub(super) fn new(limit: u16) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            changed: Condvar::new(),
            limit: usize::from(limit.max(1)),
        })
    }

    /// Hands a job to the next free thread.
    pub(super) fn run(self: &Arc<Self>, job: impl FnOnce() + Send + 'static) {
        let mut state = locked(&self.state);
        state.jobs.push_back(Box::new(job));
        if !state.closed && state.jobs.len() > state.idle && state.threads.len() < self.limit {
            let pool = Arc::clone(self);
            let thread = std::thread::Builder::new().name("cryptoki".to_owned());
            // If no thread can be started, the job waits for one that runs.
            state.threads.extend(thread.spawn(move || pool.work()));
        }
        drop(state);
        self.changed.notify_one();
    }

    /// Waits until all jobs are done, and the jobs that these add, and ends the threads.
    pub(super) fn close(&self) {
        let mut state = locked(&self.state);
        state.closed = true;
        let threads = std::mem::take(&mut state.threads);
        drop(state);
        self.changed.notify_all();
        for thread in threads {
            // A thread that panicked has nothing more to say than its message on standard error.
            let _ = thread.join();
        }
        // If no thread could be started, this one runs what is left.
        self.work();
    }

    fn work(&self) {
        let mut state = locked(&self.state);
        loop {
            if let Some(job) = state.jobs.pop_front() {
                drop(state);
                job();
                state = locked(&self.state);
            } else if state.closed {
                return;
            } else {
                state.idle += 1;
                let woken = self.changed.wait(state);
                state = woken.unwrap_or_else(PoisonError::into_inner);
                state.idle -= 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc::channel;

    use super::Pool;

    #[test]
    fn as_many_jobs_run_at_once_as_allowed() {
        let pool = Pool::new(3);
        let (began, begins) = channel();
        let mut gates = Vec::new();
        for number in 0..5 {
            let (gate, opened) = channel::<()>();
            let began = began.clone();
            gates.push(gate);
            pool.run(move || {
                began.send(number).expect("the test listens");
                let _ = opened.recv();
            });
        }
        let mut first: Vec<_> = begins.iter().take(3).collect();
        first.sort_unstable();
        assert_eq!(first, [0, 1, 2]);
        assert!(begins.try_recv().is_err(), "a fourth ran beside three");
        drop(gates.remove(0));
        assert_eq!(begins.recv(), Ok(3));
        drop(gates);
        pool.close();
    }

    #[test]
    fn a_closed_pool_finishes_its_jobs() {
        let pool = Pool::new(2);
        let (done, dones) = channel();
        for number in 0..20 {
            let (again, done) = (Arc::clone(&pool), done.clone());
            pool.run(move || {
                let later = done.clone();
                again.run(move || later.send(number + 20).expect("the test listens"));
                done.send(number).expect("the test listens");
            });
        }
        pool.close();
        let mut all: Vec<_> = dones.try_iter().collect();
        all.sort_unstable();
        assert_eq!(all, (0..40).collect::<Vec<_>>());
    }
}
