//! Work that may block for long, on a thread beside the one that all clients share.

use std::io;
use std::thread::Builder;

use tokio::sync::oneshot;

/// What a thread's work needs: resolvers' plug-ins are the deepest.
const STACK_BYTES: usize = 256 * 1024;

/// Does work on short-lived threads, one at a time. Nothing else waits for them: work that hangs in
/// a driver, a resolver or a dead network file system cannot be cancelled.
pub struct Helper<T> {
    name: &'static str,
    under_way: Option<oneshot::Receiver<T>>,
}

impl<T: Send + 'static> Helper<T> {
    /// `name` is the threads' name.
    #[must_use]
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            under_way: None,
        }
    }

    /// The result of `work`. If an earlier call gave up waiting and its work still runs, waits for
    /// that one's result instead of starting another thread.
    ///
    /// # Errors
    /// What the system says if no thread can be started (a limit on processes, no memory). Tokio's
    /// own pool would panic then.
    pub async fn run(&mut self, work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
        let done = match &mut self.under_way {
            Some(under_way) => under_way,
            none => none.insert(start(self.name, work)?),
        };
        let result = done.await;
        self.under_way = None;
        result.map_err(io::Error::other)
    }
}

fn start<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<oneshot::Receiver<T>> {
    let (tell, told) = oneshot::channel();
    let work = move || drop(tell.send(work()));
    let thread = Builder::new().name(name.to_owned());
    thread.stack_size(STACK_BYTES).spawn(work)?;
    Ok(told)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use tokio::time::timeout;

    use super::Helper;

    #[tokio::test]
    async fn work_that_hangs_holds_nobody_up_and_has_one_thread() {
        let mut helper = Helper::new("test");
        let (let_go, held) = mpsc::channel::<()>();
        let hangs = move || {
            let _ = held.recv();
            1
        };
        let hung = timeout(Duration::from_millis(50), helper.run(hangs)).await;
        assert!(hung.is_err(), "it hangs");
        let hung = timeout(Duration::from_millis(50), helper.run(|| 2)).await;
        assert!(hung.is_err(), "no second thread starts beside it");
        drop(let_go);
        assert_eq!(helper.run(|| 3).await.expect("a result"), 1);
        assert_eq!(helper.run(|| 4).await.expect("a result"), 4);
    }
}
